//! AES-GCM decryption that releases no plaintext before the tag is verified.
//!
//! What is held back is the **ciphertext**, outside any heap of the caller's: plaintext that may be
//! forged never exists, so there is nothing to wipe either. The first pass copies a piece and
//! runs GHASH over it while it is in the cache; once the tag has been verified, the second pass
//! decrypts by AES-CTR straight into the output. Holding plaintext would cost a copy out and a
//! wipe besides the decryption, which was measured to be slower.
//!
//! The backend has GHASH at full speed but does not export it. It does export GCM with additional
//! data alone (GMAC), whose tag is E(J0) ⊕ GHASH(data ‖ lengths): the ciphertext goes in as
//! additional data, and the block of lengths, which then counts it on the wrong side, is
//! exchanged afterwards, GHASH being linear: T = T' ⊕ (L' ⊕ L)·H.

use crate::backend::{encrypt_block, wipe, CipherContext, Mode};
use crate::cipher::{check_key, CipherError, Direction, BLOCK};
use crate::ctr::Ctr;
use crate::gcm::{Tail, MAX_MESSAGE};
use ghash::universal_hash::UniversalHash;
use ghash::GHash;
use std::sync::Mutex;
use zeroize::Zeroizing;

/// Bytes in one held segment: large enough that the allocator maps it apart, small enough that a
/// short message does not take much.
const SEGMENT: usize = 256 * 1024;
/// How many bytes are copied and hashed at a time, so that GHASH reads from the first-level cache.
const PIECE: usize = 16 * 1024;
/// Free segments kept for the next message, at most (64 MiB). They hold ciphertext.
const KEPT: usize = 256;

static FREE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

fn take_segment() -> Box<[u8]> {
    let free = FREE.lock().ok().and_then(|mut free| free.pop());
    free.unwrap_or_else(|| vec![0u8; SEGMENT].into_boxed_slice())
}

/// Ciphertext that waits for its tag.
#[derive(Default)]
struct Held {
    segments: Vec<Box<[u8]>>,
    len: u64,
    read: u64,
}

impl Held {
    fn capacity(&self) -> u64 {
        (self.segments.len() * SEGMENT) as u64
    }

    fn reserve(&mut self, len: u64) {
        while self.capacity() < len {
            self.segments.push(take_segment());
        }
    }

    /// The room left in the segment that is being filled.
    fn room(&mut self) -> &mut [u8] {
        let at = (self.len % SEGMENT as u64) as usize;
        let index = (self.len / SEGMENT as u64) as usize;
        self.segments
            .get_mut(index)
            .map_or(&mut [], |segment| &mut segment[at..])
    }

    /// What is next to read, up to the end of its segment.
    fn next(&self) -> &[u8] {
        let at = (self.read % SEGMENT as u64) as usize;
        let index = (self.read / SEGMENT as u64) as usize;
        let left = (self.len - self.read).min((SEGMENT - at) as u64) as usize;
        self.segments
            .get(index)
            .map_or(&[], |segment| &segment[at..at + left])
    }

    fn clear(&mut self) {
        self.len = 0;
        self.read = 0;
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
    Aad,
    /// Ciphertext arrives and is copied.
    Hold,
    /// The rest of the ciphertext is shown a first time and not copied.
    Show,
    /// The tag was right: plaintext leaves.
    Release,
}

/// What the second pass needs, made when a message first needs it.
struct SecondPass {
    ctr: Ctr,
    /// GHASH under the hash key, with nothing fed in yet.
    ghash: GHash,
}

impl SecondPass {
    fn new(key: &[u8]) -> Result<Self, CipherError> {
        let h = Zeroizing::new(encrypt_block(key, &[0; BLOCK])?);
        Ok(SecondPass {
            ctr: Ctr::new(key)?,
            ghash: GHash::new((&*h).into()),
        })
    }

    /// The block before the first counter block, J0 (SP 800-38D, section 7.1, step 2).
    fn before_first(&self, iv: &[u8]) -> u128 {
        let mut block = [0u8; BLOCK];
        if iv.len() == 12 {
            block[..12].copy_from_slice(iv);
            return u128::from_be_bytes(block) | 1;
        }
        let mut ghash = self.ghash.clone();
        ghash.update_padded(iv);
        block[8..].copy_from_slice(&(iv.len() as u64 * 8).to_be_bytes());
        ghash.update(&[block.into()]);
        u128::from_be_bytes(ghash.finalize().into())
    }

    /// The product of `block` and the hash key.
    fn times_h(&self, block: u128) -> u128 {
        let mut ghash = self.ghash.clone();
        ghash.update(&[block.to_be_bytes().into()]);
        u128::from_be_bytes(ghash.finalize().into())
    }
}

/// AES-GCM decryption of messages that are followed by their tag, under one key. Wiped on drop.
///
/// Order of calls: [`start`](Self::start), [`aad`](Self::aad)…, [`hold`](Self::hold)…,
/// [`show`](Self::show)…, [`verify`](Self::verify), [`release`](Self::release)…,
/// [`release_shown`](Self::release_shown)…
///
/// `show` is for the last part of a message, which the caller still has and passes again to
/// `release_shown`: it saves the copy. Between the two calls **nobody may change it**, or what comes out
/// is not what was authenticated; a caller that cannot promise that uses `hold`.
pub struct GcmVerified {
    key: Zeroizing<Vec<u8>>,
    mac: CipherContext,
    second: Option<SecondPass>,
    phase: Phase,
    iv: Vec<u8>,
    tail: Tail,
    held: Held,
    max_held: u64,
    aad_len: u64,
    message_len: u64,
    /// Bytes that came in by `hold`: message, and what was in `tail` when showing began.
    from_hold: u64,
    /// Message bytes that were shown and not held.
    shown: u64,
    /// Message bytes decrypted by now.
    released: u64,
    /// The counter block of the first message block, and the offset in the message where its low 32
    /// bits wrap: GCM does not carry into the rest.
    counter: u128,
    wraps_at: u64,
}

impl GcmVerified {
    /// A cipher without an initialisation vector; [`Self::start`] comes next. At most `max_held`
    /// bytes of ciphertext are held per message.
    ///
    /// # Errors
    /// [`CipherError::KeySize`], [`CipherError::Backend`].
    pub fn new(key: &[u8], max_held: u64) -> Result<Self, CipherError> {
        check_key(key)?;
        Ok(GcmVerified {
            key: Zeroizing::new(key.to_vec()),
            mac: CipherContext::new(Mode::Gcm, key)?,
            second: None,
            phase: Phase::Idle,
            iv: Vec::new(),
            tail: Tail::new(BLOCK)?,
            held: Held::default(),
            max_held,
            aad_len: 0,
            message_len: 0,
            from_hold: 0,
            shown: 0,
            released: 0,
            counter: 0,
            wraps_at: 0,
        })
    }

    /// Begins a message with the initialisation vector `iv` (12 bytes, or any number but 0) and a
    /// tag of `tag_len` (12 to 16) bytes.
    ///
    /// # Errors
    /// [`CipherError::IvSize`], [`CipherError::TagSize`], [`CipherError::Backend`].
    pub fn start(&mut self, iv: &[u8], tag_len: usize) -> Result<(), CipherError> {
        self.reset();
        self.tail = Tail::new(tag_len)?;
        self.mac.start(Direction::Decrypt, None, iv)?;
        self.iv.clear();
        self.iv.extend_from_slice(iv);
        self.phase = Phase::Aad;
        Ok(())
    }

    fn reset(&mut self) {
        self.phase = Phase::Idle;
        self.held.clear();
        self.aad_len = 0;
        self.message_len = 0;
        self.from_hold = 0;
        self.shown = 0;
        self.released = 0;
    }

    /// Adds data that is authenticated and not encrypted.
    ///
    /// # Errors
    /// [`CipherError::State`] before `start` or after message data.
    pub fn aad(&mut self, aad: &[u8]) -> Result<(), CipherError> {
        if self.phase != Phase::Aad {
            return Err(CipherError::State);
        }
        self.mac.aad(aad)?;
        self.aad_len += aad.len() as u64;
        Ok(())
    }

    /// Message bytes that are known by now (all but the tag), held and shown.
    pub fn message_len(&self) -> u64 {
        self.message_len
    }

    /// Whether bytes came in by [`Self::hold`]: these are released before those that are shown, so that a caller whose
    /// output lies over its input must not show the rest but hold it too.
    pub fn holds(&self) -> bool {
        self.from_hold > 0
    }

    /// How many bytes of message there will be if the stream ends after `len` more bytes.
    pub fn final_size(&self, len: usize) -> u64 {
        self.message_len.saturating_add(self.tail.released(len) as u64)
    }

    /// Allocates what `len` more bytes of [`Self::hold`] and the first [`Self::show`] need, so that
    /// they do not.
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
        self.held.reserve(total + BLOCK as u64);
        Ok(())
    }

    /// From additional data to ciphertext: GHASH wants the former filled up to whole blocks.
    fn enter(&mut self, phase: Phase) -> Result<(), CipherError> {
        match (self.phase, phase) {
            (Phase::Aad, _) => {
                let fill = (self.aad_len.wrapping_neg() % BLOCK as u64) as usize;
                self.mac.aad(&[0u8; BLOCK][..fill])?;
            }
            (Phase::Hold, _) | (Phase::Show, Phase::Show) => {}
            _ => return Err(CipherError::State),
        }
        self.phase = phase;
        Ok(())
    }

    fn hold_message(&mut self, mut message: &[u8]) -> Result<(), CipherError> {
        while !message.is_empty() {
            let room = self.held.room();
            if room.is_empty() {
                return Err(CipherError::State);
            }
            let len = message.len().min(room.len()).min(PIECE);
            let (now, later) = message.split_at(len);
            room[..len].copy_from_slice(now);
            self.mac.aad(&room[..len])?;
            self.held.len += len as u64;
            message = later;
        }
        Ok(())
    }

    /// Takes in ciphertext (and, not known yet, the tag) and keeps a copy. Allocates only what
    /// [`Self::reserve`] did not.
    ///
    /// # Errors
    /// [`CipherError::HeldTooLong`] and [`CipherError::TooLong`], which change nothing;
    /// [`CipherError::State`].
    pub fn hold(&mut self, input: &[u8]) -> Result<(), CipherError> {
        if input.is_empty() {
            return Ok(());
        }
        if !matches!(self.phase, Phase::Aad | Phase::Hold) {
            return Err(CipherError::State);
        }
        self.reserve(input.len())?;
        self.enter(Phase::Hold)?;
        let (old, fresh) = self.tail.split(input.len());
        let mut before = [0u8; BLOCK];
        before[..old].copy_from_slice(&self.tail.held()[..old]);
        self.hold_message(&before[..old])?;
        self.hold_message(&input[..fresh])?;
        self.tail.push(input);
        self.from_hold += input.len() as u64;
        self.message_len += (old + fresh) as u64;
        Ok(())
    }

    /// Takes in the last part of the ciphertext and the tag without keeping a copy. May be called
    /// again with the next piece of it.
    ///
    /// # Errors
    /// [`CipherError::TooLong`], [`CipherError::State`].
    pub fn show(&mut self, input: &[u8]) -> Result<(), CipherError> {
        if self.final_size(input.len()) > MAX_MESSAGE {
            return Err(CipherError::TooLong);
        }
        let first = self.phase != Phase::Show;
        if first {
            // What `hold` left in the tail may turn out to be message.
            self.held.reserve(self.message_len + BLOCK as u64);
        }
        self.enter(Phase::Show)?;
        let (old, fresh) = self.tail.split(input.len());
        let mut before = [0u8; BLOCK];
        before[..old].copy_from_slice(&self.tail.held()[..old]);
        // Bytes of the tail that came in by `hold` are held: they are not in what is shown.
        let kept = old.min((self.from_hold - self.held.len) as usize);
        self.hold_message(&before[..kept])?;
        self.mac.aad(&before[kept..old])?;
        self.mac.aad(&input[..fresh])?;
        self.tail.push(input);
        self.message_len += (old + fresh) as u64;
        self.shown += (old - kept + fresh) as u64;
        Ok(())
    }

    /// Ends the message: compares its tag in constant time. Returns the length of the plaintext,
    /// which [`Self::release`] and [`Self::release_shown`] then give out.
    ///
    /// # Errors
    /// [`CipherError::TagMismatch`], after which only [`Self::start`] works.
    pub fn verify(&mut self) -> Result<u64, CipherError> {
        let result = self.verify_inner();
        if result.is_err() {
            self.reset();
        }
        result
    }

    fn verify_inner(&mut self) -> Result<u64, CipherError> {
        if matches!(self.phase, Phase::Idle | Phase::Release) {
            return Err(CipherError::State);
        }
        let given = self.tail.tag()?;
        let mut tag = [0u8; BLOCK];
        tag[..given.len()].copy_from_slice(given);
        if self.phase != Phase::Aad {
            let second = match &mut self.second {
                Some(second) => second,
                none => none.insert(SecondPass::new(&self.key)?),
            };
            let right = u128::from(self.aad_len * 8) << 64 | u128::from(self.message_len * 8);
            let counted =
                u128::from((self.aad_len.next_multiple_of(BLOCK as u64) + self.message_len) * 8) << 64;
            let exchange = second.times_h(right ^ counted);
            tag = (u128::from_be_bytes(tag) ^ exchange).to_be_bytes();
            let j0 = second.before_first(&self.iv);
            let low = (j0 as u32).wrapping_add(1);
            self.counter = j0 >> 32 << 32 | u128::from(low);
            self.wraps_at = ((1 << 32) - u64::from(low)) * BLOCK as u64;
            second.ctr.start(&self.counter.to_be_bytes())?;
        }
        let tag_len = given.len();
        self.mac.verify(&tag[..tag_len])?;
        self.phase = Phase::Release;
        Ok(self.message_len)
    }

    /// Decrypts the next held bytes into `output`, as many as there are and fit. Returns how many;
    /// 0 when all have been released.
    ///
    /// # Errors
    /// [`CipherError::State`] before [`Self::verify`] succeeded.
    pub fn release(&mut self, output: &mut [u8]) -> Result<usize, CipherError> {
        if self.phase != Phase::Release {
            return Err(CipherError::State);
        }
        let mut done = 0;
        while done < output.len() {
            let next = self.held.next();
            let len = next.len().min(output.len() - done);
            if len == 0 {
                break;
            }
            let second = self.second.as_mut().ok_or(CipherError::State)?;
            let out = &mut output[done..done + len];
            let split = split_at(self.wraps_at, self.released, len);
            second.ctr.update(&next[..split], out)?;
            if split < len {
                second.ctr.start(&(self.counter >> 32 << 32).to_be_bytes())?;
                second.ctr.update(&next[split..len], &mut out[split..])?;
            }
            self.released += len as u64;
            self.held.read += len as u64;
            done += len;
        }
        self.wind_up();
        Ok(done)
    }

    /// Decrypts the next of the shown bytes, which the caller passes again: `input` begins at the
    /// first byte that was shown and not released yet. Returns how many were message (the rest is
    /// tag) and thus written to `output`. All held bytes must have been released.
    ///
    /// # Errors
    /// [`CipherError::State`], [`CipherError::OutputTooShort`].
    pub fn release_shown(&mut self, input: &[u8], output: &mut [u8]) -> Result<usize, CipherError> {
        let len = self.shown_now(input.len())?;
        let output = output.get_mut(..len).ok_or(CipherError::OutputTooShort)?;
        let split = split_at(self.wraps_at, self.released, len);
        let Some(second) = self.second.as_mut().filter(|_| len > 0) else {
            return Ok(0);
        };
        second.ctr.update(&input[..split], output)?;
        if split < len {
            second.ctr.start(&(self.counter >> 32 << 32).to_be_bytes())?;
            second.ctr.update(&input[split..len], &mut output[split..])?;
        }
        self.released += len as u64;
        Ok(len)
    }

    /// As [`Self::release_shown`], in place.
    ///
    /// # Errors
    /// As [`Self::release_shown`].
    pub fn release_shown_in_place(&mut self, buffer: &mut [u8]) -> Result<usize, CipherError> {
        let len = self.shown_now(buffer.len())?;
        let (before, after) = buffer[..len].split_at_mut(split_at(self.wraps_at, self.released, len));
        let Some(second) = self.second.as_mut().filter(|_| len > 0) else {
            return Ok(0);
        };
        second.ctr.update_in_place(before)?;
        if !after.is_empty() {
            second.ctr.start(&(self.counter >> 32 << 32).to_be_bytes())?;
            second.ctr.update_in_place(after)?;
        }
        self.released += len as u64;
        Ok(len)
    }

    fn shown_now(&self, len: usize) -> Result<usize, CipherError> {
        let all_held_left = self.held.read == self.held.len;
        if self.phase != Phase::Release || !all_held_left {
            return Err(CipherError::State);
        }
        Ok((self.message_len - self.released).min(len as u64) as usize)
    }

    fn wind_up(&mut self) {
        if self.held.len > 0 && self.held.read == self.held.len {
            self.held.clear();
        }
    }

    /// A whole message at once, in one pass: `buffer` is decrypted in place, verified, and wiped where the tag is wrong. For
    /// memory that nobody but the caller sees, since unverified plaintext stands in it for a moment. Returns the length of the
    /// plaintext, or `None`, with nothing done, where part of the message came in before.
    ///
    /// # Errors
    /// As [`Self::verify`]; [`CipherError::TooLong`], which changes nothing.
    pub fn open_whole(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, CipherError> {
        if self.phase != Phase::Aad || !self.tail.held().is_empty() {
            return Ok(None);
        }
        let len = self.tail.released(buffer.len());
        if len as u64 > MAX_MESSAGE {
            return Err(CipherError::TooLong);
        }
        let (message, tag) = buffer.split_at_mut(len);
        let result = if tag.len() == self.tail.tag_len() {
            self.mac
                .stream_in_place(message)
                .and_then(|()| self.mac.verify(tag))
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

/// How many of `len` bytes at offset `at` come before offset `wraps_at`.
fn split_at(wraps_at: u64, at: u64, len: usize) -> usize {
    if at <= wraps_at {
        (wraps_at - at).min(len as u64) as usize
    } else {
        len
    }
}
