//! The content of an object, sealed and opened as a stream.
//!
//! Specification: the repository awslabs/aws-encryption-sdk-specification, `s3-encryption`: `encryption.md`,
//! "Cipher Initialization"; `decryption.md`; `key-derivation.md`, "HKDF Operation"; `key-commitment.md`.

use emrkeys_crypto::cbc::{Cbc, Padding};
use emrkeys_crypto::cipher::{random, CipherError, Direction, BLOCK};
use emrkeys_crypto::ctr::Ctr;
use emrkeys_crypto::gcm::{Gcm, GcmOpener};
use emrkeys_crypto::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::data_key::{internal, DataKey, DATA_KEY_BYTES};
use emrkeys_core::envelope::{Content, Envelope, COMMITMENT_BYTES};
use emrkeys_core::{Code, Error, Problem};

/// Bytes of the tag that ends the content, where it is AES-GCM. Specification: `encryption.md`,
/// "ALG_AES_256_GCM_IV12_TAG16_NO_KDF".
pub const TAG_BYTES: usize = 16;

/// The number of the committing suite, in the info of its derivations and as additional data.
/// Specification: `key-derivation.md`, "HKDF Operation".
const SUITE: [u8; 2] = [0x00, 0x73];
const DERIVE_KEY: &[u8] = b"\x00\x73DERIVEKEY";
const COMMIT_KEY: &[u8] = b"\x00\x73COMMITKEY";
/// The vector under a derived key, which no other content ever has. Specification: `key-derivation.md`, "HKDF
/// Operation".
const DERIVED_IV: [u8; 12] = [1; 12];

/// Encrypts the content of one new object.
pub struct Sealer {
    gcm: Gcm,
    nonce: Vec<u8>,
    commitment: Option<[u8; COMMITMENT_BYTES]>,
}

impl Sealer {
    /// Begins content under `key` with a fresh vector (or message id).
    ///
    /// # Errors
    /// `CONTENT_UNSUPPORTED` for CBC, which is read and never written; `INTERNAL`.
    pub fn new(key: &DataKey, content: Content) -> Result<Sealer, Error> {
        let mut nonce = vec![0; content.nonce_bytes()];
        random(&mut nonce).map_err(|error| internal(&error))?;
        Sealer::with_nonce(key, content, nonce)
    }

    /// Begins content once more, byte for byte as it was begun before, to go on with what broke off. **The content must
    /// be the same**: other content under the same key and vector gives both away.
    ///
    /// # Errors
    /// As [`Sealer::new`].
    pub fn again(key: &DataKey, envelope: &Envelope) -> Result<Sealer, Error> {
        Sealer::with_nonce(key, envelope.content, envelope.nonce.clone())
    }

    fn with_nonce(key: &DataKey, content: Content, nonce: Vec<u8>) -> Result<Sealer, Error> {
        let (mut gcm, iv, commitment) = match content {
            Content::Cbc => {
                return Err(Problem::new(
                    Code::ContentUnsupported,
                    "AES-CBC is not authenticated; it is read and never written",
                    "Write AES-GCM.",
                )
                .into())
            }
            Content::Gcm => (Gcm::new(key.bytes()), nonce.as_slice(), None),
            Content::CommittingGcm => {
                let commitment = commit(key, &nonce).map_err(|error| internal(&error))?;
                let derived = derive(key, &nonce).map_err(|error| internal(&error))?;
                (Gcm::new(&derived[..]), DERIVED_IV.as_slice(), Some(commitment))
            }
        };
        gcm.as_mut()
            .map_err(|error| *error)
            .and_then(|gcm| {
                gcm.start(Direction::Encrypt, iv)?;
                if commitment.is_some() {
                    gcm.aad(&SUITE)?;
                }
                Ok(())
            })
            .map_err(|error| internal(&error))?;
        Ok(Sealer {
            gcm: gcm.map_err(|error| internal(&error))?,
            nonce,
            commitment,
        })
    }

    /// The vector or message id, for the envelope.
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// The commitment to the data key, for the envelope.
    pub fn commitment(&self) -> Option<[u8; COMMITMENT_BYTES]> {
        self.commitment
    }

    /// Encrypts the next bytes in place.
    ///
    /// # Errors
    /// `CONTENT_UNSUPPORTED` above 64 GiB in all, the most for one key and vector (SP 800-38D, 5.2.1.1).
    pub fn update(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.gcm.update_in_place(buffer).map_err(|error| match error {
            CipherError::TooLong => Problem::new(
                Code::ContentUnsupported,
                "AES-GCM takes at most 64 GiB in one object",
                "Split the object.",
            )
            .into(),
            other => internal(&other).into(),
        })
    }

    /// Ends the content: the tag that follows it.
    ///
    /// # Errors
    /// `INTERNAL`
    pub fn finish(mut self) -> Result<[u8; TAG_BYTES], Error> {
        let mut tag = [0; TAG_BYTES];
        self.gcm.finish(&mut tag).map_err(|error| internal(&error))?;
        Ok(tag)
    }
}

/// Decrypts the whole content of one object. **What it gives is authentic only once [`Opener::finish`] succeeded**, and
/// with [`Content::Cbc`] never.
pub struct Opener(Cipher);

enum Cipher {
    Gcm(GcmOpener),
    Cbc(Cbc),
}

impl Opener {
    /// Begins to decrypt.
    ///
    /// # Errors
    /// `OBJECT_DAMAGED` where the data key is not the one committed to.
    pub fn new(key: &DataKey, envelope: &Envelope) -> Result<Opener, Error> {
        let cipher = match envelope.content {
            Content::Cbc => Cbc::new(key.bytes(), Padding::Pkcs7).and_then(|mut cbc| {
                cbc.start(Direction::Decrypt, &envelope.nonce)?;
                Ok(Cipher::Cbc(cbc))
            }),
            Content::Gcm | Content::CommittingGcm => {
                let (key, iv) = content_key(key, envelope)?;
                GcmOpener::new(&key[..]).and_then(|mut gcm| {
                    gcm.start(&iv, TAG_BYTES)?;
                    if envelope.content == Content::CommittingGcm {
                        gcm.aad(&SUITE)?;
                    }
                    Ok(Cipher::Gcm(gcm))
                })
            }
        };
        Ok(Opener(cipher.map_err(damaged)?))
    }

    /// Decrypts the first `length` bytes of `buffer` in place and says how many bytes of plaintext stand there now, at
    /// most [`TAG_BYTES`] more than went in: `buffer` must have room for them.
    ///
    /// # Errors
    /// `OBJECT_DAMAGED`, `INTERNAL`
    pub fn update(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, Error> {
        let done = match &mut self.0 {
            Cipher::Gcm(gcm) => gcm.update_in_place(buffer, length),
            Cipher::Cbc(cbc) => cbc.update_in_place(buffer, length),
        };
        done.map_err(|error| damaged(error).into())
    }

    /// Ends the content; what is left of it goes to `rest`. Bytes of plaintext there.
    ///
    /// # Errors
    /// `OBJECT_DAMAGED`: all that was decrypted is worthless.
    pub fn finish(&mut self, rest: &mut [u8; BLOCK]) -> Result<usize, Error> {
        let done = match &mut self.0 {
            Cipher::Gcm(gcm) => gcm.finish().map(|()| 0),
            Cipher::Cbc(cbc) => cbc.finish(rest),
        };
        done.map_err(|error| damaged(error).into())
    }
}

/// Decrypts a part of an object's content. **Nothing of it is authenticated**: the tag is over the whole.
/// Specification: `decryption.md`, "Ranged Gets".
pub struct RangeOpener {
    ctr: Ctr,
    /// Bytes of the first block that come before the range.
    skip: usize,
}

impl RangeOpener {
    /// Begins at `offset` bytes of plaintext; feed it the ciphertext from [`RangeOpener::start_of`] on.
    ///
    /// # Errors
    /// `CONTENT_UNSUPPORTED` for CBC; `OBJECT_DAMAGED` as [`Opener::new`].
    pub fn new(key: &DataKey, envelope: &Envelope, offset: u64) -> Result<RangeOpener, Error> {
        if envelope.content == Content::Cbc {
            return Err(Problem::new(
                Code::ContentUnsupported,
                "a part of an object in AES-CBC (EncryptionOnly mode of the SDK v1) cannot be had alone",
                "Read the whole object.",
            )
            .into());
        }
        let (key, iv) = content_key(key, envelope)?;
        // Counter mode as GCM runs it: block n of the message has counter n + 2 (SP 800-38D, 7.1).
        let block = offset / BLOCK as u64;
        let counter = u32::try_from(block)
            .ok()
            .and_then(|block| block.checked_add(2))
            .ok_or_else(|| {
                Problem::new(
                    Code::ContentUnsupported,
                    "the range begins behind the 64 GiB that AES-GCM encrypts",
                    "Correct the range.",
                )
            })?;
        let mut start = [0; BLOCK];
        start[..12].copy_from_slice(&iv);
        start[12..].copy_from_slice(&counter.to_be_bytes());
        let mut ctr = Ctr::new(&key[..]).map_err(|error| internal(&error))?;
        ctr.start(&start).map_err(|error| internal(&error))?;
        Ok(RangeOpener {
            ctr,
            skip: (offset % BLOCK as u64) as usize,
        })
    }

    /// Where in the ciphertext the block begins that holds `offset`.
    pub fn start_of(offset: u64) -> u64 {
        offset - offset % BLOCK as u64
    }

    /// Decrypts the next bytes in place and gives those that belong to the range.
    ///
    /// # Errors
    /// `INTERNAL`
    pub fn update<'a>(&mut self, buffer: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        self.ctr
            .update_in_place(buffer)
            .map_err(|error| internal(&error))?;
        let skipped = self.skip.min(buffer.len());
        self.skip -= skipped;
        Ok(&mut buffer[skipped..])
    }
}

/// Whether the data key is the one that the content was encrypted with, by the end of the content and without the rest.
///
/// AES-CBC: `end` holds the last two blocks of the ciphertext, or the only one; gives the length of the last block's
/// plaintext, which is right for one wrong key in 256. AES-GCM that commits to its key: by the commitment, whatever
/// `end` is; `None`. Other AES-GCM shows nothing but by its tag, over all of it; `None`.
///
/// # Errors
/// `OBJECT_DAMAGED`
pub(super) fn open_end(key: &DataKey, envelope: &Envelope, end: &[u8]) -> Result<Option<u64>, Problem> {
    if envelope.content != Content::Cbc {
        return content_key(key, envelope).map(|_| None);
    }
    let (before, last) = match end.split_at_checked(end.len().wrapping_sub(BLOCK)) {
        Some(([], last)) => (envelope.nonce.as_slice(), last),
        Some((before, last)) if before.len() == BLOCK => (before, last),
        _ => return Err(damaged(CipherError::BlockSize)),
    };
    let mut cbc = Cbc::new(key.bytes(), Padding::Pkcs7).map_err(damaged)?;
    cbc.start(Direction::Decrypt, before).map_err(damaged)?;
    let mut plaintext = Zeroizing::new([0; 2 * BLOCK]);
    let length = cbc.update(last, &mut plaintext[..]).map_err(damaged)?;
    let rest = cbc.finish(&mut plaintext[length..]).map_err(damaged)?;
    Ok(Some((length + rest) as u64))
}

type Key = Zeroizing<Vec<u8>>;

/// The key and vector of AES-GCM content.
pub(super) fn content_key(key: &DataKey, envelope: &Envelope) -> Result<(Key, [u8; 12]), Problem> {
    let Some(stored) = envelope.commitment else {
        let iv = <[u8; 12]>::try_from(envelope.nonce.as_slice()).map_err(|_| damaged(CipherError::IvSize))?;
        return Ok((Zeroizing::new(key.bytes().to_vec()), iv));
    };
    // The commitment is verified, in constant time, before the key of the content is derived. Specification:
    // `decryption.md`, "Decrypting With Commitment".
    let commitment = commit(key, &envelope.nonce).map_err(|error| internal(&error))?;
    if !bool::from(commitment.ct_eq(&stored)) {
        return Err(Problem::new(
            Code::ObjectDamaged,
            "the data key is not the one that the object commits to",
            "Somebody replaced the object's envelope: restore it from an older version of the object or its \
             instruction file.",
        ));
    }
    let derived = derive(key, &envelope.nonce).map_err(|error| internal(&error))?;
    Ok((derived, DERIVED_IV))
}

/// The key of the content. Specification: `key-derivation.md`, "HKDF Operation".
fn derive(key: &DataKey, message_id: &[u8]) -> Result<Key, CipherError> {
    let mut derived = Zeroizing::new(vec![0; DATA_KEY_BYTES]);
    expand(key, message_id, DERIVE_KEY, &mut derived[..])?;
    Ok(derived)
}

/// The commitment to the data key. Specification: as [`derive`].
fn commit(key: &DataKey, message_id: &[u8]) -> Result<[u8; COMMITMENT_BYTES], CipherError> {
    let mut commitment = [0; COMMITMENT_BYTES];
    expand(key, message_id, COMMIT_KEY, &mut commitment)?;
    Ok(commitment)
}

fn expand(key: &DataKey, message_id: &[u8], info: &[u8], output: &mut [u8]) -> Result<(), CipherError> {
    if key.bytes().len() != DATA_KEY_BYTES {
        return Err(CipherError::KeySize);
    }
    hmac::derive_sha512(key.bytes(), message_id, info, output)
}

fn damaged(error: CipherError) -> Problem {
    let what = match error {
        CipherError::TagMismatch => "its authentication tag does not match",
        CipherError::Padding | CipherError::BlockSize => {
            "its length or padding is not one that AES-CBC leaves"
        }
        other => return internal(&other),
    };
    Problem::new(
        Code::ObjectDamaged,
        format!("the content was changed or cut short after it was encrypted: {what}"),
        "Restore the object from an older version or a copy.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use emrkeys_core::envelope::{Format, Wrap};
    use emrkeys_core::StoredDescription;
    use proptest::prelude::*;

    fn seal(key: &DataKey, content: Content, plaintext: &[u8]) -> (Vec<u8>, Envelope) {
        let mut sealer = Sealer::new(key, content).unwrap();
        let envelope = Envelope {
            format: Format::V3,
            content,
            wrap: Wrap::AesGcm,
            wrapped_key: Vec::new(),
            nonce: sealer.nonce().to_vec(),
            commitment: sealer.commitment(),
            description: StoredDescription::default(),
        };
        let mut sealed = plaintext.to_vec();
        sealer.update(&mut sealed).unwrap();
        sealed.extend(sealer.finish().unwrap());
        (sealed, envelope)
    }

    fn open(key: &DataKey, envelope: &Envelope, sealed: &[u8], step: usize) -> Result<Vec<u8>, Error> {
        let mut opener = Opener::new(key, envelope)?;
        let mut plaintext = Vec::new();
        for piece in sealed.chunks(step) {
            let mut buffer = piece.to_vec();
            buffer.resize(piece.len() + TAG_BYTES, 0);
            let length = opener.update(&mut buffer, piece.len())?;
            plaintext.extend(&buffer[..length]);
        }
        let mut rest = [0; BLOCK];
        let length = opener.finish(&mut rest)?;
        plaintext.extend(&rest[..length]);
        Ok(plaintext)
    }

    fn contents() -> impl Strategy<Value = Content> {
        prop::sample::select(vec![Content::Gcm, Content::CommittingGcm])
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened_whole_and_in_parts(
            content in contents(),
            plaintext in prop::collection::vec(any::<u8>(), 0..600),
            step in 1usize..200,
            offset in 0usize..600,
        ) {
            let key = DataKey::generate().unwrap();
            let (sealed, envelope) = seal(&key, content, &plaintext);
            prop_assert_eq!(content.plaintext_length(sealed.len() as u64), Some(plaintext.len() as u64));
            prop_assert_eq!(&open(&key, &envelope, &sealed, step).unwrap(), &plaintext);

            let offset = offset.min(plaintext.len());
            let start = RangeOpener::start_of(offset as u64) as usize;
            let mut opener = RangeOpener::new(&key, &envelope, offset as u64).unwrap();
            let mut part = Vec::new();
            for piece in sealed[start..plaintext.len()].chunks(step) {
                let mut piece = piece.to_vec();
                part.extend_from_slice(opener.update(&mut piece).unwrap());
            }
            prop_assert_eq!(&part, &plaintext[offset..]);
        }

        #[test]
        fn every_changed_or_missing_byte_is_noticed(
            content in contents(),
            plaintext in prop::collection::vec(any::<u8>(), 0..100),
            at in any::<prop::sample::Index>(),
            cut in any::<bool>(),
        ) {
            let key = DataKey::generate().unwrap();
            let (mut sealed, envelope) = seal(&key, content, &plaintext);
            let at = at.index(sealed.len());
            if cut { sealed.truncate(at) } else { sealed[at] ^= 1 }
            let code = open(&key, &envelope, &sealed, 64).unwrap_err().code();
            prop_assert_eq!(code, Code::ObjectDamaged);
        }
    }

    #[test]
    fn another_data_key_is_refused_before_a_byte_is_decrypted_where_the_object_commits_to_one() {
        let (key, other) = (DataKey::generate().unwrap(), DataKey::generate().unwrap());
        let (_, envelope) = seal(&key, Content::CommittingGcm, b"text");
        let refused = Opener::new(&other, &envelope).err().map(|error| error.code());
        assert_eq!(refused, Some(Code::ObjectDamaged));
        assert!(RangeOpener::new(&other, &envelope, 0).is_err());
        assert!(open_end(&other, &envelope, &[]).is_err());
        assert_eq!(open_end(&key, &envelope, &[]).unwrap(), None);
    }

    #[test]
    fn cbc_is_read_and_not_written() {
        let key = DataKey::generate().unwrap();
        assert_eq!(
            Sealer::new(&key, Content::Cbc).err().map(|error| error.code()),
            Some(Code::ContentUnsupported)
        );
        let envelope = Envelope {
            format: Format::V1,
            content: Content::Cbc,
            wrap: Wrap::AesEcb,
            wrapped_key: Vec::new(),
            nonce: vec![3; 16],
            commitment: None,
            description: StoredDescription::default(),
        };
        let mut cbc = Cbc::new(key.bytes(), Padding::Pkcs7).unwrap();
        cbc.start(Direction::Encrypt, &envelope.nonce).unwrap();
        let plaintext = [9; 100];
        let mut sealed = vec![0; 112];
        let length = cbc.update(&plaintext, &mut sealed).unwrap();
        cbc.finish(&mut sealed[length..]).unwrap();
        assert_eq!(open(&key, &envelope, &sealed, 33).unwrap(), plaintext);
        let cut = open(&key, &envelope, &sealed[..100], 33).unwrap_err().code();
        assert_eq!(cut, Code::ObjectDamaged);
        assert_eq!(open_end(&key, &envelope, &sealed[80..]).unwrap(), Some(4));
        for end in [&sealed[..], &sealed[90..], &[]] {
            let refused = open_end(&key, &envelope, end).unwrap_err();
            assert_eq!(refused.code, Code::ObjectDamaged);
        }
        let wrong = (0..2560).filter(|_| {
            let other = DataKey::generate().unwrap();
            open_end(&other, &envelope, &sealed[80..]).is_ok()
        });
        assert!(wrong.count() < 50);
    }
}
