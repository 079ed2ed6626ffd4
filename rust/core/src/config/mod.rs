//! From Hadoop properties to a validated [`Config`], parsed once.

mod keys;
mod limits;
pub(crate) mod loader;
mod model;
mod parse;
pub(crate) mod properties;
mod reader;
mod sections;
mod switched_off;
mod validate;

pub(crate) use keys::{
    AesKey, CredentialRef, DataKeyServiceKey, FileRef, KeyConfig, KeyKind, KeyringKey, KmsCachedKey, Origin,
    RsaKey,
};
pub(crate) use limits::Limits;
pub use model::Config;
pub(crate) use model::RuleTarget;

/// The name of the key that the properties of AWS's providers define.
const DROP_IN_KEY: &str = "default";
const DESCRIPTION_ENABLED: &str = "fs.s3.cse.materialsDescription.enabled";
const V2_ENABLED: &str = "fs.s3.cse.encryptionV2.enabled";

#[cfg(test)]
mod tests;
