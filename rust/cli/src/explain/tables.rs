//! `emrkeys explain --for tables`: a key by its name, and what would use it.

use std::collections::BTreeSet;
use std::io::{self, stdout, Write};

use emrkeys_core::keyring::State;
use emrkeys_core::{
    config_summary, keyring_versions, table_uses, table_views, Code, Error, KeySummary, TableUses,
};
use serde_json::{json, Value};

use super::{parsed, Key};
use crate::conf::{Client, Loaded};
use crate::output::{problem, Failure};
use crate::text::printable;
use crate::Form;

/// Everything that is to be said of one key.
struct Answer {
    /// The catalog with properties of its own in which the key is so.
    catalog: Option<String>,
    key: Key,
    aliases: Vec<String>,
    versions: Result<Vec<(String, State)>, Error>,
    uses: TableUses,
}

/// Answers for the keys of these names or aliases; for all without any. A key of a catalog that has properties of its
/// own has an answer of its own.
pub(super) fn run(names: &[String], settings: &Loaded, form: Form) -> Result<(), Failure> {
    let mut answers = Vec::new();
    let mut known: Vec<KeySummary> = Vec::new();
    for view in table_views(settings) {
        let located = |error| settings.located(view.located(error));
        let config = parsed(Client::Tables, &view.settings).map_err(located)?;
        for summary in config_summary(&config).keys {
            if names.is_empty() || names.iter().any(|name| is_called(&summary, name)) {
                answers.push(Answer {
                    catalog: view.catalog.clone(),
                    key: Key::of(&config, &summary.name, located),
                    aliases: summary.aliases.clone(),
                    versions: keyring_versions(&config, &summary.name).map_err(located),
                    uses: table_uses(&view.settings, &config, &summary.name),
                });
            }
            known.push(summary);
        }
    }
    let is_unknown = |name: &&String| !known.iter().any(|key| is_called(key, name));
    if let Some(unknown) = names.iter().find(is_unknown) {
        let known: BTreeSet<&str> = known.iter().map(|key| key.name.as_str()).collect();
        let known: Vec<&str> = known.into_iter().collect();
        return Err(problem(
            Code::UnknownKey,
            format!("no key {} is configured", printable(unknown)),
            format!("Name one of these: {}.", known.join(", ")),
        ));
    }
    let mut out = stdout().lock();
    if form == Form::Json {
        let answers = answers.iter().map(Answer::json);
        return Ok(writeln!(out, "{:#}", Value::from_iter(answers))?);
    }
    for (number, answer) in answers.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        answer.print(&mut out)?;
    }
    Ok(())
}

fn is_called(key: &KeySummary, name: &String) -> bool {
    key.name == *name || key.aliases.contains(name)
}

impl Answer {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let mut line = |label: &str, text: &str| writeln!(out, "  {label:12}{}", printable(text));
        let (key, uses) = (&self.key, &self.uses);
        line("key", &format!("{} ({})", key.name, key.type_name))?;
        if let Some(catalog) = &self.catalog {
            line(
                "catalog",
                &format!("{catalog}, by its own properties above the others"),
            )?;
        }
        if !self.aliases.is_empty() {
            line("aliases", &self.aliases.join(", "))?;
        }
        line("version", &key.version())?;
        match &self.versions {
            Ok(versions) => {
                let listed = versions
                    .iter()
                    .map(|(id, state)| format!("{id} {}", state.as_str()));
                let listed: Vec<String> = listed.collect();
                if !listed.is_empty() {
                    line("versions", &listed.join(", "))?;
                }
            }
            Err(error) => line("versions", &format!("unknown: {error}"))?,
        }
        if !uses.wraps {
            let why = format!("none: a key of type {} wraps no keys of tables", key.type_name);
            return line("tables", &why);
        }
        if self.catalog.is_none() {
            self.print_parquet(&mut line)?;
        }
        match uses.catalogs.as_slice() {
            [] => line("iceberg", "no catalog here asks emrkeys (encryption.kms-impl)")?,
            catalogs => line(
                "iceberg",
                &format!(
                    "tables with encryption.key-id={}, by {}",
                    key.name,
                    catalogs.join(", ")
                ),
            )?,
        }
        for property in &uses.table_defaults {
            line("", &format!("{property} names it"))?;
        }
        Ok(())
    }

    fn print_parquet(&self, line: &mut impl FnMut(&str, &str) -> io::Result<()>) -> io::Result<()> {
        let uses = &self.uses;
        let asks = if uses.parquet_asks {
            "org.emrkeys.parquet.EmrKeysKmsClient asks for keys"
        } else {
            "parquet.encryption.kms.client.class does not name emrkeys here"
        };
        line("parquet", asks)?;
        for property in &uses.footers {
            line("", &format!("{property} names it"))?;
        }
        if !uses.columns.is_empty() {
            line("", &format!("columns {}", uses.columns.join(", ")))?;
        }
        for rule in &uses.rules {
            line(
                "",
                &format!("rule:s3://{}/{}… gives it", rule.bucket, rule.prefix),
            )?;
        }
        if uses.footers.is_empty() && uses.columns.is_empty() {
            line("", "no property names it here; jobs may")?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let (key, uses) = (&self.key, &self.uses);
        let versions = self.versions.as_ref().map(|versions| {
            versions
                .iter()
                .map(|(id, state)| json!({ "id": id, "state": state.as_str() }))
                .collect::<Vec<_>>()
        });
        let rules = uses.rules.iter().map(
            |rule| json!({ "rule": rule.name, "prefix": format!("s3://{}/{}", rule.bucket, rule.prefix) }),
        );
        json!({
            "key": key.name,
            "catalog": self.catalog,
            "type": key.type_name,
            "aliases": self.aliases,
            "version": key.json(),
            "versions": versions.ok(),
            "wrapsTableKeys": uses.wraps,
            "parquet": { "asks": uses.parquet_asks, "properties": uses.footers, "columns": uses.columns },
            "iceberg": { "catalogs": uses.catalogs, "tableDefaults": uses.table_defaults },
            "rules": rules.collect::<Vec<_>>(),
        })
    }
}
