//! AES-CTR (NIST SP 800-38A, section 6.5) with a 128-bit big-endian counter.

use crate::backend::{CipherContext, Mode};
use crate::cipher::{check_key, CipherError, Direction};

/// AES-CTR under one key; encryption and decryption are the same. Wiped on drop.
///
/// CTR authenticates nothing, and the same key and counter twice reveal the XOR of the messages: keeping counters apart
/// is the caller's duty. The counter wraps at 2^128.
pub struct Ctr {
    ctx: CipherContext,
    started: bool,
}

impl Ctr {
    /// A cipher without an initialisation vector; [`Ctr::start`] comes next.
    ///
    /// # Errors
    /// [`CipherError::KeySize`], [`CipherError::Backend`].
    pub fn new(key: &[u8]) -> Result<Self, CipherError> {
        check_key(key)?;
        Ok(Ctr {
            ctx: CipherContext::new(Mode::Ctr, key)?,
            started: false,
        })
    }

    /// Begins a message at the counter block `iv` (16 bytes).
    ///
    /// # Errors
    /// [`CipherError::IvSize`], [`CipherError::Backend`].
    pub fn start(&mut self, iv: &[u8]) -> Result<(), CipherError> {
        self.ctx.start(Direction::Encrypt, None, iv)?;
        self.started = true;
        Ok(())
    }

    /// Turns `input` into the first `input.len()` bytes of `output`; that length is returned.
    ///
    /// # Errors
    /// [`CipherError::State`] before [`Ctr::start`], [`CipherError::OutputTooShort`].
    pub fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<usize, CipherError> {
        self.ready()?;
        let output = output.get_mut(..input.len()).ok_or(CipherError::OutputTooShort)?;
        self.ctx.stream(input, output)?;
        Ok(input.len())
    }

    /// Turns `buffer` in place.
    ///
    /// # Errors
    /// [`CipherError::State`] before [`Ctr::start`].
    pub fn update_in_place(&mut self, buffer: &mut [u8]) -> Result<(), CipherError> {
        self.ready()?;
        self.ctx.stream_in_place(buffer)
    }

    fn ready(&self) -> Result<(), CipherError> {
        if self.started {
            Ok(())
        } else {
            Err(CipherError::State)
        }
    }
}
