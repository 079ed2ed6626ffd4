//! The boundary between Java and the native library.

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{AesGcm, KeyInit};
use ctr::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use emrkeys_jni::hostile::{message, Message, Mode, MESSAGES};

/// `CODE_RANGE` and `CODE_TAG_MISMATCH` of `CipherNatives`.
const RANGE: i32 = -102;
const TAG_MISMATCH: i32 = -8;
/// The longest message, in bytes: longer than a piece for which an array is pinned.
const LONGEST: usize = 256 * 1024 + 200;
/// The byte of memory to which nothing was written.
const UNTOUCHED: u8 = 0xee;

/// Messages of Java's: read, and the same when they are written and read again, or an error.
///
/// Input: the kind of message in one byte, the message.
pub(crate) fn wire(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    let kind = kind % MESSAGES;
    match message(kind, bytes) {
        Ok(Some(written)) => {
            let again = message(kind, &written).expect("our own");
            assert!(again.as_ref() == Some(&written), "kind {kind}");
        }
        Ok(None) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A message, and the calls that it is passed by.
struct Script<'a> {
    mode: Mode,
    key: &'a [u8],
    iv: &'a [u8],
    tag: usize,
    aad: &'a [u8],
    /// The bit of ciphertext and tag that is changed.
    broken: Option<usize>,
    plain: Vec<u8>,
    /// Bytes of input, where they lie, where the output goes; the last call gets the rest of the message.
    calls: Vec<[usize; 3]>,
    /// So much the memory is shorter than what any output needs.
    short: usize,
}

impl<'a> Script<'a> {
    /// Input: a key of 32 bytes, a vector of 16, eight bytes of numbers and flags, six bytes for each call, the
    /// additional data, and the beginning of the text.
    fn read(data: &'a [u8]) -> Option<Self> {
        let (head, rest) = data.split_first_chunk::<56>()?;
        let [mode, tag, key, calls, aad, flags, high, low] = *head.last_chunk::<8>()?;
        let mode = [Mode::Seal, Mode::Stream, Mode::Verified, Mode::Counter][usize::from(mode % 4)];
        let length = usize::from(u16::from_be_bytes([high, low]));
        // Most are short, for the sake of speed.
        let length = if flags & 2 == 0 {
            length % 5000
        } else {
            LONGEST - length % 400
        };
        let (calls, rest) = rest.split_at((6 * usize::from(calls % 6)).min(rest.len()));
        let (aad, text) = rest.split_at(usize::from(aad).min(rest.len()));
        let call =
            |call: &[u8]| [0, 2, 4].map(|at| usize::from(u16::from_be_bytes([call[at], call[at + 1]])));
        Some(Script {
            mode,
            key: &head[..[16, 24, 32][usize::from(key % 3)]],
            iv: if mode == Mode::Counter {
                &head[32..48]
            } else {
                &head[32..44]
            },
            tag: 12 + usize::from(tag % 5),
            aad: if mode == Mode::Counter { &[] } else { aad },
            broken: (flags & 1 == 1 && matches!(mode, Mode::Stream | Mode::Verified)).then_some(7 * length),
            plain: text
                .iter()
                .copied()
                .chain((0..=u8::MAX).cycle())
                .take(length)
                .collect(),
            calls: calls.chunks_exact(6).map(call).collect(),
            short: usize::from(flags >> 2),
        })
    }

    /// The input and the output that it has to give, by other implementations.
    fn model(&self) -> (Vec<u8>, Vec<u8>) {
        if self.mode == Mode::Counter {
            let turn = match self.key.len() {
                16 => counted::<Ctr128BE<Aes128>>,
                24 => counted::<Ctr128BE<Aes192>>,
                _ => counted::<Ctr128BE<Aes256>>,
            };
            return (self.plain.clone(), turn(self.key, self.iv, self.plain.clone()));
        }
        let seal = match self.key.len() {
            16 => sealed::<AesGcm<Aes128, U12>>,
            24 => sealed::<AesGcm<Aes192, U12>>,
            _ => sealed::<AesGcm<Aes256, U12>>,
        };
        let mut sealed = seal(self.key, self.iv, &self.plain, self.aad);
        // SP 800-38D, section 7.1: a shorter tag is the beginning of the longest.
        sealed.truncate(self.plain.len() + self.tag);
        if self.mode == Mode::Seal {
            return (self.plain.clone(), sealed);
        }
        if let Some(bit) = self.broken {
            let bit = bit % (8 * sealed.len());
            sealed[bit / 8] ^= 1 << (bit % 8);
        }
        (sealed, self.plain.clone())
    }
}

fn counted<C: KeyIvInit + StreamCipher>(key: &[u8], iv: &[u8], mut text: Vec<u8>) -> Vec<u8> {
    let mut cipher = C::new_from_slices(key, iv).expect("good sizes");
    cipher.apply_keystream(&mut text);
    text
}

fn sealed<C: KeyInit + Aead>(key: &[u8], iv: &[u8], msg: &[u8], aad: &[u8]) -> Vec<u8> {
    let cipher = C::new_from_slice(key).expect("a good size");
    let nonce = iv.try_into().expect("12 bytes");
    cipher.encrypt(nonce, Payload { msg, aad }).expect("short")
}

/// A message in any number of calls, whose inputs and outputs lie anywhere in one memory: the output is that of other
/// implementations, nothing else in the memory changes, and a message that is held back gives nothing if it was
/// changed.
pub(crate) fn pieces(data: &[u8]) {
    let Some(script) = Script::read(data) else {
        return;
    };
    let (input, expected) = script.model();
    let mut message =
        Message::start(script.mode, script.key, script.iv, script.tag, script.aad).expect("good sizes");
    let (mut at, mut out) = (0, Vec::new());
    let last = script.calls.len().saturating_sub(1);
    for (number, [length, from, to]) in script
        .calls
        .iter()
        .copied()
        .chain([[0, 0, 0]])
        .take(last + 1)
        .enumerate()
    {
        let end = if number == last {
            input.len()
        } else {
            (at + length).min(input.len())
        };
        let part = &input[at..end];
        // Everything may come out at once, and the tag.
        let room = (to + input.len() + 16).saturating_sub(script.short);
        let mut memory = vec![UNTOUCHED; room.max(from + part.len()).max(to)];
        memory[from..from + part.len()].copy_from_slice(part);
        let before = memory.clone();
        let written = match message.call(&mut memory, from..from + part.len(), to, number == last) {
            Ok(written) => written,
            Err(code) => {
                let mismatch = script.broken.is_some() && number == last && code == TAG_MISMATCH;
                assert!(mismatch || code == RANGE && script.short > 0, "code {code}");
                assert!(memory == before || mismatch && script.mode == Mode::Stream);
                return;
            }
        };
        assert!(memory[..to] == before[..to] && memory[to + written..] == before[to + written..]);
        out.extend_from_slice(&memory[to..to + written]);
        assert!(script.mode != Mode::Verified || number == last || written == 0);
        at = end;
    }
    assert!(script.broken.is_none(), "it was changed, and no call says so");
    assert!(out == expected);
}
