//! From Hadoop properties to a validated [`Config`], parsed once.

mod drop_in;
mod key_details;
mod key_reader;
mod keys;
mod limits;
pub(crate) mod loader;
mod model;
mod parse;
pub(crate) mod properties;
mod property_names;
mod reader;
mod sections;
mod switched_off;
mod validate;

pub(crate) use key_details::KekKind;
pub(crate) use key_reader::{CredentialRef, FileRef};
pub(crate) use keys::*;
pub(crate) use limits::Limits;
pub use model::Config;
pub(crate) use model::RuleTarget;

/// The name of the key that the properties of AWS's providers define.
const DROP_IN_KEY: &str = "default";
/// The property that names the keys of objects that name none.
const LEGACY_KEY: &str = "emrkeys.legacy.key";
const DESCRIPTION_ENABLED: &str = "fs.s3.cse.materialsDescription.enabled";
const V2_ENABLED: &str = "fs.s3.cse.encryptionV2.enabled";

#[cfg(test)]
mod tests;
