//! The parts that all ciphers of this crate have in common: direction, errors, sizes.

/// Bytes in an AES block, in a CTR or CBC initialisation vector and in a full GCM tag.
pub const BLOCK: usize = 16;

/// Whether a cipher seals or opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Plaintext in, ciphertext out.
    Encrypt,
    /// Ciphertext in, plaintext out.
    Decrypt,
}

/// Why a cipher refused. Carries nothing secret and no detail that would help to forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// An AES key of other than 16, 24 or 32 bytes.
    #[error("an AES key has 128, 192 or 256 bits")]
    KeySize,
    /// An initialisation vector of a length that the mode does not take.
    #[error("the initialisation vector has a length that this mode does not take")]
    IvSize,
    /// A GCM tag length other than 12 to 16 bytes.
    #[error("a GCM tag has 96, 104, 112, 120 or 128 bits")]
    TagSize,
    /// The output slice is shorter than what the call would write. Nothing was processed.
    #[error("the output is too short")]
    OutputTooShort,
    /// A call out of order: data before an initialisation vector, or after the end.
    #[error("the cipher is not ready for this call")]
    State,
    /// More data than the mode may encrypt under one initialisation vector.
    #[error("more data than one initialisation vector allows")]
    TooLong,
    /// More ciphertext than the caller allowed to be held back until the tag.
    #[error("more ciphertext than may be held until its tag is verified")]
    HeldTooLong,
    /// The authentication tag does not match: the data, the key or the vector is another.
    #[error("the authentication tag does not match")]
    TagMismatch,
    /// The total length is no multiple of the block and the mode has no padding.
    #[error("the data is no multiple of 16 bytes")]
    BlockSize,
    /// The padding of decrypted data is wrong: another key, or other data.
    #[error("the padding is wrong")]
    Padding,
    /// A wrapped key that does not unwrap under this key.
    #[error("the wrapped key does not match this key")]
    Unwrap,
    /// An RSA message that is longer than the key and padding take, or a ciphertext of another
    /// length than the key's.
    #[error("the data does not fit the RSA key")]
    RsaLength,
    /// Not an RSA key of 512 to 16384 bits in the expected encoding.
    #[error("not a usable RSA key")]
    RsaKey,
    /// An RSA ciphertext that does not decrypt under this key and padding.
    #[error("RSA decryption failed")]
    RsaDecrypt,
    /// Memory or the random generator failed in the backend.
    #[error("the cryptographic backend failed")]
    Backend,
}

/// Fails unless `key` has the length of an AES key.
pub(crate) fn check_key(key: &[u8]) -> Result<(), CipherError> {
    match key.len() {
        16 | 24 | 32 => Ok(()),
        _ => Err(CipherError::KeySize),
    }
}

/// Fills `out` from the system's random generator, for keys and initialisation vectors.
///
/// # Errors
/// [`CipherError::Backend`] where the generator fails.
pub fn random(out: &mut [u8]) -> Result<(), CipherError> {
    aws_lc_rs::rand::fill(out).map_err(|_| CipherError::Backend)
}
