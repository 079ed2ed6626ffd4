//! New objects.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::calls::wait;
use super::store::{ObjectUri, Store};
use emrkeys_core::envelope::{Envelope, Metadata};
use emrkeys_core::{Code, Error, Problem};

/// A multipart upload that is under way. The bucket's lifecycle rules remove one that is never completed or aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// S3's name for it.
    pub id: String,
    /// Where the object will be.
    pub uri: ObjectUri,
    /// Its user metadata.
    pub metadata: Metadata,
}

impl Store {
    /// Writes a whole object; with `absent` only if it does not exist.
    ///
    /// # Errors
    /// `OBJECT_CHANGED` where there is one, `OBJECT_NOT_FOUND` for the bucket, `STORE_DENIED`, `STORE_UNAVAILABLE`
    pub fn put(
        &self,
        uri: &ObjectUri,
        content: impl Into<Bytes>,
        metadata: &Metadata,
        absent: bool,
    ) -> Result<(), Error> {
        let call = self
            .client
            .put_object()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .set_metadata(Some(metadata.clone().into_iter().collect()))
            .set_if_none_match(absent.then(|| "*".to_owned()))
            .body(ByteStream::from(content.into()));
        let put = wait(uri, "PutObject", call.send());
        self.or_made(uri, metadata, put.map(drop))
    }

    /// Writes a secret as an object that must not exist. The memory that it is sent from is wiped afterwards; buffers
    /// of the HTTP client are not.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_secret(&self, uri: &ObjectUri, secret: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        self.put(uri, Bytes::from_owner(secret), &Metadata::new(), true)
    }

    /// An answer may be lost although the object was made, and where the request is repeated S3 says that there is one,
    /// or no such upload any more. An envelope has a data key of its own, so that the object that is there shows whose
    /// it is.
    fn or_made(&self, uri: &ObjectUri, metadata: &Metadata, made: Result<(), Problem>) -> Result<(), Error> {
        let Err(problem) = made else { return Ok(()) };
        let doubtful = matches!(
            problem.code,
            Code::ObjectChanged | Code::ObjectNotFound | Code::StoreUnavailable
        );
        if doubtful && Envelope::is_in(metadata) {
            if let Ok(Some(head)) = self.head(uri) {
                if head.metadata == *metadata {
                    return Ok(());
                }
            }
        }
        Err(problem.into())
    }

    /// Begins an object that is uploaded in parts.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn begin(&self, uri: &ObjectUri, metadata: &Metadata) -> Result<Upload, Error> {
        let call = self
            .client
            .create_multipart_upload()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .set_metadata(Some(metadata.clone().into_iter().collect()));
        let begun = wait(uri, "CreateMultipartUpload", call.send())?;
        Ok(Upload {
            id: begun.upload_id.unwrap_or_default(),
            uri: uri.clone(),
            metadata: metadata.clone(),
        })
    }

    /// Uploads part `number` (from 1 to 10,000; 5 MiB or more but for the last) and gives its ETag.
    ///
    /// # Errors
    /// As [`Store::put`]; `OBJECT_NOT_FOUND` for an upload that was aborted.
    pub fn part(&self, upload: &Upload, number: i32, content: impl Into<Bytes>) -> Result<String, Error> {
        let call = self
            .client
            .upload_part()
            .bucket(&upload.uri.bucket)
            .key(&upload.uri.key)
            .upload_id(&upload.id)
            .part_number(number)
            .body(ByteStream::from(content.into()));
        Ok(wait(&upload.uri, "UploadPart", call.send())?
            .e_tag
            .unwrap_or_default())
    }

    /// Makes the object of its parts, given by their ETags in order; with `absent` only if it does not exist.
    ///
    /// # Errors
    /// As [`Store::part`].
    pub fn complete(&self, upload: &Upload, etags: &[String], absent: bool) -> Result<(), Error> {
        let parts = etags
            .iter()
            .zip(1..)
            .map(|(etag, number)| CompletedPart::builder().part_number(number).e_tag(etag).build());
        let call = self
            .client
            .complete_multipart_upload()
            .bucket(&upload.uri.bucket)
            .key(&upload.uri.key)
            .upload_id(&upload.id)
            .set_if_none_match(absent.then(|| "*".to_owned()))
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts.collect()))
                    .build(),
            );
        let made = wait(&upload.uri, "CompleteMultipartUpload", call.send());
        self.or_made(&upload.uri, &upload.metadata, made.map(drop))
    }

    /// Gives an upload up, and its parts.
    ///
    /// # Errors
    /// As [`Store::part`].
    pub fn abort(&self, upload: &Upload) -> Result<(), Error> {
        let call = self
            .client
            .abort_multipart_upload()
            .bucket(&upload.uri.bucket)
            .key(&upload.uri.key)
            .upload_id(&upload.id);
        wait(&upload.uri, "AbortMultipartUpload", call.send())?;
        Ok(())
    }

    /// Deletes an object; no error if it does not exist. In a bucket with versions the older ones stay.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn delete(&self, uri: &ObjectUri) -> Result<(), Error> {
        let call = self.client.delete_object().bucket(&uri.bucket).key(&uri.key);
        wait(uri, "DeleteObject", call.send())?;
        Ok(())
    }
}
