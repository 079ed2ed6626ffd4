//! Objects in S3: found, read, listed. Every call blocks, so that as many threads as make them are at work at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::EncodingType;
use aws_sdk_s3::Client;

use super::calls::{unavailable, wait};
use emrkeys_core::aws::{self, Clients, Patience, S3Access};
use emrkeys_core::envelope::{Envelope, Metadata, INSTRUCTION_SUFFIX, MAX_INSTRUCTION};
use emrkeys_core::uri::{self, percent_decode, S3Location};
use emrkeys_core::{excerpt, shell_word, Code, Error, Problem, Provider};

/// Throttles and faults are retried; a denial is final. The content of an object takes as long as it takes, while bytes
/// come. Of an answer that breaks off, the attempts count that bring nothing.
pub(super) const PATIENCE: Patience = Patience {
    attempts: 5,
    attempt: None,
    read: Some(Duration::from_secs(60)),
};

/// Where an object is: the bucket and the key as S3 has them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectUri {
    /// The bucket.
    pub bucket: String,
    /// The key, nothing encoded; empty for the bucket itself.
    pub key: String,
}

impl ObjectUri {
    /// Reads `s3://bucket/key` (also `s3a:` and `s3n:`), the key as S3 has it: no percent sign is decoded.
    ///
    /// # Errors
    /// `INVALID_URI`
    pub fn parse(text: &str) -> Result<ObjectUri, Error> {
        let invalid = |what: String| Problem::new(Code::InvalidUri, what, "Write it as s3://bucket/key.");
        let S3Location { bucket, key } =
            S3Location::literal(text).map_err(|error| invalid(error.to_string()))?;
        let key = String::from_utf8(key).map_err(|_| invalid(format!("{} is not UTF-8", excerpt(text))))?;
        Ok(ObjectUri { bucket, key })
    }
}

impl std::fmt::Display for ObjectUri {
    /// As [`ObjectUri::parse`] reads it. Keys may hold control characters, which a terminal would obey.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// The path of a local object, where `text` is a `file:` URI; each `%XX` is decoded once.
///
/// # Errors
/// `INVALID_URI` for one that names no absolute path on this machine.
pub fn local_path(text: &str) -> Result<Option<PathBuf>, Error> {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case("file") {
        return Ok(None);
    }
    let path = uri::file_path(rest).ok_or_else(|| {
        Problem::new(
            Code::InvalidUri,
            format!("{} does not name an absolute path on this machine", excerpt(text)),
            "Write it as file:///path, with %25 for a percent sign.",
        )
    })?;
    Ok(Some(path))
}

/// Objects in S3. Cheap to clone; all clones share their connections. Thread-safe.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) client: Client,
    /// The end of the keys of instruction files.
    suffix: Arc<str>,
    /// The version at which objects are read; `None`: as they are now.
    version: Option<Arc<str>>,
}

/// A process has one or two configurations.
static STORES: Clients<S3Access, Store> = Clients::new(8);

/// Drops the stores that are kept for the process, with the AWS credentials that they hold, and gives their number.
pub fn forget_stores() -> usize {
    STORES.forget()
}

/// The answer of S3 for an object without its content.
#[derive(Clone, Debug)]
pub struct Head {
    /// Bytes as stored.
    pub length: u64,
    /// The ETag, with its quotation marks.
    pub etag: String,
    /// User metadata, names in lower case.
    pub metadata: Metadata,
    /// When it was last written.
    pub modified: Option<SystemTime>,
    /// Everything, for what replaces the object by itself.
    pub(super) raw: HeadObjectOutput,
}

impl Head {
    /// From the answer of S3.
    pub(super) fn of(raw: HeadObjectOutput) -> Head {
        let metadata = raw.metadata().into_iter().flatten();
        Head {
            length: raw
                .content_length()
                .and_then(|length| u64::try_from(length).ok())
                .unwrap_or(0),
            etag: raw.e_tag().unwrap_or_default().to_owned(),
            metadata: metadata
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect(),
            modified: raw
                .last_modified()
                .and_then(|time| SystemTime::try_from(*time).ok()),
            raw,
        }
    }

    /// How S3 itself encrypts the object (`AES256`, `aws:kms`, `aws:kms:dsse`), and under which KMS key. Empty for
    /// none.
    pub fn server_side_encryption(&self) -> (&str, Option<&str>) {
        let algorithm = self.raw.server_side_encryption().map_or("", |sse| sse.as_str());
        (algorithm, self.raw.ssekms_key_id())
    }

    /// The version of the object, where the bucket has versions.
    pub fn version_id(&self) -> Option<&str> {
        self.raw.version_id()
    }
}

/// Where an envelope was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the object's user metadata.
    Metadata,
    /// In the instruction file beside it, whose ETag this is.
    InstructionFile {
        /// With its quotation marks.
        etag: String,
    },
}

/// An object, with its envelope where it has one.
#[derive(Clone, Debug)]
pub struct Found {
    /// The object.
    pub head: Head,
    /// `None`: no S3 encryption client wrote it.
    pub envelope: Option<(Envelope, Place)>,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub uri: ObjectUri,
    /// Bytes as stored.
    pub length: u64,
    /// Which file of an inventory, and which row of that from 1 on.
    pub(super) row: Option<(usize, u64)>,
}

impl Listed {
    /// The mark behind which a [`Listing`](super::Listing) of the same source goes on.
    pub fn mark(&self) -> String {
        match self.row {
            Some((file, row)) => format!("{file}:{row}"),
            None => self.uri.key.clone(),
        }
    }
}

/// Objects that come at once, at most 1000; instruction files are objects too.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects.
    pub objects: Vec<Listed>,
    /// The token that asks for the next page of a prefix; `None` after the last.
    pub(super) next: Option<String>,
    /// Whether all objects with keys between those of the page are in it, in order.
    pub(super) ordered: bool,
}

impl Page {
    /// Whether a key is in the bucket, as far as this page shows: `None` if the key would stand on another page, or
    /// anywhere.
    ///
    /// Between a key and that of its instruction file stand only keys that begin with it, so that few objects of a page
    /// are in doubt.
    pub fn holds(&self, key: &str) -> Option<bool> {
        let (first, last) = (self.objects.first()?, self.objects.last()?);
        if !self.ordered {
            return None;
        }
        let found = self
            .objects
            .binary_search_by(|object| object.uri.key.as_str().cmp(key));
        if found.is_ok() {
            return Some(true);
        }
        let inside = first.uri.key.as_str() < key && (key < last.uri.key.as_str() || self.next.is_none());
        inside.then_some(false)
    }
}

impl Store {
    /// The S3 of a provider's configuration: as it is reached for key material. All stores of one process that are
    /// reached alike share their connections.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub fn of(provider: &Provider) -> Result<Store, Error> {
        let access = provider.s3_access();
        match STORES.get(&access) {
            Some(store) => Ok(store),
            None => {
                let store = Store::connect(&access)?;
                Ok(STORES.keep(access, store))
            }
        }
    }

    /// Makes a client; nothing is asked yet but, where needed, the node for credentials and region.
    ///
    /// # Errors
    /// `SOURCE_UNAVAILABLE` where no threads are left.
    pub fn connect(access: &S3Access) -> Result<Store, Error> {
        let shared = aws::config(access.region.as_deref())?;
        Ok(Store {
            client: access.client(&shared, PATIENCE),
            suffix: INSTRUCTION_SUFFIX.into(),
            version: None,
        })
    }

    /// The same store, where the key of an instruction file is the object's key and `suffix`.
    pub fn with_instruction_suffix(self, suffix: &str) -> Store {
        Store {
            suffix: suffix.into(),
            ..self
        }
    }

    /// The same store, whose objects are read at one version. An instruction file is read as it is now: it has versions
    /// of its own.
    pub fn at_version(self, version: &str) -> Store {
        Store {
            version: Some(version.into()),
            ..self
        }
    }

    /// The same store, whose objects are read as they are now.
    pub fn now(&self) -> Store {
        Store {
            version: None,
            ..self.clone()
        }
    }

    /// The version at which objects are read, if it is not the current one of each.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Where the instruction file of an object is, if it has one.
    pub fn instruction_of(&self, uri: &ObjectUri) -> ObjectUri {
        ObjectUri {
            bucket: uri.bucket.clone(),
            key: format!("{}{}", uri.key, self.suffix),
        }
    }

    /// The object that an instruction file of this key belongs to; `None` for a key without the suffix.
    pub fn object_of(&self, instruction: &ObjectUri) -> Option<ObjectUri> {
        let key = instruction.key.strip_suffix(&*self.suffix)?;
        Some(ObjectUri {
            bucket: instruction.bucket.clone(),
            key: key.to_owned(),
        })
    }

    /// The answer of S3 for an object; `None` if it does not exist.
    ///
    /// # Errors
    /// `STORE_DENIED`, `STORE_UNAVAILABLE`
    pub fn head(&self, uri: &ObjectUri) -> Result<Option<Head>, Error> {
        let call = self
            .client
            .head_object()
            .bucket(&uri.bucket)
            .key(&uri.key)
            .set_version_id(self.version.as_deref().map(str::to_owned));
        let raw = match wait(uri, "HeadObject", call.send()) {
            Ok(raw) => raw,
            Err(problem) if problem.code == Code::ObjectNotFound => return Ok(None),
            Err(problem) => return Err(self.about_version(uri, problem).into()),
        };
        Ok(Some(Head::of(raw)))
    }

    /// S3 answers HEAD without a word on what is wrong with a version.
    fn about_version(&self, uri: &ObjectUri, problem: Problem) -> Problem {
        match &self.version {
            Some(version) if problem.code == Code::StoreUnavailable => Problem {
                remedy: format!(
                    "See that the object has a version {} which is no delete marker: `aws s3api list-object-versions \
                     --bucket {} --prefix {}`. {}",
                    excerpt(version),
                    uri.bucket,
                    shell_word(&uri.key),
                    problem.remedy
                ),
                ..problem
            },
            _ => problem,
        }
    }

    /// An object and its envelope. The instruction file is asked for where the metadata holds no envelope, or a part of
    /// one.
    ///
    /// # Errors
    /// As [`Store::head`]; `INVALID_ENVELOPE`, `INSTRUCTION_FILE_MISSING`.
    pub fn find(&self, uri: &ObjectUri) -> Result<Option<Found>, Error> {
        let Some(head) = self.head(uri)? else {
            return Ok(None);
        };
        let envelope = self.envelope(uri, &head)?;
        Ok(Some(Found { head, envelope }))
    }

    /// The envelope of an object that is found.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub(super) fn envelope(&self, uri: &ObjectUri, head: &Head) -> Result<Option<(Envelope, Place)>, Error> {
        if Envelope::is_in(&head.metadata) && !Envelope::is_split(&head.metadata) {
            return Ok(Envelope::parse(&head.metadata)?.map(|envelope| (envelope, Place::Metadata)));
        }
        match self.small(&self.instruction_of(uri), MAX_INSTRUCTION, Code::InvalidEnvelope)? {
            Some((bytes, etag)) => Ok(Some((
                Envelope::parse_instruction(&bytes, &head.metadata)?,
                Place::InstructionFile { etag },
            ))),
            None => Ok(Envelope::parse_alone(&head.metadata)?.map(|envelope| (envelope, Place::Metadata))),
        }
    }

    /// Objects of a bucket whose keys begin with `prefix`, in the order of their keys' bytes, from where `next` of the
    /// page before says; from behind `after` for the first.
    ///
    /// # Errors
    /// `OBJECT_NOT_FOUND` for a bucket that is not there, `STORE_DENIED`, `STORE_UNAVAILABLE`
    pub(super) fn list(
        &self,
        prefix: &ObjectUri,
        after: Option<&str>,
        next: Option<&str>,
    ) -> Result<Page, Error> {
        let call = self
            .client
            .list_objects_v2()
            .bucket(&prefix.bucket)
            .prefix(&prefix.key)
            // XML has no way to write most control characters, which keys may hold.
            .encoding_type(EncodingType::Url)
            .set_start_after(after.map(str::to_owned))
            .set_continuation_token(next.map(str::to_owned));
        let answer = wait(prefix, "ListObjectsV2", call.send())?;
        let next = answer.next_continuation_token().map(str::to_owned);
        // A store that knows no encoding says none.
        let encoded = answer.encoding_type == Some(EncodingType::Url);
        let key = |stored: String| {
            if !encoded {
                return Ok(stored);
            }
            String::from_utf8(percent_decode(&stored.replace('+', " "))).map_err(|_| {
                let what = format!("the key {} is not UTF-8", excerpt(&stored));
                unavailable(&prefix.to_string(), "ListObjectsV2", &what, None)
            })
        };
        let objects = answer
            .contents
            .unwrap_or_default()
            .into_iter()
            .filter_map(|object| Some((key(object.key?), object.size)))
            .map(|(key, size)| {
                Ok(Listed {
                    uri: ObjectUri {
                        bucket: prefix.bucket.clone(),
                        key: key?,
                    },
                    length: size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                    row: None,
                })
            });
        Ok(Page {
            objects: objects.collect::<Result<_, Problem>>()?,
            next,
            ordered: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[&str], next: Option<&str>) -> Page {
        let listed = |key: &&str| Listed {
            uri: ObjectUri {
                bucket: "lake".to_owned(),
                key: (*key).to_owned(),
            },
            length: 1,
            row: None,
        };
        Page {
            objects: keys.iter().map(listed).collect(),
            next: next.map(str::to_owned),
            ordered: true,
        }
    }

    #[test]
    fn local_objects_are_named_as_key_files_are() {
        for (text, path) in [
            ("file:/a b", "/a b"),
            ("file:///a%20b%25", "/a b%"),
            ("FILE://localhost/100%", "/100%"),
        ] {
            assert_eq!(local_path(text).unwrap(), Some(path.into()), "{text}");
        }
        for text in ["s3://lake/file:x", "a"] {
            assert_eq!(local_path(text).unwrap(), None, "{text}");
        }
        for text in ["file:", "file:a", "file://", "file://host/a", "file:/a%00"] {
            assert_eq!(local_path(text).unwrap_err().code(), Code::InvalidUri, "{text}");
        }
    }

    #[test]
    fn a_page_tells_what_it_covers_and_no_more() {
        let middle = page(&["b", "b.instruction", "d"], Some("more"));
        assert_eq!(middle.holds("b.instruction"), Some(true));
        assert_eq!(middle.holds("c.instruction"), Some(false));
        assert_eq!(middle.holds("d.instruction"), None);
        assert_eq!(middle.holds("a"), None);
        let last = page(&["b", "d"], None);
        assert_eq!(last.holds("d.instruction"), Some(false));
        let unordered = Page {
            ordered: false,
            ..last
        };
        assert_eq!(unordered.holds("b"), None);
    }
}
