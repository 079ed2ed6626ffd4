//! The properties of an object that stay when it is written anew: read from S3, and compared.

use aws_sdk_s3::types::StorageClass;
use emrkeys_core::aws::{kept_of, Acl, BucketSettings, Kept, S3Object, ACL_UNREADABLE};
use emrkeys_core::{Code, Error, Problem};

use super::calls::ask;
use super::store::{Head, ObjectUri, Store};

impl Head {
    /// The properties that the object in its place gets, with this access control list.
    pub(super) fn kept<'a>(&'a self, acl: &'a Acl) -> Kept<'a> {
        Kept { head: &self.raw, acl }
    }

    /// Whether S3 has written nothing in the object's place since, not even the same content with other metadata, which
    /// has the same ETag.
    pub(super) fn is_still(&self, now: &Head) -> bool {
        self.etag == now.etag
            && self.version_id() == now.version_id()
            && self.raw.last_modified() == now.raw.last_modified()
            && self.metadata == now.metadata
            && kept_of(&self.raw) == kept_of(&now.raw)
    }

    /// Whether the content is archived, so that S3 cannot copy it.
    pub fn is_archived(&self) -> bool {
        let archived = matches!(
            self.raw.storage_class,
            Some(StorageClass::Glacier | StorageClass::DeepArchive)
        ) || self.raw.archive_status.is_some();
        let restored = self
            .raw
            .restore
            .as_deref()
            .is_some_and(|restore| restore.contains("ongoing-request=\"false\""));
        archived && !restored
    }
}

impl Store {
    /// The object to ask about, at the version of this store.
    pub(super) fn at<'a>(&'a self, uri: &'a ObjectUri) -> S3Object<'a> {
        S3Object {
            client: &self.client,
            bucket: &uri.bucket,
            key: &uri.key,
            version: self.version(),
        }
    }

    /// The tags of an object, as a header takes them; empty for none.
    pub(super) fn tags(&self, uri: &ObjectUri) -> Result<String, Problem> {
        ask(uri, self.at(uri).tags())
    }

    /// The access control list that an object keeps, which S3 never copies, and [`ACL_UNREADABLE`] where it may not be
    /// read and is lost. One request, unless the bucket has no lists.
    ///
    /// # Errors
    /// `OBJECT_NOT_FOUND`, `STORE_UNAVAILABLE`
    pub(super) fn acl(
        &self,
        uri: &ObjectUri,
        settings: BucketSettings,
    ) -> Result<(Acl, Option<&'static str>), Problem> {
        if !settings.has_acls {
            return Ok((Acl::default(), None));
        }
        Ok(match ask(uri, self.at(uri).acl())? {
            Some(acl) => (acl, None),
            None => (Acl::default(), Some(ACL_UNREADABLE)),
        })
    }
}

pub(super) fn first_problem(error: Error) -> Problem {
    let first = error.problems().next().cloned();
    first.unwrap_or_else(|| super::data_key::internal(&"an error without a problem"))
}

pub(super) fn changed(uri: &ObjectUri) -> Problem {
    Problem::new(
        Code::ObjectChanged,
        format!("{uri} was written by somebody else in the meantime; nothing was done"),
        "Try again if that is still wanted.",
    )
}
