//! S3 Inventory: the lists of a bucket's objects that S3 writes once a day or a week, for buckets that take too long to
//! list.
//!
//! Source of the format: Amazon S3 User Guide, "Cataloging and analyzing your data with S3 Inventory". A
//! `manifest.json` names gzipped CSV files and the columns that they have; keys are URL-encoded, and rows are in no
//! order.

use std::io::{self, BufRead, BufReader, Read};

use bytes::{Buf, Bytes};
use csv_core::ReadRecordResult;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use super::store::{Listed, ObjectUri, Store};
use emrkeys_core::uri::percent_decode;
use emrkeys_core::{excerpt, Code, Error, Problem};

/// A file for each million of objects or so is named in it, by less than 300 bytes.
const MAX_MANIFEST: usize = 32 << 20;
/// Bytes of a file that are asked for at once: who works on a row does not keep S3 waiting, which would end the
/// connection.
const PIECE: u64 = 8 << 20;
/// Bytes of a row without its quotation marks. The longest of its fields are the key (3 × 1024) and the access control
/// list.
const MAX_ROW: usize = 1 << 20;
const MAX_COLUMNS: usize = 64;

/// The files and columns of an inventory, by its `manifest.json`.
pub struct Manifest {
    columns: Columns,
    files: Vec<DataFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    source_bucket: String,
    file_format: String,
    file_schema: String,
    files: Vec<DataFile>,
}

#[derive(Deserialize)]
struct DataFile {
    key: String,
    /// Bytes.
    size: u64,
}

/// Which columns there are.
#[derive(Clone, Copy, Debug)]
struct Columns {
    count: usize,
    key: usize,
    size: Option<usize>,
    is_latest: Option<usize>,
    is_delete_marker: Option<usize>,
}

/// The objects of an inventory whose keys begin with a prefix; of a bucket with versions the newest of each. Rows that
/// were listed and have no object any more are rows all the same.
pub(super) struct Inventory {
    store: Store,
    /// Where the files are.
    bucket: String,
    prefix: ObjectUri,
    manifest: Manifest,
    /// Which of the files comes next or is open.
    file: usize,
    /// Rows of it that were read.
    row: u64,
    /// Rows of it that are passed over.
    skip: u64,
    open: Option<Rows<BufReader<MultiGzDecoder<Content>>>>,
}

impl Inventory {
    /// Reads the manifest. `after` is where the last row was that is not wanted again, as [`Listed::mark`] gave it.
    ///
    /// # Errors
    /// `INVALID_INVENTORY` for what is no manifest, one of another bucket, or one of a format other than CSV;
    /// `OBJECT_NOT_FOUND`, `STORE_DENIED`, `STORE_UNAVAILABLE`
    pub(super) fn open(
        store: &Store,
        uri: &ObjectUri,
        prefix: &ObjectUri,
        after: Option<&str>,
    ) -> Result<Inventory, Error> {
        let content = store.small(uri, MAX_MANIFEST, Code::InvalidInventory)?;
        let (bytes, _) = content.ok_or_else(|| {
            Problem::new(
                Code::ObjectNotFound,
                format!("there is no {}", excerpt(&uri.to_string())),
                "Name the manifest.json of an inventory of S3's.",
            )
        })?;
        let manifest = Manifest::parse(&bytes, &prefix.bucket).map_err(|what| invalid(uri, &what))?;
        let (file, skip) = match after {
            None => (0, 0),
            Some(mark) => parse_mark(mark).ok_or_else(|| invalid(uri, &format!("it has no row {mark}")))?,
        };
        Ok(Inventory {
            store: store.clone(),
            bucket: uri.bucket.clone(),
            prefix: prefix.clone(),
            manifest,
            file,
            row: 0,
            skip,
            open: None,
        })
    }

    /// The next object. Blocks where a piece of a file has to be asked for.
    ///
    /// # Errors
    /// `INVALID_INVENTORY` for a file that is not what the manifest says; those of reading it. It is over then.
    pub(super) fn next(&mut self) -> Result<Option<Listed>, Error> {
        while let Some(file) = self.manifest.files.get(self.file) {
            let uri = ObjectUri {
                bucket: self.bucket.clone(),
                key: file.key.clone(),
            };
            let rows = self.open.get_or_insert_with(|| {
                let content = Content::new(&self.store, &uri, file.size);
                self.manifest.rows(BufReader::new(MultiGzDecoder::new(content)))
            });
            if !rows.read().map_err(|error| unreadable(&uri, error))? {
                self.open = None;
                self.file += 1;
                (self.row, self.skip) = (0, 0);
                continue;
            }
            self.row += 1;
            if self.row <= self.skip {
                continue;
            }
            let found = rows.object().map_err(|what| invalid(&uri, &what))?;
            let Some((key, length)) = found.filter(|(key, _)| key.starts_with(&self.prefix.key)) else {
                continue;
            };
            let uri = ObjectUri {
                bucket: self.prefix.bucket.clone(),
                key,
            };
            return Ok(Some(Listed {
                uri,
                length,
                row: Some((self.file, self.row)),
            }));
        }
        Ok(None)
    }
}

impl Manifest {
    /// Reads the manifest of an inventory of `bucket`.
    ///
    /// # Errors
    /// The fault as text: no manifest, one of another bucket, of another format than CSV, or without a column of keys.
    pub fn parse(bytes: &[u8], bucket: &str) -> Result<Manifest, String> {
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| format!("it is no manifest ({})", excerpt(&error.to_string())))?;
        if document.source_bucket != bucket {
            return Err(format!(
                "it is of the bucket {}, not of {bucket}",
                excerpt(&document.source_bucket)
            ));
        }
        if document.file_format != "CSV" {
            return Err(format!(
                "its files are {}; only CSV is read",
                excerpt(&document.file_format)
            ));
        }
        Ok(Manifest {
            columns: Columns::parse(&document.file_schema)?,
            files: document.files,
        })
    }

    /// The rows of one of its files, unzipped.
    pub fn rows<R: BufRead>(&self, file: R) -> Rows<R> {
        Rows {
            columns: self.columns,
            input: file,
            parser: csv_core::Reader::new(),
            text: vec![0; MAX_ROW].into_boxed_slice(),
            ends: [0; MAX_COLUMNS],
            count: 0,
        }
    }
}

fn parse_mark(mark: &str) -> Option<(usize, u64)> {
    let (file, row) = mark.split_once(':')?;
    Some((file.parse().ok()?, row.parse().ok()?))
}

impl Columns {
    fn parse(schema: &str) -> Result<Columns, String> {
        let names: Vec<&str> = schema.split(',').map(str::trim).collect();
        let place = |wanted: &str| names.iter().position(|name| *name == wanted);
        if names.len() > MAX_COLUMNS {
            return Err(format!("it has {} columns", names.len()));
        }
        Ok(Columns {
            count: names.len(),
            key: place("Key").ok_or("it has no column Key")?,
            size: place("Size"),
            is_latest: place("IsLatest"),
            is_delete_marker: place("IsDeleteMarker"),
        })
    }
}

/// The rows of a CSV file (RFC 4180), one at a time, in memory of a fixed size.
pub struct Rows<R> {
    columns: Columns,
    input: R,
    parser: csv_core::Reader,
    text: Box<[u8]>,
    ends: [usize; MAX_COLUMNS],
    /// Fields of the row.
    count: usize,
}

impl<R: BufRead> Rows<R> {
    /// Reads the next row; whether there was one.
    ///
    /// # Errors
    /// Those of the file; `InvalidData` for a row that is too long.
    pub fn read(&mut self) -> io::Result<bool> {
        let mut written = 0;
        self.count = 0;
        loop {
            let input = self.input.fill_buf()?;
            let (result, taken, wrote, ended) =
                self.parser
                    .read_record(input, &mut self.text[written..], &mut self.ends[self.count..]);
            self.input.consume(taken);
            written += wrote;
            self.count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => return Ok(true),
                ReadRecordResult::End => return Ok(false),
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("a row has more than {MAX_ROW} bytes or {MAX_COLUMNS} columns"),
                    ))
                }
            }
        }
    }

    /// Key and bytes of the object in the row that was read last; `None` for an older version, or for the mark of a
    /// deletion.
    ///
    /// # Errors
    /// The fault as text: other columns than the manifest says, or a key that is not UTF-8.
    pub fn object(&self) -> Result<Option<(String, u64)>, String> {
        if self.count != self.columns.count {
            return Err(format!(
                "a row of it has {} columns, the manifest {}",
                self.count, self.columns.count
            ));
        }
        let is = |column: Option<usize>, value: &str| {
            column.map_or(Ok(false), |column| {
                self.field(column).map(|text| text.eq_ignore_ascii_case(value))
            })
        };
        if is(self.columns.is_latest, "false")? || is(self.columns.is_delete_marker, "true")? {
            return Ok(None);
        }
        // S3 writes %2B for a plus, and for a space either of the two.
        let key = percent_decode(&self.field(self.columns.key)?.replace('+', " "));
        let key = String::from_utf8(key).map_err(|_| "a key in it is not UTF-8".to_owned())?;
        // A mark of a deletion has none.
        let length = self
            .columns
            .size
            .map_or(Ok(""), |column| self.field(column))?
            .parse()
            .unwrap_or(0);
        Ok(Some((key, length)))
    }

    /// A field of the row that was read last.
    fn field(&self, number: usize) -> Result<&str, String> {
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        std::str::from_utf8(&self.text[begin..self.ends[number]])
            .map_err(|_| "a row of it is not UTF-8".to_owned())
    }
}

/// An object in S3, read in pieces.
struct Content {
    store: Store,
    uri: ObjectUri,
    size: u64,
    at: u64,
    piece: Bytes,
}

impl Content {
    fn new(store: &Store, uri: &ObjectUri, size: u64) -> Content {
        Content {
            store: store.clone(),
            uri: uri.clone(),
            size,
            at: 0,
            piece: Bytes::new(),
        }
    }

    /// S3 never changes a file of an inventory; if somebody else did, its checksum shows it.
    fn next_piece(&self) -> Result<Bytes, Error> {
        let last = self.size.min(self.at + PIECE) - 1;
        let mut body = self.store.get(&self.uri, None, Some((self.at, last)))?;
        let mut piece = Vec::new();
        while let Some(more) = body.next_piece()? {
            piece.extend_from_slice(&more);
        }
        Ok(piece.into())
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.size {
            self.piece = self.next_piece().map_err(io::Error::other)?;
            self.at += self.piece.len() as u64;
        }
        let count = out.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}

/// The error that ended the reading of a file: of S3, or of the file's content.
fn unreadable(uri: &ObjectUri, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => invalid(uri, &error.to_string()),
    }
}

fn invalid(uri: &ObjectUri, what: &str) -> Error {
    Problem::new(
        Code::InvalidInventory,
        format!("{} is no inventory to work on: {what}", excerpt(&uri.to_string())),
        "Name the manifest.json of an inventory of this bucket in the format CSV, or leave it out: the prefix is \
         listed then.",
    )
    .into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use flate2::Compression;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag";

    fn manifest(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let mut manifest = json!({
            "sourceBucket": "lake",
            "destinationBucket": "arn:aws:s3:::lists",
            "version": "2016-11-30",
            "creationTimestamp": "1514944800000",
            "fileFormat": "CSV",
            "fileSchema": SCHEMA,
            "files": [{"key": "a/data/1.csv.gz", "size": 100, "MD5checksum": "f11166069f1990abeb9c97ace9cdfabc"}],
        });
        change(&mut manifest);
        manifest.to_string().into_bytes()
    }

    fn zip(text: &[u8]) -> Vec<u8> {
        let mut file = GzEncoder::new(Vec::new(), Compression::fast());
        file.write_all(text).unwrap();
        file.finish().unwrap()
    }

    fn objects(file: &[u8]) -> Result<Vec<(String, u64)>, String> {
        let manifest = Manifest::parse(&manifest(|_| {}), "lake")?;
        let mut rows = manifest.rows(BufReader::new(MultiGzDecoder::new(file)));
        let mut found = Vec::new();
        while rows.read().map_err(|error| error.to_string())? {
            found.extend(rows.object()?);
        }
        Ok(found)
    }

    #[test]
    fn a_row_is_an_object_but_older_versions_and_marks_of_deletions() {
        let file = zip(
            b"\"lake\",\"a%2Bb+c%2F%C3%BC\",\"v2\",\"true\",\"false\",\"17\",\"e\"\n\
              \"lake\",\"old\",\"v1\",\"false\",\"false\",\"5\",\"e\"\n\
              \"lake\",\"gone\",\"v3\",\"true\",\"true\",\"\",\"\"\n\
              lake,plain%22quote,,,,0,e",
        );
        let expected = [("a+b c/\u{fc}".to_owned(), 17), ("plain\"quote".to_owned(), 0)];
        assert_eq!(objects(&file).unwrap(), expected);
    }

    #[test]
    fn what_is_cut_short_or_has_other_columns_is_an_error() {
        let row = b"\"lake\",\"key\",\"v2\",\"true\",\"false\",\"17\",\"e\"\n".repeat(1000);
        let whole = zip(&row);
        assert_eq!(objects(&whole).unwrap().len(), 1000);
        for cut in [whole.len() / 2, whole.len() - 1] {
            assert!(objects(&whole[..cut]).is_err(), "{cut}");
        }
        let mut flipped = whole.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 1;
        assert!(objects(&flipped).is_err());
        assert!(objects(&zip(b"lake,key,e\n")).is_err());
        assert!(objects(&zip(b"lake,%ff,,,,1,e\n")).is_err());
    }

    #[test]
    fn a_row_without_end_takes_no_memory_without_end() {
        assert!(objects(&zip(&vec![b'a'; 16 * MAX_ROW])).is_err());
        assert!(objects(&zip(&b"a,".repeat(MAX_COLUMNS))).is_err());
    }

    #[test]
    fn a_manifest_is_of_the_bucket_in_csv_and_has_keys() {
        let Manifest { columns, files } = Manifest::parse(&manifest(|_| {}), "lake").unwrap();
        assert_eq!((columns.count, columns.key, columns.size), (7, 1, Some(5)));
        assert_eq!((files[0].key.as_str(), files[0].size), ("a/data/1.csv.gz", 100));
        assert!(Manifest::parse(&manifest(|_| {}), "another").is_err());
        for (name, value) in [
            ("fileFormat", json!("ORC")),
            ("fileSchema", json!("Bucket, Size")),
            ("files", json!([{"key": "a"}])),
            ("files", json!([{"key": "a", "size": -1}])),
            ("sourceBucket", json!(null)),
        ] {
            let changed = manifest(|manifest| manifest[name] = value);
            assert!(Manifest::parse(&changed, "lake").is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_inventory_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..2000), plain: bool) {
            let _ = Manifest::parse(&bytes, "lake");
            let _ = objects(&if plain { bytes } else { zip(&bytes) });
        }
    }
}
