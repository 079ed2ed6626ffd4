//! The properties of an object that stay when it is written anew: headers, storage class, encryption by S3, lock, tags.

use std::time::SystemTime;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};

use super::calls::wait;
use super::store::{Head, ObjectUri, Store};
use emrkeys_core::aws::{is_under_kms, tagging};
use emrkeys_core::{Code, Error, Problem};

/// Sets on a request that makes an object the properties of the object that it replaces. S3 copies some of them only
/// with the metadata, which is replaced here: the request repeats these. Access control lists are set apart
/// ([`grant`](crate::acl::grant)).
macro_rules! keep {
    ($request:expr, $head:expr) => {{
        let head: &aws_sdk_s3::operation::head_object::HeadObjectOutput = $head;
        $request
            .set_content_type(head.content_type.clone())
            .set_cache_control(head.cache_control.clone())
            .set_content_disposition(head.content_disposition.clone())
            .set_content_encoding(head.content_encoding.clone())
            .set_content_language(head.content_language.clone())
            .set_expires(head.expires_string().and_then($crate::keep::http_date))
            .set_website_redirect_location(head.website_redirect_location.clone())
            .set_storage_class(head.storage_class.clone())
            .set_server_side_encryption(head.server_side_encryption.clone())
            .set_ssekms_key_id(
                head.ssekms_key_id
                    .clone()
                    .filter(|_| $crate::keep::under_kms(head)),
            )
            .set_bucket_key_enabled(head.bucket_key_enabled.filter(|_| $crate::keep::under_kms(head)))
            .set_object_lock_mode(
                head.object_lock_mode
                    .as_ref()
                    .filter(|_| $crate::keep::is_locked(head))
                    .map(|mode| mode.as_str().into()),
            )
            .set_object_lock_retain_until_date(
                head.object_lock_retain_until_date
                    .filter(|_| $crate::keep::is_locked(head)),
            )
            .set_object_lock_legal_hold_status(head.object_lock_legal_hold_status.clone())
    }};
}
pub(super) use keep;

/// Whether the object is kept until a time that is still to come: S3 refuses one that is past.
pub(super) fn is_locked(head: &HeadObjectOutput) -> bool {
    let until = head.object_lock_retain_until_date;
    until.is_some_and(|until| until > DateTime::from(SystemTime::now()))
}

pub(super) fn http_date(text: &str) -> Option<DateTime> {
    DateTime::from_str(text, aws_sdk_s3::primitives::DateTimeFormat::HttpDate).ok()
}

pub(super) fn under_kms(head: &HeadObjectOutput) -> bool {
    is_under_kms(head.server_side_encryption())
}

/// The properties that a copy leaves as they are. Two answers for the same object agree in all of them.
pub(super) fn kept(head: &HeadObjectOutput) -> [Option<String>; 14] {
    let text = |text: Option<&str>| text.map(str::to_owned);
    [
        text(head.content_type()),
        text(head.cache_control()),
        text(head.content_disposition()),
        text(head.content_encoding()),
        text(head.content_language()),
        text(head.expires_string()),
        text(head.website_redirect_location()),
        text(head.storage_class().map(StorageClass::as_str)),
        text(head.server_side_encryption().map(ServerSideEncryption::as_str)),
        text(head.ssekms_key_id()),
        head.bucket_key_enabled().map(|enabled| enabled.to_string()),
        head.object_lock_retain_until_date()
            .filter(|_| is_locked(head))
            .map(ToString::to_string),
        text(head.object_lock_legal_hold_status().map(|status| status.as_str())),
        head.tag_count().map(|count| count.to_string()),
    ]
}

impl Head {
    /// Whether S3 has written nothing in the object's place since, not even the same content with other metadata, which
    /// has the same ETag.
    pub(super) fn is_still(&self, now: &Head) -> bool {
        self.etag == now.etag
            && self.version_id() == now.version_id()
            && self.raw.last_modified() == now.raw.last_modified()
            && self.metadata == now.metadata
            && kept(&self.raw) == kept(&now.raw)
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
    /// The tags of an object, as a header takes them; empty for none.
    pub(super) fn tags(&self, uri: &ObjectUri) -> Result<String, Problem> {
        let call = self
            .client
            .get_object_tagging()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .set_version_id(self.version().map(str::to_owned));
        wait(uri, "GetObjectTagging", call.send()).map(|answer| tagging(answer.tag_set()))
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
