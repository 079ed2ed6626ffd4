//! Key parsing, key checks and fingerprints behind one safe API.
//!
//! The only crate of the project that names a cryptographic back end (aws-lc through `aws-lc-rs`, and the RustCrypto
//! parsers for DER). It knows nothing of configuration, of Hadoop or of Java: bytes go in; checked keys, or
//! bytes sealed and opened, come out.
//!
//! The ciphers stream (`new`, `start`, `update`, `finish`), in place and out of place. Each type says what it promises;
//! they are `Send`, and wipe key and state when dropped. Unsafe code is in `backend` (calls of aws-lc), nowhere else.
//!
//! Keys are `Send + Sync` and immutable. Secrets are held in buffers that are wiped when they are dropped,
//! and no `Debug` or error text shows a byte of them.

#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod backend;
mod blocks;
pub mod cbc;
pub mod cipher;
pub mod ctr;
pub mod digest;
pub mod ecb;
pub mod fingerprint;
pub mod gcm;
pub mod gcm_verified;
pub mod gcm_wrap;
pub mod generate;
pub mod hmac;
pub mod key_store;
pub mod key_wrap;
mod pem;
pub mod rsa;
pub mod rsa_cipher;

pub use backend::wipe;

/// Forgets the state that the back end keeps for each thread, and cancels its notice of the end of threads: for the
/// unloading of a library that holds this crate, when nothing uses it any more.
///
/// Returns whether that worked. If not, the end of a thread may still call code of the library.
pub fn forget_threads() -> bool {
    backend::forget_threads()
}

/// Why bytes are not a usable key. The text is fit for users: it says what was expected and what was found, and
/// never holds bytes of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are not in a form that is understood: truncated, badly encoded, or a format that is not supported.
    #[error("{0}")]
    Malformed(String),
    /// The bytes are something else than the key that is wanted, such as a public key in place of a private one.
    #[error("{0}")]
    WrongKind(String),
    /// The modulus is shorter than 2048 bits.
    #[error(
        "the RSA key has {bits} bits; the least that is accepted is {}",
        rsa::MIN_BITS
    )]
    TooSmall {
        /// Length of the modulus in bits.
        bits: usize,
    },
    /// The modulus is longer than 8192 bits.
    #[error("the RSA key has {bits} bits; the most that is accepted is {}", rsa::MAX_BITS)]
    TooLarge {
        /// Length of the modulus in bits.
        bits: usize,
    },
    /// The private key or key store is encrypted and no password was given.
    #[error("the private key (or the key store) is encrypted, and no password is configured for it")]
    PasswordMissing,
    /// The private key or key store is encrypted under another password, or its ciphertext is damaged: the two look
    /// alike.
    #[error("the private key (or the key store) does not decrypt with the password, or the file is damaged")]
    PasswordWrong,
    /// The numbers of the key do not belong together, so it would fail or leak in use.
    #[error("the numbers in the RSA key do not belong together; the file is damaged")]
    Inconsistent,
}
