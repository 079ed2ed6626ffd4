//! From a request to the key that answers it: the purpose of the request first, then the key, then its materials.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::audit::{Audit, AuditRecord, Purpose};
use crate::client::Client;
use crate::config::Config;
use crate::counters::Counter;
use crate::description::{StoredDescription, WriteRequest};
use crate::envelope::Wrap;
use crate::error::{Code, Problem};
use crate::key_lookup::KeyLookup;
use crate::model::{MaterialKey, Materials, Request};
use crate::s3a;
use crate::source::load::not_configured;
use crate::source::Source;
use crate::uri::S3Location;
use crate::waiting;

/// The keys of one configuration. Never changed once it is in use. Thread-safe.
pub(crate) struct Resolver {
    pub(crate) config: Arc<Config>,
    /// By name.
    pub(crate) keys: BTreeMap<String, Box<dyn Source>>,
    pub(crate) key_lookup: KeyLookup,
    local_disk_algorithm: &'static str,
    pub(crate) audit: Audit,
    /// By name; for [`Client::Tables`] alone.
    pub(crate) table_counts: BTreeMap<String, TableCounts>,
}

/// How many keys of tables a key wrapped and unwrapped.
#[derive(Debug, Default)]
pub(crate) struct TableCounts {
    pub(crate) wraps: Counter,
    pub(crate) unwraps: Counter,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.keys.keys().map(String::as_str).collect();
        write!(f, "Resolver({})", names.join(", "))
    }
}

/// How a key answers a request.
#[derive(Clone, Copy)]
enum Way {
    /// The current version.
    Encrypt,
    /// The version that the description names.
    Decrypt,
    /// The key of an object that another provider wrote.
    DecryptForeign,
}

/// The key that answers a request.
struct Chosen<'a> {
    name: &'a str,
    source: &'a dyn Source,
    way: Way,
}

/// A refusal, with the name of the key as far as it is known.
struct Refused {
    key: Option<String>,
    problem: Problem,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Refused { key: None, problem }
    }
}

type Choice<'a> = Result<Option<Chosen<'a>>, Refused>;

impl Resolver {
    pub(crate) fn new(
        config: Arc<Config>,
        keys: BTreeMap<String, Box<dyn Source>>,
        local_disk_algorithm: &'static str,
        audit: Audit,
    ) -> Self {
        let of_tables = keys.keys().filter(|_| config.client == Client::Tables);
        Resolver {
            table_counts: of_tables
                .map(|name| (name.clone(), TableCounts::default()))
                .collect(),
            key_lookup: KeyLookup::new(&config),
            config,
            keys,
            local_disk_algorithm,
            audit,
        }
    }

    /// The materials for a request; `None` for [`Request::NoDescription`] if no legacy key is set. Every answer that
    /// gives or refuses a key is audited.
    pub(crate) fn answer(&self, request: Request<'_>) -> Result<Option<Materials>, Problem> {
        let write = match request.stored() {
            Some(stored) => stored.check()?,
            None => WriteRequest::default(),
        };
        let (purpose, chosen) = self.choose(&request, &write);
        if self.audit.is_off() {
            return chosen
                .map_err(|refused| refused.problem)?
                .map(|chosen| self.give(&chosen, request))
                .transpose();
        }
        let mut record = AuditRecord {
            purpose,
            uri: request.uri(&write),
            key: match &chosen {
                Ok(chosen) => chosen.as_ref().map(|chosen| chosen.name.to_owned()),
                Err(refused) => refused.key.clone(),
            },
            source: match &chosen {
                Ok(Some(chosen)) => Some(chosen.source.type_name()),
                _ => None,
            },
            version: None,
            table: None,
        };
        let answer = match chosen {
            Ok(None) => return Ok(None),
            Ok(Some(chosen)) => self.give(&chosen, request),
            Err(refused) => Err(refused.problem),
        };
        match &answer {
            Ok(materials) => {
                record.version = materials.description.version().map(str::to_owned);
                self.audit.write(&record, "ok")?;
            }
            Err(_) if waiting::was_refused() => {} // it runs again, and is recorded then
            Err(problem) => self.audit.write(&record, problem.code.as_str())?,
        }
        answer.map(Some)
    }

    fn give(&self, chosen: &Chosen, request: Request<'_>) -> Result<Materials, Problem> {
        let stored = request.into_stored();
        let mut materials = match chosen.way {
            Way::Encrypt => chosen.source.for_encryption()?,
            Way::Decrypt => chosen.source.for_decryption(stored)?,
            Way::DecryptForeign => chosen.source.for_decryption_of_foreign(stored)?,
        };
        if self.config.client == Client::LocalDisk {
            if let MaterialKey::Symmetric { algorithm, .. } = &mut materials.key {
                *algorithm = self.local_disk_algorithm;
            }
        }
        Ok(materials)
    }

    /// The purpose of a request and the key for it. `write` is the part of the description that describes a write.
    fn choose(&self, request: &Request, write: &WriteRequest) -> (Purpose, Choice<'_>) {
        if self.config.client == Client::LocalDisk {
            return self.choose_for_local_disk(request, write);
        }
        match request {
            Request::Write { bucket, key } => {
                let location = S3Location::for_rules(self.config.client, bucket, key);
                (Purpose::Encrypt, self.key_for_write(Some(&location), None))
            }
            Request::WriteUnder { under, .. } => (Purpose::Encrypt, self.key(under, Way::Encrypt)),
            Request::NoArgument => (Purpose::Encrypt, self.key_for_write(None, None)),
            // If it is a write after all, the object's own description will say which key it has.
            Request::NoDescription => {
                let legacy = self.key_lookup.legacy_key();
                let choice = legacy.map_or(Ok(None), |legacy| self.key(legacy, Way::Encrypt));
                (Purpose::Encrypt, choice)
            }
            Request::Read {
                stored,
                wrap,
                content,
                ..
            } => (Purpose::Decrypt, self.key_for_read(stored, wrap, content)),
            Request::Description(stored) => match self.identified(stored) {
                Ok(None) if !write.is_empty() => {
                    let choice = write
                        .location()
                        .map_err(Refused::from)
                        .and_then(|location| self.key_for_write(location.as_ref(), write.job_flow()));
                    (Purpose::Encrypt, choice)
                }
                Ok(None) => (Purpose::Decrypt, self.presumed(stored, None)),
                // A description that names a key is of a read, whatever else it says.
                found @ Ok(Some(_)) => (Purpose::Decrypt, found),
                Err(refused) => (purpose_of(write, refused.key.is_some()), Err(refused)),
            },
        }
    }

    /// Disks have one key; a description, if there is one, must be of a version of it.
    fn choose_for_local_disk(&self, request: &Request, write: &WriteRequest) -> (Purpose, Choice<'_>) {
        let Some(stored) = request.stored() else {
            return (Purpose::Encrypt, self.local_disk_key());
        };
        match self.identified(stored) {
            found @ Ok(Some(_)) => (Purpose::Decrypt, found),
            Err(refused) => (purpose_of(write, refused.key.is_some()), Err(refused)),
            Ok(None) if stored.is_empty() => (Purpose::Decrypt, self.local_disk_key()),
            Ok(None) if !write.is_empty() => (Purpose::Encrypt, self.local_disk_key()),
            Ok(None) => {
                let choice = match self.key_lookup.legacy_key() {
                    Some(legacy) => self.key(legacy, Way::DecryptForeign),
                    None => Err(unknown_description(stored).into()),
                };
                (Purpose::Decrypt, choice)
            }
        }
    }

    fn local_disk_key(&self) -> Choice<'_> {
        match &self.config.local_disk.key {
            Some(key) => self.key(key, Way::Encrypt),
            None => Err(no_rule(None).into()),
        }
    }

    /// The key of a read, by the stored description and nothing else.
    fn key_for_read(&self, stored: &StoredDescription, wrap: &str, content: &str) -> Choice<'_> {
        if self.config.client == Client::S3a {
            s3a::check_readable(wrap, content, self.config.allow_legacy_wraps)?;
        }
        match self.identified(stored)? {
            None => self.presumed(stored, Wrap::from_name(wrap)),
            found => Ok(found),
        }
    }

    /// The key that a stored description identifies; `None` if it identifies none.
    fn identified(&self, stored: &StoredDescription) -> Choice<'_> {
        if let Some(name) = self.key_lookup.named(stored)? {
            return self.key(name, Way::Decrypt);
        }
        match self.key_lookup.foreign(stored)? {
            None => Ok(None),
            Some(name) => self.key(name, Way::DecryptForeign),
        }
    }

    /// The key for objects whose descriptions name none.
    fn presumed(&self, stored: &StoredDescription, wrap: Option<Wrap>) -> Choice<'_> {
        match self.key_lookup.presumed(wrap) {
            Some(key) => self.key(key, Way::DecryptForeign),
            None => Err(unknown_description(stored).into()),
        }
    }

    fn key_for_write(&self, location: Option<&S3Location>, job_flow: Option<&str>) -> Choice<'_> {
        match self.config.key_for_write(location, job_flow) {
            Some(key) => self.key(key, Way::Encrypt),
            None => Err(no_rule(location.map(|location| location.bucket.as_str())).into()),
        }
    }

    fn key(&self, name: &str, way: Way) -> Choice<'_> {
        let (name, source) = self.keys.get_key_value(name).ok_or_else(|| Refused {
            key: Some(name.to_owned()),
            problem: not_configured(name),
        })?;
        Ok(Some(Chosen {
            name,
            source: &**source,
            way,
        }))
    }
}

/// The purpose of a request whose description is refused.
fn purpose_of(write: &WriteRequest, names_key: bool) -> Purpose {
    if write.is_empty() || names_key {
        Purpose::Decrypt
    } else {
        Purpose::Encrypt
    }
}

pub(crate) fn no_rule(bucket: Option<&str>) -> Problem {
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

fn unknown_description(stored: &StoredDescription) -> Problem {
    let at = |what: String, remedy| Problem::at("emrkeys.legacy.key", Code::DescriptionUnknown, what, remedy);
    if stored.is_empty() {
        return at(
            "the object has no materials description".to_owned(),
            "Set the property to the key of such objects; it takes one key for each kind of wrap (AES, RSA, KMS).",
        );
    }
    at(
        format!(
            "nothing in the object's description says which key it belongs to ({})",
            stored.names()
        ),
        "Say by emrkeys.key.<name>.match.<field> which key such objects have, or set the property to the \
         key of all of them.",
    )
}
