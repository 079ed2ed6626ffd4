//! From Hadoop properties to a validated model. Every problem is found before any is reported.

pub(crate) mod limits;
pub(crate) mod loader;
mod parse;
pub(crate) mod properties;
mod switched_off;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::audit::AuditTarget;
use crate::aws::kms::{Context, KmsAccess, KmsTarget, Role};
use crate::aws::S3Access;
use crate::error::{excerpt, Code, Error, Problem, Problems};
use crate::http::ServiceUrl;
use crate::inputs::{InputRef, Settings};
use crate::jce::{JceInstall, JceMgf1, JceRelease, JceSettings, MAX_BUFFERED_LIMIT};
use crate::material::aes_key::Encoding;
use crate::material::{Location, Permissions};
use crate::model::Client;
use crate::release;
use crate::rules::{Rule, Rules};
use crate::uri::S3Location;
pub(crate) use limits::Limits;
use parse::Reader;

/// The name of the key that the properties of AWS's providers define.
const DROP_IN_KEY: &str = "default";

const RSA_PUBLIC: &str = "fs.s3.cse.rsa.public";
const RSA_PRIVATE: &str = "fs.s3.cse.rsa.private";
const RSA_NAME: &str = "fs.s3.cse.rsa.name";
const KMS_KEY_ID: &str = "fs.s3.cse.kms.keyId";
const DESCRIPTION_ENABLED: &str = "fs.s3.cse.materialsDescription.enabled";
const V2_ENABLED: &str = "fs.s3.cse.encryptionV2.enabled";

/// A valid configuration. Names in it are resolved: whatever names a key names one in `keys`.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) keys: BTreeMap<String, KeyConfig>,
    pub(crate) rules: Rules<RuleTarget>,
    pub(crate) rule_names: Vec<RuleTarget>,
    pub(crate) default_key: Option<String>,
    pub(crate) legacy_key: Option<String>,
    pub(crate) local_disk: LocalDisk,
    pub(crate) s3: S3Access,
    pub(crate) jce: JceSettings,
    pub(crate) cache: Limits,
    /// After that long a keyring is read again.
    pub(crate) keyring_max_age: Duration,
    pub(crate) audit: AuditTarget,
    /// How often the counters are logged; zero: never.
    pub(crate) stats_interval: Duration,
    pub(crate) allow_plaintext_secrets: bool,
    /// Whether S3A may read what is wrapped in older ways.
    pub(crate) allow_legacy_wraps: bool,
    pub(crate) warnings: Vec<String>,
}

/// The keys that rules and default may give to a new object there, for one job flow or another.
pub(crate) fn keys_at(
    rules: &Rules<RuleTarget>,
    default_key: Option<&str>,
    bucket: &str,
    key: &str,
) -> BTreeSet<String> {
    let location = S3Location {
        bucket: bucket.to_owned(),
        key: key.as_bytes().to_vec(),
    };
    let given = rules.find_all(&location.committed());
    let default_key = default_key.filter(|_| !given.to_all).map(str::to_owned);
    let targets = given.targets.into_iter().map(|target| target.key.clone());
    targets.chain(default_key).collect()
}

/// What a rule gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleTarget {
    pub(crate) rule: String,
    pub(crate) key: String,
}

#[derive(Debug, Default)]
pub(crate) struct LocalDisk {
    pub(crate) key: Option<String>,
    /// As configured; else the node knows.
    pub(crate) release: Option<(u32, u32)>,
    pub(crate) release_file: Option<PathBuf>,
}

/// One configured key.
#[derive(Debug)]
pub(crate) struct KeyConfig {
    pub(crate) kind: KeyKind,
    /// Names of older versions, newest first, those that older versions name included.
    pub(crate) previous: Vec<String>,
    pub(crate) aliases: Vec<String>,
    /// Fields and values of other providers' descriptions.
    pub(crate) matches: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) enum KeyKind {
    Aes { origin: Origin, encoding: Encoding },
    Rsa(RsaConfig),
    Kms(KmsConfig),
    KmsCached(KmsCachedConfig),
    Keyring(KeyringConfig),
    DataKeyService(DataKeyServiceConfig),
}

#[derive(Debug)]
pub(crate) struct KeyringConfig {
    pub(crate) document: FileRef,
    /// The KMS keys that may protect it.
    pub(crate) kms: Vec<KmsTarget>,
    /// The files with AES keys that may.
    pub(crate) files: Vec<FileRef>,
    /// The property that names a key of type `aes` that may, and the name.
    pub(crate) key: Option<(String, String)>,
    /// The least value of its counter.
    pub(crate) min_generation: u64,
}

#[derive(Debug)]
pub(crate) struct KmsConfig {
    /// ARN, key id or alias.
    pub(crate) key_id: String,
    /// ARNs or key ids of the KMS keys that decrypt, too.
    pub(crate) previous: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct KmsCachedConfig {
    pub(crate) target: KmsTarget,
    /// The KMS keys that unwrap, too; none of them is an alias.
    pub(crate) previous: Vec<KmsTarget>,
    /// What the user adds to the encryption context.
    pub(crate) context: Context,
}

#[derive(Debug)]
pub(crate) struct DataKeyServiceConfig {
    pub(crate) url: ServiceUrl,
    /// The client's certificate and key.
    pub(crate) identity: Option<FileRef>,
    /// Whom the client trusts; the machine's own authorities if not set.
    pub(crate) trust: Option<FileRef>,
    /// Of either file, where it is encrypted.
    pub(crate) password: Option<CredentialRef>,
}

#[derive(Debug)]
pub(crate) struct RsaConfig {
    pub(crate) public: FileRef,
    pub(crate) private: Option<FileRef>,
    pub(crate) password: Option<CredentialRef>,
    pub(crate) legacy_name: Option<String>,
    pub(crate) permissions: Permissions,
}

#[derive(Debug)]
pub(crate) enum Origin {
    File(FileRef),
    Credential(CredentialRef),
}

/// A file of key material and the property that names it.
#[derive(Debug)]
pub(crate) struct FileRef {
    pub(crate) property: String,
    pub(crate) location: Location,
}

/// An alias of a credential and the property that names it.
#[derive(Debug)]
pub(crate) struct CredentialRef {
    pub(crate) property: String,
    pub(crate) alias: String,
}

impl KeyKind {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            KeyKind::Aes { .. } => "aes",
            KeyKind::Rsa(_) => "rsa",
            KeyKind::Kms(_) => "kms",
            KeyKind::KmsCached(_) => "kms-cached",
            KeyKind::Keyring(_) => "keyring",
            KeyKind::DataKeyService(_) => "data-key-service",
        }
    }
}

impl Config {
    /// Reads and validates all of `settings` for one use.
    ///
    /// # Errors
    /// Everything that is wrong with them, each problem with its property.
    pub(crate) fn parse(usage: Client, settings: &Settings) -> Result<Config, Error> {
        let mut reader = Reader::new(settings);
        reader.refuse_unknown();
        let mut keys = reader.keys();
        let mut default_key = reader.name_of_key("emrkeys.default.key");
        let legacy_key = reader.name_of_key("emrkeys.legacy.key");
        let local_disk = reader.local_disk();
        let rules = reader.rules();
        let drop_in = keys.is_empty() && rules.is_empty() && default_key.is_none() && !reader.names_keys();
        if drop_in {
            if let Some(key) = reader.drop_in_key() {
                keys.insert(DROP_IN_KEY.to_owned(), key);
                default_key = Some(DROP_IN_KEY.to_owned());
            }
        }
        let s3 = reader.s3_access();
        let jce = reader.jce();
        let cache = reader.cache();
        let keyring_max_age = reader.keyring_max_age();
        let audit = reader.audit();
        let stats_interval = reader.stats_interval();
        let allow_plaintext_secrets = reader.flag("emrkeys.allow-plaintext-secrets");
        let allow_legacy_wraps = reader.flag(properties::ALLOW_LEGACY_WRAPS);
        let described = reader.flag(DESCRIPTION_ENABLED);
        let v2 = reader.flag(V2_ENABLED);
        let mut problems = reader.into_problems();

        let known: BTreeSet<String> = settings_key_names(settings).chain(keys.keys().cloned()).collect();
        check_names(
            &known,
            &rules,
            &default_key,
            &legacy_key,
            &local_disk,
            &mut problems,
        );
        check_protectors(&keys, &known, &mut problems);
        resolve_previous(&mut keys, &known, &mut problems);
        check_names_are_unique(&keys, &mut problems);
        let mut rule_names: Vec<RuleTarget> = rules.iter().map(|rule| rule.target.clone()).collect();
        rule_names.dedup(); // a rule with several prefixes stands there once for each, in a row
        if keys.is_empty() && problems.is_empty() {
            problems.add(Problem::at(
                "emrkeys.key.<name>.type",
                Code::MissingProperty,
                "no key is configured",
                "Configure a key (emrkeys.key.<name>.type and what its type needs) and name it in emrkeys.default.key or a rule.",
            ));
        }
        let mut warnings = Vec::new();
        match usage {
            Client::S3 => {
                check_client(
                    &keys,
                    &rule_names,
                    default_key.as_deref(),
                    described,
                    v2,
                    &mut problems,
                );
            }
            Client::S3a => check_s3a(&keys, &rule_names, default_key.as_deref(), &mut problems),
            Client::LocalDisk => check_local_disk(&keys, &local_disk, &mut problems),
        }
        if usage != Client::LocalDisk && default_key.is_none() && rule_names.is_empty() {
            warnings.push(
                "neither a rule nor emrkeys.default.key is set: objects can be read, none can be written"
                    .to_owned(),
            );
        }
        if usage != Client::LocalDisk && !drop_in {
            warnings.extend(switched_off::warnings(settings, &keys));
        }
        warnings.extend(shared_with_disk(
            &keys,
            &rule_names,
            default_key.as_deref(),
            &local_disk,
        ));

        let rules = match Rules::new(rules) {
            Ok(rules) => Some(rules),
            Err((one, other)) => {
                problems.add(Problem::at(
                    format!("emrkeys.rule.{}.prefix", other.rule),
                    Code::DuplicateRule,
                    format!(
                        "rules {} and {} have the same prefix and job flow",
                        one.rule, other.rule
                    ),
                    "Remove one of the two, or give one a longer prefix or a job-flow.",
                ));
                None
            }
        };
        let rules = match (problems.into_error(), rules) {
            (Some(error), _) => return Err(error),
            (None, Some(rules)) => rules,
            (None, None) => return Err(internal().into()),
        };
        Ok(Config {
            keys,
            rules,
            rule_names,
            default_key,
            legacy_key,
            local_disk,
            s3,
            jce,
            cache,
            keyring_max_age,
            audit,
            stats_interval,
            allow_plaintext_secrets,
            allow_legacy_wraps,
            warnings,
        })
    }

    /// The names of the keys that a use needs: local disks their key, S3 all but a key that only local disks have.
    pub(crate) fn keys_for(&self, usage: Client) -> impl Iterator<Item = &str> {
        let disk = self.local_disk.key.as_deref();
        let disk_versions = disk
            .and_then(|key| self.keys.get(key))
            .map_or(&[][..], |key| &key.previous);
        let in_s3 = |name: &str| {
            self.default_key.as_deref() == Some(name)
                || self.protects_a_keyring(name)
                || self.legacy_key.as_deref() == Some(name)
                || self.rule_names.iter().any(|target| target.key == name)
        };
        let of_disk =
            move |name: &str| disk == Some(name) || disk_versions.iter().any(|version| version == name);
        self.keys
            .keys()
            .map(String::as_str)
            .filter(move |name| match usage {
                Client::LocalDisk => of_disk(name),
                Client::S3 | Client::S3a => !of_disk(name) || disk.is_some_and(in_s3) || in_s3(name),
            })
    }

    /// Whether the key, or one whose older version it is, protects a keyring.
    fn protects_a_keyring(&self, name: &str) -> bool {
        let named = |protector: &str| {
            let versions = self.keys.get(protector).map_or(&[][..], |key| &key.previous);
            protector == name || versions.iter().any(|version| version == name)
        };
        self.keys.values().any(|key| {
            matches!(&key.kind, KeyKind::Keyring(KeyringConfig { key: Some((_, protector)), .. }) if named(protector))
        })
    }

    /// What the caller must open for these keys.
    pub(crate) fn inputs_for(&self, usage: Client) -> Vec<InputRef> {
        let mut inputs = BTreeSet::new();
        for key in self.keys_for(usage).filter_map(|name| self.keys.get(name)) {
            let (files, credential): (Vec<&FileRef>, _) = match &key.kind {
                KeyKind::Aes {
                    origin: Origin::File(file),
                    ..
                } => (vec![file], None),
                KeyKind::Aes {
                    origin: Origin::Credential(credential),
                    ..
                } => (vec![], Some(credential)),
                KeyKind::Rsa(rsa) => (
                    rsa.private.iter().chain([&rsa.public]).collect(),
                    rsa.password.as_ref(),
                ),
                KeyKind::Keyring(keyring) => (
                    std::iter::once(&keyring.document).chain(&keyring.files).collect(),
                    None,
                ),
                KeyKind::DataKeyService(service) => (
                    service.identity.iter().chain(&service.trust).collect(),
                    service.password.as_ref(),
                ),
                KeyKind::Kms(_) | KeyKind::KmsCached(_) => (vec![], None),
            };
            inputs.extend(files.into_iter().filter_map(|file| match &file.location {
                Location::External(uri) => Some(InputRef::Uri(uri.clone())),
                Location::File(_) | Location::S3 { .. } => None,
            }));
            inputs.extend(credential.map(|credential| InputRef::Credential(credential.alias.clone())));
        }
        inputs.into_iter().collect()
    }
}

fn internal() -> Problem {
    Problem::new(
        Code::Internal,
        "a rule set was neither built nor refused",
        "Report this defect.",
    )
}

/// The names that `emrkeys.key.<name>.…` properties give, whether or not the rest of them is valid: so that a key
/// with one wrong property is reported once, and not again wherever it is named.
fn settings_key_names(settings: &Settings) -> impl Iterator<Item = String> + '_ {
    settings
        .range(properties::KEY_PREFIX.to_owned()..)
        .map_while(|(property, _)| property.strip_prefix(properties::KEY_PREFIX))
        .filter_map(|rest| rest.split('.').next())
        .map(str::to_owned)
}

fn check_names(
    known: &BTreeSet<String>,
    rules: &[Rule<RuleTarget>],
    default_key: &Option<String>,
    legacy_key: &Option<String>,
    local_disk: &LocalDisk,
    problems: &mut Problems,
) {
    let single = [
        ("emrkeys.default.key", default_key),
        ("emrkeys.legacy.key", legacy_key),
        ("emrkeys.local-disk.key", &local_disk.key),
    ];
    for (property, key) in single
        .into_iter()
        .filter_map(|(property, key)| Some((property, key.as_ref()?)))
    {
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

/// What protects a keyring by name is a key of type `aes`.
fn check_protectors(keys: &BTreeMap<String, KeyConfig>, known: &BTreeSet<String>, problems: &mut Problems) {
    for key in keys.values() {
        let KeyKind::Keyring(KeyringConfig {
            key: Some((property, protector)),
            ..
        }) = &key.kind
        else {
            continue;
        };
        match keys.get(protector).map(|key| &key.kind) {
            Some(KeyKind::Aes { .. }) => {}
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
fn resolve_previous(
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
                    format!("{older} is of type {}, {name} of type {}", other.kind.type_name(), key.kind.type_name()),
                    "Versions of one key are of one type: name the other key in a rule of its own, or by .match or .aliases.",
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
fn check_names_are_unique(keys: &BTreeMap<String, KeyConfig>, problems: &mut Problems) {
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
        if let KeyKind::Rsa(RsaConfig {
            legacy_name: Some(legacy_name),
            ..
        }) = &key.kind
        {
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

/// What the S3 client would get wrong in silence.
fn check_client(
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
            format!("there are rules by prefix ({} and so on), but EMRFS does not pass the object's location on, so that every object would get the default key", rules[0].rule),
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
        if let Some(KeyConfig {
            kind: KeyKind::Kms(_),
            ..
        }) = keys.get(key)
        {
            problems.add(Problem::at(
                property,
                Code::KmsWithV2,
                format!("key {key} is of type kms, and with both {V2_ENABLED}=true and {DESCRIPTION_ENABLED}=true the client could not read back what it writes under such a key"),
                format!("Use a key of type aes or rsa, or set {V2_ENABLED}=false, or (without rules) {DESCRIPTION_ENABLED}=false."),
            ));
        }
    }
}

/// With a key of type `kms`, S3A's client stores no key id and refuses an object that says more than it wrote itself; so what it
/// writes can be told to be of one such key only where there is one.
/// Source: `KmsKeyring.decryptDataKey` of the S3 Encryption Client.
fn check_s3a(
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
            format!("there are {kms} keys of type kms, and what S3A writes under one of them does not say which"),
            "Use type kms-cached or keyring for what is written; keys of type kms may stay for objects that EMRFS wrote.",
        ));
    }
}

fn check_local_disk(keys: &BTreeMap<String, KeyConfig>, local_disk: &LocalDisk, problems: &mut Problems) {
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
    if let Some(key) = keys
        .get(name)
        .filter(|key| !matches!(key.kind, KeyKind::Aes { .. }))
    {
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
fn shared_with_disk(
    keys: &BTreeMap<String, KeyConfig>,
    rules: &[RuleTarget],
    default_key: Option<&str>,
    local_disk: &LocalDisk,
) -> Option<String> {
    let disk = local_disk.key.as_deref()?;
    let location = |name: &str| match &keys.get(name)?.kind {
        KeyKind::Aes {
            origin: Origin::File(file),
            ..
        } => Some(&file.location),
        _ => None,
    };
    let same = |name: &str| name == disk || location(name).is_some_and(|place| location(disk) == Some(place));
    let shared = default_key
        .into_iter()
        .chain(rules.iter().map(|rule| rule.key.as_str()))
        .find(|key| same(key))?;
    Some(format!(
        "emrkeys.local-disk.key: key {disk} is also the key of objects in S3 ({shared}); use separate keys for local disks and for S3"
    ))
}

#[cfg(test)]
mod tests;
