//! SHA-256 (FIPS 180-4).

use aws_lc_rs::digest;

/// Bytes of a digest.
pub const SIZE: usize = 32;

/// The digest of `message`.
pub fn sha256(message: &[u8]) -> [u8; SIZE] {
    let mut out = [0; SIZE];
    out.copy_from_slice(digest::digest(&digest::SHA256, message).as_ref());
    out
}

/// The digest of a message that comes in pieces.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    /// Of no bytes yet.
    fn default() -> Self {
        Sha256(digest::Context::new(&digest::SHA256))
    }
}

impl Sha256 {
    /// Adds the next bytes.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all of them.
    pub fn finish(self) -> [u8; SIZE] {
        let mut out = [0; SIZE];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

#[cfg(test)]
mod tests {
    // FIPS 180-4's own example.
    #[test]
    fn the_digest_is_that_of_the_standard() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex::encode(super::sha256(b"abc")), expected);
        let mut pieces = super::Sha256::default();
        pieces.update(b"a");
        pieces.update(b"bc");
        assert_eq!(hex::encode(pieces.finish()), expected);
    }
}
