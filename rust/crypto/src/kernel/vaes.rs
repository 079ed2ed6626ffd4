//! AES in counter mode with VAES on 512-bit registers: sixteen rounds' keys broadcast, 32 blocks
//! in flight. Stable Rust, chosen at run time, tested against the `ctr` crate.
//!
//! Constant-time: no table, no branch and no address depends on key or data.

use crate::cipher::{check_key, CipherError, BLOCK};
use std::arch::x86_64::*;
use zeroize::Zeroize;

/// Round keys at most (AES-256 has 14 rounds).
const ROUND_KEYS: usize = 15;
/// Blocks in one 512-bit register.
const LANES: usize = 4;
/// Registers in flight: enough to hide the latency of VAESENC on every core that has it.
const WIDE: usize = 8;

/// Whether this machine can run the kernel. `is_x86_feature_detected` asks the operating system
/// too (XCR0).
pub(crate) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("ssse3")
}

/// An expanded AES encryption key. Wiped on drop.
#[repr(C, align(64))]
pub(crate) struct RoundKeys {
    words: [[u32; 4]; ROUND_KEYS],
    rounds: usize,
}

impl Drop for RoundKeys {
    fn drop(&mut self) {
        self.words.zeroize();
    }
}

impl RoundKeys {
    /// Expands `key` (FIPS 197, section 5.2), or `None` where the machine lacks the instructions.
    pub(crate) fn new(key: &[u8]) -> Result<Option<Box<Self>>, CipherError> {
        check_key(key)?;
        if !available() {
            return Ok(None);
        }
        let mut keys = Box::new(RoundKeys {
            words: [[0; 4]; ROUND_KEYS],
            rounds: key.len() / 4 + 6,
        });
        // SAFETY: `available` checked AES and SSE.
        unsafe { expand(key, &mut keys) };
        Ok(Some(keys))
    }

    /// XORs the key stream of the 128-bit big-endian counter `counter`, `counter` + 1, … over
    /// whole blocks. Only the low 64 bits count: the caller splits where they would wrap.
    ///
    /// # Safety
    /// `from` is readable and `to` writable for `blocks` * 16 bytes; they are equal or do not
    /// overlap; `blocks` ≤ 2^64 - (`counter` mod 2^64).
    unsafe fn run_raw(&self, counter: u128, from: *const u8, to: *mut u8, blocks: usize) {
        // SAFETY: a `RoundKeys` exists only where `available` holds; pointers by contract.
        unsafe {
            match self.rounds {
                10 => ctr::<10>(self, counter, from, to, blocks),
                12 => ctr::<12>(self, counter, from, to, blocks),
                _ => ctr::<14>(self, counter, from, to, blocks),
            }
        }
    }

    /// XORs key stream over the whole blocks of `input` into `output`, of the same length.
    pub(crate) fn run(&self, counter: u128, input: &[u8], output: &mut [u8]) {
        assert!(input.len() == output.len() && input.len().is_multiple_of(BLOCK));
        assert!((input.len() / BLOCK) as u128 <= (1 << 64) - u128::from(counter as u64));
        // SAFETY: two slices of the same whole number of blocks; a `&` and a `&mut` do not overlap.
        unsafe { self.run_raw(counter, input.as_ptr(), output.as_mut_ptr(), input.len() / BLOCK) }
    }

    /// As [`RoundKeys::run`], in place.
    pub(crate) fn run_in_place(&self, counter: u128, buffer: &mut [u8]) {
        assert!(buffer.len().is_multiple_of(BLOCK));
        assert!((buffer.len() / BLOCK) as u128 <= (1 << 64) - u128::from(counter as u64));
        let at = buffer.as_mut_ptr();
        // SAFETY: one slice of whole blocks, as input and output at once.
        unsafe { self.run_raw(counter, at, at, buffer.len() / BLOCK) }
    }
}

/// The key expansion of FIPS 197 over 32-bit words; SubWord by AESKEYGENASSIST, which has no table.
#[target_feature(enable = "aes,sse2")]
fn expand(key: &[u8], keys: &mut RoundKeys) {
    let nk = key.len() / 4;
    let total = 4 * (keys.rounds + 1);
    let words = keys.words.as_flattened_mut();
    for (word, bytes) in words.iter_mut().zip(key.chunks_exact(4)) {
        *word = bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u32::from(*byte));
    }
    let mut rcon = 1u32;
    for i in nk..total {
        let mut word = words[i - 1];
        if i % nk == 0 {
            word = sub_word(word).rotate_right(8) ^ rcon;
            rcon = (rcon << 1) ^ ((rcon >> 7) * 0x11b);
        } else if nk > 6 && i % nk == 4 {
            word = sub_word(word);
        }
        words[i] = words[i - nk] ^ word;
    }
}

#[target_feature(enable = "aes,sse2")]
fn sub_word(word: u32) -> u32 {
    // The lowest word of the result is SubWord of the second word of the operand.
    _mm_cvtsi128_si32(_mm_aeskeygenassist_si128::<0>(_mm_set1_epi32(word as i32))) as u32
}

/// # Safety
/// The CPU has the features; otherwise as [`RoundKeys::run_raw`].
#[target_feature(enable = "avx512f,avx512bw,vaes,aes,ssse3")]
unsafe fn ctr<const ROUNDS: usize>(
    keys: &RoundKeys,
    counter: u128,
    mut from: *const u8,
    mut to: *mut u8,
    mut blocks: usize,
) {
    let key: [__m512i; ROUND_KEYS] = std::array::from_fn(|i| {
        let words = &keys.words[i];
        _mm512_broadcast_i32x4(_mm_set_epi32(
            words[3] as i32,
            words[2] as i32,
            words[1] as i32,
            words[0] as i32,
        ))
    });
    let high = (counter >> 64) as u64 as i64;
    let low = counter as u64;
    // Little-endian counters in the lanes; `swap` turns each 16 bytes around.
    let swap = _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    let lanes = _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0);
    let step = _mm512_set_epi64(0, 4, 0, 4, 0, 4, 0, 4);
    let low = low as i64;
    let mut at = _mm512_add_epi64(
        _mm512_set_epi64(high, low, high, low, high, low, high, low),
        lanes,
    );

    while blocks >= WIDE * LANES {
        let mut state = [_mm512_setzero_si512(); WIDE];
        for lane in &mut state {
            *lane = _mm512_xor_si512(_mm512_shuffle_epi8(at, swap), key[0]);
            at = _mm512_add_epi64(at, step);
        }
        for round in &key[1..ROUNDS] {
            for lane in &mut state {
                *lane = _mm512_aesenc_epi128(*lane, *round);
            }
        }
        for (i, lane) in state.iter_mut().enumerate() {
            // SAFETY: `blocks` ≥ 32, so 512 bytes are readable and writable here.
            unsafe {
                // The last round XORs its key; XORing the data into that key saves a pass.
                let data = _mm512_loadu_si512(from.add(64 * i).cast());
                let out = _mm512_aesenclast_epi128(*lane, _mm512_xor_si512(key[ROUNDS], data));
                _mm512_storeu_si512(to.add(64 * i).cast(), out);
            }
        }
        // SAFETY: stays within or one past the buffers.
        unsafe {
            from = from.add(64 * WIDE);
            to = to.add(64 * WIDE);
        }
        blocks -= WIDE * LANES;
    }
    while blocks > 0 {
        let now = blocks.min(LANES);
        // Whole blocks only, so a mask over 64-bit words is fine enough.
        let mask = (0xffu32 >> (8 - 2 * now)) as u8;
        let mut lane = _mm512_xor_si512(_mm512_shuffle_epi8(at, swap), key[0]);
        at = _mm512_add_epi64(at, step);
        for round in &key[1..ROUNDS] {
            lane = _mm512_aesenc_epi128(lane, *round);
        }
        // SAFETY: the mask admits the `now` blocks that are left and no byte beyond.
        unsafe {
            let data = _mm512_maskz_loadu_epi64(mask, from.cast());
            let out = _mm512_aesenclast_epi128(lane, _mm512_xor_si512(key[ROUNDS], data));
            _mm512_mask_storeu_epi64(to.cast(), mask, out);
            from = from.add(BLOCK * now);
            to = to.add(BLOCK * now);
        }
        blocks -= now;
    }
}
