//! How AWS is reached: the options that the AWS CLI has, for every command.

use clap::Args;
use emrkeys_core::object::{S3Access, Store};

use crate::output::Failure;

/// What is not given comes from the AWS environment and profile.
#[derive(Args)]
#[command(next_help_heading = "AWS")]
pub(crate) struct Aws {
    /// The region, where the environment, the profile and the ARN of a key do not say
    #[arg(long, global = true)]
    pub(crate) region: Option<String>,
    /// Another endpoint of S3 and KMS, such as a local server
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) endpoint_url: Option<String>,
    /// Another endpoint of KMS alone, such as a VPC endpoint
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) kms_endpoint_url: Option<String>,
    /// The profile of the AWS configuration
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) profile: Option<String>,
}

impl Aws {
    /// Puts the options where every client of AWS looks, whoever makes it. Before any other thread runs.
    pub(crate) fn apply(&self) {
        let set = |name, value: &Option<String>| {
            if let Some(value) = value {
                std::env::set_var(name, value);
            }
        };
        set("AWS_REGION", &self.region);
        set("AWS_ENDPOINT_URL", &self.endpoint_url);
        set("AWS_ENDPOINT_URL_KMS", &self.kms_endpoint_url);
        set("AWS_PROFILE", &self.profile);
        // Servers that are not AWS's want a region in the signature and care little which.
        if self.endpoint_url.is_some()
            && std::env::var_os("AWS_REGION").is_none()
            && std::env::var_os("AWS_DEFAULT_REGION").is_none()
        {
            std::env::set_var("AWS_REGION", "us-east-1");
        }
    }

    /// Objects in S3.
    pub(crate) fn store(&self) -> Result<Store, Failure> {
        let elsewhere = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"]
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        Ok(Store::connect(&S3Access {
            endpoint: None, // the environment has it, by `apply`
            region: self.region.clone(),
            // Servers that are not AWS's seldom have a host name for each bucket.
            path_style: elsewhere,
        })?)
    }

    /// The endpoint of KMS, where one is given.
    pub(crate) fn kms_endpoint(&self) -> Option<&String> {
        self.kms_endpoint_url.as_ref().or(self.endpoint_url.as_ref())
    }
}
