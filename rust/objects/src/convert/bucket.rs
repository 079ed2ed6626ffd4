//! A bucket's own settings that decide which requests an object needs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_s3::types::ObjectOwnership;
use emrkeys_core::{Code, Problem};

use crate::calls::wait;
use crate::keep::is_locked;
use crate::store::{Head, ObjectUri, Store};

/// The settings of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Whether objects may have access control lists of their own.
    pub(super) has_acls: bool,
    /// Whether objects may be locked.
    pub(super) has_locks: bool,
}

/// The settings of buckets, each asked for once. Thread-safe.
#[derive(Debug, Default)]
pub(super) struct Buckets(Mutex<BTreeMap<String, Settings>>);

impl Buckets {
    /// The settings of the object's bucket. Where they may not be read, the bucket counts as having everything, and
    /// each object is asked for.
    pub(super) fn settings(&self, store: &Store, uri: &ObjectUri) -> Settings {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Threads that come meanwhile wait for the answer.
        *known.entry(uri.bucket.clone()).or_insert_with(|| Settings {
            has_acls: store.has_acls(uri),
            has_locks: store.has_locks(uri),
        })
    }
}

impl Store {
    fn has_acls(&self, uri: &ObjectUri) -> bool {
        let call = self.client.get_bucket_ownership_controls().bucket(&uri.bucket);
        let controls = wait(uri, "GetBucketOwnershipControls", call.send());
        let controls = controls.ok().and_then(|answer| answer.ownership_controls);
        !controls.is_some_and(|controls| {
            let mut rules = controls.rules.iter();
            rules.any(|rule| rule.object_ownership == ObjectOwnership::BucketOwnerEnforced)
        })
    }

    fn has_locks(&self, uri: &ObjectUri) -> bool {
        let call = self.client.get_object_lock_configuration().bucket(&uri.bucket);
        match wait(uri, "GetObjectLockConfiguration", call.send()) {
            Ok(answer) => answer.object_lock_configuration.is_some(),
            Err(problem) => problem.code != Code::ObjectNotFound,
        }
    }

    /// Whether the answer for an object of a bucket with locks says all of its lock: S3 leaves it out for callers who
    /// may not read it.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`
    pub(super) fn shows_lock(&self, uri: &ObjectUri, head: &Head) -> Result<bool, Problem> {
        if !is_locked(&head.raw) {
            let call = self
                .client
                .get_object_retention()
                .bucket(&uri.bucket)
                .key(&uri.key);
            if !may_read(wait(uri, "GetObjectRetention", call.send()).map(drop))? {
                return Ok(false);
            }
        }
        if head.raw.object_lock_legal_hold_status.is_none() {
            let call = self
                .client
                .get_object_legal_hold()
                .bucket(&uri.bucket)
                .key(&uri.key);
            return may_read(wait(uri, "GetObjectLegalHold", call.send()).map(drop));
        }
        Ok(true)
    }
}

fn may_read(answer: Result<(), Problem>) -> Result<bool, Problem> {
    match answer {
        Err(problem) if problem.code == Code::StoreDenied => Ok(false),
        // It has no lock.
        Err(problem) if problem.code == Code::ObjectNotFound => Ok(true),
        other => other.map(|()| true),
    }
}
