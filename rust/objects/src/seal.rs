//! New objects: a fresh data key, wrapped by the key that the rules give.

use emrkeys_core::envelope::{Content, Envelope, Format};
use emrkeys_core::{Error, Materials, Provider, Request};

use super::content::Sealer;
use super::data_key::{fresh, materials_to_wrap, DataKey, Generation};
use super::store::ObjectUri;

/// The [`Sealer`] of a new object at `uri` under a fresh data key, and the envelope to store with it: the data key,
/// wrapped by the key that the rules give.
///
/// # Errors
/// Those of a write (see [`Provider::materials`]); for a key of type `kms` those of KMS, and `CONFLICT` where several
/// of the type are configured; `CONTENT_UNSUPPORTED` for CBC.
pub fn seal(provider: &Provider, uri: &ObjectUri, content: Content) -> Result<(Sealer, Envelope), Error> {
    let request = Request::Write {
        bucket: &uri.bucket,
        key: &uri.key,
    };
    let (_, sealer, envelope) = seal_under(materials_to_wrap(provider, request, Generation::V2)?, content)?;
    Ok((sealer, envelope))
}

/// The same with given materials, and the data key.
pub(super) fn seal_under(
    materials: Materials,
    content: Content,
) -> Result<(DataKey, Sealer, Envelope), Error> {
    let (data_key, wrapped) = fresh(materials, content)?;
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
    Ok((data_key, sealer, envelope))
}
