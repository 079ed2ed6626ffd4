//! The Iceberg table that a file is of, by where it lies.
//!
//! The key of a file stands in a manifest, whose key stands in a manifest list, whose key is wrapped in the metadata of
//! the table. Without decrypting all of that, one thing is certain: the file is read by keys of its table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use emrkeys_core::uri::S3Location;
use emrkeys_core::Error;
use emrkeys_objects::iceberg::{is_table_metadata, EncryptedTable};
use emrkeys_objects::{Listing, ObjectUri, Store};

use crate::object::iceberg;

/// The folders of a table that Iceberg fills, unless its properties say otherwise. Source: `LocationProviders`.
const FOLDERS: [&str; 2] = ["/data/", "/metadata/"];
/// How many folders above a file are taken for that of its table: partitions may be called as the folders are.
const MAX_PLACES: usize = 4;

type Found = Option<Arc<EncryptedTable>>;

/// The tables of the files that were looked at, each sought once. Thread-safe.
#[derive(Default)]
pub(super) struct Tables(Mutex<BTreeMap<ObjectUri, Arc<OnceLock<Found>>>>);

impl Tables {
    /// The encrypted table that the file is of, by its newest metadata file. `None` if none lies around the file and
    /// names that place as its own, or if S3 does not show it.
    pub(super) fn of(&self, store: &Store, file: &ObjectUri) -> Found {
        let folders = file.key.rmatch_indices('/').map(|(at, _)| at);
        let is_of_table = |at: &usize| FOLDERS.iter().any(|folder| file.key[*at..].starts_with(folder));
        let mut places = folders.filter(is_of_table).take(MAX_PLACES);
        places.find_map(|at| {
            let place = ObjectUri {
                bucket: file.bucket.clone(),
                key: file.key[..at].to_owned(),
            };
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let table = Arc::clone(known.entry(place.clone()).or_default());
            drop(known);
            table
                .get_or_init(|| at_place(store, &place).unwrap_or_default())
                .clone()
        })
    }
}

fn at_place(store: &Store, place: &ObjectUri) -> Result<Found, Error> {
    let folder = ObjectUri {
        bucket: place.bucket.clone(),
        key: format!("{}/metadata/", place.key),
    };
    let mut newest: Option<(Option<u64>, ObjectUri)> = None;
    let mut listing = Listing::open(store, &folder, None, None)?;
    while let Some(page) = listing.next_page()? {
        let files = page.objects.into_iter().map(|listed| listed.uri);
        for uri in files.filter(|uri| is_table_metadata(&uri.key)) {
            let found = (version(&uri.key[folder.key.len()..]), uri);
            newest = newest.max(Some(found));
        }
    }
    let Some((_, uri)) = newest else {
        return Ok(None);
    };
    let table = iceberg::in_s3(store, &uri, None)?;
    Ok(table.filter(|table| is_at(table, place)).map(Arc::new))
}

/// The number in `00003-….metadata.json` and `v3.metadata.json`. Source: `BaseMetastoreTableOperations`,
/// `HadoopTableOperations`.
fn version(name: &str) -> Option<u64> {
    let number = name.strip_prefix('v').unwrap_or(name);
    let end = number.find(|c: char| !c.is_ascii_digit())?;
    number[..end].parse().ok()
}

/// Whether the table names this place as its own: copies of metadata lie elsewhere.
fn is_at(table: &EncryptedTable, place: &ObjectUri) -> bool {
    let location = table.location.trim_end_matches('/');
    S3Location::literal(location)
        .is_ok_and(|location| location.bucket == place.bucket && location.key == place.key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn metadata_files_have_numbers() {
        assert_eq!(version("00003-a1b2.metadata.json"), Some(3));
        assert_eq!(version("00010-a1b2.gz.metadata.json"), Some(10));
        assert_eq!(version("v12.metadata.json"), Some(12));
        assert_eq!(version("x.metadata.json"), None);
    }
}
