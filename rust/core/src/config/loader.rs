//! Opens the files and credentials that a configuration names.

use secrecy::SecretSlice;

use super::{Config, CredentialRef, FileRef};
use crate::error::{shell_word, Code, Problem};
use crate::inputs::{InputRef, InputValue, Inputs};
use crate::material::{self, Material, Permissions, Secrecy, MAX_MATERIAL};

/// The tools with which a source loads its material.
pub(crate) struct Loader<'a> {
    pub(crate) config: &'a Config,
    pub(crate) inputs: &'a Inputs,
    pub(crate) warnings: Vec<String>,
}

impl Loader<'_> {
    /// The bytes of a file of key material.
    pub(crate) fn file(
        &mut self,
        file: &FileRef,
        secrecy: Secrecy,
        permissions: Permissions,
    ) -> Result<SecretSlice<u8>, Problem> {
        self.file_within(MAX_MATERIAL, file, secrecy, permissions)
    }

    /// The bytes of a file that has at most `limit`.
    pub(crate) fn file_within(
        &mut self,
        limit: usize,
        file: &FileRef,
        secrecy: Secrecy,
        permissions: Permissions,
    ) -> Result<SecretSlice<u8>, Problem> {
        let Material { bytes, warning } = material::read(
            &file.property,
            &file.location,
            limit,
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
                    "Put it into a credential provider (`hadoop credential create ALIAS -provider PATH`) and remove it \
                     from the site file, or set emrkeys.allow-plaintext-secrets=true.",
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
                format!(
                    "Create it (`hadoop credential create {} -provider PATH`) and name its provider in \
                     hadoop.security.credential.provider.path.",
                    shell_word(alias)
                ),
            )),
        }
    }
}
