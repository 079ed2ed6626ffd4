//! The key of an object's content, for a client that decrypts ranges by ciphers of its own.

use std::fmt;

use emrkeys_core::envelope::{Content, Envelope};
use emrkeys_core::{Error, Provider, Request};
use zeroize::Zeroizing;

use crate::content::content_key;
use crate::data_key::{internal, unwrap};

/// The key and the initialisation vector of an object's content, wiped on drop.
pub struct ContentKey {
    /// How the content is encrypted.
    pub content: Content,
    /// The initialisation vector: 16 bytes for AES-CBC, 12 for AES-GCM.
    pub iv: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentKey")
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}

impl ContentKey {
    /// The key of the content with this envelope. `object` is its bucket and key, for the audit log. Blocks where a key
    /// service is asked.
    ///
    /// # Errors
    /// As [`crate::unwrap_data_key`]; `OBJECT_DAMAGED` if the object commits to another key.
    pub fn of(
        provider: &Provider,
        envelope: &Envelope,
        object: Option<(&str, &str)>,
    ) -> Result<ContentKey, Error> {
        let request = Request::Read {
            stored: envelope.description.clone(),
            wrap: envelope.wrap.name(),
            // The caller decrypts AES-CBC itself, so that it is not refused; its wraps are as old as any.
            content: Content::Gcm.name(),
            object,
        };
        let materials = provider
            .materials(request)?
            .ok_or_else(|| internal(&"a read was answered with nothing"))?;
        let data_key = unwrap(&materials.key, envelope)?;
        let (key, iv) = match envelope.content {
            Content::Cbc => (Zeroizing::new(data_key.bytes().to_vec()), envelope.nonce.clone()),
            Content::Gcm | Content::CommittingGcm => {
                let (key, iv) = content_key(&data_key, envelope)?;
                (key, iv.to_vec())
            }
        };
        Ok(ContentKey {
            content: envelope.content,
            iv,
            key,
        })
    }

    /// The key: 16, 24 or 32 bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.key
    }
}
