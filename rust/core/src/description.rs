//! What is stored with an object, and what a client hands over: the materials description.
//!
//! One map serves for two things. On encryption a client may fill it with the object's location; on decryption it is
//! what was stored. Which of the two it is shows only in its content.

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
/// What the user adds to the encryption context, each entry under its own name.
pub const CONTEXT_PREFIX: &str = "emrkeys.context.";
/// The name that AWS's `EMRFSRSAEncryptionMaterialsProvider` stores.
pub const RSA_NAME: &str = "rsa_name";
/// The KMS key id that the SDK stores. Source: `KMSEncryptionMaterials.CUSTOMER_MASTER_KEY_ID`.
pub const KMS_KEY_ID: &str = "kms_cmk_id";
/// The key id that the HTTP data key service's provider stores.
pub const DATA_KEY_SERVICE_ID: &str = "keyid";
/// The wrapped key that the HTTP data key service's provider stores, as the service wrote it.
pub const DATA_KEY_SERVICE_WRAPPED: &str = "encryptedkey";

/// What a description says of the version of its key: a version's name, or the id of the KMS key.
pub fn version_of(entries: &[(String, String)]) -> Option<&str> {
    [VERSION, KMS_ARN, KMS_KEY_ID, DATA_KEY_SERVICE_ID, RSA_NAME]
        .into_iter()
        .find_map(|wanted| entries.iter().find(|(name, _)| name == wanted))
        .map(|(_, value)| value.as_str())
}

/// The most entries that a description may have.
const MAX_ENTRIES: usize = 256;
/// The most bytes of names and values together. S3 stores 2 KiB; instruction files may hold more.
const MAX_BYTES: usize = 64 * 1024;

/// A description as a client handed it over: small, without control characters but in the object's location.
#[derive(Debug)]
pub(crate) struct Description<'a> {
    entries: &'a [(&'a str, &'a str)],
    request: WriteRequest<'a>,
}

/// What EMRFS puts into the description of a write. Names compare without regard to case.
#[derive(Debug, Default)]
struct WriteRequest<'a> {
    path: Option<&'a str>,
    destination: Option<&'a str>,
    job_flow: Option<&'a str>,
}

impl<'a> Description<'a> {
    /// Checks sizes and characters.
    ///
    /// # Errors
    /// `DESCRIPTION_TOO_LARGE`; `INVALID_DESCRIPTION` for control characters and for contradicting locations.
    pub(crate) fn new(entries: &'a [(&'a str, &'a str)]) -> Result<Self, Problem> {
        let bytes: usize = entries.iter().map(|(name, value)| name.len() + value.len()).sum();
        if entries.len() > MAX_ENTRIES || bytes > MAX_BYTES {
            return Err(Problem::new(
                Code::DescriptionTooLarge,
                format!("the materials description has {} entries and {bytes} bytes", entries.len()),
                format!("A description that a client stored has at most {MAX_ENTRIES} entries and {MAX_BYTES} bytes: check who wrote this object's metadata."),
            ));
        }
        let mut request = WriteRequest::default();
        for &(name, value) in entries {
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
        Ok(Description { entries, request })
    }

    /// The value of an entry; names compare byte for byte.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.entries
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the client describes a write: it gave a location or a job flow.
    pub(crate) fn is_write_request(&self) -> bool {
        let WriteRequest {
            path,
            destination,
            job_flow,
        } = &self.request;
        path.or(*destination).or(*job_flow).is_some()
    }

    /// Where the object goes, as the client wrote it.
    pub(crate) fn location_text(&self) -> Option<&'a str> {
        self.request.destination.or(self.request.path)
    }

    /// Where the object goes: the destination of a copy, else the path. `None` where the client did not say.
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
        self.request.job_flow
    }

    /// The entries as they were handed over.
    pub(crate) fn entries(&self) -> &'a [(&'a str, &'a str)] {
        self.entries
    }

    /// The entries as they were handed over, copied.
    pub(crate) fn to_owned_entries(&self) -> Vec<(String, String)> {
        self.entries
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The names of the entries, for a message; never the values.
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> = self
            .entries
            .iter()
            .take(10)
            .map(|(name, _)| excerpt(name))
            .collect();
        let more = if self.entries.len() > names.len() {
            ", …"
        } else {
            ""
        };
        format!("{}{more}", names.join(", "))
    }
}

pub(crate) fn invalid(message: String) -> Problem {
    Problem::new(
        Code::InvalidDescription,
        format!("the materials description is malformed: {message}"),
        "The object's metadata or instruction file was changed after it was written, or was written by other software: restore it, or see emrkeys.key.<name>.match.<field>.",
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
        let description = Description::new(&entries).unwrap();
        assert!(description.is_write_request());
        assert_eq!(description.location().unwrap().unwrap().key, b"b");
        assert_eq!(description.job_flow(), Some("j-1"));
    }

    #[test]
    fn sizes_and_characters_are_bounded() {
        let code = |entries: &[(&str, &str)]| Description::new(entries).unwrap_err().code;
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
            Description::new(&entries)
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
            Description::new(&entries).unwrap().location().unwrap_err().code,
            Code::InvalidUri
        );
    }
}
