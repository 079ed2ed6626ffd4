//! The key that an object is under, the one that it is to be under, and whether it may go there.

use std::collections::BTreeSet;

use subtle::ConstantTimeEq;

use super::data_key::{internal, DataKey};
use super::store::ObjectUri;
use emrkeys_core::description::KMS_KEY_ID;
use emrkeys_core::envelope::{Envelope, Metadata};
use emrkeys_core::StoredDescription;
use emrkeys_core::{excerpt, Code, Error, Problem};
use emrkeys_core::{MaterialKey, Materials, Provider, Request};

/// The most bytes of user metadata, names and values together. Source: Amazon S3 User Guide, "User-defined object
/// metadata".
const MAX_METADATA: usize = 2 * 1024;

/// The key that is to wrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The key of this name, wherever the object is.
    Key(String),
    /// The key that the rules give to new objects at its place.
    Rules,
}

impl Target {
    /// The keys and versions that wrap now what is at `place` or below it, in words; `from` are the keys to move from
    /// besides. Blocks where a key service is asked.
    ///
    /// # Errors
    /// `KEY_NOT_CONFIGURED` for a key to move to or from that is not there; those of a write under the key.
    pub(super) fn now(
        &self,
        from: &BTreeSet<String>,
        provider: &Provider,
        place: &ObjectUri,
    ) -> Result<String, Error> {
        let known = provider.key_names();
        let to = match self {
            Target::Key(key) => BTreeSet::from([key.clone()]),
            Target::Rules => provider.keys_of_rules(),
        };
        for (option, key) in to
            .iter()
            .map(|key| ("to", key))
            .chain(from.iter().map(|key| ("from", key)))
        {
            if !known.contains(key) {
                let known: Vec<String> = known.into_iter().collect();
                return Err(Problem::new(
                    Code::KeyNotConfigured,
                    format!("no key {} to move objects {option} is configured", excerpt(key)),
                    format!("Name one of these: {}.", known.join(", ")),
                )
                .into());
            }
        }
        let mut targets = Vec::new();
        for key in &to {
            let request = Request::WriteUnder {
                bucket: &place.bucket,
                key: &place.key,
                under: key,
            };
            let materials = provider.materials(request)?.unwrap_or_else(|| Materials {
                key: MaterialKey::Kms { key_id: key.clone() },
                description: StoredDescription::default(),
            });
            targets.push(match (materials.description.version(), &materials.key) {
                (Some(version), _) => format!("{key}/{version}"),
                (None, MaterialKey::Kms { key_id }) => format!("{key}/{key_id}"),
                (None, _) => key.clone(),
            });
        }
        Ok(targets.join(", "))
    }

    /// The name of the key for an object.
    ///
    /// # Errors
    /// `NO_RULE`
    pub(super) fn at(&self, provider: &Provider, uri: &ObjectUri) -> Result<String, Error> {
        match self {
            Target::Key(key) => Ok(key.clone()),
            Target::Rules => provider.key_at(&uri.bucket, &uri.key),
        }
    }
}

/// Why nothing was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skipped {
    /// It is under the key already.
    Current,
    /// No S3 encryption client wrote it.
    Plaintext,
    /// It is the instruction file of another object, and goes with that.
    InstructionFile,
    /// It is archived: S3 copies it only once it is restored.
    Archived,
    /// It was deleted since it was listed.
    Gone,
    /// It stands for a folder, and has no content.
    DirectoryMarker,
    /// S3 does not give back all of its user metadata, which would be lost.
    MetadataUnreadable,
    /// The bucket locks objects, and whether this one is locked may not be read: the new one might be without the lock.
    LockUnreadable,
    /// It holds wrapped keys of a Parquet file, which another mode of the tool wraps anew.
    KeyMaterial,
}

impl Skipped {
    /// A short name, for reports.
    pub fn name(self) -> &'static str {
        match self {
            Skipped::Current => "current",
            Skipped::Plaintext => "plaintext",
            Skipped::InstructionFile => "instruction-file",
            Skipped::Archived => "archived",
            Skipped::Gone => "gone",
            Skipped::DirectoryMarker => "directory-marker",
            Skipped::MetadataUnreadable => "metadata-unreadable",
            Skipped::LockUnreadable => "lock-unreadable",
            Skipped::KeyMaterial => "parquet-key-material",
        }
    }
}

/// Whether the holders of the key that is to wrap may get at the object: they do already, the rules give its key at
/// its place, for one job flow or another, or the operator named it.
pub(super) fn may_move(
    provider: &Provider,
    uri: &ObjectUri,
    old: &Envelope,
    under: Option<&str>,
    from: &BTreeSet<String>,
) -> Result<bool, Error> {
    let Some(found) = provider.key_of(old)? else {
        return Ok(true); // nothing leads to its key, which the read says with the remedy
    };
    Ok(under == Some(found.key.as_str())
        || from.contains(&found.key)
        || !provider.key_names().contains(&found.key)
        || provider.keys_at(&uri.bucket, &uri.key).contains(&found.key))
}
/// Whether the object may be as it should be all the same.
pub(super) fn is_doubtful(code: Code) -> bool {
    matches!(
        code,
        Code::ObjectChanged | Code::ObjectNotFound | Code::StoreUnavailable
    )
}

pub(super) fn same(one: &DataKey, other: &DataKey) -> Result<(), Error> {
    if bool::from(one.bytes().ct_eq(other.bytes())) {
        Ok(())
    } else {
        Err(internal(&"the new envelope does not lead to the object's data key").into())
    }
}

/// Whether the description is one that a write under the key would get today. Wrapped keys differ each time.
pub(super) fn is_current(envelope: &Envelope, materials: &Materials) -> bool {
    !envelope.wrap.is_kms() && materials.description.says_the_same_as(&envelope.description)
}

/// Whether the object names that KMS key. Where the description does not say, KMS has said so: under any other it would
/// not have opened the data key. An alias may have stood for another key then.
pub(super) fn is_current_in_kms(envelope: &Envelope, key_id: &str) -> bool {
    let stored = envelope.description.get(KMS_KEY_ID);
    envelope.wrap.is_kms() && stored.is_none_or(|stored| stored == key_id)
}

/// The key that a description names, of whatever version.
pub(super) fn key_of(envelope: &Envelope) -> String {
    envelope.key().map_or_else(|| named(envelope), str::to_owned)
}

/// Key and version, for reports.
pub(super) fn named(envelope: &Envelope) -> String {
    match (envelope.key(), envelope.version()) {
        (Some(key), Some(version)) => format!("{key}/{version}"),
        (Some(key), None) => key.to_owned(),
        (None, Some(version)) => version.to_owned(),
        (None, None) if envelope.wrap.is_kms() => "a KMS key".to_owned(),
        (None, None) => "no description".to_owned(),
    }
}

pub(super) fn check_size(metadata: &Metadata) -> Result<(), Problem> {
    let bytes: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes <= MAX_METADATA {
        return Ok(());
    }
    Err(Problem::new(
        Code::DescriptionTooLarge,
        format!(
            "with the new envelope the object would have {bytes} bytes of user metadata, and S3 stores \
             {MAX_METADATA}"
        ),
        "Give the key a shorter name or encryption context, or copy the object with less metadata of its own.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use emrkeys_core::envelope::{Content, Format, Wrap};

    fn current(old: &[(&str, &str)], new: &[(&str, &str)]) -> bool {
        let envelope = Envelope {
            format: Format::V2,
            content: Content::Gcm,
            wrap: Wrap::AesGcm,
            wrapped_key: Vec::new(),
            nonce: Vec::new(),
            commitment: None,
            description: old.iter().copied().collect(),
        };
        let materials = Materials {
            key: MaterialKey::Kms {
                key_id: String::new(),
            },
            description: new.iter().copied().collect(),
        };
        is_current(&envelope, &materials)
    }

    #[test]
    fn an_object_is_current_where_a_write_would_say_the_same_of_its_key() {
        let one = [("emrkeys.key", "k"), ("emrkeys.version", "1")];
        assert!(current(&one, &one));
        assert!(current(&[one[0], one[1], ("rsa_name", "old")], &one));
        assert!(!current(&one, &[("emrkeys.key", "k"), ("emrkeys.version", "2")]));
        assert!(!current(&one, &[("emrkeys.key", "l"), ("emrkeys.version", "1")]));
        assert!(!current(&[("rsa_name", "old")], &one));
        assert!(!current(&[], &[]));
        let wrapped = |text| {
            [
                ("emrkeys.key", "k"),
                ("emrkeys.kms-key", "arn"),
                ("emrkeys.wrapped", text),
            ]
        };
        assert!(current(&wrapped("a"), &wrapped("b")));
    }

    #[test]
    fn what_s3_does_not_store_is_not_sent() {
        let mut metadata = Metadata::from([("a".to_owned(), "x".repeat(MAX_METADATA - 1))]);
        assert!(check_size(&metadata).is_ok());
        metadata.insert("b".to_owned(), String::new());
        assert_eq!(check_size(&metadata).unwrap_err().code, Code::DescriptionTooLarge);
    }
}
