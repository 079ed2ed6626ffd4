//! Fingerprints of key material: they differ between versions of a key and give nothing of it away.
//!
//! A fingerprint is stored with every object, in the clear, for as long as the object lives. So the algorithm is part
//! of the format and never changes: another one gets another prefix than `fp1-`.

use aws_lc_rs::{digest, hmac};
use std::fmt::Write;

/// The beginning of every fingerprint of this format.
const PREFIX: &str = "fp1-";

/// Bytes of the hash that are kept: 128 bits, at which no two of a deployment's keys meet by chance.
const KEPT: usize = 16;

const AES_LABEL: &[u8] = b"emrkeys-fingerprint/1 aes";
const RSA_LABEL: &[u8] = b"emrkeys-fingerprint/1 rsa";

/// The fingerprint of an AES key: `fp1-` and 32 lower-case hexadecimal digits, the first 128 bits of HMAC-SHA256
/// with the key as its key over a fixed label. An attacker who sees it learns no more than from a known
/// plaintext, since the key is uniformly random.
pub fn aes(key: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), AES_LABEL);
    text(tag.as_ref())
}

/// The fingerprint of an RSA key, from its public half as canonical X.509 SubjectPublicKeyInfo
/// ([`PublicKey::spki_der`](crate::rsa::PublicKey::spki_der)): `fp1-` and 32 lower-case hexadecimal digits, the first
/// 128 bits of SHA-256 over a fixed label, a zero byte and the DER.
pub fn rsa(spki_der: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(RSA_LABEL);
    hash.update(&[0]);
    hash.update(spki_der);
    text(hash.finish().as_ref())
}

fn text(hash: &[u8]) -> String {
    let mut text = String::with_capacity(PREFIX.len() + 2 * KEPT);
    text.push_str(PREFIX);
    for byte in hash.iter().take(KEPT) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected values by openssl:
    //   printf 'emrkeys-fingerprint/1 aes' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f
    //   printf 'emrkeys-fingerprint/1 rsa\0abc' | openssl dgst -sha256
    #[test]
    fn the_format_is_fixed_for_ever() {
        let key: Vec<u8> = (0..32).collect();
        assert_eq!(aes(&key), "fp1-7cfa49da497fcda3cf10e19fa6549831");
        assert_eq!(rsa(b"abc"), "fp1-2a382cc128c8dade33d5d9eafd40c90f");
    }

    #[test]
    fn every_bit_of_the_key_counts() {
        let key = [7u8; 32];
        let mut all = std::collections::BTreeSet::from([aes(&key)]);
        for bit in 0..256 {
            let mut other = key;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(all.insert(aes(&other)));
        }
    }

    #[test]
    fn the_kinds_of_key_are_apart() {
        assert_ne!(aes(b"abc"), rsa(b"abc"));
    }
}
