//! Files that no S3 client encrypted: those that a table format encrypted (Parquet's own encryption, and Iceberg's
//! streams), and those that hold the wrapped keys of such.

use std::collections::BTreeSet;

use emrkeys_core::{description, Code, Error, Provider, StoredDescription};
use emrkeys_objects::iceberg::{is_table_metadata, EncryptedTable};
use emrkeys_objects::parquet::{is_key_material, EncryptedParquet, FooterKind};
use emrkeys_objects::{Head, ObjectUri, Store};

use super::table_of::Tables;
use crate::object::{iceberg, parquet};

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
    /// The file names keys, and is in the clear itself.
    pub(super) in_clear: bool,
}

/// Looks at the file itself, where its name is that of a table format; `None`: no table format encrypted it. `is_old`
/// says whether a version of a key is not given to new files.
pub(super) fn look(
    store: &Store,
    uri: &ObjectUri,
    head: &Head,
    provider: Option<&Provider>,
    tables: &Tables,
    is_old: impl Fn(&str, &str) -> bool,
) -> Result<Option<TableFile>, Error> {
    if head.is_archived() {
        return Ok(None);
    }
    if parquet::is_parquet(&uri.key) {
        let found = parquet::in_s3(store, uri, (&head.etag, head.length), provider)?;
        let file = found.map(|found| of_parquet(&found, is_old));
        return Ok(file.map(|file| match file.keys.as_str() {
            "" => in_table(tables.of(store, uri).as_deref(), file),
            _ => file,
        }));
    }
    if is_key_material(&uri.key) {
        let entries = parquet::material_in_s3(store, uri, provider)?;
        let mut keys = Keys::default();
        for entry in &entries {
            if let Ok(material) = &entry.material {
                keys.add(&material.master_key, material.description.as_ref());
            }
            keys.try_read(entry.readable.as_ref());
        }
        let file = TableFile {
            mode: "Parquet key material",
            place: "file",
            ..TableFile::default()
        };
        return Ok(Some(keys.of(file, is_old)));
    }
    if is_table_metadata(&uri.key) {
        let found = iceberg::in_s3(store, uri, provider)?;
        return Ok(found.map(|found| of_iceberg(&found, is_old)));
    }
    let stream = STREAMS.iter().any(|suffix| uri.key.ends_with(suffix)) && head.length > 4;
    if !stream || parquet::range(store, uri, &head.etag, 0, 4)? != ICEBERG_STREAM {
        return Ok(None);
    }
    let file = TableFile {
        mode: "Iceberg",
        content: "AES-GCM stream",
        place: "table metadata",
        ..TableFile::default()
    };
    Ok(Some(in_table(tables.of(store, uri).as_deref(), file)))
}

/// A file that names no key, with the keys of its table: one of them leads to its own, and the others may, too.
fn in_table(table: Option<&EncryptedTable>, file: TableFile) -> TableFile {
    let Some(table) = table else {
        return file;
    };
    let mut keys = Keys::default();
    for key in &table.keys {
        keys.add(&key.under, key.description.as_ref());
    }
    let file = TableFile {
        place: "table metadata",
        ..file
    };
    keys.of(file, |_, _| false)
}

/// The metadata of an encrypted table, which is in the clear itself.
fn of_iceberg(found: &EncryptedTable, is_old: impl Fn(&str, &str) -> bool) -> TableFile {
    let mut keys = Keys::default();
    for key in &found.keys {
        keys.add(&key.under, key.description.as_ref());
        keys.try_read(key.readable.as_ref());
    }
    let file = TableFile {
        mode: "Iceberg metadata, in the clear",
        place: "table metadata",
        in_clear: true,
        ..TableFile::default()
    };
    keys.of(file, is_old)
}

fn of_parquet(found: &EncryptedParquet, is_old: impl Fn(&str, &str) -> bool) -> TableFile {
    let mut keys = Keys::default();
    for key in &found.keys {
        if let Ok(material) = &key.material {
            keys.add(&material.master_key, material.description.as_ref());
        }
        keys.try_read(key.readable.as_ref());
    }
    let file = TableFile {
        mode: match found.footer {
            FooterKind::Encrypted => "Parquet",
            FooterKind::Signed => "Parquet, footer in the clear",
        },
        content: found.algorithm,
        place: "Parquet footer",
        ..TableFile::default()
    };
    keys.of(file, is_old)
}

/// The keys that wrap those of one file.
#[derive(Default)]
struct Keys<'a> {
    names: BTreeSet<&'a str>,
    versions: BTreeSet<&'a str>,
    both: BTreeSet<(&'a str, &'a str)>,
    wrap: &'static str,
    readable: Option<Result<(), Code>>,
}

impl<'a> Keys<'a> {
    /// A key by the name that the file has for it, and by what the wrapped form says.
    fn add(&mut self, name: &'a str, description: Option<&'a StoredDescription>) {
        self.wrap = description.map_or("another KMS client", |_| "emrkeys");
        let named = description.and_then(|description| description.get(description::KEY));
        let name = named.unwrap_or(name);
        self.names.insert(name);
        if let Some(version) = description.and_then(|description| description.version()) {
            self.versions.insert(version);
            self.both.insert((name, version));
        }
    }

    /// A file is readable if each of its keys is.
    fn try_read(&mut self, read: Option<&Result<(), Error>>) {
        let read = read.map(|read| read.as_ref().copied().map_err(Error::code));
        if let (Some(read), None | Some(Ok(()))) = (read, &self.readable) {
            self.readable = Some(read);
        }
    }

    fn of(self, file: TableFile, is_old: impl Fn(&str, &str) -> bool) -> TableFile {
        TableFile {
            wrap: self.wrap,
            is_old: self.both.iter().any(|(name, version)| is_old(name, version)),
            keys: Vec::from_iter(self.names).join(", "),
            versions: Vec::from_iter(self.versions).join(", "),
            readable: self.readable,
            ..file
        }
    }
}
