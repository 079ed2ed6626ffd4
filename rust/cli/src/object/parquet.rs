//! The keys of encrypted Parquet files, for `emrkeys inspect`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use emrkeys_core::{Code, Error, Problem, Provider, StoredDescription};
use emrkeys_objects::parquet::{
    encrypted_parquet, key_material, key_material_name, EncryptedParquet, FooterKind, KeyMaterial,
    MaterialEntry, ParquetKey, ParquetSource, MAX_KEY_MATERIAL,
};
use emrkeys_objects::{ObjectUri, Store};
use serde_json::{json, Value};

/// The name of a Parquet file, as far as it shows.
pub(crate) fn is_parquet(name: &str) -> bool {
    let name = name.as_bytes();
    let suffix = b".parquet";
    name.len() > suffix.len() && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

/// The keys of an object, read from its end; `None`: it is not encrypted.
pub(crate) fn in_s3(
    store: &Store,
    uri: &ObjectUri,
    (etag, length): (&str, u64),
    provider: Option<&Provider>,
) -> Result<Option<EncryptedParquet>, Error> {
    encrypted_parquet(&InS3 { store, uri, etag }, length, provider)
}

/// The same for a local file.
pub(super) fn on_disk(
    path: &Path,
    length: u64,
    provider: Option<&Provider>,
) -> Result<Option<EncryptedParquet>, Error> {
    encrypted_parquet(&OnDisk { path }, length, provider)
}

/// `length` bytes of an object from `offset` on.
pub(crate) fn range(
    store: &Store,
    uri: &ObjectUri,
    etag: &str,
    offset: u64,
    length: u64,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    if length > 0 {
        let mut body = store.get(uri, Some(etag), Some((offset, offset + length - 1)))?;
        while let Some(piece) = body.next_piece()? {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(bytes)
}

struct InS3<'a> {
    store: &'a Store,
    uri: &'a ObjectUri,
    etag: &'a str,
}

impl ParquetSource for InS3<'_> {
    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        range(self.store, self.uri, self.etag, offset, length)
    }

    fn key_material(&self) -> Result<Option<Vec<u8>>, Error> {
        let (folder, name) = match self.uri.key.rsplit_once('/') {
            Some((folder, name)) => (format!("{folder}/"), name),
            None => (String::new(), self.uri.key.as_str()),
        };
        let beside = ObjectUri {
            bucket: self.uri.bucket.clone(),
            key: folder + &key_material_name(name),
        };
        let found = self
            .store
            .small(&beside, MAX_KEY_MATERIAL, Code::InvalidEnvelope)?;
        Ok(found.map(|(bytes, _)| bytes))
    }
}

struct OnDisk<'a> {
    path: &'a Path,
}

impl ParquetSource for OnDisk<'_> {
    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        // The length is at most that of the file, or of the longest footer.
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        let read = File::open(self.path).and_then(|file| file.read_exact_at(&mut bytes, offset));
        read.map_err(|error| unreadable(self.path, &error))?;
        Ok(bytes)
    }

    fn key_material(&self) -> Result<Option<Vec<u8>>, Error> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let beside = self.path.with_file_name(key_material_name(&name));
        read_small(&beside, MAX_KEY_MATERIAL)
    }
}

/// The content of a file of at most `limit` bytes; `None` if there is no such file.
///
/// # Errors
/// `INVALID_ENVELOPE` for a longer one.
pub(crate) fn read_small(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() > limit => {
            let what = format!("{} has more than {limit} bytes", path.display());
            Err(Problem::new(Code::InvalidEnvelope, what, "See what wrote it.").into())
        }
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The keys in a file of key material in S3; empty if there is no such file.
pub(crate) fn material_in_s3(
    store: &Store,
    uri: &ObjectUri,
    provider: Option<&Provider>,
) -> Result<Vec<MaterialEntry>, Error> {
    match store.small(uri, MAX_KEY_MATERIAL, Code::InvalidEnvelope)? {
        Some((content, _)) => key_material(&content, provider),
        None => Ok(Vec::new()),
    }
}

/// The same for a local file.
pub(super) fn material_on_disk(
    path: &Path,
    provider: Option<&Provider>,
) -> Result<Vec<MaterialEntry>, Error> {
    match read_small(path, MAX_KEY_MATERIAL)? {
        Some(content) => key_material(&content, provider),
        None => Ok(Vec::new()),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Problem::new(
        Code::ObjectNotFound,
        format!("{}: {error}", path.display()),
        "Correct the location, or its permissions.",
    )
    .into()
}

pub(super) fn json(found: &Result<EncryptedParquet, Error>) -> Value {
    match found {
        Err(error) => json!({ "malformed": refusal(error) }),
        Ok(found) => json!({
            "footer": footer(found.footer),
            "algorithm": found.algorithm,
            "keys": found.keys.iter().map(json_of).collect::<Vec<_>>(),
            "columnsKnown": found.columns_unknown.is_none(),
        }),
    }
}

pub(super) fn refusal(error: &Error) -> Value {
    json!({ "code": error.code().as_str(), "message": error.to_string() })
}

fn json_of(key: &ParquetKey) -> Value {
    let mut entry = json!({ "footer": key.footer, "columns": key.columns });
    describe(&mut entry, &key.material, key.readable.as_ref());
    entry
}

/// The keys in a file of key material.
pub(super) fn material_json(found: &Result<Vec<MaterialEntry>, Error>) -> Value {
    let entries = match found {
        Err(error) => return json!({ "malformed": refusal(error) }),
        Ok(entries) => entries,
    };
    let entries = entries.iter().map(|found| {
        let mut entry = json!({ "reference": found.reference });
        describe(&mut entry, &found.material, found.readable.as_ref());
        entry
    });
    entries.collect()
}

/// Adds how a key is wrapped, and whether it unwraps.
fn describe(entry: &mut Value, material: &Result<KeyMaterial, Error>, readable: Option<&Result<(), Error>>) {
    entry["readable"] = json!(readable.map(Result::is_ok));
    entry["why"] = json!(readable.and_then(|read| read.as_ref().err()).map(refusal));
    match material {
        Err(error) => entry["malformed"] = refusal(error),
        Ok(material) => {
            let description = material.description.as_ref();
            let fields = description.map(|description| description.iter().collect::<BTreeMap<_, _>>());
            entry["key"] = json!(material.master_key);
            entry["version"] = json!(description.and_then(|description| description.version()));
            entry["doubleWrapping"] = json!(material.is_double());
            entry["description"] = json!(fields);
        }
    }
}

/// As [`print()`], for a file of key material.
pub(super) fn print_material(
    line: &mut impl FnMut(&str, &str) -> std::io::Result<()>,
    found: &Result<Vec<MaterialEntry>, Error>,
) -> std::io::Result<()> {
    let entries = match found {
        Err(error) => return line("parquet", &error.to_string()),
        Ok(entries) => entries,
    };
    line("parquet", "key material of a file")?;
    for entry in entries {
        let about = about(&entry.material, entry.readable.as_ref());
        line("key", &format!("{}: {about}", entry.reference))?;
    }
    Ok(())
}

/// Prints lines by `line`, which takes a label and a text.
pub(super) fn print(
    line: &mut impl FnMut(&str, &str) -> std::io::Result<()>,
    found: &Result<EncryptedParquet, Error>,
) -> std::io::Result<()> {
    let found = match found {
        Err(error) => return line("parquet", &error.to_string()),
        Ok(found) => found,
    };
    let unauthenticated = if found.algorithm == "AES_GCM_CTR_V1" {
        ", pages not authenticated"
    } else {
        ""
    };
    let how = format!(
        "{} footer, {}{unauthenticated}",
        footer(found.footer),
        found.algorithm
    );
    line("parquet", &how)?;
    for key in &found.keys {
        if key.footer {
            line("footer", &about(&key.material, key.readable.as_ref()))?;
        }
        if !key.columns.is_empty() {
            let about = about(&key.material, key.readable.as_ref());
            line("columns", &format!("{}: {about}", key.columns.join(", ")))?;
        }
    }
    match &found.columns_unknown {
        None => Ok(()),
        Some(None) => line(
            "columns",
            "in the footer, which a configuration with its key opens",
        ),
        Some(Some(error)) => line("columns", &format!("in the footer, which does not open: {error}")),
    }
}

fn about(material: &Result<KeyMaterial, Error>, readable: Option<&Result<(), Error>>) -> String {
    match material {
        Ok(material) => about_key(&material.master_key, material.description.as_ref(), readable),
        Err(error) => error.to_string(),
    }
}

/// A wrapped key of a table, in words.
pub(super) fn about_key(
    name: &str,
    description: Option<&StoredDescription>,
    readable: Option<&Result<(), Error>>,
) -> String {
    let version = match description {
        None => ", wrapped by another KMS client".to_owned(),
        Some(description) => description
            .version()
            .map_or_else(String::new, |version| format!(", version {version}")),
    };
    let readable = match readable {
        None => String::new(),
        Some(Ok(())) => ", readable".to_owned(),
        Some(Err(error)) => format!(", not readable: {error}"),
    };
    format!("key {name}{version}{readable}")
}

fn footer(kind: FooterKind) -> &'static str {
    match kind {
        FooterKind::Encrypted => "encrypted",
        FooterKind::Signed => "signed",
    }
}
