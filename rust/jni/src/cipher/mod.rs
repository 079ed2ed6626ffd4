//! Bulk ciphers for the JCE provider: the native methods of `org.emrkeys.bridge.CipherNatives`.
//!
//! These are called for every buffer, so they take what Java has as it is (arrays by critical sections, direct buffers
//! by address), allocate nothing on the way and answer with an `int`: a count, or a negative code below. No class is
//! looked up, and nothing is thrown but by the JVM's own check of a range.
//!
//! [`object`] is what a handle stands for, [`memory`] borrows from Java, [`pieces`] moves
//! data through a cipher, [`exports`] are the native methods.

mod exports;
mod memory;
mod object;
mod pieces;
#[cfg(test)]
mod tests;

pub(crate) use exports::clear;
pub(crate) use memory::Sides;
pub(crate) use object::Object;
pub(crate) use pieces::run;

use emrkeys_crypto::cipher::CipherError;
use jni::sys::jint;

/// A count, or a negative code.
pub(crate) type Answer = Result<usize, jint>;

/// The numbers that Java and this crate have in common, each under the name that it has in `CipherNatives`. A test
/// compares the two lists.
macro_rules! shared {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub(crate) const $name: jint = $value;)*
        #[cfg(test)]
        const SHARED: &[(&str, jint)] = &[$((stringify!($name), $name)),*];
    };
}

shared! {
    /// `kind` of [`exports`]' `create`: AES-GCM.
    GCM = 0;
    /// AES-CTR.
    CTR = 1;
    /// An RSA key that encrypts; the key is a SubjectPublicKeyInfo.
    RSA_PUBLIC = 2;
    /// An RSA key that decrypts; the key is a PKCS#8 PrivateKeyInfo.
    RSA_PRIVATE = 3;

    /// `mode` of a message.
    ENCRYPT = 0;
    /// GCM: plaintext is released as it is decrypted, before the tag is verified.
    DECRYPT_STREAMING = 1;
    /// GCM: plaintext is released once the tag is verified.
    DECRYPT_VERIFIED = 2;

    /// `hash` and `mask` of OAEP.
    SHA_1 = 0;
    SHA_224 = 1;
    SHA_256 = 2;
    SHA_384 = 3;
    SHA_512 = 4;
    SHA_512_224 = 5;
    SHA_512_256 = 6;
    /// A mask that was made with SHA-1 or SHA-256: decryption with SHA-256 accepts either.
    EITHER = 7;

    /// The longest short message, its tag included if it is decrypted.
    SHORT = 320;

    CODE_KEY_SIZE = -1;
    CODE_IV_SIZE = -2;
    CODE_TAG_SIZE = -3;
    CODE_OUTPUT_TOO_SHORT = -4;
    CODE_STATE = -5;
    CODE_TOO_LONG = -6;
    CODE_HELD_TOO_LONG = -7;
    CODE_TAG_MISMATCH = -8;
    CODE_RSA_LENGTH = -12;
    CODE_RSA_KEY = -13;
    CODE_RSA_DECRYPT = -14;
    /// The backend failed, or there is no memory left.
    CODE_BACKEND = -15;
    /// A handle that is not, or no longer, open.
    CODE_CLOSED = -100;
    /// The cipher is in use by another thread.
    CODE_BUSY = -101;
    /// Lengths or offsets outside the arrays; Java checks first, so this is a defect.
    CODE_RANGE = -102;
    /// More ciphers are open than the table of handles holds.
    CODE_TOO_MANY = -103;
    /// A panic, caught.
    CODE_PANIC = -127;
}

/// The code of an error.
pub(crate) fn code(error: CipherError) -> jint {
    match error {
        CipherError::KeySize => CODE_KEY_SIZE,
        CipherError::IvSize => CODE_IV_SIZE,
        CipherError::TagSize => CODE_TAG_SIZE,
        CipherError::OutputTooShort => CODE_OUTPUT_TOO_SHORT,
        CipherError::State => CODE_STATE,
        CipherError::TooLong => CODE_TOO_LONG,
        CipherError::HeldTooLong => CODE_HELD_TOO_LONG,
        CipherError::TagMismatch => CODE_TAG_MISMATCH,
        CipherError::RsaLength => CODE_RSA_LENGTH,
        CipherError::RsaKey => CODE_RSA_KEY,
        CipherError::RsaDecrypt => CODE_RSA_DECRYPT,
        _ => CODE_BACKEND,
    }
}

/// A length or offset of Java's.
fn index(value: jint) -> Result<usize, jint> {
    usize::try_from(value).map_err(|_| CODE_RANGE)
}
