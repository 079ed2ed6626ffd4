//! The properties of Parquet and of Iceberg's catalogs beside emrkeys: the classes, and the keys that tables name.
//!
//! Source of the names: `PropertiesDrivenCryptoFactory` and `KeyToolkit` of parquet-java; `CatalogProperties` and
//! `TableProperties` of Iceberg.

use std::collections::BTreeSet;

use super::get;
use crate::error::excerpt;
use crate::inputs::Settings;
use crate::inspect::catalogs::{of_catalog, TableView, CATALOGS, ICEBERG_CLASS, ICEBERG_CLIENT, ICEBERG_KEY};
use crate::inspect::config_summary::ConfigSummary;
use crate::inspect::finding::Finding;
use crate::table_key::RULE;

const FACTORY: &str = "parquet.crypto.factory.class";
const FACTORY_CLASS: &str = "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory";
pub(in crate::inspect) const CLIENT: &str = "parquet.encryption.kms.client.class";
pub(in crate::inspect) const CLIENT_CLASS: &str = "org.emrkeys.parquet.EmrKeysKmsClient";
const ALGORITHM: &str = "parquet.encryption.algorithm";
/// Each names one key.
pub(in crate::inspect) const KEYS: [&str; 2] =
    ["parquet.encryption.footer.key", "parquet.encryption.uniform.key"];
/// `key:column,column;key:column`
const COLUMN_KEYS: &str = "parquet.encryption.column.keys";

/// `summary` is absent where the configuration is not valid.
pub(super) fn parquet(settings: &Settings, summary: Option<&ConfigSummary>) -> Vec<Finding> {
    let mut findings = vec![client(settings)];
    if get(settings, CLIENT).is_some() {
        findings.push(factory(settings));
    }
    if get(settings, ALGORITHM) == Some("AES_GCM_CTR_V1") {
        findings.push(Finding::warning(
            "parquet.algorithm",
            format!("{ALGORITHM}=AES_GCM_CTR_V1: a changed page is read without an error"),
            "Leave it out: AES_GCM_V1 authenticates pages.".to_owned(),
        ));
    }
    let one = KEYS.iter().filter_map(|name| Some((*name, get(settings, name)?)));
    let of_columns = column_keys(settings).map(|(key, _)| (COLUMN_KEYS, key));
    if let Some(summary) = summary {
        let named = one.chain(of_columns);
        findings.extend(named.map(|(property, name)| key("parquet.keys", property, name, summary)));
    }
    findings
}

/// The catalogs of a view that ask emrkeys for keys, or seem to. `summary` is absent where the view is not valid.
pub(super) fn iceberg(view: &TableView, summary: Option<&ConfigSummary>) -> Vec<Finding> {
    const CHECK: &str = "iceberg.kms-client";
    let properties = view.settings.keys();
    let catalogs: BTreeSet<&str> = properties
        .filter_map(|property| Some(of_catalog(property)?.0))
        .collect();
    let mut findings = Vec::new();
    for catalog in catalogs {
        let client = format!("{CATALOGS}{catalog}.{ICEBERG_CLIENT}");
        let class = get(&view.settings, &client);
        if class == Some(ICEBERG_CLASS) {
            findings.push(Finding::ok(
                CHECK,
                format!("catalog {catalog} asks {ICEBERG_CLASS} for keys"),
            ));
        } else if view.catalog.is_some() {
            let names = class.map_or("is not set".to_owned(), |class| format!("is {}", excerpt(class)));
            findings.push(Finding::warning(
                CHECK,
                format!("{client} {names}: catalog {catalog} asks emrkeys for no key, though it has properties of it"),
                format!("Set it to {ICEBERG_CLASS}."),
            ));
        }
        let to_hadoop = format!("{CATALOGS}{catalog}.hadoop.emrkeys.");
        if let Some(property) = view
            .settings
            .keys()
            .find(|property| property.starts_with(&to_hadoop))
        {
            findings.push(Finding::warning(
                "iceberg.properties",
                format!("{property} has no effect: Iceberg hands it to file systems, and not to its client of keys"),
                "Leave out hadoop. in its name.".to_owned(),
            ));
        }
        let defaults = ["table-default", "table-override"]
            .map(|kind| format!("{CATALOGS}{catalog}.{kind}.{ICEBERG_KEY}"));
        for property in &defaults {
            if let (Some(name), Some(summary)) = (get(&view.settings, property), summary) {
                findings.push(key("iceberg.keys", property, name, summary));
            }
        }
    }
    findings
}

/// The keys of columns, each with its columns, separated by commas.
pub(in crate::inspect) fn column_keys(settings: &Settings) -> impl Iterator<Item = (&str, &str)> {
    let columns = get(settings, COLUMN_KEYS).unwrap_or_default();
    columns.split(';').filter_map(|part| {
        let (key, columns) = part.split_once(':')?;
        Some((key.trim(), columns))
    })
}

fn client(settings: &Settings) -> Finding {
    const CHECK: &str = "parquet.kms-client";
    match get(settings, CLIENT) {
        Some(CLIENT_CLASS) => Finding::ok(CHECK, format!("Parquet asks {CLIENT_CLASS} for keys")),
        None => Finding::note(
            CHECK,
            format!("{CLIENT} is not set here: Parquet encrypts only where a job sets it"),
        ),
        Some(other) => Finding::warning(
            CHECK,
            format!("{CLIENT}={}: Parquet asks another class for keys", excerpt(other)),
            format!("Set it to {CLIENT_CLASS}."),
        ),
    }
}

fn factory(settings: &Settings) -> Finding {
    const CHECK: &str = "parquet.crypto-factory";
    match get(settings, FACTORY) {
        Some(FACTORY_CLASS) => Finding::ok(CHECK, format!("{FACTORY} is Parquet's own")),
        None => Finding::failure(
            CHECK,
            format!("{FACTORY} is not set: Parquet writes plaintext, whatever keys are named"),
            format!("Set it to {FACTORY_CLASS}."),
        ),
        Some(other) => Finding::warning(
            CHECK,
            format!("{FACTORY}={}: it may not ask the KMS client", excerpt(other)),
            format!("Set it to {FACTORY_CLASS}, or try the class out."),
        ),
    }
}

/// A key that `property` names.
fn key(check: &'static str, property: &str, name: &str, summary: &ConfigSummary) -> Finding {
    if name.starts_with(RULE) {
        return Finding::ok(
            check,
            format!("{property}: the rules choose the key for {}", excerpt(name)),
        );
    }
    let known = summary
        .keys
        .iter()
        .find(|key| key.name == name || key.aliases.iter().any(|alias| alias == name));
    match known.map(|key| key.key_type) {
        None => Finding::failure(
            check,
            format!("{property} names key {}, which is not configured", excerpt(name)),
            format!("Configure it (emrkeys.key.{name}.type), or correct the name."),
        ),
        Some(kind @ ("kms" | "rsa")) => Finding::failure(
            check,
            format!("{property} names key {name} of type {kind}, which wraps no keys of tables"),
            "Name a key of type keyring, kms-cached or aes.".to_owned(),
        ),
        Some(kind) => Finding::ok(check, format!("{property} names key {name} ({kind})")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{client as checked, Cluster};
    use super::*;
    use crate::client::Client;
    use crate::inspect::finding::Level;

    fn level(check: &str, more: &[(&str, &str)]) -> Option<Level> {
        let base = [
            (FACTORY, FACTORY_CLASS),
            (CLIENT, CLIENT_CLASS),
            ("emrkeys.key.lake.type", "aes"),
            ("emrkeys.key.lake.file", "file:///k"),
            ("emrkeys.key.lake.aliases", "pond"),
            ("emrkeys.key.k.type", "kms"),
            ("emrkeys.key.k.kms-key-id", "alias/k"),
        ];
        let settings: Settings = base
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let found = checked(Client::Tables, &settings, Cluster::default());
        let levels = found
            .iter()
            .filter(|found| found.check == check)
            .map(|found| found.level);
        levels.max_by_key(|level| *level as u8)
    }

    #[test]
    fn catalogs_ask_emrkeys_and_name_keys_that_they_have() {
        const CLIENT: &str = "spark.sql.catalog.a.encryption.kms-impl";
        const DEFAULT: &str = "spark.sql.catalog.a.table-default.encryption.key-id";
        const OWN: (&str, &str) = ("spark.sql.catalog.a.emrkeys.key.own.type", "aes");
        const FILE: (&str, &str) = ("spark.sql.catalog.a.emrkeys.key.own.file", "file:///own");
        let asks = (CLIENT, ICEBERG_CLASS);
        assert_eq!(level("iceberg.kms-client", &[]), None);
        assert_eq!(level("iceberg.kms-client", &[(CLIENT, "a.B")]), None);
        assert_eq!(level("iceberg.kms-client", &[asks]), Some(Level::Ok));
        assert_eq!(level("iceberg.kms-client", &[asks, OWN, FILE]), Some(Level::Ok));
        assert_eq!(level("iceberg.kms-client", &[OWN, FILE]), Some(Level::Warning));
        let defaults = |more: &[(&str, &str)]| level("iceberg.keys", &[&[asks], more].concat());
        assert_eq!(defaults(&[(DEFAULT, "pond")]), Some(Level::Ok));
        assert_eq!(defaults(&[(DEFAULT, "own")]), Some(Level::Failure));
        assert_eq!(defaults(&[(DEFAULT, "own"), OWN, FILE]), Some(Level::Ok));
        assert_eq!(defaults(&[(DEFAULT, "lake"), OWN, FILE]), Some(Level::Ok));
        let to_hadoop = ("spark.sql.catalog.a.hadoop.emrkeys.key.x.type", "aes");
        assert_eq!(
            level("iceberg.properties", &[asks, to_hadoop]),
            Some(Level::Warning)
        );
    }

    #[test]
    fn classes_and_keys_are_those_that_work() {
        assert_eq!(level("parquet.kms-client", &[]), Some(Level::Ok));
        assert_eq!(level("parquet.kms-client", &[(CLIENT, "")]), Some(Level::Note));
        assert_eq!(
            level("parquet.kms-client", &[(CLIENT, "a.B")]),
            Some(Level::Warning)
        );
        assert_eq!(level("parquet.crypto-factory", &[]), Some(Level::Ok));
        assert_eq!(
            level("parquet.crypto-factory", &[(FACTORY, "")]),
            Some(Level::Failure)
        );
        assert_eq!(level("parquet.algorithm", &[]), None);
        assert_eq!(
            level("parquet.algorithm", &[(ALGORITHM, "AES_GCM_CTR_V1")]),
            Some(Level::Warning)
        );
        let columns = |keys| level("parquet.keys", &[(COLUMN_KEYS, keys)]);
        assert_eq!(columns("lake:a,b;pond:c"), Some(Level::Ok));
        assert_eq!(columns("lake:a,b;lakes:c"), Some(Level::Failure));
        assert_eq!(columns("lake:a;k:c"), Some(Level::Failure));
        assert_eq!(
            level("parquet.keys", &[(KEYS[0], "rule:s3://b/x")]),
            Some(Level::Ok)
        );
        assert_eq!(
            level("parquet.keys", &[(KEYS[1], "nobody")]),
            Some(Level::Failure)
        );
    }
}
