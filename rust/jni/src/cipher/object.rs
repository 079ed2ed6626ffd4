//! The object of a handle: a cipher under one key, or an RSA key.

use std::sync::Arc;

use emrkeys_crypto::cipher::{CipherError, Direction};
use emrkeys_crypto::ctr::Ctr;
use emrkeys_crypto::gcm::{Gcm, GcmOpener};
use emrkeys_crypto::gcm_verified::GcmVerified;
use emrkeys_crypto::rsa_cipher::{RsaDecryptor, RsaEncryptor};
use jni::sys::jint;
use zeroize::Zeroizing;

use super::{code, CODE_KEY_SIZE, CODE_RANGE, CTR, DECRYPT_STREAMING, ENCRYPT, GCM, RSA_PRIVATE, RSA_PUBLIC};

pub(crate) enum Object {
    Gcm(Box<GcmState>),
    Ctr(Ctr),
    // Shared: an RSA key may be used by several threads at once.
    RsaPublic(Arc<RsaEncryptor>),
    RsaPrivate(Arc<RsaDecryptor>),
}

/// GCM under one key: contexts are made when first needed and kept for the next message.
pub(crate) struct GcmState {
    key: Zeroizing<Vec<u8>>,
    seal: Option<Gcm>,
    open: Option<GcmOpener>,
    verified: Option<GcmVerified>,
    mode: Mode,
    tag_len: usize,
    max_held: u64,
}

/// The kind of message that is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// No message is under way.
    Idle,
    Seal,
    Stream,
    Verified,
}

impl Object {
    /// A cipher or key of `kind`. `max_held`: the most bytes that a verified decryption may hold.
    pub(crate) fn new(kind: jint, key: &[u8], max_held: u64) -> Result<Self, jint> {
        match kind {
            GCM => GcmState::new(key, max_held).map(|gcm| Object::Gcm(Box::new(gcm))),
            CTR => Ctr::new(key).map(Object::Ctr).map_err(code),
            RSA_PUBLIC => RsaEncryptor::from_spki(key)
                .map(|key| Object::RsaPublic(Arc::new(key)))
                .map_err(code),
            RSA_PRIVATE => RsaDecryptor::from_pkcs8(key)
                .map(|key| Object::RsaPrivate(Arc::new(key)))
                .map_err(code),
            _ => Err(CODE_RANGE),
        }
    }

    /// Begins a message and drops one that was under way.
    pub(crate) fn start(&mut self, mode: jint, iv: &[u8], tag_len: usize) -> Result<(), CipherError> {
        match self {
            Object::Gcm(gcm) => gcm.start(mode, iv, tag_len),
            Object::Ctr(ctr) => ctr.start(iv),
            _ => Err(CipherError::State),
        }
    }

    /// GCM: additional data.
    pub(crate) fn aad(&mut self, aad: &[u8]) -> Result<(), CipherError> {
        match self {
            Object::Gcm(gcm) => gcm.aad(aad),
            _ => Err(CipherError::State),
        }
    }

    /// The cipher of a message whose plaintext is held back, if that is what is under way.
    pub(super) fn verified(&mut self) -> Option<&mut GcmVerified> {
        match self {
            Object::Gcm(gcm) if gcm.mode == Mode::Verified => gcm.verified.as_mut(),
            _ => None,
        }
    }

    /// The state of an encryption by GCM, if that is what is under way.
    pub(super) fn sealing(&mut self) -> Option<&mut GcmState> {
        match self {
            Object::Gcm(gcm) if gcm.mode == Mode::Seal => Some(gcm),
            _ => None,
        }
    }

    /// Whether what comes out is, or may be, plaintext.
    pub(super) fn gives_plaintext(&self) -> bool {
        !matches!(self, Object::Gcm(gcm) if gcm.mode == Mode::Seal)
    }

    /// Exactly how many bytes `len` bytes of input give, never more than `len`. For a message that is held back see
    /// [`Object::verified`].
    pub(super) fn update_size(&self, len: usize) -> usize {
        match self {
            Object::Gcm(gcm) => match (gcm.mode, &gcm.open) {
                (Mode::Stream, Some(open)) => open.update_size(len),
                _ => len,
            },
            _ => len,
        }
    }

    /// How many bytes [`Object::finish`] gives.
    pub(super) fn finish_size(&self) -> usize {
        match self {
            Object::Gcm(gcm) if gcm.mode == Mode::Seal => gcm.tag_len,
            _ => 0,
        }
    }

    /// Turns `from` into the first bytes of `to`. Returns how many.
    pub(super) fn turn(&mut self, from: &[u8], to: &mut [u8]) -> Result<usize, CipherError> {
        match self {
            Object::Gcm(gcm) => match (gcm.mode, &mut gcm.seal, &mut gcm.open) {
                (Mode::Seal, Some(seal), _) => seal.update(from, to),
                (Mode::Stream, _, Some(open)) => open.update(from, to),
                _ => Err(CipherError::State),
            },
            Object::Ctr(ctr) => ctr.update(from, to),
            _ => Err(CipherError::State),
        }
    }

    /// Turns `buffer` in place. Returns how many bytes at its beginning are output.
    pub(super) fn turn_in_place(&mut self, buffer: &mut [u8]) -> Result<usize, CipherError> {
        let len = buffer.len();
        match self {
            Object::Gcm(gcm) => match (gcm.mode, &mut gcm.seal, &mut gcm.open) {
                (Mode::Seal, Some(seal), _) => seal.update_in_place(buffer).map(|()| len),
                (Mode::Stream, _, Some(open)) => open.update_in_place(buffer, len),
                _ => Err(CipherError::State),
            },
            Object::Ctr(ctr) => ctr.update_in_place(buffer).map(|()| len),
            _ => Err(CipherError::State),
        }
    }

    /// Ends a message. Returns how many bytes of `last` count: the tag of an encryption by GCM.
    pub(super) fn finish(&mut self, last: &mut [u8; 16]) -> Result<usize, CipherError> {
        match self {
            Object::Gcm(gcm) => {
                let mode = std::mem::replace(&mut gcm.mode, Mode::Idle);
                match (mode, &mut gcm.seal, &mut gcm.open) {
                    (Mode::Seal, Some(seal), _) => {
                        seal.finish(&mut last[..gcm.tag_len]).map(|()| gcm.tag_len)
                    }
                    (Mode::Stream, _, Some(open)) => open.finish().map(|()| 0),
                    _ => Err(CipherError::State),
                }
            }
            Object::Ctr(_) => Ok(0),
            _ => Err(CipherError::State),
        }
    }

    /// After a message whose plaintext was held back.
    pub(super) fn idle(&mut self) {
        if let Object::Gcm(gcm) = self {
            gcm.mode = Mode::Idle;
        }
    }
}

impl GcmState {
    fn new(key: &[u8], max_held: u64) -> Result<Self, jint> {
        if !matches!(key.len(), 16 | 24 | 32) {
            return Err(CODE_KEY_SIZE);
        }
        Ok(GcmState {
            key: Zeroizing::new(key.to_vec()),
            seal: None,
            open: None,
            verified: None,
            mode: Mode::Idle,
            tag_len: 16,
            max_held,
        })
    }

    pub(crate) fn start(&mut self, mode: jint, iv: &[u8], tag_len: usize) -> Result<(), CipherError> {
        self.mode = Mode::Idle;
        if !(12..=16).contains(&tag_len) {
            return Err(CipherError::TagSize);
        }
        self.tag_len = tag_len;
        self.mode = match mode {
            ENCRYPT => {
                made(&mut self.seal, || Gcm::new(&self.key))?.start(Direction::Encrypt, iv)?;
                Mode::Seal
            }
            DECRYPT_STREAMING => {
                made(&mut self.open, || GcmOpener::new(&self.key))?.start(iv, tag_len)?;
                Mode::Stream
            }
            _ => {
                made(&mut self.verified, || GcmVerified::new(&self.key, self.max_held))?
                    .start(iv, tag_len)?;
                Mode::Verified
            }
        };
        Ok(())
    }

    fn aad(&mut self, aad: &[u8]) -> Result<(), CipherError> {
        match (self.mode, &mut self.seal, &mut self.open, &mut self.verified) {
            (Mode::Seal, Some(gcm), ..) => gcm.aad(aad),
            (Mode::Stream, _, Some(gcm), _) => gcm.aad(aad),
            (Mode::Verified, .., Some(gcm)) => gcm.aad(aad),
            _ => Err(CipherError::State),
        }
    }

    /// Bytes of the tag of this message.
    pub(super) fn tag_len(&self) -> usize {
        self.tag_len
    }

    /// Encrypts the last `len` bytes of a message in place and puts the tag behind them. Returns where that ends.
    pub(super) fn seal_last(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, CipherError> {
        self.mode = Mode::Idle;
        let seal = self.seal.as_mut().ok_or(CipherError::State)?;
        let end = len + self.tag_len;
        let last = buffer.get_mut(..end).ok_or(CipherError::OutputTooShort)?;
        let (message, tag) = last.split_at_mut(len);
        seal.update_in_place(message)?;
        seal.finish(tag)?;
        Ok(end)
    }

    /// Decrypts a whole message, with its tag, in place. Returns the length of the plaintext.
    pub(super) fn open_whole(&mut self, buffer: &mut [u8]) -> Result<usize, CipherError> {
        self.mode = Mode::Idle;
        let verified = self.verified.as_mut().ok_or(CipherError::State)?;
        verified.open_whole(buffer)?.ok_or(CipherError::State)
    }
}

fn made<T>(
    cell: &mut Option<T>,
    make: impl FnOnce() -> Result<T, CipherError>,
) -> Result<&mut T, CipherError> {
    match cell {
        Some(value) => Ok(value),
        none => Ok(none.insert(make()?)),
    }
}
