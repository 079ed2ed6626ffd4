//! Objects that move to another key, or to the newest version of theirs: the data key is unwrapped and wrapped again,
//! and the content stays where it is.
//!
//! An object is readable at every moment: its metadata changes with one request of S3's, which replaces the object as a
//! whole or not at all, and so does an instruction file. A write by somebody else in the meantime wins.

use std::collections::BTreeSet;

use serde_json::json;

use super::bucket::Buckets;
use super::copy::{Written, MAX_COPY};
use super::data_key::{materials_to_wrap, unwrap_data_key, wrap, Generation};
use super::keep::changed;
use super::parquet::is_key_material;
use super::prove::{prove, Doubts};
use super::standing::{
    check_size, is_current, is_current_in_kms, is_doubtful, key_of, may_move, named, same, Skipped, Target,
};
use super::store::{Found, Head, ObjectUri, Place, Store};
use emrkeys_core::aws::is_kms_alias;
use emrkeys_core::envelope::{Content, Envelope, Format, Metadata, INSTRUCTION_MARK};
use emrkeys_core::{excerpt, Code, Error, Problem};
use emrkeys_core::{MaterialKey, Provider, Request};

/// The work to do on objects.
#[derive(Clone, Debug)]
pub struct Rewrap {
    /// The key that is to wrap.
    pub target: Target,
    /// Names of keys whose objects are moved though the rules do not give these keys at their place.
    pub from: BTreeSet<String>,
    /// Whether wraps of the SDK v1's first client become those of its second, which S3A reads by default, and releases
    /// of the SDK v1 before 1.11.838 do not read. Content in AES-CBC keeps its wrap.
    pub upgrade_wrap: bool,
    /// Work everything out and change nothing.
    pub dry_run: bool,
    /// Objects of more bytes are copied in parts; at most 5 GiB, which S3 copies at once.
    pub multipart_above: u64,
    /// The keys that did not open objects so far; clones of this share it.
    pub doubts: Doubts,
    /// The settings of buckets so far; clones of this share them.
    pub buckets: Buckets,
}

/// Why nothing is done with an object that no S3 encryption client wrote.
fn unencrypted(uri: &ObjectUri) -> Skipped {
    if is_key_material(&uri.key) {
        Skipped::KeyMaterial
    } else {
        Skipped::Plaintext
    }
}

impl Rewrap {
    /// To that key, each wrap staying of its generation, and of objects under keys of their place alone.
    pub fn to(target: Target) -> Rewrap {
        Rewrap {
            target,
            from: BTreeSet::new(),
            upgrade_wrap: false,
            dry_run: false,
            multipart_above: MAX_COPY,
            doubts: Doubts::default(),
            buckets: Buckets::default(),
        }
    }
}

/// The outcome for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its data key is wrapped anew.
    Rewrapped {
        /// Key and version before, as the description says.
        from: String,
        /// Key and version now.
        to: String,
        /// Things that could not be kept: `acl-unreadable`.
        notes: Vec<&'static str>,
    },
    /// Its data key would be wrapped anew, were this not a dry run.
    Planned {
        /// Key and version now, as the description says.
        from: String,
        /// Key and version that it would get.
        to: String,
    },
    /// Nothing was done: its key is not one that the rules give at its place. A user who may write there may have
    /// copied it from elsewhere, to have it given to the holders of the key.
    OtherKey {
        /// Key and version, as the description says.
        key: String,
    },
    /// Nothing was done.
    Skipped(Skipped),
}

impl Rewrap {
    /// The keys and versions that wrap now what is at `place` or below it, in words: two runs to the same bring objects
    /// to the same. Blocks where a key service is asked.
    ///
    /// # Errors
    /// `KEY_NOT_CONFIGURED` for a key to move to or from that is not there; those of a write under the key.
    pub fn target(&self, provider: &Provider, place: &ObjectUri) -> Result<String, Error> {
        self.target.now(&self.from, provider, place)
    }

    /// Moves one object. Blocks; any number of threads may be at work. Where somebody else writes the object at the
    /// same moment, it is that object which is moved. Of a store at a version, that version is copied under the new
    /// key, and the copy becomes the current version.
    ///
    /// # Errors
    /// Those of reading the object's data key (see [`unwrap_data_key`]) and of writing under the key; `OBJECT_DAMAGED`
    /// where the data key does not open the content, `DATA_KEY_NOT_PROVEN` where that cannot be known; `OBJECT_CHANGED`
    /// where somebody else wrote the object twice in the meantime, `DESCRIPTION_TOO_LARGE` where the new envelope does
    /// not fit into the metadata; those of S3. After any of them the object is as it was or as it should be, or
    /// somebody else's.
    pub fn object(&self, provider: &Provider, store: &Store, uri: &ObjectUri) -> Result<Outcome, Error> {
        let mut written = None;
        match self.try_object(provider, store, uri, &mut written) {
            // The copy of an older version is made once: a second one would replace what came since.
            Err(error) if error.code() == Code::ObjectChanged && store.version().is_none() => {
                let again = self.try_object(provider, store, uri, &mut written.clone());
                match (again, written) {
                    // Others changed something else of it since.
                    (Ok(Outcome::Skipped(Skipped::Current)), Some(outcome)) => Ok(outcome),
                    (again, _) => again,
                }
            }
            other => other,
        }
    }

    /// `written` gets the outcome once the request to store it went to S3.
    fn try_object(
        &self,
        provider: &Provider,
        store: &Store,
        uri: &ObjectUri,
        written: &mut Option<Outcome>,
    ) -> Result<Outcome, Error> {
        let Some(found) = store.find(uri)? else {
            return Ok(Outcome::Skipped(Skipped::Gone));
        };
        let Found { head, envelope } = &found;
        if head.metadata.contains_key(INSTRUCTION_MARK) {
            return Ok(Outcome::Skipped(Skipped::InstructionFile));
        }
        let Some((old, place)) = envelope else {
            return Ok(Outcome::Skipped(unencrypted(uri)));
        };
        let (new, metadata) = match self.new_envelope(provider, store, uri, head, old, place)? {
            Ok(new) => new,
            Err(outcome) => return Ok(outcome),
        };
        if store.version().is_some() && *place != Place::Metadata {
            return Err(Problem::new(
                Code::ContentUnsupported,
                format!(
                    "the envelope of {} is in an instruction file, which has versions of its own",
                    excerpt(&uri.to_string())
                ),
                "Restore the version of the object and that of its instruction file, and re-wrap it as it is then.",
            )
            .into());
        }
        let (replaced, before) = replaced(store, uri, head, place)?;
        let settings = self.buckets.settings(store, uri);
        if let Some(why) = store.hides(&replaced, &before, settings.has_locks == Some(true))? {
            return Ok(Outcome::Skipped(why));
        }
        let (from, to) = (named(old), named(&new));
        if self.dry_run {
            return Ok(Outcome::Planned { from, to });
        }
        let (acl, noted) = store.acl(&replaced, settings)?;
        let notes = Vec::from_iter(noted);
        let outcome = Outcome::Rewrapped { from, to, notes };
        let stored = match place {
            Place::Metadata => store.replace_metadata(uri, head, &metadata, &acl, self.multipart_above),
            Place::InstructionFile { .. } => store
                .replace_instruction(&replaced, &before, new.to_instruction().0, &acl)
                .map(|()| Written::default()),
        };
        let answer = match &stored {
            Err(problem) if !is_doubtful(problem.code) => return Err(problem.clone().into()),
            Err(_) => Written::default(),
            Ok(answer) => {
                *written = Some(outcome.clone());
                answer.clone()
            }
        };
        // Read back: it may be somebody else's by now, and an answer may be lost although the work was done.
        let wanted = Envelope::parse(&new.to_metadata())?;
        let metadata = match place {
            Place::Metadata => &metadata,
            Place::InstructionFile { .. } => &head.metadata,
        };
        let is_there = store.now().find(uri)?.is_some_and(|found| {
            let envelope = found.envelope.map(|(envelope, _)| envelope);
            envelope == wanted && answer.is(head, metadata, &found.head)
        });
        match (stored, is_there) {
            (_, true) => Ok(outcome),
            (Err(problem), false) => Err(problem.into()),
            (Ok(_), false) => Err(Problem::new(
                Code::ObjectChanged,
                "the object is not what was just stored: somebody else wrote or deleted it at the same moment",
                "Try again.",
            )
            .into()),
        }
    }

    /// The envelope that is to stand in the place of `old`, with the user metadata that has it; or why there is to be
    /// none.
    fn new_envelope(
        &self,
        provider: &Provider,
        store: &Store,
        uri: &ObjectUri,
        head: &Head,
        old: &Envelope,
        place: &Place,
    ) -> Result<Result<(Envelope, Metadata), Outcome>, Error> {
        let generation = match old.content {
            Content::Cbc => Generation::EncryptionOnly,
            _ if self.upgrade_wrap => Generation::V2,
            _ => Generation::of(old.wrap),
        };
        let under = self.target.at(provider, uri)?;
        let request = Request::WriteUnder {
            bucket: &uri.bucket,
            key: &uri.key,
            under: &under,
        };
        let materials = materials_to_wrap(provider, request, generation)?;
        let into_kms = match &materials.key {
            MaterialKey::Kms { key_id } => Some(key_id.clone()),
            _ => None,
        };
        // AES-CBC has one wrap for each type of key.
        let same_wrap = old.content == Content::Cbc || generation == Generation::of(old.wrap);
        if same_wrap && is_current(old, &materials) {
            return Ok(Err(Outcome::Skipped(Skipped::Current)));
        }
        if !may_move(provider, uri, old, Some(&under), &self.from)? {
            return Ok(Err(Outcome::OtherKey { key: named(old) }));
        }
        if head.is_archived() && (*place == Place::Metadata || old.content == Content::Cbc) {
            return Ok(Err(Outcome::Skipped(Skipped::Archived)));
        }
        let data_key = unwrap_data_key(provider, old);
        let invalid = |error: &Error| error.code() == Code::WrappedKeyInvalid;
        if data_key.is_ok() || data_key.as_ref().is_err_and(invalid) {
            self.doubts.note(&key_of(old), old, data_key.is_ok())?;
        }
        let data_key = data_key?;
        let in_kms = same_wrap
            && into_kms
                .as_ref()
                .is_some_and(|key_id| is_current_in_kms(old, key_id));
        let of_alias = into_kms.is_some_and(|key_id| is_kms_alias(&key_id));
        if in_kms && !of_alias {
            return Ok(Err(Outcome::Skipped(Skipped::Current)));
        }
        // Only KMS knows the key that an alias stands for now: the wrap says it.
        let wrapped = wrap(materials, &data_key, old.content, generation)?;
        if in_kms && data_key.is_under_key_of(&wrapped) {
            return Ok(Err(Outcome::Skipped(Skipped::Current)));
        }
        prove(store, uri, head, old, &data_key)?;
        let new = Envelope {
            // AES-CBC under KMS stands in the second format, which can say so; all other AES-CBC in the first.
            format: match (old.content, wrapped.wrap.is_kms()) {
                (Content::Cbc, true) => Format::V2,
                (Content::Cbc, false) => Format::V1,
                _ => old.format,
            },
            wrap: wrapped.wrap,
            wrapped_key: wrapped.key,
            description: wrapped.description,
            ..old.clone()
        };
        // Whatever is wrong with the new envelope is better found before it is stored.
        same(&unwrap_data_key(provider, &new)?, &data_key)?;
        let metadata = new.replace_in(&head.metadata);
        if *place == Place::Metadata {
            check_size(&metadata)?;
        }
        Ok(Ok((new, metadata)))
    }
}

/// The object that is written anew where the envelope of `uri` is at `place`, as it is.
fn replaced(store: &Store, uri: &ObjectUri, head: &Head, place: &Place) -> Result<(ObjectUri, Head), Error> {
    let Place::InstructionFile { etag } = place else {
        return Ok((uri.clone(), head.clone()));
    };
    let beside = store.instruction_of(uri);
    match store.head(&beside)? {
        Some(head) if head.etag == *etag => Ok((beside, head)),
        _ => Err(changed(&beside).into()),
    }
}

/// The outcome for an object, in a word that reports count by.
pub fn outcome_name(result: &Result<Outcome, Error>) -> &'static str {
    match result {
        Ok(Outcome::Rewrapped { .. }) => "rewrapped",
        Ok(Outcome::Planned { .. }) => "would-be-rewrapped",
        Ok(Outcome::OtherKey { .. }) => "other-key",
        Ok(Outcome::Skipped(why)) => why.name(),
        Err(_) => "failed",
    }
}

/// The line of a report on one object, in JSON.
pub fn report_line(uri: &ObjectUri, result: &Result<Outcome, Error>) -> String {
    let uri = uri.to_string();
    let line = match result {
        Ok(Outcome::Rewrapped { from, to, notes }) if !notes.is_empty() => {
            json!({ "uri": uri, "outcome": outcome_name(result), "from": from, "to": to, "notes": notes })
        }
        Ok(Outcome::Rewrapped { from, to, .. } | Outcome::Planned { from, to }) => {
            json!({ "uri": uri, "outcome": outcome_name(result), "from": from, "to": to })
        }
        Ok(Outcome::OtherKey { key }) => {
            json!({ "uri": uri, "outcome": "skipped", "why": outcome_name(result), "key": key })
        }
        Ok(Outcome::Skipped(why)) => json!({ "uri": uri, "outcome": "skipped", "why": why.name() }),
        Err(error) => {
            json!({ "uri": uri, "outcome": "failed", "code": error.code().as_str(), "message": error.to_string() })
        }
    };
    line.to_string()
}
