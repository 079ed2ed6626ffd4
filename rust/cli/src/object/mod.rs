//! Commands on encrypted objects, in S3 or on a local disk.
//!
//! On a disk the ciphertext is a file and its envelope an instruction file beside it, as the S3 encryption clients have
//! them in S3.

mod get;
pub(crate) mod iceberg;
mod inspect;
mod moved;
pub(crate) mod parquet;
mod put;
mod tree;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use clap::Args;
use emrkeys_core::Code;
use emrkeys_objects::{
    json_fields, local_path, noted_length, Body, Envelope, Metadata, ObjectUri, Store, INSTRUCTION_SUFFIX,
    MAX_INSTRUCTION,
};

pub(crate) use get::{Cat, Get};
pub(crate) use inspect::Inspect;
pub(crate) use moved::is_standard;
pub(crate) use put::{read_back, Put};

use crate::aws::Aws;
use crate::output::{at, problem, Failure};

/// How much of an object is worked on at once, in bytes.
const PIECE: usize = 256 * 1024;

/// Which objects a command works on.
#[derive(Args)]
pub(crate) struct Prefix {
    /// The objects: all whose keys begin so, s3://bucket/prefix
    prefix: String,
    /// Takes the objects from an S3 Inventory in CSV, instead of listing the prefix: the URI of its manifest.json
    #[arg(long, value_name = "URI")]
    inventory: Option<String>,
}

impl Prefix {
    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.prefix
    }

    /// Both URIs.
    pub(crate) fn parse(&self) -> Result<(ObjectUri, Option<ObjectUri>), Failure> {
        let inventory = self.inventory.as_deref().map(ObjectUri::parse).transpose()?;
        Ok((ObjectUri::parse(&self.prefix)?, inventory))
    }
}

/// Where instruction files are.
#[derive(Args)]
pub(crate) struct Instructions {
    /// The end of the key of an instruction file, behind the object's key
    #[arg(long, value_name = "SUFFIX", default_value = INSTRUCTION_SUFFIX, value_parser = suffix)]
    instruction_suffix: String,
}

fn suffix(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the key of an instruction file is not that of its object".to_owned());
    }
    Ok(text.to_owned())
}

impl Instructions {
    /// The S3 of a command, whose instruction files end so.
    pub(crate) fn store(&self, aws: &Aws) -> Result<Store, Failure> {
        Ok(aws.store()?.with_instruction_suffix(&self.instruction_suffix))
    }

    pub(crate) fn suffix(&self) -> &str {
        &self.instruction_suffix
    }

    /// The suffix, if it is not the one that clients use by default.
    pub(crate) fn other(&self) -> Option<&str> {
        Some(self.suffix()).filter(|suffix| *suffix != INSTRUCTION_SUFFIX)
    }
}

/// Which version of an object.
#[derive(Args)]
pub(crate) struct Version {
    /// The version of the object, in a bucket with versions. An instruction file is read as it is now
    #[arg(long, value_name = "ID")]
    version_id: Option<String>,
}

impl Version {
    /// The id, which is one of one object in S3.
    pub(crate) fn of(&self, places: &[Place]) -> Result<Option<&str>, Failure> {
        let wrong = |what: &str| Err(Failure::Usage(format!("--version-id: {what}")));
        match (&self.version_id, places) {
            (None, _) => Ok(None),
            (Some(_), [Place::File(_)]) => wrong("a file has no versions"),
            (Some(id), [_]) => Ok(Some(id)),
            (Some(_), _) => wrong("name one object, whose version it is"),
        }
    }
}

/// Where an object is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    S3(ObjectUri),
    File(PathBuf),
}

impl Place {
    /// `s3://bucket/key`, where no percent sign is decoded; `file:///path`, where each `%XX` is, once (RFC 8089).
    pub(crate) fn parse(text: &str) -> Result<Place, Failure> {
        match local_path(text)? {
            Some(path) => Ok(Place::File(path)),
            None => Ok(Place::S3(ObjectUri::parse(text)?)),
        }
    }

    /// As rules see it. A local file is at no place that a rule could be for, so that the default key is its key.
    pub(crate) fn for_rules(&self) -> ObjectUri {
        match self {
            Place::S3(uri) => uri.clone(),
            Place::File(path) => ObjectUri {
                bucket: String::new(),
                key: path.to_string_lossy().into_owned(),
            },
        }
    }
}

impl std::fmt::Display for Place {
    /// As [`Place::parse`] reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::S3(uri) => uri.fmt(f),
            Place::File(path) => write!(f, "file://{}", path.to_string_lossy().replace('%', "%25")),
        }
    }
}

/// The S3 of a command, connected when it is first needed.
pub(crate) struct Stores<'a> {
    aws: &'a Aws,
    instructions: &'a Instructions,
    version: Option<&'a str>,
    store: std::sync::OnceLock<Store>,
}

impl<'a> Stores<'a> {
    /// Objects are read at `version` if there is one, else as they are now.
    pub(crate) fn new(aws: &'a Aws, instructions: &'a Instructions, version: Option<&'a str>) -> Self {
        Stores {
            aws,
            instructions,
            version,
            store: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn s3(&self) -> Result<&Store, Failure> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = self.instructions.store(self.aws)?;
        let store = match self.version {
            Some(version) => store.at_version(version),
            None => store,
        };
        Ok(self.store.get_or_init(|| store))
    }
}

/// An encrypted object, found and not read yet.
pub(crate) struct Sealed {
    pub(crate) place: Place,
    pub(crate) envelope: Envelope,
    /// Bytes of ciphertext.
    pub(crate) length: u64,
    /// Bytes of plaintext, where who wrote an object in S3 noted them.
    noted: Option<u64>,
    from: Origin,
}

/// Where the ciphertext of an object comes from, however often it is read.
enum Origin {
    /// With its ETag, so that all of it is from the same object.
    S3(ObjectUri, String),
    /// Opened once: another file may have the name by the next time.
    File(PathBuf, File),
}

/// Its bytes, as they come.
pub(crate) enum Source<'a> {
    S3(Box<Body>),
    File {
        path: &'a Path,
        file: &'a File,
        /// Where the next byte is in the file, and where the range ends.
        next: u64,
        end: u64,
    },
}

impl Sealed {
    pub(crate) fn find(place: Place, stores: &Stores) -> Result<Sealed, Failure> {
        let (envelope, length, noted, from) = match &place {
            Place::S3(uri) => {
                let found = stores.s3()?.find(uri)?.ok_or_else(|| absent(&place))?;
                (
                    found.envelope.map(|(envelope, _)| envelope),
                    found.head.length,
                    // A note that is no length counts as absent, as it does for the clients.
                    noted_length(&found.head.metadata).ok().flatten(),
                    Origin::S3(uri.clone(), found.head.etag),
                )
            }
            Place::File(path) => {
                let file = match File::open(path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(absent(&place)),
                    other => other.map_err(at(path))?,
                };
                let length = file.metadata().map_err(at(path))?.len();
                (
                    instruction_beside(path, stores.instructions.suffix())?,
                    length,
                    None,
                    Origin::File(path.clone(), file),
                )
            }
        };
        let Some(envelope) = envelope else {
            return Err(problem(
                Code::InvalidEnvelope,
                format!("{place} has no envelope: no S3 encryption client wrote it"),
                "Copy it with the AWS CLI, or see what became of its metadata or instruction file.",
            ));
        };
        Ok(Sealed {
            place,
            envelope,
            length,
            noted,
            from,
        })
    }

    /// The ciphertext, or `range` of it in bytes, the last one included.
    pub(crate) fn open(&self, stores: &Stores, range: Option<(u64, u64)>) -> Result<Source<'_>, Failure> {
        match &self.from {
            Origin::S3(uri, etag) => {
                let body = stores.s3()?.get(uri, Some(etag.as_str()), range)?;
                Ok(Source::S3(Box::new(body)))
            }
            Origin::File(path, file) => {
                let (next, last) = range.unwrap_or((0, u64::MAX - 1));
                Ok(Source::File {
                    path,
                    file,
                    next,
                    end: last + 1,
                })
            }
        }
    }
}

impl Source<'_> {
    /// Fills `buffer` from its start; fewer bytes than there is room for only at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8], left: &mut Vec<u8>) -> Result<usize, Failure> {
        let mut length = 0;
        while length < buffer.len() {
            if !left.is_empty() {
                let taken = left.len().min(buffer.len() - length);
                buffer[length..length + taken].copy_from_slice(&left[..taken]);
                left.drain(..taken);
                length += taken;
                continue;
            }
            match self {
                Source::S3(body) => match body.next_piece()? {
                    None => break,
                    Some(bytes) => {
                        let taken = bytes.len().min(buffer.len() - length);
                        buffer[length..length + taken].copy_from_slice(&bytes[..taken]);
                        left.extend_from_slice(&bytes[taken..]);
                        length += taken;
                    }
                },
                Source::File {
                    path,
                    file,
                    next,
                    end,
                } => {
                    let wanted = (buffer.len() - length) as u64;
                    let wanted = wanted.min(end.saturating_sub(*next)) as usize;
                    let room = &mut buffer[length..length + wanted];
                    match file.read_at(room, *next).map_err(at(path))? {
                        0 => break,
                        taken => {
                            *next += taken as u64;
                            length += taken;
                        }
                    }
                }
            }
        }
        Ok(length)
    }
}

/// The instruction file of a local file.
pub(crate) fn instruction_path(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The envelope in the instruction file beside a local file. The object's own part of it, where the format has one,
/// stands there too.
fn instruction_beside(path: &Path, suffix: &str) -> Result<Option<Envelope>, Failure> {
    let path = instruction_path(path, suffix);
    let file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(at(&path))?,
    };
    let mut text = Vec::new();
    file.take(MAX_INSTRUCTION as u64 + 1)
        .read_to_end(&mut text)
        .map_err(at(&path))?;
    // If this fails, the next call finds the same fault and reports it.
    let beside: Metadata = json_fields(&text).unwrap_or_default();
    Ok(Some(
        Envelope::parse_instruction(&text, &beside).map_err(emrkeys_core::Error::from)?,
    ))
}

fn absent(place: &Place) -> Failure {
    problem(
        Code::ObjectNotFound,
        format!("{place} does not exist"),
        "Correct the location.",
    )
}
