//! The envelope of an encrypted object: how its content is encrypted and its data key wrapped, as the S3 encryption
//! clients store it in user metadata or in an instruction file.
//!
//! Three formats, by the name of the wrapped key: `x-amz-key` (V1: the SDK v1 in EncryptionOnly mode), `x-amz-key-v2`
//! (V2: all other modes of the SDK v1, its V2 client, the S3 Encryption Client 3), `x-amz-3` (V3: the S3 Encryption
//! Client 4, which commits to the key).
//!
//! Specification: the repository awslabs/aws-encryption-sdk-specification, `s3-encryption/data-format`: the names in
//! `content-metadata.md`, "Content Metadata MapKeys"; where they stand in `metadata-strategy.md`. It leaves open what
//! older clients wrote. Source of that: `Headers`, `ContentCryptoMaterial` of the SDK v1;
//! `ContentMetadataDecodingStrategy` of the S3 Encryption Client 4.

mod fields;

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};

use crate::description::{self, StoredDescription};
use crate::error::{excerpt, Code, Problem};
use crate::stored_text;
use fields::Fields;

/// User metadata of an object: names in lower case, without S3's `x-amz-meta-`.
pub type Metadata = BTreeMap<String, String>;

/// The suffix of the key of an instruction file. Specification: `metadata-strategy.md`, "Instruction File".
pub const INSTRUCTION_SUFFIX: &str = ".instruction";
/// Marks an object as an instruction file. Source: `Headers.CRYPTO_INSTRUCTION_FILE`.
pub const INSTRUCTION_MARK: &str = "x-amz-crypto-instr-file";
/// The most bytes of an instruction file that are read: many times what a description of 64 KiB needs.
pub const MAX_INSTRUCTION: usize = 512 * 1024;

const ENCRYPTED_DATA_KEY_V1: &str = "x-amz-key";
const ENCRYPTED_DATA_KEY_V2: &str = "x-amz-key-v2";
const ENCRYPTED_DATA_KEY_V3: &str = "x-amz-3";
const IV: &str = "x-amz-iv";
const CONTENT: &str = "x-amz-cek-alg";
const TAG_BITS: &str = "x-amz-tag-len";
const WRAP: &str = "x-amz-wrap-alg";
const DESCRIPTION: &str = "x-amz-matdesc";
const CONTENT_V3: &str = "x-amz-c";
const WRAP_V3: &str = "x-amz-w";
const DESCRIPTION_V3: &str = "x-amz-m";
const CONTEXT_V3: &str = "x-amz-t";
const COMMITMENT: &str = "x-amz-d";
const MESSAGE_ID: &str = "x-amz-i";
const PLAINTEXT_LENGTH: &str = "x-amz-unencrypted-content-length";

/// Those that hold the envelope, whatever its format.
const NAMES: [&str; 14] = [
    ENCRYPTED_DATA_KEY_V1,
    ENCRYPTED_DATA_KEY_V2,
    ENCRYPTED_DATA_KEY_V3,
    IV,
    CONTENT,
    TAG_BITS,
    WRAP,
    DESCRIPTION,
    CONTENT_V3,
    WRAP_V3,
    DESCRIPTION_V3,
    CONTEXT_V3,
    COMMITMENT,
    MESSAGE_ID,
];
/// Those that the V3 format leaves with the object when the rest is in an instruction file. Specification:
/// `metadata-strategy.md`, "V3 Instruction Files".
const BESIDE_INSTRUCTION: [&str; 3] = [CONTENT_V3, COMMITMENT, MESSAGE_ID];

/// Bytes of a key commitment and of a message id. Specification: `ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY` of
/// `framework/algorithm-suites.md`, "Supported Algorithm Suites".
pub const COMMITMENT_BYTES: usize = 28;
/// The longest wrapped data key, in bytes: twice one under the largest RSA key, and more than KMS ever returned.
const MAX_WRAPPED: usize = 2048;
/// A wrapped key of this many bytes or fewer, without a word on how, is wrapped by AES: 32 bytes and one block of
/// padding. Source: `ContentMetadataDecodingStrategy`.
const MAX_AES_WRAPPED: usize = 48;

/// Where the envelope's fields stand and what they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `x-amz-key`.
    V1,
    /// `x-amz-key-v2`.
    V2,
    /// `x-amz-3`.
    V3,
}

/// How the content is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// AES-256-CBC with PKCS#7 padding: not authenticated.
    Cbc,
    /// AES-256-GCM with a tag of 16 bytes at the end.
    Gcm,
    /// The same under a key derived by HKDF-SHA512, with a commitment to the data key.
    CommittingGcm,
}

impl Content {
    /// As the clients write it. Specification: `content-metadata.md`, "V2/V3 Shared".
    pub fn name(self) -> &'static str {
        match self {
            Content::Cbc => "AES/CBC/PKCS5Padding",
            Content::Gcm => "AES/GCM/NoPadding",
            Content::CommittingGcm => "115",
        }
    }

    /// Bytes of the initialisation vector, or of the message id that stands in its place.
    pub fn nonce_bytes(self) -> usize {
        match self {
            Content::Cbc => 16,
            Content::Gcm => 12,
            Content::CommittingGcm => COMMITMENT_BYTES,
        }
    }

    /// The bytes of plaintext in an object of `length` bytes; for CBC the most. `None` if the object is too short.
    pub fn plaintext_length(self, length: u64) -> Option<u64> {
        match self {
            Content::Cbc => (length >= 16 && length.is_multiple_of(16)).then(|| length - 1),
            Content::Gcm | Content::CommittingGcm => length.checked_sub(16),
        }
    }
}

/// How the data key is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrap {
    /// AES-ECB with PKCS#7 padding.
    AesEcb,
    /// RSA PKCS#1 v1.5.
    RsaPkcs1,
    /// AES key wrap (RFC 3394).
    AesKeyWrap,
    /// RSA-OAEP with SHA-256, the mask by SHA-1 or SHA-256.
    RsaOaepSha256,
    /// AES-GCM, bound to the cipher of the content.
    AesGcm,
    /// RSA-OAEP with SHA-1 over the data key and the cipher of the content.
    RsaOaepSha1,
    /// KMS.
    Kms,
    /// KMS, bound to the cipher of the content.
    KmsContext,
}

const WRAPS: [Wrap; 8] = [
    Wrap::AesEcb,
    Wrap::RsaPkcs1,
    Wrap::AesKeyWrap,
    Wrap::RsaOaepSha256,
    Wrap::AesGcm,
    Wrap::RsaOaepSha1,
    Wrap::Kms,
    Wrap::KmsContext,
];

impl Wrap {
    /// As the clients write it; V1 envelopes do not. Specification: `content-metadata.md`, "V2/V3 Shared". Source of
    /// the names that it lacks, `AES` and `RSA`: `AesKeyring`, `RsaKeyring` of the S3 Encryption Client.
    pub fn name(self) -> &'static str {
        match self {
            Wrap::AesEcb => "AES",
            Wrap::RsaPkcs1 => "RSA",
            Wrap::AesKeyWrap => "AESWrap",
            Wrap::RsaOaepSha256 => "RSA/ECB/OAEPWithSHA-256AndMGF1Padding",
            Wrap::AesGcm => "AES/GCM",
            Wrap::RsaOaepSha1 => "RSA-OAEP-SHA1",
            Wrap::Kms => "kms",
            Wrap::KmsContext => "kms+context",
        }
    }

    /// The wrap with that name.
    pub fn from_name(name: &str) -> Option<Wrap> {
        WRAPS.into_iter().find(|wrap| wrap.name() == name)
    }

    /// Whether it leaves the data key unbound to its purpose, as all wraps of the SDK v1's first client do.
    pub fn is_legacy(self) -> bool {
        !matches!(self, Wrap::AesGcm | Wrap::RsaOaepSha1 | Wrap::KmsContext)
    }

    /// Whether KMS itself wrapped the data key.
    pub fn is_kms(self) -> bool {
        matches!(self, Wrap::Kms | Wrap::KmsContext)
    }

    /// In the V3 format, which has names for these alone. Specification: `content-metadata.md`, "V3 Only".
    fn v3_name(self) -> Option<&'static str> {
        match self {
            Wrap::AesGcm => Some("02"),
            Wrap::KmsContext => Some("12"),
            Wrap::RsaOaepSha1 => Some("22"),
            _ => None,
        }
    }
}

/// Everything that is stored with an object and that decryption needs, besides the key. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// How it is written down.
    pub format: Format,
    /// How the content is encrypted.
    pub content: Content,
    /// How the data key is wrapped.
    pub wrap: Wrap,
    /// The wrapped data key, at most 2048 bytes.
    pub wrapped_key: Vec<u8>,
    /// The initialisation vector (CBC 16 bytes, GCM 12), or the message id (28 bytes) if the key is committed to.
    pub nonce: Vec<u8>,
    /// The commitment to the data key; there for [`Content::CommittingGcm`] alone.
    pub commitment: Option<[u8; COMMITMENT_BYTES]>,
    /// The materials description; with KMS the encryption context.
    pub description: StoredDescription,
}

impl Envelope {
    /// Whether user metadata holds an envelope, whole or (V3 with an instruction file) in part.
    pub fn is_in(metadata: &Metadata) -> bool {
        NAMES.iter().any(|name| metadata.contains_key(*name))
    }

    /// Whether the rest of the envelope is in an instruction file.
    pub fn is_split(metadata: &Metadata) -> bool {
        BESIDE_INSTRUCTION.iter().all(|name| metadata.contains_key(*name))
            && !metadata.contains_key(ENCRYPTED_DATA_KEY_V3)
    }

    /// Reads the envelope in an object's user metadata; `None` if it has no envelope.
    ///
    /// # Errors
    /// `INVALID_ENVELOPE`: fields are missing, contradict each other, or are not what any client writes.
    pub fn parse(metadata: &Metadata) -> Result<Option<Envelope>, Problem> {
        if !Envelope::is_in(metadata) {
            return Ok(None);
        }
        let fields = Fields(metadata);
        let present: Vec<&str> = [
            ENCRYPTED_DATA_KEY_V1,
            ENCRYPTED_DATA_KEY_V2,
            ENCRYPTED_DATA_KEY_V3,
        ]
        .into_iter()
        .filter(|name| metadata.contains_key(*name))
        .collect();
        match present.as_slice() {
            [ENCRYPTED_DATA_KEY_V1] => fields.v1(),
            [ENCRYPTED_DATA_KEY_V2] => fields.v2(),
            [ENCRYPTED_DATA_KEY_V3] => fields.v3(),
            [] => Err(invalid("it has no wrapped data key".to_owned())),
            several => Err(invalid(format!(
                "it has the wrapped data keys of several formats ({})",
                several.join(", ")
            ))),
        }
        .map(Some)
    }

    /// Reads the envelope in the metadata of an object without an instruction file; `None` if no client encrypted it.
    ///
    /// # Errors
    /// As [`Envelope::parse`]; `INSTRUCTION_FILE_MISSING` if the metadata shows that a client encrypted the object and
    /// the rest is absent. Clients note the length of the plaintext with every object but those uploaded in parts.
    pub fn parse_alone(metadata: &Metadata) -> Result<Option<Envelope>, Problem> {
        let encrypted = metadata.contains_key(PLAINTEXT_LENGTH) && !Envelope::is_in(metadata);
        if encrypted || Envelope::is_split(metadata) {
            return Err(Problem::new(
                Code::InstructionFileMissing,
                "a client encrypted the object, and the instruction file that says how is not there",
                "Restore the instruction file, from an older version of it or a copy. Do not encrypt the object again.",
            ));
        }
        Envelope::parse(metadata)
    }

    /// Reads the envelope in an instruction file, whose object has `metadata`.
    /// Specification: `metadata-strategy.md`, "V1/V2 Instruction Files", "V3 Instruction Files".
    ///
    /// # Errors
    /// `INVALID_ENVELOPE`
    pub fn parse_instruction(instruction: &[u8], metadata: &Metadata) -> Result<Envelope, Problem> {
        if instruction.len() > MAX_INSTRUCTION {
            return Err(invalid(format!(
                "its instruction file has {} bytes, more than {MAX_INSTRUCTION}",
                instruction.len()
            )));
        }
        let mut fields: Metadata = stored_text::json_fields(instruction)
            .map_err(|error| invalid(format!("its instruction file is no JSON object ({error})")))?;
        for name in BESIDE_INSTRUCTION {
            // Only with the object, where whoever can replace an instruction file cannot change them unseen.
            fields.remove(name);
            if let Some(value) = metadata.get(name) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
        Envelope::parse(&fields)?.ok_or_else(|| invalid("its instruction file holds none".to_owned()))
    }

    /// The client that writes such envelopes, and its mode.
    pub fn written_by(&self) -> &'static str {
        match (self.format, self.content) {
            (Format::V1, _) => "SDK v1, EncryptionOnly",
            (Format::V2, Content::Cbc) => "SDK v1, EncryptionOnly with KMS",
            (Format::V2, _) if self.wrap.is_legacy() => "SDK v1, V1 client, AuthenticatedEncryption",
            (Format::V2, _) => "SDK v1, V2 client, or S3 Encryption Client 3",
            (Format::V3, _) => "S3 Encryption Client 4",
        }
    }

    /// The name of the key in the description, if it is one of ours.
    pub fn key(&self) -> Option<&str> {
        self.description.get(description::KEY)
    }

    /// The version of the key in the description: a version's name, or the id of a key of KMS or another provider.
    pub fn version(&self) -> Option<&str> {
        self.description.version()
    }

    /// The length of the plaintext that a client noted in `metadata`, the user metadata of an object of `length` bytes.
    /// `None` where it noted none.
    ///
    /// # Errors
    /// `INVALID_ENVELOPE` for what is no length, or not that of an object of `length` bytes.
    pub fn noted_length(&self, metadata: &Metadata, length: u64) -> Result<Option<u64>, Problem> {
        let noted = noted_length(metadata)?;
        let fits = |plaintext: u64| match self.content {
            // Padding fills the last block, and is a whole one where nothing is left to fill.
            Content::Cbc => length.is_multiple_of(16) && plaintext / 16 + 1 == length / 16,
            content => content.plaintext_length(length) == Some(plaintext),
        };
        match noted {
            Some(wrong) if !fits(wrong) => Err(invalid(format!(
                "{PLAINTEXT_LENGTH} is {wrong}, which {length} bytes of ciphertext do not hold"
            ))),
            noted => Ok(noted),
        }
    }

    /// The fields to store, all of them.
    pub fn to_metadata(&self) -> Metadata {
        let base64 = |bytes: &[u8]| Base64::encode_string(bytes);
        let description = json(&self.description);
        let mut fields: Vec<(&str, String)> = Vec::new();
        match self.format {
            Format::V1 => fields.extend([
                (ENCRYPTED_DATA_KEY_V1, base64(&self.wrapped_key)),
                (IV, base64(&self.nonce)),
                (DESCRIPTION, description),
            ]),
            Format::V2 => {
                fields.extend([
                    (ENCRYPTED_DATA_KEY_V2, base64(&self.wrapped_key)),
                    (IV, base64(&self.nonce)),
                    (CONTENT, self.content.name().to_owned()),
                    (WRAP, self.wrap.name().to_owned()),
                    (DESCRIPTION, description),
                ]);
                if self.content != Content::Cbc {
                    fields.push((TAG_BITS, "128".to_owned()));
                }
            }
            Format::V3 => {
                fields.extend([
                    (ENCRYPTED_DATA_KEY_V3, base64(&self.wrapped_key)),
                    (MESSAGE_ID, base64(&self.nonce)),
                    (CONTENT_V3, self.content.name().to_owned()),
                    (WRAP_V3, self.wrap.v3_name().unwrap_or_default().to_owned()),
                ]);
                let commitment = self.commitment.as_ref();
                fields.extend(commitment.map(|bytes| (COMMITMENT, base64(bytes))));
                if !self.description.is_empty() {
                    let kms = self.wrap.is_kms();
                    fields.push((if kms { CONTEXT_V3 } else { DESCRIPTION_V3 }, description));
                }
            }
        }
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// `metadata` with this envelope in place of the one in it; everything else stays.
    pub fn replace_in(&self, metadata: &Metadata) -> Metadata {
        let mut replaced = metadata.clone();
        replaced.retain(|name, _| !NAMES.contains(&name.as_str()));
        replaced.extend(self.to_metadata());
        replaced
    }

    /// `metadata` without an envelope and without what belongs to one: that of an object in the clear.
    pub fn strip(metadata: &Metadata) -> Metadata {
        let own = |name: &str| !NAMES.contains(&name) && name != PLAINTEXT_LENGTH;
        let mut stripped = metadata.clone();
        stripped.retain(|name, _| own(name));
        stripped
    }

    /// The content of an instruction file, and the part of it that stays with the object in its user metadata.
    pub fn to_instruction(&self) -> (Vec<u8>, Metadata) {
        let mut fields = self.to_metadata();
        let beside = BESIDE_INSTRUCTION
            .into_iter()
            .filter_map(|name| fields.remove_entry(name))
            .collect();
        let text = serde_json::to_string(&fields).unwrap_or_default(); // strings always can be written
        (text.into_bytes(), beside)
    }
}

/// The length in bytes of the plaintext, as a client noted it; `None` if it noted none, as after multipart uploads.
///
/// # Errors
/// `INVALID_ENVELOPE` for what is no length.
pub fn noted_length(metadata: &Metadata) -> Result<Option<u64>, Problem> {
    let Some(text) = metadata.get(PLAINTEXT_LENGTH) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        invalid(format!(
            "{PLAINTEXT_LENGTH} is {}, which is no length",
            excerpt(text)
        ))
    })
}

/// Notes the length of the plaintext, in bytes.
pub fn note_length(metadata: &mut Metadata, length: u64) {
    metadata.insert(PLAINTEXT_LENGTH.to_owned(), length.to_string());
}

fn json(description: &StoredDescription) -> String {
    let entries: BTreeMap<&str, &str> = description.iter().collect();
    stored_text::ascii_json(&entries)
}

fn invalid(what: String) -> Problem {
    Problem::new(
        Code::InvalidEnvelope,
        format!("the object's envelope is malformed: {what}"),
        "The object's metadata or instruction file was changed after it was written, or was written by \
         other software: restore it.",
    )
}

#[cfg(test)]
mod tests;
