//! The one façade: configuration and requests in, materials out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use once_cell::sync::OnceCell;
use secrecy::SecretSlice;

use crate::audit::{Audit, AuditTarget, Trail};
use crate::cache::{Counts, KeyCache};
use crate::config::{Config, DataKeyServiceConfig, KeyConfig, KeyKind, KmsCachedConfig, RuleTarget};
use crate::description::{self, Description};
use crate::error::{excerpt, Code, Error, Problem, Problems};
use crate::inputs::{InputRef, Inputs, Settings};
use crate::jce::JceSettings;
use crate::kms::KmsTarget;
use crate::material::S3Access;
use crate::object::envelope::{self, Wrap};
use crate::object::Store;
use crate::owners::Owners;
use crate::release;
use crate::rules::Rules;
use crate::source::cached::CachedKey;
use crate::source::kms::KmsKey;
use crate::source::service::kms::KmsService;
use crate::source::service::{data_key_service, KeyService};
use crate::source::versions::{Version, VersionedKey};
use crate::source::{aes, keyring, rsa, Loader, Source};
use crate::uri::S3Location;

/// Who asks for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// An S3 client that encrypts on the client's side: all keys, chosen by rules.
    S3,
    /// Hadoop's S3A connector, by the keyring of its S3 encryption client: all keys, chosen by rules.
    S3a,
    /// EMR's local disks: the one key of `emrkeys.local-disk.key`.
    LocalDisk,
}

/// A key and what is stored with what it encrypts.
#[derive(Clone, Debug)]
pub struct Materials {
    /// The key-encryption key, or how to get at it.
    pub key: MaterialKey,
    /// On encryption what is to be stored, at most 1 KiB and never a secret; on decryption what was stored.
    pub description: Vec<(String, String)>,
}

/// The key of [`Materials`]. Copies share the secret, which is zeroized with the last of them.
#[derive(Clone)]
pub enum MaterialKey {
    /// A symmetric key.
    Symmetric {
        /// What a Java `SecretKeySpec` of this key is to be called: `AES` or `AES/GCM/NoPadding`.
        algorithm: &'static str,
        /// 16, 24 or 32 bytes.
        bytes: Arc<SecretSlice<u8>>,
    },
    /// An RSA key pair of 2048 bits or more.
    KeyPair {
        /// X.509 SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), DER.
        public: Vec<u8>,
        /// PKCS#8 PrivateKeyInfo (RFC 5208), DER; `None` for a key that encrypts only.
        private: Option<Arc<SecretSlice<u8>>>,
    },
    /// A KMS key that the S3 client uses by itself.
    Kms {
        /// ARN, key id or alias, as configured or as stored.
        key_id: String,
    },
}

impl fmt::Debug for MaterialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaterialKey::Symmetric { algorithm, .. } => write!(f, "Symmetric({algorithm}, …)"),
            MaterialKey::KeyPair { private, .. } => {
                write!(
                    f,
                    "KeyPair(public{})",
                    if private.is_some() { ", private" } else { "" }
                )
            }
            MaterialKey::Kms { key_id } => write!(f, "Kms({key_id})"),
        }
    }
}

/// How a client asks for materials.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// Its call without an argument: a write of which nothing is known.
    NoArgument,
    /// Its call with a description that is `null`.
    ///
    /// The SDK v1 makes it for a write whose request has no description, and then for `null` in return makes the call
    /// without an argument; and for a read of an object that has none, where it takes `null` for "no such key".
    /// Source: `S3CryptoModuleBase.createContentCryptoMaterial` and `ContentCryptoMaterial.matdescFromJson`.
    NoDescription,
    /// Its call with a description: names and values.
    Description(&'a [(&'a str, &'a str)]),
    /// A write, by a client that says which object it writes: the names as S3 has them, nothing encoded.
    Write {
        /// The bucket.
        bucket: &'a str,
        /// The object's key.
        key: &'a str,
    },
    /// A write to this object under a key that is named and not chosen by rules.
    WriteUnder {
        /// The bucket.
        bucket: &'a str,
        /// The object's key.
        key: &'a str,
        /// The name of the key.
        under: &'a str,
    },
    /// A read, by a client that says so: never taken for a write, whatever the description holds.
    Read {
        /// The stored description.
        stored: &'a [(&'a str, &'a str)],
        /// How the data key is wrapped, such as `AES/GCM`.
        wrap: &'a str,
        /// The cipher of the content, such as `AES/GCM/NoPadding`.
        content: &'a str,
        /// Bucket and key of the object, for the audit log, where they are known.
        object: Option<(&'a str, &'a str)>,
    },
}

/// What a start or a refresh has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One line: version, keys and rules by name.
    pub summary: String,
    /// What should be changed and keeps nothing from working.
    pub warnings: Vec<String>,
    /// How the caller is to set up its JCE provider.
    pub jce: JceSettings,
    /// Whether the caller is to log what [`Provider::take_audit`] gives after each request.
    pub audit_to_log: bool,
    /// How often the caller is to log [`Provider::stats`]; zero: never.
    pub stats_interval: Duration,
}

/// What a key asked of its key service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStats {
    /// The key's name.
    pub key: String,
    /// The age of the key that encrypts, if there is one.
    pub age: Option<Duration>,
    /// What happened so far, in this process, under everything that is configured like this key.
    pub counts: Counts,
}

/// What must be opened by the caller before [`Provider::open`], because only the caller can.
///
/// # Errors
/// Every problem of the configuration.
pub fn plan(usage: Usage, settings: &Settings) -> Result<Vec<InputRef>, Error> {
    Config::parse(usage, settings).map(|config| config.inputs_for(usage))
}

/// Gives materials. Thread-safe; a [`refresh`](Provider::refresh) never disturbs a request under way.
#[derive(Debug)]
pub struct Provider {
    usage: Usage,
    state: ArcSwap<State>,
}

impl Provider {
    /// Validates the configuration and loads every key that the use needs.
    ///
    /// # Errors
    /// Every problem of the configuration; else every problem of the key material.
    pub fn open(usage: Usage, settings: &Settings, inputs: &Inputs) -> Result<(Provider, Report), Error> {
        let (state, report) = State::load(usage, settings, inputs)?;
        Ok((
            Provider {
                usage,
                state: ArcSwap::from_pointee(state),
            },
            report,
        ))
    }

    /// Does what [`open`](Provider::open) does and swaps the result in at once.
    ///
    /// # Errors
    /// As `open`; then everything stays as it was.
    pub fn refresh(&self, settings: &Settings, inputs: &Inputs) -> Result<Report, Error> {
        let (state, report) = State::load(self.usage, settings, inputs)?;
        let mut problems = Problems::default();
        for source in state.keys.values() {
            problems.keep(source.renew());
        }
        if let Some(error) = problems.into_error() {
            return Err(error);
        }
        self.state.store(Arc::new(state));
        Ok(report)
    }

    /// The materials for a request; `None` for [`Request::NoDescription`] where no legacy key is set.
    ///
    /// Whether a call is for encryption or for decryption shows in the description alone. One that identifies a key
    /// is what was stored with an object; one that only gives a location or a job flow describes a write. Without any
    /// description a call may be either, so that only the legacy key, which the user named for such objects, is given.
    ///
    /// # Errors
    /// `NO_RULE`, `INVALID_URI` on encryption; on decryption the codes of descriptions and of keys.
    pub fn materials(&self, request: Request<'_>) -> Result<Option<Materials>, Error> {
        let state = self.state.load();
        let description = match request {
            Request::Description(entries) | Request::Read { stored: entries, .. } => {
                Some(Description::new(entries)?)
            }
            Request::NoArgument
            | Request::NoDescription
            | Request::Write { .. }
            | Request::WriteUnder { .. } => None,
        };
        if state.audit.is_off() {
            return Ok(self.answer(&state, request, description.as_ref(), &mut Trail::default())?);
        }
        let mut trail = Trail {
            purpose: match (&request, &description) {
                (Request::Read { .. }, _) => DECRYPT,
                (_, Some(description)) if !description.is_write_request() => DECRYPT,
                _ => ENCRYPT,
            },
            uri: match &request {
                Request::Write { bucket, key }
                | Request::WriteUnder { bucket, key, .. }
                | Request::Read {
                    object: Some((bucket, key)),
                    ..
                } => Some(format!("s3://{bucket}/{key}")),
                _ => description
                    .as_ref()
                    .and_then(|description| description.location_text().map(str::to_owned)),
            },
            ..Trail::default()
        };
        let answer = self.answer(&state, request, description.as_ref(), &mut trail);
        if let Ok(Some(materials)) = &answer {
            trail.version = description::version_of(&materials.description).map(str::to_owned);
        }
        match &answer {
            Ok(None) => {}
            Ok(Some(_)) => state.audit.write(&trail, "ok")?,
            Err(problem) => state.audit.write(&trail, problem.code.as_str())?,
        }
        Ok(answer?)
    }

    fn answer(
        &self,
        state: &State,
        request: Request<'_>,
        description: Option<&Description>,
        trail: &mut Trail,
    ) -> Result<Option<Materials>, Problem> {
        let materials = match (self.usage, request, description) {
            (Usage::LocalDisk, _, description) => state.for_local_disk(description, trail)?,
            (_, Request::Write { bucket, key }, _) => state.for_write(bucket, key, trail)?,
            (_, Request::WriteUnder { under, .. }, _) => state.source(under, trail)?.for_encryption()?,
            (_, Request::Read { wrap, content, .. }, Some(stored)) => {
                if self.usage == Usage::S3a {
                    envelope::check_for_s3a(wrap, content, state.allow_legacy_wraps)?;
                }
                state.for_read(stored, wrap, trail)?
            }
            (_, Request::NoDescription, _) => match state.owners.legacy_key() {
                None => return Ok(None),
                // If it is a write after all, the object says whose it is.
                Some(legacy) => state.source(legacy, trail)?.for_encryption()?,
            },
            (_, _, Some(description)) => state.for_description(description, trail)?,
            (_, _, None) => state
                .source(state.key_for_write(None, None)?, trail)?
                .for_encryption()?,
        };
        Ok(Some(materials))
    }

    /// The S3 of this configuration, for objects: as it is reached for key material.
    ///
    /// # Errors
    /// `SOURCE_UNAVAILABLE` where no threads are left.
    pub fn store(&self) -> Result<Store, Error> {
        let state = self.state.load();
        let store = state.store.get_or_try_init(|| Store::connect(&state.s3));
        store.cloned()
    }

    /// Whether an object that KMS's own wrap alone describes leads back to a key.
    pub(crate) fn has_one_kms_key(&self) -> bool {
        self.state.load().owners.only_kms_key().is_some()
    }

    /// The lines of the audit log that the caller is to log, oldest first.
    pub fn take_audit(&self) -> Vec<String> {
        self.state.load().audit.take()
    }

    /// Counters of the keys that have a key service, by name.
    pub fn stats(&self) -> Vec<KeyStats> {
        let state = self.state.load();
        let stats = state.keys.iter().filter_map(|(name, source)| {
            let (counts, age) = source.counts()?;
            Some(KeyStats {
                key: name.clone(),
                age,
                counts,
            })
        });
        stats.collect()
    }
}

/// The purposes in the audit log.
const ENCRYPT: &str = "encrypt";
const DECRYPT: &str = "decrypt";

/// What one configuration gives. Never changed once it is in use.
struct State {
    keys: BTreeMap<String, Box<dyn Source>>,
    owners: Owners,
    rules: Rules<RuleTarget>,
    default_key: Option<String>,
    local_disk_key: Option<String>,
    local_disk_algorithm: &'static str,
    allow_legacy_wraps: bool,
    audit: Audit,
    s3: S3Access,
    store: OnceCell<Store>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "State({})",
            self.keys.keys().cloned().collect::<Vec<_>>().join(", ")
        )
    }
}

impl State {
    fn load(usage: Usage, settings: &Settings, inputs: &Inputs) -> Result<(State, Report), Error> {
        let config = Config::parse(usage, settings)?;
        let mut loader = Loader {
            config: &config,
            inputs,
            warnings: config.warnings.clone(),
        };
        let mut problems = Problems::default();
        let mut keys: BTreeMap<String, Box<dyn Source>> = BTreeMap::new();
        for name in config.keys_for(usage) {
            if let Some(source) = problems.keep(load_key(name, &config, &mut loader)) {
                keys.insert(name.to_owned(), source);
            }
        }
        let mut warnings = loader.warnings;
        let local_disk_algorithm = match usage {
            Usage::S3 | Usage::S3a => release::ALGORITHM,
            Usage::LocalDisk => local_disk_algorithm(&config, &mut warnings),
        };
        let audit = problems.keep(Audit::open(&config.audit));
        let audit = match (problems.into_error(), audit) {
            (Some(error), _) => return Err(error),
            (None, audit) => audit.unwrap_or(Audit::Off),
        };
        warnings.dedup();
        let report = Report {
            summary: summary(usage, &config, &keys),
            warnings,
            jce: config.jce,
            audit_to_log: config.audit == AuditTarget::Log,
            stats_interval: config.stats_interval,
        };
        let state = State {
            keys,
            owners: Owners::of_config(usage, &config),
            rules: config.rules,
            default_key: config.default_key,
            local_disk_key: config.local_disk.key,
            local_disk_algorithm,
            allow_legacy_wraps: config.allow_legacy_wraps,
            audit,
            s3: config.s3,
            store: OnceCell::new(),
        };
        Ok((state, report))
    }

    fn for_description(&self, description: &Description, trail: &mut Trail) -> Result<Materials, Problem> {
        if let Some(materials) = self.identified(description, trail)? {
            return Ok(materials);
        }
        if description.is_write_request() {
            let location = description.location()?;
            return self
                .source(
                    self.key_for_write(location.as_ref(), description.job_flow())?,
                    trail,
                )?
                .for_encryption();
        }
        self.for_nameless(description, None, trail)
    }

    /// A read by what is stored and nothing else.
    fn for_read(&self, stored: &Description, wrap: &str, trail: &mut Trail) -> Result<Materials, Problem> {
        if let Some(materials) = self.identified(stored, trail)? {
            return Ok(materials);
        }
        self.for_nameless(stored, Wrap::from_name(wrap), trail)
    }

    fn for_nameless(
        &self,
        stored: &Description,
        wrap: Option<Wrap>,
        trail: &mut Trail,
    ) -> Result<Materials, Problem> {
        let key = self
            .owners
            .presumed(wrap)
            .ok_or_else(|| unknown_description(stored))?;
        self.source(key, trail)?.for_decryption_of_foreign(stored)
    }

    /// A write to this object.
    fn for_write(&self, bucket: &str, key: &str, trail: &mut Trail) -> Result<Materials, Problem> {
        let location = S3Location {
            bucket: bucket.to_owned(),
            key: key.as_bytes().to_vec(),
        };
        self.source(self.key_for_write(Some(&location), None)?, trail)?
            .for_encryption()
    }

    /// Disks have one key; a description, where there is one, must be of a version of it.
    fn for_local_disk(
        &self,
        description: Option<&Description>,
        trail: &mut Trail,
    ) -> Result<Materials, Problem> {
        let stored = description.filter(|description| !description.is_empty());
        let mut materials = match stored
            .map(|stored| self.identified(stored, trail))
            .transpose()?
            .flatten()
        {
            Some(materials) => materials,
            None => match (stored, self.owners.legacy_key(), &self.local_disk_key) {
                (Some(stored), Some(legacy), _) if !stored.is_write_request() => {
                    self.source(legacy, trail)?.for_decryption_of_foreign(stored)?
                }
                (Some(stored), None, _) if !stored.is_write_request() => {
                    return Err(unknown_description(stored))
                }
                (_, _, Some(key)) => self.source(key, trail)?.for_encryption()?,
                (_, _, None) => return Err(no_rule(None)),
            },
        };
        if let MaterialKey::Symmetric { algorithm, .. } = &mut materials.key {
            *algorithm = self.local_disk_algorithm;
        }
        Ok(materials)
    }

    fn source(&self, name: &str, trail: &mut Trail) -> Result<&dyn Source, Problem> {
        trail.key = Some(name.to_owned());
        let source = self.keys.get(name).ok_or_else(|| not_configured(name))?;
        trail.source = Some(source.type_name());
        Ok(&**source)
    }

    fn key_for_write(&self, location: Option<&S3Location>, job_flow: Option<&str>) -> Result<&str, Problem> {
        let target = location.and_then(|location| self.rules.find(&location.committed(), job_flow));
        match (target, &self.default_key) {
            (Some(target), _) => Ok(&target.key),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(no_rule(location.map(|location| location.bucket.as_str()))),
        }
    }

    /// Materials of the key that a stored description identifies; `None` where it identifies none.
    fn identified(&self, stored: &Description, trail: &mut Trail) -> Result<Option<Materials>, Problem> {
        if let Some(name) = self.owners.named(stored)? {
            trail.purpose = DECRYPT;
            return self.source(name, trail)?.for_decryption(stored).map(Some);
        }
        match self.owners.foreign(stored)? {
            None => Ok(None),
            Some(name) => {
                trail.purpose = DECRYPT;
                self.source(name, trail)?
                    .for_decryption_of_foreign(stored)
                    .map(Some)
            }
        }
    }
}

fn load_key(name: &str, config: &Config, loader: &mut Loader) -> Result<Box<dyn Source>, Error> {
    let key = config.keys.get(name).ok_or_else(|| not_configured(name))?;
    if let KeyKind::Kms { key_id } = &key.kind {
        return Ok(Box::new(KmsKey {
            key_id: key_id.clone(),
        }));
    }
    if let KeyKind::KmsCached(own) = &key.kind {
        return Ok(Box::new(kms_cached(name, own, key, config)));
    }
    if let KeyKind::Keyring(own) = &key.kind {
        return Ok(Box::new(keyring::load(name, own, loader)?));
    }
    if let KeyKind::DataKeyService(own) = &key.kind {
        return Ok(Box::new(data_key_service(name, own, key, config, loader)?));
    }
    Ok(Box::new(VersionedKey::load(
        name,
        key.kind.type_name(),
        &key.previous,
        |name| load_version(name, config, loader),
    )?))
}

/// One version of a key of type `aes` or `rsa`.
pub(crate) fn load_version(name: &str, config: &Config, loader: &mut Loader) -> Result<Version, Error> {
    match config.keys.get(name).map(|key| &key.kind) {
        Some(KeyKind::Aes { origin, encoding }) => Ok(aes::load(origin, *encoding, loader)?),
        Some(KeyKind::Rsa(config)) => rsa::load(config, loader),
        Some(
            KeyKind::Kms { .. } | KeyKind::KmsCached(_) | KeyKind::Keyring(_) | KeyKind::DataKeyService(_),
        )
        | None => Err(not_configured(name).into()),
    }
}

fn kms_cached(name: &str, own: &KmsCachedConfig, key: &KeyConfig, config: &Config) -> CachedKey {
    let older = key
        .previous
        .iter()
        .filter_map(|older| match &config.keys.get(older)?.kind {
            KeyKind::KmsCached(older) => Some(older.target.clone()),
            _ => None,
        });
    let targets: Vec<KmsTarget> = std::iter::once(own.target.clone()).chain(older).collect();
    let identity = format!("kms-cached {name} {targets:?} {:?}", own.context);
    let service: Arc<dyn KeyService> = Arc::new(KmsService::new(name, targets, own.context.clone()));
    CachedKey {
        name: name.to_owned(),
        type_name: key.kind.type_name(),
        cache: KeyCache::shared(identity, config.cache.clone(), || Arc::clone(&service)),
        service,
    }
}

fn data_key_service(
    name: &str,
    own: &DataKeyServiceConfig,
    key: &KeyConfig,
    config: &Config,
    loader: &mut Loader,
) -> Result<CachedKey, Problem> {
    let (service, identity) = data_key_service::load(name, own, loader)?;
    let service: Arc<dyn KeyService> = Arc::new(service);
    Ok(CachedKey {
        name: name.to_owned(),
        type_name: key.kind.type_name(),
        cache: KeyCache::shared(identity, config.cache.clone(), || Arc::clone(&service)),
        service,
    })
}

fn local_disk_algorithm(config: &Config, warnings: &mut Vec<String>) -> &'static str {
    let file = config
        .local_disk
        .release_file
        .as_deref()
        .unwrap_or(Path::new(release::RELEASE_FILE));
    let release = config.local_disk.release.or_else(|| {
        release::of_node(file).unwrap_or_else(|why| {
            warnings.push(format!(
                "the EMR release is not known ({why}); local-disk keys get the algorithm name of the newest; set emrkeys.local-disk.emr-release"
            ));
            None
        })
    });
    release.map_or(release::ALGORITHM, release::algorithm)
}

fn summary(usage: Usage, config: &Config, keys: &BTreeMap<String, Box<dyn Source>>) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|(name, source)| format!("{name} ({})", source.summary()))
        .collect();
    let keys = first_few(&keys);
    let version = crate::VERSION;
    match usage {
        Usage::LocalDisk => format!("emrkeys {version} for local disks: key {keys}"),
        Usage::S3 | Usage::S3a => {
            let rules: Vec<String> = config
                .rule_names
                .iter()
                .map(|target| format!("{} -> {}", target.rule, target.key))
                .collect();
            let rules = if rules.is_empty() {
                "none".to_owned()
            } else {
                first_few(&rules)
            };
            let default = config.default_key.as_deref().unwrap_or("none");
            let client = if usage == Usage::S3 { "S3" } else { "S3A" };
            format!("emrkeys {version} for {client}: keys {keys}; rules {rules}; default {default}")
        }
    }
}

fn first_few(names: &[String]) -> String {
    const FEW: usize = 20;
    match names.get(..FEW).filter(|_| names.len() > FEW) {
        Some(few) => format!("{} and {} more", few.join(", "), names.len() - FEW),
        None => names.join(", "),
    }
}

fn not_configured(name: &str) -> Problem {
    Problem::new(
        Code::KeyNotConfigured,
        format!("the object was written with key {}, which is not configured", excerpt(name)),
        "Configure it under that name, or add the name to emrkeys.key.<name>.aliases of the key that it has become.",
    )
}

fn no_rule(bucket: Option<&str>) -> Problem {
    let what = match bucket {
        Some(bucket) => format!("no rule matches the object's location in bucket {bucket}"),
        None => "the client gave no location, so no rule can match".to_owned(),
    };
    Problem::at(
        "emrkeys.default.key",
        Code::NoRule,
        format!("{what}, and no default key is set: the write is refused"),
        "Add a rule with a prefix of the location, or set the property to the name of a key.",
    )
}

fn unknown_description(description: &Description) -> Problem {
    let what = if description.is_empty() {
        "the object has no materials description".to_owned()
    } else {
        format!(
            "nothing in the object's description says which key it belongs to ({})",
            description.names()
        )
    };
    Problem::at(
        "emrkeys.legacy.key",
        Code::DescriptionUnknown,
        what,
        "Say by emrkeys.key.<name>.match.<field> which key such objects have, or set the property to the key of all of them.",
    )
}

#[cfg(test)]
mod tests;
