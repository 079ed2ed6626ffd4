//! From Hadoop properties to a [`Config`]. Every problem is found before any is reported.

use std::collections::BTreeSet;

use super::model::{Config, RuleTarget};
use super::reader::{list, Reader};
use super::validate::{
    check_client, check_legacy, check_local_disk, check_names, check_names_are_unique, check_protectors,
    check_s3a, resolve_previous, settings_key_names, shared_with_disk,
};
use super::{
    drop_in, keys, properties, sections, switched_off, DESCRIPTION_ENABLED, DROP_IN_KEY, LEGACY_KEY,
    V2_ENABLED,
};
use crate::client::Client;
use crate::error::{Code, Error, Problem, Problems};
use crate::inputs::Settings;
use crate::rules::{Rule, Rules};

const EMRFS_KMS_REGION: &str = "fs.s3.cse.kms.region";

/// The properties, read and not yet compared with each other.
struct Read {
    /// Its rules are in `rules`, and it has no warnings.
    config: Config,
    /// One for each prefix; those of a rule stand in a row.
    rules: Vec<Rule<RuleTarget>>,
    /// Whether the properties of AWS's providers define the only key.
    drop_in: bool,
    /// Whether EMRFS passes the locations of objects on.
    described: bool,
    /// Whether EMRFS uses the V2 client.
    v2: bool,
}

impl Config {
    /// Reads and validates all of `settings` for one client. Opens no file and asks no service.
    ///
    /// # Errors
    /// Every problem of the configuration, each with its property.
    pub fn parse(client: Client, settings: &Settings) -> Result<Config, Error> {
        let mut reader = Reader::new(settings);
        reader.refuse_unknown();
        let mut found = read(client, &mut reader);
        let mut problems = reader.problems;
        check(&mut found, settings, &mut problems);
        let Read {
            mut config,
            rules,
            drop_in,
            ..
        } = found;
        config.warnings = warnings(&config, settings, drop_in);
        match Rules::new(rules) {
            Ok(rules) => config.rules = rules,
            Err((one, other)) => problems.add(Problem::at(
                format!("emrkeys.rule.{}.prefix", other.rule),
                Code::DuplicateRule,
                format!(
                    "rules {} and {} have the same prefix and job flow",
                    one.rule, other.rule
                ),
                "Remove one of the two, or give one a longer prefix or a job-flow.",
            )),
        }
        match problems.into_error() {
            Some(error) => Err(error),
            None => Ok(config),
        }
    }
}

fn read(client: Client, reader: &mut Reader) -> Read {
    let mut keys = keys::read_all(reader);
    let mut default_key = reader.get("emrkeys.default.key").map(str::to_owned);
    let legacy_keys = list(reader.get(LEGACY_KEY));
    let local_disk = sections::local_disk(reader);
    let rules = sections::rules(reader);
    let drop_in = keys.is_empty() && rules.is_empty() && default_key.is_none() && !reader.names_keys();
    if drop_in {
        if let Some(key) = drop_in::read(reader) {
            keys.insert(DROP_IN_KEY.to_owned(), key);
            default_key = Some(DROP_IN_KEY.to_owned());
        }
    }
    let mut rule_names: Vec<RuleTarget> = rules.iter().map(|rule| rule.target.clone()).collect();
    rule_names.dedup(); // a rule with several prefixes stands there once for each, in a row
    let config = Config {
        client,
        keys,
        rules: Rules::default(),
        rule_names,
        default_key,
        legacy_keys,
        local_disk,
        s3: sections::s3_access(reader),
        jce: sections::jce(reader),
        cache: sections::cache(reader),
        keyring_max_age: sections::keyring_max_age(reader),
        audit: sections::audit(reader),
        stats_interval: sections::stats_interval(reader),
        allow_plaintext_secrets: reader.flag("emrkeys.allow-plaintext-secrets"),
        allow_legacy_wraps: reader.flag(properties::ALLOW_LEGACY_WRAPS),
        emrfs_kms_region: reader
            .get(EMRFS_KMS_REGION)
            .filter(|_| client == Client::S3)
            .map(str::to_owned),
        warnings: Vec::new(),
    };
    Read {
        config,
        rules,
        drop_in,
        described: reader.flag(DESCRIPTION_ENABLED),
        v2: reader.flag(V2_ENABLED),
    }
}

/// Compares the parts with each other, and resolves the names of older versions.
fn check(found: &mut Read, settings: &Settings, problems: &mut Problems) {
    let Read {
        config:
            Config {
                client,
                keys,
                rule_names,
                default_key,
                legacy_keys,
                local_disk,
                ..
            },
        rules,
        described,
        v2,
        ..
    } = found;
    let known: BTreeSet<String> = settings_key_names(settings).chain(keys.keys().cloned()).collect();
    check_names(&known, rules, default_key, legacy_keys, local_disk, problems);
    check_legacy(keys, legacy_keys, problems);
    check_protectors(keys, &known, problems);
    resolve_previous(keys, &known, problems);
    check_names_are_unique(keys, problems);
    if keys.is_empty() && problems.is_empty() {
        problems.add(Problem::at(
            "emrkeys.key.<name>.type",
            Code::MissingProperty,
            "no key is configured",
            "Configure a key (emrkeys.key.<name>.type and what its type needs) and name it in \
             emrkeys.default.key or a rule.",
        ));
    }
    let default_key = default_key.as_deref();
    match client {
        Client::S3 => check_client(keys, rule_names, default_key, *described, *v2, problems),
        Client::S3a => check_s3a(keys, rule_names, default_key, problems),
        Client::LocalDisk => check_local_disk(keys, local_disk, problems),
        Client::Tables => {}
    }
}

/// A configuration that is valid, and probably not meant so.
fn warnings(config: &Config, settings: &Settings, drop_in: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let by_rules = matches!(config.client, Client::S3 | Client::S3a);
    if by_rules && config.default_key.is_none() && config.rule_names.is_empty() {
        warnings.push(
            "neither a rule nor emrkeys.default.key is set: objects can be read, none can be written"
                .to_owned(),
        );
    }
    if by_rules && !drop_in {
        warnings.extend(switched_off::warnings(settings, &config.keys));
    }
    warnings.extend(shared_with_disk(
        &config.keys,
        &config.rule_names,
        config.default_key.as_deref(),
        &config.local_disk,
    ));
    warnings
}
