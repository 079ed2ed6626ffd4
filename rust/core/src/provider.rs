//! The one façade: configuration and requests in, materials out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::audit::{Audit, AuditRecord, AuditTarget, Waiting};
use crate::aws::S3Access;
use crate::config::loader::Loader;
use crate::config::{self, Config, RuleTarget};
use crate::description::{self, Description};
use crate::envelope::{Envelope, Wrap};
use crate::error::{Code, Error, Problem, Problems};
use crate::inputs::{InputRef, Inputs, Settings};
use crate::key_lookup::{FoundKey, KeyLookup};
use crate::model::{Client, KeyStats, MaterialKey, Materials, Report, Request};
use crate::release;
use crate::rules::Rules;
use crate::s3a;
use crate::source::load::{load_key, not_configured};
use crate::source::Source;
use crate::uri::S3Location;

/// What must be opened by the caller before [`Provider::open`], because only the caller can.
///
/// # Errors
/// Every problem of the configuration.
pub fn required_inputs(usage: Client, settings: &Settings) -> Result<Vec<InputRef>, Error> {
    Config::parse(usage, settings).map(|config| config.inputs_for(usage))
}

/// Gives materials. Thread-safe; a [`refresh`](Provider::refresh) never disturbs a request under way.
#[derive(Debug)]
pub struct Provider {
    usage: Client,
    state: ArcSwap<State>,
    /// Lines of the audit log, whatever configuration they were written under.
    waiting: Arc<Waiting>,
}

impl Provider {
    /// Validates the configuration and loads every key that the use needs.
    ///
    /// # Errors
    /// Every problem of the configuration; else every problem of the key material.
    pub fn open(usage: Client, settings: &Settings, inputs: &Inputs) -> Result<(Provider, Report), Error> {
        let waiting = Arc::default();
        let (state, report) = State::load(usage, settings, inputs, &waiting)?;
        Ok((
            Provider {
                usage,
                state: ArcSwap::from_pointee(state),
                waiting,
            },
            report,
        ))
    }

    /// The names of all keys.
    pub fn key_names(&self) -> BTreeSet<String> {
        self.state.load().keys.keys().cloned().collect()
    }

    /// The keys that rules and default give to new objects, wherever they are.
    pub fn keys_of_rules(&self) -> BTreeSet<String> {
        let state = self.state.load();
        let rules = state.rules.entries().map(|(_, _, target)| target.key.clone());
        rules.chain(state.default_key.clone()).collect()
    }

    /// The keys that a new object may get there, for one job flow or another: bucket and key as S3 has them.
    pub fn keys_at(&self, bucket: &str, key: &str) -> BTreeSet<String> {
        let state = self.state.load();
        config::keys_at(&state.rules, state.default_key.as_deref(), bucket, key)
    }

    /// The key that a new object gets there, of a writer that has no job flow.
    ///
    /// # Errors
    /// `NO_RULE`
    pub fn key_at(&self, bucket: &str, key: &str) -> Result<String, Error> {
        let location = S3Location {
            bucket: bucket.to_owned(),
            key: key.as_bytes().to_vec(),
        };
        let state = self.state.load();
        Ok(state.key_for_write(Some(&location), None)?.to_owned())
    }

    /// The key that a read of the object gets.
    ///
    /// # Errors
    /// As [`KeyLookup::of`].
    pub fn key_of(&self, envelope: &Envelope) -> Result<Option<FoundKey>, Error> {
        self.state.load().key_lookup.of(envelope)
    }

    /// Does what [`open`](Provider::open) does and swaps the result in at once.
    ///
    /// # Errors
    /// As `open`; then everything stays as it was.
    pub fn refresh(&self, settings: &Settings, inputs: &Inputs) -> Result<Report, Error> {
        let (state, report) = State::load(self.usage, settings, inputs, &self.waiting)?;
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
            return Ok(self.answer(&state, request, description.as_ref(), &mut AuditRecord::default())?);
        }
        let mut record = AuditRecord {
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
            ..AuditRecord::default()
        };
        let answer = self.answer(&state, request, description.as_ref(), &mut record);
        if let Ok(Some(materials)) = &answer {
            record.version = description::version_of(&materials.description).map(str::to_owned);
        }
        match &answer {
            Ok(None) => {}
            Ok(Some(_)) => state.audit.write(&record, "ok")?,
            Err(problem) => state.audit.write(&record, problem.code.as_str())?,
        }
        Ok(answer?)
    }

    fn answer(
        &self,
        state: &State,
        request: Request<'_>,
        description: Option<&Description>,
        record: &mut AuditRecord,
    ) -> Result<Option<Materials>, Problem> {
        let materials = match (self.usage, request, description) {
            (Client::LocalDisk, _, description) => state.for_local_disk(description, record)?,
            (_, Request::Write { bucket, key }, _) => state.for_write(self.usage, bucket, key, record)?,
            (_, Request::WriteUnder { under, .. }, _) => state.source(under, record)?.for_encryption()?,
            (_, Request::Read { wrap, content, .. }, Some(stored)) => {
                if self.usage == Client::S3a {
                    s3a::check_readable(wrap, content, state.allow_legacy_wraps)?;
                }
                state.for_read(stored, wrap, record)?
            }
            (_, Request::NoDescription, _) => match state.key_lookup.legacy_key() {
                None => return Ok(None),
                // If it is a write after all, the object says whose it is.
                Some(legacy) => state.source(legacy, record)?.for_encryption()?,
            },
            (_, _, Some(description)) => state.for_description(description, record)?,
            (_, _, None) => state
                .source(state.key_for_write(None, None)?, record)?
                .for_encryption()?,
        };
        Ok(Some(materials))
    }

    /// How this configuration reaches S3, for key material and for objects.
    pub fn s3_access(&self) -> S3Access {
        self.state.load().s3.clone()
    }

    /// Whether an object that KMS's own wrap alone describes leads back to a key.
    pub fn has_one_kms_key(&self) -> bool {
        self.state.load().key_lookup.only_kms_key().is_some()
    }

    /// The lines of the audit log that the caller is to log, oldest first.
    pub fn take_audit(&self) -> Vec<String> {
        self.waiting.take()
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
    key_lookup: KeyLookup,
    rules: Rules<RuleTarget>,
    default_key: Option<String>,
    local_disk_key: Option<String>,
    local_disk_algorithm: &'static str,
    allow_legacy_wraps: bool,
    audit: Audit,
    s3: S3Access,
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
    fn load(
        usage: Client,
        settings: &Settings,
        inputs: &Inputs,
        waiting: &Arc<Waiting>,
    ) -> Result<(State, Report), Error> {
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
            Client::S3 | Client::S3a => release::ALGORITHM,
            Client::LocalDisk => local_disk_algorithm(&config, &mut warnings),
        };
        let audit = problems.keep(Audit::open(&config.audit, waiting));
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
            key_lookup: KeyLookup::of_config(usage, &config),
            rules: config.rules,
            default_key: config.default_key,
            local_disk_key: config.local_disk.key,
            local_disk_algorithm,
            allow_legacy_wraps: config.allow_legacy_wraps,
            audit,
            s3: config.s3,
        };
        Ok((state, report))
    }

    fn for_description(
        &self,
        description: &Description,
        record: &mut AuditRecord,
    ) -> Result<Materials, Problem> {
        if let Some(materials) = self.identified(description, record)? {
            return Ok(materials);
        }
        if description.is_write_request() {
            let location = description.location()?;
            return self
                .source(
                    self.key_for_write(location.as_ref(), description.job_flow())?,
                    record,
                )?
                .for_encryption();
        }
        self.for_nameless(description, None, record)
    }

    /// A read by what is stored and nothing else.
    fn for_read(
        &self,
        stored: &Description,
        wrap: &str,
        record: &mut AuditRecord,
    ) -> Result<Materials, Problem> {
        if let Some(materials) = self.identified(stored, record)? {
            return Ok(materials);
        }
        self.for_nameless(stored, Wrap::from_name(wrap), record)
    }

    fn for_nameless(
        &self,
        stored: &Description,
        wrap: Option<Wrap>,
        record: &mut AuditRecord,
    ) -> Result<Materials, Problem> {
        let key = self
            .key_lookup
            .presumed(wrap)
            .ok_or_else(|| unknown_description(stored))?;
        self.source(key, record)?.for_decryption_of_foreign(stored)
    }

    /// A write to this object.
    fn for_write(
        &self,
        client: Client,
        bucket: &str,
        key: &str,
        record: &mut AuditRecord,
    ) -> Result<Materials, Problem> {
        let location = S3Location::for_rules(client, bucket, key);
        self.source(self.key_for_write(Some(&location), None)?, record)?
            .for_encryption()
    }

    /// Disks have one key; a description, where there is one, must be of a version of it.
    fn for_local_disk(
        &self,
        description: Option<&Description>,
        record: &mut AuditRecord,
    ) -> Result<Materials, Problem> {
        let stored = description.filter(|description| !description.is_empty());
        let mut materials = match stored
            .map(|stored| self.identified(stored, record))
            .transpose()?
            .flatten()
        {
            Some(materials) => materials,
            None => match (stored, self.key_lookup.legacy_key(), &self.local_disk_key) {
                (Some(stored), Some(legacy), _) if !stored.is_write_request() => {
                    self.source(legacy, record)?.for_decryption_of_foreign(stored)?
                }
                (Some(stored), None, _) if !stored.is_write_request() => {
                    return Err(unknown_description(stored))
                }
                (_, _, Some(key)) => self.source(key, record)?.for_encryption()?,
                (_, _, None) => return Err(no_rule(None)),
            },
        };
        if let MaterialKey::Symmetric { algorithm, .. } = &mut materials.key {
            *algorithm = self.local_disk_algorithm;
        }
        Ok(materials)
    }

    fn source(&self, name: &str, record: &mut AuditRecord) -> Result<&dyn Source, Problem> {
        record.key = Some(name.to_owned());
        let source = self.keys.get(name).ok_or_else(|| not_configured(name))?;
        record.source = Some(source.type_name());
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
    fn identified(
        &self,
        stored: &Description,
        record: &mut AuditRecord,
    ) -> Result<Option<Materials>, Problem> {
        if let Some(name) = self.key_lookup.named(stored)? {
            record.purpose = DECRYPT;
            return self.source(name, record)?.for_decryption(stored).map(Some);
        }
        match self.key_lookup.foreign(stored)? {
            None => Ok(None),
            Some(name) => {
                record.purpose = DECRYPT;
                self.source(name, record)?
                    .for_decryption_of_foreign(stored)
                    .map(Some)
            }
        }
    }
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

fn summary(usage: Client, config: &Config, keys: &BTreeMap<String, Box<dyn Source>>) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|(name, source)| format!("{name} ({})", source.summary()))
        .collect();
    let keys = first_few(&keys);
    let version = crate::VERSION;
    match usage {
        Client::LocalDisk => format!("emrkeys {version} for local disks: key {keys}"),
        Client::S3 | Client::S3a => {
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
            let client = if usage == Client::S3 { "S3" } else { "S3A" };
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
