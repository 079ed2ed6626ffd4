//! HMAC-SHA256 (RFC 2104, FIPS 180-4), and keys derived by HKDF (RFC 5869) with SHA-256 and SHA-512.

use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

use crate::cipher::CipherError;

/// Bytes of a tag and of a derived key.
pub const SIZE: usize = 32;

/// The tag of `message` under `key`.
pub fn sign(key: &[u8], message: &[u8]) -> [u8; SIZE] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut out = [0; SIZE];
    out.copy_from_slice(tag.as_ref());
    out
}

/// Whether `tag` is the whole tag of `message` under `key`; takes the same time wherever the two differ.
pub fn verify(key: &[u8], message: &[u8], tag: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), message, tag).is_ok()
}

/// The key that HKDF-SHA256 gives for a uniformly random `secret`: extract with `salt`, expand with `info`.
///
/// # Errors
/// [`CipherError::Backend`], where memory is out.
pub fn derive(secret: &[u8], salt: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; SIZE]>, CipherError> {
    let mut key = Zeroizing::new([0; SIZE]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key[..]))
        .map_err(|_| CipherError::Backend)?;
    Ok(key)
}

/// Fills `out` with what HKDF-SHA512 gives for a uniformly random `secret`: extract with `salt`, expand with `info`.
///
/// # Errors
/// [`CipherError::Backend`], where memory is out or `out` has more than 255 × 64 bytes.
pub fn derive_sha512(secret: &[u8], salt: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), CipherError> {
    struct Bytes(usize);
    impl hkdf::KeyType for Bytes {
        fn len(&self) -> usize {
            self.0
        }
    }
    hkdf::Salt::new(hkdf::HKDF_SHA512, salt)
        .extract(secret)
        .expand(&[info], Bytes(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(|_| CipherError::Backend)
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231, test cases 2 and 3.
    #[test]
    fn tags_are_those_of_the_rfc() {
        let tag = sign(b"Jefe", b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(tag), expected);
        let tag = sign(&[0xaa; 20], &[0xdd; 50]);
        let expected = "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe";
        assert_eq!(hex::encode(tag), expected);
    }

    #[test]
    fn a_tag_is_of_its_key_and_message_and_whole() {
        let tag = sign(b"key", b"message");
        assert!(verify(b"key", b"message", &tag));
        assert!(!verify(b"kez", b"message", &tag));
        assert!(!verify(b"key", b"messagf", &tag));
        assert!(!verify(b"key", b"message", &tag[..31]));
        assert!(!verify(b"key", b"message", b""));
        for bit in 0..8 * SIZE {
            let mut other = tag;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(b"key", b"message", &other));
        }
    }

    // RFC 5869, A.1 and A.3: the first 32 bytes of their output.
    #[test]
    fn derived_keys_are_those_of_the_rfc() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let key = derive(&[0x0b; 22], &salt, &info).unwrap();
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf";
        assert_eq!(hex::encode(&key[..]), expected);
        let key = derive(&[0x0b; 22], b"", b"").unwrap();
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
        assert_eq!(hex::encode(&key[..]), expected);
    }
}
