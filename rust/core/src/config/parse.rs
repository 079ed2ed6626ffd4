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
use crate::error::{Code, Error, Problem};
use crate::inputs::Settings;
use crate::rules::Rules;

const EMRFS_KMS_REGION: &str = "fs.s3.cse.kms.region";

impl Config {
    /// Reads and validates all of `settings` for one client. Opens no file and asks no service.
    ///
    /// # Errors
    /// Every problem of the configuration, each with its property.
    pub fn parse(client: Client, settings: &Settings) -> Result<Config, Error> {
        let mut reader = Reader::new(settings);
        reader.refuse_unknown();
        let mut keys = keys::read_all(&mut reader);
        let mut default_key = reader.get("emrkeys.default.key").map(str::to_owned);
        let legacy_keys = list(reader.get(LEGACY_KEY));
        let local_disk = sections::local_disk(&mut reader);
        let rules = sections::rules(&mut reader);
        let drop_in = keys.is_empty() && rules.is_empty() && default_key.is_none() && !reader.names_keys();
        if drop_in {
            if let Some(key) = drop_in::read(&mut reader) {
                keys.insert(DROP_IN_KEY.to_owned(), key);
                default_key = Some(DROP_IN_KEY.to_owned());
            }
        }
        let s3 = sections::s3_access(&mut reader);
        let jce = sections::jce(&mut reader);
        let cache = sections::cache(&mut reader);
        let keyring_max_age = sections::keyring_max_age(&mut reader);
        let audit = sections::audit(&mut reader);
        let stats_interval = sections::stats_interval(&mut reader);
        let allow_plaintext_secrets = reader.flag("emrkeys.allow-plaintext-secrets");
        let allow_legacy_wraps = reader.flag(properties::ALLOW_LEGACY_WRAPS);
        let described = reader.flag(DESCRIPTION_ENABLED);
        let v2 = reader.flag(V2_ENABLED);
        let emrfs_kms_region = reader
            .get(EMRFS_KMS_REGION)
            .filter(|_| client == Client::S3)
            .map(str::to_owned);
        let mut problems = reader.problems;

        let known: BTreeSet<String> = settings_key_names(settings).chain(keys.keys().cloned()).collect();
        check_names(
            &known,
            &rules,
            &default_key,
            &legacy_keys,
            &local_disk,
            &mut problems,
        );
        check_legacy(&keys, &legacy_keys, &mut problems);
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
                "Configure a key (emrkeys.key.<name>.type and what its type needs) and name it in \
                 emrkeys.default.key or a rule.",
            ));
        }
        let mut warnings = Vec::new();
        match client {
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
            Client::Tables => {}
        }
        let by_rules = matches!(client, Client::S3 | Client::S3a);
        if by_rules && default_key.is_none() && rule_names.is_empty() {
            warnings.push(
                "neither a rule nor emrkeys.default.key is set: objects can be read, none can be written"
                    .to_owned(),
            );
        }
        if by_rules && !drop_in {
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
            (None, None) => return Err(Problem::defect("a rule set was neither built nor refused").into()),
        };
        Ok(Config {
            client,
            keys,
            rules,
            rule_names,
            default_key,
            legacy_keys,
            local_disk,
            s3,
            jce,
            cache,
            keyring_max_age,
            audit,
            stats_interval,
            allow_plaintext_secrets,
            allow_legacy_wraps,
            emrfs_kms_region,
            warnings,
        })
    }
}
