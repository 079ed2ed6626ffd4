//! Encrypted objects in S3: the formats of the S3 encryption clients, read and written.
//!
//! An object's [`Envelope`] says how its content is encrypted and how the data key is wrapped;
//! [`Provider::data_key`](crate::Provider::data_key) unwraps the data key under the key that the envelope's description names;
//! [`Sealer`] and [`Opener`] do the content; [`Store`] is S3.

mod content;
mod copy;
mod data_key;
pub(crate) mod envelope;
mod inventory;
mod listing;
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
pub use inventory::{Manifest, Rows};
pub use listing::Listing;
pub use rewrap::{outcome_name, report_line, Outcome, Rewrap, Skipped};
pub use store::{local_path, Body, Found, Head, Listed, ObjectUri, Page, Place, Store};
pub use upload::Upload;
pub use work::{work_on, InOrder, Pace};

pub use crate::material::S3Access;

use crate::error::{Code, Error, Problem};
use crate::provider::{MaterialKey, Materials, Provider, Request};
use data_key::internal;

impl Provider {
    /// The [`Sealer`] of a new object at `uri` under a fresh data key, and the envelope to store with it: the data key, wrapped by the key
    /// that the rules give.
    ///
    /// # Errors
    /// Those of a write (see [`Provider::materials`]); for a key of type `kms` those of KMS, and `CONFLICT` where several
    /// of the type are configured; `CONTENT_UNSUPPORTED` for CBC.
    pub fn seal(&self, uri: &ObjectUri, content: Content) -> Result<(Sealer, Envelope), Error> {
        let request = Request::Write {
            bucket: &uri.bucket,
            key: &uri.key,
        };
        let materials = self.materials_to_wrap(request, Generation::V2)?;
        let (data_key, wrapped) = data_key::fresh(materials, content)?;
        let sealer = Sealer::new(&data_key, content)?;
        let envelope = Envelope {
            format: if content == Content::CommittingGcm {
                Format::V3
            } else {
                Format::V2
            },
            content,
            wrap: wrapped.wrap,
            wrapped_key: wrapped.key,
            nonce: sealer.nonce().to_vec(),
            commitment: sealer.commitment(),
            description: wrapped.description,
        };
        Ok((sealer, envelope))
    }

    /// Materials to wrap a data key with, in the way of a generation.
    ///
    /// # Errors
    /// Those of a write; `CONFLICT` where nothing would lead from the object to its key of type `kms`.
    fn materials_to_wrap(&self, request: Request<'_>, generation: Generation) -> Result<Materials, Error> {
        let materials = self
            .materials(request)?
            .ok_or_else(|| internal(&"a write was answered with nothing"))?;
        let nameless = generation == Generation::V2 && matches!(materials.key, MaterialKey::Kms { .. });
        if nameless && !self.has_one_kms_key() {
            return Err(Problem::new(
                Code::Conflict,
                "an object under a key of type kms does not say which one, and several are configured: nothing would lead back to its key",
                "Leave one key of type kms in the configuration, or use keys of type kms-cached.",
            )
            .into());
        }
        Ok(materials)
    }
}
