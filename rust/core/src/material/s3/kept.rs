//! The properties that an object keeps when it is replaced: headers of its content, user metadata, storage class,
//! encryption by S3 and tags. Access control lists and locks are not among them; who reads key material is for the
//! policy of its bucket.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::Client;

use super::Object;
use crate::aws::{is_under_kms, tagging};
use crate::error::Problem;

/// The properties of an object, with its tags as a header has them.
pub(super) struct Kept {
    head: HeadObjectOutput,
    tags: String,
}

impl Kept {
    /// Sets them on the request that replaces the object.
    pub(super) fn on(self, request: PutObjectFluentBuilder) -> PutObjectFluentBuilder {
        let head = self.head;
        let under_kms = is_under_kms(head.server_side_encryption.as_ref());
        request
            .set_content_type(head.content_type)
            .set_cache_control(head.cache_control)
            .set_content_disposition(head.content_disposition)
            .set_content_encoding(head.content_encoding)
            .set_content_language(head.content_language)
            .set_metadata(head.metadata)
            .set_storage_class(head.storage_class)
            .set_server_side_encryption(head.server_side_encryption)
            .set_ssekms_key_id(head.ssekms_key_id.filter(|_| under_kms))
            .set_bucket_key_enabled(head.bucket_key_enabled.filter(|_| under_kms))
            .set_tagging(Some(self.tags).filter(|tags| !tags.is_empty()))
    }
}

impl Object<'_> {
    /// The properties of the object with this ETag; `None` if it is gone or another.
    pub(super) async fn kept(&self, client: &Client, tag: &str) -> Result<Option<Kept>, Problem> {
        let request = client.head_object().bucket(self.bucket).key(self.key);
        let head = match request.send().await {
            Ok(head) if head.e_tag() == Some(tag) => head,
            Ok(_) => return Ok(None),
            Err(error)
                if error
                    .raw_response()
                    .is_some_and(|answer| answer.status().as_u16() == 404) =>
            {
                return Ok(None)
            }
            Err(error) => return Err(self.failure(&error)),
        };
        // S3 does not count the tags for a caller who may not read them, so the count is no answer.
        let tags = self.tags(client).await?;
        Ok(Some(Kept { head, tags }))
    }

    async fn tags(&self, client: &Client) -> Result<String, Problem> {
        let request = client.get_object_tagging().bucket(self.bucket).key(self.key);
        let answer = request.send().await.map_err(|error| self.failure(&error))?;
        Ok(tagging(answer.tag_set()))
    }
}
