//! RSA encryption of data keys: OAEP (RFC 8017, section 7.1) and PKCS#1 v1.5 (section 7.2).

pub use crate::backend::OaepHash;
use crate::backend::{RsaKey, RsaPadding};
use crate::cipher::{CipherError, Direction};
use aws_lc_rs::{digest, hmac};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroizing;

/// Bytes of padding that PKCS#1 v1.5 needs besides the message.
const PKCS1_OVERHEAD: usize = 11;

/// The hash of an OAEP label and those that its mask may have been made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oaep {
    /// Of the label.
    pub hash: OaepHash,
    /// Of the mask generation function.
    pub mgf1: OaepHash,
}

impl Oaep {
    /// `RSA/ECB/OAEPWithSHA-1AndMGF1Padding` everywhere.
    pub const SHA1: Oaep = Oaep {
        hash: OaepHash::Sha1,
        mgf1: OaepHash::Sha1,
    };
    /// `RSA/ECB/OAEPWithSHA-256AndMGF1Padding` as SunJCE reads that name.
    pub const SHA256_MGF1_SHA1: Oaep = Oaep {
        hash: OaepHash::Sha256,
        mgf1: OaepHash::Sha1,
    };
    /// The same name as Bouncy Castle reads it.
    pub const SHA256: Oaep = Oaep {
        hash: OaepHash::Sha256,
        mgf1: OaepHash::Sha256,
    };
}

/// A public RSA key that encrypts. May be shared between threads.
pub struct RsaEncryptor(RsaKey);

impl RsaEncryptor {
    /// From a SubjectPublicKeyInfo in DER (what JCE calls X.509), 512 to 16384 bits.
    ///
    /// # Errors
    /// [`CipherError::RsaKey`].
    pub fn from_spki(der: &[u8]) -> Result<Self, CipherError> {
        RsaKey::from_der(Direction::Encrypt, der).map(RsaEncryptor)
    }

    /// Bytes of the modulus and of every ciphertext.
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// Encrypts by OAEP.
    ///
    /// # Errors
    /// [`CipherError::RsaLength`] for a message above `size` - 2 × hash - 2 bytes.
    pub fn oaep(&self, oaep: Oaep, label: &[u8], message: &[u8]) -> Result<Vec<u8>, CipherError> {
        let padding = RsaPadding::Oaep {
            hash: oaep.hash,
            mgf1: oaep.mgf1,
            label,
        };
        self.run(padding, message)
    }

    /// Encrypts by PKCS#1 v1.5.
    ///
    /// # Errors
    /// [`CipherError::RsaLength`] for a message above `size` - 11 bytes.
    pub fn pkcs1(&self, message: &[u8]) -> Result<Vec<u8>, CipherError> {
        self.run(RsaPadding::Pkcs1, message)
    }

    fn run(&self, padding: RsaPadding<'_>, message: &[u8]) -> Result<Vec<u8>, CipherError> {
        let mut out = vec![0; self.size()];
        let len = self.0.run(Direction::Encrypt, padding, message, &mut out)?;
        out.truncate(len);
        Ok(out)
    }
}

/// A private RSA key that decrypts. May be shared between threads. Wiped on drop.
pub struct RsaDecryptor {
    key: RsaKey,
    /// SHA-256 of the private exponent: the secret behind implicit rejection.
    rejection: Zeroizing<[u8; 32]>,
}

impl RsaDecryptor {
    /// From PKCS#8 in DER, 512 to 16384 bits. The numbers are checked against each other. A key may also have the
    /// modulus and the private exponent alone, in the JDK's encoding of such a key (all others are zero), if its public
    /// exponent is 65537. So operations are blinded, and their results compared, for every key.
    ///
    /// # Errors
    /// [`CipherError::RsaKey`].
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, CipherError> {
        let key = RsaKey::from_der(Direction::Decrypt, der)?;
        let exponent = key.private_exponent().ok_or(CipherError::RsaKey)?;
        let mut rejection = Zeroizing::new([0u8; 32]);
        rejection.copy_from_slice(digest::digest(&digest::SHA256, &exponent).as_ref());
        Ok(RsaDecryptor { key, rejection })
    }

    /// Bytes of the modulus and of every ciphertext.
    pub fn size(&self) -> usize {
        self.key.size()
    }

    fn check_len(&self, ciphertext: &[u8]) -> Result<(), CipherError> {
        if ciphertext.len() == self.size() {
            Ok(())
        } else {
            Err(CipherError::RsaLength)
        }
    }

    /// Decrypts OAEP.
    ///
    /// # Errors
    /// [`CipherError::RsaDecrypt`], whatever was wrong; [`CipherError::RsaLength`].
    pub fn oaep(
        &self,
        oaep: Oaep,
        label: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        self.check_len(ciphertext)?;
        let padding = RsaPadding::Oaep {
            hash: oaep.hash,
            mgf1: oaep.mgf1,
            label,
        };
        let mut out = Zeroizing::new(vec![0; self.size()]);
        let len = self.key.run(Direction::Decrypt, padding, ciphertext, &mut out)?;
        out.truncate(len);
        Ok(out)
    }

    /// Decrypts OAEP with SHA-256 whose mask was made with SHA-1 (SunJCE) or SHA-256 (Bouncy
    /// Castle): both are decoded, in time that depends on neither, and the valid one is chosen.
    ///
    /// # Errors
    /// As [`RsaDecryptor::oaep`].
    pub fn oaep_either_mgf1(
        &self,
        label: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        let block = self.raw(ciphertext)?;
        let (ok1, start1, plain1) = decode_oaep_sha256(&digest::SHA1_FOR_LEGACY_USE_ONLY, label, &block)?;
        let (ok2, start2, plain2) = decode_oaep_sha256(&digest::SHA256, label, &block)?;
        let mut plain = Zeroizing::new(vec![0u8; block.len()]);
        for ((out, a), b) in plain.iter_mut().zip(plain1.iter()).zip(plain2.iter()) {
            *out = u8::conditional_select(b, a, ok1);
        }
        let start = u32::conditional_select(&start2, &start1, ok1);
        if bool::from(ok1 | ok2) {
            plain.drain(..start as usize);
            Ok(plain)
        } else {
            Err(CipherError::RsaDecrypt)
        }
    }

    /// Decrypts PKCS#1 v1.5 without saying whether the padding was right: what is not padded
    /// correctly decrypts to a message that is random to everyone without the private key, and the
    /// same every time (implicit rejection, draft-irtf-cfrg-rsa-guidance). Such a key then fails
    /// where it is used. Nothing here takes time that depends on the padding; only the final
    /// length, which the caller sees anyway, does.
    ///
    /// # Errors
    /// [`CipherError::RsaLength`], [`CipherError::RsaDecrypt`]: only for what anyone can see, a
    /// ciphertext of the wrong length or not below the modulus.
    pub fn pkcs1(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        Ok(self.open_pkcs1(ciphertext)?.1)
    }

    /// Decrypts PKCS#1 v1.5 and says whether the padding was right, which the result of
    /// [`RsaDecryptor::pkcs1`] does not show: of ciphertexts for another key about one in 30 million
    /// passes with a message of 32 bytes.
    ///
    /// **The answer is a padding oracle** (Bleichenbacher). Only the holder of the private key may
    /// see it, such as the operator of a command that must not replace a key that it cannot read.
    ///
    /// # Errors
    /// As [`RsaDecryptor::pkcs1`]; [`CipherError::RsaDecrypt`] for wrong padding as well.
    pub fn pkcs1_checked(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        let (good, plain) = self.open_pkcs1(ciphertext)?;
        if bool::from(good) {
            Ok(plain)
        } else {
            Err(CipherError::RsaDecrypt)
        }
    }

    /// Whether the padding is right, and the message or what stands for it.
    fn open_pkcs1(&self, ciphertext: &[u8]) -> Result<(Choice, Zeroizing<Vec<u8>>), CipherError> {
        let block = self.raw(ciphertext)?;
        let size = block.len();
        let longest = size - PKCS1_OVERHEAD;

        // A rejected ciphertext decrypts to this.
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &*self.rejection);
        let derived = hmac::sign(&secret, ciphertext);
        let derived = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        let substitute = expand(&derived, b"message", size)?;
        let lengths = expand(&derived, b"length", 256)?;
        let mask = (longest as u32 + 1).next_power_of_two() - 1;
        let mut substitute_len = 0u32;
        for pair in lengths.chunks_exact(2) {
            let candidate = (u32::from(pair[0]) << 8 | u32::from(pair[1])) & mask;
            substitute_len.conditional_assign(&candidate, candidate.ct_lt(&(longest as u32 + 1)));
        }

        // 00 02 ‖ at least eight bytes other than 00 ‖ 00 ‖ message.
        let mut good = block[0].ct_eq(&0) & block[1].ct_eq(&2);
        let mut found = Choice::from(0);
        let mut start = 0u32;
        for (i, byte) in block.iter().enumerate().skip(2) {
            let first = byte.ct_eq(&0) & !found;
            start.conditional_assign(&(i as u32 + 1), first);
            found |= first;
        }
        good &= found & !start.ct_lt(&(PKCS1_OVERHEAD as u32));
        let start = u32::conditional_select(&(size as u32 - substitute_len), &start, good);
        let mut plain = Zeroizing::new(vec![0u8; size]);
        for ((out, real), fake) in plain.iter_mut().zip(block.iter()).zip(substitute.iter()) {
            *out = u8::conditional_select(fake, real, good);
        }
        plain.drain(..start as usize);
        Ok((good, plain))
    }

    /// The bare private operation, blinded, as long as the modulus.
    fn raw(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        self.check_len(ciphertext)?;
        let mut out = Zeroizing::new(vec![0; self.size()]);
        let len = self
            .key
            .run(Direction::Decrypt, RsaPadding::Raw, ciphertext, &mut out)?;
        if len == out.len() {
            Ok(out)
        } else {
            Err(CipherError::Backend)
        }
    }
}

/// The pseudo-random function of draft-irtf-cfrg-rsa-guidance: HMAC over counter ‖ label ‖ bits.
fn expand(key: &hmac::Key, label: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    let bits = u16::try_from(len * 8)
        .map_err(|_| CipherError::RsaKey)?
        .to_be_bytes();
    let mut out = Zeroizing::new(Vec::with_capacity(len + 32));
    let mut counter = 0u16;
    while out.len() < len {
        let mut context = hmac::Context::with_key(key);
        context.update(&counter.to_be_bytes());
        context.update(label);
        context.update(&bits);
        out.extend_from_slice(context.sign().as_ref());
        counter += 1;
    }
    out.truncate(len);
    Ok(out)
}

/// MGF1 (RFC 8017, appendix B.2.1) of `seed`, XORed over `data`.
fn mask(algorithm: &'static digest::Algorithm, seed: &[u8], data: &mut [u8]) {
    for (counter, part) in data.chunks_mut(algorithm.output_len()).enumerate() {
        let mut context = digest::Context::new(algorithm);
        context.update(seed);
        context.update(&(counter as u32).to_be_bytes());
        for (byte, key) in part.iter_mut().zip(context.finish().as_ref()) {
            *byte ^= key;
        }
    }
}

/// Decodes a block of OAEP with SHA-256 in constant time: whether it is valid, where the message starts, and the
/// unmasked block.
fn decode_oaep_sha256(
    mgf1: &'static digest::Algorithm,
    label: &[u8],
    block: &[u8],
) -> Result<(Choice, u32, Zeroizing<Vec<u8>>), CipherError> {
    let label_hash = digest::digest(&digest::SHA256, label);
    let label_hash = label_hash.as_ref();
    let hash_len = label_hash.len();
    if block.len() < 2 * hash_len + 2 {
        return Err(CipherError::RsaKey);
    }
    let mut plain = Zeroizing::new(block.to_vec());
    let (seed, data) = plain[1..].split_at_mut(hash_len);
    mask(mgf1, data, seed);
    mask(mgf1, seed, data);
    let (hash, data) = data.split_at(hash_len);
    let mut good = block[0].ct_eq(&0) & hash.ct_eq(label_hash);
    // Zeros, a one, the message.
    let mut found = Choice::from(0);
    let mut start = 0u32;
    for (i, byte) in data.iter().enumerate() {
        let one = byte.ct_eq(&1);
        start.conditional_assign(&((1 + 2 * hash_len + i + 1) as u32), one & !found);
        good &= found | one | byte.ct_eq(&0);
        found |= one;
    }
    Ok((good & found, start, plain))
}
