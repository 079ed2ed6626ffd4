//! The only module that calls aws-lc. Everything above it is safe Rust.
//!
//! The functions used here were read in aws-lc-sys 0.47.0, the pinned version. If a safety comment says how many bytes
//! C writes, it says so from that source, and the tests of each cipher put canaries behind the output.

mod aes_wrap;
mod pkcs12;
mod rsa;

pub(crate) use aes_wrap::{aes_unwrap, aes_wrap};
pub(crate) use pkcs12::{pkcs12, Pkcs12Error};
pub use rsa::OaepHash;
pub(crate) use rsa::{RsaKey, RsaPadding};

use crate::cipher::{check_key, CipherError, Direction, BLOCK};
use aws_lc_sys as c;
use std::os::raw::c_int;
use std::ptr::{self, NonNull};

/// Longest slice handed to one C call, whose lengths are `int`. A multiple of the block.
const CALL_MAX: usize = 1 << 30;

/// A block cipher mode of the backend.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Ecb,
    Cbc,
    Ctr,
    Gcm,
}

fn evp_cipher(mode: Mode, key_len: usize) -> *const c::EVP_CIPHER {
    // SAFETY: these functions take nothing and return a pointer to a static.
    unsafe {
        match (mode, key_len) {
            (Mode::Ecb, 16) => c::EVP_aes_128_ecb(),
            (Mode::Ecb, 24) => c::EVP_aes_192_ecb(),
            (Mode::Ecb, _) => c::EVP_aes_256_ecb(),
            (Mode::Cbc, 16) => c::EVP_aes_128_cbc(),
            (Mode::Cbc, 24) => c::EVP_aes_192_cbc(),
            (Mode::Cbc, _) => c::EVP_aes_256_cbc(),
            (Mode::Ctr, 16) => c::EVP_aes_128_ctr(),
            (Mode::Ctr, 24) => c::EVP_aes_192_ctr(),
            (Mode::Ctr, _) => c::EVP_aes_256_ctr(),
            (Mode::Gcm, 16) => c::EVP_aes_128_gcm(),
            (Mode::Gcm, 24) => c::EVP_aes_192_gcm(),
            (Mode::Gcm, _) => c::EVP_aes_256_gcm(),
        }
    }
}

/// Turns a C status into a result and empties this thread's error queue after a failure, so that
/// it neither grows nor is read by somebody else's TLS stack in this process.
fn ok(status: c_int, error: CipherError) -> Result<(), CipherError> {
    if status == 1 {
        return Ok(());
    }
    // SAFETY: touches only thread-local state of the library.
    unsafe { c::ERR_clear_error() };
    Err(error)
}

/// See [`crate::forget_threads`]. The random generator of every thread is wiped when the library is unmapped, by an
/// `atexit` handler of aws-lc.
pub(crate) fn forget_threads() -> bool {
    // SAFETY: the first frees what the calling thread has, the second deletes the key by which the end of other threads
    // would be noticed. The caller promises that no thread is inside of aws-lc or will be.
    unsafe { c::AWSLC_thread_local_clear() == 1 && c::AWSLC_thread_local_shutdown() == 1 }
}

/// An `EVP_CIPHER_CTX`: one AES key in one mode. Freeing it wipes key schedule and state.
pub(crate) struct CipherContext {
    ctx: NonNull<c::EVP_CIPHER_CTX>,
    mode: Mode,
    key_len: usize,
    iv_len: usize,
}

// SAFETY: the context is a heap object without ties to the thread that made it, and it is only
// reached through `&mut self` or at drop.
unsafe impl Send for CipherContext {}

impl Drop for CipherContext {
    fn drop(&mut self) {
        // SAFETY: `ctx` came from EVP_CIPHER_CTX_new and is freed here alone. aws-lc wipes the
        // cipher data (OPENSSL_free cleanses what it frees).
        unsafe { c::EVP_CIPHER_CTX_free(self.ctx.as_ptr()) }
    }
}

impl CipherContext {
    /// A context with the key set for encryption and no initialisation vector.
    pub(crate) fn new(mode: Mode, key: &[u8]) -> Result<Self, CipherError> {
        check_key(key)?;
        // SAFETY: no arguments; null on failure.
        let ctx = NonNull::new(unsafe { c::EVP_CIPHER_CTX_new() }).ok_or(CipherError::Backend)?;
        let iv_len = if mode == Mode::Gcm { 12 } else { BLOCK };
        let this = CipherContext {
            ctx,
            mode,
            key_len: key.len(),
            iv_len,
        };
        // SAFETY: ctx is live, the cipher is a static whose key length is `key.len()`, the vector
        // may be null (set later, or zero and never used in ECB), and the engine is unused.
        let status = unsafe {
            c::EVP_CipherInit_ex(
                this.ctx.as_ptr(),
                evp_cipher(mode, key.len()),
                ptr::null_mut(),
                key.as_ptr(),
                ptr::null(),
                1,
            )
        };
        ok(status, CipherError::Backend)?;
        Ok(this)
    }

    /// Begins a message. ECB and CBC have a key schedule per direction and need the key again;
    /// CTR and GCM do not. `iv` is empty for ECB.
    pub(crate) fn start(
        &mut self,
        direction: Direction,
        key: Option<&[u8]>,
        iv: &[u8],
    ) -> Result<(), CipherError> {
        if key.is_some_and(|key| key.len() != self.key_len) {
            return Err(CipherError::KeySize);
        }
        match self.mode {
            Mode::Ecb if iv.is_empty() => {}
            Mode::Cbc | Mode::Ctr if iv.len() == BLOCK => {}
            Mode::Gcm if !iv.is_empty() && iv.len() <= CALL_MAX => {
                if iv.len() != self.iv_len {
                    // SAFETY: ctx is live and a GCM context; the control takes no pointer.
                    let status = unsafe {
                        c::EVP_CIPHER_CTX_ctrl(
                            self.ctx.as_ptr(),
                            c::EVP_CTRL_AEAD_SET_IVLEN as c_int,
                            iv.len() as c_int,
                            ptr::null_mut(),
                        )
                    };
                    ok(status, CipherError::Backend)?;
                    self.iv_len = iv.len();
                }
            }
            _ => return Err(CipherError::IvSize),
        }
        // SAFETY: ctx is live and has its cipher; key is null or as long as that cipher's key
        // (checked above); iv is as long as the context expects (checked above) or unread (ECB).
        let status = unsafe {
            c::EVP_CipherInit_ex(
                self.ctx.as_ptr(),
                ptr::null(),
                ptr::null_mut(),
                key.map_or(ptr::null(), <[u8]>::as_ptr),
                if iv.is_empty() { ptr::null() } else { iv.as_ptr() },
                c_int::from(direction == Direction::Encrypt),
            )
        };
        ok(status, CipherError::Backend)
    }

    /// Switches PKCS#7 padding of ECB and CBC on or off.
    pub(crate) fn set_padding(&mut self, padding: bool) {
        // SAFETY: ctx is live; the call sets a flag and cannot fail.
        unsafe { c::EVP_CIPHER_CTX_set_padding(self.ctx.as_ptr(), c_int::from(padding)) };
    }

    /// CTR and GCM: turns `input` into as many bytes of `output`.
    pub(crate) fn stream(&mut self, input: &[u8], output: &mut [u8]) -> Result<(), CipherError> {
        debug_assert!(matches!(self.mode, Mode::Ctr | Mode::Gcm));
        let output = output.get_mut(..input.len()).ok_or(CipherError::OutputTooShort)?;
        for (from, to) in input.chunks(CALL_MAX).zip(output.chunks_mut(CALL_MAX)) {
            // SAFETY: both slices are live, do not overlap, and have `from.len()` bytes.
            unsafe { self.stream_raw(from.as_ptr(), to.as_mut_ptr(), from.len())? };
        }
        Ok(())
    }

    /// CTR and GCM: turns `buffer` in place.
    pub(crate) fn stream_in_place(&mut self, buffer: &mut [u8]) -> Result<(), CipherError> {
        debug_assert!(matches!(self.mode, Mode::Ctr | Mode::Gcm));
        for part in buffer.chunks_mut(CALL_MAX) {
            let at = part.as_mut_ptr();
            // SAFETY: the same live slice as input and output, which these modes allow.
            unsafe { self.stream_raw(at, at, part.len())? };
        }
        Ok(())
    }

    /// # Safety
    /// `from` is readable and `to` writable for `len` ≤ `CALL_MAX` bytes; they are equal or do
    /// not overlap.
    unsafe fn stream_raw(&mut self, from: *const u8, to: *mut u8, len: usize) -> Result<(), CipherError> {
        let mut written: c_int = 0;
        // SAFETY: by this function's contract; a stream mode writes exactly `len` bytes.
        let status = unsafe { c::EVP_CipherUpdate(self.ctx.as_ptr(), to, &mut written, from, len as c_int) };
        ok(status, CipherError::Backend)
    }

    /// ECB and CBC: turns `input` and what earlier calls left over into whole blocks of `output`,
    /// whose length must be exactly what this call produces.
    pub(crate) fn blocks(&mut self, mut input: &[u8], mut output: &mut [u8]) -> Result<(), CipherError> {
        debug_assert!(matches!(self.mode, Mode::Ecb | Mode::Cbc));
        // With a buffered block besides, one call writes at most `len + 2 * BLOCK` ≤ c_int::MAX.
        while !input.is_empty() {
            let (now, later) = input.split_at(input.len().min(CALL_MAX));
            let mut written: c_int = 0;
            // SAFETY: `now` is live; `output` has room for all that this and later calls write
            // (the caller computed it from the number of buffered bytes, as EVP does, and EVP
            // writes the bytes that it reports and no others); the slices do not overlap.
            let status = unsafe {
                c::EVP_CipherUpdate(
                    self.ctx.as_ptr(),
                    output.as_mut_ptr(),
                    &mut written,
                    now.as_ptr(),
                    now.len() as c_int,
                )
            };
            ok(status, CipherError::Backend)?;
            output = std::mem::take(&mut output)
                .get_mut(written as usize..)
                .ok_or(CipherError::Backend)?;
            input = later;
        }
        if output.is_empty() {
            Ok(())
        } else {
            Err(CipherError::Backend)
        }
    }

    /// ECB and CBC without padding or anything buffered: turns whole blocks in place.
    pub(crate) fn blocks_in_place(&mut self, buffer: &mut [u8]) -> Result<(), CipherError> {
        debug_assert!(matches!(self.mode, Mode::Ecb | Mode::Cbc) && buffer.len().is_multiple_of(BLOCK));
        for part in buffer.chunks_mut(CALL_MAX) {
            let mut written: c_int = 0;
            let at = part.as_mut_ptr();
            // SAFETY: the same live slice as input and output; nothing is buffered in the
            // context, so blocks are read and written at the same places, which EVP allows.
            let status =
                unsafe { c::EVP_CipherUpdate(self.ctx.as_ptr(), at, &mut written, at, part.len() as c_int) };
            ok(status, CipherError::Backend)?;
        }
        Ok(())
    }

    /// ECB and CBC: the end of a message. Returns how many bytes of `last` count.
    pub(crate) fn finish_blocks(
        &mut self,
        last: &mut [u8; BLOCK],
        error: CipherError,
    ) -> Result<usize, CipherError> {
        let mut written: c_int = 0;
        // SAFETY: ctx is live; EVP writes at most one block at the end.
        let status = unsafe { c::EVP_CipherFinal_ex(self.ctx.as_ptr(), last.as_mut_ptr(), &mut written) };
        ok(status, error)?;
        Ok(written as usize)
    }

    /// GCM: additional authenticated data, before any message data.
    pub(crate) fn aad(&mut self, aad: &[u8]) -> Result<(), CipherError> {
        debug_assert!(self.mode == Mode::Gcm);
        for part in aad.chunks(CALL_MAX) {
            let mut written: c_int = 0;
            // SAFETY: a null output marks additional data; nothing is written.
            let status = unsafe {
                c::EVP_CipherUpdate(
                    self.ctx.as_ptr(),
                    ptr::null_mut(),
                    &mut written,
                    part.as_ptr(),
                    part.len() as c_int,
                )
            };
            ok(status, CipherError::Backend)?;
        }
        Ok(())
    }

    /// GCM encryption: the end of the message and its whole tag.
    pub(crate) fn tag(&mut self) -> Result<[u8; BLOCK], CipherError> {
        let mut nothing = [0u8; BLOCK];
        let mut tag = [0u8; BLOCK];
        self.finish_blocks(&mut nothing, CipherError::Backend)?;
        // SAFETY: ctx is live and finished; the control writes BLOCK bytes to `tag`.
        let status = unsafe {
            c::EVP_CIPHER_CTX_ctrl(
                self.ctx.as_ptr(),
                c::EVP_CTRL_AEAD_GET_TAG as c_int,
                BLOCK as c_int,
                tag.as_mut_ptr().cast(),
            )
        };
        ok(status, CipherError::Backend)?;
        Ok(tag)
    }

    /// GCM decryption: the end of the message; fails unless `tag` (4 to 16 bytes) matches.
    /// aws-lc compares in constant time.
    pub(crate) fn verify(&mut self, tag: &[u8]) -> Result<(), CipherError> {
        if tag.is_empty() || tag.len() > BLOCK {
            return Err(CipherError::TagSize);
        }
        // SAFETY: ctx is live; the control reads `tag.len()` bytes (at most 16) and stores a copy.
        let status = unsafe {
            c::EVP_CIPHER_CTX_ctrl(
                self.ctx.as_ptr(),
                c::EVP_CTRL_AEAD_SET_TAG as c_int,
                tag.len() as c_int,
                tag.as_ptr().cast_mut().cast(),
            )
        };
        ok(status, CipherError::Backend)?;
        let mut nothing = [0u8; BLOCK];
        self.finish_blocks(&mut nothing, CipherError::TagMismatch)?;
        Ok(())
    }
}

/// Overwrites `data` with zeros in a way that is not optimised away, at the speed of memset: for buffers of plaintext
/// on a hot path.
pub fn wipe(data: &mut [u8]) {
    // SAFETY: a live slice of as many bytes.
    unsafe { c::OPENSSL_cleanse(data.as_mut_ptr().cast(), data.len()) }
}
