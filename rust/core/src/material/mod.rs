//! The bytes of key material: from a local file, from S3, or handed over by the caller.
//!
//! Only bytes are dealt with here; what they mean is the key source's business. Every buffer that a secret passes
//! through and that is ours is wiped.

pub(crate) mod aes_key;
mod file;
pub(crate) mod s3;

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretSlice};

use crate::aws::S3Access;
use crate::error::{excerpt, shell_word, Code, Problem};
use crate::inputs::{InputRef, InputValue, Inputs};
use crate::uri::{self, S3Location, UriError};

/// The largest key file or credential that is read, in bytes: many times the largest RSA key in PEM.
pub const MAX_MATERIAL: usize = 64 * 1024;

/// Where key material is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// An absolute path on this machine.
    File(PathBuf),
    /// An object in S3.
    S3 { bucket: String, key: String },
    /// A URI that only the caller's Hadoop `FileSystem` can open, as it was written.
    External(String),
}

impl fmt::Display for Location {
    /// As [`Location::literal`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => write!(f, "file://{}", uri::encode(&path.to_string_lossy())),
            Location::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Location::External(uri) => f.write_str(uri),
        }
    }
}

impl Location {
    /// Reads the value of `property`: `file:/x` and `file:///x` are files, `s3:`, `s3a:` and `s3n:` are objects, and
    /// whatever else (`hdfs:`, or a path that Hadoop resolves against its default file system) is the caller's.
    ///
    /// Percent signs follow the policy of [`crate::uri`]: each `%XX` is decoded once.
    pub(crate) fn parse(property: &str, text: &str) -> Result<Location, Problem> {
        Location::read(property, text, S3Location::parse)
    }

    /// As [`Location::parse`], but with keys in S3 as S3 has them: for the command line.
    pub(crate) fn literal(property: &str, text: &str) -> Result<Location, Problem> {
        Location::read(property, text, S3Location::literal)
    }

    fn read(
        property: &str,
        text: &str,
        in_s3: impl Fn(&str) -> Result<S3Location, UriError>,
    ) -> Result<Location, Problem> {
        let invalid = |what: String, remedy: &str| Problem::at(property, Code::InvalidValue, what, remedy);
        let text = text.trim();
        if text.is_empty() {
            return Err(invalid(
                "the location is empty".into(),
                "Set it to a URI such as file:///etc/keys/main.key.",
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(invalid(
                format!("{} holds control characters", excerpt(text)),
                "Remove them.",
            ));
        }
        match text.split_once(':') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
                uri::file_path(rest).map(Location::File).ok_or_else(|| {
                    invalid(
                        format!("{} does not name an absolute path on this machine", excerpt(text)),
                        "Write it as file:///path/to/key.",
                    )
                })
            }
            Some((scheme, _))
                if ["s3", "s3a", "s3n"]
                    .iter()
                    .any(|s3| scheme.eq_ignore_ascii_case(s3)) =>
            {
                let remedy = "Write it as s3://bucket/key.";
                let S3Location { bucket, key } = in_s3(text)
                    .map_err(|error| Problem::at(property, Code::InvalidUri, error.to_string(), remedy))?;
                let key = String::from_utf8(key).map_err(|_| {
                    Problem::at(
                        property,
                        Code::InvalidUri,
                        "the key of the object is not UTF-8",
                        remedy,
                    )
                })?;
                if key.is_empty() || key.ends_with('/') {
                    let what = "the URI names a bucket or a folder, not an object";
                    return Err(Problem::at(property, Code::InvalidUri, what, remedy));
                }
                Ok(Location::S3 { bucket, key })
            }
            _ => Ok(Location::External(text.to_owned())),
        }
    }
}

/// Whether a file's content must be kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Others may read it. An attacker who replaces it can have data encrypted to a key of their own, or a service of
    /// their own trusted.
    Public,
    /// Others may read it, and what it holds proves who wrote it; not everybody may replace it.
    Authentic,
    /// Only the owner may read or write it.
    Secret,
}

/// The treatment of a file with lax permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permissions {
    /// It is refused.
    Enforce,
    /// It is used, with a warning: for set-ups that are taken over as they are.
    Warn,
}

/// Key material as it was found.
#[derive(Debug)]
pub(crate) struct Material {
    /// At least one byte.
    pub(crate) bytes: SecretSlice<u8>,
    /// The fault that the operator should repair, as text for the log.
    pub(crate) warning: Option<String>,
}

/// Reads the key material at `location`, which `property` names: at most `limit` bytes. Blocks; for S3 at most 20
/// seconds.
pub(crate) fn read(
    property: &str,
    location: &Location,
    limit: usize,
    secrecy: Secrecy,
    permissions: Permissions,
    inputs: &Inputs,
    s3: &S3Access,
) -> Result<Material, Problem> {
    match location {
        Location::File(path) => file::read(property, path, limit, secrecy, permissions),
        Location::S3 { bucket, key } => Ok(Material {
            bytes: s3::read(property, bucket, key, limit, s3)?.0,
            warning: None,
        }),
        Location::External(uri) => external(property, uri, limit, secrecy, permissions, inputs),
    }
}

fn external(
    property: &str,
    uri: &str,
    limit: usize,
    secrecy: Secrecy,
    permissions: Permissions,
    inputs: &Inputs,
) -> Result<Material, Problem> {
    match inputs.get(&InputRef::Uri(uri.to_owned())) {
        Some(InputValue::Found { bytes, mode, .. }) => {
            let lax = mode.and_then(|mode| lax_external(property, uri, secrecy, mode));
            let warning = match (lax, permissions) {
                (None, _) => None,
                (Some(problem), Permissions::Warn) => Some(problem.to_string()),
                (Some(problem), Permissions::Enforce) => return Err(problem),
            };
            let found = bytes.expose_secret();
            check_length(property, uri, found.len(), limit)?;
            Ok(Material {
                bytes: SecretSlice::from(Box::<[u8]>::from(found)),
                warning,
            })
        }
        Some(InputValue::Missing) => Err(Problem::at(
            property,
            Code::KeyFileNotFound,
            format!("{} does not exist", excerpt(uri)),
            "Put the key there, or correct the location.",
        )),
        Some(InputValue::Failed(why)) => Err(Problem::at(
            property,
            Code::KeyFileUnreadable,
            format!("{} could not be read: {}", excerpt(uri), excerpt(why)),
            "See that the file system is in reach and that the user of this process may read the file.",
        )),
        None => Err(Problem::at(
            property,
            Code::Internal,
            format!("{} was not handed over", excerpt(uri)),
            "This is a defect in emrkeys; please report it.",
        )),
    }
}

/// Refuses what cannot be a key by its size alone. `shown` names the material for the message.
fn check_length(property: &str, shown: &str, length: usize, limit: usize) -> Result<(), Problem> {
    match length {
        0 => Err(Problem::at(
            property,
            Code::KeyFileEmpty,
            format!("{} is empty", excerpt(shown)),
            "Write the key to it again; the copy was probably cut off.",
        )),
        _ if length <= limit => Ok(()),
        _ => Err(too_large(property, shown, limit)),
    }
}

fn too_large(property: &str, shown: &str, limit: usize) -> Problem {
    Problem::at(
        property,
        Code::KeyFileTooLarge,
        format!(
            "{} has more than {} KiB, so it is not what it should be",
            excerpt(shown),
            limit / 1024
        ),
        "Correct the location.",
    )
}

/// The fault in the permissions of a file in a Hadoop file system. Its group may read a secret, unlike that of a local
/// file: the services of a cluster are users of their own, and read one file.
fn lax_external(property: &str, uri: &str, secrecy: Secrecy, mode: u32) -> Option<Problem> {
    let (forbidden, what, chmod) = match secrecy {
        Secrecy::Secret => (
            0o027,
            "the secret in it can be read by everybody or written by others",
            "640",
        ),
        Secrecy::Public => (0o022, "others than its owner can replace it", "644"),
        Secrecy::Authentic => (0o002, "everybody can replace it", "664"),
    };
    (mode & forbidden != 0).then(|| {
        let file = excerpt(uri);
        Problem::at(
            property,
            Code::KeyFilePermissions,
            format!("{file}: {what} (mode {:04o})", mode & 0o777),
            format!("Run: `hdfs dfs -chmod {chmod} {}`", shell_word(uri)),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Location {
        Location::parse("p", text).unwrap()
    }

    fn refused(text: &str) -> Code {
        Location::parse("p", text).unwrap_err().code
    }

    #[test]
    fn files_are_absolute_and_on_this_machine() {
        for text in [
            "file:/etc/a b",
            "file:///etc/a b",
            "file:///etc/a%20b",
            "FILE://localhost/etc/a b",
            " file:/etc/a b\n",
        ] {
            assert_eq!(parsed(text), Location::File("/etc/a b".into()), "{text}");
        }
        assert_eq!(parsed("file:/100%"), Location::File("/100%".into()));
        for text in [
            "file:",
            "file:x",
            "file:./x",
            "file://",
            "file://host/x",
            "file://x",
            "file:/a%00b",
            "",
            "  ",
            "file:/a\u{7}",
        ] {
            assert_eq!(refused(text), Code::InvalidValue, "{text}");
        }
    }

    #[test]
    fn objects_have_a_bucket_and_a_key() {
        for scheme in ["s3", "s3a", "s3n", "S3"] {
            let expected = Location::S3 {
                bucket: "bucket".into(),
                key: "a b/c".into(),
            };
            assert_eq!(parsed(&format!("{scheme}://bucket/a%20b/c")), expected);
        }
        for text in [
            "s3://",
            "s3:/b/k",
            "s3:k",
            "s3://bucket",
            "s3://bucket/",
            "s3://bucket/x/",
            "s3://BUCKET/k",
            "s3://bucket/%ff",
        ] {
            assert_eq!(refused(text), Code::InvalidUri, "{text}");
        }
    }

    #[test]
    fn the_rest_is_for_the_caller() {
        for text in [
            "hdfs:///keys/a%20b",
            "hdfs://nn:8020/k",
            "/keys/a",
            "keys/a",
            "abfs://c@a/k",
            "viewfs:/k",
        ] {
            assert_eq!(parsed(text), Location::External(text.into()));
        }
    }

    fn external(value: Option<InputValue>) -> Result<Material, Problem> {
        let inputs = value
            .into_iter()
            .map(|value| (InputRef::Uri("hdfs:/k".into()), value))
            .collect();
        let location = Location::External("hdfs:/k".into());
        read(
            "p",
            &location,
            MAX_MATERIAL,
            Secrecy::Secret,
            Permissions::Enforce,
            &inputs,
            &S3Access::default(),
        )
    }

    #[test]
    fn what_the_caller_found_is_taken_over() {
        let found = |bytes: &[u8]| {
            Some(InputValue::Found {
                bytes: SecretSlice::from(bytes.to_vec()),
                plaintext: false,
                mode: None,
            })
        };
        let code = |value| external(value).unwrap_err().code;
        assert_eq!(external(found(b"abc")).unwrap().bytes.expose_secret(), b"abc");
        assert_eq!(
            external(found(&[1; MAX_MATERIAL]))
                .unwrap()
                .bytes
                .expose_secret()
                .len(),
            MAX_MATERIAL
        );
        assert_eq!(code(found(b"")), Code::KeyFileEmpty);
        assert_eq!(code(found(&[1; MAX_MATERIAL + 1])), Code::KeyFileTooLarge);
        assert_eq!(code(Some(InputValue::Missing)), Code::KeyFileNotFound);
        assert_eq!(
            code(Some(InputValue::Failed("denied".into()))),
            Code::KeyFileUnreadable
        );
        assert_eq!(code(None), Code::Internal);
    }

    proptest! {
        #[test]
        fn any_text_is_a_location_or_an_error(text in any::<String>(), scheme in "(file|s3|s3a|hdfs)?:?/{0,3}") {
            let _ = Location::parse("p", &text);
            if let Ok(Location::File(path)) = Location::parse("p", &format!("{scheme}{text}")) {
                prop_assert!(path.is_absolute());
            }
        }
    }
}
