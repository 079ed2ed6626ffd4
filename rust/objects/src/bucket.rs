//! A bucket's own settings that decide which requests an object needs before it is written anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::types::ObjectOwnership;
use emrkeys_core::{Code, Problem};

use crate::calls::wait;
use crate::standing::Skipped;
use crate::store::{Head, ObjectUri, Store};

/// The settings of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Whether objects may have access control lists of their own.
    pub(super) has_acls: bool,
    /// Whether objects may be locked; `None` where that may not be read.
    pub(super) has_locks: Option<bool>,
}

/// The settings of buckets, each asked for once. Clones share them. Thread-safe.
#[derive(Clone, Debug, Default)]
pub struct Buckets(Arc<Mutex<BTreeMap<String, Settings>>>);

impl Buckets {
    /// The settings of the object's bucket. Where the first may not be read, the bucket counts as having lists, and
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

    fn has_locks(&self, uri: &ObjectUri) -> Option<bool> {
        let call = self.client.get_object_lock_configuration().bucket(&uri.bucket);
        match wait(uri, "GetObjectLockConfiguration", call.send()) {
            Ok(answer) => Some(answer.object_lock_configuration.is_some()),
            Err(problem) if problem.code == Code::ObjectNotFound => Some(false),
            Err(_) => None,
        }
    }

    /// Why an object is not to be written anew: S3 does not show all that it has, and the new one would be without it.
    /// Two requests at the most if the bucket `has_locks`, otherwise none.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`
    pub(super) fn hides(
        &self,
        uri: &ObjectUri,
        head: &Head,
        has_locks: bool,
    ) -> Result<Option<Skipped>, Problem> {
        if head.raw.missing_meta.is_some_and(|missing| missing > 0) {
            return Ok(Some(Skipped::MetadataUnreadable));
        }
        let is_hidden = has_locks && !self.shows_lock(uri, head)?;
        Ok(is_hidden.then_some(Skipped::LockUnreadable))
    }

    /// Whether the answer for an object of a bucket with locks says all of its lock: S3 leaves it out for callers who
    /// may not read it.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`
    fn shows_lock(&self, uri: &ObjectUri, head: &Head) -> Result<bool, Problem> {
        if head.raw.object_lock_retain_until_date.is_none() {
            let call = self
                .client
                .get_object_retention()
                .bucket(&uri.bucket)
                .key(&uri.key)
                .set_version_id(self.version().map(str::to_owned));
            if !may_read(wait(uri, "GetObjectRetention", call.send()).map(drop))? {
                return Ok(false);
            }
        }
        if head.raw.object_lock_legal_hold_status.is_none() {
            let call = self
                .client
                .get_object_legal_hold()
                .bucket(&uri.bucket)
                .key(&uri.key)
                .set_version_id(self.version().map(str::to_owned));
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
