//! Whose an object is: which configured key its stored description leads to. Opens nothing and asks nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::arn::same_kms_key;
use crate::config::{Config, KekKind, KeyKind};
use crate::description::{self, StoredDescription};
use crate::envelope::{Envelope, Wrap};
use crate::error::{excerpt, Code, Error, Problem};

/// The key of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundKey {
    /// Its name, as it is configured. One that the description has in our own way need not be configured at all.
    pub key: String,
    /// Whether the description says so. Else the key is the one for objects that say nothing (the only one of type
    /// `kms`, or `emrkeys.legacy.key`), and only unwrapping proves it.
    pub named: bool,
}

/// The parts of the configuration that decide which key an object belongs to. Thread-safe.
#[derive(Debug, Default)]
pub struct KeyLookup {
    /// Older names to names.
    aliases: BTreeMap<String, String>,
    /// Names by the `rsa_name` under which AWS's provider knows them.
    rsa_names: BTreeMap<String, String>,
    /// KMS key ids to names.
    kms_ids: BTreeMap<String, String>,
    /// Names of keys of type `data-key-service`.
    data_key_services: Vec<String>,
    /// Fields and values of other providers' descriptions to names.
    matches: BTreeMap<String, BTreeMap<String, String>>,
    /// `emrkeys.legacy.key`, in its order.
    legacy_keys: Vec<(KekKind, String)>,
}

impl KeyLookup {
    /// The keys of a configuration. Opens nothing that it names.
    pub fn new(config: &Config) -> KeyLookup {
        let mut lookup = KeyLookup {
            legacy_keys: config
                .legacy_keys
                .iter()
                .filter_map(|name| Some((config.keys.get(name)?.kind.kek(), name.clone())))
                .collect(),
            ..KeyLookup::default()
        };
        let keys = config
            .used_keys()
            .filter_map(|name| Some((name, config.keys.get(name)?)));
        for (name, key) in keys {
            let owned = |text: &str| (text.to_owned(), name.to_owned());
            lookup
                .aliases
                .extend(key.aliases.iter().map(|alias| owned(alias)));
            for (field, value) in &key.matches {
                let values = lookup.matches.entry(field.clone()).or_default();
                values.extend([owned(value)]);
            }
            for (field, value) in key.kind.peer_names() {
                let names = match field {
                    description::RSA_NAME => &mut lookup.rsa_names,
                    _ => &mut lookup.kms_ids,
                };
                names.extend([owned(value)]);
            }
            if let KeyKind::DataKeyService(_) = key.kind {
                lookup.data_key_services.push(name.to_owned());
            }
        }
        lookup
    }

    /// The key that a read of the object gets; `None` where neither the description nor the configuration leads to one.
    ///
    /// # Errors
    /// `KEY_NOT_CONFIGURED` for another provider's name of a key that no key is configured for;
    /// `DESCRIPTION_AMBIGUOUS`, `INVALID_DESCRIPTION`, `DESCRIPTION_TOO_LARGE`.
    pub fn of(&self, envelope: &Envelope) -> Result<Option<FoundKey>, Error> {
        let stored = &envelope.description;
        stored.check()?;
        let named = match self.named(stored)? {
            Some(key) => Some(key),
            None => self.foreign(stored)?,
        };
        let key = named.or_else(|| self.presumed(Some(envelope.wrap)));
        Ok(key.map(|key| FoundKey {
            key: key.to_owned(),
            named: named.is_some(),
        }))
    }

    /// The key that the description names in our own way, its alias replaced.
    pub(crate) fn named<'a>(&'a self, stored: &'a StoredDescription) -> Result<Option<&'a str>, Problem> {
        if let Some(name) = stored.get(description::KEY) {
            return Ok(Some(self.current_name(name)));
        }
        if stored.get(description::VERSION).is_some() {
            return Err(description::invalid(format!(
                "it has {} and no {}",
                description::VERSION,
                description::KEY
            )));
        }
        Ok(None)
    }

    /// The name of today for what may be an older name of a key.
    pub(crate) fn current_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// The key of objects that name none, if their data keys are wrapped so.
    pub(crate) fn presumed(&self, wrap: Option<Wrap>) -> Option<&str> {
        // A data key that KMS wrapped for the S3 Encryption Client has no key id; KMS refuses it under any key but its
        // own.
        wrap.filter(|wrap| wrap.is_kms())
            .and_then(|_| self.only_kms_key())
            .or_else(|| match (self.legacy_keys.as_slice(), wrap) {
                ([_, _, ..], Some(wrap)) => {
                    let suits = |(kind, _): &&(KekKind, String)| *kind == kek_of(wrap);
                    self.legacy_keys.iter().find(suits).map(|(_, name)| name.as_str())
                }
                _ => self.legacy_key(),
            })
    }

    /// The first of `emrkeys.legacy.key`: for clients that do not say how a data key is wrapped.
    pub(crate) fn legacy_key(&self) -> Option<&str> {
        self.legacy_keys.first().map(|(_, name)| name.as_str())
    }

    /// The key of type `kms`, where there is exactly one.
    pub(crate) fn only_kms_key(&self) -> Option<&str> {
        let mut names = BTreeSet::from_iter(self.kms_ids.values()).into_iter();
        names
            .next()
            .filter(|_| names.next().is_none())
            .map(String::as_str)
    }

    /// The key to which a description of another provider belongs.
    pub(crate) fn foreign(&self, stored: &StoredDescription) -> Result<Option<&str>, Problem> {
        let mut unknown = None;
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let kms_id = |id: &str| {
            self.kms_ids.get(id).or_else(|| {
                // Another configuration may have named the same key by ARN, by id, or in another of its regions.
                let mut known = self.kms_ids.iter();
                known.find_map(|(known, name)| same_kms_key(known, id).then_some(name))
            })
        };
        for (field, value) in [
            description::RSA_NAME,
            description::KMS_KEY_ID,
            description::DATA_KEY_SERVICE_ID,
        ]
        .into_iter()
        .filter_map(|field| Some((field, stored.get(field)?)))
        {
            let key = match field {
                description::RSA_NAME => self.rsa_names.get(value),
                description::KMS_KEY_ID => kms_id(value),
                _ => None,
            };
            match key {
                Some(key) => drop(found.insert(key)),
                None => unknown = unknown.or(Some((field, value))),
            }
        }
        for (field, keys) in &self.matches {
            found.extend(
                stored
                    .get(field)
                    .and_then(|value| keys.get(value))
                    .map(String::as_str),
            );
        }
        // The ids of a service's keys are not configured: what another one's provider wrote belongs to the only service
        // that there is, or to the one that `.match` names.
        if let (true, Some((description::DATA_KEY_SERVICE_ID, _)), [only]) =
            (found.is_empty(), unknown, self.data_key_services.as_slice())
        {
            return Ok(Some(only));
        }
        match (found.len(), unknown) {
            (0, None) => Ok(None),
            (0, Some((field, value))) => Err(Problem::new(
                Code::KeyNotConfigured,
                format!(
                    "the object was written with {field} {}, and no key is configured for it",
                    excerpt(value)
                ),
                foreign_remedy(field),
            )),
            (1, _) => Ok(found.pop_first()),
            _ => Err(Problem::new(
                Code::DescriptionAmbiguous,
                format!(
                    "the object's description belongs to several keys: {}",
                    found.into_iter().collect::<Vec<_>>().join(", ")
                ),
                "Change emrkeys.key.<name>.match.<field> or .legacy-name so that one key is left.",
            )),
        }
    }
}

/// The kind of key that undoes a wrap.
fn kek_of(wrap: Wrap) -> KekKind {
    match wrap {
        Wrap::AesEcb | Wrap::AesKeyWrap | Wrap::AesGcm => KekKind::Aes,
        Wrap::RsaPkcs1 | Wrap::RsaOaepSha256 | Wrap::RsaOaepSha1 => KekKind::Rsa,
        Wrap::Kms | Wrap::KmsContext => KekKind::Kms,
    }
}

fn foreign_remedy(field: &str) -> String {
    match field {
        description::RSA_NAME => {
            "Configure the RSA pair and set its emrkeys.key.<name>.legacy-name to that name.".to_owned()
        }
        description::KMS_KEY_ID => {
            "Configure a key of type kms with that kms-key-id, or set emrkeys.key.<name>.match.kms_cmk_id."
                .to_owned()
        }
        description::DATA_KEY_SERVICE_ID => format!(
            "Configure a key of type data-key-service; where there are several, set emrkeys.key.<name>.match.{field}."
        ),
        _ => format!("Set emrkeys.key.<name>.match.{field} of the key that such objects belong to."),
    }
}
