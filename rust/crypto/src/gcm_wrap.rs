//! AES-GCM for small things: keys wrapped under key-encryption keys, in one call, by the `aes-gcm`
//! crate. The format is that of the S3 encryption clients' `AES/GCM` wrap:
//! vector (12 bytes) ‖ ciphertext ‖ tag (16 bytes), the context as additional data.

use crate::cipher::{check_key, random, CipherError};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{aes::Aes192, Aes128Gcm, Aes256Gcm, AesGcm};
use zeroize::Zeroizing;

/// Bytes of the vector.
const IV: usize = 12;
/// How much longer a wrapped key is.
pub const OVERHEAD: usize = IV + 16;

type Aes192Gcm = AesGcm<Aes192, U12>;

/// Wraps `key` under `kek`, bound to `context`, with a random vector. A key-encryption key must not
/// wrap more than 2^32 times (SP 800-38D, section 8.3).
///
/// # Errors
/// [`CipherError::KeySize`], [`CipherError::Backend`].
pub fn wrap(kek: &[u8], key: &[u8], context: &[u8]) -> Result<Vec<u8>, CipherError> {
    check_key(kek)?;
    let mut iv = [0u8; IV];
    random(&mut iv)?;
    let payload = Payload {
        msg: key,
        aad: context,
    };
    let nonce = (&iv).into();
    let sealed = match kek.len() {
        16 => Aes128Gcm::new_from_slice(kek).map(|kek| kek.encrypt(nonce, payload)),
        24 => Aes192Gcm::new_from_slice(kek).map(|kek| kek.encrypt(nonce, payload)),
        _ => Aes256Gcm::new_from_slice(kek).map(|kek| kek.encrypt(nonce, payload)),
    };
    let sealed = sealed
        .map_err(|_| CipherError::KeySize)?
        .map_err(|_| CipherError::Backend)?;
    let mut out = Vec::with_capacity(IV + sealed.len());
    out.extend_from_slice(&iv);
    out.extend_from_slice(&sealed);
    Ok(out)
}

/// Unwraps what [`wrap`] made under the same `kek` and `context`.
///
/// # Errors
/// [`CipherError::KeySize`]; [`CipherError::Unwrap`] for another key, context or content.
pub fn unwrap(kek: &[u8], wrapped: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    check_key(kek)?;
    let (iv, sealed) = wrapped.split_first_chunk::<IV>().ok_or(CipherError::Unwrap)?;
    let payload = Payload {
        msg: sealed,
        aad: context,
    };
    let nonce = iv.into();
    let opened = match kek.len() {
        16 => Aes128Gcm::new_from_slice(kek).map(|kek| kek.decrypt(nonce, payload)),
        24 => Aes192Gcm::new_from_slice(kek).map(|kek| kek.decrypt(nonce, payload)),
        _ => Aes256Gcm::new_from_slice(kek).map(|kek| kek.decrypt(nonce, payload)),
    };
    opened
        .map_err(|_| CipherError::KeySize)?
        .map(Zeroizing::new)
        .map_err(|_| CipherError::Unwrap)
}
