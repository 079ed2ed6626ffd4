//! The properties of an object in S3 that stay when it is written anew: read as far as S3 shows them, and set on the
//! request that makes the new object.

use std::future::Future;
use std::time::SystemTime;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::copy_object::builders::CopyObjectFluentBuilder;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{ObjectOwnership, ServerSideEncryption, StorageClass, Tag};
use aws_sdk_s3::Client;

use super::acl::Acl;
use super::s3::{classify, S3Failure};
use crate::uri::percent_encode;

/// A request that S3 did not fulfil.
#[derive(Clone, Debug)]
pub struct S3Refusal {
    /// As the API names it.
    pub operation: &'static str,
    /// For a remedy.
    pub failure: S3Failure,
    /// In words, with the id of the request.
    pub told: String,
}

/// The answer of S3 to `call`.
async fn asked<T, E>(
    operation: &'static str,
    call: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, S3Refusal>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    SdkError<E>: RequestId,
{
    call.await.map_err(|error| {
        let (failure, told) = classify(&error);
        S3Refusal {
            operation,
            failure,
            told,
        }
    })
}

/// The settings of a bucket that decide which requests an object needs before it is written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketSettings {
    /// Whether objects may have access control lists of their own.
    pub has_acls: bool,
    /// Whether objects may be locked; `None` where that may not be read.
    pub has_locks: Option<bool>,
}

impl BucketSettings {
    /// Where nothing may be read: the bucket counts as having lists, and each object is asked for.
    pub const UNREADABLE: BucketSettings = BucketSettings {
        has_acls: true,
        has_locks: None,
    };

    /// Asks S3, by two requests.
    pub async fn of(client: &Client, bucket: &str) -> BucketSettings {
        let call = client.get_bucket_ownership_controls().bucket(bucket);
        let controls = asked("GetBucketOwnershipControls", call.send()).await;
        let controls = controls.ok().and_then(|answer| answer.ownership_controls);
        let is_enforced = controls.is_some_and(|controls| {
            let mut rules = controls.rules.iter();
            rules.any(|rule| rule.object_ownership == ObjectOwnership::BucketOwnerEnforced)
        });
        let call = client.get_object_lock_configuration().bucket(bucket);
        let has_locks = match asked("GetObjectLockConfiguration", call.send()).await {
            Ok(answer) => Some(answer.object_lock_configuration.is_some()),
            Err(refusal) if refusal.failure.is_absence() => Some(false),
            Err(_) => None,
        };
        BucketSettings {
            has_acls: !is_enforced,
            has_locks,
        }
    }
}

/// A property that an object may have and S3 does not show, so that a new object would be without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Some of its user metadata.
    Metadata,
    /// Its lock.
    Lock,
}

/// An object in S3 whose properties are asked for.
#[derive(Clone, Copy, Debug)]
pub struct S3Object<'a> {
    /// The client to ask by.
    pub client: &'a Client,
    /// Its bucket.
    pub bucket: &'a str,
    /// Its key.
    pub key: &'a str,
    /// `None`: as it is now.
    pub version: Option<&'a str>,
}

impl S3Object<'_> {
    /// The tags, as a header takes them; empty for none.
    ///
    /// # Errors
    /// The refusal of S3; tags that may not be read are one.
    pub async fn tags(&self) -> Result<String, S3Refusal> {
        let call = self.client.get_object_tagging().bucket(self.bucket).key(self.key);
        let call = call.set_version_id(self.version.map(str::to_owned));
        match asked("GetObjectTagging", call.send()).await {
            Ok(answer) => Ok(tagging(answer.tag_set())),
            Err(refusal) if refusal.failure == S3Failure::Unsupported => Ok(String::new()),
            Err(refusal) => Err(refusal),
        }
    }

    /// The access control list, which S3 never copies; `None` where it may not be read.
    ///
    /// # Errors
    /// Every other refusal of S3.
    pub async fn acl(&self) -> Result<Option<Acl>, S3Refusal> {
        let call = self.client.get_object_acl().bucket(self.bucket).key(self.key);
        let call = call.set_version_id(self.version.map(str::to_owned));
        match asked("GetObjectAcl", call.send()).await {
            Ok(answer) => Ok(Some(Acl::found(&answer))),
            Err(refusal) if refusal.failure == S3Failure::Denied => Ok(None),
            Err(refusal) if refusal.failure == S3Failure::Unsupported => Ok(Some(Acl::default())),
            Err(refusal) => Err(refusal),
        }
    }

    /// The property that S3 hides in `head`, its answer for this object. Two requests at the most if the bucket
    /// `has_locks`, otherwise none.
    ///
    /// # Errors
    /// A refusal of S3 that leaves this open.
    pub async fn hides(&self, head: &HeadObjectOutput, has_locks: bool) -> Result<Option<Hidden>, S3Refusal> {
        if head.missing_meta.is_some_and(|missing| missing > 0) {
            return Ok(Some(Hidden::Metadata));
        }
        let is_hidden = has_locks && !self.shows_lock(head).await?;
        Ok(is_hidden.then_some(Hidden::Lock))
    }

    /// Whether the answer for an object of a bucket with locks says all of its lock: S3 leaves it out for callers who
    /// may not read it.
    async fn shows_lock(&self, head: &HeadObjectOutput) -> Result<bool, S3Refusal> {
        let version = || self.version.map(str::to_owned);
        if head.object_lock_retain_until_date.is_none() {
            let call = self
                .client
                .get_object_retention()
                .bucket(self.bucket)
                .key(self.key);
            let answer = asked("GetObjectRetention", call.set_version_id(version()).send()).await;
            if !may_read(answer.map(drop))? {
                return Ok(false);
            }
        }
        if head.object_lock_legal_hold_status.is_none() {
            let call = self
                .client
                .get_object_legal_hold()
                .bucket(self.bucket)
                .key(self.key);
            let answer = asked("GetObjectLegalHold", call.set_version_id(version()).send()).await;
            return may_read(answer.map(drop));
        }
        Ok(true)
    }
}

fn may_read(answer: Result<(), S3Refusal>) -> Result<bool, S3Refusal> {
    match answer {
        Err(refusal) if refusal.failure == S3Failure::Denied => Ok(false),
        // It has no lock.
        Err(refusal) if refusal.failure.is_absence() => Ok(true),
        other => other.map(|()| true),
    }
}

/// The properties of an object, apart from user metadata and tags, that the one in its place gets.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The answer of S3 for the object.
    pub head: &'a HeadObjectOutput,
    /// Its access control list.
    pub acl: &'a Acl,
}

/// Sets them on a request that makes an object. S3 copies some of them only with the metadata, which is replaced where
/// this is used: the request repeats these.
macro_rules! keep {
    ($request:expr, $kept:expr) => {{
        let Kept { head, acl } = $kept;
        let under_kms = is_under_kms(head.server_side_encryption());
        let locked = is_locked(head);
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
            .set_ssekms_key_id(head.ssekms_key_id.clone().filter(|_| under_kms))
            .set_bucket_key_enabled(head.bucket_key_enabled.filter(|_| under_kms))
            .set_object_lock_mode(
                head.object_lock_mode
                    .as_ref()
                    .filter(|_| locked)
                    .map(|mode| mode.as_str().into()),
            )
            .set_object_lock_retain_until_date(head.object_lock_retain_until_date.filter(|_| locked))
            .set_object_lock_legal_hold_status(head.object_lock_legal_hold_status.clone())
            .set_grant_full_control(acl.full_control.clone())
            .set_grant_read(acl.read.clone())
            .set_grant_read_acp(acl.read_acp.clone())
            .set_grant_write_acp(acl.write_acp.clone())
    }};
}

impl Kept<'_> {
    /// Sets them on a request that writes an object whole.
    pub fn on_put(self, request: PutObjectFluentBuilder) -> PutObjectFluentBuilder {
        keep!(request, self)
    }

    /// Sets them on a request that begins an upload in parts.
    pub fn on_upload(
        self,
        request: CreateMultipartUploadFluentBuilder,
    ) -> CreateMultipartUploadFluentBuilder {
        keep!(request, self)
    }

    /// Sets them on a request that copies an object.
    pub fn on_copy(self, request: CopyObjectFluentBuilder) -> CopyObjectFluentBuilder {
        keep!(request, self)
    }
}

/// Whether the object is kept until a time that is still to come: S3 refuses one that is past.
fn is_locked(head: &HeadObjectOutput) -> bool {
    let until = head.object_lock_retain_until_date;
    until.is_some_and(|until| until > DateTime::from(SystemTime::now()))
}

fn http_date(text: &str) -> Option<DateTime> {
    DateTime::from_str(text, DateTimeFormat::HttpDate).ok()
}

/// The properties that [`Kept`] keeps, and the number of tags. Two answers for the same object agree in all of them.
pub fn kept_of(head: &HeadObjectOutput) -> [Option<String>; 14] {
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

/// Tags as the header of a request takes them; empty for none. Source: Amazon S3 API Reference, `PutObject`,
/// `x-amz-tagging`.
fn tagging(tags: &[Tag]) -> String {
    let pairs = tags
        .iter()
        .map(|tag| format!("{}={}", percent_encode(tag.key()), percent_encode(tag.value())));
    pairs.collect::<Vec<_>>().join("&")
}

/// Whether a KMS key protects an object at rest, by what S3 says of its encryption there.
fn is_under_kms(at_rest: Option<&ServerSideEncryption>) -> bool {
    !matches!(at_rest, None | Some(ServerSideEncryption::Aes256))
}
