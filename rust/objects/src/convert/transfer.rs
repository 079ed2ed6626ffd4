//! The content of one object on its way: read, verified, encrypted, put in its place.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use emrkeys_core::aws::Acl;
use emrkeys_core::envelope::{note_length, Content, Envelope, Metadata};
use emrkeys_core::{Code, Error, Problem};
use emrkeys_crypto::gcm::MAX_MESSAGE;

use super::outcome::{Conversion, Stored};
use super::plan::piece_of;
use super::proof::{unanswered, NewObject};
use super::pump::{pump, IN_MEMORY};
use super::replace::{Replacement, Sent, Written};
use super::turn::Turner;
use super::{too_large, Convert, Found, Job, PIECE};
use crate::body::Body;
use crate::content::{Sealer, TAG_BYTES};
use crate::data_key::{unwrap_data_key, DataKey};
use crate::prove::prove;
use crate::seal::seal_under;
use crate::standing::{check_size, is_doubtful, same};
use crate::store::{Head, ObjectUri, Place, Store};

/// Bytes by which a piece may grow.
const GROWTH: u64 = 3 * TAG_BYTES as u64;
/// After so long an object of one piece is looked at once more before it is replaced: metadata and tags have no part in
/// the ETag.
const LONG: Duration = Duration::from_secs(1);

/// The new envelope with its data key, both of which the new object proves by; `None` in the clear.
type New = Option<(DataKey, Envelope)>;

impl Convert {
    /// Replaces the object.
    pub(super) fn replace(&self, job: &Job<'_>, found: Found) -> Result<Conversion, Error> {
        let began = Instant::now();
        let length = found.head.length;
        let is_large = length > PIECE;
        let need = if is_large {
            IN_MEMORY * (piece_of(length) + GROWTH)
        } else {
            length + GROWTH
        };
        let _room = super::ROOM.take(need);
        let mut expected = self.expected(job, &found.head, is_large)?;
        let (new, sealer) = self.seal(job)?;
        let envelope = new.as_ref().map(|(_, envelope)| envelope);
        let old = job.old.as_ref().map(|(key, envelope, _)| (key, envelope));
        let mut turner = Turner::new(old, sealer)?;
        let (head, body) = (found.head, found.body);
        let metadata = |length| {
            let metadata = metadata_of(&head, envelope, length);
            check_size(&metadata).map(|()| metadata)
        };
        // As large as it can become, so that nothing is read in vain.
        let foreseen = metadata(expected.unwrap_or(length))?;
        let (sent, written, acl_noted, metadata) = if is_large {
            let metadata = foreseen;
            let (tags, acl, noted) = job.properties()?;
            let replacement = replacement(job, &head, &metadata, &tags, &acl);
            let (sent, written) = self.in_parts(job, &replacement, body, &mut turner, expected)?;
            (sent, written, noted, metadata)
        } else {
            let content = match body {
                Some(mut body) => read_exactly(&mut body, length)?,
                None => read(job.store, job.uri, &head, 0, length)?,
            };
            let content = turner.turn(content, true)?;
            expected = expected.or(Some(turner.plaintext));
            turner.expect(expected.unwrap_or_default())?;
            let metadata = metadata(turner.plaintext)?;
            // As late as can be: who changes the tags before is not overwritten.
            let (tags, acl, noted) = job.properties()?;
            let replacement = replacement(job, &head, &metadata, &tags, &acl);
            if began.elapsed() > LONG {
                job.store.expect_still(&replacement)?;
            }
            let (sent, written) = job.store.replace_whole(&replacement, content);
            (sent, written, noted, metadata)
        };
        let (written, lost) = settle(job, &head, &metadata, written)?;
        let key = new.as_ref().map(|(key, envelope)| (key, envelope));
        let compared = self.prove_new(
            job,
            NewObject {
                before: &head,
                sent: &sent,
                written: &written,
                key,
                lost,
            },
        )?;
        let replaced = Replaced {
            length: sent.iter().map(|sent| sent.length).sum(),
            written,
            compared,
            notes: acl_noted.into_iter().chain(clean_up(job)).collect(),
        };
        Ok(conversion(job, &head, envelope, turner.plaintext, replaced))
    }

    /// The length of the plaintext, as far as it is known before all of it was decrypted. Of large objects in AES-CBC
    /// their end shows it, and a wrong key.
    ///
    /// # Errors
    /// `INVALID_ENVELOPE` for a noted length that cannot be; `CONTENT_UNSUPPORTED`; as [`prove`].
    pub(super) fn expected(&self, job: &Job<'_>, head: &Head, is_large: bool) -> Result<Option<u64>, Error> {
        let length = match &job.old {
            None => Some(head.length),
            Some((key, envelope, _)) if is_large || envelope.content != Content::Cbc => {
                Some(prove(job.store, job.uri, head, envelope, key)?)
            }
            Some((_, envelope, _)) => envelope.noted_length(&head.metadata, head.length)?,
        };
        match length.filter(|length| job.materials.is_some() && *length > MAX_MESSAGE) {
            Some(length) => Err(too_large(length).into()),
            None => Ok(length),
        }
    }

    /// A fresh data key with its envelope. A fault of it is better found before it is stored.
    fn seal(&self, job: &Job<'_>) -> Result<(New, Option<Sealer>), Error> {
        let (Some(materials), Some(content)) = (job.materials.clone(), self.form.content()) else {
            return Ok((None, None));
        };
        let (key, sealer, envelope) = seal_under(materials, content)?;
        same(&unwrap_data_key(job.provider, &envelope)?, &key)?;
        Ok((Some((key, envelope)), Some(sealer)))
    }

    /// A large object: nothing of it is in its place until all of it proved whole.
    fn in_parts(
        &self,
        job: &Job<'_>,
        replacement: &Replacement<'_>,
        body: Option<Body>,
        turner: &mut Turner,
        expected: Option<u64>,
    ) -> Result<(Vec<Sent>, Result<Written, Problem>), Error> {
        let head = replacement.head;
        let piece = piece_of(head.length);
        let count = usize::try_from(head.length.div_ceil(piece)).unwrap_or(usize::MAX);
        let id = job.store.begin_replacement(replacement)?;
        // The first piece is under way, unless pieces are larger.
        let first = Mutex::new(body.filter(|_| piece == PIECE));
        let sent = pump(
            count,
            |index| {
                let under_way =
                    (index == 0).then(|| first.lock().unwrap_or_else(PoisonError::into_inner).take());
                let start = index as u64 * piece;
                match under_way.flatten() {
                    Some(mut body) => read_exactly(&mut body, piece),
                    None => read(job.store, job.uri, head, start, piece.min(head.length - start)),
                }
            },
            |index, content| turner.turn(content, index + 1 == count),
            |index, content| job.store.replacement_part(job.uri, &id, index, content),
        );
        let written = sent.and_then(|sent| {
            turner.expect(expected.unwrap_or(turner.plaintext))?;
            let written = job.store.complete_replacement(replacement, &id, &sent);
            Ok((sent, written))
        });
        if !matches!(written, Ok((_, Ok(_)))) {
            // Where the answer was lost there is nothing to abort any more.
            job.store.abort_replacement(job.uri, &id);
        }
        written
    }
}

impl Job<'_> {
    /// Tags and access control list, and a note where the latter may not be read.
    pub(super) fn properties(&self) -> Result<(String, Acl, Option<&'static str>), Error> {
        let tags = self.store.tags(self.uri)?;
        let (acl, noted) = self.store.acl(self.uri, self.settings)?;
        Ok((tags, acl, noted))
    }
}

/// An answer may be lost although the object was replaced. A new envelope shows that it is there; in the clear the
/// content will. Gives too what went wrong, where the answer was lost.
fn settle(
    job: &Job<'_>,
    before: &Head,
    metadata: &Metadata,
    written: Result<Written, Problem>,
) -> Result<(Written, Option<Problem>), Error> {
    let problem = match written {
        Ok(written) => return Ok((written, None)),
        Err(problem) => problem,
    };
    if is_doubtful(problem.code) {
        let now = job.store.head(job.uri);
        let now = now.map_err(|_| unanswered(job.uri, before, &problem))?;
        if let Some(head) = now.filter(|head| head.metadata == *metadata) {
            let version = head.version_id().map(str::to_owned);
            let etag = head.etag;
            return Ok((Written { etag, version }, Some(problem)));
        }
    }
    Err(problem.into())
}

/// Removes the instruction file of an object that has its envelope in its metadata now.
fn clean_up(job: &Job<'_>) -> Option<&'static str> {
    let Some((_, _, Place::InstructionFile { etag })) = &job.old else {
        return None;
    };
    let gone = job.store.delete_if(&job.store.instruction_of(job.uri), etag);
    gone.is_err().then_some("instruction-file-left")
}

fn replacement<'a>(
    job: &Job<'a>,
    head: &'a Head,
    metadata: &'a Metadata,
    tags: &'a str,
    acl: &'a Acl,
) -> Replacement<'a> {
    Replacement {
        uri: job.uri,
        head,
        metadata,
        tags,
        acl,
    }
}

/// The user metadata of the new object, with the length of its plaintext where it is encrypted.
fn metadata_of(head: &Head, envelope: Option<&Envelope>, length: u64) -> Metadata {
    let mut metadata = Envelope::strip(&head.metadata);
    if let Some(envelope) = envelope {
        metadata.extend(envelope.to_metadata());
        note_length(&mut metadata, length);
    }
    metadata
}

/// An object that took the place of another.
struct Replaced {
    /// Bytes as stored.
    length: u64,
    written: Written,
    compared: &'static str,
    notes: Vec<&'static str>,
}

fn conversion(
    job: &Job<'_>,
    head: &Head,
    envelope: Option<&Envelope>,
    plaintext: u64,
    replaced: Replaced,
) -> Conversion {
    let old = job.old.as_ref().map(|(_, envelope, _)| envelope);
    let old_version = replaced.written.old_version(head);
    let version = replaced.written.version.filter(|version| version != "null");
    Conversion {
        bytes: plaintext,
        verified: match old {
            None => "nothing",
            Some(envelope) if envelope.content != Content::Cbc => "tag",
            Some(envelope) => match envelope.noted_length(&head.metadata, head.length) {
                Ok(Some(_)) => "padding and length",
                _ => "padding",
            },
        },
        compared: replaced.compared,
        old_version,
        before: Stored::found(head, old),
        after: Stored {
            format: super::outcome::format_name(envelope),
            key: envelope.map_or_else(String::new, crate::standing::named),
            length: replaced.length,
            etag: replaced.written.etag,
            version,
        },
        notes: replaced.notes,
    }
}

fn read(store: &Store, uri: &ObjectUri, head: &Head, start: u64, length: u64) -> Result<Vec<u8>, Error> {
    if length == 0 {
        return Ok(Vec::with_capacity(2 * TAG_BYTES));
    }
    let mut body = store.get(uri, Some(&head.etag), Some((start, start + length - 1)))?;
    read_exactly(&mut body, length)
}

/// So many bytes, with room for those that a turn adds.
fn read_exactly(body: &mut Body, length: u64) -> Result<Vec<u8>, Error> {
    let wrong = || {
        Problem::new(
            Code::StoreUnavailable,
            "S3 answered with fewer or more bytes than the object has",
            "Try again.",
        )
    };
    let length = usize::try_from(length).map_err(|_| wrong())?;
    let mut content = Vec::with_capacity(length + GROWTH as usize);
    while let Some(piece) = body.next_piece()? {
        if piece.len() > length - content.len() {
            return Err(wrong().into());
        }
        content.extend_from_slice(&piece);
    }
    if content.len() < length {
        return Err(wrong().into());
    }
    Ok(content)
}
