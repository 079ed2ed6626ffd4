//! The configurations of tables: one for each of Spark's catalogs that has properties of emrkeys of its own, and one
//! for all others.
//!
//! Source of the rule: `EmrKeysKeyManagementClient` in Java. It takes the properties of Hadoop's configuration and
//! those of its catalog, of which the catalog's win, one by one.

use std::collections::BTreeMap;

use crate::error::{Error, Problem};
use crate::inputs::Settings;

/// The start of the properties of Spark's catalogs, before the catalog's name and a dot. Source: Iceberg's
/// documentation, "Spark Configuration".
pub const CATALOGS: &str = "spark.sql.catalog.";
/// The class that Iceberg asks for keys.
pub(super) const ICEBERG_CLASS: &str = "org.emrkeys.iceberg.EmrKeysKeyManagementClient";
/// The property of a catalog that names that class.
pub(super) const ICEBERG_CLIENT: &str = "encryption.kms-impl";
/// Of a table, among the defaults that a catalog gives to its tables.
pub(super) const ICEBERG_KEY: &str = "encryption.key-id";
const OURS: &str = "emrkeys.";

/// A configuration as one catalog has it, or as Parquet and the catalogs without properties of their own have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableView {
    /// The catalog's name; `None` for Parquet and the catalogs without properties of their own.
    pub catalog: Option<String>,
    /// The properties of emrkeys as the client reads them, and those of Parquet and Spark that are about this view.
    pub settings: Settings,
}

/// The configurations that these properties make: first the one of all that is no catalog with properties of its own.
/// It is left out if nothing but such catalogs is configured.
pub fn table_views(settings: &Settings) -> Vec<TableView> {
    let mut own: BTreeMap<&str, Settings> = BTreeMap::new();
    for (property, value) in settings {
        if let Some((catalog, name)) = of_catalog(property).filter(|(_, name)| name.starts_with(OURS)) {
            let properties = own.entry(catalog).or_default();
            properties.insert(name.to_owned(), value.clone());
        }
    }
    let those = |wanted: &dyn Fn(&str) -> bool| -> Settings {
        let found = settings.iter().filter(|(property, _)| wanted(property));
        found
            .map(|(property, value)| (property.clone(), value.clone()))
            .collect()
    };
    let shared = TableView {
        catalog: None,
        settings: those(&|property| {
            of_catalog(property).is_none_or(|(catalog, _)| !own.contains_key(catalog))
        }),
    };
    let is_used = |property: &String| property.starts_with(OURS) || property.starts_with("parquet.");
    let shared = Some(shared).filter(|shared| own.is_empty() || shared.settings.keys().any(is_used));
    let catalogs = own.iter().map(|(name, properties)| {
        let is_its = |property: &str| match of_catalog(property) {
            Some((catalog, _)) => catalog == *name,
            None => !property.starts_with("parquet."),
        };
        let mut settings = those(&is_its);
        settings.extend(properties.clone());
        TableView {
            catalog: Some((*name).to_owned()),
            settings,
        }
    });
    shared.into_iter().chain(catalogs).collect()
}

impl TableView {
    /// The error, with the whole names of the properties that the catalog sets.
    pub fn located(&self, error: Error) -> Error {
        let Some(catalog) = &self.catalog else {
            return error;
        };
        error.map(|problem| {
            let whole = problem
                .property
                .as_ref()
                .map(|property| format!("{CATALOGS}{catalog}.{property}"));
            match whole.filter(|whole| self.settings.contains_key(whole)) {
                None => problem,
                property => Problem { property, ..problem },
            }
        })
    }
}

/// The name of the catalog, and of the property in it.
pub(super) fn of_catalog(property: &str) -> Option<(&str, &str)> {
    property.strip_prefix(CATALOGS)?.split_once('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::config::Config;
    use crate::error::Code;

    fn views(entries: &[(&str, &str)]) -> Vec<TableView> {
        let owned = entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        table_views(&owned.collect())
    }

    fn value<'a>(view: &'a TableView, property: &str) -> Option<&'a str> {
        view.settings.get(property).map(String::as_str)
    }

    #[test]
    fn a_catalogs_properties_win_one_by_one_and_are_seen_by_no_other() {
        let found = views(&[
            ("emrkeys.key.k.type", "aes"),
            ("emrkeys.key.k.file", "file:///shared"),
            ("parquet.encryption.footer.key", "k"),
            ("spark.sql.catalog.a.emrkeys.key.k.file", "file:///a"),
            ("spark.sql.catalog.b.type", "hive"),
            ("spark.sql.catalog.c.emrkeys.key.c.type", "aes"),
        ]);
        let names: Vec<_> = found.iter().map(|view| view.catalog.as_deref()).collect();
        assert_eq!(names, [None, Some("a"), Some("c")]);
        let of = |property: &str| -> Vec<_> { found.iter().map(|view| value(view, property)).collect() };
        let (shared, own) = (Some("file:///shared"), Some("file:///a"));
        assert_eq!(of("emrkeys.key.k.file"), [shared, own, shared]);
        assert_eq!(of("emrkeys.key.k.type"), [Some("aes"); 3]);
        assert_eq!(of("emrkeys.key.c.type"), [None, None, Some("aes")]);
        assert_eq!(of("parquet.encryption.footer.key"), [Some("k"), None, None]);
        assert_eq!(of("spark.sql.catalog.b.type"), [Some("hive"), None, None]);
    }

    #[test]
    fn without_catalogs_there_is_one_view_and_with_nothing_else_one_for_each() {
        let entries = [("spark.sql.catalog.b.type", "hive")];
        assert_eq!(views(&entries).len(), 1);
        assert_eq!(views(&[]).len(), 1);
        let found = views(&[entries[0], ("spark.sql.catalog.a.emrkeys.default.key", "k")]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].catalog.as_deref(), Some("a"));
    }

    #[test]
    fn an_error_names_the_property_as_the_catalog_has_it() {
        let found = views(&[
            ("emrkeys.key.k.type", "aes"),
            ("emrkeys.key.k.fil", "file:///shared"),
            ("spark.sql.catalog.a.emrkeys.key.k.file", "k"),
        ]);
        let view = &found[1];
        let error = view.located(Config::parse(Client::Tables, &view.settings).unwrap_err());
        let named = |code| {
            let problem = error.problems().find(|problem| problem.code == code);
            problem.and_then(|problem| problem.property.clone())
        };
        assert_eq!(named(Code::UnknownProperty).as_deref(), Some("emrkeys.key.k.fil"));
        let whole = "spark.sql.catalog.a.emrkeys.key.k.file";
        assert_eq!(named(Code::InvalidUri).as_deref(), Some(whole));
    }
}
