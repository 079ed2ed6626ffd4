//! The checks that need more than one property.

use std::collections::{BTreeMap, BTreeSet};

use super::key_details::KekKind;
use super::keys::{AesKey, KeyConfig, KeyKind, KeyringKey, Origin};
use super::model::{LocalDisk, RuleTarget};
use super::properties;
use super::{DESCRIPTION_ENABLED, LEGACY_KEY, V2_ENABLED};
use crate::description;
use crate::error::{excerpt, Code, Problem, Problems};
use crate::inputs::Settings;
use crate::rules::Rule;

/// The names that `emrkeys.key.<name>.…` properties give, whether or not the rest of them is valid: so that a key
/// with one wrong property is reported once, and not again wherever it is named.
pub(super) fn settings_key_names(settings: &Settings) -> impl Iterator<Item = String> + '_ {
    settings
        .range(properties::KEY_PREFIX.to_owned()..)
        .map_while(|(property, _)| property.strip_prefix(properties::KEY_PREFIX))
        .filter_map(|rest| rest.split('.').next())
        .map(str::to_owned)
}

pub(super) fn check_names(
    known: &BTreeSet<String>,
    rules: &[Rule<RuleTarget>],
    default_key: &Option<String>,
    legacy_keys: &[String],
    local_disk: &LocalDisk,
    problems: &mut Problems,
) {
    let of_default = default_key.iter().map(|key| ("emrkeys.default.key", key));
    let of_legacy = legacy_keys.iter().map(|key| (LEGACY_KEY, key));
    let of_disk = local_disk.key.iter().map(|key| ("emrkeys.local-disk.key", key));
    for (property, key) in of_default.chain(of_legacy).chain(of_disk) {
        if !known.contains(key) {
            problems.add(unknown_key(property, key, known));
        }
    }
    let mut wrong: Vec<&RuleTarget> = rules.iter().map(|rule| &rule.target).collect();
    wrong.retain(|target| !known.contains(&target.key));
    wrong.dedup(); // of a rule with several prefixes, which stand in a row
    for target in wrong {
        let property = format!("emrkeys.rule.{}.key", target.rule);
        problems.add(unknown_key(&property, &target.key, known));
    }
}

/// Of several legacy keys the wrap of an object's data key chooses one.
pub(super) fn check_legacy(
    keys: &BTreeMap<String, KeyConfig>,
    legacy_keys: &[String],
    problems: &mut Problems,
) {
    let mut of_kind: BTreeMap<KekKind, &str> = BTreeMap::new();
    for name in legacy_keys {
        let Some(key) = keys.get(name) else { continue };
        if let Some(other) = of_kind.insert(key.kind.kek(), name) {
            problems.add(Problem::at(
                LEGACY_KEY,
                Code::Conflict,
                format!("the keys {other} and {name} are for the same wraps, so that the wrap chooses neither"),
                "Name at most one AES key (aes, keyring, kms-cached, data-key-service), one RSA pair, one KMS key.",
            ));
        }
    }
}

fn unknown_key(property: &str, key: &str, known: &BTreeSet<String>) -> Problem {
    let near = known
        .iter()
        .min_by_key(|name| strsim::damerau_levenshtein(name, key));
    let remedy = match near {
        Some(near) => format!("Configure it (emrkeys.key.{key}.type), or name one that is, such as {near}."),
        None => format!("Configure it (emrkeys.key.{key}.type)."),
    };
    Problem::at(
        property,
        Code::UnknownKey,
        format!("there is no key {}", excerpt(key)),
        remedy,
    )
}

/// A key that protects a keyring by name must be of type `aes`.
pub(super) fn check_protectors(
    keys: &BTreeMap<String, KeyConfig>,
    known: &BTreeSet<String>,
    problems: &mut Problems,
) {
    for key in keys.values() {
        let KeyKind::Keyring(KeyringKey {
            key: Some((property, protector)),
            ..
        }) = &key.kind
        else {
            continue;
        };
        match keys.get(protector).map(|key| &key.kind) {
            Some(KeyKind::Aes(_)) => {}
            Some(kind) => problems.add(Problem::at(
                property,
                Code::Conflict,
                format!(
                    "{protector} is of type {}, and keyrings are protected by keys of type aes",
                    kind.type_name()
                ),
                "Name a key of type aes; a KMS key is named by .kms-key-id.",
            )),
            None if known.contains(protector) => {}
            None => problems.add(unknown_key(property, protector, known)),
        }
    }
}

/// Replaces each key's own list of older versions by all that are reachable from it, nearest first.
pub(super) fn resolve_previous(
    keys: &mut BTreeMap<String, KeyConfig>,
    known: &BTreeSet<String>,
    problems: &mut Problems,
) {
    let mut resolved: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, key) in keys.iter() {
        let property = format!("emrkeys.key.{name}.previous");
        for older in &key.previous {
            let Some(other) = keys.get(older) else {
                if !known.contains(older) {
                    problems.add(unknown_key(&property, older, known));
                }
                continue;
            };
            if other.kind.type_name() != key.kind.type_name() {
                problems.add(Problem::at(
                    &property,
                    Code::Conflict,
                    format!(
                        "{older} is of type {}, {name} of type {}",
                        other.kind.type_name(),
                        key.kind.type_name()
                    ),
                    "Versions of one key are of one type: name the other key in a rule of its own, or by \
                     .match or .aliases.",
                ));
            }
        }
        let mut all: Vec<String> = Vec::new();
        let mut next: Vec<&String> = key.previous.iter().rev().collect();
        while let Some(older) = next.pop() {
            if older == name {
                problems.add(Problem::at(
                    &property,
                    Code::Cycle,
                    format!("key {name} is named as an older version of itself"),
                    "Name only older keys, newest first.",
                ));
                break;
            }
            if !all.contains(older) {
                all.push(older.clone());
                next.extend(
                    keys.get(older)
                        .into_iter()
                        .flat_map(|key| key.previous.iter().rev()),
                );
            }
        }
        resolved.insert(name.clone(), all);
    }
    for (name, previous) in resolved {
        if let Some(key) = keys.get_mut(&name) {
            key.previous = previous;
        }
    }
}

/// No two keys may claim the same objects.
pub(super) fn check_names_are_unique(keys: &BTreeMap<String, KeyConfig>, problems: &mut Problems) {
    let mut names: BTreeMap<&str, &str> = keys.keys().map(|name| (name.as_str(), name.as_str())).collect();
    let mut matches: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut legacy: BTreeMap<&str, &str> = BTreeMap::new();
    let mut conflict = |property: String, what: &str, other: &str| {
        problems.add(Problem::at(
            property,
            Code::Conflict,
            format!("{what} belongs to key {other} already"),
            "Objects must belong to one key: remove it from one of the two.",
        ));
    };
    for (name, key) in keys {
        for alias in &key.aliases {
            match names.insert(alias, name) {
                Some(other) if other != name => {
                    conflict(format!("emrkeys.key.{name}.aliases"), &excerpt(alias), other);
                }
                _ => {}
            }
        }
        for (field, value) in &key.matches {
            if let Some(other) = matches.insert((field, value), name) {
                conflict(
                    format!("emrkeys.key.{name}.match.{field}"),
                    &excerpt(value),
                    other,
                );
            }
        }
        let legacy_names = key.kind.peer_names().into_iter();
        for (_, legacy_name) in legacy_names.filter(|(field, _)| *field == description::RSA_NAME) {
            if let Some(other) = legacy.insert(legacy_name, name) {
                conflict(
                    format!("emrkeys.key.{name}.legacy-name"),
                    &excerpt(legacy_name),
                    other,
                );
            }
        }
    }
}

/// Refuses what EMRFS would get wrong without an error.
pub(super) fn check_client(
    keys: &BTreeMap<String, KeyConfig>,
    rules: &[RuleTarget],
    default_key: Option<&str>,
    described: bool,
    v2: bool,
    problems: &mut Problems,
) {
    if !rules.is_empty() && !described {
        problems.add(Problem::at(
            DESCRIPTION_ENABLED,
            Code::DescriptionDisabled,
            format!(
                "there are rules by prefix ({} and so on), but EMRFS does not pass the object's location \
                 on, so that every object would get the default key",
                rules[0].rule
            ),
            format!("Set {DESCRIPTION_ENABLED}=true, or remove the rules."),
        ));
    }
    if !v2 || !described {
        return;
    }
    // The V2 client reads an object with kms materials only where what is stored equals the description of the default
    // key's materials, and it merges the request's location into what is stored.
    // Source: com.amazonaws.services.s3.internal.crypto.v2.ContentCryptoMaterial.validateMaterialsForDecrypt
    let of_rules = rules
        .iter()
        .map(|target| (format!("emrkeys.rule.{}.key", target.rule), target.key.as_str()));
    let of_default = default_key.map(|key| ("emrkeys.default.key".to_owned(), key));
    for (property, key) in of_default.into_iter().chain(of_rules) {
        if matches!(keys.get(key).map(|key| &key.kind), Some(KeyKind::Kms(_))) {
            problems.add(Problem::at(
                property,
                Code::KmsWithV2,
                format!(
                    "key {key} is of type kms, and with both {V2_ENABLED}=true and \
                     {DESCRIPTION_ENABLED}=true the client could not read back what it writes under such a \
                     key"
                ),
                format!(
                    "Use a key of type aes or rsa, or set {V2_ENABLED}=false, or (without rules) \
                     {DESCRIPTION_ENABLED}=false."
                ),
            ));
        }
    }
}

/// With a key of type `kms`, S3A's client stores no key id and refuses an object that says more than it wrote itself;
/// so an object of its own can be attributed to such a key only if there is exactly one. Source:
/// `KmsKeyring.decryptDataKey` of the S3 Encryption Client.
pub(super) fn check_s3a(
    keys: &BTreeMap<String, KeyConfig>,
    rules: &[RuleTarget],
    default_key: Option<&str>,
    problems: &mut Problems,
) {
    let is_kms = |name: &&str| matches!(keys.get(*name).map(|key| &key.kind), Some(KeyKind::Kms(_)));
    let kms = keys.keys().map(String::as_str).filter(is_kms).count();
    let written = default_key
        .into_iter()
        .chain(rules.iter().map(|rule| rule.key.as_str()))
        .find(is_kms);
    if let (true, Some(name)) = (kms > 1, written) {
        problems.add(Problem::at(
            format!("emrkeys.key.{name}.type"),
            Code::Conflict,
            format!(
                "there are {kms} keys of type kms, and what S3A writes under one of them does not say which"
            ),
            "Use type kms-cached or keyring for what is written; keys of type kms may stay for objects that \
             EMRFS wrote.",
        ));
    }
}

pub(super) fn check_local_disk(
    keys: &BTreeMap<String, KeyConfig>,
    local_disk: &LocalDisk,
    problems: &mut Problems,
) {
    const PROPERTY: &str = "emrkeys.local-disk.key";
    let Some(name) = &local_disk.key else {
        problems.add(Problem::at(
            PROPERTY,
            Code::MissingProperty,
            "no key for local disks is set",
            "Set it to the name of a key of type aes.",
        ));
        return;
    };
    if let Some(key) = keys.get(name).filter(|key| !matches!(key.kind, KeyKind::Aes(_))) {
        problems.add(Problem::at(
            PROPERTY,
            Code::KeyNotSymmetric,
            format!(
                "key {name} is of type {}, and local disks are encrypted with symmetric keys only",
                key.kind.type_name()
            ),
            "Name a key of type aes.",
        ));
    }
}

/// Separate keys for local disks and for S3 are what AWS recommends.
pub(super) fn shared_with_disk(
    keys: &BTreeMap<String, KeyConfig>,
    rules: &[RuleTarget],
    default_key: Option<&str>,
    local_disk: &LocalDisk,
) -> Option<String> {
    let disk = local_disk.key.as_deref()?;
    let location = |name: &str| match &keys.get(name)?.kind {
        KeyKind::Aes(AesKey {
            origin: Origin::File(file),
            ..
        }) => Some(&file.location),
        _ => None,
    };
    let same = |name: &str| name == disk || location(name).is_some_and(|place| location(disk) == Some(place));
    let shared = default_key
        .into_iter()
        .chain(rules.iter().map(|rule| rule.key.as_str()))
        .find(|key| same(key))?;
    Some(format!(
        "emrkeys.local-disk.key: key {disk} is also the key of objects in S3 ({shared}); use separate keys \
         for local disks and for S3"
    ))
}
