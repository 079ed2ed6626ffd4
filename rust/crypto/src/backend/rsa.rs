//! RSA keys and their operations, RFC 8017.

use super::ok;
use crate::cipher::{CipherError, Direction};
use aws_lc_sys as c;
use std::ptr::{self, NonNull};
use zeroize::Zeroizing;

/// A hash of RSA-OAEP and of its mask generation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OaepHash {
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA-512/224.
    Sha512_224,
    /// SHA-512/256.
    Sha512_256,
}

impl OaepHash {
    fn md(self) -> *const c::EVP_MD {
        // SAFETY: returns a pointer to a static.
        unsafe {
            match self {
                OaepHash::Sha1 => c::EVP_sha1(),
                OaepHash::Sha224 => c::EVP_sha224(),
                OaepHash::Sha256 => c::EVP_sha256(),
                OaepHash::Sha384 => c::EVP_sha384(),
                OaepHash::Sha512 => c::EVP_sha512(),
                OaepHash::Sha512_224 => c::EVP_sha512_224(),
                OaepHash::Sha512_256 => c::EVP_sha512_256(),
            }
        }
    }
}

/// The public exponent of nearly all keys.
const USUAL_EXPONENT: c::BN_ULONG = 65537;

/// How the backend pads an RSA message.
#[derive(Clone, Copy)]
pub(crate) enum RsaPadding<'a> {
    /// RSAES-PKCS1-v1_5. For encryption; decryption goes through `Raw`.
    Pkcs1,
    /// RSAES-OAEP.
    Oaep {
        hash: OaepHash,
        mgf1: OaepHash,
        label: &'a [u8],
    },
    /// The bare permutation. For decryption, with the padding removed above this module.
    Raw,
}

/// An RSA key of the backend.
pub(crate) struct RsaKey(NonNull<c::EVP_PKEY>);

// SAFETY: an EVP_PKEY is reference counted with atomics and its RSA operations lock what they
// change (the blinding cache), so it may move between threads and be used by several at once.
unsafe impl Send for RsaKey {}
// SAFETY: as above.
unsafe impl Sync for RsaKey {}

impl Drop for RsaKey {
    fn drop(&mut self) {
        // SAFETY: owned here; aws-lc wipes the numbers of a private key when it frees them.
        unsafe { c::EVP_PKEY_free(self.0.as_ptr()) }
    }
}

struct PkeyContext(NonNull<c::EVP_PKEY_CTX>);

impl Drop for PkeyContext {
    fn drop(&mut self) {
        // SAFETY: owned here.
        unsafe { c::EVP_PKEY_CTX_free(self.0.as_ptr()) }
    }
}

impl RsaKey {
    /// Parses PKCS#8 (`Direction::Decrypt`) or SubjectPublicKeyInfo (`Direction::Encrypt`) DER.
    /// aws-lc checks the consistency of a private key. One without its public exponent gets that; see
    /// [`RsaKey::with_exponent`].
    pub(crate) fn from_der(direction: Direction, der: &[u8]) -> Result<Self, CipherError> {
        // SAFETY: `cbs` is initialised over the live slice `der`, which outlives both calls; the
        // parsers return an owned key or null.
        let key = unsafe {
            let mut cbs = c::CBS::default();
            c::CBS_init(&mut cbs, der.as_ptr(), der.len());
            let key = match direction {
                Direction::Encrypt => c::EVP_parse_public_key(&mut cbs),
                Direction::Decrypt => c::EVP_parse_private_key(&mut cbs),
            };
            let key = NonNull::new(key).map(RsaKey);
            if cbs.len == 0 {
                key
            } else {
                None
            }
        };
        let Some(key) = key else {
            ok(0, CipherError::RsaKey)?;
            return Err(CipherError::RsaKey);
        };
        // SAFETY: the key is live.
        let (id, bits) = unsafe { (c::EVP_PKEY_id(key.0.as_ptr()), c::EVP_PKEY_bits(key.0.as_ptr())) };
        // The bounds of the JDK's provider (sun.security.rsa.RSAKeyFactory), in whose place JCE asks for ciphers here.
        // Keys of a configuration have stricter ones.
        if id == c::EVP_PKEY_RSA && (512..=16384).contains(&bits) {
            key.with_exponent()
        } else {
            Err(CipherError::RsaKey)
        }
    }

    /// The key, with the public exponent if it came without one, as the JDK encodes a private key of a modulus and a
    /// private exponent alone.
    ///
    /// For a key without it aws-lc neither blinds an operation, so that its time may say something of the key, nor
    /// compares its result (`rsa_default_private_transform`). The JDK blinds such keys, too. The exponent of nearly all
    /// keys is 65537; aws-lc finds out by one operation whether it is that of this key, which is refused otherwise.
    fn with_exponent(self) -> Result<Self, CipherError> {
        // SAFETY: get0 functions borrow from the live key, and everything that is made here is freed here, or owned by
        // the result; `RSA_new_private_key_no_crt` copies its arguments, and refuses null.
        let whole = unsafe {
            let bare = c::EVP_PKEY_get0_RSA(self.0.as_ptr());
            if bare.is_null() || !c::RSA_get0_e(bare).is_null() {
                return Ok(self);
            }
            let exponent = c::BN_new();
            let rsa = if !exponent.is_null() && c::BN_set_word(exponent, USUAL_EXPONENT) == 1 {
                c::RSA_new_private_key_no_crt(c::RSA_get0_n(bare), exponent, c::RSA_get0_d(bare))
            } else {
                ptr::null_mut()
            };
            c::BN_free(exponent);
            let whole = NonNull::new(c::EVP_PKEY_new()).map(RsaKey);
            let is_whole = whole
                .as_ref()
                .is_some_and(|whole| !rsa.is_null() && c::EVP_PKEY_set1_RSA(whole.0.as_ptr(), rsa) == 1);
            c::RSA_free(rsa);
            whole.filter(|_| is_whole)
        };
        let Some(whole) = whole else {
            ok(0, CipherError::RsaKey)?;
            return Err(CipherError::RsaKey);
        };
        let mut two = vec![0; whole.size()];
        if let Some(last) = two.last_mut() {
            *last = 2;
        }
        let mut out = Zeroizing::new(vec![0; whole.size()]);
        whole
            .run(Direction::Decrypt, RsaPadding::Raw, &two, &mut out)
            .map_err(|_| CipherError::RsaKey)?;
        Ok(whole)
    }

    /// Bytes of the modulus, which are those of every ciphertext.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: the key is live.
        usize::try_from(unsafe { c::EVP_PKEY_size(self.0.as_ptr()) }).unwrap_or(0)
    }

    /// The private exponent, big-endian, as long as the modulus; none for a public key.
    pub(crate) fn private_exponent(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0u8; self.size()]);
        // SAFETY: get0 functions borrow from the live key; BN_bn2bin_padded writes `out.len()`
        // bytes or fails.
        let status = unsafe {
            let rsa = c::EVP_PKEY_get0_RSA(self.0.as_ptr());
            if rsa.is_null() {
                return None;
            }
            let d = c::RSA_get0_d(rsa);
            if d.is_null() {
                return None;
            }
            c::BN_bn2bin_padded(out.as_mut_ptr(), out.len(), d)
        };
        (status == 1).then_some(out)
    }

    /// Encrypts or decrypts `input` into `out`, which has [`RsaKey::size`] bytes. Returns how many
    /// count.
    pub(crate) fn run(
        &self,
        direction: Direction,
        padding: RsaPadding<'_>,
        input: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CipherError> {
        let error = match direction {
            Direction::Encrypt => CipherError::RsaLength,
            Direction::Decrypt => CipherError::RsaDecrypt,
        };
        // SAFETY: the key is live; null on failure.
        let ctx = unsafe { c::EVP_PKEY_CTX_new(self.0.as_ptr(), ptr::null_mut()) };
        let ctx = PkeyContext(NonNull::new(ctx).ok_or(CipherError::Backend)?);
        let raw = ctx.0.as_ptr();
        // SAFETY: the context is live and owns a reference to the key.
        let status = unsafe {
            match direction {
                Direction::Encrypt => c::EVP_PKEY_encrypt_init(raw),
                Direction::Decrypt => c::EVP_PKEY_decrypt_init(raw),
            }
        };
        ok(status, CipherError::Backend)?;
        let number = match padding {
            RsaPadding::Pkcs1 => c::RSA_PKCS1_PADDING,
            RsaPadding::Oaep { .. } => c::RSA_PKCS1_OAEP_PADDING,
            RsaPadding::Raw => c::RSA_NO_PADDING,
        };
        // SAFETY: the context is initialised.
        let status = unsafe { c::EVP_PKEY_CTX_set_rsa_padding(raw, number) };
        ok(status, CipherError::Backend)?;
        if let RsaPadding::Oaep { hash, mgf1, label } = padding {
            // SAFETY: the context is initialised and its padding is OAEP; the digests are statics.
            unsafe {
                ok(
                    c::EVP_PKEY_CTX_set_rsa_oaep_md(raw, hash.md()),
                    CipherError::Backend,
                )?;
                ok(
                    c::EVP_PKEY_CTX_set_rsa_mgf1_md(raw, mgf1.md()),
                    CipherError::Backend,
                )?;
            }
            if !label.is_empty() {
                // SAFETY: the copy is made by aws-lc's allocator because the context takes
                // ownership of it; on failure it is freed here.
                unsafe {
                    let copy = c::OPENSSL_memdup(label.as_ptr().cast(), label.len());
                    if copy.is_null() {
                        return Err(CipherError::Backend);
                    }
                    let status = c::EVP_PKEY_CTX_set0_rsa_oaep_label(raw, copy.cast(), label.len());
                    if status != 1 {
                        c::OPENSSL_free(copy);
                    }
                    ok(status, CipherError::Backend)?;
                }
            }
        }
        if out.len() < self.size() {
            return Err(CipherError::OutputTooShort);
        }
        let mut len = out.len();
        // SAFETY: `out` has `len` bytes, at least the size of the key, which is the most that is
        // written; `input` is live.
        let status = unsafe {
            match direction {
                Direction::Encrypt => {
                    c::EVP_PKEY_encrypt(raw, out.as_mut_ptr(), &mut len, input.as_ptr(), input.len())
                }
                Direction::Decrypt => {
                    c::EVP_PKEY_decrypt(raw, out.as_mut_ptr(), &mut len, input.as_ptr(), input.len())
                }
            }
        };
        ok(status, error)?;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use der::asn1::{OctetStringRef, UintRef};
    use der::{Decode, Encode};
    use pkcs1::RsaPrivateKeyRef;
    use pkcs8::PrivateKeyInfoRef;

    /// The JDK's encoding of a key of two numbers: those of `der`, and zeros.
    fn bare(der: &[u8]) -> Vec<u8> {
        let info = PrivateKeyInfoRef::from_der(der).unwrap();
        let whole = RsaPrivateKeyRef::from_der(info.private_key.as_bytes()).unwrap();
        let zero = UintRef::new(&[0]).unwrap();
        let bare = RsaPrivateKeyRef {
            modulus: whole.modulus,
            public_exponent: zero,
            private_exponent: whole.private_exponent,
            prime1: zero,
            prime2: zero,
            exponent1: zero,
            exponent2: zero,
            coefficient: zero,
            other_prime_infos: None,
        };
        let bare = bare.to_der().unwrap();
        let info = PrivateKeyInfoRef::new(pkcs1::ALGORITHM_ID, OctetStringRef::new(&bare).unwrap());
        info.to_der().unwrap()
    }

    /// Whether aws-lc blinds operations of the key and checks their results.
    fn has_exponent(key: &RsaKey) -> bool {
        // SAFETY: the key is live.
        unsafe { !c::RSA_get0_e(c::EVP_PKEY_get0_RSA(key.0.as_ptr())).is_null() }
    }

    /// A key of 2048 bits with another public exponent, in DER.
    fn generated(exponent: c::BN_ULONG) -> Vec<u8> {
        let mut out = ptr::null_mut();
        let mut length = 0;
        // SAFETY: everything is made and freed here; `out` has `length` bytes if the last function succeeds.
        unsafe {
            let (rsa, number, key) = (c::RSA_new(), c::BN_new(), c::EVP_PKEY_new());
            assert_eq!(c::BN_set_word(number, exponent), 1);
            assert_eq!(c::RSA_generate_key_ex(rsa, 2048, number, ptr::null_mut()), 1);
            assert_eq!(c::EVP_PKEY_set1_RSA(key, rsa), 1);
            let mut cbb = std::mem::MaybeUninit::uninit();
            assert_eq!(c::CBB_init(cbb.as_mut_ptr(), 0), 1);
            assert_eq!(c::EVP_marshal_private_key(cbb.as_mut_ptr(), key), 1);
            assert_eq!(c::CBB_finish(cbb.as_mut_ptr(), &mut out, &mut length), 1);
            let der = std::slice::from_raw_parts(out, length).to_vec();
            c::OPENSSL_free(out.cast());
            c::EVP_PKEY_free(key);
            c::RSA_free(rsa);
            c::BN_free(number);
            der
        }
    }

    #[test]
    fn a_key_of_two_numbers_is_blinded_or_refused() {
        let der = include_bytes!("../../tests/data/pkcs8.der");
        let (whole, bare_key) = (
            RsaKey::from_der(Direction::Decrypt, der).unwrap(),
            RsaKey::from_der(Direction::Decrypt, &bare(der)).unwrap(),
        );
        assert!(has_exponent(&whole) && has_exponent(&bare_key));
        let mut sealed = vec![7; whole.size()];
        sealed[0] = 0;
        let [mut one, mut other] = [vec![0; whole.size()], vec![0; whole.size()]];
        whole
            .run(Direction::Decrypt, RsaPadding::Raw, &sealed, &mut one)
            .unwrap();
        bare_key
            .run(Direction::Decrypt, RsaPadding::Raw, &sealed, &mut other)
            .unwrap();
        assert_eq!(one, other);
        let unusual = generated(17);
        assert!(RsaKey::from_der(Direction::Decrypt, &unusual).is_ok());
        assert!(matches!(
            RsaKey::from_der(Direction::Decrypt, &bare(&unusual)),
            Err(CipherError::RsaKey)
        ));
    }
}
