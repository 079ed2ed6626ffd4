//! AES-CTR (NIST SP 800-38A, section 6.5) with a 128-bit big-endian counter.

use crate::backend::{CipherContext, Mode};
use crate::cipher::{check_key, CipherError, Direction, BLOCK};
#[cfg(target_arch = "x86_64")]
use crate::kernel::vaes::RoundKeys;
use zeroize::Zeroize;

/// Which code runs AES-CTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtrEngine {
    /// The best of this machine.
    Auto,
    /// aws-lc, whatever the machine.
    AwsLc,
}

/// Whether this machine runs AES-CTR on our VAES kernel rather than on aws-lc.
pub fn has_kernel() -> bool {
    #[cfg(target_arch = "x86_64")]
    return crate::kernel::vaes::available();
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

enum Engine {
    Backend(CipherContext),
    #[cfg(target_arch = "x86_64")]
    Vaes(Box<RoundKeys>),
}

/// AES-CTR under one key; encryption and decryption are the same. Wiped on drop.
///
/// CTR authenticates nothing, and the same key and counter twice reveal the XOR of the messages:
/// keeping counters apart is the caller's duty. The counter wraps at 2^128.
pub struct Ctr {
    engine: Engine,
    /// Of the next whole block (`Vaes` only).
    counter: u128,
    /// Key stream of the block that is in use and how much of it is used up; 16: none is in use.
    stream: [u8; BLOCK],
    used: usize,
    started: bool,
}

impl Drop for Ctr {
    fn drop(&mut self) {
        self.stream.zeroize();
    }
}

impl Ctr {
    /// A cipher without an initialisation vector; [`Ctr::start`] comes next.
    ///
    /// # Errors
    /// [`CipherError::KeySize`], [`CipherError::Backend`].
    pub fn new(key: &[u8]) -> Result<Self, CipherError> {
        Self::with_engine(key, CtrEngine::Auto)
    }

    /// As [`Ctr::new`], on the engine asked for: for tests and benchmarks.
    ///
    /// # Errors
    /// [`CipherError::KeySize`], [`CipherError::Backend`].
    pub fn with_engine(key: &[u8], engine: CtrEngine) -> Result<Self, CipherError> {
        check_key(key)?;
        let engine = Self::pick(key, engine)?;
        Ok(Ctr {
            engine,
            counter: 0,
            stream: [0; BLOCK],
            used: BLOCK,
            started: false,
        })
    }

    fn pick(key: &[u8], engine: CtrEngine) -> Result<Engine, CipherError> {
        #[cfg(target_arch = "x86_64")]
        if engine == CtrEngine::Auto {
            if let Some(keys) = RoundKeys::new(key)? {
                return Ok(Engine::Vaes(keys));
            }
        }
        let _ = engine;
        Ok(Engine::Backend(CipherContext::new(Mode::Ctr, key)?))
    }

    /// Begins a message at the counter block `iv` (16 bytes).
    ///
    /// # Errors
    /// [`CipherError::IvSize`], [`CipherError::Backend`].
    pub fn start(&mut self, iv: &[u8]) -> Result<(), CipherError> {
        let block: [u8; BLOCK] = iv.try_into().map_err(|_| CipherError::IvSize)?;
        self.counter = u128::from_be_bytes(block);
        self.used = BLOCK;
        if let Engine::Backend(ctx) = &mut self.engine {
            ctx.start(Direction::Encrypt, None, iv)?;
        }
        self.started = true;
        Ok(())
    }

    /// Turns `input` into the first `input.len()` bytes of `output`; that length is returned.
    ///
    /// # Errors
    /// [`CipherError::State`] before [`Ctr::start`], [`CipherError::OutputTooShort`].
    pub fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<usize, CipherError> {
        if !self.started {
            return Err(CipherError::State);
        }
        let output = output.get_mut(..input.len()).ok_or(CipherError::OutputTooShort)?;
        match &mut self.engine {
            Engine::Backend(ctx) => ctx.stream(input, output)?,
            #[cfg(target_arch = "x86_64")]
            Engine::Vaes(keys) => {
                let head = input.len().min(BLOCK - self.used);
                let (first, mut rest) = input.split_at(head);
                let (first_out, mut out) = output.split_at_mut(head);
                xor(first, &self.stream[self.used..], first_out);
                self.used += head;
                while rest.len() >= BLOCK {
                    let blocks = blocks_before_wrap(self.counter, rest.len() / BLOCK);
                    let (now, later) = rest.split_at(blocks * BLOCK);
                    let (now_out, later_out) = out.split_at_mut(blocks * BLOCK);
                    keys.run(self.counter, now, now_out);
                    self.counter = self.counter.wrapping_add(blocks as u128);
                    (rest, out) = (later, later_out);
                }
                if !rest.is_empty() {
                    self.stream = [0; BLOCK];
                    keys.run_in_place(self.counter, &mut self.stream);
                    self.counter = self.counter.wrapping_add(1);
                    self.used = rest.len();
                    xor(rest, &self.stream, out);
                }
            }
        }
        Ok(input.len())
    }

    /// Turns `buffer` in place.
    ///
    /// # Errors
    /// [`CipherError::State`] before [`Ctr::start`].
    pub fn update_in_place(&mut self, buffer: &mut [u8]) -> Result<(), CipherError> {
        if !self.started {
            return Err(CipherError::State);
        }
        match &mut self.engine {
            Engine::Backend(ctx) => ctx.stream_in_place(buffer)?,
            #[cfg(target_arch = "x86_64")]
            Engine::Vaes(keys) => {
                let head = buffer.len().min(BLOCK - self.used);
                let (first, mut rest) = buffer.split_at_mut(head);
                xor_in_place(first, &self.stream[self.used..]);
                self.used += head;
                while rest.len() >= BLOCK {
                    let blocks = blocks_before_wrap(self.counter, rest.len() / BLOCK);
                    let (now, later) = rest.split_at_mut(blocks * BLOCK);
                    keys.run_in_place(self.counter, now);
                    self.counter = self.counter.wrapping_add(blocks as u128);
                    rest = later;
                }
                if !rest.is_empty() {
                    self.stream = [0; BLOCK];
                    keys.run_in_place(self.counter, &mut self.stream);
                    self.counter = self.counter.wrapping_add(1);
                    self.used = rest.len();
                    xor_in_place(rest, &self.stream);
                }
            }
        }
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
fn xor(input: &[u8], key: &[u8], output: &mut [u8]) {
    for ((to, from), key) in output.iter_mut().zip(input).zip(key) {
        *to = from ^ key;
    }
}

#[cfg(target_arch = "x86_64")]
fn xor_in_place(data: &mut [u8], key: &[u8]) {
    for (byte, key) in data.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// At most `blocks`, and no more than the low 64 bits of `counter` count without a carry.
#[cfg(target_arch = "x86_64")]
fn blocks_before_wrap(counter: u128, blocks: usize) -> usize {
    let room = (1u128 << 64) - u128::from(counter as u64);
    room.min(blocks as u128) as usize
}
