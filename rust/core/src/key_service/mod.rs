//! Key services: whoever makes and opens wrapped key-encryption keys over the network. One file for each.
//!
//! A service answers one call and nothing else: it neither retries nor caches, which [`super::cached`] does alike for
//! all of them.

pub(crate) mod cache;
pub(crate) mod data_key_service;
pub(crate) mod kms;
mod kms_alias;

pub use cache::{call, full_jitter};

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use secrecy::SecretSlice;

use crate::description::StoredDescription;
pub use crate::error::Failure;
use crate::error::Problem;

/// The answer of a service, some time later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Makes and opens wrapped keys over a network. Shared by all threads.
pub(crate) trait KeyService: Send + Sync + 'static {
    /// A new key-encryption key of 16, 24 or 32 bytes, in the clear and wrapped. One call of the service.
    fn generate(&self) -> Answer<'_, NewKey>;

    /// The key that `wrapped` holds. One call of the service, which refuses what was changed.
    fn open<'a>(&'a self, wrapped: &'a WrappedKey) -> Answer<'a, SecretSlice<u8>>;
}

/// Writes wrapped keys into descriptions and finds them there. No call of the service. Shared by all threads.
pub(crate) trait DescriptionCodec: Send + Sync + 'static {
    /// The entries that are stored with objects under a key: at most 1 KiB, all that
    /// [`wrapped`](DescriptionCodec::wrapped) needs, and no secret.
    fn description(&self, wrapped: &WrappedKey) -> Vec<(String, String)>;

    /// Finds the wrapped key in a stored description.
    ///
    /// # Errors
    /// `INVALID_DESCRIPTION` if an entry is missing or malformed; `KEY_VERSION_UNKNOWN` for a key of the service that
    /// is not one of those configured.
    fn wrapped(&self, stored: &StoredDescription) -> Result<WrappedKey, Problem>;
}

/// A key-encryption key fresh from the service.
pub(crate) struct NewKey {
    /// 16, 24 or 32 bytes.
    pub(crate) plaintext: SecretSlice<u8>,
    pub(crate) wrapped: WrappedKey,
}

/// A wrapped key and everything that decides what opening it gives: hashed, it is the key of the cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WrappedKey {
    /// The service's name for the key that wrapped it.
    pub(crate) key_id: String,
    pub(crate) ciphertext: Vec<u8>,
    /// The encryption context, for services that have one.
    pub(crate) context: BTreeMap<String, String>,
}
