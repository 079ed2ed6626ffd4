//! The vocabulary of key resolution: who asks, for what, and what comes out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretSlice;

use crate::counters::Counts;
use crate::description::{StoredDescription, WriteRequest};
use crate::jce::JceSettings;

/// A key and what is stored with what it encrypts.
#[derive(Clone, Debug)]
pub struct Materials {
    /// The key-encryption key, or how to get at it.
    pub key: MaterialKey,
    /// On encryption what is to be stored, at most 1 KiB and never a secret; on decryption what was stored.
    pub description: StoredDescription,
}

/// The key of [`Materials`]. Copies share the secret, which is zeroized with the last of them.
#[derive(Clone)]
pub enum MaterialKey {
    /// A symmetric key.
    Symmetric {
        /// The algorithm name of a Java `SecretKeySpec` of this key: `AES` or `AES/GCM/NoPadding`.
        algorithm: &'static str,
        /// 16, 24 or 32 bytes.
        bytes: Arc<SecretSlice<u8>>,
    },
    /// An RSA key pair of 2048 bits or more.
    KeyPair {
        /// X.509 SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), DER.
        public: Vec<u8>,
        /// PKCS#8 PrivateKeyInfo (RFC 5208), DER; `None` for a key that encrypts only.
        private: Option<Arc<SecretSlice<u8>>>,
    },
    /// A KMS key that the S3 client uses by itself.
    Kms {
        /// ARN, key id or alias, as configured or as stored.
        key_id: String,
    },
}

impl fmt::Debug for MaterialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaterialKey::Symmetric { algorithm, .. } => write!(f, "Symmetric({algorithm}, …)"),
            MaterialKey::KeyPair { private, .. } => {
                write!(
                    f,
                    "KeyPair(public{})",
                    if private.is_some() { ", private" } else { "" }
                )
            }
            MaterialKey::Kms { key_id } => write!(f, "Kms({key_id})"),
        }
    }
}

/// How a client asks for materials.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// Its call without an argument: a write of which nothing is known.
    NoArgument,
    /// Its call with a description that is `null`.
    ///
    /// The SDK v1 makes it for a write whose request has no description, and then for `null` in return makes the call
    /// without an argument; and for a read of an object that has none, where it takes `null` for "no such key".
    /// Source: `S3CryptoModuleBase.createContentCryptoMaterial` and `ContentCryptoMaterial.matdescFromJson`.
    NoDescription,
    /// Its call with a description: names and values.
    Description(StoredDescription),
    /// A write, by a client that says which object it writes: the names as S3 has them, nothing encoded.
    Write {
        /// The bucket.
        bucket: &'a str,
        /// The object's key.
        key: &'a str,
    },
    /// A write to this object under a key that is named and not chosen by rules.
    WriteUnder {
        /// The bucket.
        bucket: &'a str,
        /// The object's key.
        key: &'a str,
        /// The name of the key.
        under: &'a str,
    },
    /// A read, by a client that says so: never taken for a write, whatever the description holds.
    Read {
        /// The stored description.
        stored: StoredDescription,
        /// How the data key is wrapped, such as `AES/GCM`.
        wrap: &'a str,
        /// The cipher of the content, such as `AES/GCM/NoPadding`.
        content: &'a str,
        /// Bucket and key of the object, for the audit log, where they are known.
        object: Option<(&'a str, &'a str)>,
    },
}

impl Request<'_> {
    /// The description that came with the request.
    pub(crate) fn stored(&self) -> Option<&StoredDescription> {
        match self {
            Request::Description(stored) | Request::Read { stored, .. } => Some(stored),
            Request::NoArgument
            | Request::NoDescription
            | Request::Write { .. }
            | Request::WriteUnder { .. } => None,
        }
    }

    /// The same, to keep; empty without a description.
    pub(crate) fn into_stored(self) -> StoredDescription {
        match self {
            Request::Description(stored) | Request::Read { stored, .. } => stored,
            _ => StoredDescription::default(),
        }
    }

    /// The object, for the audit log, as far as the client says.
    pub(crate) fn uri(&self, write: &WriteRequest) -> Option<String> {
        match self {
            Request::Write { bucket, key }
            | Request::WriteUnder { bucket, key, .. }
            | Request::Read {
                object: Some((bucket, key)),
                ..
            } => Some(format!("s3://{bucket}/{key}")),
            _ => write.location_text().map(str::to_owned),
        }
    }
}

/// The report of a start or a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One line: version, keys and rules by name.
    pub summary: String,
    /// Faults that should be repaired and keep nothing from working.
    pub warnings: Vec<String>,
    /// How the caller is to set up its JCE provider.
    pub jce: JceSettings,
    /// Whether the caller is to log what [`Provider::take_audit`] gives after each request.
    pub audit_to_log: bool,
    /// How often the caller is to log [`Provider::stats`]; zero: never.
    pub stats_interval: Duration,
}

/// The requests of a key to its key service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStats {
    /// The key's name.
    pub key: String,
    /// The age of the key that encrypts, if there is one.
    pub age: Option<Duration>,
    /// The counters so far, in this process, of everything that is configured like this key.
    pub counts: Counts,
}
