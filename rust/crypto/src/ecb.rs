//! AES-ECB (NIST SP 800-38A, section 6.1): one wrap of data keys in the oldest object format, and nothing else. Equal
//! blocks stay equal: unfit for data.

use crate::backend::Mode;
pub use crate::blocks::Padding;
use crate::blocks::{delegate, Blocks};
use crate::cipher::{CipherError, Direction};

/// AES-ECB under one key. Wiped on drop.
pub struct Ecb(Blocks);

impl Ecb {
    /// A cipher; [`Ecb::start`] comes next.
    ///
    /// # Errors
    /// [`CipherError::KeySize`], [`CipherError::Backend`].
    pub fn new(key: &[u8], padding: Padding) -> Result<Self, CipherError> {
        Blocks::new(Mode::Ecb, key, padding).map(Ecb)
    }

    /// Begins a message.
    ///
    /// # Errors
    /// [`CipherError::Backend`].
    pub fn start(&mut self, direction: Direction) -> Result<(), CipherError> {
        self.0.start(direction, &[])
    }

    delegate!();
}
