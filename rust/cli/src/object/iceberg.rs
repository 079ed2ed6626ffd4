//! The keys of encrypted Iceberg tables, for `emrkeys inspect` and `emrkeys audit`.

use std::collections::BTreeMap;
use std::path::Path;

use emrkeys_core::{Code, Error, Provider};
use emrkeys_objects::iceberg::{encrypted_table, EncryptedTable, TableKek, MAX_TABLE_METADATA};
use emrkeys_objects::{ObjectUri, Store};
use serde_json::{json, Value};

use super::parquet::{about_key, read_small, refusal};
use crate::text::counted;

/// The keys of a table, by its metadata file in S3; `None`: the table is not encrypted.
pub(crate) fn in_s3(
    store: &Store,
    uri: &ObjectUri,
    provider: Option<&Provider>,
) -> Result<Option<EncryptedTable>, Error> {
    match store.small(uri, MAX_TABLE_METADATA, Code::InvalidEnvelope)? {
        Some((content, _)) => encrypted_table(&content, provider),
        None => Ok(None),
    }
}

/// The same for a local file.
pub(super) fn on_disk(path: &Path, provider: Option<&Provider>) -> Result<Option<EncryptedTable>, Error> {
    match read_small(path, MAX_TABLE_METADATA)? {
        Some(content) => encrypted_table(&content, provider),
        None => Ok(None),
    }
}

pub(super) fn json(found: &Result<EncryptedTable, Error>) -> Value {
    match found {
        Err(error) => json!({ "malformed": refusal(error) }),
        Ok(found) => json!({
            "key": found.key,
            "keys": found.keys.iter().map(json_of).collect::<Vec<_>>(),
            "otherSnapshots": found.other_snapshots,
        }),
    }
}

fn json_of(key: &TableKek) -> Value {
    let description = key.description.as_ref();
    json!({
        "id": key.id,
        "key": key.under,
        "version": description.and_then(|description| description.version()),
        "description": description.map(|description| description.iter().collect::<BTreeMap<_, _>>()),
        "snapshots": key.snapshots,
        "readable": key.readable.as_ref().map(Result::is_ok),
        "why": key.readable.as_ref().and_then(|read| read.as_ref().err()).map(refusal),
    })
}

/// Prints lines by `line`, which takes a label and a text.
pub(super) fn print(
    line: &mut impl FnMut(&str, &str) -> std::io::Result<()>,
    found: &Result<EncryptedTable, Error>,
) -> std::io::Result<()> {
    let found = match found {
        Err(error) => return line("iceberg", &error.to_string()),
        Ok(found) => found,
    };
    let key = found.key.as_deref().unwrap_or("none is named");
    line("iceberg", &format!("encrypted table, of key {key}"))?;
    for key in &found.keys {
        let about = about_key(&key.under, key.description.as_ref(), key.readable.as_ref());
        let snapshots = counted(key.snapshots as u64, "snapshot");
        line("protects", &format!("{snapshots}: {about}"))?;
    }
    if found.other_snapshots > 0 {
        let snapshots = counted(found.other_snapshots as u64, "snapshot");
        line("", &format!("{snapshots} without such a key"))?;
    }
    Ok(())
}
