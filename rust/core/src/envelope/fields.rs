//! How the fields of an envelope are read, format by format.
//!
//! Specification: `s3-encryption/data-format/content-metadata.md`, "Content Metadata Values" and "Algorithm Suite and
//! Message Format Version Compatibility". A field of another format is refused: "Determining S3EC Object Status".

use base64ct::{Base64, Encoding};

use super::{
    invalid, Content, Envelope, Format, Metadata, Wrap, COMMITMENT, COMMITMENT_BYTES, CONTENT, CONTENT_V3,
    CONTEXT_V3, DESCRIPTION, DESCRIPTION_V3, ENCRYPTED_DATA_KEY_V1, ENCRYPTED_DATA_KEY_V2,
    ENCRYPTED_DATA_KEY_V3, IV, MAX_AES_WRAPPED, MAX_WRAPPED, MESSAGE_ID, TAG_BITS, WRAP, WRAPS, WRAP_V3,
};
use crate::description::StoredDescription;
use crate::error::{excerpt, Problem};
use crate::stored_text;

/// The fields of one envelope, unread.
pub(super) struct Fields<'a>(pub(super) &'a Metadata);

impl Fields<'_> {
    /// Specification: "V1". The format does not say how the data key is wrapped; its length does.
    pub(super) fn v1(&self) -> Result<Envelope, Problem> {
        self.refuse(&[CONTENT, WRAP, CONTENT_V3, WRAP_V3, COMMITMENT, MESSAGE_ID])?;
        let wrapped_key = self.wrapped(ENCRYPTED_DATA_KEY_V1)?;
        let wrap = if wrapped_key.len() > MAX_AES_WRAPPED {
            Wrap::RsaPkcs1
        } else {
            Wrap::AesEcb
        };
        Ok(Envelope {
            format: Format::V1,
            content: Content::Cbc,
            wrap,
            wrapped_key,
            nonce: self.nonce(IV, Content::Cbc)?,
            commitment: None,
            description: self.description(DESCRIPTION)?,
        })
    }

    /// Specification: "V2", "V2/V3 Shared", "V2 Only" (the length of the tag is always 128 bits).
    pub(super) fn v2(&self) -> Result<Envelope, Problem> {
        self.refuse(&[CONTENT_V3, WRAP_V3, COMMITMENT, MESSAGE_ID])?;
        let name = self.required(CONTENT)?;
        let content = [Content::Cbc, Content::Gcm]
            .into_iter()
            .find(|content| content.name() == name)
            .ok_or_else(|| unknown(CONTENT, name))?;
        let name = self.required(WRAP)?;
        let wrap = Wrap::from_name(name).ok_or_else(|| unknown(WRAP, name))?;
        // Nobody wrote others, and most wraps do not say which cipher they are for: whoever can change the metadata
        // could have content in AES-GCM read as AES-CBC, which shows no change. Source:
        // `ContentCryptoMaterial.toObjectMetadata` of the SDK v1.
        let written = match content {
            Content::Cbc => wrap == Wrap::Kms,
            _ => !matches!(wrap, Wrap::AesEcb | Wrap::RsaPkcs1),
        };
        if !written {
            return Err(invalid(format!(
                "no client wraps the data key of {} by {}",
                content.name(),
                wrap.name()
            )));
        }
        if content == Content::Gcm && self.required(TAG_BITS)? != "128" {
            return Err(unknown(TAG_BITS, self.required(TAG_BITS)?));
        }
        Ok(Envelope {
            format: Format::V2,
            content,
            wrap,
            wrapped_key: self.wrapped(ENCRYPTED_DATA_KEY_V2)?,
            nonce: self.nonce(IV, content)?,
            commitment: None,
            description: self.description(DESCRIPTION)?,
        })
    }

    /// Specification: "V3", "V3 Only" (with KMS the description is in `x-amz-t`, else in `x-amz-m`).
    pub(super) fn v3(&self) -> Result<Envelope, Problem> {
        self.refuse(&[IV, CONTENT, WRAP, TAG_BITS])?;
        let content = Content::CommittingGcm;
        if self.required(CONTENT_V3)? != content.name() {
            return Err(unknown(CONTENT_V3, self.required(CONTENT_V3)?));
        }
        let name = self.required(WRAP_V3)?;
        let wrap = WRAPS
            .into_iter()
            .find(|wrap| wrap.v3_name() == Some(name))
            .ok_or_else(|| unknown(WRAP_V3, name))?;
        let commitment = self.bytes(COMMITMENT, COMMITMENT_BYTES)?;
        let commitment = <[u8; COMMITMENT_BYTES]>::try_from(commitment)
            .map_err(|bytes| wrong_length(COMMITMENT, bytes.len(), COMMITMENT_BYTES))?;
        let description = if wrap.is_kms() { CONTEXT_V3 } else { DESCRIPTION_V3 };
        Ok(Envelope {
            format: Format::V3,
            content,
            wrap,
            wrapped_key: self.wrapped(ENCRYPTED_DATA_KEY_V3)?,
            nonce: self.nonce(MESSAGE_ID, content)?,
            commitment: Some(commitment),
            description: self.description(description)?,
        })
    }

    /// Fields of another format beside this one's: somebody mixed two envelopes, and nothing shows which is right.
    fn refuse(&self, names: &[&str]) -> Result<(), Problem> {
        match names.iter().find(|name| self.0.contains_key(**name)) {
            None => Ok(()),
            Some(name) => Err(invalid(format!("{name} belongs to another format than the rest"))),
        }
    }

    fn required(&self, name: &str) -> Result<&str, Problem> {
        self.0
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| invalid(format!("{name} is missing")))
    }

    /// At most `most` bytes in base64.
    fn bytes(&self, name: &str, most: usize) -> Result<Vec<u8>, Problem> {
        let text = self.required(name)?;
        if text.len() > most.div_ceil(3) * 4 {
            return Err(invalid(format!(
                "{name} has {} characters, more than any client writes",
                text.len()
            )));
        }
        Base64::decode_vec(text).map_err(|_| invalid(format!("{name} is not base64")))
    }

    fn wrapped(&self, name: &str) -> Result<Vec<u8>, Problem> {
        let wrapped = self.bytes(name, MAX_WRAPPED)?;
        if wrapped.is_empty() {
            return Err(invalid(format!("{name} is empty")));
        }
        Ok(wrapped)
    }

    fn nonce(&self, name: &str, content: Content) -> Result<Vec<u8>, Problem> {
        let nonce = self.bytes(name, COMMITMENT_BYTES)?;
        if nonce.len() != content.nonce_bytes() {
            return Err(wrong_length(name, nonce.len(), content.nonce_bytes()));
        }
        Ok(nonce)
    }

    /// An absent description is an empty one: clients write that as `{}` or not at all.
    fn description(&self, name: &str) -> Result<StoredDescription, Problem> {
        let Some(text) = self.0.get(name) else {
            return Ok(StoredDescription::default());
        };
        let entries = stored_text::description(text)
            .map_err(|error| invalid(format!("{name} is not a JSON object of strings ({error})")))?;
        Ok(entries.into_iter().collect())
    }
}

fn wrong_length(name: &str, found: usize, wanted: usize) -> Problem {
    invalid(format!("{name} has {found} bytes instead of {wanted}"))
}

fn unknown(name: &str, value: &str) -> Problem {
    invalid(format!("{name} is {}, which no client writes", excerpt(value)))
}
