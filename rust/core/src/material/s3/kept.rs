//! The properties that an object keeps when it is replaced, read before.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::Client;

use super::Object;
use crate::aws::{self, Acl, BucketSettings, Hidden, S3Object, S3Refusal, ACL_UNREADABLE};
use crate::error::{excerpt, Code, Problem};

/// The properties of an object, with its tags as a header has them.
pub(super) struct Kept {
    head: HeadObjectOutput,
    tags: String,
    acl: Acl,
    /// A property that could not be read, and is lost: [`ACL_UNREADABLE`].
    pub(super) note: Option<&'static str>,
}

impl Kept {
    /// Sets them on the request that replaces the object.
    pub(super) fn on(&self, request: PutObjectFluentBuilder) -> PutObjectFluentBuilder {
        let kept = aws::Kept {
            head: &self.head,
            acl: &self.acl,
        };
        kept.on_put(request)
            .set_metadata(self.head.metadata.clone())
            .set_tagging(Some(self.tags.clone()).filter(|tags| !tags.is_empty()))
    }
}

impl Object<'_> {
    /// The properties of the object with this ETag; `None` if it is gone or another.
    ///
    /// # Errors
    /// `SOURCE_DENIED` too for a property that S3 does not show, other than an access control list.
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
        let object = S3Object {
            client,
            bucket: self.bucket,
            key: self.key,
            version: None,
        };
        let refused = |refusal: S3Refusal| self.refused(refusal.failure, &refusal.told);
        let settings = BucketSettings::of(client, self.bucket).await;
        let has_locks = settings.has_locks == Some(true);
        if let Some(hidden) = object.hides(&head, has_locks).await.map_err(refused)? {
            return Err(self.hidden(hidden));
        }
        // S3 does not count the tags for a caller who may not read them, so the count is no answer.
        let tags = object.tags().await.map_err(refused)?;
        let (acl, note) = if settings.has_acls {
            match object.acl().await.map_err(refused)? {
                Some(acl) => (acl, None),
                None => (Acl::default(), Some(ACL_UNREADABLE)),
            }
        } else {
            (Acl::default(), None)
        };
        Ok(Some(Kept {
            head,
            tags,
            acl,
            note,
        }))
    }

    fn hidden(&self, hidden: Hidden) -> Problem {
        let (what, remedy) = match hidden {
            Hidden::Metadata => (
                "user metadata",
                "Write the metadata of the object without control characters, or remove it.",
            ),
            Hidden::Lock => (
                "a lock",
                "Allow s3:GetObjectRetention and s3:GetObjectLegalHold on the object.",
            ),
        };
        let message = format!(
            "{} may have {what} that S3 does not show, and would lose it; nothing was written",
            excerpt(&self.uri())
        );
        Problem::at(self.property, Code::SourceDenied, message, remedy)
    }
}
