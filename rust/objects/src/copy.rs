//! Objects that get other metadata and keep everything else: S3 copies them onto themselves, and no byte of content moves.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, MetadataDirective, ServerSideEncryption, StorageClass,
};

use super::store::{wait, Head, ObjectUri, Store};
use emrkeys_core::envelope::{Metadata, INSTRUCTION_MARK};
use emrkeys_core::uri::percent_encode;
use emrkeys_core::{Code, Error, Problem};

/// The largest object that one request copies. Source: Amazon S3 API Reference, `CopyObject`.
pub(super) const MAX_COPY: u64 = 5 * 1024 * 1024 * 1024;
/// Bytes of one part of a larger copy, at least.
const PART: u64 = 1024 * 1024 * 1024;
/// The most parts of one object. Source: Amazon S3 User Guide, "Multipart upload limits".
const MAX_PARTS: u64 = 10_000;

/// Sets on a request that makes an object what the object had that it replaces. What S3 copies by itself only with the metadata, which
/// is replaced here, has to be said again. Access control lists cannot be copied at all.
macro_rules! keep {
    ($request:expr, $head:expr) => {{
        let head: &HeadObjectOutput = $head;
        $request
            .set_content_type(head.content_type.clone())
            .set_cache_control(head.cache_control.clone())
            .set_content_disposition(head.content_disposition.clone())
            .set_content_encoding(head.content_encoding.clone())
            .set_content_language(head.content_language.clone())
            .set_expires(head.expires_string().and_then(http_date))
            .set_website_redirect_location(head.website_redirect_location.clone())
            .set_storage_class(head.storage_class.clone())
            .set_server_side_encryption(head.server_side_encryption.clone())
            .set_ssekms_key_id(head.ssekms_key_id.clone().filter(|_| under_kms(head)))
            .set_bucket_key_enabled(head.bucket_key_enabled.filter(|_| under_kms(head)))
            .set_object_lock_mode(head.object_lock_mode.as_ref().map(|mode| mode.as_str().into()))
            .set_object_lock_retain_until_date(head.object_lock_retain_until_date)
            .set_object_lock_legal_hold_status(head.object_lock_legal_hold_status.clone())
    }};
}

fn http_date(text: &str) -> Option<DateTime> {
    DateTime::from_str(text, aws_sdk_s3::primitives::DateTimeFormat::HttpDate).ok()
}

fn under_kms(head: &HeadObjectOutput) -> bool {
    !matches!(
        head.server_side_encryption,
        None | Some(ServerSideEncryption::Aes256)
    )
}

impl Head {
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
    /// Replaces the user metadata of an object, if it is still the one of `head`. Readers see the old object or the new one.
    ///
    /// # Errors
    /// `OBJECT_CHANGED` where somebody else wrote it; `STORE_DENIED`, `STORE_UNAVAILABLE`.
    pub(super) fn replace_metadata(
        &self,
        uri: &ObjectUri,
        head: &Head,
        metadata: &Metadata,
        multipart_above: u64,
    ) -> Result<(), Problem> {
        if head.length > multipart_above {
            return self.replace_in_parts(uri, head, metadata);
        }
        let call = self
            .client
            .copy_object()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .copy_source(source(uri))
            .copy_source_if_match(&head.etag)
            // The source is the destination, and may be written between the two looks at it.
            .if_match(&head.etag)
            .metadata_directive(MetadataDirective::Replace)
            .set_metadata(Some(metadata.clone().into_iter().collect()));
        wait(uri, "CopyObject", keep!(call, &head.raw).send()).map(|_| ())
    }

    fn replace_in_parts(&self, uri: &ObjectUri, head: &Head, metadata: &Metadata) -> Result<(), Problem> {
        let tags = match head.raw.tag_count() {
            None | Some(0) => None,
            Some(_) => Some(self.tags(uri)?),
        };
        let call = self
            .client
            .create_multipart_upload()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .set_tagging(tags)
            .set_metadata(Some(metadata.clone().into_iter().collect()));
        let upload = wait(uri, "CreateMultipartUpload", keep!(call, &head.raw).send())?;
        let id = upload.upload_id().unwrap_or_default().to_owned();
        self.copy_parts(uri, head, &id).inspect_err(|_| {
            let call = self
                .client
                .abort_multipart_upload()
                .bucket(&uri.bucket)
                .key(&uri.key);
            // What is left of an upload that cannot even be given up, the bucket's lifecycle rules remove.
            let _ = wait(uri, "AbortMultipartUpload", call.upload_id(&id).send());
        })
    }

    fn copy_parts(&self, uri: &ObjectUri, head: &Head, id: &str) -> Result<(), Problem> {
        let size = PART.max(head.length.div_ceil(MAX_PARTS));
        let mut parts = Vec::new();
        let mut start = 0;
        while start < head.length {
            let end = head.length.min(start + size);
            let number = i32::try_from(parts.len() + 1).unwrap_or(i32::MAX); // at most MAX_PARTS
            let call = self
                .client
                .upload_part_copy()
                .bucket(&uri.bucket)
                .key(&uri.key)
                .upload_id(id)
                .part_number(number)
                .copy_source(source(uri))
                .copy_source_if_match(&head.etag)
                .copy_source_range(format!("bytes={start}-{}", end - 1));
            let copied = wait(uri, "UploadPartCopy", call.send())?;
            let etag = copied.copy_part_result.and_then(|part| part.e_tag);
            parts.push(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(etag)
                    .build(),
            );
            start = end;
        }
        let call = self
            .client
            .complete_multipart_upload()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .upload_id(id)
            .if_match(&head.etag)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
        wait(uri, "CompleteMultipartUpload", call.send()).map(|_| ())
    }

    /// The tags of an object, as a header takes them.
    fn tags(&self, uri: &ObjectUri) -> Result<String, Problem> {
        let call = self.client.get_object_tagging().bucket(&uri.bucket).key(&uri.key);
        let tags = wait(uri, "GetObjectTagging", call.send())?.tag_set;
        let pairs = tags
            .iter()
            .map(|tag| format!("{}={}", percent_encode(tag.key()), percent_encode(tag.value())));
        Ok(pairs.collect::<Vec<_>>().join("&"))
    }

    /// Replaces an instruction file, if it still has the ETag `etag`.
    pub(super) fn replace_instruction(
        &self,
        uri: &ObjectUri,
        content: Vec<u8>,
        etag: &str,
    ) -> Result<(), Problem> {
        let head = self
            .head(uri)
            .map_err(first_problem)?
            .filter(|head| head.etag == etag)
            .ok_or_else(|| changed(uri))?;
        let call = self
            .client
            .put_object()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .if_match(etag)
            .metadata(INSTRUCTION_MARK, "")
            .body(ByteStream::from(content));
        wait(uri, "PutObject", keep!(call, &head.raw).send()).map(|_| ())
    }
}

fn source(uri: &ObjectUri) -> String {
    format!("{}/{}", uri.bucket, percent_encode(&uri.key))
}

fn first_problem(error: Error) -> Problem {
    let first = error.problems().next().cloned();
    first.unwrap_or_else(|| super::data_key::internal(&"an error without a problem"))
}

fn changed(uri: &ObjectUri) -> Problem {
    Problem::new(
        Code::ObjectChanged,
        format!("{uri} was written by somebody else in the meantime; nothing was done"),
        "Try again if that is still wanted.",
    )
}
