//! AES-GCM decryption that releases no plaintext before the tag is verified (NIST SP 800-38D, section 5.2.2: a
//! decryption returns the plaintext or FAIL).
//!
//! Each byte of input is read once: the ciphertext is copied into memory that only this module sees, and decrypted
//! there once its tag is known. So the verified bytes are the decrypted ones, whatever changes the caller's memory
//! meanwhile. (A GCM kernel reads its input twice, for the hash and for the key stream, so decrypting straight from the
//! caller's memory would not do.) If the tag is wrong, that memory is wiped; if it is right, it is copied to the caller
//! and wiped.

use crate::backend::wipe;
use crate::cipher::{CipherError, Direction, BLOCK};
use crate::gcm::{Gcm, Tail, MAX_MESSAGE};
use std::sync::Mutex;

/// Bytes in one held segment: large enough that the allocator maps it apart, small enough that a short message does
/// not take much.
const SEGMENT: usize = 256 * 1024;
/// How many bytes are copied out and wiped at a time, so that wiping finds them in the first-level cache.
const PIECE: usize = 16 * 1024;
/// Free segments kept for the next message, at most (64 MiB). They hold no plaintext.
const KEPT: usize = 256;

static FREE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

fn take_segment() -> Box<[u8]> {
    let free = FREE.lock().ok().and_then(|mut free| free.pop());
    free.unwrap_or_else(|| vec![0u8; SEGMENT].into_boxed_slice())
}

/// Gives back the memory that is kept for the next messages.
pub fn free_segments() {
    if let Ok(mut free) = FREE.lock() {
        *free = Vec::new();
    }
}

/// Ciphertext that waits for its tag, then plaintext that waits for the caller.
#[derive(Default)]
struct Held {
    segments: Vec<Box<[u8]>>,
    len: u64,
    /// How many bytes of plaintext were given out, and wiped.
    read: u64,
    plain: bool,
}

impl Held {
    fn reserve(&mut self, len: u64) {
        while ((self.segments.len() * SEGMENT) as u64) < len {
            self.segments.push(take_segment());
        }
    }

    /// The bytes from offset `at` to the end of their segment; none where no segment is reserved.
    fn rest(&mut self, at: u64) -> &mut [u8] {
        let (index, at) = ((at / SEGMENT as u64) as usize, (at % SEGMENT as u64) as usize);
        self.segments
            .get_mut(index)
            .map_or(&mut [], |segment| &mut segment[at..])
    }

    /// Keeps a copy of ciphertext, for which there must be room.
    fn put(&mut self, mut data: &[u8]) -> Result<(), CipherError> {
        while !data.is_empty() {
            let room = self.rest(self.len);
            let len = data.len().min(room.len());
            if len == 0 {
                return Err(CipherError::State);
            }
            room[..len].copy_from_slice(&data[..len]);
            self.len += len as u64;
            data = &data[len..];
        }
        Ok(())
    }

    /// Decrypts all of it where it is.
    fn decrypt(&mut self, gcm: &mut Gcm) -> Result<(), CipherError> {
        self.plain = true;
        let mut left = self.len;
        for segment in &mut self.segments {
            let len = left.min(SEGMENT as u64);
            gcm.update_in_place(&mut segment[..len as usize])?;
            left -= len;
        }
        Ok(())
    }

    /// Copies the next bytes to `output` and wipes them here. Returns how many.
    fn give(&mut self, output: &mut [u8]) -> usize {
        let mut done = 0;
        while done < output.len() && self.read < self.len {
            let left = usize::try_from(self.len - self.read).unwrap_or(usize::MAX);
            let next = self.rest(self.read);
            let len = next.len().min(left).min(output.len() - done).min(PIECE);
            output[done..done + len].copy_from_slice(&next[..len]);
            wipe(&mut next[..len]);
            self.read += len as u64;
            done += len;
        }
        done
    }

    /// Wipes plaintext that was not given out, and returns the segments.
    fn clear(&mut self) {
        while self.plain && self.read < self.len {
            let left = usize::try_from(self.len - self.read).unwrap_or(usize::MAX);
            let next = self.rest(self.read);
            let len = next.len().min(left);
            if len == 0 {
                break;
            }
            wipe(&mut next[..len]);
            self.read += len as u64;
        }
        (self.len, self.read, self.plain) = (0, 0, false);
        if self.segments.is_empty() {
            return;
        }
        if let Ok(mut free) = FREE.lock() {
            let room = KEPT.saturating_sub(free.len()).min(self.segments.len());
            free.extend(self.segments.drain(..room));
        }
        self.segments = Vec::new();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// Additional data and ciphertext arrive.
    Open,
    /// The tag was right: plaintext leaves.
    Release,
}

/// AES-GCM decryption of messages that are followed by their tag, under one key. Wiped on drop.
///
/// Order of calls: [`start`](Self::start), [`aad`](Self::aad)…, [`hold`](Self::hold)…, [`verify`](Self::verify),
/// [`release`](Self::release)…
pub struct GcmVerified {
    gcm: Gcm,
    phase: Phase,
    tail: Tail,
    held: Held,
    max_held: u64,
}

impl GcmVerified {
    /// A cipher without an initialisation vector; [`Self::start`] comes next. At most `max_held` bytes are held per
    /// message.
    ///
    /// # Errors
    /// [`CipherError::KeySize`], [`CipherError::Backend`].
    pub fn new(key: &[u8], max_held: u64) -> Result<Self, CipherError> {
        Ok(GcmVerified {
            gcm: Gcm::new(key)?,
            phase: Phase::Idle,
            tail: Tail::new(BLOCK)?,
            held: Held::default(),
            max_held,
        })
    }

    /// Begins a message with the initialisation vector `iv` (12 bytes, or any number but 0) and a tag of `tag_len`
    /// (12 to 16) bytes.
    ///
    /// # Errors
    /// [`CipherError::IvSize`], [`CipherError::TagSize`], [`CipherError::Backend`].
    pub fn start(&mut self, iv: &[u8], tag_len: usize) -> Result<(), CipherError> {
        self.reset();
        self.tail = Tail::new(tag_len)?;
        self.gcm.start(Direction::Decrypt, iv)?;
        self.phase = Phase::Open;
        Ok(())
    }

    fn reset(&mut self) {
        self.phase = Phase::Idle;
        self.held.clear();
    }

    /// Adds data that is authenticated and not encrypted.
    ///
    /// # Errors
    /// [`CipherError::State`] before `start` or after message data.
    pub fn aad(&mut self, aad: &[u8]) -> Result<(), CipherError> {
        if self.phase != Phase::Open || !self.tail.held().is_empty() {
            return Err(CipherError::State);
        }
        self.gcm.aad(aad)
    }

    /// How many bytes of message there will be if the stream ends after `len` more bytes.
    pub fn final_size(&self, len: usize) -> u64 {
        self.held.len.saturating_add(self.tail.released(len) as u64)
    }

    /// Allocates what `len` more bytes of [`Self::hold`] need, so that it does not.
    ///
    /// # Errors
    /// [`CipherError::HeldTooLong`], [`CipherError::TooLong`]; nothing changes.
    pub fn reserve(&mut self, len: usize) -> Result<(), CipherError> {
        let total = self.final_size(len);
        if total > MAX_MESSAGE {
            return Err(CipherError::TooLong);
        }
        if total > self.max_held {
            return Err(CipherError::HeldTooLong);
        }
        self.held.reserve(total);
        Ok(())
    }

    /// Takes in ciphertext (and, not known yet, the tag). `input` is read once. Allocates only what [`Self::reserve`]
    /// did not.
    ///
    /// # Errors
    /// [`CipherError::HeldTooLong`] and [`CipherError::TooLong`], which change nothing; [`CipherError::State`].
    pub fn hold(&mut self, input: &[u8]) -> Result<(), CipherError> {
        if self.phase != Phase::Open {
            return Err(CipherError::State);
        }
        self.reserve(input.len())?;
        let (old, fresh) = self.tail.split(input.len());
        self.held.put(&self.tail.held()[..old])?;
        self.held.put(&input[..fresh])?;
        self.tail.push(input);
        Ok(())
    }

    /// Ends the message: decrypts it and compares its tag in constant time. Returns the length of the plaintext,
    /// which [`Self::release`] then gives out.
    ///
    /// # Errors
    /// [`CipherError::TagMismatch`], after which only [`Self::start`] works.
    pub fn verify(&mut self) -> Result<u64, CipherError> {
        if self.phase != Phase::Open {
            return Err(CipherError::State);
        }
        let result = match self.tail.tag() {
            Ok(tag) => self
                .held
                .decrypt(&mut self.gcm)
                .and_then(|()| self.gcm.verify(tag)),
            Err(error) => Err(error),
        };
        if result.is_err() {
            self.reset();
        } else {
            self.phase = Phase::Release;
        }
        result.map(|()| self.held.len)
    }

    /// Gives out the next bytes of plaintext, as many as there are and fit. Returns how many; 0 when all have been
    /// released.
    ///
    /// # Errors
    /// [`CipherError::State`] before [`Self::verify`] succeeded.
    pub fn release(&mut self, output: &mut [u8]) -> Result<usize, CipherError> {
        if self.phase != Phase::Release {
            return Err(CipherError::State);
        }
        let done = self.held.give(output);
        if self.held.len > 0 && self.held.read == self.held.len {
            self.held.clear();
        }
        Ok(done)
    }

    /// Decrypts a whole message where it is: `buffer` is verified, and wiped if the tag is wrong. For memory that only
    /// the caller sees, since unverified plaintext stands in it for a moment. Returns the length of the plaintext, or
    /// `None`, with nothing done, if part of the message came in before.
    ///
    /// # Errors
    /// As [`Self::verify`]; [`CipherError::TooLong`], which changes nothing.
    pub fn open_whole(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, CipherError> {
        if self.phase != Phase::Open || !self.tail.held().is_empty() {
            return Ok(None);
        }
        let len = self.tail.released(buffer.len());
        if len as u64 > MAX_MESSAGE {
            return Err(CipherError::TooLong);
        }
        let (message, tag) = buffer.split_at_mut(len);
        let result = if tag.len() == self.tail.tag_len() {
            self.gcm
                .update_in_place(message)
                .and_then(|()| self.gcm.verify(tag))
        } else {
            Err(CipherError::TagMismatch)
        };
        if result.is_err() {
            wipe(message);
        }
        self.reset();
        result.map(|()| Some(len))
    }
}
