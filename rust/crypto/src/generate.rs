//! New keys, from the system's random generator.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use der::pem::{encode_string, LineEnding};
use zeroize::Zeroizing;

use crate::cipher::{random, CipherError};

/// A new RSA pair, as text.
pub struct RsaPair {
    /// PKCS#8 PrivateKeyInfo (RFC 5208) in PEM (RFC 7468), not encrypted.
    pub private: Zeroizing<String>,
    /// X.509 SubjectPublicKeyInfo in PEM.
    pub public: String,
}

/// Makes an AES key of `bits` (128, 192 or 256) bits.
///
/// # Errors
/// [`CipherError::KeySize`]; [`CipherError::Backend`] where the generator fails.
pub fn aes(bits: usize) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    if ![128, 192, 256].contains(&bits) {
        return Err(CipherError::KeySize);
    }
    let mut key = Zeroizing::new(vec![0; bits / 8]);
    random(&mut key)?;
    Ok(key)
}

/// Makes an RSA pair with a modulus of `bits` (2048, 3072 or 4096) bits and the public exponent 65537. Takes about a
/// second.
///
/// # Errors
/// [`CipherError::RsaKey`] for other sizes; [`CipherError::Backend`].
pub fn rsa(bits: usize) -> Result<RsaPair, CipherError> {
    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        _ => return Err(CipherError::RsaKey),
    };
    let failed = |_| CipherError::Backend;
    let pair = KeyPair::generate(size).map_err(failed)?;
    let private: Pkcs8V1Der = pair.as_der().map_err(failed)?;
    let public: PublicKeyX509Der = pair.public_key().as_der().map_err(failed)?;
    let pem = |label, der| encode_string(label, LineEnding::LF, der).map_err(|_| CipherError::Backend);
    Ok(RsaPair {
        private: Zeroizing::new(pem("PRIVATE KEY", private.as_ref())?),
        public: pem("PUBLIC KEY", public.as_ref())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::{PrivateKey, PublicKey};

    #[test]
    fn a_new_pair_is_one_that_is_accepted() {
        for bits in [2048, 3072] {
            let pair = rsa(bits).unwrap();
            let private = PrivateKey::parse(pair.private.as_bytes(), None).unwrap();
            let public = PublicKey::parse(pair.public.as_bytes()).unwrap();
            assert_eq!((private.public(), public.bits()), (&public, bits));
        }
        assert!(matches!(rsa(1024), Err(CipherError::RsaKey)));
    }

    #[test]
    fn new_aes_keys_differ_and_have_the_size_asked_for() {
        for bits in [128, 192, 256] {
            assert_eq!(aes(bits).unwrap().len() * 8, bits);
            assert_ne!(aes(bits).unwrap(), aes(bits).unwrap());
        }
        assert_eq!(aes(64).unwrap_err(), CipherError::KeySize);
    }
}
