//! Key material outside Parquet files, whose keys are wrapped anew: `_KEY_MATERIAL_FOR_*.json`.
//!
//! Parquet's own `KeyToolkit.rotateMasterKeys` writes the new file beside the old one, deletes the old one, and renames
//! the new one; readers in between find none. Here a file is replaced as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Encoding};
use serde_json::{json, Map, Value};
use subtle::ConstantTimeEq;

use super::material::{malformed, parse_material, read_file, KeyMaterial};
use crate::bucket::Buckets;
use crate::data_key::internal;
use crate::keep::changed;
use crate::standing::is_doubtful;
use crate::store::{ObjectUri, Store};
use emrkeys_core::envelope::Envelope;
use emrkeys_core::table_key::{TableKind, WrappedTableKey, RULE};
use emrkeys_core::{description, excerpt, Code, Error, Problem, Provider, StoredDescription};

/// The most bytes of a file of key material.
pub const MAX_KEY_MATERIAL: usize = 16 << 20;

/// How the keys in files of key material are wrapped anew.
#[derive(Clone, Debug, Default)]
pub struct RewrapMaterial {
    /// The name of the key that is to wrap; `None`: each wrapped key stays under its key, and gets the present version.
    pub to: Option<String>,
    /// Names of keys whose wrapped keys go to `to`. Those of other keys are left alone: the holders of `to` could read
    /// with them.
    pub from: BTreeSet<String>,
    /// Work everything out and change nothing.
    pub dry_run: bool,
}

/// A file of key material.
pub trait MaterialFile {
    /// Its content, and a mark that is another once somebody replaced it; `None` if it does not exist.
    ///
    /// # Errors
    /// Those of the store.
    fn read(&self) -> Result<Option<(Vec<u8>, String)>, Error>;

    /// Replaces the content as a whole, if `mark` is still that of the file. A note names a thing that could not be
    /// kept.
    ///
    /// # Errors
    /// `OBJECT_CHANGED` if somebody else replaced the file; those of the store. After `OBJECT_CHANGED` and
    /// `STORE_UNAVAILABLE` it may be replaced all the same.
    fn replace(&self, content: Vec<u8>, mark: &str) -> Result<Option<&'static str>, Error>;
}

/// The outcome for a file of key material.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaterialOutcome {
    /// Whether the file was deleted since it was listed.
    pub gone: bool,
    /// Whether the file was not replaced because it is a dry run.
    pub planned: bool,
    /// Key and version of the wrapped keys before, and now; empty if nothing was wrapped anew.
    pub moved: BTreeSet<(String, String)>,
    /// A thing that could not be kept: `acl-unreadable`.
    pub note: Option<&'static str>,
    /// Keys, whose wrapped keys were left as they are: they are not configured, or are not to be moved.
    pub left: BTreeSet<String>,
}

impl MaterialOutcome {
    /// A word that reports count by.
    pub fn name(&self) -> &'static str {
        match (self.moved.is_empty(), self.left.is_empty(), self.planned) {
            _ if self.gone => "gone",
            (true, true, _) => "current",
            (true, false, _) => "other-key",
            (false, true, false) => "rewrapped",
            (false, true, true) => "would-be-rewrapped",
            (false, false, false) => "partly-rewrapped",
            (false, false, true) => "would-be-partly-rewrapped",
        }
    }

    /// The keys and versions before, and now, in words.
    pub fn way(&self) -> Option<(String, String)> {
        let joined = |side: fn(&(String, String)) -> &String| {
            let names: BTreeSet<&str> = self.moved.iter().map(|way| side(way).as_str()).collect();
            Vec::from_iter(names).join(", ")
        };
        (!self.moved.is_empty()).then(|| (joined(|way| &way.0), joined(|way| &way.1)))
    }
}

/// The line of a report on one file, in JSON.
pub fn material_report_line(uri: &str, result: &Result<MaterialOutcome, Error>) -> String {
    let line = match result {
        Ok(outcome) => {
            let (from, to) = outcome.way().unzip();
            json!({
                "uri": uri, "outcome": outcome.name(), "from": from, "to": to, "left": outcome.left,
                "note": outcome.note,
            })
        }
        Err(error) => {
            json!({ "uri": uri, "outcome": "failed", "code": error.code().as_str(), "message": error.to_string() })
        }
    };
    line.to_string()
}

/// One wrapped key of a file of key material.
#[derive(Debug)]
pub struct MaterialEntry {
    /// The name by which the Parquet file refers to it.
    pub reference: String,
    /// How it is wrapped; the error says what is wrong with that.
    pub material: Result<KeyMaterial, Error>,
    /// Whether the configuration unwraps it; `None`: that was not tried.
    pub readable: Option<Result<(), Error>>,
}

/// The keys in a file of key material. With a provider every key is unwrapped, which may ask a key service.
///
/// # Errors
/// `INVALID_ENVELOPE` for a file that holds something else.
pub fn key_material(file: &[u8], provider: Option<&Provider>) -> Result<Vec<MaterialEntry>, Error> {
    let entries = read_file(file)?.into_iter().map(|(reference, text)| {
        let material = parse_material(text.as_bytes()).map_err(Error::from);
        let readable = match (&material, provider) {
            (Ok(material), Some(provider)) => Some(material.unwrap(provider).map(drop)),
            _ => None,
        };
        MaterialEntry {
            reference,
            material,
            readable,
        }
    });
    Ok(entries.collect())
}

impl RewrapMaterial {
    /// Wraps the keys of one file anew. Every new wrapped key is unwrapped and compared before the file is replaced; of
    /// a file that has a key which cannot be unwrapped, nothing is changed. Blocks; any number of threads may be at
    /// work.
    ///
    /// # Errors
    /// `INVALID_ENVELOPE` for a file that holds something else; those of [`Provider::unwrap_table_key`] and
    /// [`Provider::wrap_table_key`]; `OBJECT_CHANGED` if somebody else replaced the file at the same moment; those of
    /// the store.
    pub fn file(&self, provider: &Provider, file: &dyn MaterialFile) -> Result<MaterialOutcome, Error> {
        let Some((content, mark)) = file.read()? else {
            return Ok(MaterialOutcome {
                gone: true,
                ..MaterialOutcome::default()
            });
        };
        let mut outcome = MaterialOutcome {
            planned: self.dry_run,
            ..MaterialOutcome::default()
        };
        let mut all: BTreeMap<String, String> = read_file(&content)?;
        for entry in all.values_mut() {
            if let Some(new) = self.entry(provider, entry, &mut outcome)? {
                *entry = new;
            }
        }
        if outcome.moved.is_empty() || self.dry_run {
            return Ok(outcome);
        }
        let new = serde_json::to_vec(&all).map_err(|error| internal(&error))?;
        match file.replace(new.clone(), &mark) {
            // The answer may be lost although the file was replaced.
            Err(error) if is_doubtful(error.code()) => match file.read()? {
                Some((there, _)) if there == new => Ok(outcome),
                _ => Err(error),
            },
            replaced => {
                outcome.note = replaced?;
                Ok(outcome)
            }
        }
    }

    /// The entry under a new wrap; `None` if it stays as it is.
    fn entry(
        &self,
        provider: &Provider,
        text: &str,
        outcome: &mut MaterialOutcome,
    ) -> Result<Option<String>, Error> {
        let old = parse_material(text.as_bytes())?;
        let under = match provider.key_of_table_key(old.wrapped()) {
            Err(error) if error.code() == Code::KeyNotConfigured => {
                outcome.left.insert(said(&old).to_owned());
                return Ok(None);
            }
            other => other?,
        };
        let to = self.to.as_deref().unwrap_or(&under);
        if to != under && !self.from.contains(&under) {
            outcome.left.insert(under);
            return Ok(None);
        }
        let keys = old.unwrap_all(provider)?;
        let wrapped = provider.wrap_table_key(TableKind::Parquet, to, &keys.outer)?;
        let before = old.description.as_ref();
        let now = WrappedTableKey::parse(&wrapped)?.description;
        // The name of a key that was renamed is replaced, so that its alias can go.
        let name = match &self.to {
            None if old.master_key.starts_with(RULE) => old.master_key.as_str(),
            _ => to,
        };
        if name == old.master_key && before.is_some_and(|before| now.says_the_same_as(before)) {
            return Ok(None);
        }
        let mut fields: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| malformed("it is not in JSON"))?;
        let field = if old.is_double() {
            "wrappedKEK"
        } else {
            "wrappedDEK"
        };
        fields.insert(field.to_owned(), Base64::encode_string(&wrapped).into());
        fields.insert("masterKeyID".to_owned(), name.into());
        let new = Value::Object(fields).to_string();
        // Whatever is wrong with the new wrap is better found before it is stored.
        let again = parse_material(new.as_bytes())?.unwrap_all(provider)?;
        if !bool::from(again.data.ct_eq(&keys.data)) {
            return Err(internal(&"the new wrapped key does not lead to the file's data key").into());
        }
        outcome
            .moved
            .insert((before.map_or_else(String::new, named), named(&now)));
        Ok(Some(new))
    }
}

/// The key that wrapped it, as the wrapped form says.
fn said(material: &KeyMaterial) -> &str {
    let said = material.description.as_ref();
    said.and_then(|said| said.get(description::KEY))
        .unwrap_or(&material.master_key)
}

/// Key and version, for reports.
fn named(description: &StoredDescription) -> String {
    let key = description.get(description::KEY).unwrap_or_default();
    match description.version() {
        Some(version) => format!("{key}/{version}"),
        None => key.to_owned(),
    }
}

/// A file of key material in S3.
#[derive(Debug)]
pub struct MaterialInS3<'a> {
    /// Its store.
    pub store: &'a Store,
    /// Where it is.
    pub uri: &'a ObjectUri,
    /// The settings of buckets.
    pub buckets: &'a Buckets,
}

impl MaterialFile for MaterialInS3<'_> {
    fn read(&self) -> Result<Option<(Vec<u8>, String)>, Error> {
        self.store
            .small(self.uri, MAX_KEY_MATERIAL, Code::InvalidEnvelope)
    }

    fn replace(&self, content: Vec<u8>, mark: &str) -> Result<Option<&'static str>, Error> {
        let head = self.store.head(self.uri)?.filter(|head| head.etag == mark);
        let head = head.ok_or_else(|| changed(self.uri))?;
        let unsupported = |what: &str, remedy: &str| {
            let uri = excerpt(&self.uri.to_string());
            Problem::new(
                Code::ContentUnsupported,
                format!("the file of key material {uri} {what}"),
                remedy,
            )
        };
        if Envelope::is_in(&head.metadata) {
            return Err(unsupported(
                "is itself encrypted by an S3 client",
                "Wrap its keys anew through that client: KeyToolkit.rotateMasterKeys.",
            )
            .into());
        }
        let settings = self.buckets.settings(self.store, self.uri);
        let has_locks = settings.has_locks == Some(true);
        if let Some(why) = self.store.hides(self.uri, &head, has_locks)? {
            return Err(unsupported(
                &format!("would lose metadata or a lock that S3 does not show ({})", why.name()),
                "Allow s3:GetObjectRetention and s3:GetObjectLegalHold, or write the metadata without control \
                 characters.",
            )
            .into());
        }
        let (acl, note) = self.store.acl(self.uri, settings)?;
        self.store.replace_small(self.uri, &head, content, &acl)?;
        Ok(note)
    }
}
