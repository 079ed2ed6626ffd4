//! AES key wrap (RFC 3394, NIST SP 800-38F "KW"), what JCE calls `AESWrap`.

use crate::backend;
use crate::cipher::{CipherError, BLOCK};
use zeroize::Zeroizing;

/// How much longer a wrapped key is.
pub const OVERHEAD: usize = 8;
/// The longest key that is taken, far beyond any real one.
pub const MAX_KEY: usize = 1 << 16;

/// Wraps `key` (16 bytes or more, a multiple of 8) under the AES key `kek`.
///
/// # Errors
/// [`CipherError::KeySize`] for the `kek`, [`CipherError::BlockSize`] for the `key`.
pub fn wrap(kek: &[u8], key: &[u8]) -> Result<Vec<u8>, CipherError> {
    if key.len() < BLOCK || !key.len().is_multiple_of(OVERHEAD) || key.len() > MAX_KEY {
        return Err(CipherError::BlockSize);
    }
    let mut out = vec![0; key.len() + OVERHEAD];
    backend::aes_wrap(kek, key, &mut out)?;
    Ok(out)
}

/// Unwraps what [`wrap`] made. The integrity check is constant-time and says nothing of where it
/// failed.
///
/// # Errors
/// [`CipherError::KeySize`], [`CipherError::Unwrap`].
pub fn unwrap(kek: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    crate::cipher::check_key(kek)?;
    if wrapped.len() < BLOCK + OVERHEAD
        || !wrapped.len().is_multiple_of(OVERHEAD)
        || wrapped.len() > MAX_KEY + OVERHEAD
    {
        return Err(CipherError::Unwrap);
    }
    let mut out = Zeroizing::new(vec![0; wrapped.len() - OVERHEAD]);
    backend::aes_unwrap(kek, wrapped, &mut out)?;
    Ok(out)
}
