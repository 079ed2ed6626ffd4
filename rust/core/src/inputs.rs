//! The inputs that only the caller can open: files of a Hadoop `FileSystem`, aliases of a Hadoop credential provider.

use std::collections::BTreeMap;

use secrecy::SecretSlice;

/// Hadoop property names and their values, expanded; only `emrkeys.*` and `fs.s3.cse.*` are looked at, and by
/// [`checks`](crate::checks) `fs.s3a.*`.
pub type Settings = BTreeMap<String, String>;

/// Something that the core cannot open by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputRef {
    /// A URI of a file system that Hadoop knows and the core does not, such as `hdfs:`.
    Uri(String),
    /// An alias of Hadoop's credential providers.
    Credential(String),
}

/// The content that the caller found behind an [`InputRef`].
#[derive(Clone, Debug)]
pub enum InputValue {
    /// The bytes, at most one byte more than the largest that is read
    /// ([`MAX_DOCUMENT`](crate::keyring::MAX_DOCUMENT)).
    Found {
        /// The content of the file, or the credential as UTF-8.
        bytes: SecretSlice<u8>,
        /// Whether the configuration itself holds the credential in the clear.
        plaintext: bool,
        /// The nine permission bits of the file, if its file system has them.
        mode: Option<u32>,
    },
    /// There is no such file or alias.
    Missing,
    /// It could not be read; the text says why and holds no secret.
    Failed(String),
}

/// The answers to a [`plan`](crate::plan).
pub type Inputs = BTreeMap<InputRef, InputValue>;
