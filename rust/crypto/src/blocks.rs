//! The parts that ECB and CBC have in common: whole blocks, a remainder, padding.

use crate::backend::{CipherContext, Mode};
use crate::cipher::{CipherError, Direction, BLOCK};
use zeroize::Zeroizing;

/// Whether the last block is filled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// The message has whole blocks.
    None,
    /// PKCS#7 (which JCE calls PKCS#5): 1 to 16 bytes, each the number of them.
    Pkcs7,
}

pub(crate) struct Blocks {
    ctx: CipherContext,
    /// A key schedule serves one direction, so the key is kept to change it.
    key: Zeroizing<Vec<u8>>,
    padding: Padding,
    direction: Direction,
    /// Which direction the context's key schedule is for.
    scheduled: Option<Direction>,
    /// Bytes of input that have not produced output yet: below 16, or up to 16 where a padded
    /// message is decrypted, whose last block must wait for the end.
    waiting: usize,
    started: bool,
}

impl Blocks {
    pub(crate) fn new(mode: Mode, key: &[u8], padding: Padding) -> Result<Self, CipherError> {
        Ok(Blocks {
            ctx: CipherContext::new(mode, key)?,
            key: Zeroizing::new(key.to_vec()),
            padding,
            direction: Direction::Encrypt,
            scheduled: None,
            waiting: 0,
            started: false,
        })
    }

    pub(crate) fn start(&mut self, direction: Direction, iv: &[u8]) -> Result<(), CipherError> {
        self.started = false;
        let key = (self.scheduled != Some(direction)).then_some(self.key.as_slice());
        self.ctx.start(direction, key, iv)?;
        self.ctx.set_padding(self.padding == Padding::Pkcs7);
        self.scheduled = Some(direction);
        self.direction = direction;
        self.waiting = 0;
        self.started = true;
        Ok(())
    }

    /// Exactly how many bytes an update with `len` bytes will write.
    pub(crate) fn update_size(&self, len: usize) -> usize {
        let total = self.waiting.saturating_add(len);
        let whole = total - total % BLOCK;
        let holds = self.direction == Direction::Decrypt && self.padding == Padding::Pkcs7;
        if holds && whole == total {
            whole.saturating_sub(BLOCK)
        } else {
            whole
        }
    }

    /// At most how many bytes the end of the message will write: 0 or 16.
    pub(crate) fn finish_size(&self) -> usize {
        match self.padding {
            Padding::None => 0,
            Padding::Pkcs7 => BLOCK,
        }
    }

    pub(crate) fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<usize, CipherError> {
        if !self.started {
            return Err(CipherError::State);
        }
        let size = self.update_size(input.len());
        let output = output.get_mut(..size).ok_or(CipherError::OutputTooShort)?;
        self.ctx.blocks(input, output)?;
        self.waiting = self.waiting + input.len() - size;
        Ok(size)
    }

    pub(crate) fn update_in_place(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, CipherError> {
        if !self.started {
            return Err(CipherError::State);
        }
        if len > buffer.len() || self.update_size(len) > buffer.len() {
            return Err(CipherError::OutputTooShort);
        }
        if self.waiting == 0 && self.update_size(len) == len {
            self.ctx.blocks_in_place(&mut buffer[..len])?;
            return Ok(len);
        }
        // Output runs ahead of or behind the input by what waits: no backend does that in place.
        let copy = Zeroizing::new(buffer[..len].to_vec());
        self.update(&copy, buffer)
    }

    pub(crate) fn finish(&mut self, output: &mut [u8]) -> Result<usize, CipherError> {
        if !self.started {
            return Err(CipherError::State);
        }
        let decrypts = self.direction == Direction::Decrypt;
        let broken = match self.padding {
            Padding::None => self.waiting != 0,
            // A padded message has at least one block; EVP itself would refuse it too.
            Padding::Pkcs7 => decrypts && self.waiting != BLOCK,
        };
        if broken {
            self.started = false;
            return Err(CipherError::BlockSize);
        }
        // Decrypted padding may leave less than a block, so a shorter output is looked at below.
        if !decrypts && output.len() < self.finish_size() {
            return Err(CipherError::OutputTooShort);
        }
        self.started = false;
        let mut last = Zeroizing::new([0u8; BLOCK]);
        let len = self.ctx.finish_blocks(&mut last, CipherError::Padding)?;
        output
            .get_mut(..len)
            .ok_or(CipherError::OutputTooShort)?
            .copy_from_slice(&last[..len]);
        Ok(len)
    }
}

macro_rules! delegate {
    () => {
        /// Exactly how many bytes [`Self::update`] will write for `len` bytes of input.
        pub fn update_size(&self, len: usize) -> usize {
            self.0.update_size(len)
        }

        /// At most how many bytes [`Self::finish`] will write: 0 without padding, else 16.
        pub fn finish_size(&self) -> usize {
            self.0.finish_size()
        }

        /// Turns `input` and what earlier calls left into whole blocks at the start of `output`.
        /// Returns how many bytes were written.
        ///
        /// # Errors
        /// [`CipherError::State`] before `start`; [`CipherError::OutputTooShort`], which changes
        /// nothing.
        pub fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<usize, CipherError> {
            self.0.update(input, output)
        }

        /// As [`Self::update`], with the input in the first `len` bytes of `buffer` and the output
        /// over it. Whole blocks with nothing left over turn in place; else the input is copied.
        ///
        /// # Errors
        /// As [`Self::update`].
        pub fn update_in_place(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, CipherError> {
            self.0.update_in_place(buffer, len)
        }

        /// Ends the message: writes what is left, without its padding when decrypting. `start`
        /// begins the next one.
        ///
        /// # Errors
        /// [`CipherError::BlockSize`] where bytes are missing, [`CipherError::Padding`],
        /// [`CipherError::State`], [`CipherError::OutputTooShort`].
        pub fn finish(&mut self, output: &mut [u8]) -> Result<usize, CipherError> {
            self.0.finish(output)
        }
    };
}
pub(crate) use delegate;
