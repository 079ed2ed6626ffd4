//! AES-CBC (NIST SP 800-38A, section 6.2), padded or not.
//!
//! CBC authenticates nothing, and an attacker who can submit ciphertexts and see whether the
//! padding was right can decrypt. It is here for objects that others wrote.

use crate::backend::Mode;
pub use crate::blocks::Padding;
use crate::blocks::{delegate, Blocks};
use crate::cipher::{CipherError, Direction};

/// AES-CBC under one key. Wiped on drop.
pub struct Cbc(Blocks);

impl Cbc {
    /// A cipher without an initialisation vector; [`Cbc::start`] comes next.
    ///
    /// # Errors
    /// [`CipherError::KeySize`], [`CipherError::Backend`].
    pub fn new(key: &[u8], padding: Padding) -> Result<Self, CipherError> {
        Blocks::new(Mode::Cbc, key, padding).map(Cbc)
    }

    /// Begins a message with the 16 bytes of `iv`.
    ///
    /// # Errors
    /// [`CipherError::IvSize`], [`CipherError::Backend`].
    pub fn start(&mut self, direction: Direction, iv: &[u8]) -> Result<(), CipherError> {
        self.0.start(direction, iv)
    }

    delegate!();
}
