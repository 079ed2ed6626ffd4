//! Encrypted Iceberg tables: which keys protect which snapshots, by the metadata of the table.
//!
//! The metadata holds the keys of the table, each wrapped: key-encryption keys under a configured key, and the keys of
//! manifest lists under a key-encryption key. The keys of all other files stand in manifests.
//!
//! Source of the names: "Encryption Keys" and "Snapshots" of Iceberg's specification, version 3; which key wraps which
//! is that of `StandardEncryptionManager`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use base64ct::{Base64, Encoding};
use emrkeys_core::table_key::{TableKind, WrappedTableKey};
use emrkeys_core::{Code, Error, Problem, Provider, StoredDescription};
use serde::Deserialize;

/// The most bytes of a metadata file, in compressed and in plain form: far beyond that of tables with many snapshots.
pub const MAX_TABLE_METADATA: usize = 64 << 20;

/// The first bytes of what gzip compressed. Source: RFC 1952, section 2.3.1.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The keys of an encrypted table.
#[derive(Debug)]
pub struct EncryptedTable {
    /// The URI of the folder of the table; empty if the metadata does not have it.
    pub location: String,
    /// The name of the configured key of the table, which wraps new key-encryption keys: `encryption.key-id`.
    pub key: Option<String>,
    /// Its key-encryption keys, in the order of the metadata.
    pub keys: Vec<TableKek>,
    /// Snapshots whose manifest lists have no key, or one that is not in the metadata.
    pub other_snapshots: usize,
}

/// A key-encryption key of a table, and the snapshots that it protects.
#[derive(Debug)]
pub struct TableKek {
    /// Its id in the metadata.
    pub id: String,
    /// The name of the configured key that wraps it, as the metadata says.
    pub under: String,
    /// The description in the wrapped key, with its key and version; `None`: another client wrapped it.
    pub description: Option<StoredDescription>,
    /// Snapshots that are lost with it: the keys of their manifest lists are under it.
    pub snapshots: usize,
    /// Whether the configuration unwraps it; `None`: that was not tried.
    pub readable: Option<Result<(), Error>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    /// Every metadata file of a table has it.
    #[serde(rename = "format-version")]
    _format_version: u32,
    #[serde(default)]
    location: String,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    snapshots: Vec<Snapshot>,
    #[serde(default)]
    encryption_keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Snapshot {
    key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Key {
    key_id: String,
    encrypted_key_metadata: String,
    encrypted_by_id: Option<String>,
}

/// Whether an object with this key, or a file with this name, holds the metadata of a table. Source:
/// `TableMetadataParser.getFileExtension`.
pub fn is_table_metadata(key: &str) -> bool {
    [".metadata.json", ".metadata.json.gz"]
        .iter()
        .any(|suffix| key.ends_with(suffix))
}

/// The keys of a table, by the content of its metadata file; `None` if the table is not encrypted. With a provider each
/// key-encryption key is unwrapped, which may ask a key service.
///
/// # Errors
/// `INVALID_ENVELOPE` for what is no metadata of a table.
pub fn encrypted_table(file: &[u8], provider: Option<&Provider>) -> Result<Option<EncryptedTable>, Error> {
    let plain;
    let json = if file.starts_with(&GZIP) {
        let mut bytes = Vec::new();
        let limit = MAX_TABLE_METADATA as u64 + 1;
        let read = flate2::read::GzDecoder::new(file)
            .take(limit)
            .read_to_end(&mut bytes);
        if read.is_err() || bytes.len() > MAX_TABLE_METADATA {
            return Err(malformed("it does not decompress, or is too large").into());
        }
        plain = bytes;
        &plain[..]
    } else {
        file
    };
    let metadata: Metadata = serde_json::from_slice(json).map_err(|_| malformed("it is not such JSON"))?;
    let key = metadata.properties.get("encryption.key-id").cloned();
    if key.is_none() && metadata.encryption_keys.is_empty() {
        return Ok(None);
    }
    let ids: BTreeSet<&str> = metadata.encryption_keys.iter().map(|key| &*key.key_id).collect();
    let is_below = |key: &Key| key.encrypted_by_id.as_deref().is_some_and(|by| ids.contains(by));
    let (below, above): (Vec<&Key>, Vec<&Key>) =
        metadata.encryption_keys.iter().partition(|key| is_below(key));
    let mut lists: BTreeMap<&str, usize> = BTreeMap::new();
    for id in metadata
        .snapshots
        .iter()
        .filter_map(|snapshot| snapshot.key_id.as_deref())
    {
        *lists.entry(id).or_default() += 1;
    }
    let mut keys = Vec::new();
    for kek in above {
        let under_it = below
            .iter()
            .filter(|key| key.encrypted_by_id.as_deref() == Some(&kek.key_id));
        let snapshots = under_it.filter_map(|key| lists.get(&*key.key_id)).sum();
        keys.push(look_at(kek, snapshots, provider)?);
    }
    let protected: usize = keys.iter().map(|key| key.snapshots).sum();
    Ok(Some(EncryptedTable {
        location: metadata.location,
        key,
        other_snapshots: metadata.snapshots.len().saturating_sub(protected),
        keys,
    }))
}

fn look_at(key: &Key, snapshots: usize, provider: Option<&Provider>) -> Result<TableKek, Error> {
    let wrapped =
        Base64::decode_vec(&key.encrypted_key_metadata).map_err(|_| malformed("a key is not in Base64"))?;
    let under = key.encrypted_by_id.clone().unwrap_or_default();
    let unwrap = |provider: &Provider| provider.unwrap_table_key(TableKind::Iceberg, &under, &wrapped);
    Ok(TableKek {
        id: key.key_id.clone(),
        readable: provider.map(|provider| unwrap(provider).map(drop)),
        description: WrappedTableKey::parse(&wrapped)
            .ok()
            .map(|wrapped| wrapped.description),
        under,
        snapshots,
    })
}

fn malformed(why: &str) -> Problem {
    Problem::new(
        Code::InvalidEnvelope,
        format!("the metadata of the Iceberg table cannot be read: {why}"),
        "Restore the file, or look at the metadata file that the catalog names.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn metadata(more: &str) -> String {
        format!(
            r#"{{"format-version":3,"properties":{{"encryption.key-id":"lake"}},{more}"last-column-id":1}}"#
        )
    }

    const KEYS: &str = r#""snapshots":[{"snapshot-id":1,"key-id":"m1"},{"snapshot-id":2,"key-id":"m2"},
        {"snapshot-id":3,"key-id":"m3"},{"snapshot-id":4}],
        "encryption-keys":[
        {"key-id":"k1","encrypted-key-metadata":"AAAA","encrypted-by-id":"lake","properties":{"KEY_TIMESTAMP":"1"}},
        {"key-id":"m1","encrypted-key-metadata":"AAAA","encrypted-by-id":"k1"},
        {"key-id":"k2","encrypted-key-metadata":"AAAA","encrypted-by-id":"lake"},
        {"key-id":"m2","encrypted-key-metadata":"AAAA","encrypted-by-id":"k1"},
        {"key-id":"m3","encrypted-key-metadata":"AAAA","encrypted-by-id":"k2"}],"#;

    #[test]
    fn each_key_encryption_key_counts_the_snapshots_that_go_with_it() {
        let plain = metadata(KEYS);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(plain.as_bytes()).unwrap();
        for file in [plain.as_bytes(), &gzip.finish().unwrap()] {
            let table = encrypted_table(file, None).unwrap().unwrap();
            assert_eq!(table.key.as_deref(), Some("lake"));
            let keys: Vec<_> = table
                .keys
                .iter()
                .map(|key| (&*key.id, &*key.under, key.snapshots))
                .collect();
            assert_eq!(keys, [("k1", "lake", 2), ("k2", "lake", 1)]);
            assert_eq!(table.other_snapshots, 1);
        }
    }

    #[test]
    fn other_tables_and_other_files_are_told_apart() {
        assert!(encrypted_table(br#"{"format-version":2,"properties":{}}"#, None)
            .unwrap()
            .is_none());
        assert!(encrypted_table(metadata("").as_bytes(), None)
            .unwrap()
            .unwrap()
            .keys
            .is_empty());
        for other in [
            &b"[]"[..],
            b"",
            b"\x1f\x8bx",
            br#"{"encryption-keys":[{"key-id":"a"}]}"#,
        ] {
            let refused = encrypted_table(other, None).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidEnvelope, "{other:?}");
        }
    }
}
