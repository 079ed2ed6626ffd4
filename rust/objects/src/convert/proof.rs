//! The proof that a new object is what was sent, and the way back to the version before if it is not.
//!
//! S3 refuses a write whose bytes do not have the SHA-256 that it is sent with, so that its answer proves the object
//! before it is in its place. A store that confirms no checksum, and an answer that was lost, prove nothing: the new
//! object is read again, which can only be done once it is there.

use bytes::Bytes;
use emrkeys_core::envelope::Envelope;
use emrkeys_core::{shell_word, Code, Error, Problem, Provider};
use emrkeys_crypto::digest::Sha256;

use super::replace::{are_confirmed, Sent, Written};
use super::turn::Turner;
use super::{Convert, Found, Job, Outcome};
use crate::calls::wait;
use crate::data_key::DataKey;
use crate::keep::first_problem;
use crate::standing::Skipped;
use crate::store::{Head, ObjectUri, Store};

/// A new object, as S3 answered for it.
pub(super) struct NewObject<'a> {
    pub(super) before: &'a Head,
    pub(super) sent: &'a [Sent],
    pub(super) written: &'a Written,
    /// `None` in the clear.
    pub(super) key: Option<(&'a DataKey, &'a Envelope)>,
    /// The problem that came in place of S3's answer.
    pub(super) lost: Option<Problem>,
}

impl Convert {
    /// Shows that the new object is what was sent; gives by what.
    ///
    /// # Errors
    /// `OBJECT_CHANGED`, `OBJECT_NOT_FOUND` where somebody else wrote or deleted since. After `REPLACEMENT_NOT_PROVEN`
    /// it is not certain that the object is whole; after any other the version before is in its place again.
    pub(super) fn prove_new(&self, job: &Job<'_>, new: NewObject<'_>) -> Result<&'static str, Error> {
        if are_confirmed(new.sent) && new.lost.is_none() && !self.second_read {
            return Ok("checksum");
        }
        let compared = job.store.compare(job.uri, &new.written.etag, new.sent, new.key);
        match compared.map_err(first_problem) {
            Ok(()) => Ok("second read"),
            Err(problem) if matches!(problem.code, Code::ObjectChanged | Code::ObjectNotFound) => {
                Err(problem.into())
            }
            Err(problem) => Err(put_back(job, &new, problem).into()),
        }
    }

    /// The outcome for an object that is as it should be, `key` its data key if that is known by now: left alone, after
    /// it was read whole where an earlier run may have ended before it did so.
    ///
    /// # Errors
    /// `OBJECT_DAMAGED`; those of reading it.
    pub(super) fn current(
        &self,
        provider: &Provider,
        store: &Store,
        uri: &ObjectUri,
        found: &Found,
        key: Option<DataKey>,
    ) -> Result<Outcome, Error> {
        let to_read = (self.second_read || self.doubted) && !self.dry_run;
        if let Some((envelope, _)) = found.envelope.as_ref().filter(|_| to_read) {
            if found.head.is_archived() {
                return Ok(Outcome::Skipped(Skipped::Archived));
            }
            let key = key.map_or_else(|| self.unwrap(provider, envelope), Ok)?;
            store.read_through(uri, &found.head, (&key, envelope))?;
        }
        Ok(Outcome::Skipped(Skipped::Current))
    }
}

/// Puts the version before in the place of an object that is not proven, by deleting the new version. Gives the error.
fn put_back(job: &Job<'_>, new: &NewObject<'_>, cause: Problem) -> Problem {
    let uri = job.uri;
    // In the clear, an answer that was lost leaves open whose version it is; the one without a name may be anybody's.
    let is_ours = new.key.is_some() || new.lost.is_none();
    let version = new
        .written
        .version
        .as_deref()
        .filter(|version| *version != "null");
    let Some(old) = new.written.old_version(new.before) else {
        return not_proven(
            uri,
            &cause,
            "the bucket keeps no version of it as it was",
            "Convert it once more with --second-read, which reads it whole. If it is damaged, restore it from a copy.",
        );
    };
    match version.filter(|_| is_ours) {
        Some(version) if job.store.delete_version(uri, version).is_ok() => Problem {
            message: format!("{}; the object as it was, version {old}, is in its place again", cause.message),
            ..cause
        },
        _ => not_proven(
            uri,
            &cause,
            &format!("the object as it was is version {old}"),
            &format!(
                "Delete that version, so that the one before is in its place again: `aws s3api delete-object --bucket \
                 {} --key {} --version-id {}`. Or convert the object once more with --second-read, which reads it \
                 whole.",
                uri.bucket,
                shell_word(&uri.key),
                shell_word(new.written.version.as_deref().unwrap_or("null"))
            ),
        ),
    }
}

fn not_proven(uri: &ObjectUri, cause: &Problem, old: &str, remedy: &str) -> Problem {
    Problem::new(
        Code::ReplacementNotProven,
        format!(
            "{uri} was replaced, and nothing shows that it is what was sent ({}); {old}",
            cause.message
        ),
        remedy,
    )
}

/// S3 answered neither the write nor the question for what is there now.
pub(super) fn unanswered(uri: &ObjectUri, before: &Head, cause: &Problem) -> Problem {
    let old = match before.version_id() {
        None => "as it was it has no version".to_owned(),
        Some(version) => format!("as it was it is version {version}"),
    };
    Problem::new(
        Code::ReplacementNotProven,
        format!(
            "it is not known whether {uri} was replaced ({}); {old}",
            cause.message
        ),
        "Convert it once more with --second-read, which reads it whole if it was replaced.",
    )
}

/// An object in the clear that an earlier run did not show to be what it sent.
pub(super) fn still_doubted(uri: &ObjectUri) -> Problem {
    Problem::new(
        Code::ReplacementNotProven,
        format!("an earlier run put {uri} in the clear, and nothing shows that it is what was sent"),
        "Compare it with a copy or an older version, then remove the checkpoint.",
    )
}

impl Store {
    /// Deletes one version of an object for ever.
    fn delete_version(&self, uri: &ObjectUri, version: &str) -> Result<(), Problem> {
        let call = self.client.delete_object().bucket(&uri.bucket).key(&uri.key);
        wait(uri, "DeleteObject", call.version_id(version).send()).map(drop)
    }

    /// Reads an object whole and verifies it by its tag.
    ///
    /// # Errors
    /// `OBJECT_DAMAGED`, `OBJECT_CHANGED`; those of S3.
    fn read_through(&self, uri: &ObjectUri, head: &Head, key: (&DataKey, &Envelope)) -> Result<(), Error> {
        let mut turner = Turner::new(Some(key), None)?;
        let mut body = self.get(uri, Some(&head.etag), None)?;
        while let Some(piece) = body.next_piece()? {
            turner.turn(piece.to_vec(), false)?;
        }
        turner.turn(Vec::new(), true)?;
        Ok(())
    }

    /// Reads the new object and compares it with what was sent, by the digests of its pieces; and opens it, if it is
    /// encrypted, with what is stored with it.
    ///
    /// # Errors
    /// `OBJECT_DAMAGED` where it is not what was sent; `OBJECT_CHANGED` where somebody else wrote since.
    fn compare(
        &self,
        uri: &ObjectUri,
        etag: &str,
        sent: &[Sent],
        key: Option<(&DataKey, &Envelope)>,
    ) -> Result<(), Error> {
        let differs = || {
            Problem::new(
                Code::ObjectDamaged,
                format!("{uri} is not as it was sent to S3"),
                "See what is between this machine and S3.",
            )
        };
        let mut turner = Turner::new(key, None)?;
        let mut body = self.get(uri, Some(etag), None)?;
        let mut left = Bytes::new();
        for sent in sent {
            let mut digest = Sha256::default();
            let mut missing = sent.length;
            while missing > 0 {
                if left.is_empty() {
                    left = body.next_piece()?.ok_or_else(differs)?;
                    continue;
                }
                let some = left.split_to(left.len().min(usize::try_from(missing).unwrap_or(usize::MAX)));
                missing -= some.len() as u64;
                digest.update(&some);
                turner.turn(some.to_vec(), false)?;
            }
            if digest.finish() != sent.digest {
                return Err(differs().into());
            }
        }
        if !left.is_empty() || body.next_piece()?.is_some() {
            return Err(differs().into());
        }
        turner.turn(Vec::new(), true)?;
        Ok(())
    }
}
