//! Files that no S3 client encrypted, and that a table format did: Parquet's own encryption, and Iceberg's streams.

use std::collections::BTreeSet;

use emrkeys_core::{Code, Error, Provider};
use emrkeys_objects::parquet::{EncryptedParquet, FooterKind, ParquetKey};
use emrkeys_objects::{Head, ObjectUri, Store};

use crate::object::parquet;

/// The first bytes of a stream of Iceberg. Source: Iceberg's specification, "AES GCM Stream".
const ICEBERG_STREAM: &[u8] = b"AGS1";
/// The formats of Iceberg's manifests, and of data that is no Parquet.
const STREAMS: [&str; 2] = [".avro", ".orc"];

/// How a table format encrypted a file.
#[derive(Debug, Default)]
pub(super) struct TableFile {
    /// The format.
    pub(super) mode: &'static str,
    /// The cipher.
    pub(super) content: &'static str,
    /// Where its keys stand.
    pub(super) place: &'static str,
    /// Which client wrapped its keys.
    pub(super) wrap: &'static str,
    /// The names of its keys, by commas.
    pub(super) keys: String,
    pub(super) versions: String,
    /// Whether every key of it unwraps; `None`: that was not tried.
    pub(super) readable: Option<Result<(), Code>>,
    /// A version of a key protects it that new files do not get.
    pub(super) is_old: bool,
}

/// Looks at the file itself, where its name is that of a table format; `None`: no table format encrypted it. `is_old`
/// says whether a version of a key is not given to new files.
pub(super) fn look(
    store: &Store,
    uri: &ObjectUri,
    head: &Head,
    provider: Option<&Provider>,
    is_old: impl Fn(&str, &str) -> bool,
) -> Result<Option<TableFile>, Error> {
    if head.is_archived() {
        return Ok(None);
    }
    if parquet::is_parquet(&uri.key) {
        let found = parquet::in_s3(store, uri, (&head.etag, head.length), provider)?;
        return Ok(found.map(|found| of_parquet(&found, is_old)));
    }
    let stream = STREAMS.iter().any(|suffix| uri.key.ends_with(suffix)) && head.length > 4;
    if !stream || parquet::range(store, uri, &head.etag, 0, 4)? != ICEBERG_STREAM {
        return Ok(None);
    }
    Ok(Some(TableFile {
        mode: "Iceberg",
        content: "AES-GCM stream",
        place: "table metadata",
        ..TableFile::default()
    }))
}

fn of_parquet(found: &EncryptedParquet, is_old: impl Fn(&str, &str) -> bool) -> TableFile {
    let mut file = TableFile {
        mode: match found.footer {
            FooterKind::Encrypted => "Parquet",
            FooterKind::Signed => "Parquet, footer in the clear",
        },
        content: found.algorithm,
        place: "Parquet footer",
        readable: readable(&found.keys),
        ..TableFile::default()
    };
    let mut names = BTreeSet::new();
    let mut versions = BTreeSet::new();
    for material in found.keys.iter().filter_map(|key| key.material.as_ref().ok()) {
        let description = material.description.as_ref();
        file.wrap = description.map_or("another KMS client", |_| "emrkeys");
        let name = description.and_then(|description| description.get("emrkeys.key"));
        let name = name.unwrap_or(&material.master_key);
        names.insert(name);
        if let Some(version) = description.and_then(|description| description.version()) {
            versions.insert(version);
            file.is_old |= is_old(name, version);
        }
    }
    file.keys = Vec::from_iter(names).join(", ");
    file.versions = Vec::from_iter(versions).join(", ");
    file
}

/// A file is readable if each of its keys is.
fn readable(keys: &[ParquetKey]) -> Option<Result<(), Code>> {
    let mut tried = keys.iter().filter_map(|key| key.readable.as_ref()).peekable();
    tried.peek()?;
    let refused = tried.find_map(|outcome| outcome.as_ref().err());
    Some(refused.map_or(Ok(()), |error| Err(error.code())))
}
