//! AES key wrap, RFC 3394.

use crate::cipher::{check_key, CipherError, Direction};
use aws_lc_sys as c;
use std::ptr;

/// An expanded AES key for [`aes_wrap`] and [`aes_unwrap`].
struct KeySchedule(c::AES_KEY);

impl Drop for KeySchedule {
    fn drop(&mut self) {
        // SAFETY: wipes a plain C struct that is owned here.
        unsafe { c::OPENSSL_cleanse((&raw mut self.0).cast(), std::mem::size_of::<c::AES_KEY>()) }
    }
}

impl KeySchedule {
    fn new(kek: &[u8], direction: Direction) -> Result<Self, CipherError> {
        check_key(kek)?;
        let mut schedule = KeySchedule(c::AES_KEY::default());
        let bits = kek.len() as u32 * 8;
        // SAFETY: `kek` has `bits` bits and the schedule is a live AES_KEY. Returns 0 for success.
        let status = unsafe {
            match direction {
                Direction::Encrypt => c::AES_set_encrypt_key(kek.as_ptr(), bits, &mut schedule.0),
                Direction::Decrypt => c::AES_set_decrypt_key(kek.as_ptr(), bits, &mut schedule.0),
            }
        };
        if status == 0 {
            Ok(schedule)
        } else {
            Err(CipherError::Backend)
        }
    }
}

/// RFC 3394 wrap with the default initial value. `out` is 8 bytes longer than `key`.
pub(crate) fn aes_wrap(kek: &[u8], key: &[u8], out: &mut [u8]) -> Result<(), CipherError> {
    if key.len() < 16 || !key.len().is_multiple_of(8) || out.len() != key.len() + 8 {
        return Err(CipherError::BlockSize);
    }
    let schedule = KeySchedule::new(kek, Direction::Encrypt)?;
    // SAFETY: writes `key.len() + 8` bytes to `out`, which has them; a null initial value means
    // the RFC's.
    let written = unsafe {
        c::AES_wrap_key(
            &schedule.0,
            ptr::null(),
            out.as_mut_ptr(),
            key.as_ptr(),
            key.len(),
        )
    };
    if usize::try_from(written) == Ok(out.len()) {
        Ok(())
    } else {
        Err(CipherError::Backend)
    }
}

/// RFC 3394 unwrap. `out` is 8 bytes shorter than `wrapped`.
pub(crate) fn aes_unwrap(kek: &[u8], wrapped: &[u8], out: &mut [u8]) -> Result<(), CipherError> {
    if wrapped.len() < 24 || !wrapped.len().is_multiple_of(8) || out.len() + 8 != wrapped.len() {
        return Err(CipherError::Unwrap);
    }
    let schedule = KeySchedule::new(kek, Direction::Decrypt)?;
    // SAFETY: writes `wrapped.len() - 8` bytes to `out`, which has them. The check of the initial
    // value is constant-time in aws-lc.
    let written = unsafe {
        c::AES_unwrap_key(
            &schedule.0,
            ptr::null(),
            out.as_mut_ptr(),
            wrapped.as_ptr(),
            wrapped.len(),
        )
    };
    if usize::try_from(written) == Ok(out.len()) {
        return Ok(());
    }
    zeroize::Zeroize::zeroize(out);
    Err(CipherError::Unwrap)
}
