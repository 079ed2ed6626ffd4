//! The uses of a key that a configuration of Parquet, Iceberg and emrkeys gives it.

use super::catalogs::{ICEBERG_CLASS, ICEBERG_CLIENT, ICEBERG_KEY};
use super::checks::tables::{column_keys, CLIENT, CLIENT_CLASS, KEYS};
use super::config_summary::{config_summary, RuleSummary};
use crate::config::Config;
use crate::inputs::Settings;
use crate::table_key::RULE;

/// The uses of a key for tables, as far as the properties say. Jobs and tables may name it themselves.
#[derive(Clone, Debug, Default)]
pub struct TableUses {
    /// Whether a key of its type wraps keys of tables.
    pub wraps: bool,
    /// Properties of Parquet that name it for footers, or for whole files.
    pub footers: Vec<String>,
    /// Columns that get it, where a property of Parquet says so.
    pub columns: Vec<String>,
    /// Whether Parquet asks emrkeys for keys.
    pub parquet_asks: bool,
    /// Properties of Iceberg's catalogs that have them ask emrkeys for keys.
    pub catalogs: Vec<String>,
    /// Properties that make it the key of new tables of a catalog.
    pub table_defaults: Vec<String>,
    /// Rules that give it to a master key identifier `rule:` and a path.
    pub rules: Vec<RuleSummary>,
}

/// The uses of the key `name` for tables. Asks nobody.
pub fn table_uses(settings: &Settings, config: &Config, name: &str) -> TableUses {
    let summary = config_summary(config);
    let known = summary.keys.iter().find(|key| key.name == name);
    let is_it = |named: &str| match named.trim().strip_prefix(RULE) {
        None => {
            let named = named.trim();
            named == name || known.is_some_and(|key| key.aliases.iter().any(|alias| alias == named))
        }
        Some(path) => {
            super::explain::explain(config, path, None).is_ok_and(|found| found.key.as_deref() == Some(name))
        }
    };
    let named_by = |property: &&str| settings.get(*property).is_some_and(|value| is_it(value));
    let ending = |end: &str, value: &dyn Fn(&str) -> bool| {
        let found = settings
            .iter()
            .filter(|(property, found)| is_of_catalog(property, end) && value(found.trim()));
        found.map(|(property, _)| property.clone()).collect()
    };
    TableUses {
        wraps: known.is_some_and(|key| !matches!(key.key_type, "kms" | "rsa")),
        footers: KEYS
            .iter()
            .filter(|name| named_by(name))
            .map(|name| (*name).to_owned())
            .collect(),
        columns: column_keys(settings)
            .filter(|(key, _)| is_it(key))
            .flat_map(|(_, columns)| columns.split(',').map(|column| column.trim().to_owned()))
            .collect(),
        parquet_asks: settings
            .get(CLIENT)
            .is_some_and(|class| class.trim() == CLIENT_CLASS),
        catalogs: ending(ICEBERG_CLIENT, &|class| class == ICEBERG_CLASS),
        table_defaults: ending(ICEBERG_KEY, &is_it),
        rules: summary
            .rules
            .into_iter()
            .filter(|rule| rule.key == name)
            .collect(),
    }
}

/// Whether a property is `end`, or that of one catalog of Spark's.
fn is_of_catalog(property: &str, end: &str) -> bool {
    property
        .strip_suffix(end)
        .is_some_and(|start| start.is_empty() || start.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;

    #[test]
    fn properties_rules_and_catalogs_that_name_a_key_are_found() {
        let settings: Settings = [
            ("emrkeys.key.lake.type", "kms-cached"),
            ("emrkeys.key.lake.kms-key-id", "alias/lake"),
            ("emrkeys.key.lake.aliases", "pond"),
            ("emrkeys.key.r.type", "kms"),
            ("emrkeys.key.r.kms-key-id", "alias/r"),
            ("emrkeys.rule.sales.prefix", "s3://lake/sales/"),
            ("emrkeys.rule.sales.key", "lake"),
            (CLIENT, CLIENT_CLASS),
            (KEYS[0], "pond"),
            (KEYS[1], "rule:s3://lake/sales/x"),
            ("parquet.encryption.column.keys", "lake:a, b;r:c"),
            ("spark.sql.catalog.x.encryption.kms-impl", ICEBERG_CLASS),
            ("spark.sql.catalog.y.encryption.kms-impl", "another.Class"),
            ("spark.sql.catalog.x.table-default.encryption.key-id", "lake"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let config = Config::parse(Client::Tables, &settings).unwrap();
        let uses = table_uses(&settings, &config, "lake");
        assert!(uses.wraps && uses.parquet_asks);
        assert_eq!(uses.footers, KEYS);
        assert_eq!(uses.columns, ["a", "b"]);
        assert_eq!(uses.catalogs, ["spark.sql.catalog.x.encryption.kms-impl"]);
        assert_eq!(
            uses.table_defaults,
            ["spark.sql.catalog.x.table-default.encryption.key-id"]
        );
        assert_eq!(uses.rules[0].name, "sales");
        let other = table_uses(&settings, &config, "r");
        assert!(!other.wraps && other.footers.is_empty() && other.rules.is_empty());
        assert_eq!(other.columns, ["c"]);
    }
}
