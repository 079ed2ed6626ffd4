//! Locations of S3 objects, and when a percent sign in them is decoded.
//!
//! `s3:`, `s3n:` and `s3a:` name the same object. Percent signs mean one of two things:
//!
//! - **Keys that people and S3 name are literal**, as in the AWS CLI: `s3://lake/ts=10%3A00/` is the key `ts=10%3A00/`,
//!   which Hive and Spark write. [`S3Location::literal`] reads them: on the command line, in listings, in output.
//! - **Locations in the configuration and in EMRFS's `Path` are decoded once.** A rule needs a way to write a comma,
//!   and whether EMRFS's `Path` holds the key as it is (as Hadoop's `Path` does) or percent-encoded (as a
//!   `java.net.URI` does) is not documented. So [`S3Location::parse`] decodes every `%XX` with two hexadecimal digits
//!   once; any other `%` stands for itself, `+` is a plus, and then bytes are compared.
//!
//! [`S3Location::for_rules`] is the one place that decides which of the two a client's rules see: S3A gives the key as
//! S3 has it, EMRFS gives a `Path`. Nothing else is normalised: S3 keys may hold `//`, `.`, `?`, `#` and leading
//! slashes, and mean them.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use memchr::memmem;
use percent_encoding::{utf8_percent_encode, AsciiSet, NON_ALPHANUMERIC};

use crate::client::Client;
use crate::error::excerpt;

/// The longest key that S3 allows, in bytes of UTF-8.
/// Source: Amazon S3 User Guide, "Object key naming guidelines".
pub const MAX_KEY: usize = 1024;

/// The bucket and the decoded key (or key prefix) of an S3 URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct S3Location {
    /// The bucket's name.
    pub bucket: String,
    /// The key, decoded; empty where the URI names a bucket alone. Not always UTF-8.
    pub key: Vec<u8>,
}

/// Why a text is not the location of an S3 object. Never quotes a user-info part, which may hold credentials.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Another scheme, or none.
    #[error("{0} is not an s3:, s3n: or s3a: URI")]
    Scheme(String),
    /// Nothing stands where the bucket's name belongs.
    #[error("the URI has no bucket")]
    NoBucket,
    /// A user-info part or a port.
    #[error("the URI holds credentials or a port before the bucket's name")]
    Authority,
    /// The name of no bucket that S3 allows.
    #[error("{0} is not the name of a bucket (3 to 63 lower-case letters, digits, '-', '.', '_')")]
    Bucket(String),
    /// More than [`MAX_KEY`] bytes.
    #[error("the key is longer than the 1024 bytes that S3 allows")]
    TooLong,
}

impl S3Location {
    /// Reads `s3://bucket/key`, also `s3a:` and `s3n:`, of the configuration or of EMRFS: each `%XX` is decoded once.
    ///
    /// # Errors
    /// One [`UriError`] for each way in which the text is not such a URI.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let (bucket, key) = split(text)?;
        // Three characters for a byte is the most that percent-encoding needs.
        if key.len() > 3 * MAX_KEY {
            return Err(UriError::TooLong);
        }
        S3Location::of(bucket, percent_decode(key))
    }

    /// Reads `s3://bucket/key`, also `s3a:` and `s3n:`, as people and S3 write keys: no percent sign is decoded.
    ///
    /// # Errors
    /// As [`S3Location::parse`].
    pub fn literal(text: &str) -> Result<Self, UriError> {
        let (bucket, key) = split(text)?;
        S3Location::of(bucket, key.as_bytes().to_vec())
    }

    /// The location of an object as the rules of a client see it: of S3A the key itself, of EMRFS the key as its `Path`
    /// has it, decoded once.
    pub fn for_rules(client: Client, bucket: &str, key: &str) -> Self {
        S3Location {
            bucket: bucket.to_owned(),
            key: match client {
                Client::S3 => percent_decode(key),
                Client::S3a | Client::LocalDisk | Client::Tables => key.as_bytes().to_vec(),
            },
        }
    }

    fn of(bucket: &str, key: Vec<u8>) -> Result<Self, UriError> {
        if key.len() > MAX_KEY {
            return Err(UriError::TooLong);
        }
        Ok(S3Location {
            bucket: bucket.to_owned(),
            key,
        })
    }
}

/// The bucket, checked, and what follows it.
fn split(text: &str) -> Result<(&str, &str), UriError> {
    let rest = strip_scheme(text).ok_or_else(|| UriError::Scheme(excerpt(text)))?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(UriError::NoBucket);
    }
    if bucket.contains(['@', ':']) {
        return Err(UriError::Authority);
    }
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-._".contains(&c);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(allowed) {
        return Err(UriError::Bucket(excerpt(bucket)));
    }
    Ok((bucket, key))
}

impl fmt::Display for S3Location {
    /// As [`S3Location::parse`] reads it; bytes that are not UTF-8 are replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "s3://{}/{}",
            self.bucket,
            encode(&String::from_utf8_lossy(&self.key))
        )
    }
}

impl S3Location {
    /// As [`S3Location::literal`] reads it; bytes that are not UTF-8 are replaced.
    pub fn shown(&self) -> String {
        format!("s3://{}/{}", self.bucket, String::from_utf8_lossy(&self.key))
    }

    /// Where the object will be once its job is committed: committers write below a folder of their own and move, or
    /// complete, what they wrote. A rule is meant for where data stays, so the committers' folders are left out of the
    /// key.
    pub fn committed(&self) -> Cow<'_, Self> {
        if !TEMPORARY
            .iter()
            .any(|marker| memmem::find(&self.key, marker).is_some())
        {
            return Cow::Borrowed(self);
        }
        let mut segments: Vec<&[u8]> = self.key.split(|&byte| byte == b'/').collect();
        while let Some(range) = temporary_segments(&segments) {
            segments.drain(range);
        }
        Cow::Owned(S3Location {
            bucket: self.bucket.clone(),
            key: segments.join(&b'/'),
        })
    }
}

/// The folders of committers: Hadoop's `FileOutputCommitter` (and what builds on it), S3A's magic committer, and
/// Spark's overwriting of single partitions.
/// Source: `FileOutputCommitter.PENDING_DIR_NAME`; `CommitConstants.MAGIC_PATH_PREFIX`, `BASE`;
/// `FileCommitProtocol.getStagingDir` of Spark.
const TEMPORARY: [&[u8]; 3] = [b"_temporary", b"__magic", b".spark-staging"];

/// The first segments that a committer put in, but never the last one, which is the file's own name.
fn temporary_segments(segments: &[&[u8]]) -> Option<std::ops::Range<usize>> {
    let folders = segments.split_last()?.1;
    let starts_with =
        |at: usize, start: &[u8]| folders.get(at).is_some_and(|segment| segment.starts_with(start));
    let at = (0..folders.len()).find(|&at| {
        folders[at] == TEMPORARY[0]
            || folders[at] == TEMPORARY[1]
            || starts_with(at, b"__magic_job-")
            || starts_with(at, b".spark-staging-")
    })?;
    let end = if folders[at] == TEMPORARY[0] {
        // _temporary/<job attempt>/_temporary/<task attempt>/… while a task runs, _temporary/<job attempt>/<task>/…
        // after it.
        match folders.get(at + 2) {
            Some(&next) if next == TEMPORARY[0] => at + 4,
            Some(next) if next.starts_with(b"task_") => at + 3,
            _ => at + 2,
        }
    } else if starts_with(at, TEMPORARY[1]) {
        // __magic_job-<id>/job-<id>/tasks/<attempt>/__base/…; without a base, the file goes beside the folder.
        folders[at..]
            .iter()
            .position(|folder| *folder == b"__base")
            .map_or(folders.len(), |base| at + base + 1)
    } else {
        at + 1
    };
    Some(at..end.min(folders.len()))
}

/// The text after `s3://` (or `s3n://`, `s3a://`), schemes in any case.
pub fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    ["s3", "s3a", "s3n"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
        .then_some(rest)
}

/// The absolute path on this machine that a `file:` URI names; `rest` is what follows the scheme.
pub fn file_path(rest: &str) -> Option<PathBuf> {
    let path = match rest.strip_prefix("//") {
        // An authority other than this machine would silently read a file of another meaning.
        Some(after) => {
            let slash = after.find('/')?;
            let (authority, path) = after.split_at(slash);
            (authority.is_empty() || authority.eq_ignore_ascii_case("localhost")).then_some(path)?
        }
        None => rest,
    };
    let path = percent_decode(path);
    // No path of the operating system can hold a zero byte.
    (path.starts_with(b"/") && !path.contains(&0)).then(|| PathBuf::from(OsString::from_vec(path)))
}

/// The encoded form that [`percent_decode`] turns into `text`.
pub fn encode(text: &str) -> String {
    text.replace('%', "%25")
}

/// Decodes every `%XX` once and leaves any other `%` as it is.
pub fn percent_decode(text: &str) -> Vec<u8> {
    // A text without `%` is copied at once: the decoder's iterator would grow its copy byte by byte.
    Cow::from(percent_encoding::percent_decode_str(text)).into_owned()
}

/// Every byte but letters, digits, `-`, `.`, `_` and `~` (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes the bytes of [`RESERVED`].
pub fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> (String, Vec<u8>) {
        let location = S3Location::parse(text).unwrap();
        (location.bucket, location.key)
    }

    #[test]
    fn the_three_schemes_name_the_same_object() {
        for scheme in ["s3", "s3a", "s3n", "S3", "S3A"] {
            assert_eq!(
                parsed(&format!("{scheme}://bucket/a/b")),
                ("bucket".into(), b"a/b".to_vec())
            );
        }
    }

    #[test]
    fn what_a_committer_writes_belongs_where_it_commits_to() {
        for (written, committed) in [
            (
                "t/_temporary/0/_temporary/attempt_2024_0001_m_000000_0/day=1/part-0",
                "t/day=1/part-0",
            ),
            (
                "t/_temporary/0/task_2024_0001_m_000000/day=1/part-0",
                "t/day=1/part-0",
            ),
            ("t/_temporary/0/_temporary/attempt_1/part-0", "t/part-0"),
            ("_temporary/0/_temporary/attempt_1/part-0", "part-0"),
            (
                "t/__magic/job-1/tasks/attempt_1/__base/day=1/part-0.pending",
                "t/day=1/part-0.pending",
            ),
            ("t/__magic_job-1/job-1/tasks/attempt_1/__base/part-0", "t/part-0"),
            ("t/__magic/job-1/a.pendingset", "t/a.pendingset"),
            ("t/.spark-staging-1b2c/day=1/part-0", "t/day=1/part-0"),
            (
                "t/.spark-staging-1b2c/_temporary/0/_temporary/attempt_1/day=1/part-0",
                "t/day=1/part-0",
            ),
            ("t/_temporary/0/", "t/"),
            ("t/_temporary", "t/_temporary"),
            ("t/my_temporary/part-0", "t/my_temporary/part-0"),
            ("t/part-0", "t/part-0"),
            ("", ""),
        ] {
            let location = S3Location {
                bucket: "lake".into(),
                key: written.into(),
            };
            assert_eq!(
                String::from_utf8_lossy(&location.committed().key),
                committed,
                "{written}"
            );
        }
    }

    #[test]
    fn keys_keep_their_bytes_but_for_one_percent_decoding() {
        for (written, key) in [
            ("a%20b", "a b"),
            ("a b", "a b"),
            ("a+b", "a+b"),
            ("100%", "100%"),
            ("100%zz", "100%zz"),
            ("a%2520b", "a%20b"),
            ("a%2Cb", "a,b"),
            ("ü/日本", "ü/日本"),
            ("%C3%BC", "ü"),
            ("/a//b/./..?x#y", "/a//b/./..?x#y"),
            ("", ""),
        ] {
            assert_eq!(
                parsed(&format!("s3://bucket/{written}")).1,
                key.as_bytes(),
                "{written}"
            );
        }
        assert_eq!(parsed("s3://bucket").1, b"");
        assert_eq!(parsed("s3://bucket/%FF").1, [0xff]);
    }

    #[test]
    fn a_literal_key_keeps_its_percent_signs_and_what_rules_see_depends_on_the_client() {
        let written = "ts=10%3A00/100%/a+b";
        let literal = S3Location::literal(&format!("s3a://bucket/{written}")).unwrap();
        assert_eq!(literal.key, written.as_bytes());
        let key = |client| S3Location::for_rules(client, "bucket", written).key;
        assert_eq!(key(Client::S3), b"ts=10:00/100%/a+b");
        assert_eq!(key(Client::S3a), written.as_bytes());
        assert!(S3Location::literal("hdfs://bucket/a").is_err());
        let long = format!("s3://bucket/{}", "%41".repeat(400));
        assert_eq!(S3Location::literal(&long).unwrap_err(), UriError::TooLong);
    }

    #[test]
    fn what_is_not_an_object_of_s3_is_refused_by_its_reason() {
        let error = |text: &str| S3Location::parse(text).unwrap_err();
        assert!(matches!(error("hdfs://bucket/a"), UriError::Scheme(_)));
        assert!(matches!(error("/a"), UriError::Scheme(_)));
        assert!(matches!(error("s3:/bucket/a"), UriError::Scheme(_)));
        assert_eq!(error("s3://"), UriError::NoBucket);
        assert_eq!(error("s3:///a"), UriError::NoBucket);
        assert!(matches!(error("s3://Bucket/a"), UriError::Bucket(_)));
        assert!(matches!(error("s3://ab/a"), UriError::Bucket(_)));
        assert!(matches!(
            error(&format!("s3://{}/a", "b".repeat(64))),
            UriError::Bucket(_)
        ));
        assert_eq!(
            error(&format!("s3://bucket/{}", "k".repeat(1025))),
            UriError::TooLong
        );
        assert_eq!(
            error(&format!("s3://bucket/{}", "k".repeat(4000))),
            UriError::TooLong
        );
    }

    #[test]
    fn credentials_in_a_location_are_never_repeated() {
        let error = S3Location::parse("s3://AKIDCANARY:CANARYSECRET@bucket/a").unwrap_err();
        assert_eq!(error, UriError::Authority);
        assert!(!error.to_string().contains("CANARY"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,64}", tail in any::<String>()) {
            let _ = S3Location::parse(&text);
            let _ = S3Location::parse(&format!("s3://bucket/{tail}"));
        }

        #[test]
        fn decoding_undoes_percent_encoding(text in any::<String>()) {
            let encoded = percent_encode(&text);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(percent_decode(&encoded), text.into_bytes());
        }

        #[test]
        fn decoding_undoes_an_encoding_of_every_byte(key in proptest::collection::vec(any::<u8>(), 0..64)) {
            let encoded: String = key.iter().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(percent_decode(&encoded), key);
        }
    }

    proptest! {
        #[test]
        fn committing_ends_for_any_key_and_keeps_the_name(
            key in "(/|_temporary|__magic|__magic_job-1|__base|task_1|.spark-staging-1|a){0,40}",
        ) {
            let location = S3Location { bucket: "lake".into(), key: key.clone().into_bytes() };
            let committed = location.committed().into_owned();
            prop_assert!(committed.key.len() <= key.len());
            prop_assert_eq!(
                committed.key.rsplit(|byte| *byte == b'/').next(),
                key.as_bytes().rsplit(|byte| *byte == b'/').next()
            );
            prop_assert_eq!(committed.committed().into_owned(), committed.clone());
        }
    }
}
