//! Objects that get other metadata and keep everything else: S3 copies them onto themselves, and no byte of content
//! moves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MetadataDirective};

use super::calls::wait;
use super::keep::{changed, first_problem};
use super::store::{Head, ObjectUri, Store};
use super::work::{work_on, InOrder, Pace};
use emrkeys_core::aws::{kept_of, Acl};
use emrkeys_core::envelope::{Metadata, INSTRUCTION_MARK};
use emrkeys_core::uri::percent_encode;
use emrkeys_core::{Code, Error, Problem};

/// The largest object that one request copies. Source: Amazon S3 API Reference, `CopyObject`.
pub(super) const MAX_COPY: u64 = 5 * 1024 * 1024 * 1024;
/// Bytes of one part of a larger copy, unless there would be too many of them: so few that an object slightly above
/// [`MAX_COPY`] has parts for all threads.
const PART: u64 = 256 * 1024 * 1024;
/// The smallest part that S3 takes, the last one aside. Source: Amazon S3 User Guide, "Multipart upload limits".
const MIN_PART: u64 = 5 * 1024 * 1024;
/// Parts of one object that S3 copies at the same time. A copy costs this machine no more than a connection.
const PARTS_AT_ONCE: usize = 8;
/// The most parts of one object. Source: Amazon S3 User Guide, "Multipart upload limits".
const MAX_PARTS: u64 = 10_000;

/// The most that the clock of this machine and that of S3 differ. Source: Amazon S3 API Reference,
/// `RequestTimeTooSkewed`.
const CLOCKS_DIFFER: Duration = Duration::from_secs(15 * 60);

/// The answer of S3 for an object that it has just written.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    /// Where the bucket has versions.
    version: Option<String>,
    /// When, in whole seconds; not said of copies in parts.
    modified: Option<i64>,
}

impl Written {
    /// Whether `now` is the object that was written in the place of `before` with this user metadata, and nobody
    /// changed it since.
    pub(super) fn is(&self, before: &Head, metadata: &Metadata, now: &Head) -> bool {
        let same_write = match &self.version {
            Some(version) => now.version_id() == Some(version),
            None => self.modified.is_none() || self.modified == seconds(&now.raw),
        };
        same_write
            && now.length == before.length
            && now.metadata == *metadata
            && kept_of(&now.raw) == kept_of(&before.raw)
    }
}

fn seconds(head: &HeadObjectOutput) -> Option<i64> {
    head.last_modified().map(DateTime::secs)
}

impl Head {
    /// Whether every later write has a later time: S3 knows the second in which an object was written, and no more.
    /// Longer ago than clocks differ, or S3 would not take a request that this one signs.
    fn is_settled(&self) -> bool {
        let modified = self.modified.and_then(|modified| modified.elapsed().ok());
        modified.is_some_and(|age| age > CLOCKS_DIFFER)
    }
}

impl Store {
    /// Replaces the user metadata of an object, if it is still the one of `head`, and gives it an access control list,
    /// which S3 never copies. Readers see the old object or the new one.
    ///
    /// The copy is on the condition that nothing was written since, if the time of the object shows that, else that
    /// the content is the same. A write while S3 copies counts by its ETag alone: a change of metadata at that moment
    /// is lost in a bucket without versions.
    ///
    /// # Errors
    /// `OBJECT_CHANGED` where somebody else wrote it; `STORE_DENIED`, `STORE_UNAVAILABLE`.
    pub(super) fn replace_metadata(
        &self,
        uri: &ObjectUri,
        head: &Head,
        metadata: &Metadata,
        acl: &Acl,
        multipart_above: u64,
    ) -> Result<Written, Problem> {
        if head.length > multipart_above {
            let part = part_size(head.length, multipart_above);
            return self.replace_in_parts(uri, head, metadata, acl, part);
        }
        self.expect(uri, head)?;
        let (since, etag) = conditions(head);
        let (there, absent) = self.destination(uri, head)?;
        let call = self
            .client
            .copy_object()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .copy_source(self.source(uri))
            .set_copy_source_if_unmodified_since(since)
            .set_copy_source_if_match(etag)
            // Where the source is the destination, it may be written between the two looks at it.
            .set_if_match(there)
            .set_if_none_match(absent)
            .metadata_directive(MetadataDirective::Replace)
            .set_metadata(Some(metadata.clone().into_iter().collect()));
        let copied = wait(uri, "CopyObject", head.kept(acl).on_copy(call).send())?;
        if let (Some(seen), Some(taken)) = (head.version_id(), copied.copy_source_version_id()) {
            if seen != taken {
                return Err(Problem::new(
                    Code::ObjectChanged,
                    format!(
                        "{uri} was written by somebody else at the same moment: what they wrote is version {taken}, \
                         and the version that stands now has the metadata of the one before, {seen}"
                    ),
                    "Copy the metadata of that version, if it matters.",
                ));
            }
        }
        Ok(Written {
            version: copied.version_id().map(str::to_owned),
            modified: copied
                .copy_object_result()
                .and_then(|result| result.last_modified().map(DateTime::secs)),
        })
    }

    /// Copies an object onto itself, with the metadata that it has: what re-wrapping costs at least. For measurements.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn copy_in_place(&self, uri: &ObjectUri) -> Result<(), Error> {
        let head = self.head(uri)?.ok_or_else(|| changed(uri))?;
        let metadata = head.metadata.clone();
        self.replace_metadata(uri, &head, &metadata, &Acl::default(), MAX_COPY)?;
        Ok(())
    }

    /// Looks once more at an object whose time proves nothing yet.
    fn expect(&self, uri: &ObjectUri, head: &Head) -> Result<(), Problem> {
        if head.is_settled() {
            return Ok(());
        }
        match self.head(uri).map_err(first_problem)? {
            Some(now) if head.is_still(&now) => Ok(()),
            _ => Err(changed(uri)),
        }
    }

    fn replace_in_parts(
        &self,
        uri: &ObjectUri,
        head: &Head,
        metadata: &Metadata,
        acl: &Acl,
        part: u64,
    ) -> Result<Written, Problem> {
        // The answer of S3 has the number of tags only for callers who may read them: a request must ask for the tags.
        let tags = self.tags(uri)?;
        let call = self
            .client
            .create_multipart_upload()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .set_tagging(Some(tags.clone()).filter(|tags| !tags.is_empty()))
            .set_metadata(Some(metadata.clone().into_iter().collect()));
        let call = head.kept(acl).on_upload(call);
        let upload = wait(uri, "CreateMultipartUpload", call.send())?;
        let id = upload.upload_id().unwrap_or_default().to_owned();
        self.copy_and_complete(uri, head, &id, &tags, part)
            .inspect_err(|_| {
                let call = self
                    .client
                    .abort_multipart_upload()
                    .bucket(&uri.bucket)
                    .key(&uri.key);
                // The bucket's lifecycle rules remove an upload that cannot even be aborted.
                let _ = wait(uri, "AbortMultipartUpload", call.upload_id(&id).send());
            })
    }

    fn copy_and_complete(
        &self,
        uri: &ObjectUri,
        head: &Head,
        id: &str,
        tags: &str,
        part: u64,
    ) -> Result<Written, Problem> {
        let (there, absent) = self.destination(uri, head)?;
        let parts = self.copy_parts(uri, head, id, part)?;
        // The parts took their time, and metadata and tags were said before them.
        let now = self.head(uri).map_err(first_problem)?;
        if !now.is_some_and(|now| head.is_still(&now)) || self.tags(uri)? != tags {
            return Err(changed(uri));
        }
        let call = self
            .client
            .complete_multipart_upload()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .upload_id(id)
            .set_if_match(there)
            .set_if_none_match(absent)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
        let done = wait(uri, "CompleteMultipartUpload", call.send())?;
        Ok(Written {
            version: done.version_id().map(str::to_owned),
            modified: None,
        })
    }

    /// The object as the header of a copy names it, with its version if one was asked for.
    fn source(&self, uri: &ObjectUri) -> String {
        let version = self.version().map_or_else(String::new, |version| {
            format!("?versionId={}", percent_encode(version))
        });
        format!("{}/{}{version}", uri.bucket, percent_encode(&uri.key))
    }

    /// The conditions on what the copy replaces (`If-Match`, `If-None-Match`): the object of `head`, or for an older
    /// version whatever is current by now, which may be nothing.
    fn destination(&self, uri: &ObjectUri, head: &Head) -> Result<(Option<String>, Option<String>), Problem> {
        if self.version().is_none() {
            return Ok((Some(head.etag.clone()), None));
        }
        Ok(match self.now().head(uri).map_err(first_problem)? {
            Some(current) => (Some(current.etag), None),
            None => (None, Some("*".to_owned())),
        })
    }

    /// Has S3 copy the parts of an upload from the object itself, several at once, and gives them in their order.
    fn copy_parts(
        &self,
        uri: &ObjectUri,
        head: &Head,
        id: &str,
        part: u64,
    ) -> Result<Vec<CompletedPart>, Problem> {
        let (since, etag) = conditions(head);
        let copy = |&(number, start): &(i32, u64)| {
            let end = head.length.min(start + part);
            let call = self
                .client
                .upload_part_copy()
                .bucket(&uri.bucket)
                .key(&uri.key)
                .upload_id(id)
                .part_number(number)
                .copy_source(self.source(uri))
                .set_copy_source_if_unmodified_since(since)
                .set_copy_source_if_match(etag.clone())
                .copy_source_range(format!("bytes={start}-{}", end - 1));
            wait(uri, "UploadPartCopy", call.send()).map(|copied| {
                let etag = copied.copy_part_result.and_then(|part| part.e_tag);
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(etag)
                    .build()
            })
        };
        let numbers = 1..=i32::try_from(head.length.div_ceil(part)).unwrap_or(i32::MAX); // at most MAX_PARTS
        let starts = (0..).map(|number| number * part);
        let pace = Pace {
            jobs: PARTS_AT_ONCE.min(usize::try_from(*numbers.end()).unwrap_or(1)),
            per_second: None,
        };
        let stop = AtomicBool::new(false);
        let (mut order, mut parts, mut failed) = (InOrder::default(), Vec::new(), None);
        work_on(
            numbers.zip(starts).map(Ok),
            pace,
            &stop,
            copy,
            |number, _, result| match result {
                Ok(part) => parts.extend(order.put(number, part)),
                Err(problem) => {
                    stop.store(true, Ordering::Relaxed);
                    failed = failed.take().or(Some(problem));
                }
            },
        )
        .map_err(first_problem)?;
        failed.map_or(Ok(parts), Err)
    }

    /// Replaces the content of an instruction file, if it is still the one of `head`. Its own metadata and tags stay,
    /// and it gets an access control list.
    ///
    /// # Errors
    /// As [`Store::replace_metadata`].
    pub(super) fn replace_instruction(
        &self,
        uri: &ObjectUri,
        head: &Head,
        content: Vec<u8>,
        acl: &Acl,
    ) -> Result<(), Problem> {
        self.put_in_place(uri, head, content, acl, Some(INSTRUCTION_MARK))
    }

    /// Replaces the content of a small object, if it is still the one of `head`. Its own metadata and tags stay, and it
    /// gets an access control list.
    ///
    /// # Errors
    /// As [`Store::replace_metadata`].
    pub(super) fn replace_small(
        &self,
        uri: &ObjectUri,
        head: &Head,
        content: Vec<u8>,
        acl: &Acl,
    ) -> Result<(), Problem> {
        self.put_in_place(uri, head, content, acl, None)
    }

    /// `mark` is a name that its metadata is to have.
    fn put_in_place(
        &self,
        uri: &ObjectUri,
        head: &Head,
        content: Vec<u8>,
        acl: &Acl,
        mark: Option<&str>,
    ) -> Result<(), Problem> {
        let mut metadata = head.metadata.clone();
        if let Some(mark) = mark {
            metadata.entry(mark.to_owned()).or_default();
        }
        let call = self
            .client
            .put_object()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .if_match(&head.etag)
            .set_metadata(Some(metadata.into_iter().collect()))
            .set_tagging(Some(self.tags(uri)?).filter(|tags| !tags.is_empty()))
            .body(ByteStream::from(content));
        wait(uri, "PutObject", head.kept(acl).on_put(call).send()).map(|_| ())
    }
}

/// The conditions on the source of a copy: not written since, if its time shows that, else of this content. S3 does not
/// look at the time if a condition names the ETag and it matches.
fn conditions(head: &Head) -> (Option<DateTime>, Option<String>) {
    if head.is_settled() {
        (head.raw.last_modified().copied(), None)
    } else {
        (None, Some(head.etag.clone()))
    }
}

/// Bytes of each part of an object of `length` bytes, which is copied in parts because that is above
/// `multipart_above`.
fn part_size(length: u64, multipart_above: u64) -> u64 {
    PART.min(multipart_above)
        .max(MIN_PART)
        .max(length.div_ceil(MAX_PARTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_object_has_no_more_parts_than_s3_takes_and_none_is_too_small() {
        const TIB: u64 = 1 << 40;
        assert_eq!(part_size(MAX_COPY + 1, MAX_COPY), PART);
        assert_eq!(part_size(100, 1), MIN_PART);
        // Source of the limit: Amazon S3 User Guide, "Multipart upload limits".
        for length in [5 * TIB, 48 * TIB] {
            let part = part_size(length, MAX_COPY);
            assert!(length.div_ceil(part) <= MAX_PARTS && part <= MAX_COPY, "{part}");
        }
    }
}
