//! The validated model of a configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::keys::{KeyConfig, KeyKind, KeyringKey};
use super::Limits;
use crate::audit::AuditTarget;
use crate::aws::S3Access;
use crate::client::Client;
use crate::inputs::InputRef;
use crate::jce::JceSettings;
use crate::material::Location;
use crate::rules::Rules;
use crate::uri::S3Location;

/// A valid configuration, parsed once for one client. Holds names and places, and no secret. Thread-safe.
///
/// Names in it are resolved: each name of a key is that of an entry of `keys`.
#[derive(Debug)]
pub struct Config {
    /// The client that it was validated for.
    pub(crate) client: Client,
    pub(crate) keys: BTreeMap<String, KeyConfig>,
    pub(crate) rules: Rules<RuleTarget>,
    pub(crate) rule_names: Vec<RuleTarget>,
    pub(crate) default_key: Option<String>,
    /// The keys of objects that name none, at most one for each kind of wrap.
    pub(crate) legacy_keys: Vec<String>,
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
    /// `fs.s3.cse.kms.region`: where EMRFS looks for the KMS keys of its own client.
    pub(crate) emrfs_kms_region: Option<String>,
    pub(crate) warnings: Vec<String>,
}

/// The result of a rule.
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

impl Config {
    /// The client that the configuration was validated for.
    pub fn client(&self) -> Client {
        self.client
    }

    /// Settings that the operator should change, and that keep nothing from working.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The name of the key of the local disks.
    pub fn local_disk_key(&self) -> Option<&str> {
        self.local_disk.key.as_deref()
    }

    /// The type of a key, as configured; `None` for a name that is not configured.
    pub fn key_type(&self, key: &str) -> Option<&'static str> {
        self.keys.get(key).map(|key| key.kind.type_name())
    }

    /// The inputs that the caller must open before [`Provider::open`](crate::Provider::open), as only the caller can:
    /// URIs of Hadoop file systems and aliases of Hadoop credential providers.
    pub fn required_inputs(&self) -> Vec<InputRef> {
        let mut inputs = BTreeSet::new();
        for key in self.used_keys().filter_map(|name| self.keys.get(name)) {
            inputs.extend(key.kind.files().filter_map(|file| match &file.location {
                Location::External(uri) => Some(InputRef::Uri(uri.clone())),
                Location::File(_) | Location::S3 { .. } => None,
            }));
            let credentials = key.kind.credentials().into_iter();
            inputs.extend(credentials.map(|credential| InputRef::Credential(credential.alias.clone())));
        }
        inputs.into_iter().collect()
    }

    /// The key that a write of this client gets there; `None` if neither a rule nor the default gives one.
    pub(crate) fn key_for_write(
        &self,
        location: Option<&S3Location>,
        job_flow: Option<&str>,
    ) -> Option<&str> {
        let target = location.and_then(|location| self.rules.find(&location.committed(), job_flow));
        let key = target.map(|target| &target.key).or(self.default_key.as_ref());
        key.map(String::as_str)
    }

    /// The keys that a new object may get there, for one job flow or another: bucket and key as S3 has them.
    pub fn keys_at(&self, bucket: &str, key: &str) -> BTreeSet<String> {
        let location = S3Location::for_rules(self.client, bucket, key);
        let given = self.rules.find_all(&location.committed());
        let default_key = self.default_key.clone().filter(|_| !given.to_all);
        let targets = given.targets.into_iter().map(|target| target.key.clone());
        targets.chain(default_key).collect()
    }

    /// The keys that rules and default give to new objects, wherever they are.
    pub fn keys_of_rules(&self) -> BTreeSet<String> {
        let rules = self.rule_names.iter().map(|target| target.key.clone());
        rules.chain(self.default_key.clone()).collect()
    }

    /// The names of the keys that the client needs: local disks their key, S3 all but a key that only local disks have.
    pub(crate) fn used_keys(&self) -> impl Iterator<Item = &str> {
        let client = self.client;
        let disk = self.local_disk.key.as_deref();
        let disk_versions = disk
            .and_then(|key| self.keys.get(key))
            .map_or(&[][..], |key| &key.previous);
        let in_s3 = |name: &str| {
            self.default_key.as_deref() == Some(name)
                || self.protects_a_keyring(name)
                || self.legacy_keys.iter().any(|key| key == name)
                || self.rule_names.iter().any(|target| target.key == name)
        };
        let of_disk =
            move |name: &str| disk == Some(name) || disk_versions.iter().any(|version| version == name);
        self.keys
            .keys()
            .map(String::as_str)
            .filter(move |name| match client {
                Client::LocalDisk => of_disk(name),
                Client::S3 | Client::S3a | Client::Tables => {
                    !of_disk(name) || disk.is_some_and(in_s3) || in_s3(name)
                }
            })
    }

    /// Whether the key, or one whose older version it is, protects a keyring.
    fn protects_a_keyring(&self, name: &str) -> bool {
        let named = |protector: &str| {
            let versions = self.keys.get(protector).map_or(&[][..], |key| &key.previous);
            protector == name || versions.iter().any(|version| version == name)
        };
        self.keys.values().any(|key| {
            matches!(&key.kind, KeyKind::Keyring(KeyringKey { key: Some((_, protector)), .. }) if named(protector))
        })
    }
}
