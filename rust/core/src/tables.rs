//! Keys of tables: which configured key wraps or unwraps one, and under which version.

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::audit::{AuditRecord, Purpose};
use crate::counters::Counter;
use crate::description::KEY;
use crate::error::{excerpt, Code, Error, Problem};
use crate::model::{MaterialKey, Materials};
use crate::provider::Provider;
use crate::resolution::{no_rule, Resolver, TableCounts};
use crate::source::load::not_configured;
use crate::source::Source;
use crate::table_key::{self, TableKind, WrappedTableKey, RULE};
use crate::uri::S3Location;
use crate::waiting;

impl Provider {
    /// Wraps a key of a table, of 16 to 32 bytes, under the current version of a configured key.
    ///
    /// `under` is the name of the key (or an older name of it), or `rule:` and an S3 URI for which the rules choose
    /// one.
    ///
    /// # Errors `UNKNOWN_KEY`, `NO_RULE`, `INVALID_URI`, `KEY_NOT_SYMMETRIC` for a key of type `rsa` or `kms`,
    /// `KEY_SIZE`, `AUDIT_UNAVAILABLE`; the codes of the key.
    pub fn wrap_table_key(&self, kind: TableKind, under: &str, key: &[u8]) -> Result<Vec<u8>, Error> {
        let resolver = self.resolver();
        let wrapped = resolver.audited(kind, Purpose::Encrypt, under, |record| {
            let name = resolver.name_for_wrap(under)?;
            record.key = Some(name.to_owned());
            let source = resolver.source(name).ok_or_else(|| resolver.unknown(name))?;
            record.source = Some(source.type_name());
            let materials = source.for_encryption()?;
            record.version = materials.description.version().map(str::to_owned);
            let material = symmetric(name, source, &materials)?;
            let wrapped = table_key::seal(kind, &materials.description, material, key)?;
            resolver.count(name, |counts| &counts.wraps);
            Ok(wrapped)
        });
        Ok(wrapped?)
    }

    /// The name in the configuration of the key that a wrapped key of a table names. Opens nothing.
    ///
    /// # Errors `WRAPPED_KEY_INVALID`, `KEY_NOT_CONFIGURED`.
    pub fn key_of_table_key(&self, wrapped: &[u8]) -> Result<String, Error> {
        let stored = WrappedTableKey::parse(wrapped)?.description;
        stored.check()?;
        let resolver = self.resolver();
        let name = resolver.key_lookup.named(&stored)?;
        let name = name.ok_or_else(|| table_key::invalid(&format!("it has no {KEY}")))?;
        resolver.source(name).ok_or_else(|| not_configured(name))?;
        Ok(name.to_owned())
    }

    /// Unwraps what [`wrap_table_key`](Provider::wrap_table_key) made, in the version that it says.
    ///
    /// `under` is what the table says: a key's name, which must be that of the key that wrapped it, or `rule:` and
    /// anything. The rules of today decide nothing.
    ///
    /// # Errors `WRAPPED_KEY_INVALID`, `KEY_NOT_CONFIGURED`, `KEY_NOT_SYMMETRIC`, `AUDIT_UNAVAILABLE`; the codes of the
    /// key, such as `KEY_VERSION_DISABLED`.
    pub fn unwrap_table_key(
        &self,
        kind: TableKind,
        under: &str,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let resolver = self.resolver();
        let key = resolver.audited(kind, Purpose::Decrypt, under, |record| {
            let wrapped = WrappedTableKey::parse(wrapped)?;
            let stored = &wrapped.description;
            record.version = stored.version().map(str::to_owned);
            stored.check()?;
            let name = resolver.key_lookup.named(stored)?;
            let name = name.ok_or_else(|| table_key::invalid(&format!("it has no {KEY}")))?;
            record.key = Some(name.to_owned());
            resolver.check_binding(kind, under, &wrapped, name)?;
            let source = resolver.source(name).ok_or_else(|| not_configured(name))?;
            record.source = Some(source.type_name());
            let materials = source.for_decryption(stored.clone())?;
            let key = wrapped.open(symmetric(name, source, &materials)?)?;
            resolver.count(name, |counts| &counts.unwraps);
            Ok(key)
        });
        Ok(key?)
    }
}

impl Resolver {
    /// Does `work`, which fills in the rest of the record, and audits its outcome.
    fn audited<T>(
        &self,
        kind: TableKind,
        purpose: Purpose,
        under: &str,
        work: impl FnOnce(&mut AuditRecord) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let mut record = AuditRecord {
            purpose,
            uri: under.strip_prefix(RULE).map(str::to_owned),
            key: None,
            source: None,
            version: None,
            table: Some(kind.name()),
        };
        let result = waiting::within(self.config.cache.deadline, || work(&mut record));
        match &result {
            Ok(_) => self.audit.write(&record, "ok")?,
            Err(_) if waiting::was_refused() => {} // it runs again, and is recorded then
            Err(problem) => self.audit.write(&record, problem.code.as_str())?,
        }
        result
    }

    fn count(&self, name: &str, counter: impl Fn(&TableCounts) -> &Counter) {
        if let Some(counts) = self.table_counts.get(name) {
            counter(counts).add();
        }
    }

    fn source(&self, name: &str) -> Option<&dyn Source> {
        self.keys.get(name).map(|source| &**source)
    }

    fn name_for_wrap<'a>(&'a self, under: &'a str) -> Result<&'a str, Problem> {
        let Some(path) = under.strip_prefix(RULE) else {
            return Ok(self.key_lookup.current_name(under));
        };
        let location = S3Location::literal(path).map_err(|error| {
            Problem::new(
                Code::InvalidUri,
                format!("the path behind {RULE} cannot be used: {error}"),
                "Rules have prefixes in S3. Name the key itself for files that are elsewhere.",
            )
        })?;
        let name = self.config.key_for_write(Some(&location), None);
        name.ok_or_else(|| no_rule(Some(&location.bucket)))
    }

    /// Refuses a wrapped key of another kind of table or of another key than the table says.
    fn check_binding(
        &self,
        kind: TableKind,
        under: &str,
        wrapped: &WrappedTableKey,
        name: &str,
    ) -> Result<(), Problem> {
        if wrapped.kind != kind {
            let why = format!(
                "it is of {}, and {} asks for it",
                wrapped.kind.name(),
                kind.name()
            );
            return Err(table_key::invalid(&why));
        }
        if !under.starts_with(RULE) && self.key_lookup.current_name(under) != name {
            let why = format!(
                "key {} wrapped it, and the table names {}",
                excerpt(name),
                excerpt(under)
            );
            return Err(table_key::invalid(&why));
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> Problem {
        let near = self
            .keys
            .keys()
            .min_by_key(|known| strsim::damerau_levenshtein(known, name));
        let or = near.map_or_else(String::new, |near| {
            format!(", or name one that is, such as {near}")
        });
        Problem::new(
            Code::UnknownKey,
            format!("the table names key {}, which is not configured", excerpt(name)),
            format!("Configure it (emrkeys.key.<name>.type){or}."),
        )
    }
}

/// The bytes of a symmetric key.
fn symmetric<'a>(name: &str, source: &dyn Source, materials: &'a Materials) -> Result<&'a [u8], Problem> {
    let remedy = match &materials.key {
        MaterialKey::Symmetric { bytes, .. } => return Ok(bytes.expose_secret()),
        MaterialKey::Kms { .. } => {
            "Use type kms-cached with the same kms-key-id, under another name: it asks KMS a few times in a JVM, \
             not for each file."
        }
        MaterialKey::KeyPair { .. } => "Use a key of type keyring, kms-cached or aes.",
    };
    Err(Problem::at(
        format!("emrkeys.key.{name}.type"),
        Code::KeyNotSymmetric,
        format!(
            "key {name} is of type {}, and keys of tables are wrapped by symmetric keys",
            source.type_name()
        ),
        remedy,
    ))
}

#[cfg(test)]
mod tests;
