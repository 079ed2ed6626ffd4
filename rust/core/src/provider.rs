//! The façade: a configuration and requests in, materials out.

mod loaded;

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::audit::{Audit, Waiting};
use crate::aws::S3Access;
use crate::config::{Config, KeyKind};
use crate::envelope::Envelope;
use crate::error::{Error, Problems};
use crate::inputs::Inputs;
use crate::key_lookup::FoundKey;
use crate::model::{KeyStats, Materials, Report, Request};
use crate::resolution::{no_rule, Resolver};
use crate::uri::S3Location;
use crate::waiting;
use loaded::{lazy_keys, load, local_disk_algorithm};

/// Gives materials. Thread-safe; a [`refresh`](Provider::refresh) never disturbs a request under way.
#[derive(Debug)]
pub struct Provider {
    resolver: ArcSwap<Resolver>,
    /// Lines of the audit log, whatever configuration they were written under.
    waiting: Arc<Waiting>,
}

impl Provider {
    /// Loads every key that the client of the configuration needs; those of tables when a table names them. `inputs`
    /// answers [`Config::required_inputs`]. Blocks while files and services are read.
    ///
    /// # Errors
    /// Every problem of the key material.
    pub fn open(config: impl Into<Arc<Config>>, inputs: &Inputs) -> Result<(Provider, Report), Error> {
        let waiting = Arc::default();
        let (resolver, report) = load(config.into(), inputs, &waiting)?;
        let resolver = ArcSwap::from_pointee(resolver);
        Ok((Provider { resolver, waiting }, report))
    }

    /// As [`open`](Provider::open), but loads each key when it is first used: a command on one object does not fail
    /// because another key is out of reach.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE`. Problems of key material are those of the requests that need it.
    pub fn open_lazily(config: impl Into<Arc<Config>>, inputs: Inputs) -> Result<Provider, Error> {
        let config = config.into();
        let waiting = Arc::default();
        let audit = Audit::open(&config.audit, &waiting)?;
        let keys = lazy_keys(&config, inputs);
        let (algorithm, _) = local_disk_algorithm(&config);
        let resolver = ArcSwap::from_pointee(Resolver::new(config, keys, algorithm, audit));
        Ok(Provider { resolver, waiting })
    }

    /// Does what [`open`](Provider::open) does and swaps the result in at once.
    ///
    /// # Errors
    /// As `open`, and what key services answer; then everything stays as it was.
    pub fn refresh(&self, config: impl Into<Arc<Config>>, inputs: &Inputs) -> Result<Report, Error> {
        let (resolver, report) = load(config.into(), inputs, &self.waiting)?;
        let mut problems = Problems::default();
        for source in resolver.keys.values() {
            problems.keep(source.renew());
        }
        if let Some(error) = problems.into_error() {
            return Err(error);
        }
        self.resolver.store(Arc::new(resolver));
        Ok(report)
    }

    /// The materials for a request; `None` for [`Request::NoDescription`] if no legacy key is set.
    ///
    /// The description alone shows whether a call is for encryption or for decryption. One that identifies a key is
    /// what was stored with an object; one that only gives a location or a job flow describes a write. Without any
    /// description a call may be either, so that only the legacy key, which the user named for such objects, is given.
    ///
    /// # Errors
    /// `NO_RULE`, `INVALID_URI` on encryption; on decryption the codes of descriptions and of keys.
    pub fn materials(&self, request: Request<'_>) -> Result<Option<Materials>, Error> {
        let resolver = self.resolver.load();
        // A keyring may have to be read from S3 before KMS is asked for its key: one deadline for both.
        Ok(waiting::within(resolver.config.cache.deadline, || {
            resolver.answer(request)
        })?)
    }

    pub(crate) fn resolver(&self) -> Arc<Resolver> {
        self.resolver.load_full()
    }

    /// The names of all keys.
    pub fn key_names(&self) -> BTreeSet<String> {
        self.resolver.load().keys.keys().cloned().collect()
    }

    /// As [`Config::keys_of_rules`].
    pub fn keys_of_rules(&self) -> BTreeSet<String> {
        self.resolver.load().config.keys_of_rules()
    }

    /// As [`Config::keys_at`].
    pub fn keys_at(&self, bucket: &str, key: &str) -> BTreeSet<String> {
        self.resolver.load().config.keys_at(bucket, key)
    }

    /// The key that a new object gets there, of a writer that has no job flow.
    ///
    /// # Errors
    /// `NO_RULE`
    pub fn key_at(&self, bucket: &str, key: &str) -> Result<String, Error> {
        let config = &self.resolver.load().config;
        let location = S3Location::for_rules(config.client, bucket, key);
        let key = config.key_for_write(Some(&location), None);
        Ok(key.ok_or_else(|| no_rule(Some(bucket)))?.to_owned())
    }

    /// The key that a read of the object gets.
    ///
    /// # Errors
    /// As [`KeyLookup::of`](crate::KeyLookup::of).
    pub fn key_of(&self, envelope: &Envelope) -> Result<Option<FoundKey>, Error> {
        self.resolver.load().key_lookup.of(envelope)
    }

    /// The KMS keys that an alias may have stood for when the object was written: those listed with its key of type
    /// `kms`.
    ///
    /// # Errors
    /// As [`key_of`](Provider::key_of).
    pub fn older_kms_keys(&self, envelope: &Envelope) -> Result<Vec<String>, Error> {
        let resolver = self.resolver.load();
        let found = resolver.key_lookup.of(envelope)?;
        let key = found.and_then(|found| resolver.config.keys.get(&found.key));
        Ok(match key.map(|key| &key.kind) {
            Some(KeyKind::Kms(own)) => own.previous.clone(),
            _ => Vec::new(),
        })
    }

    /// How this configuration reaches S3, for key material and for objects.
    pub fn s3_access(&self) -> S3Access {
        self.resolver.load().config.s3.clone()
    }

    /// Whether an object under a key of type `kms`, which says no more than that, leads back to its key.
    pub fn has_one_kms_key(&self) -> bool {
        self.resolver.load().key_lookup.only_kms_key().is_some()
    }

    /// The lines of the audit log that the caller is to log, oldest first.
    pub fn take_audit(&self) -> Vec<String> {
        self.waiting.take()
    }

    /// Counters of the keys that have a key service, and for tables of all keys, by name.
    pub fn stats(&self) -> Vec<KeyStats> {
        let resolver = self.resolver.load();
        let stats = resolver.keys.iter().filter_map(|(name, source)| {
            let of_tables = resolver.table_counts.get(name);
            let of_service = source.counts();
            if of_tables.is_none() && of_service.is_none() {
                return None;
            }
            let (mut counts, age) = of_service.unwrap_or_default();
            if let Some(of_tables) = of_tables {
                counts.table_wraps = of_tables.wraps.get();
                counts.table_unwraps = of_tables.unwraps.get();
            }
            Some(KeyStats {
                key: name.clone(),
                age,
                counts,
            })
        });
        stats.collect()
    }
}

#[cfg(test)]
mod tests;
