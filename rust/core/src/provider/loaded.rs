//! From a configuration to the keys that are loaded for it, and the report of that.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::audit::{Audit, AuditTarget, Waiting};
use crate::client::Client;
use crate::config::loader::Loader;
use crate::config::Config;
use crate::error::{Error, Problems};
use crate::inputs::Inputs;
use crate::model::Report;
use crate::release;
use crate::resolution::Resolver;
use crate::source::lazy::LazyKey;
use crate::source::load::load_key;
use crate::source::Source;

type Keys = BTreeMap<String, Box<dyn Source>>;

/// Loads the keys of a configuration and opens its audit log.
pub(super) fn load(
    config: Arc<Config>,
    inputs: &Inputs,
    waiting: &Arc<Waiting>,
) -> Result<(Resolver, Report), Error> {
    let mut loader = Loader {
        config: &config,
        inputs,
        warnings: config.warnings.clone(),
    };
    let mut problems = Problems::default();
    let mut keys: Keys = BTreeMap::new();
    if config.client == Client::Tables {
        // A reader of one column has the key of that column, and need not have the others.
        keys = lazy_keys(&config, inputs.clone());
    } else {
        for name in config.used_keys() {
            if let Some(source) = problems.keep(load_key(name, &mut loader)) {
                keys.insert(name.to_owned(), source);
            }
        }
    }
    let mut warnings = loader.warnings;
    let (local_disk_algorithm, warning) = local_disk_algorithm(&config);
    warnings.extend(warning);
    let audit = problems.keep(Audit::open(&config.audit, waiting));
    let audit = problems.finish(audit)?;
    warnings.dedup();
    let report = Report {
        summary: start_line(&config, &keys),
        warnings,
        jce: config.jce,
        audit_to_log: config.audit == AuditTarget::Log,
        stats_interval: config.stats_interval,
    };
    let resolver = Resolver::new(config, keys, local_disk_algorithm, audit);
    Ok((resolver, report))
}

pub(super) fn lazy_keys(config: &Arc<Config>, inputs: Inputs) -> Keys {
    let inputs = Arc::new(inputs);
    let keys = config.used_keys().filter_map(|name| {
        let key: Box<dyn Source> = Box::new(LazyKey::new(name, config, &inputs)?);
        Some((name.to_owned(), key))
    });
    keys.collect()
}

/// The algorithm that keys of local disks are named by, and a warning if the release of EMR is not known.
pub(super) fn local_disk_algorithm(config: &Config) -> (&'static str, Option<String>) {
    match config.client {
        Client::S3 | Client::S3a | Client::Tables => (release::ALGORITHM, None),
        Client::LocalDisk => {
            let local_disk = &config.local_disk;
            release::local_disk_algorithm(local_disk.release, local_disk.release_file.as_deref())
        }
    }
}

/// One line for the log: version, client, and the names of keys and rules.
fn start_line(config: &Config, keys: &Keys) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|(name, source)| format!("{name} ({})", source.summary()))
        .collect();
    let keys = first_few(&keys);
    let version = crate::VERSION;
    let client = match config.client {
        Client::LocalDisk => return format!("emrkeys {version} for local disks: key {keys}"),
        Client::S3 => "S3",
        Client::S3a => "S3A",
        Client::Tables => "tables",
    };
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
    format!("emrkeys {version} for {client}: keys {keys}; rules {rules}; default {default}")
}

fn first_few(names: &[String]) -> String {
    const FEW: usize = 20;
    match names.get(..FEW).filter(|_| names.len() > FEW) {
        Some(few) => format!("{} and {} more", few.join(", "), names.len() - FEW),
        None => names.join(", "),
    }
}
