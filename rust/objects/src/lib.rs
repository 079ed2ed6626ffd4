//! Encrypted objects in S3: the formats of the S3 encryption clients, read and written.
//!
//! An object's [`Envelope`] says how its content is encrypted and how the data key is wrapped; [`unwrap_data_key`]
//! unwraps the data key under the key that the envelope's description names; [`Sealer`] and [`Opener`] do the content;
//! [`Store`] is S3.
#![forbid(unsafe_code)]

mod body;
mod bucket;
mod calls;
mod content;
mod content_key;
pub mod convert;
mod copy;
mod data_key;
pub mod iceberg;
mod inventory;
mod keep;
mod listing;
pub mod parquet;
mod payer;
mod prove;
mod rewrap;
mod seal;
mod standing;
mod store;
mod upload;
mod work;

pub use body::Body;
pub use bucket::Buckets;
pub use content::{Opener, RangeOpener, Sealer, TAG_BYTES};
pub use content_key::ContentKey;
pub use data_key::{unwrap_data_key, DataKey, Generation, DATA_KEY_BYTES};
pub use inventory::{Manifest, Rows};
pub use listing::Listing;
pub use prove::{prove, Doubts};
pub use rewrap::{outcome_name, report_line, Outcome, Rewrap};
pub use seal::seal;
pub use standing::{Skipped, Target};
pub use store::{forget_stores, local_path, Found, Head, Listed, ObjectUri, Page, Place, Store};
pub use upload::Upload;
pub use work::{work_on, work_on_all, InOrder, Pace};

pub use emrkeys_core::aws::S3Access;
pub use emrkeys_core::envelope::{
    note_length, noted_length, Content, Envelope, Format, Metadata, Wrap, COMMITMENT_BYTES, INSTRUCTION_MARK,
    INSTRUCTION_SUFFIX, MAX_INSTRUCTION,
};
pub use emrkeys_core::stored_text::json_fields;
