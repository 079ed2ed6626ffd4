//! The certificates that one side of a TLS connection shows and trusts, and its private key, from PEM or PKCS#12.
//!
//! PEM may hold certificates and one private key (PKCS#8, encrypted by PBES2 or not, or PKCS#1) in any order. PKCS#12
//! may be protected by all that aws-lc knows, which includes RC2 and triple DES, as the `keytool` of Java 8 writes it.

use std::ffi::CString;

use der::{Reader, SliceReader};
use secrecy::SecretSlice;
use zeroize::{Zeroize, Zeroizing};

use crate::backend;
use crate::pem::{find, Pem, BEGIN, PKCS8_REMEDY};
use crate::rsa::{element, foreign_text, unknown, Form, PrivateKey};
use crate::KeyError;

/// Certificates and at most one private key. They are not checked against each other.
pub struct KeyStore {
    certificates: Vec<Vec<u8>>,
    key: Option<SecretSlice<u8>>,
}

impl KeyStore {
    /// Reads PEM or PKCS#12. `password` opens a PKCS#12 store, or an encrypted key in PEM.
    ///
    /// The file says how much work its decryption is: read only files that others cannot write.
    pub fn parse(bytes: &[u8], password: Option<&[u8]>) -> Result<Self, KeyError> {
        if bytes.first() == Some(&0x30) {
            return Self::from_pkcs12(bytes, password);
        }
        if find(bytes, BEGIN).is_some() {
            return Self::from_pem(bytes, password);
        }
        Err(KeyError::Malformed(match bytes {
            [0xfe, 0xed, 0xfe, 0xed, ..] => {
                "the file is a Java key store (JKS); convert it with: `keytool -importkeystore \
                -srckeystore OLD -destkeystore NEW -deststoretype PKCS12`"
                    .to_owned()
            }
            _ => foreign_text(bytes)
                .unwrap_or("the file is neither PEM nor PKCS#12")
                .to_owned(),
        }))
    }

    /// Each certificate as DER, in the order of the file.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The private key as PKCS#8 DER, of whatever algorithm.
    pub fn key(&self) -> Option<&SecretSlice<u8>> {
        self.key.as_ref()
    }

    fn from_pkcs12(bytes: &[u8], password: Option<&[u8]>) -> Result<Self, KeyError> {
        let truncated = || KeyError::Malformed(unknown(bytes).to_owned());
        // A store in BER's indefinite length has no length that could be checked.
        let whole = match SliceReader::new(bytes)
            .ok()
            .and_then(|mut reader| reader.tlv_bytes().ok())
        {
            Some(_) => element(bytes).ok_or_else(truncated)?,
            None => bytes,
        };
        match Form::of(whole) {
            Some(Form::KeyStore) | None => {}
            Some(_) => {
                return Err(KeyError::WrongKind(
                    "expected certificates in PEM or PKCS#12, found a single key or certificate in DER"
                        .to_owned(),
                ))
            }
        }
        // aws-lc takes C strings. The password is wiped here; its UCS-2 form inside aws-lc is wiped there.
        let mut text = match password {
            None => None,
            Some(password) => Some(CString::new(password).map_err(|error| {
                error.into_vec().zeroize();
                KeyError::PasswordWrong
            })?),
        };
        let opened = backend::pkcs12(whole, text.as_deref());
        if let Some(text) = text.take() {
            text.into_bytes().zeroize();
        }
        match opened {
            Ok(opened) => Ok(KeyStore {
                certificates: opened.certificates,
                key: opened
                    .key
                    .map(|key| SecretSlice::from(Box::<[u8]>::from(key.as_slice()))),
            }),
            Err(backend::Pkcs12Error::Password) => Err(match password {
                Some(_) => KeyError::PasswordWrong,
                None => KeyError::PasswordMissing,
            }),
            Err(backend::Pkcs12Error::Malformed(why)) => Err(KeyError::Malformed(why.to_owned())),
        }
    }

    fn from_pem(bytes: &[u8], password: Option<&[u8]>) -> Result<Self, KeyError> {
        let mut certificates = Vec::new();
        let mut key = None;
        let mut rest = bytes;
        while let Some(block) = Pem::next(&mut rest)? {
            let found = match Form::of_label(block.label) {
                Some(Form::Certificate) => {
                    certificates.push(block.decode()?.to_vec());
                    continue;
                }
                Some(form @ (Form::Pkcs8 | Form::EncryptedPkcs8 | Form::Pkcs1Private)) => {
                    private_key(form, &block.decode()?, password)?
                }
                Some(Form::EcPrivate) => {
                    return Err(KeyError::WrongKind(
                        "the private key is in OpenSSL's own form for elliptic curves; convert it with: \
                         `openssl pkcs8 -topk8 -in KEY`"
                            .to_owned(),
                    ))
                }
                // Parameters, requests and the like.
                _ => continue,
            };
            if key.replace(found).is_some() {
                return Err(KeyError::Malformed(
                    "there is more than one private key in the PEM".to_owned(),
                ));
            }
        }
        Ok(KeyStore { certificates, key })
    }
}

/// `form` is that of the label; the content decides which form of a private key it is.
fn private_key(form: Form, der: &[u8], password: Option<&[u8]>) -> Result<SecretSlice<u8>, KeyError> {
    let form = match Form::of(der) {
        Some(found @ (Form::Pkcs8 | Form::EncryptedPkcs8 | Form::Pkcs1Private)) => found,
        _ => form,
    };
    let plain: Zeroizing<Vec<u8>> = match form {
        Form::Pkcs1Private => return Ok(PrivateKey::parse(der, None)?.pkcs8_der().clone()),
        Form::EncryptedPkcs8 => crate::rsa::decrypt(der, password)?,
        _ => Zeroizing::new(der.to_vec()),
    };
    match element(&plain).and_then(Form::of) {
        Some(Form::Pkcs8) => Ok(SecretSlice::from(Box::<[u8]>::from(plain.as_slice()))),
        // One wrong password in 256 gives sound padding around rubbish.
        _ if form == Form::EncryptedPkcs8 => Err(KeyError::PasswordWrong),
        _ => Err(KeyError::Malformed(format!(
            "what is inside BEGIN PRIVATE KEY is not PKCS#8; {PKCS8_REMEDY}"
        ))),
    }
}
