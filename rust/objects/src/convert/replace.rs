//! New content in an object's place: everything else of the object stays, and a write by somebody else wins.

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use emrkeys_core::aws::{Acl, Kept};
use emrkeys_core::envelope::Metadata;
use emrkeys_core::{Error, Problem};
use emrkeys_crypto::digest::{sha256, SIZE};

use crate::calls::wait;
use crate::keep::{changed, first_problem};
use crate::store::{Head, ObjectUri, Store};

/// Everything but the content of an object that is to stand in the place of another.
pub(super) struct Replacement<'a> {
    pub(super) uri: &'a ObjectUri,
    /// The object that it takes the place of, and no other.
    pub(super) head: &'a Head,
    pub(super) metadata: &'a Metadata,
    /// As a header takes them.
    pub(super) tags: &'a str,
    pub(super) acl: &'a Acl,
}

impl Replacement<'_> {
    fn kept(&self) -> Kept<'_> {
        self.head.kept(self.acl)
    }
}

/// A piece of the new content as it was sent: the whole, or a part.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    number: i32,
    etag: String,
    pub(super) length: u64,
    pub(super) digest: [u8; SIZE],
    /// Whether S3 gave its SHA-256 back.
    confirmed: bool,
}

/// The answer of S3 for the new object.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) etag: String,
    /// Where the bucket has versions.
    pub(super) version: Option<String>,
}

impl Written {
    /// The version that holds the object as it was, if the bucket kept it.
    pub(super) fn old_version(&self, before: &Head) -> Option<String> {
        let old = before.version_id().unwrap_or("null");
        // Without a version of its own the new object takes the place of the one that has none.
        let kept = self.version.as_ref().is_some_and(|new| new != old);
        kept.then(|| old.to_owned())
    }
}

/// Sets the place, and what the new object takes over besides [`Replacement::kept`].
macro_rules! take_over {
    ($request:expr, $new:expr) => {{
        let new: &Replacement = $new;
        $request
            .bucket(&new.uri.bucket)
            .key(&new.uri.key)
            .set_metadata(Some(new.metadata.clone().into_iter().collect()))
            .set_tagging(Some(new.tags.to_owned()).filter(|tags| !tags.is_empty()))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
    }};
}

/// Signs a body by its digest, which is known: else the client would compute it once more.
#[derive(Debug)]
struct SignedBy([u8; SIZE]);

impl Intercept for SignedBy {
    fn name(&self) -> &'static str {
        "SignedBy"
    }

    fn modify_before_signing(
        &self,
        _: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let digest = format!("{:x}", base16ct::HexDisplay(&self.0));
        settings
            .interceptor_state()
            .store_put(PayloadSigningOverride::Precomputed(digest));
        Ok(())
    }
}

fn base64(digest: &[u8]) -> String {
    Base64::encode_string(digest)
}

/// Whether S3 stored every piece as it was sent, by its own digest.
pub(super) fn are_confirmed(sent: &[Sent]) -> bool {
    sent.iter().all(|sent| sent.confirmed)
}

impl Store {
    /// Writes the whole content, if the object is still the one that it replaces.
    ///
    /// # Errors
    /// `OBJECT_CHANGED`, `OBJECT_NOT_FOUND`, `STORE_DENIED`, `STORE_UNAVAILABLE`
    pub(super) fn replace_whole(
        &self,
        new: &Replacement,
        content: Vec<u8>,
    ) -> (Vec<Sent>, Result<Written, Problem>) {
        let digest = sha256(&content);
        let mut sent = Sent {
            number: 1,
            etag: String::new(),
            length: content.len() as u64,
            digest,
            confirmed: false,
        };
        let call = take_over!(new.kept().on_put(self.client.put_object()), new)
            .if_match(&new.head.etag)
            .checksum_sha256(base64(&digest))
            .body(ByteStream::from(Bytes::from(content)));
        let call = call.customize().interceptor(SignedBy(digest));
        let written = wait(new.uri, "PutObject", call.send()).map(|answer| {
            sent.confirmed = answer.checksum_sha256 == Some(base64(&digest));
            Written {
                etag: answer.e_tag.unwrap_or_default(),
                version: answer.version_id,
            }
        });
        (vec![sent], written)
    }

    /// Begins to write the content in parts; gives S3's name for that.
    ///
    /// # Errors
    /// `STORE_DENIED`, `STORE_UNAVAILABLE`
    pub(super) fn begin_replacement(&self, new: &Replacement) -> Result<String, Problem> {
        let call = take_over!(new.kept().on_upload(self.client.create_multipart_upload()), new);
        let begun = wait(new.uri, "CreateMultipartUpload", call.send())?;
        Ok(begun.upload_id.unwrap_or_default())
    }

    /// Writes a part, `index` from 0 on.
    ///
    /// # Errors
    /// As [`Store::begin_replacement`].
    pub(super) fn replacement_part(
        &self,
        uri: &ObjectUri,
        id: &str,
        index: usize,
        content: Vec<u8>,
    ) -> Result<Sent, Error> {
        let digest = sha256(&content);
        let number = i32::try_from(index + 1).unwrap_or(i32::MAX); // S3 refuses more than 10,000
        let length = content.len() as u64;
        let call = self
            .client
            .upload_part()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .upload_id(id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_sha256(base64(&digest))
            .body(ByteStream::from(Bytes::from(content)));
        let call = call.customize().interceptor(SignedBy(digest));
        let answer = wait(uri, "UploadPart", call.send())?;
        Ok(Sent {
            number,
            etag: answer.e_tag.unwrap_or_default(),
            length,
            digest,
            confirmed: answer.checksum_sha256 == Some(base64(&digest)),
        })
    }

    /// Makes the object of its parts, if the object is still the one that it replaces. Parts take their time: so the
    /// object is looked at once more.
    ///
    /// # Errors
    /// As [`Store::replace_whole`].
    pub(super) fn complete_replacement(
        &self,
        new: &Replacement,
        id: &str,
        sent: &[Sent],
    ) -> Result<Written, Problem> {
        self.expect_still(new)?;
        let parts = sent.iter().map(|sent| {
            CompletedPart::builder()
                .part_number(sent.number)
                .e_tag(&sent.etag)
                .set_checksum_sha256(sent.confirmed.then(|| base64(&sent.digest)))
                .build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect()));
        let call = self
            .client
            .complete_multipart_upload()
            .bucket(&new.uri.bucket)
            .key(&new.uri.key)
            .upload_id(id)
            .if_match(&new.head.etag)
            .multipart_upload(parts.build());
        let answer = wait(new.uri, "CompleteMultipartUpload", call.send())?;
        Ok(Written {
            etag: answer.e_tag.unwrap_or_default(),
            version: answer.version_id,
        })
    }

    /// Looks whether the object is as it was, its metadata and tags included, which have no part in the ETag.
    ///
    /// # Errors
    /// `OBJECT_CHANGED`, `OBJECT_NOT_FOUND`; those of S3.
    pub(super) fn expect_still(&self, new: &Replacement) -> Result<(), Problem> {
        let now = self.head(new.uri).map_err(first_problem)?;
        if !now.is_some_and(|now| new.head.is_still(&now)) || self.tags(new.uri)? != new.tags {
            return Err(changed(new.uri));
        }
        Ok(())
    }

    /// Gives the parts up. The bucket's lifecycle rules remove an upload that cannot even be aborted.
    pub(super) fn abort_replacement(&self, uri: &ObjectUri, id: &str) {
        let call = self
            .client
            .abort_multipart_upload()
            .bucket(&uri.bucket)
            .key(&uri.key);
        let _ = wait(uri, "AbortMultipartUpload", call.upload_id(id).send());
    }

    /// Deletes an object that still has this ETag.
    ///
    /// # Errors
    /// As [`Store::replace_whole`].
    pub(super) fn delete_if(&self, uri: &ObjectUri, etag: &str) -> Result<(), Error> {
        let call = self.client.delete_object().bucket(&uri.bucket).key(&uri.key);
        wait(uri, "DeleteObject", call.if_match(etag).send())?;
        Ok(())
    }
}
