//! Key resolution for data at rest on EMR and Hadoop: configuration in, materials out.
//!
//! The one entrance is [`Provider`]. A request (the description that an S3 client hands over) goes through the
//! rules to a key, through the key's source to its material, and comes out as [`Materials`].

mod audit;
mod aws;
mod cache;
pub mod checks;
pub mod client;
mod config;
mod description;
mod error;
mod explain;
mod https;
mod inputs;
mod jce;
pub mod keyring;
mod kms;
mod material;
mod notice;
pub mod object;
mod outline;
mod owners;
mod provider;
mod release;
mod rules;
mod runtime;
mod source;
mod uri;

#[cfg(feature = "simulation")]
pub use cache::simulation;
pub use cache::Counts;
pub use config::is_name;
pub use config::properties::{reference as property_reference, Property};
pub use error::{Code, Error, Problem};
pub use explain::{Considered, Current, Explainer, Explanation, Verdict};
pub use inputs::{InputRef, InputValue, Inputs, Settings};
pub use jce::{JceInstall, JceMgf1, JceRelease, JceSettings};
pub use outline::{outline, FileOutline, KeyOutline, Outline, RuleOutline};
pub use owners::{Owner, Owners};
pub use provider::{plan, KeyStats, MaterialKey, Materials, Provider, Report, Request, Usage};

/// The largest key file or credential that is read, in bytes: many times the largest RSA key in PEM.
pub const MAX_MATERIAL: usize = 64 * 1024;

/// The version of this crate, of the native library and of the jar: they are released as one.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
