//! The materials description: the entries that a client stores with an object, and hands over when it asks for a key.
//!
//! One map serves for two things. On encryption a client may fill it with the object's location; on decryption it is
//! the description that was stored. Only its content distinguishes the two.

use std::fmt;
use std::ops::Range;

use crate::error::{excerpt, Code, Problem};
use crate::uri::S3Location;

/// The name of the key, in what is stored with an object.
pub const KEY: &str = "emrkeys.key";
/// The version of the key: a fingerprint of its material.
pub const VERSION: &str = "emrkeys.version";
/// The ARN of the KMS key that wrapped the key.
pub const KMS_ARN: &str = "emrkeys.kms-key";
/// The wrapped key, in base64.
pub const WRAPPED: &str = "emrkeys.wrapped";
/// The prefix of entries that the user adds to the encryption context, each under its own name.
pub const CONTEXT_PREFIX: &str = "emrkeys.context.";
/// The name that AWS's `EMRFSRSAEncryptionMaterialsProvider` stores.
pub const RSA_NAME: &str = "rsa_name";
/// The KMS key id that the SDK stores. Source: `KMSEncryptionMaterials.CUSTOMER_MASTER_KEY_ID`.
pub const KMS_KEY_ID: &str = "kms_cmk_id";
/// The key id that the HTTP data key service's provider stores.
pub const DATA_KEY_SERVICE_ID: &str = "keyid";
/// The wrapped key that the HTTP data key service's provider stores, as the service wrote it.
pub const DATA_KEY_SERVICE_WRAPPED: &str = "encryptedkey";

/// The most entries that a description may have.
const MAX_ENTRIES: usize = 256;
/// The most bytes of names and values together. S3 stores 2 KiB; instruction files may hold more.
const MAX_BYTES: usize = 64 * 1024;

/// A materials description: names and values in the order in which they came, never a secret. It is carried unchanged
/// from the client's request, or from an object's envelope, to the materials that answer it.
///
/// It takes two allocations, however many entries it has: each request of a client makes at least one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoredDescription {
    /// All names and values, one behind the other.
    text: String,
    /// The ends, in bytes, of each entry's name and value.
    ends: Vec<(usize, usize)>,
}

/// The part of a description by which EMRFS describes a write. Names compare without regard to case.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteRequest<'a> {
    path: Option<&'a str>,
    destination: Option<&'a str>,
    job_flow: Option<&'a str>,
}

impl fmt::Debug for StoredDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> Extend<(N, V)> for StoredDescription {
    fn extend<T: IntoIterator<Item = (N, V)>>(&mut self, entries: T) {
        for (name, value) in entries {
            self.push(name.as_ref(), value.as_ref());
        }
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for StoredDescription {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(entries: T) -> Self {
        let mut description = StoredDescription::default();
        description.extend(entries);
        description
    }
}

impl StoredDescription {
    /// An empty description with room for so many entries and bytes of names and values.
    pub fn with_capacity(entries: usize, bytes: usize) -> Self {
        StoredDescription {
            text: String::with_capacity(bytes),
            ends: Vec::with_capacity(entries),
        }
    }

    /// Adds an entry behind the others. A name may stand twice.
    pub fn push(&mut self, name: &str, value: &str) {
        self.text.push_str(name);
        let end = self.text.len();
        self.text.push_str(value);
        self.ends.push((end, self.text.len()));
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.spans()
            .map(|(name, value)| (&self.text[name], &self.text[value]))
    }

    /// The places of names and values.
    fn spans(&self) -> impl ExactSizeIterator<Item = (Range<usize>, Range<usize>)> + '_ {
        let mut start = 0;
        self.ends.iter().map(move |&(middle, end)| {
            let entry = (start..middle, middle..end);
            start = end;
            entry
        })
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The value of an entry; names compare byte for byte.
    pub fn get(&self, name: &str) -> Option<&str> {
        // Bytes, because most names differ by their length alone.
        let bytes = self.text.as_bytes();
        let entry = self
            .spans()
            .find(|(known, _)| bytes[known.clone()] == *name.as_bytes());
        entry.map(|(_, value)| &self.text[value])
    }

    /// The version of the key, as far as the description says: a version's name, or the id of the KMS key.
    pub fn version(&self) -> Option<&str> {
        [VERSION, KMS_ARN, KMS_KEY_ID, DATA_KEY_SERVICE_ID, RSA_NAME]
            .into_iter()
            .find_map(|name| self.get(name))
    }

    /// Whether the other description says all of this one: key, version, and what else leads to them. Wrapped keys are
    /// left out, because they differ each time. An empty description says nothing.
    pub fn says_the_same_as(&self, other: &StoredDescription) -> bool {
        let matters = |name: &str| ![WRAPPED, DATA_KEY_SERVICE_WRAPPED].contains(&name);
        let mut said = self.iter().filter(|(name, _)| matters(name));
        !self.is_empty() && said.all(|entry| other.iter().any(|known| known == entry))
    }

    /// Checks sizes and characters, and gives the entries that describe a write.
    ///
    /// # Errors
    /// `DESCRIPTION_TOO_LARGE`; `INVALID_DESCRIPTION` for control characters (a location may hold them) and for
    /// contradicting locations.
    pub(crate) fn check(&self) -> Result<WriteRequest<'_>, Problem> {
        let bytes = self.text.len();
        if self.len() > MAX_ENTRIES || bytes > MAX_BYTES {
            return Err(Problem::new(
                Code::DescriptionTooLarge,
                format!(
                    "the materials description has {} entries and {bytes} bytes",
                    self.len()
                ),
                format!(
                    "A description that a client stored has at most {MAX_ENTRIES} entries and {MAX_BYTES} \
                     bytes: check who wrote this object's metadata."
                ),
            ));
        }
        let mut request = WriteRequest::default();
        for (name, value) in self.iter() {
            let slot = match name {
                _ if name.eq_ignore_ascii_case("Path") => &mut request.path,
                _ if name.eq_ignore_ascii_case("DstPath") => &mut request.destination,
                _ if name.eq_ignore_ascii_case("JobflowId") => &mut request.job_flow,
                _ if name.chars().chain(value.chars()).any(char::is_control) => {
                    return Err(invalid(format!(
                        "entry {} holds a control character",
                        excerpt(name)
                    )));
                }
                _ => continue,
            };
            match slot.replace(value) {
                Some(other) if other != value => {
                    return Err(invalid(format!("{name} stands twice, with different values")));
                }
                _ => {}
            }
        }
        Ok(request)
    }

    /// The names of the entries, for a message; never the values.
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> = self.iter().take(10).map(|(name, _)| excerpt(name)).collect();
        let more = if self.len() > names.len() { ", …" } else { "" };
        format!("{}{more}", names.join(", "))
    }
}

impl<'a> WriteRequest<'a> {
    /// Whether the client describes no write: it gave neither a location nor a job flow.
    pub(crate) fn is_empty(&self) -> bool {
        self.path.or(self.destination).or(self.job_flow).is_none()
    }

    /// The place of the new object, as the client wrote it.
    pub(crate) fn location_text(&self) -> Option<&'a str> {
        self.destination.or(self.path)
    }

    /// The place of the new object: the destination of a copy, else the path. `None` if the client did not say.
    ///
    /// # Errors
    /// `INVALID_URI`
    pub(crate) fn location(&self) -> Result<Option<S3Location>, Problem> {
        let Some(text) = self.location_text() else {
            return Ok(None);
        };
        S3Location::parse(text).map(Some).map_err(|error| {
            Problem::new(
                Code::InvalidUri,
                format!("the location of the object to write cannot be used: {error}"),
                "Write to a path of the form s3://bucket/key.",
            )
        })
    }

    /// The job flow (cluster) id of a write, such as `j-2AXXXXXXGAPLF`.
    pub(crate) fn job_flow(&self) -> Option<&'a str> {
        self.job_flow
    }
}

pub(crate) fn invalid(message: String) -> Problem {
    Problem::new(
        Code::InvalidDescription,
        format!("the materials description is malformed: {message}"),
        "The object's metadata or instruction file was changed after it was written, or was written by \
         other software: restore it, or see emrkeys.key.<name>.match.<field>.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_of_a_copy_comes_before_the_path_and_names_ignore_case() {
        let entries = [
            ("pAtH", "s3://lake/a"),
            ("DSTPATH", "s3://lake/b"),
            ("jobflowid", "j-1"),
        ];
        let description = StoredDescription::from_iter(entries);
        let request = description.check().unwrap();
        assert!(!request.is_empty());
        assert_eq!(request.location().unwrap().unwrap().key, b"b");
        assert_eq!(request.job_flow(), Some("j-1"));
    }

    #[test]
    fn entries_come_out_as_they_went_in_and_only_the_same_are_equal() {
        let entries = [("ab", "c"), ("", ""), ("ü", "€"), ("ab", "d")];
        let description = StoredDescription::from_iter(entries);
        assert_eq!(description.iter().collect::<Vec<_>>(), entries);
        assert_eq!((description.len(), description.iter().len()), (4, 4));
        assert_eq!((description.get("ab"), description.get("a")), (Some("c"), None));
        assert_eq!(description.get(""), Some(""));
        assert_ne!(
            StoredDescription::from_iter([("a", "bc")]),
            StoredDescription::from_iter([("ab", "c")])
        );
        assert_eq!(
            format!("{description:?}"),
            r#"{"ab": "c", "": "", "ü": "€", "ab": "d"}"#
        );
    }

    #[test]
    fn sizes_and_characters_are_bounded() {
        let code = |entries: &[(&str, &str)]| {
            let description = StoredDescription::from_iter(entries.iter().copied());
            description.check().unwrap_err().code
        };
        let many = vec![("a", "b"); 10_000];
        assert_eq!(code(&many), Code::DescriptionTooLarge);
        assert_eq!(code(&[("a", &"b".repeat(1 << 20))]), Code::DescriptionTooLarge);
        assert_eq!(code(&[("a", "b\u{0}")]), Code::InvalidDescription);
        assert_eq!(code(&[("a\n", "b")]), Code::InvalidDescription);
        assert_eq!(
            code(&[("Path", "s3://lake/a"), ("path", "s3://lake/b")]),
            Code::InvalidDescription
        );
    }

    #[test]
    fn keys_of_s3_may_hold_control_characters_so_locations_may() {
        let entries = [("Path", "s3://lake/a\nb")];
        assert_eq!(
            StoredDescription::from_iter(entries)
                .check()
                .unwrap()
                .location()
                .unwrap()
                .unwrap()
                .key,
            b"a\nb"
        );
    }

    #[test]
    fn a_location_that_is_none_is_refused_when_it_is_needed() {
        let entries = [("Path", "/a/b")];
        assert_eq!(
            StoredDescription::from_iter(entries)
                .check()
                .unwrap()
                .location()
                .unwrap_err()
                .code,
            Code::InvalidUri
        );
    }
}
