//! RSA keys: every common form in, one checked and canonical form out.
//!
//! Accepted are PKCS#8 (plain, or encrypted by PBES2) and PKCS#1 for private keys, X.509 SubjectPublicKeyInfo and
//! PKCS#1 for public ones, each as DER or PEM. In PEM, text around the key and blocks of another kind are passed over,
//! as OpenSSL does. Whatever else people have in their files (certificates, key stores, OpenSSH keys, elliptic
//! curves) is recognised far enough to say what it is and what to do about it.
//!
//! Keys come out re-encoded, so that two files with the same key compare equal whatever tool wrote them.

use std::fmt;

use aws_lc_rs::rsa::{KeyPair, PublicEncryptingKey};
use der::asn1::{AnyRef, BitStringRef, OctetStringRef, UintRef};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use pkcs1::{RsaPrivateKeyRef, RsaPublicKeyRef};
use pkcs8::pkcs5::{self, pbes2::Kdf, EncryptionScheme};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SubjectPublicKeyInfoRef};
use secrecy::SecretSlice;
use zeroize::Zeroizing;

use crate::pem::{find, Pem, BEGIN, PKCS8_REMEDY};
use crate::KeyError;

/// The shortest modulus that is accepted, in bits (NIST SP 800-131A Rev. 2: shorter ones are disallowed).
pub const MIN_BITS: usize = 2048;

/// The longest modulus that is accepted, in bits: the limit of aws-lc.
pub const MAX_BITS: usize = 8192;

/// The most PBKDF2 iterations that an encrypted key may ask for: above what OWASP's password storage cheat sheet
/// recommends (1,300,000), below what would hold a node up for long.
const MAX_PBKDF2_ITERATIONS: u32 = 2_000_000;

/// The most that N·r·p may be for scrypt; scrypt uses 128·N·r bytes of memory, so at most 64 MiB. OpenSSL's default
/// (16384·8·1) is a quarter of it.
const MAX_SCRYPT_WORK: u64 = 1 << 19;

/// A checked RSA public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki_der: Vec<u8>,
    bits: usize,
}

impl PublicKey {
    /// Reads a public key: X.509 SubjectPublicKeyInfo or PKCS#1, DER or PEM.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let found = Found::in_bytes(bytes, Wanted::Public)?;
        let der = found.der();
        match found.form {
            Form::Spki => {
                let info =
                    SubjectPublicKeyInfoRef::from_der(der).map_err(|e| bad_der("X.509 public key", &e))?;
                require_rsa(&info.algorithm)?;
                let key = info.subject_public_key.as_bytes().ok_or_else(|| {
                    KeyError::Malformed(
                        "the X.509 public key holds a bit string that is not whole bytes".into(),
                    )
                })?;
                Self::from_pkcs1(key)
            }
            Form::Pkcs1Public => Self::from_pkcs1(der),
            other => Err(other.instead_of(Wanted::Public)),
        }
    }

    /// The key as canonical X.509 SubjectPublicKeyInfo DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The length of the modulus in bits.
    pub fn bits(&self) -> usize {
        self.bits
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPublicKeyRef::from_der(der).map_err(|e| bad_der("PKCS#1 public key", &e))?;
        Self::from_numbers(&key)
    }

    fn from_numbers(key: &RsaPublicKeyRef<'_>) -> Result<Self, KeyError> {
        let bits = checked_bits(&key.modulus)?;
        let spki_der = spki(key).map_err(|e| bad_der("public key", &e))?;
        // aws-lc refuses moduli and exponents that cannot belong to a sound key (even, one, too long).
        PublicEncryptingKey::from_der(&spki_der).map_err(|_| KeyError::Inconsistent)?;
        Ok(PublicKey { spki_der, bits })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("bits", &self.bits)
            .finish_non_exhaustive()
    }
}

/// A checked RSA private key and its public half.
pub struct PrivateKey {
    pkcs8_der: SecretSlice<u8>,
    public: PublicKey,
}

impl PrivateKey {
    /// Reads a private key: PKCS#8, encrypted PKCS#8 or PKCS#1, DER or PEM. `password` is for encrypted keys; a key
    /// that is not encrypted does not look at it.
    ///
    /// Encrypted keys cost what their file says, within bounds: at worst some seconds and 64 MiB.
    pub fn parse(bytes: &[u8], password: Option<&[u8]>) -> Result<Self, KeyError> {
        let found = Found::in_bytes(bytes, Wanted::Private)?;
        let der = found.der();
        match found.form {
            Form::EncryptedPkcs8 => {
                let plain = decrypt(der, password)?;
                // One wrong password in 256 gives sound padding around rubbish.
                if !matches!(element(&plain).and_then(Form::of), Some(Form::Pkcs8)) {
                    return Err(KeyError::PasswordWrong);
                }
                Self::from_pkcs8(&plain)
            }
            Form::Pkcs8 => Self::from_pkcs8(der),
            Form::Pkcs1Private => Self::from_pkcs1(der),
            other => Err(other.instead_of(Wanted::Private)),
        }
    }

    /// The key as canonical PKCS#8 DER, without attributes.
    pub fn pkcs8_der(&self) -> &SecretSlice<u8> {
        &self.pkcs8_der
    }

    /// The public half, which compares equal to the same key parsed as [`PublicKey`].
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|e| bad_der("PKCS#8 private key", &e))?;
        require_rsa(&info.algorithm)?;
        Self::from_pkcs1(info.private_key.as_bytes())
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaPrivateKeyRef::from_der(der).map_err(|e| bad_der("PKCS#1 private key", &e))?;
        if key.other_prime_infos.is_some() {
            return Err(KeyError::Malformed(
                "the RSA key has more than two primes; such keys are not supported".into(),
            ));
        }
        // Before anything expensive is done with numbers of any size.
        checked_bits(&key.modulus)?;
        let pkcs8 = pkcs8(&key).map_err(|e| bad_der("private key", &e))?;
        // Imports through RSA_check_key: n = p·q, d·e = 1, and the Chinese remainder values.
        KeyPair::from_pkcs8(&pkcs8).map_err(|_| KeyError::Inconsistent)?;
        let public = PublicKey::from_numbers(&key.public_key())?;
        Ok(PrivateKey {
            pkcs8_der: SecretSlice::from(Box::<[u8]>::from(pkcs8.as_slice())),
            public,
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("bits", &self.public.bits)
            .finish_non_exhaustive()
    }
}

/// Which half of a pair the caller asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Public,
    Private,
}

/// The kind of a DER document, judged by the types of its first members, which differ between all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Pkcs8,
    EncryptedPkcs8,
    Pkcs1Private,
    Spki,
    Pkcs1Public,
    Certificate,
    KeyStore,
    EcPrivate,
}

impl Form {
    pub(crate) fn of(der: &[u8]) -> Option<Form> {
        let outer = AnyRef::from_der(der)
            .ok()
            .filter(|any| any.tag() == Tag::Sequence)?;
        let mut members = SliceReader::new(outer.value()).ok()?;
        let mut tags = Vec::with_capacity(4);
        while !members.is_finished() && tags.len() < 4 {
            tags.push(members.decode::<AnyRef<'_>>().ok()?.tag());
        }
        match tags.as_slice() {
            [Tag::Integer, Tag::Sequence, Tag::OctetString, ..] => Some(Form::Pkcs8),
            [Tag::Sequence, Tag::OctetString] => Some(Form::EncryptedPkcs8),
            [Tag::Integer, Tag::Integer, Tag::Integer, ..] => Some(Form::Pkcs1Private),
            [Tag::Integer, Tag::Integer] => Some(Form::Pkcs1Public),
            [Tag::Sequence, Tag::BitString] => Some(Form::Spki),
            [Tag::Sequence, Tag::Sequence, Tag::BitString] => Some(Form::Certificate),
            [Tag::Integer, Tag::Sequence, Tag::Sequence] => Some(Form::KeyStore),
            [Tag::Integer, Tag::OctetString, ..] => Some(Form::EcPrivate),
            _ => None,
        }
    }

    pub(crate) fn of_label(label: &str) -> Option<Form> {
        match label {
            "PRIVATE KEY" => Some(Form::Pkcs8),
            "ENCRYPTED PRIVATE KEY" => Some(Form::EncryptedPkcs8),
            "RSA PRIVATE KEY" => Some(Form::Pkcs1Private),
            "PUBLIC KEY" => Some(Form::Spki),
            "RSA PUBLIC KEY" => Some(Form::Pkcs1Public),
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => Some(Form::Certificate),
            "EC PRIVATE KEY" => Some(Form::EcPrivate),
            _ => None,
        }
    }

    fn serves(self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Private => matches!(self, Form::Pkcs8 | Form::EncryptedPkcs8 | Form::Pkcs1Private),
            Wanted::Public => matches!(self, Form::Spki | Form::Pkcs1Public),
        }
    }

    fn instead_of(self, wanted: Wanted) -> KeyError {
        let found = match self {
            Form::Pkcs8 | Form::Pkcs1Private => "a private key",
            Form::EncryptedPkcs8 => "an encrypted private key",
            Form::Spki | Form::Pkcs1Public => "a public key",
            Form::Certificate => "a certificate (or a request for one)",
            Form::KeyStore => "a PKCS#12 key store",
            Form::EcPrivate => "a key for elliptic curves",
        };
        let (expected, remedy) = match (wanted, self) {
            (Wanted::Public, Form::Certificate) => (
                "an RSA public key",
                "; take the key out with: `openssl x509 -pubkey -noout -in CERTIFICATE`",
            ),
            (Wanted::Public, Form::Pkcs8 | Form::EncryptedPkcs8 | Form::Pkcs1Private) => (
                "an RSA public key",
                "; derive it with: `openssl pkey -pubout -in PRIVATE`",
            ),
            (Wanted::Public, _) => ("an RSA public key", ""),
            (Wanted::Private, Form::KeyStore) => (
                "an RSA private key",
                "; take the key out with: `openssl pkcs12 -nocerts -in STORE`",
            ),
            (Wanted::Private, _) => ("an RSA private key", ""),
        };
        KeyError::WrongKind(format!("expected {expected}, found {found}{remedy}"))
    }
}

/// A key found in a file: its DER, taken out of PEM where need be, and what it is.
struct Found<'a> {
    form: Form,
    bytes: Bytes<'a>,
}

enum Bytes<'a> {
    Given(&'a [u8]),
    Decoded(Zeroizing<Vec<u8>>),
}

impl<'a> Found<'a> {
    fn der(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Given(der) => der,
            Bytes::Decoded(der) => der,
        }
    }

    fn in_bytes(bytes: &'a [u8], wanted: Wanted) -> Result<Self, KeyError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(KeyError::Malformed("the key is empty".into()));
        }
        if let Some(der) = element(bytes) {
            let form = Form::of(der).ok_or_else(|| {
                KeyError::Malformed("the DER is not that of a key in PKCS#8, PKCS#1 or X.509 form".into())
            })?;
            return Ok(Found {
                form,
                bytes: Bytes::Given(der),
            });
        }
        if find(bytes, BEGIN).is_some() {
            return Self::in_pem(bytes, wanted);
        }
        Err(KeyError::Malformed(unknown(bytes).into()))
    }

    fn in_pem(bytes: &[u8], wanted: Wanted) -> Result<Found<'static>, KeyError> {
        let mut chosen: Option<Pem<'_>> = None;
        let mut passed_over: Option<Pem<'_>> = None;
        let mut rest = bytes;
        while let Some(block) = Pem::next(&mut rest)? {
            if !Form::of_label(block.label).is_some_and(|form| form.serves(wanted)) {
                passed_over.get_or_insert(block);
            } else if chosen.is_some() {
                // OpenSSL would take the first in silence; here the wrong one makes data unreadable.
                return Err(KeyError::Malformed(
                    "there is more than one key of the wanted kind in the PEM".into(),
                ));
            } else {
                chosen = Some(block);
            }
        }
        let Some(block) = chosen else {
            return Err(match passed_over {
                Some(block) => match Form::of_label(block.label) {
                    Some(form) => form.instead_of(wanted),
                    None if block.label == "OPENSSH PRIVATE KEY" => KeyError::Malformed(
                        "the key is in OpenSSH's own format; convert it with: ssh-keygen -p -m PKCS8 -f KEY"
                            .into(),
                    ),
                    None => KeyError::Malformed("the PEM holds no block of a type that is known".into()),
                },
                None => KeyError::Malformed("the PEM holds no whole block".into()),
            });
        };
        let der = block.decode()?;
        let form = Form::of(&der).ok_or_else(|| {
            KeyError::Malformed(format!(
                "what is inside BEGIN {} is not the DER of a key",
                block.label
            ))
        })?;
        // Tools that make keys write PKCS#8 under the label of PKCS#1, and the other way round.
        if !form.serves(wanted) {
            return Err(KeyError::WrongKind(format!(
                "the PEM block says {} and holds something else",
                block.label
            )));
        }
        Ok(Found {
            form,
            bytes: Bytes::Decoded(der),
        })
    }
}

/// The one DER element that `bytes` holds; white space may follow it, since editors and `echo` leave a newline.
pub(crate) fn element(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.first() != Some(&0x30) {
        return None;
    }
    let mut reader = SliceReader::new(bytes).ok()?;
    let whole = reader.tlv_bytes().ok()?;
    bytes[whole.len()..]
        .iter()
        .all(u8::is_ascii_whitespace)
        .then_some(whole)
}

/// The text for bytes that are neither DER nor PEM, with the remedy for the forms that people have.
pub(crate) fn unknown(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] => {
            "the file is a Java key store; take the key out with: `keytool -importkeystore -srckeystore OLD \
             -destkeystore NEW -deststoretype PKCS12`, then `openssl pkcs12 -nocerts -in NEW`"
        }
        [0x30, ..] => "the DER is cut off, or something follows it",
        _ => foreign_text(bytes).unwrap_or("the key is neither DER nor PEM"),
    }
}

/// The remedy for text that holds a key in a form of other software, or PEM that is not ASCII.
///
/// Sources: RFC 4253, 6.6 (one line of OpenSSH), RFC 4716 (SSH2), RFC 2781 (byte order marks of UTF-16).
pub(crate) fn foreign_text(bytes: &[u8]) -> Option<&'static str> {
    const UTF_16: &str = "the file is text in UTF-16; convert it with: iconv -f UTF-16 -t UTF-8 KEY > NEW";
    let text = bytes.trim_ascii_start();
    match text {
        // With a byte order mark, or ASCII (a dash or a letter) that every second byte leaves empty.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(UTF_16),
        [0, b' '..=b'~', 0, b' '..=b'~', ..] | [b' '..=b'~', 0, b' '..=b'~', 0, ..] => Some(UTF_16),
        _ if text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-sha2-") => {
            Some("the key is in OpenSSH's own format; convert it with: ssh-keygen -e -m PKCS8 -f KEY > NEW")
        }
        _ if text.starts_with(b"---- BEGIN SSH2 PUBLIC KEY") => Some(
            "the key is in the format of SSH2; convert it with: ssh-keygen -i -f KEY > OPENSSH, \
             then ssh-keygen -e -m PKCS8 -f OPENSSH > NEW",
        ),
        _ if text.starts_with(b"PuTTY-User-Key-File-") => Some(
            "the key is in PuTTY's own format; convert it with: puttygen KEY -O private-openssh -o OPENSSH, \
             then ssh-keygen -p -m PKCS8 -f OPENSSH",
        ),
        _ => None,
    }
}

fn bad_der(what: &str, error: &der::Error) -> KeyError {
    // Kinds name tags and lengths, never content.
    KeyError::Malformed(format!("the {what} is not valid DER ({})", error.kind()))
}

fn require_rsa<Params>(algorithm: &spki::AlgorithmIdentifier<Params>) -> Result<(), KeyError> {
    if algorithm.oid == pkcs1::ALGORITHM_OID {
        return Ok(());
    }
    let name = match algorithm.oid.to_string().as_str() {
        "1.2.840.10045.2.1" => "an elliptic-curve key".to_owned(),
        "1.2.840.113549.1.1.10" => "a key restricted to RSASSA-PSS signatures".to_owned(),
        "1.2.840.10040.4.1" => "a DSA key".to_owned(),
        "1.3.101.112" => "an Ed25519 key".to_owned(),
        "1.3.101.110" => "an X25519 key".to_owned(),
        oid => format!("a key for the algorithm {oid}"),
    };
    Err(KeyError::WrongKind(format!(
        "expected an RSA key (rsaEncryption), found {name}"
    )))
}

fn checked_bits(modulus: &UintRef<'_>) -> Result<usize, KeyError> {
    let bytes = modulus.as_bytes();
    let start = bytes.iter().position(|&b| b != 0).unwrap_or(bytes.len());
    let bits = match bytes[start..].first() {
        Some(top) => (bytes.len() - start) * 8 - top.leading_zeros() as usize,
        None => 0,
    };
    match bits {
        0..MIN_BITS => Err(KeyError::TooSmall { bits }),
        MIN_BITS..=MAX_BITS => Ok(bits),
        _ => Err(KeyError::TooLarge { bits }),
    }
}

fn spki(key: &RsaPublicKeyRef<'_>) -> der::Result<Vec<u8>> {
    let pkcs1 = key.to_der()?;
    SubjectPublicKeyInfoRef {
        algorithm: pkcs1::ALGORITHM_ID,
        subject_public_key: BitStringRef::from_bytes(&pkcs1)?,
    }
    .to_der()
}

fn pkcs8(key: &RsaPrivateKeyRef<'_>) -> der::Result<Zeroizing<Vec<u8>>> {
    let pkcs1 = Zeroizing::new(key.to_der()?);
    let info = PrivateKeyInfoRef::new(pkcs1::ALGORITHM_ID, OctetStringRef::new(&pkcs1)?);
    Ok(Zeroizing::new(info.to_der()?))
}

pub(crate) fn decrypt(der: &[u8], password: Option<&[u8]>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|_| {
        // Schemes that the parser does not know look like bad DER to it.
        KeyError::Malformed(format!(
            "the private key is encrypted in a way that is not supported \
             (PBES2 with PBKDF2 or scrypt and AES-CBC, AES-GCM or 3DES is); {PKCS8_REMEDY}"
        ))
    })?;
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(KeyError::Malformed(format!(
            "the private key is encrypted by PBES1, which is weak and not supported; {PKCS8_REMEDY}"
        )));
    };
    bound(&parameters.kdf)?;
    let password = password.ok_or(KeyError::PasswordMissing)?;
    let mut buffer = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let length = match parameters.decrypt_in_place(password, &mut buffer) {
        Ok(plain) => plain.len(),
        Err(pkcs5::Error::DecryptFailed) => return Err(KeyError::PasswordWrong),
        Err(_) => {
            return Err(KeyError::Malformed(format!(
                "the private key is encrypted with parameters that are not supported; {PKCS8_REMEDY}"
            )))
        }
    };
    buffer.truncate(length);
    Ok(buffer)
}

/// Refuses costs that only a hostile or broken file asks for: who may replace a key file must not be able to hang
/// every process that opens it.
fn bound(kdf: &Kdf) -> Result<(), KeyError> {
    let refused = |what: String| {
        Err(KeyError::Malformed(format!(
            "the encrypted private key asks for {what}"
        )))
    };
    match kdf {
        Kdf::Pbkdf2(parameters) if parameters.iteration_count == 0 => refused("no PBKDF2 iterations".into()),
        Kdf::Pbkdf2(parameters) if parameters.iteration_count > MAX_PBKDF2_ITERATIONS => refused(format!(
            "{} PBKDF2 iterations; at most {MAX_PBKDF2_ITERATIONS} are accepted",
            parameters.iteration_count
        )),
        Kdf::Scrypt(parameters) => {
            let (n, r, p) = (
                parameters.cost_parameter,
                u64::from(parameters.block_size),
                u64::from(parameters.parallelization),
            );
            // The crate's own conversion computes log2(n) and needs n to have one.
            if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
                return refused("scrypt parameters that make no sense".into());
            }
            match n.checked_mul(r).and_then(|work| work.checked_mul(p)) {
                Some(work) if work <= MAX_SCRYPT_WORK => Ok(()),
                _ => refused(format!(
                    "scrypt with N·r·p = {n}·{r}·{p}; at most {MAX_SCRYPT_WORK} is accepted"
                )),
            }
        }
        Kdf::Pbkdf2(_) => Ok(()),
        _ => refused("an unknown key derivation".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pkcs8::pkcs5::pbes2::{Pbkdf2Params, ScryptParams};

    fn scrypt(n: u64, r: u16, p: u16) -> bool {
        let salt = pkcs5::pbes2::Salt::new([0u8; 8]).unwrap();
        let parameters = ScryptParams {
            salt,
            cost_parameter: n,
            block_size: r,
            parallelization: p,
            key_length: None,
        };
        bound(&parameters.into()).is_ok()
    }

    #[test]
    fn scrypt_is_bounded_in_memory_and_time() {
        assert!(scrypt(16384, 8, 1));
        assert!(scrypt(65536, 8, 1));
        assert!(!scrypt(131_072, 8, 1));
        assert!(!scrypt(16384, 8, 5));
        assert!(!scrypt(1 << 63, 8, 1));
        assert!(!scrypt(1 << 63, u16::MAX, u16::MAX));
        for (n, r, p) in [(0, 8, 1), (1, 8, 1), (3, 8, 1), (16384, 0, 1), (16384, 8, 0)] {
            assert!(!scrypt(n, r, p), "{n} {r} {p}");
        }
    }

    #[test]
    fn pbkdf2_is_bounded_in_time() {
        let pbkdf2 = |iterations| {
            let mut parameters = Pbkdf2Params::hmac_sha256(1, &[0; 8]).unwrap();
            parameters.iteration_count = iterations;
            bound(&parameters.into()).is_ok()
        };
        assert!(pbkdf2(1) && pbkdf2(MAX_PBKDF2_ITERATIONS));
        assert!(!pbkdf2(0) && !pbkdf2(MAX_PBKDF2_ITERATIONS + 1) && !pbkdf2(u32::MAX));
    }
}
