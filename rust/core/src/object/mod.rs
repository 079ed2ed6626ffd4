//! Encrypted objects in S3: the formats of the S3 encryption clients, read and written.
//!
//! An object's [`Envelope`] says how its content is encrypted and how the data key is wrapped;
//! [`Provider::data_key`](crate::Provider::data_key) unwraps the data key under the key that the envelope's description names;
//! [`Sealer`] and [`Opener`] do the content; [`Store`] is S3.

mod content;
mod copy;
mod data_key;
pub(crate) mod envelope;
mod rewrap;
mod store;
mod upload;
mod work;

pub use content::{Opener, RangeOpener, Sealer, TAG_BYTES};
pub use data_key::{DataKey, Generation, DATA_KEY_BYTES};
pub use envelope::{
    note_length, noted_length, Content, Envelope, Format, Metadata, Wrap, COMMITMENT_BYTES, INSTRUCTION_MARK,
    INSTRUCTION_SUFFIX, MAX_INSTRUCTION,
};
pub use rewrap::{outcome_name, report_line, Outcome, Rewrap, Skipped};
pub use store::{Body, Found, Head, Listed, ObjectUri, Page, Place, Store, StoreAccess};

pub use upload::Upload;
pub use work::{work_on, Mark, Pace, Walk};

use crate::error::Error;
use crate::provider::{Provider, Request};
use data_key::internal;

/// What a write needs: a fresh data key, wrapped, and the cipher that it begins.
#[derive(Debug)]
pub struct Sealed {
    /// The data key.
    pub data_key: DataKey,
    /// To be stored with the object.
    pub envelope: Envelope,
}

impl Provider {
    /// A fresh data key for a new object at `uri`, wrapped by the key that the rules give, and the [`Sealer`] of its content.
    ///
    /// # Errors
    /// Those of a write (see [`Provider::materials`]); `KEY_UNUSABLE` for a key of type `kms`; `CONTENT_UNSUPPORTED` for CBC.
    pub fn seal(&self, uri: &ObjectUri, content: Content) -> Result<(Sealer, Sealed), Error> {
        let request = Request::Write {
            bucket: &uri.bucket,
            key: &uri.key,
        };
        let materials = self
            .materials(request)?
            .ok_or_else(|| internal(&"a write was answered with nothing"))?;
        let data_key = DataKey::generate()?;
        let (wrap, wrapped_key) = data_key::wrap(&materials, &data_key, content, Generation::V2)?;
        let sealer = Sealer::new(&data_key, content)?;
        let envelope = Envelope {
            format: if content == Content::CommittingGcm {
                Format::V3
            } else {
                Format::V2
            },
            content,
            wrap,
            wrapped_key,
            nonce: sealer.nonce().to_vec(),
            commitment: sealer.commitment(),
            description: materials.description,
        };
        Ok((sealer, Sealed { data_key, envelope }))
    }
}
