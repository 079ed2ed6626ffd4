//! The content of an object, read as it comes.

use std::sync::Arc;
use std::thread;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::Client;
use bytes::Bytes;

use super::calls::{unavailable, wait, DEADLINE};
use super::store::{Head, ObjectUri, Store, PATIENCE};
use emrkeys_core::aws::{causes, runtime};
use emrkeys_core::key_service::full_jitter;
use emrkeys_core::{excerpt, Code, Error, Problem};

/// The content of an object, as it comes. An answer that breaks off is asked for again from there on.
pub struct Body {
    client: Client,
    uri: ObjectUri,
    /// Of the object that all of it is from.
    etag: Option<String>,
    version: Option<Arc<str>>,
    /// Where the next byte is in the object.
    next: u64,
    /// The last byte, where a range was asked for.
    last: Option<u64>,
    stream: ByteStream,
    /// Answers in a row that brought nothing.
    fruitless: u32,
}

impl Body {
    /// The next bytes; `None` at the end. Blocks.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` where answers break off and bring nothing, or the next bytes do not come within an hour;
    /// `OBJECT_CHANGED` or `OBJECT_NOT_FOUND` where one broke off and the object is not there as it was;
    /// `STORE_DENIED`.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let next = runtime::block_on(DEADLINE, self.stream.next())?.ok_or_else(|| self.late())?;
            let error = match next.transpose() {
                Ok(piece) => {
                    self.next += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                    self.fruitless = 0;
                    return Ok(piece);
                }
                Err(error) => error,
            };
            self.fruitless += 1;
            // Without an ETag what follows may be of another object.
            if self.fruitless == PATIENCE.attempts || self.etag.is_none() {
                let told = format!("the answer broke off: {}", causes(&error));
                return Err(unavailable(&self.uri.to_string(), "GetObject", &told, None).into());
            }
            thread::sleep(full_jitter(self.fruitless));
            self.stream = self.ask()?.body;
        }
    }

    /// The answer from the next byte on.
    fn ask(&self) -> Result<GetObjectOutput, Problem> {
        let range = (self.next > 0 || self.last.is_some()).then(|| {
            let last = self.last.map_or_else(String::new, |last| last.to_string());
            format!("bytes={}-{last}", self.next)
        });
        let part = range.is_some();
        let call = self
            .client
            .get_object()
            .bucket(&self.uri.bucket)
            .key(&self.uri.key)
            .set_version_id(self.version.as_deref().map(str::to_owned))
            .set_if_match(self.etag.clone())
            .set_range(range);
        let answer = wait(&self.uri, "GetObject", call.send())?;
        let begins = format!("bytes {}-", self.next);
        // A store that knows no ranges answers with the whole.
        if part
            && !answer
                .content_range()
                .is_some_and(|range| range.starts_with(&begins))
        {
            let told = "the answer is not the part that was asked for";
            return Err(unavailable(&self.uri.to_string(), "GetObject", told, None));
        }
        Ok(answer)
    }

    fn late(&self) -> Problem {
        unavailable(
            &self.uri.to_string(),
            "GetObject",
            "no more of the answer within an hour",
            None,
        )
    }
}

impl Store {
    /// The content of an object as stored, or `range` of it in bytes (the last one included), if it still has the ETag
    /// `etag`.
    ///
    /// # Errors
    /// `OBJECT_NOT_FOUND`, `OBJECT_CHANGED`, `STORE_DENIED`, `STORE_UNAVAILABLE`
    pub fn get(&self, uri: &ObjectUri, etag: Option<&str>, range: Option<(u64, u64)>) -> Result<Body, Error> {
        let mut body = self.body(uri, etag, range);
        let answer = body.ask()?;
        body.etag = body.etag.or(answer.e_tag);
        body.stream = answer.body;
        Ok(body)
    }

    /// A body that nothing was asked for yet.
    fn body(&self, uri: &ObjectUri, etag: Option<&str>, range: Option<(u64, u64)>) -> Body {
        Body {
            client: self.client.clone(),
            uri: uri.clone(),
            etag: etag.map(str::to_owned),
            version: self.version().map(Into::into),
            next: range.map_or(0, |(first, _)| first),
            last: range.map(|(_, last)| last),
            stream: ByteStream::default(),
            fruitless: 0,
        }
    }

    /// The answer of S3 for an object with its first `length` bytes, in one request; `None` if it does not exist. An
    /// object that is empty, or archived, has no content.
    ///
    /// # Errors
    /// `STORE_DENIED`, `STORE_UNAVAILABLE`
    pub(super) fn open(&self, uri: &ObjectUri, length: u64) -> Result<Option<(Head, Option<Body>)>, Error> {
        let mut body = self.body(uri, None, Some((0, length - 1)));
        let mut answer = match body.ask() {
            Ok(answer) => answer,
            Err(problem) if problem.code == Code::ObjectNotFound => return Ok(None),
            // S3 has no range of nothing.
            Err(problem) => match self.head(uri) {
                Ok(Some(head)) if head.length == 0 || head.is_archived() => return Ok(Some((head, None))),
                Ok(None) => return Ok(None),
                _ => return Err(problem.into()),
            },
        };
        body.etag = answer.e_tag.clone();
        body.stream = std::mem::take(&mut answer.body);
        Ok(Some((Head::of(head_of(answer)), Some(body))))
    }

    /// A small object's content and ETag, as it is now; `None` where there is no such object.
    ///
    /// # Errors
    /// `too_large` for more than `limit` bytes; else as [`Store::get`].
    pub fn small(
        &self,
        uri: &ObjectUri,
        limit: usize,
        too_large: Code,
    ) -> Result<Option<(Vec<u8>, String)>, Error> {
        let mut body = match self.now().get(uri, None, None) {
            Err(error) if error.code() == Code::ObjectNotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        while let Some(piece) = body.next_piece()? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > limit {
                let what = format!("{} has more than {limit} bytes", excerpt(&uri.to_string()));
                return Err(Problem::new(too_large, what, "See what wrote it.").into());
            }
        }
        Ok(Some((bytes, body.etag.unwrap_or_default())))
    }
}

/// The part of an answer that is not content, as a request without content gets it.
fn head_of(answer: GetObjectOutput) -> HeadObjectOutput {
    let total = answer
        .content_range
        .as_deref()
        .and_then(|range| range.rsplit('/').next());
    let length = total
        .and_then(|total| total.parse().ok())
        .or(answer.content_length);
    HeadObjectOutput::builder()
        .set_content_length(length)
        .set_e_tag(answer.e_tag)
        .set_version_id(answer.version_id)
        .set_last_modified(answer.last_modified)
        .set_metadata(answer.metadata)
        .set_missing_meta(answer.missing_meta)
        .set_restore(answer.restore)
        .set_content_type(answer.content_type)
        .set_cache_control(answer.cache_control)
        .set_content_disposition(answer.content_disposition)
        .set_content_encoding(answer.content_encoding)
        .set_content_language(answer.content_language)
        .set_expires_string(answer.expires_string)
        .set_website_redirect_location(answer.website_redirect_location)
        .set_storage_class(answer.storage_class)
        .set_server_side_encryption(answer.server_side_encryption)
        .set_ssekms_key_id(answer.ssekms_key_id)
        .set_bucket_key_enabled(answer.bucket_key_enabled)
        .set_object_lock_mode(answer.object_lock_mode)
        .set_object_lock_retain_until_date(answer.object_lock_retain_until_date)
        .set_object_lock_legal_hold_status(answer.object_lock_legal_hold_status)
        .set_tag_count(answer.tag_count)
        .build()
}
