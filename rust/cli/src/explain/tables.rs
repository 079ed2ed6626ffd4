//! `emrkeys explain --for tables`: a key by its name, and what would use it.

use std::io::{stdout, Write};

use emrkeys_core::keyring::State;
use emrkeys_core::{
    config_summary, keyring_versions, table_uses, Code, Config, Error, KeySummary, Settings, TableUses,
};
use serde_json::{json, Value};

use super::Key;
use crate::output::{problem, Failure};
use crate::text::printable;
use crate::Form;

/// Everything that is to be said of one key.
struct Answer {
    key: Key,
    aliases: Vec<String>,
    versions: Result<Vec<(String, State)>, Error>,
    uses: TableUses,
}

/// Answers for the keys of these names or aliases; for all without any.
pub(super) fn run(
    names: &[String],
    settings: &Settings,
    config: &Config,
    key: impl Fn(&str) -> Key,
    form: Form,
) -> Result<(), Failure> {
    let known = config_summary(config).keys;
    let is_called = |key: &KeySummary, name: &String| key.name == *name || key.aliases.contains(name);
    let mut answers = Vec::new();
    for summary in &known {
        if names.is_empty() || names.iter().any(|name| is_called(summary, name)) {
            answers.push(Answer {
                key: key(&summary.name),
                aliases: summary.aliases.clone(),
                versions: keyring_versions(config, &summary.name),
                uses: table_uses(settings, config, &summary.name),
            });
        }
    }
    let is_known = |name: &String| known.iter().any(|key| is_called(key, name));
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let known: Vec<&str> = known.iter().map(|key| key.name.as_str()).collect();
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

impl Answer {
    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut line = |label: &str, text: &str| writeln!(out, "  {label:12}{}", printable(text));
        let (key, uses) = (&self.key, &self.uses);
        line("key", &format!("{} ({})", key.name, key.type_name))?;
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
