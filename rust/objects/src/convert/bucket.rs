//! A bucket's own settings that decide which requests an object needs; and access control lists.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_s3::types::{Grant, ObjectOwnership, Permission};
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

/// The grants of an access control list, as headers take them; all `None` for the list that every new object has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Acl {
    pub(super) full_control: Option<String>,
    pub(super) read: Option<String>,
    pub(super) read_acp: Option<String>,
    pub(super) write_acp: Option<String>,
}

impl Acl {
    fn of(owner: Option<&str>, grants: &[Grant]) -> Acl {
        let own = |grant: &Grant| {
            grant.permission == Some(Permission::FullControl)
                && owner.is_some()
                && grant.grantee().and_then(|grantee| grantee.id()) == owner
        };
        if grants.iter().all(own) {
            return Acl::default();
        }
        let header = |permission: &Permission| {
            let some = grants
                .iter()
                .filter(|grant| grant.permission.as_ref() == Some(permission));
            let some: Vec<String> = some.filter_map(grantee).collect();
            (!some.is_empty()).then(|| some.join(", "))
        };
        Acl {
            full_control: header(&Permission::FullControl),
            read: header(&Permission::Read),
            read_acp: header(&Permission::ReadAcp),
            write_acp: header(&Permission::WriteAcp),
        }
    }
}

/// As a header names it. Source: Amazon S3 API Reference, `PutObject`, `x-amz-grant-read`.
fn grantee(grant: &Grant) -> Option<String> {
    let grantee = grant.grantee()?;
    let by = |name: &str, value: Option<&str>| value.map(|value| format!("{name}=\"{value}\""));
    by("id", grantee.id())
        .or_else(|| by("uri", grantee.uri()))
        .or_else(|| by("emailAddress", grantee.email_address()))
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

    /// The access control list of an object; `None` where it may not be read.
    ///
    /// # Errors
    /// `OBJECT_NOT_FOUND`, `STORE_UNAVAILABLE`
    pub(super) fn acl(&self, uri: &ObjectUri) -> Result<Option<Acl>, Problem> {
        let call = self.client.get_object_acl().bucket(&uri.bucket).key(&uri.key);
        match wait(uri, "GetObjectAcl", call.send()) {
            Ok(answer) => {
                let owner = answer.owner().and_then(|owner| owner.id());
                Ok(Some(Acl::of(owner, answer.grants())))
            }
            Err(problem) if problem.code == Code::StoreDenied => Ok(None),
            Err(problem) => Err(problem),
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

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::{Grantee, Type};

    fn grant(permission: Permission, id: Option<&str>, uri: Option<&str>) -> Grant {
        let kind = if id.is_some() {
            Type::CanonicalUser
        } else {
            Type::Group
        };
        let grantee = Grantee::builder()
            .set_id(id.map(str::to_owned))
            .set_uri(uri.map(str::to_owned))
            .r#type(kind);
        Grant::builder()
            .permission(permission)
            .grantee(grantee.build().unwrap())
            .build()
    }

    #[test]
    fn the_list_of_every_new_object_needs_no_header() {
        let owner = grant(Permission::FullControl, Some("me"), None);
        assert_eq!(Acl::of(Some("me"), std::slice::from_ref(&owner)), Acl::default());
        assert_ne!(Acl::of(Some("you"), &[owner]), Acl::default());
    }

    #[test]
    fn grants_become_headers() {
        let all = "http://acs.amazonaws.com/groups/global/AllUsers";
        let grants = [
            grant(Permission::FullControl, Some("me"), None),
            grant(Permission::Read, None, Some(all)),
            grant(Permission::Read, Some("you"), None),
        ];
        let acl = Acl::of(Some("me"), &grants);
        assert_eq!(acl.full_control.as_deref(), Some("id=\"me\""));
        assert_eq!(acl.read, Some(format!("uri=\"{all}\", id=\"you\"")));
        assert_eq!((acl.read_acp, acl.write_acp), (None, None));
    }
}
