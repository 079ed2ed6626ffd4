//! Which keyring a command is about, and the keys that may protect it.

use std::path::Path;

use clap::Args;
use emrkeys_core::keyring::{Access, Editor, Protection};
use emrkeys_core::{config_summary, is_name, Client, Config, ConfigSummary, KeySummary};

use super::seen::Seen;
use crate::aws::Aws;
use crate::conf::Files;
use crate::output::Failure;

/// The keyring, and how to reach it.
#[derive(Args)]
pub(crate) struct Target {
    /// The keyring: s3://bucket/key, file:///path, a local path, or the name of its key in the configuration
    #[arg(value_name = "URI|NAME")]
    keyring: String,
    /// A KMS key that may protect the keyring: ARN, key id or alias; several by repeating
    #[arg(long, value_name = "ID")]
    kms_key_id: Vec<String>,
    /// A file with an AES key of 256 bits that may protect it; several by repeating
    #[arg(long, value_name = "URI")]
    protector_file: Vec<String>,
    /// A role to assume for KMS
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// The external id that the role asks for
    #[arg(long, value_name = "ID", requires = "role_arn")]
    external_id: Option<String>,
    #[command(flatten)]
    files: Files,
}

/// A keyring that was found by its name or its location.
pub(crate) struct Found {
    pub(crate) editor: Editor,
    pub(crate) seen: Seen,
    /// The name of its key in the configuration, where that gave it.
    pub(crate) name: Option<String>,
    is_protected: bool,
}

impl Target {
    /// The keyring. Options win over the configuration.
    pub(crate) fn find(&self, aws: &Aws) -> Result<Found, Failure> {
        let configured = self.configured(aws)?;
        let (name, mut place) = match configured {
            Some((name, place)) => (Some(name), place),
            None => (
                None,
                Place {
                    uri: self.keyring.clone(),
                    access: access(aws),
                    protection: Protection::default(),
                },
            ),
        };
        if !self.kms_key_id.is_empty() || !self.protector_file.is_empty() {
            place.protection = Protection {
                kms_key_ids: self.kms_key_id.clone(),
                files: self.protector_file.clone(),
            };
        }
        if self.role_arn.is_some() {
            place.access.role_arn.clone_from(&self.role_arn);
            place.access.external_id.clone_from(&self.external_id);
        }
        let is_protected = !place.protection.kms_key_ids.is_empty() || !place.protection.files.is_empty();
        let editor = Editor::new(&place.uri, &place.access, &place.protection)?;
        let seen = Seen::of(editor.uri(), place.access.s3_endpoint.as_deref())?;
        Ok(Found {
            editor,
            seen,
            name,
            is_protected,
        })
    }

    /// As [`Target::find`], for what cannot be done without the protecting key.
    pub(crate) fn find_protected(&self, aws: &Aws) -> Result<Found, Failure> {
        let found = self.find(aws)?;
        if found.is_protected {
            return Ok(found);
        }
        Err(Failure::Usage(
            "name the key that protects the keyring: --kms-key-id or --protector-file; or give the name of its key in \
             a \
             configuration (--conf, EMRKEYS_CONF)"
                .to_owned(),
        ))
    }

    /// The key of the configuration that is meant: by its name, or where nothing else names protecting keys by its URI.
    fn configured(&self, aws: &Aws) -> Result<Option<(String, Place)>, Failure> {
        let named = is_name(&self.keyring);
        let by_location = self.kms_key_id.is_empty() && self.protector_file.is_empty();
        if !self.files.is_given() || !(named || by_location) {
            return Ok(None);
        }
        let settings = self.files.load(aws)?;
        // Keyrings are the same for all clients; a configuration of one need not be valid for another.
        let summary = [Client::S3, Client::S3a, Client::LocalDisk]
            .into_iter()
            .map(|client| Config::parse(client, &settings).map(|config| config_summary(&config)))
            .reduce(|found, next| found.or_else(|first| next.map_err(|_| first)))
            .transpose()
            .map_err(|error| settings.located(error))?;
        let Some(summary) = summary else {
            return Ok(None);
        };
        let is_meant = |key: &&KeySummary| {
            let at = key.files.first().map(|file| file.uri.as_str());
            key.name == self.keyring || (key.key_type == "keyring" && at == Some(&self.keyring))
        };
        match summary.keys.iter().find(is_meant) {
            Some(key) if key.key_type == "keyring" => {
                let place = of_key(key, &summary, aws)
                    .map_err(|why| Failure::Usage(format!("{}: {why}", key.name)))?;
                Ok(Some((key.name.clone(), place)))
            }
            Some(key) => Err(Failure::Usage(format!(
                "{} is a key of type {} in the configuration, not a keyring",
                key.name, key.key_type
            ))),
            None if named && !Path::new(&self.keyring).exists() => {
                let keyrings = summary.keys.iter().filter(|key| key.key_type == "keyring");
                let names: Vec<&str> = keyrings.map(|key| key.name.as_str()).collect();
                Err(Failure::Usage(format!(
                    "the configuration has no keyring {}; it has {}. A local path that could be a name is written \
                     ./{0}",
                    self.keyring,
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                )))
            }
            None => Ok(None),
        }
    }
}

/// Where a keyring is, how to reach it, and what may protect it.
pub(crate) struct Place {
    pub(crate) uri: String,
    pub(crate) access: Access,
    pub(crate) protection: Protection,
}

/// As the options say, with the caller's own role.
pub(crate) fn access(aws: &Aws) -> Access {
    Access {
        s3_endpoint: aws.endpoint_url.clone(),
        kms_endpoint: aws.kms_endpoint().cloned(),
        region: aws.region.clone(),
        role_arn: None,
        external_id: None,
    }
}

/// The keyring of a key of a configuration.
///
/// # Errors
/// Why it cannot be opened here: only Hadoop can.
pub(crate) fn of_key(key: &KeySummary, summary: &ConfigSummary, aws: &Aws) -> Result<Place, String> {
    let Some((document, protectors)) = key.files.split_first() else {
        return Err("it has no document".to_owned());
    };
    if key.files.iter().any(|file| file.external) || !key.credentials.is_empty() {
        return Err(format!("{} open what it needs", crate::conf::ONLY_HADOOP));
    }
    let kms = key.kms.first().map(|target| &target.access);
    let role = kms.and_then(|access| access.role.as_ref());
    let options = access(aws);
    Ok(Place {
        uri: document.uri.clone(),
        access: Access {
            s3_endpoint: summary.s3_endpoint.clone().or(options.s3_endpoint),
            kms_endpoint: kms
                .and_then(|access| access.endpoint.clone())
                .or(options.kms_endpoint),
            region: summary.s3_region.clone().or(options.region),
            role_arn: role.map(|role| role.arn.clone()),
            external_id: role.and_then(|role| role.external_id.clone()),
        },
        protection: Protection {
            kms_key_ids: key.kms.iter().map(|target| target.key_id.clone()).collect(),
            files: protectors.iter().map(|file| file.uri.clone()).collect(),
        },
    })
}
