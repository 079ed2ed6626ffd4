//! Key sources: where the material of a key comes from. One file for each type of key.
//!
//! A source knows its key's name, material and versions. It knows nothing of rules, of other keys, or of who calls.

pub(crate) mod aes;
pub(crate) mod aes_key;
pub(crate) mod cached;
pub(crate) mod keyring;
pub(crate) mod kms;
pub(crate) mod rsa;
pub(crate) mod service;
pub(crate) mod versions;

use std::time::Duration;

use crate::cache::Counts;
use crate::config::{Config, CredentialRef, FileRef};
use crate::description::Description;
use crate::error::{Code, Problem};
use crate::inputs::{InputRef, InputValue, Inputs};
use crate::material::{self, Material, Permissions, Secrecy};
use crate::provider::Materials;

use secrecy::SecretSlice;

/// A configured key, loaded and ready. Shared by all threads.
pub(crate) trait Source: Send + Sync {
    /// Materials for a new object: the current version.
    fn for_encryption(&self) -> Result<Materials, Problem>;

    /// Materials for an object whose stored description names this key and, where keys of the type have versions,
    /// the version `stored` says.
    fn for_decryption(&self, stored: &Description) -> Result<Materials, Problem>;

    /// Materials for an object that another provider wrote and that was attributed to exactly this key.
    fn for_decryption_of_foreign(&self, stored: &Description) -> Result<Materials, Problem>;

    /// Asks for what may have changed since, on a refresh.
    ///
    /// # Errors
    /// What went wrong; then the source is as it was.
    fn renew(&self) -> Result<(), Problem> {
        Ok(())
    }

    /// What it asked a key service, if it has one, and the age of the key that encrypts.
    fn counts(&self) -> Option<(Counts, Option<Duration>)> {
        None
    }

    /// The type of the key, as configured.
    fn type_name(&self) -> &'static str;

    /// A few words for the start-up line, such as "rsa, 2 versions". No secret.
    fn summary(&self) -> String;
}

/// What a source loads its material with.
pub(crate) struct Loader<'a> {
    pub(crate) config: &'a Config,
    pub(crate) inputs: &'a Inputs,
    pub(crate) warnings: Vec<String>,
}

impl Loader<'_> {
    /// The bytes of a file.
    pub(crate) fn file(
        &mut self,
        file: &FileRef,
        secrecy: Secrecy,
        permissions: Permissions,
    ) -> Result<SecretSlice<u8>, Problem> {
        let Material { bytes, warning } = material::read(
            &file.property,
            &file.location,
            secrecy,
            permissions,
            self.inputs,
            &self.config.s3,
        )?;
        self.warnings.extend(warning);
        Ok(bytes)
    }

    /// The text of a credential, as UTF-8.
    pub(crate) fn credential(&mut self, credential: &CredentialRef) -> Result<&SecretSlice<u8>, Problem> {
        let CredentialRef { property, alias } = credential;
        match self.inputs.get(&InputRef::Credential(alias.clone())) {
            Some(InputValue::Found { plaintext: true, .. }) if !self.config.allow_plaintext_secrets => {
                Err(Problem::at(
                    property,
                    Code::PlaintextSecret,
                    format!("the configuration holds the secret {alias} in the clear"),
                    "Put it into a credential provider (hadoop credential create) and remove it from the site file, or set emrkeys.allow-plaintext-secrets=true.",
                ))
            }
            Some(InputValue::Found { bytes, .. }) => Ok(bytes),
            Some(InputValue::Failed(why)) => Err(Problem::at(
                property,
                Code::SourceUnavailable,
                format!("the credential {alias} could not be read: {why}"),
                "Check hadoop.security.credential.provider.path and the provider's own password.",
            )),
            Some(InputValue::Missing) | None => Err(Problem::at(
                property,
                Code::CredentialNotFound,
                format!("no credential provider knows the alias {alias}"),
                "Create it (hadoop credential create) and name its provider in hadoop.security.credential.provider.path.",
            )),
        }
    }
}
