//! The configuration of a cluster, as files and options name it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use emrkeys_core::{Settings, Usage};

use crate::aws::Aws;
use crate::output::Failure;

/// The options that say which configuration is meant.
#[derive(Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Conf {
    /// A site file, an EMR configuration in JSON, a Spark properties file, or a folder with site files; later ones win
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) conf: Vec<PathBuf>,
    /// A property; wins over all files
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    pub(crate) define: Vec<String>,
    /// Who asks for the keys
    #[arg(long = "for", value_name = "CLIENT", default_value = "s3")]
    pub(crate) usage: Client,
}

/// Who asks for keys.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// EMRFS, or another client of the SDK v1
    S3,
    /// Hadoop's S3A
    S3a,
    /// EMR's local disks
    LocalDisk,
}

impl From<Client> for Usage {
    fn from(client: Client) -> Usage {
        match client {
            Client::S3 => Usage::S3,
            Client::S3a => Usage::S3a,
            Client::LocalDisk => Usage::LocalDisk,
        }
    }
}

impl Conf {
    /// All properties that the files and options give, expanded.
    pub(crate) fn load(&self, aws: &Aws) -> Result<Settings, Failure> {
        let mut settings = Settings::new();
        for property in &self.define {
            let (name, value) = property
                .split_once('=')
                .ok_or_else(|| Failure::Usage(format!("-D {property}: write NAME=VALUE")))?;
            settings.insert(name.to_owned(), value.to_owned());
        }
        if let Some(endpoint) = &aws.endpoint_url {
            settings
                .entry("emrkeys.s3.endpoint".to_owned())
                .or_insert_with(|| endpoint.clone());
            settings
                .entry("emrkeys.s3.path-style-access".to_owned())
                .or_insert_with(|| "true".to_owned());
        }
        Ok(settings)
    }
}
