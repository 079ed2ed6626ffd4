//! An object that Java reads from S3 by itself, and the key of its content.

use emrkeys_core::{Code, Error};
use emrkeys_objects::{Content, ContentKey, Metadata};

use super::{Reader, Response, Writer};

/// An object that is read, as it lies in S3.
pub(crate) struct Stored<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) metadata: Metadata,
    pub(crate) instruction: Option<&'a [u8]>,
}

/// Bucket and key, the user metadata, the content of the instruction file or null.
pub(crate) fn stored(bytes: &[u8]) -> Result<Stored<'_>, Error> {
    let mut reader = Reader::new(bytes);
    let bucket = reader.text(Code::InvalidUri, "the name of the bucket")?;
    let key = reader.text(Code::InvalidUri, "the key of the object")?;
    let count = reader.count(8)?;
    let mut metadata = Metadata::new();
    for _ in 0..count {
        let name = reader.text(Code::InvalidEnvelope, "a name in the metadata")?;
        let value = reader.text(Code::InvalidEnvelope, "a value in the metadata")?;
        metadata.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let instruction = reader.bytes()?;
    reader.end()?;
    Ok(Stored {
        bucket,
        key,
        metadata,
        instruction,
    })
}

/// The response for the key of a content: 1 for AES-CBC, 2 for AES-GCM, the key, the initialisation vector; a 0 where
/// nothing is encrypted.
pub(crate) fn content_key(key: Option<&ContentKey>) -> Response {
    let Some(key) = key else {
        return Writer::success(1).byte(0).finish();
    };
    let content = match key.content {
        Content::Cbc => 1,
        Content::Gcm | Content::CommittingGcm => 2,
    };
    Writer::success(key.bytes().len() + key.iv.len() + 16)
        .byte(content)
        .bytes(key.bytes())
        .bytes(&key.iv)
        .finish()
}
