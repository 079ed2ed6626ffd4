//! Parquet's own properties beside emrkeys: the classes, and the keys that tables name.
//!
//! Source of the names: `PropertiesDrivenCryptoFactory` and `KeyToolkit` of parquet-java.

use super::get;
use crate::error::excerpt;
use crate::inputs::Settings;
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
        findings.extend(named.map(|(property, name)| key(property, name, summary)));
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
fn key(property: &str, name: &str, summary: &ConfigSummary) -> Finding {
    const CHECK: &str = "parquet.keys";
    if name.starts_with(RULE) {
        return Finding::ok(
            CHECK,
            format!("{property}: the rules choose the key for {}", excerpt(name)),
        );
    }
    let known = summary
        .keys
        .iter()
        .find(|key| key.name == name || key.aliases.iter().any(|alias| alias == name));
    match known.map(|key| key.key_type) {
        None => Finding::failure(
            CHECK,
            format!("{property} names key {}, which is not configured", excerpt(name)),
            format!("Configure it (emrkeys.key.{name}.type), or correct the name."),
        ),
        Some(kind @ ("kms" | "rsa")) => Finding::failure(
            CHECK,
            format!("{property} names key {name} of type {kind}, which wraps no keys of tables"),
            "Name a key of type keyring, kms-cached or aes.".to_owned(),
        ),
        Some(kind) => Finding::ok(CHECK, format!("{property} names key {name} ({kind})")),
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
