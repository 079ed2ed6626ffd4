//! The summary of a configuration, for tools that check it: names and places, and nothing secret.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aws::kms::KmsTarget;
use crate::client::Client;
use crate::config::{Config, FileRef, KeyConfig, KeyKind, KeyringKey};
use crate::description;
use crate::material::Location;

/// A valid configuration, read for one use. Every name in it is that of a key in `keys`.
#[derive(Clone, Debug)]
pub struct ConfigSummary {
    /// By name.
    pub keys: Vec<KeySummary>,
    /// By prefix; a rule with several prefixes stands here for each.
    pub rules: Vec<RuleSummary>,
    /// `emrkeys.default.key`
    pub default_key: Option<String>,
    /// `emrkeys.legacy.key`
    pub legacy_key: Option<String>,
    /// `emrkeys.local-disk.key`
    pub local_disk_key: Option<String>,
    /// `emrkeys.s3.endpoint`: where key material in S3 is read from.
    pub s3_endpoint: Option<String>,
    /// `emrkeys.s3.region`
    pub s3_region: Option<String>,
    /// After that long a keyring is read again.
    pub keyring_max_age: Duration,
    /// Faults that should be repaired and keep nothing from working.
    pub warnings: Vec<String>,
}

/// One key of an [`ConfigSummary`].
#[derive(Clone, Debug)]
pub struct KeySummary {
    /// The name that rules use.
    pub name: String,
    /// As in `emrkeys.key.<name>.type`.
    pub key_type: &'static str,
    /// Whether this use loads it.
    pub used: bool,
    /// Whether new data may get it: a rule, the default or the local disks name it.
    pub encrypts: bool,
    /// The KMS keys that wrap for it (`kms`, `kms-cached`) or may protect it (`keyring`).
    pub kms: Vec<KmsTarget>,
    /// The encryption context of its calls of KMS, as far as the configuration decides it.
    pub encryption_context: BTreeMap<String, String>,
    /// Where its material is; of a keyring, the document comes first.
    pub files: Vec<FileSummary>,
    /// The aliases of Hadoop's credential providers that it needs.
    pub credentials: Vec<String>,
    /// Older versions, newest first.
    pub previous: Vec<String>,
    /// Older names.
    pub aliases: Vec<String>,
}

/// A place of key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSummary {
    /// The property that names it; of a keyring under a key of type `aes`, that of the other key.
    pub property: String,
    /// `file:`, `s3:`, or what only Hadoop can open.
    pub uri: String,
    /// Whether only Hadoop can open it.
    pub external: bool,
}

/// One prefix of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSummary {
    /// The rule's name.
    pub name: String,
    /// The bucket of the prefix.
    pub bucket: String,
    /// The rest of it, decoded; bytes that are not UTF-8 are replaced.
    pub prefix: String,
    /// For writes of this cluster alone.
    pub job_flow: Option<String>,
    /// The name of the key that new objects get.
    pub key: String,
}

/// The names and places of a configuration. Opens nothing.
pub fn config_summary(config: &Config) -> ConfigSummary {
    let used: Vec<&str> = config.used_keys().collect();
    let encrypts = |name: &str| match config.client {
        Client::LocalDisk => config.local_disk.key.as_deref() == Some(name),
        // A table may name any key.
        Client::Tables => used.contains(&name),
        Client::S3 | Client::S3a => {
            config.default_key.as_deref() == Some(name)
                || config.rule_names.iter().any(|rule| rule.key == name)
        }
    };
    let keys = config.keys.iter().map(|(name, key)| KeySummary {
        used: used.contains(&name.as_str()),
        encrypts: encrypts(name),
        ..key_summary(name, key, config)
    });
    let rules = config
        .rules
        .entries()
        .map(|(prefix, job_flow, target)| RuleSummary {
            name: target.rule.clone(),
            bucket: prefix.bucket,
            prefix: String::from_utf8_lossy(&prefix.key).into_owned(),
            job_flow: job_flow.map(str::to_owned),
            key: target.key.clone(),
        });
    ConfigSummary {
        keys: keys.collect(),
        rules: rules.collect(),
        default_key: config.default_key.clone(),
        legacy_key: (!config.legacy_keys.is_empty()).then(|| config.legacy_keys.join(",")),
        local_disk_key: config.local_disk.key.clone(),
        s3_endpoint: config.s3.endpoint.clone(),
        s3_region: config.s3.region.clone(),
        keyring_max_age: config.keyring_max_age,
        warnings: config.warnings.clone(),
    }
}

fn key_summary(name: &str, key: &KeyConfig, config: &Config) -> KeySummary {
    let kind = &key.kind;
    let mut files: Vec<&FileRef> = kind.files().collect();
    let mut credentials = kind.credentials();
    if let KeyKind::Keyring(keyring) = kind {
        for version in protector_versions(keyring, config) {
            files.extend(version.kind.files());
            credentials.extend(version.kind.credentials());
        }
    }
    let mut kms = kind.kms_targets().to_vec();
    if let KeyKind::Kms(_) = kind {
        for target in &mut kms {
            target.access.region.clone_from(&config.emrfs_kms_region);
        }
    }
    let mut encryption_context = kind.encryption_context().cloned().unwrap_or_default();
    if kind.encryption_context().is_some() {
        encryption_context.insert(description::KEY.to_owned(), name.to_owned());
    }
    KeySummary {
        name: name.to_owned(),
        key_type: kind.type_name(),
        used: false,
        encrypts: false,
        kms,
        encryption_context,
        files: files.into_iter().map(place).collect(),
        credentials: credentials
            .into_iter()
            .map(|credential| credential.alias.clone())
            .collect(),
        previous: key.previous.clone(),
        aliases: key.aliases.clone(),
    }
}

/// The key of type `aes` that may protect a keyring, and its older versions.
fn protector_versions<'a>(keyring: &KeyringKey, config: &'a Config) -> impl Iterator<Item = &'a KeyConfig> {
    let named = keyring.key.as_ref().and_then(|(_, name)| config.keys.get(name));
    named.into_iter().flat_map(|key| {
        std::iter::once(key).chain(key.previous.iter().filter_map(|old| config.keys.get(old)))
    })
}

/// The place as a URI that [`Location::literal`] reads back.
fn place(file: &FileRef) -> FileSummary {
    FileSummary {
        property: file.property.clone(),
        uri: file.location.to_string(),
        external: matches!(file.location, Location::External(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::inputs::Settings;

    fn summary_of(client: Client, settings: &Settings) -> ConfigSummary {
        config_summary(&Config::parse(client, settings).unwrap())
    }

    fn settings(entries: &[(&str, &str)]) -> Settings {
        entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    const BASE: &[(&str, &str)] = &[
        ("emrkeys.key.lake.type", "keyring"),
        ("emrkeys.key.lake.uri", "s3a://keys/100%25/lake"),
        ("emrkeys.key.lake.protector-key", "master"),
        ("emrkeys.key.master.type", "aes"),
        ("emrkeys.key.master.file", "hdfs:///master"),
        ("emrkeys.key.raw.type", "kms-cached"),
        ("emrkeys.key.raw.kms-key-id", "alias/raw"),
        ("emrkeys.key.raw.encryption-context.team", "a"),
        ("emrkeys.key.disk.type", "aes"),
        ("emrkeys.key.disk.credential", "disk.key"),
        ("emrkeys.local-disk.key", "disk"),
        ("emrkeys.default.key", "lake"),
        ("emrkeys.rule.r.key", "raw"),
        ("emrkeys.rule.r.prefix", "s3://lake/raw/,s3n://other"),
        ("emrkeys.rule.r.job-flow", "j-1ABC"),
        ("fs.s3.cse.materialsDescription.enabled", "true"),
    ];

    #[test]
    fn everything_that_is_named_is_there() {
        let summary = summary_of(Client::S3, &settings(BASE));
        let key = |name: &str| summary.keys.iter().find(|key| key.name == name).unwrap();
        let uris: Vec<_> = key("lake")
            .files
            .iter()
            .map(|file| (file.uri.as_str(), file.external))
            .collect();
        assert_eq!(uris, [("s3://keys/100%/lake", false), ("hdfs:///master", true)]);
        assert_eq!(key("raw").kms[0].key_id, "alias/raw");
        let context: Vec<_> = key("raw")
            .encryption_context
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(context, [("emrkeys.key", "raw"), ("team", "a")]);
        assert_eq!(key("disk").credentials, ["disk.key"]);
        let used = |wanted: fn(&KeySummary) -> bool| -> Vec<&str> {
            summary
                .keys
                .iter()
                .filter(|key| wanted(key))
                .map(|key| key.name.as_str())
                .collect()
        };
        assert_eq!(used(|key| key.used), ["lake", "master", "raw"]);
        assert_eq!(used(|key| key.encrypts), ["lake", "raw"]);
        let rules: Vec<_> = summary
            .rules
            .iter()
            .map(|r| (r.bucket.as_str(), r.prefix.as_str(), r.job_flow.as_deref()))
            .collect();
        assert_eq!(
            rules,
            [("lake", "raw/", Some("j-1ABC")), ("other", "", Some("j-1ABC"))]
        );
    }

    #[test]
    fn a_use_has_its_own_keys_and_the_errors_are_those_of_the_provider() {
        let disk = summary_of(Client::LocalDisk, &settings(BASE));
        let encrypts: Vec<_> = disk
            .keys
            .iter()
            .filter(|key| key.encrypts)
            .map(|key| key.name.as_str())
            .collect();
        assert_eq!(encrypts, ["disk"]);
        let error = Config::parse(Client::S3, &settings(&[("emrkeys.defualt.key", "a")])).unwrap_err();
        assert_eq!(error.code(), Code::UnknownProperty);
    }

    #[test]
    fn keys_of_type_kms_are_where_emrfs_looks_for_them() {
        let entries = settings(&[
            ("fs.s3.cse.kms.keyId", "alias/a"),
            ("fs.s3.cse.kms.region", "eu-west-1"),
        ]);
        let region = |usage| summary_of(usage, &entries).keys[0].kms[0].access.region.clone();
        assert_eq!(region(Client::S3).as_deref(), Some("eu-west-1"));
        assert_eq!(region(Client::S3a), None);
    }
}
