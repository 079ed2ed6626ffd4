//! Key resolution for data at rest on EMR and Hadoop: configuration in, materials out.
//!
//! The one entrance is [`Provider`]. A request (the description that an S3 client hands over) goes through the
//! rules to a key, through the key's source to its material, and comes out as [`Materials`].
#![forbid(unsafe_code)]

mod audit;
pub mod aws;
mod client;
mod config;
mod counters;
pub mod description;
pub mod envelope;
mod error;
mod http;
mod inputs;
pub mod inspect;
mod jce;
mod key_lookup;
pub mod key_service;
pub mod keyring;
mod material;
mod model;
mod names;
mod provider;
pub mod release;
mod resolution;
mod rules;
mod s3a;
mod source;
mod stderr_log;
pub mod stored_text;
pub mod table_key;
mod tables;
pub mod uri;
mod waiting;

pub use client::Client;
pub use config::properties::{reference as property_reference, Property};
pub use config::Config;
pub use counters::Counts;
pub use description::StoredDescription;
pub use error::{excerpt, shell_word, Code, Error, Failure, Problem};
pub use inputs::{InputRef, InputValue, Inputs, Settings};
pub use inspect::catalogs::{table_views, TableView, CATALOGS};
pub use inspect::config_summary::{config_summary, ConfigSummary, FileSummary, KeySummary, RuleSummary};
pub use inspect::explain::{
    current_version, explain, keyring_versions, Considered, Current, Explanation, Verdict,
};
pub use inspect::table_uses::{table_uses, TableUses};
pub use jce::{JceInstall, JceMgf1, JceRelease, JceSettings};
pub use key_lookup::{FoundKey, KeyLookup};
#[cfg(feature = "simulation")]
pub use key_service::cache::simulation;
pub use material::MAX_MATERIAL;
pub use model::{KeyStats, MaterialKey, Materials, Report, Request};
pub use names::is_name;
pub use provider::Provider;
pub use waiting::without_waiting;

/// Drops the clients of KMS and S3 that are kept for the process, with the AWS credentials that they hold, and gives
/// their number. A later call makes a new client.
pub fn forget_clients() -> usize {
    aws::kms::forget_clients() + material::s3::forget_clients()
}

/// The version of this crate, of the native library and of the jar: they are released as one.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
