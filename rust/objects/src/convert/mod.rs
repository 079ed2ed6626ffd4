//! Objects that are encrypted anew, by another format or for the first time, or that leave encryption: the content is
//! read, decrypted and verified whole, encrypted under a fresh data key, and put in the place of the object.
//!
//! An object is readable at every moment: one request of S3's replaces it as a whole, or not at all, and only while it
//! is still the object that was read. A write by somebody else wins.

mod outcome;
mod plan;
mod proof;
mod pump;
mod replace;
mod requests;
mod room;
mod transfer;
mod turn;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use emrkeys_core::aws::BucketSettings;
use emrkeys_core::envelope::{Content, Envelope, INSTRUCTION_MARK, INSTRUCTION_SUFFIX, MAX_INSTRUCTION};
use emrkeys_core::stored_text::json_fields;
use emrkeys_core::{Code, Error, MaterialKey, Materials, Problem, Provider, Request};

pub use outcome::{outcome_name, report, report_csv, Conversion, Outcome, Plan, Stored, CSV_COLUMNS};
pub use requests::Requests;

use crate::body::Body;
use crate::bucket::Buckets;
use crate::copy::MAX_COPY;
use crate::data_key::{materials_to_wrap, unwrap_data_key, DataKey, Generation};
use crate::prove::Doubts;
use crate::standing::{check_size, is_current, is_current_in_kms, key_of, may_move, named, Skipped, Target};
use crate::store::{Head, ObjectUri, Place, Store};
use room::Room;

/// Bytes of a piece of a large object. S3 takes parts from 5 MiB on, and decryption holds the last block of a piece
/// back.
const PIECE: u64 = 6 << 20;
/// Content that is in memory at once, of all objects of the process together: two large ones and some small.
static ROOM: Room = Room::of(64 << 20);
/// The end of the names of markers for folders that Hadoop's older file systems wrote.
const FOLDER_MARK: &str = "_$folder$";

/// How objects are to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The format of the SDK v1's second client and the S3 Encryption Client 3: AES-GCM. EMRFS (with
    /// `fs.s3.cse.encryptionV2.enabled`) and S3A read it.
    V2,
    /// The format of the S3 Encryption Client 4: AES-GCM that commits to its key.
    V4,
    /// In the clear.
    Plaintext,
}

impl Form {
    fn content(self) -> Option<Content> {
        match self {
            Form::V2 => Some(Content::Gcm),
            Form::V4 => Some(Content::CommittingGcm),
            Form::Plaintext => None,
        }
    }

    /// A short name, as in [`Stored::format`].
    pub fn name(self) -> &'static str {
        match self {
            Form::V2 => "v2",
            Form::V4 => "v4",
            Form::Plaintext => "plaintext",
        }
    }
}

/// The work to do on objects. Thread-safe; clones share what is known of buckets and keys.
#[derive(Clone, Debug)]
pub struct Convert {
    /// How the objects are to be stored.
    pub form: Form,
    /// The key that is to wrap their data keys; of no matter for [`Form::Plaintext`].
    pub target: Target,
    /// Names of keys whose objects are converted though the rules do not give these keys at their place.
    pub from: BTreeSet<String>,
    /// Whether objects that no client encrypted are encrypted.
    pub from_plaintext: bool,
    /// Whether objects that are as they should be are encrypted anew, under a fresh data key each.
    pub renew: bool,
    /// Whether each new object is read and compared, even if S3 confirms the checksum of what was sent, and each that
    /// is as it should be is read whole: an earlier run may have ended before it compared that one.
    pub second_read: bool,
    /// Whether an earlier run replaced the objects and did not show them to be what it sent: they are read as with
    /// `second_read`, and one in the clear fails.
    pub doubted: bool,
    /// Work everything out and change nothing.
    pub dry_run: bool,
    /// The keys that did not open objects so far.
    pub doubts: Doubts,
    /// The settings of buckets so far.
    pub buckets: Buckets,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Whether the last object was left alone: then the next is first asked for without its content.
    is_quiet: AtomicBool,
}

/// An object as it was found.
struct Found {
    head: Head,
    /// The first bytes of its content, under way.
    body: Option<Body>,
    envelope: Option<(Envelope, Place)>,
}

/// An object that is to be converted.
struct Job<'a> {
    store: &'a Store,
    provider: &'a Provider,
    uri: &'a ObjectUri,
    settings: BucketSettings,
    /// The data key of its content and the envelope; `None` in the clear.
    old: Option<(DataKey, Envelope, Place)>,
    /// The key that is to wrap; `None` for [`Form::Plaintext`].
    materials: Option<Materials>,
    /// The name of that key.
    under: Option<String>,
}

impl Convert {
    /// To that form, under the keys that the rules give, and of objects under keys of their place alone.
    pub fn to(form: Form) -> Convert {
        Convert {
            form,
            target: Target::Rules,
            from: BTreeSet::new(),
            from_plaintext: false,
            renew: false,
            second_read: false,
            doubted: false,
            dry_run: false,
            doubts: Doubts::default(),
            buckets: Buckets::default(),
            shared: Arc::new(Shared {
                is_quiet: AtomicBool::new(false),
            }),
        }
    }

    /// The form, and the keys and versions that wrap now what is at `place` or below it, in words: two runs to the same
    /// bring objects to the same. Blocks where a key service is asked.
    ///
    /// # Errors
    /// `KEY_NOT_CONFIGURED` for a key to move to or from that is not there; those of a write under the key.
    pub fn target(&self, provider: &Provider, place: &ObjectUri) -> Result<String, Error> {
        if self.form == Form::Plaintext {
            return Ok(self.form.name().to_owned());
        }
        let keys = self.target.now(&self.from, provider, place)?;
        Ok(format!("{} {keys}", self.form.name()))
    }

    /// Converts one object. Blocks; any number of threads may be at work, in any number of processes: where two have
    /// the same object, one replaces it and the other finds that done. Where somebody else writes the object at the
    /// same moment, it is that object which is converted.
    ///
    /// Memory: at most 64 MiB of content for all objects at work in the process; an object waits for its share.
    ///
    /// # Errors
    /// Those of reading the object's data key (see [`unwrap_data_key`]) and of writing under the key; `OBJECT_DAMAGED`
    /// where the content does not prove whole; `CONTENT_UNSUPPORTED` for more than the 64 GiB that AES-GCM encrypts;
    /// `OBJECT_CHANGED` where somebody else wrote the object twice in the meantime, `DESCRIPTION_TOO_LARGE` where the
    /// new envelope does not fit into the metadata; those of S3. After any of them the object is as it was or as it
    /// should be, or somebody else's. `REPLACEMENT_NOT_PROVEN` where that is not certain: the new object could not be
    /// compared with what was sent, and the version before could not be put back.
    pub fn object(&self, provider: &Provider, store: &Store, uri: &ObjectUri) -> Result<Outcome, Error> {
        let store = &store.now();
        let done = match self.try_object(provider, store, uri) {
            Err(error) if error.code() == Code::ObjectChanged => self.try_object(provider, store, uri),
            other => other,
        };
        let left_alone = matches!(done, Ok(Outcome::Skipped(_) | Outcome::OtherKey { .. }));
        self.shared.is_quiet.store(left_alone, Ordering::Relaxed);
        done
    }

    fn try_object(&self, provider: &Provider, store: &Store, uri: &ObjectUri) -> Result<Outcome, Error> {
        let Some(found) = self.find(store, uri)? else {
            return Ok(Outcome::Skipped(Skipped::Gone));
        };
        let job = match self.job(provider, store, uri, &found)? {
            Ok(job) => job,
            Err(outcome) => return Ok(outcome),
        };
        if self.dry_run {
            // The end of the content shows a wrong key, and a cut, of AES-CBC.
            self.expected(&job, &found.head, true)?;
            return Ok(Outcome::Planned(Box::new(self.plan(&job, &found))));
        }
        if self.form == Form::Plaintext && clear_the_way(&job, &found.head)? {
            return self.try_object(provider, store, uri);
        }
        let done = self.replace(&job, found);
        match done {
            Err(error) if error.code() == Code::ObjectNotFound && store.head(uri)?.is_none() => {
                Ok(Outcome::Skipped(Skipped::Gone))
            }
            done => Ok(Outcome::Converted(Box::new(done?))),
        }
    }

    /// The object, in one request with its first bytes unless it is likely to be left alone.
    fn find(&self, store: &Store, uri: &ObjectUri) -> Result<Option<Found>, Error> {
        let found = if self.dry_run || self.doubted || self.shared.is_quiet.load(Ordering::Relaxed) {
            store.head(uri)?.map(|head| (head, None))
        } else {
            store.open(uri, PIECE)?
        };
        let Some((head, body)) = found else {
            return Ok(None);
        };
        let envelope = if head.metadata.contains_key(INSTRUCTION_MARK) {
            None
        } else {
            store.envelope(uri, &head)?
        };
        Ok(Some(Found { head, body, envelope }))
    }

    /// The work on an object, or the outcome if nothing is to be done.
    fn job<'a>(
        &self,
        provider: &'a Provider,
        store: &'a Store,
        uri: &'a ObjectUri,
        found: &Found,
    ) -> Result<Result<Job<'a>, Outcome>, Error> {
        let skip = |why| Ok(Err(Outcome::Skipped(why)));
        let current = |key: Option<DataKey>| self.current(provider, store, uri, found, key).map(Err);
        let head = &found.head;
        if head.metadata.contains_key(INSTRUCTION_MARK) {
            return skip(Skipped::InstructionFile);
        }
        if found.envelope.is_none() {
            if let Some(why) = self.leave_plaintext(store, uri, head)? {
                return skip(why);
            }
        }
        let under = match self.form {
            Form::Plaintext => None,
            _ => Some(self.target.at(provider, uri)?),
        };
        let materials = under
            .as_deref()
            .map(|under| materials(provider, uri, under))
            .transpose()?;
        let mut old = None;
        if let Some((envelope, place)) = &found.envelope {
            let same_form = self.is_in_form(envelope, place);
            if same_form
                && materials
                    .as_ref()
                    .is_some_and(|materials| is_current(envelope, materials))
            {
                return current(None);
            }
            if !may_move(provider, uri, envelope, under.as_deref(), &self.from)? {
                return Ok(Err(Outcome::OtherKey { key: named(envelope) }));
            }
            if head.is_archived() {
                return skip(Skipped::Archived);
            }
            let data_key = self.unwrap(provider, envelope)?;
            let in_kms = |materials: &Materials| match &materials.key {
                MaterialKey::Kms { key_id } => is_current_in_kms(envelope, key_id),
                _ => false,
            };
            if same_form && materials.as_ref().is_some_and(in_kms) {
                return current(Some(data_key));
            }
            old = Some((data_key, envelope.clone(), place.clone()));
        } else if head.is_archived() {
            return skip(Skipped::Archived);
        }
        let settings = self.buckets.settings(store, uri);
        if let Some(why) = store.hides(uri, head, settings.has_locks != Some(false))? {
            return skip(why);
        }
        Ok(Ok(Job {
            store,
            provider,
            uri,
            settings,
            old,
            materials,
            under,
        }))
    }

    /// Why an object that no client encrypted is left as it is.
    fn leave_plaintext(&self, store: &Store, uri: &ObjectUri, head: &Head) -> Result<Option<Skipped>, Error> {
        if self.form == Form::Plaintext {
            return match self.doubted {
                true => Err(proof::still_doubted(uri).into()),
                false => Ok(Some(Skipped::Current)),
            };
        }
        if !self.from_plaintext {
            return Ok(Some(Skipped::Plaintext));
        }
        if head.length == 0 && (uri.key.ends_with('/') || uri.key.ends_with(FOLDER_MARK)) {
            return Ok(Some(Skipped::DirectoryMarker));
        }
        // Not all clients mark their instruction files.
        let named_so = store.object_of(uri).is_some() || uri.key.ends_with(INSTRUCTION_SUFFIX);
        if !named_so || head.length > MAX_INSTRUCTION as u64 || head.is_archived() {
            return Ok(None);
        }
        let content = store.small(uri, MAX_INSTRUCTION, Code::InvalidEnvelope)?;
        let is_envelope = content.is_some_and(|(content, _)| is_envelope(&content));
        Ok(is_envelope.then_some(Skipped::InstructionFile))
    }

    /// Whether the object is stored as this writes it, whatever its key, and may stay so.
    fn is_in_form(&self, envelope: &Envelope, place: &Place) -> bool {
        !self.renew
            && self.form.content() == Some(envelope.content)
            && Generation::of(envelope.wrap) == Generation::V2
            && *place == Place::Metadata
    }

    fn unwrap(&self, provider: &Provider, envelope: &Envelope) -> Result<DataKey, Error> {
        let data_key = unwrap_data_key(provider, envelope);
        let invalid = |error: &Error| error.code() == Code::WrappedKeyInvalid;
        if data_key.is_ok() || data_key.as_ref().is_err_and(invalid) {
            self.doubts.note(&key_of(envelope), envelope, data_key.is_ok())?;
        }
        data_key
    }
}

/// Removes the instruction file of an object that is to be in the clear: with one beside it, the object would count as
/// encrypted. Its envelope moves into the metadata before, so that the object can be read after each step. Gives
/// whether the object changed.
fn clear_the_way(job: &Job<'_>, head: &Head) -> Result<bool, Error> {
    let (store, uri) = (job.store, job.uri);
    let beside = store.instruction_of(uri);
    if let Some((_, envelope, Place::InstructionFile { etag })) = &job.old {
        let metadata = envelope.replace_in(&head.metadata);
        check_size(&metadata)?;
        let (_, acl, _) = job.properties()?;
        store.replace_metadata(uri, head, &metadata, &acl, MAX_COPY)?;
        store.delete_if(&beside, etag)?;
        return Ok(true);
    }
    // An earlier run may have ended between these two steps.
    if store
        .head(&beside)?
        .is_some_and(|head| head.length <= MAX_INSTRUCTION as u64)
    {
        let content = store.small(&beside, MAX_INSTRUCTION, Code::InvalidEnvelope)?;
        if let Some((_, etag)) = content.filter(|(content, _)| is_envelope(content)) {
            store.delete_if(&beside, &etag)?;
        }
    }
    Ok(false)
}

fn is_envelope(content: &[u8]) -> bool {
    json_fields(content).is_ok_and(|fields| Envelope::is_in(&fields))
}

fn materials(provider: &Provider, uri: &ObjectUri, under: &str) -> Result<Materials, Error> {
    let request = Request::WriteUnder {
        bucket: &uri.bucket,
        key: &uri.key,
        under,
    };
    materials_to_wrap(provider, request, Generation::V2)
}

/// Objects of more bytes of content than AES-GCM encrypts under one key.
fn too_large(bytes: u64) -> Problem {
    Problem::new(
        Code::ContentUnsupported,
        format!("the object has {bytes} bytes, and AES-GCM takes at most 64 GiB in one object"),
        "Split the object.",
    )
}
