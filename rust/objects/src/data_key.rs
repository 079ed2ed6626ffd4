//! The data key of an object: unwrapped, and wrapped again, as the S3 encryption clients do it.

use std::fmt;
use std::time::Duration;

use emrkeys_crypto::cipher::{random, CipherError, Direction};
use emrkeys_crypto::ecb::{Ecb, Padding};
use emrkeys_crypto::rsa_cipher::{Oaep, RsaDecryptor, RsaEncryptor};
use emrkeys_crypto::{gcm_wrap, key_wrap};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use emrkeys_core::aws::{is_kms_alias, Context, KmsAccess, KmsTarget};
use emrkeys_core::description;
use emrkeys_core::envelope::{Content, Envelope, Wrap};
use emrkeys_core::key_service::{self, Answer};
use emrkeys_core::StoredDescription;
use emrkeys_core::{Code, Error, Problem};
use emrkeys_core::{MaterialKey, Materials, Provider, Request};

/// Bytes of a data key, as all clients make them unless they are configured otherwise.
pub const DATA_KEY_BYTES: usize = 32;

/// All tries of one call of KMS together.
const KMS_DEADLINE: Duration = Duration::from_secs(30);
/// The entry of the encryption context that KMS binds a data key to. Specification: awslabs/
/// aws-encryption-sdk-specification, `s3-encryption/materials/s3-kms-keyring.md`, "Kms+Context" (a reserved key).
/// Source of the name: `KmsKeyring.ENCRYPTION_CONTEXT_ALGORITHM_KEY`.
const KMS_CONTENT: &str = "aws:x-amz-cek-alg";

/// The key of one object's content, wiped on drop.
pub struct DataKey {
    bytes: Zeroizing<Vec<u8>>,
    /// The ARN of the KMS key that unwrapped it, as KMS says.
    kms_key: Option<String>,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

impl DataKey {
    /// A new one, from the system's random generator.
    ///
    /// # Errors
    /// `INTERNAL` where the generator fails.
    pub fn generate() -> Result<DataKey, Error> {
        let mut bytes = Zeroizing::new(vec![0; DATA_KEY_BYTES]);
        random(&mut bytes[..]).map_err(|error| internal(&error))?;
        Ok(DataKey { bytes, kms_key: None })
    }

    /// 16, 24 or 32 bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the KMS key that unwrapped it is the one that `wrapped` is under.
    pub(super) fn is_under_key_of(&self, wrapped: &Wrapped) -> bool {
        self.kms_key.is_some() && self.kms_key == wrapped.kms_key
    }

    /// The content of a wrap. The client for PHP makes keys of 128 and 192 bits as well (`KeySize`). A wrap that does
    /// not authenticate gives bytes of any length under a wrong key, so that only the common length passes there; a
    /// key that is committed to always has it.
    fn of(bytes: &[u8], wrap: Wrap, content: Content) -> Result<DataKey, CipherError> {
        let authenticated = !matches!(wrap, Wrap::AesEcb | Wrap::RsaPkcs1);
        match bytes.len() {
            DATA_KEY_BYTES => {}
            16 | 24 if authenticated && content != Content::CommittingGcm => {}
            _ => return Err(CipherError::Unwrap),
        }
        Ok(DataKey {
            bytes: Zeroizing::new(bytes.to_vec()),
            kms_key: None,
        })
    }
}

/// How far the wraps of one generation of clients reach back. Each has one for AES keys and one for RSA pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The SDK v1 in EncryptionOnly mode.
    EncryptionOnly,
    /// The SDK v1's first client in its other modes.
    V1,
    /// The SDK v1's second client and the S3 Encryption Client.
    V2,
}

impl Generation {
    /// The generation whose wrap it is.
    pub fn of(wrap: Wrap) -> Generation {
        match wrap {
            Wrap::AesEcb | Wrap::RsaPkcs1 => Generation::EncryptionOnly,
            Wrap::AesKeyWrap | Wrap::RsaOaepSha256 | Wrap::Kms => Generation::V1,
            Wrap::AesGcm | Wrap::RsaOaepSha1 | Wrap::KmsContext => Generation::V2,
        }
    }
}

/// The data key of an object. Blocks where a key service is asked.
///
/// # Errors
/// The codes of a read (see [`Provider::materials`]); `WRAPPED_KEY_INVALID` where the key that the description names
/// does not unwrap it; those of KMS.
pub fn unwrap_data_key(provider: &Provider, envelope: &Envelope) -> Result<DataKey, Error> {
    let request = Request::Read {
        stored: envelope.description.clone(),
        wrap: envelope.wrap.name(),
        content: envelope.content.name(),
        object: None,
    };
    let materials = provider
        .materials(request)?
        .ok_or_else(|| internal(&"a read was answered with nothing"))?;
    if let MaterialKey::Kms { key_id } = &materials.key {
        return unwrap_in_kms(provider, key_id, envelope);
    }
    Ok(unwrap(&materials.key, envelope)?)
}

/// As [`unwrap_data_key`], in KMS. An alias may have stood for an older key when the object was written.
fn unwrap_in_kms(provider: &Provider, key_id: &str, envelope: &Envelope) -> Result<DataKey, Error> {
    if !envelope.wrap.is_kms() {
        let key_id = key_id.to_owned();
        return Err(other_type(&MaterialKey::Kms { key_id }, envelope).into());
    }
    let mut result = kms_decrypt(key_id, envelope);
    if is_kms_alias(key_id) {
        for older in provider.older_kms_keys(envelope)? {
            match &result {
                Err(problem) if problem.code == Code::WrappedKeyInvalid => {
                    result = kms_decrypt(&older, envelope)
                }
                _ => break,
            }
        }
        if let Err(problem) = &mut result {
            if problem.code == Code::WrappedKeyInvalid {
                problem.remedy.push_str(
                    " If the alias has stood for another KMS key, add that key's ARN to \
                     emrkeys.key.<name>.previous-kms-key-ids.",
                );
            }
        }
    }
    Ok(result?)
}

/// Materials to wrap a data key with, in the way of a generation.
///
/// # Errors
/// Those of a write; `CONFLICT` where nothing would lead from the object to its key of type `kms`.
pub(super) fn materials_to_wrap(
    provider: &Provider,
    request: Request<'_>,
    generation: Generation,
) -> Result<Materials, Error> {
    let materials = provider
        .materials(request)?
        .ok_or_else(|| internal(&"a write was answered with nothing"))?;
    let nameless = generation == Generation::V2 && matches!(materials.key, MaterialKey::Kms { .. });
    if nameless && !provider.has_one_kms_key() {
        return Err(Problem::new(
            Code::Conflict,
            "an object under a key of type kms does not say which one, and several are configured: nothing would lead \
             back to its key",
            "Leave one key of type kms in the configuration, or use keys of type kms-cached.",
        )
        .into());
    }
    Ok(materials)
}

/// A data key as it is stored with an object.
pub(super) struct Wrapped {
    pub(super) wrap: Wrap,
    pub(super) key: Vec<u8>,
    pub(super) description: StoredDescription,
    /// The ARN of the KMS key that wrapped it, as KMS says.
    kms_key: Option<String>,
}

/// A fresh data key for content of one kind, wrapped as the second generation of clients does. A key of type `kms` has
/// KMS make it, in one call.
///
/// # Errors
/// Those of KMS; `INTERNAL`.
pub(super) fn fresh(materials: Materials, content: Content) -> Result<(DataKey, Wrapped), Error> {
    if let MaterialKey::Kms { key_id } = &materials.key {
        let (wrap, context) = in_kms(key_id, content, Generation::V2);
        let target = kms_target(key_id);
        let made = kms(|| Box::pin(target.generate(&context)))?;
        let data_key =
            DataKey::of(made.plaintext.expose_secret(), wrap, content).map_err(|error| internal(&error))?;
        let wrapped = Wrapped {
            wrap,
            key: made.ciphertext,
            description: context.into_iter().collect(),
            kms_key: Some(made.key_arn),
        };
        return Ok((data_key, wrapped));
    }
    let data_key = DataKey::generate()?;
    let wrapped = wrap(materials, &data_key, content, Generation::V2)?;
    Ok((data_key, wrapped))
}

/// Unwraps the data key in `envelope`.
pub(super) fn unwrap(key: &MaterialKey, envelope: &Envelope) -> Result<DataKey, Problem> {
    let wrapped = envelope.wrapped_key.as_slice();
    let binding = envelope.content.name();
    let bytes = match (key, envelope.wrap) {
        (MaterialKey::Symmetric { bytes, .. }, wrap) => {
            let kek = bytes.expose_secret();
            match wrap {
                Wrap::AesEcb => ecb(kek, Direction::Decrypt, wrapped),
                Wrap::AesKeyWrap => key_wrap::unwrap(kek, wrapped),
                Wrap::AesGcm => gcm_wrap::unwrap(kek, wrapped, binding.as_bytes()),
                _ => return Err(other_type(key, envelope)),
            }
        }
        (MaterialKey::KeyPair { private, .. }, wrap) => {
            let private = private.as_ref().ok_or_else(no_private_key)?;
            let decryptor = RsaDecryptor::from_pkcs8(private.expose_secret())
                .map_err(|error| unwrap_failed(envelope, &error))?;
            match wrap {
                // The holder of the private key asks, and nobody must go on with a substitute for the data key.
                Wrap::RsaPkcs1 => decryptor.pkcs1_checked(wrapped),
                Wrap::RsaOaepSha256 => decryptor.oaep_either_mgf1(b"", wrapped),
                Wrap::RsaOaepSha1 => decryptor
                    .oaep(Oaep::SHA1, b"", wrapped)
                    .and_then(|bound| unbind(&bound, binding)),
                _ => return Err(other_type(key, envelope)),
            }
        }
        (MaterialKey::Kms { .. }, _) => return Err(other_type(key, envelope)),
    };
    bytes
        .and_then(|bytes| DataKey::of(&bytes, envelope.wrap, envelope.content))
        .map_err(|error| unwrap_failed(envelope, &error))
}

/// Wraps a data key for content of one kind in the way of a generation.
///
/// # Errors
/// Those of KMS; `INTERNAL`.
pub(super) fn wrap(
    materials: Materials,
    data_key: &DataKey,
    content: Content,
    generation: Generation,
) -> Result<Wrapped, Problem> {
    let binding = content.name();
    let (wrap, key) = match &materials.key {
        MaterialKey::Symmetric { bytes, .. } => {
            let kek = bytes.expose_secret();
            match generation {
                Generation::EncryptionOnly => (
                    Wrap::AesEcb,
                    ecb(kek, Direction::Encrypt, data_key.bytes()).map(|wrapped| wrapped.to_vec()),
                ),
                Generation::V1 => (Wrap::AesKeyWrap, key_wrap::wrap(kek, data_key.bytes())),
                Generation::V2 => (
                    Wrap::AesGcm,
                    gcm_wrap::wrap(kek, data_key.bytes(), binding.as_bytes()),
                ),
            }
        }
        MaterialKey::KeyPair { public, .. } => {
            let encryptor = RsaEncryptor::from_spki(public).map_err(|error| internal(&error))?;
            match generation {
                Generation::EncryptionOnly => (Wrap::RsaPkcs1, encryptor.pkcs1(data_key.bytes())),
                // The mask as SunJCE reads the wrap's name, which is what the clients use unless Bouncy Castle comes
                // first.
                Generation::V1 => (
                    Wrap::RsaOaepSha256,
                    encryptor.oaep(Oaep::SHA256_MGF1_SHA1, b"", data_key.bytes()),
                ),
                Generation::V2 => (
                    Wrap::RsaOaepSha1,
                    encryptor.oaep(Oaep::SHA1, b"", &bind(data_key, binding)),
                ),
            }
        }
        MaterialKey::Kms { key_id } => {
            let (wrap, context) = in_kms(key_id, content, generation);
            let target = kms_target(key_id);
            let (key, kms_key) = kms(|| Box::pin(target.encrypt(data_key.bytes(), &context)))?;
            return Ok(Wrapped {
                wrap,
                key,
                description: context.into_iter().collect(),
                kms_key,
            });
        }
    };
    Ok(Wrapped {
        wrap,
        key: key.map_err(|error| internal(&error))?,
        description: materials.description,
        kms_key: None,
    })
}

/// KMS's wrap of a generation, and the encryption context, which is all that is stored: the clients refuse an object
/// whose context has an entry that they were not given. Specification: `s3-kms-keyring.md`, "Supported Wrapping
/// Algorithm Modes", "Kms+Context". Source: `KMSSecuredCEK` and `ContentCryptoMaterial` of the SDK v1.
fn in_kms(key_id: &str, content: Content, generation: Generation) -> (Wrap, Context) {
    let (wrap, entry) = match generation {
        Generation::EncryptionOnly | Generation::V1 => (Wrap::Kms, (description::KMS_KEY_ID, key_id)),
        Generation::V2 => (Wrap::KmsContext, (KMS_CONTENT, content.name())),
    };
    (wrap, Context::from([(entry.0.to_owned(), entry.1.to_owned())]))
}

fn ecb(kek: &[u8], direction: Direction, input: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    let mut cipher = Ecb::new(kek, Padding::Pkcs7)?;
    cipher.start(direction)?;
    let mut output = Zeroizing::new(vec![0; cipher.update_size(input.len()) + cipher.finish_size()]);
    let length = cipher.update(input, &mut output)?;
    let length = length + cipher.finish(&mut output[length..])?;
    output.truncate(length);
    Ok(output)
}

/// Length of the key, the key, what it is for. Source: `RsaKeyring` of the S3 Encryption Client, `CipherLite` of the
/// SDK v1.
fn bind(data_key: &DataKey, binding: &str) -> Zeroizing<Vec<u8>> {
    let mut bound = Zeroizing::new(Vec::with_capacity(1 + DATA_KEY_BYTES + binding.len()));
    bound.push(data_key.bytes().len() as u8);
    bound.extend_from_slice(data_key.bytes());
    bound.extend_from_slice(binding.as_bytes());
    bound
}

fn unbind(bound: &[u8], binding: &str) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    let (length, rest) = bound.split_first().ok_or(CipherError::Unwrap)?;
    let (key, purpose) = rest
        .split_at_checked(usize::from(*length))
        .ok_or(CipherError::Unwrap)?;
    if purpose != binding.as_bytes() {
        return Err(CipherError::Unwrap);
    }
    Ok(Zeroizing::new(key.to_vec()))
}

/// Specification: `s3-kms-keyring.md`, "DecryptDataKey". The stored context decides, for no caller gives one.
fn kms_decrypt(key_id: &str, envelope: &Envelope) -> Result<DataKey, Problem> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let context: Context = envelope.description.iter().map(owned).collect();
    if envelope.wrap == Wrap::KmsContext
        && context.get(KMS_CONTENT).map(String::as_str) != Some(envelope.content.name())
    {
        return Err(Problem::new(
            Code::WrappedKeyInvalid,
            format!(
                "the encryption context does not bind the data key to {}",
                envelope.content.name()
            ),
            "The object's metadata was changed after it was written: restore it.",
        ));
    }
    let target = kms_target(key_id);
    let (key, kms_key) = kms(|| Box::pin(target.decrypt_data_key(key_id, &envelope.wrapped_key, &context)))?;
    let mut key = DataKey::of(key.expose_secret(), envelope.wrap, envelope.content)
        .map_err(|error| unwrap_failed(envelope, &error))?;
    key.kms_key = kms_key;
    Ok(key)
}

fn kms_target(key_id: &str) -> KmsTarget {
    KmsTarget {
        property: "emrkeys.key.<name>.kms-key-id".to_owned(),
        key_id: key_id.to_owned(),
        access: KmsAccess::default(),
    }
}

/// A call of KMS, tried again where that can help.
fn kms<'a, T>(attempt: impl Fn() -> Answer<'a, T>) -> Result<T, Problem> {
    key_service::call(KMS_DEADLINE, attempt)
}

/// The key that an object leads to, in words.
fn key_of(envelope: &Envelope) -> &'static str {
    if envelope.description.is_empty() {
        "the key for objects that have no description"
    } else {
        "the key that the description leads to"
    }
}

fn other_type(key: &MaterialKey, envelope: &Envelope) -> Problem {
    let kind = match key {
        MaterialKey::Symmetric { .. } => "an AES key",
        MaterialKey::KeyPair { .. } => "an RSA pair",
        MaterialKey::Kms { .. } => "a KMS key",
    };
    Problem::new(
        Code::WrappedKeyInvalid,
        format!(
            "the data key is wrapped by {}, and {} is {kind}",
            envelope.wrap.name(),
            key_of(envelope)
        ),
        "The object's metadata was changed, or the key was configured anew with another type: give the new one another \
         name.",
    )
}

fn no_private_key() -> Problem {
    Problem::new(
        Code::KeyCannotDecrypt,
        "the key has only its public half",
        "Set emrkeys.key.<name>.private.",
    )
}

fn unwrap_failed(envelope: &Envelope, error: &CipherError) -> Problem {
    Problem::new(
        Code::WrappedKeyInvalid,
        format!(
            "the data key does not unwrap under {} ({error})",
            key_of(envelope)
        ),
        "The object's metadata was changed after it was written, or the key's material was: restore it.",
    )
}

pub(super) fn internal(what: &dyn fmt::Display) -> Problem {
    Problem::new(Code::Internal, what.to_string(), "Report this defect.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::KeyPair as _;
    use emrkeys_core::envelope::Format;
    use secrecy::SecretSlice;
    use std::sync::Arc;

    fn aes(byte: u8) -> Materials {
        Materials {
            key: MaterialKey::Symmetric {
                algorithm: "AES",
                bytes: Arc::new(SecretSlice::from(vec![byte; 32])),
            },
            description: StoredDescription::default(),
        }
    }

    fn rsa() -> Materials {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der = pair.as_der().unwrap();
        let public: PublicKeyX509Der = pair.public_key().as_der().unwrap();
        Materials {
            key: MaterialKey::KeyPair {
                public: public.as_ref().to_vec(),
                private: Some(Arc::new(SecretSlice::from(private.as_ref().to_vec()))),
            },
            description: StoredDescription::default(),
        }
    }

    fn envelope(wrap: Wrap, wrapped_key: Vec<u8>, content: Content) -> Envelope {
        Envelope {
            format: Format::V2,
            content,
            wrap,
            wrapped_key,
            nonce: Vec::new(),
            commitment: None,
            description: StoredDescription::default(),
        }
    }

    #[test]
    fn every_wrap_is_undone_and_only_under_its_key() {
        let data_key = DataKey::generate().unwrap();
        let (pair, other_pair) = (rsa(), rsa());
        for (materials, other) in [(aes(1), aes(2)), (pair, other_pair)] {
            for generation in [Generation::EncryptionOnly, Generation::V1, Generation::V2] {
                let wrapped = wrap(materials.clone(), &data_key, Content::Gcm, generation).unwrap();
                assert_eq!(Generation::of(wrapped.wrap), generation);
                let mut sealed = envelope(wrapped.wrap, wrapped.key, Content::Gcm);
                let opened = unwrap(&materials.key, &sealed).unwrap();
                assert_eq!(opened.bytes(), data_key.bytes());
                let refused = unwrap(&other.key, &sealed).unwrap_err();
                assert_eq!(refused.code, Code::WrappedKeyInvalid);
                sealed.wrap = Wrap::Kms;
                assert_eq!(
                    unwrap(&materials.key, &sealed).unwrap_err().code,
                    Code::WrappedKeyInvalid
                );
            }
        }
    }

    #[test]
    fn shorter_data_keys_pass_where_the_wrap_authenticates_them() {
        let MaterialKey::Symmetric { bytes, .. } = aes(1).key else {
            panic!("not symmetric")
        };
        let kek = bytes.expose_secret();
        let opened = |wrap, wrapped, content| unwrap(&aes(1).key, &envelope(wrap, wrapped, content));
        let bound = |size: usize, content: Content| {
            gcm_wrap::wrap(kek, &vec![7; size], content.name().as_bytes()).unwrap()
        };
        for size in [16, 24, 32] {
            let common = size == DATA_KEY_BYTES;
            let key = opened(Wrap::AesGcm, bound(size, Content::Gcm), Content::Gcm).unwrap();
            assert_eq!(key.bytes(), vec![7; size]);
            let committed = bound(size, Content::CommittingGcm);
            let key = opened(Wrap::AesGcm, committed, Content::CommittingGcm);
            assert_eq!(key.is_ok(), common, "{size}");
            let wrapped = ecb(kek, Direction::Encrypt, &vec![7; size]).unwrap();
            let key = opened(Wrap::AesEcb, wrapped.to_vec(), Content::Cbc);
            assert_eq!(key.is_ok(), common, "{size}");
        }
        let refused = opened(Wrap::AesGcm, bound(20, Content::Gcm), Content::Gcm);
        assert_eq!(refused.unwrap_err().code, Code::WrappedKeyInvalid);
    }

    #[test]
    fn a_wrap_of_the_second_generation_is_for_one_cipher_of_the_content() {
        let data_key = DataKey::generate().unwrap();
        for materials in [aes(1), rsa()] {
            let wrapped = wrap(materials.clone(), &data_key, Content::Gcm, Generation::V2).unwrap();
            for other in [Content::Cbc, Content::CommittingGcm] {
                let moved = envelope(wrapped.wrap, wrapped.key.clone(), other);
                assert_eq!(
                    unwrap(&materials.key, &moved).unwrap_err().code,
                    Code::WrappedKeyInvalid
                );
            }
        }
    }

    #[test]
    fn no_data_key_comes_of_a_wrap_under_another_pair() {
        // With implicit rejection about one in 245 would be as long as a data key.
        let data_key = DataKey::generate().unwrap();
        let (pair, other) = (rsa(), rsa());
        for _ in 0..1500 {
            let wrapped = wrap(pair.clone(), &data_key, Content::Cbc, Generation::EncryptionOnly);
            let sealed = envelope(Wrap::RsaPkcs1, wrapped.unwrap().key, Content::Cbc);
            assert!(unwrap(&other.key, &sealed).is_err());
        }
    }

    #[test]
    fn a_public_key_alone_does_not_unwrap() {
        let data_key = DataKey::generate().unwrap();
        let mut pair = rsa();
        let wrapped = wrap(pair.clone(), &data_key, Content::Gcm, Generation::V2).unwrap();
        if let MaterialKey::KeyPair { private, .. } = &mut pair.key {
            *private = None;
        }
        let sealed = envelope(wrapped.wrap, wrapped.key, Content::Gcm);
        assert_eq!(
            unwrap(&pair.key, &sealed).unwrap_err().code,
            Code::KeyCannotDecrypt
        );
    }

    #[test]
    fn a_data_key_does_not_show() {
        let key = DataKey::of(&[0x41; 32], Wrap::AesGcm, Content::Gcm).unwrap();
        assert_eq!(format!("{key:?}"), "DataKey(…)");
    }
}
