//! AES-GCM (NIST SP 800-38D), streaming.
//!
//! Three shapes: [`Gcm`] with a detached tag, [`GcmOpener`] which decrypts a stream that ends in
//! its tag and releases plaintext as it comes, and [`crate::gcm_verified::GcmVerified`] which
//! releases none before the tag is verified.

use crate::backend::{CipherContext, Mode};
use crate::cipher::{CipherError, Direction, BLOCK};
use zeroize::Zeroize;

/// The most bytes of one message: 2^39 - 256 bits (SP 800-38D, section 5.2.1.1).
pub const MAX_MESSAGE: u64 = (1 << 36) - 32;

/// Fails unless a tag may have `len` bytes. The 4- and 8-byte tags of SP 800-38D's appendix C
/// are not offered.
pub(crate) fn check_tag_len(len: usize) -> Result<(), CipherError> {
    if (12..=BLOCK).contains(&len) {
        Ok(())
    } else {
        Err(CipherError::TagSize)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No initialisation vector, or the message is over.
    Idle,
    Aad,
    Data,
}

/// AES-GCM under one key, with the tag apart. Wiped on drop.
///
/// The same key and initialisation vector must never encrypt twice; the layer that knows the
/// caller's intent refuses that. After [`Gcm::finish`] or [`Gcm::verify`] only [`Gcm::start`] works.
pub struct Gcm {
    ctx: CipherContext,
    phase: Phase,
    direction: Direction,
    len: u64,
}

impl Gcm {
    /// A cipher without an initialisation vector; [`Gcm::start`] comes next.
    ///
    /// # Errors
    /// [`CipherError::KeySize`], [`CipherError::Backend`].
    pub fn new(key: &[u8]) -> Result<Self, CipherError> {
        let ctx = CipherContext::new(Mode::Gcm, key)?;
        Ok(Gcm {
            ctx,
            phase: Phase::Idle,
            direction: Direction::Encrypt,
            len: 0,
        })
    }

    /// Begins a message with the initialisation vector `iv`: 12 bytes wherever there is a choice,
    /// else any number but 0. Drops a message that was under way.
    ///
    /// # Errors
    /// [`CipherError::IvSize`], [`CipherError::Backend`].
    pub fn start(&mut self, direction: Direction, iv: &[u8]) -> Result<(), CipherError> {
        self.phase = Phase::Idle;
        self.ctx.start(direction, None, iv)?;
        self.phase = Phase::Aad;
        self.direction = direction;
        self.len = 0;
        Ok(())
    }

    /// Adds data that is authenticated and not encrypted.
    ///
    /// # Errors
    /// [`CipherError::State`] before `start` or after message data.
    pub fn aad(&mut self, aad: &[u8]) -> Result<(), CipherError> {
        if self.phase != Phase::Aad {
            return Err(CipherError::State);
        }
        self.ctx.aad(aad)
    }

    fn admit(&mut self, len: usize) -> Result<(), CipherError> {
        if self.phase == Phase::Idle {
            return Err(CipherError::State);
        }
        let total = self
            .len
            .checked_add(len as u64)
            .filter(|total| *total <= MAX_MESSAGE);
        self.len = total.ok_or(CipherError::TooLong)?;
        if len > 0 {
            self.phase = Phase::Data;
        }
        Ok(())
    }

    /// Turns `input` into the first `input.len()` bytes of `output`; that length is returned.
    /// Decrypted bytes are **not authenticated** before [`Gcm::verify`] succeeds.
    ///
    /// # Errors
    /// [`CipherError::State`], [`CipherError::OutputTooShort`] and [`CipherError::TooLong`] (the
    /// 64 GiB limit), none of which changes anything.
    pub fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<usize, CipherError> {
        let output = output.get_mut(..input.len()).ok_or(CipherError::OutputTooShort)?;
        self.admit(input.len())?;
        self.ctx.stream(input, output)?;
        Ok(input.len())
    }

    /// Turns `buffer` in place. As [`Gcm::update`] otherwise.
    ///
    /// # Errors
    /// As [`Gcm::update`].
    pub fn update_in_place(&mut self, buffer: &mut [u8]) -> Result<(), CipherError> {
        self.admit(buffer.len())?;
        self.ctx.stream_in_place(buffer)
    }

    /// Ends an encryption; the tag's first `tag.len()` (12 to 16) bytes are written.
    ///
    /// # Errors
    /// [`CipherError::State`], [`CipherError::TagSize`].
    pub fn finish(&mut self, tag: &mut [u8]) -> Result<(), CipherError> {
        check_tag_len(tag.len())?;
        if self.phase == Phase::Idle || self.direction != Direction::Encrypt {
            return Err(CipherError::State);
        }
        self.phase = Phase::Idle;
        let whole = self.ctx.tag()?;
        tag.copy_from_slice(&whole[..tag.len()]);
        Ok(())
    }

    /// Ends a decryption: succeeds if `tag` (12 to 16 bytes) is that of all that was fed in.
    /// Constant-time.
    ///
    /// # Errors
    /// [`CipherError::TagMismatch`]: everything that [`Gcm::update`] returned is worthless.
    /// [`CipherError::State`], [`CipherError::TagSize`].
    pub fn verify(&mut self, tag: &[u8]) -> Result<(), CipherError> {
        check_tag_len(tag.len())?;
        if self.phase == Phase::Idle || self.direction != Direction::Decrypt {
            return Err(CipherError::State);
        }
        self.phase = Phase::Idle;
        self.ctx.verify(tag)
    }
}

/// Holds back the last bytes of a stream, which are its tag. They are only known at the end.
pub(crate) struct Tail {
    bytes: [u8; BLOCK],
    len: usize,
    tag_len: usize,
}

impl Tail {
    pub(crate) fn new(tag_len: usize) -> Result<Self, CipherError> {
        check_tag_len(tag_len)?;
        Ok(Tail {
            bytes: [0; BLOCK],
            len: 0,
            tag_len,
        })
    }

    /// How many bytes of message `len` more bytes of the stream release.
    pub(crate) fn released(&self, len: usize) -> usize {
        self.len.saturating_add(len).saturating_sub(self.tag_len)
    }

    /// How many of the held bytes and how many of `len` new ones turn out to be message.
    pub(crate) fn split(&self, len: usize) -> (usize, usize) {
        let released = self.released(len);
        let held = released.min(self.len);
        (held, released - held)
    }

    pub(crate) fn held(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Takes `input` in, after what [`Tail::split`] says was used.
    pub(crate) fn push(&mut self, input: &[u8]) {
        let (held, fresh) = self.split(input.len());
        let rest = &input[fresh..];
        self.bytes.copy_within(held..self.len, 0);
        self.len -= held;
        self.bytes[self.len..self.len + rest.len()].copy_from_slice(rest);
        self.len += rest.len();
    }

    pub(crate) fn tag_len(&self) -> usize {
        self.tag_len
    }

    /// The tag, or a mismatch where the stream was shorter than one.
    pub(crate) fn tag(&self) -> Result<&[u8], CipherError> {
        if self.len == self.tag_len {
            Ok(self.held())
        } else {
            Err(CipherError::TagMismatch)
        }
    }
}

/// Streaming decryption of a message that is followed by its tag. Plaintext is released **before**
/// it is authenticated: for callers that asked for that and discard what they got on an error.
pub struct GcmOpener {
    gcm: Gcm,
    tail: Tail,
}

impl GcmOpener {
    /// A cipher without an initialisation vector; [`GcmOpener::start`] comes next.
    ///
    /// # Errors
    /// [`CipherError::KeySize`], [`CipherError::Backend`].
    pub fn new(key: &[u8]) -> Result<Self, CipherError> {
        Ok(GcmOpener {
            gcm: Gcm::new(key)?,
            tail: Tail::new(BLOCK)?,
        })
    }

    /// Begins a message whose tag has `tag_len` (12 to 16) bytes.
    ///
    /// # Errors
    /// [`CipherError::IvSize`], [`CipherError::TagSize`], [`CipherError::Backend`].
    pub fn start(&mut self, iv: &[u8], tag_len: usize) -> Result<(), CipherError> {
        self.tail = Tail::new(tag_len)?;
        self.gcm.start(Direction::Decrypt, iv)
    }

    /// As [`Gcm::aad`].
    ///
    /// # Errors
    /// As [`Gcm::aad`].
    pub fn aad(&mut self, aad: &[u8]) -> Result<(), CipherError> {
        if self.tail.len != 0 {
            return Err(CipherError::State);
        }
        self.gcm.aad(aad)
    }

    /// Exactly how many bytes [`GcmOpener::update`] writes for `len` bytes of input.
    pub fn update_size(&self, len: usize) -> usize {
        self.tail.released(len)
    }

    /// Decrypts what is known not to be the tag. Returns how many bytes were written.
    ///
    /// # Errors
    /// As [`Gcm::update`].
    pub fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<usize, CipherError> {
        let (held, fresh) = self.tail.split(input.len());
        let output = output
            .get_mut(..held + fresh)
            .ok_or(CipherError::OutputTooShort)?;
        self.gcm.admit(held + fresh)?;
        let (first, rest) = output.split_at_mut(held);
        self.gcm.ctx.stream(&self.tail.held()[..held], first)?;
        self.gcm.ctx.stream(&input[..fresh], rest)?;
        self.tail.push(input);
        Ok(held + fresh)
    }

    /// As [`GcmOpener::update`], with the input in the first `len` bytes of `buffer` and the output
    /// over it.
    ///
    /// # Errors
    /// As [`Gcm::update`].
    pub fn update_in_place(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, CipherError> {
        let (held, fresh) = self.tail.split(len);
        if len > buffer.len() || held + fresh > buffer.len() {
            return Err(CipherError::OutputTooShort);
        }
        self.gcm.admit(held + fresh)?;
        // The held bytes come first: the new ones make room for them, then all turn in place.
        let mut before = [0u8; BLOCK];
        before[..held].copy_from_slice(&self.tail.held()[..held]);
        self.tail.push(&buffer[..len]);
        buffer.copy_within(..fresh, held);
        buffer[..held].copy_from_slice(&before[..held]);
        self.gcm.ctx.stream_in_place(&mut buffer[..held + fresh])?;
        Ok(held + fresh)
    }

    /// Ends the message and verifies the tag in constant time.
    ///
    /// # Errors
    /// [`CipherError::TagMismatch`]: everything that was released is worthless.
    pub fn finish(&mut self) -> Result<(), CipherError> {
        let result = match self.tail.tag() {
            Ok(tag) => self.gcm.verify(tag),
            Err(error) => Err(error),
        };
        self.gcm.phase = Phase::Idle;
        self.tail.len = 0;
        self.tail.bytes.zeroize();
        result
    }
}
