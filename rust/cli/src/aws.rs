//! How AWS is reached: the options that the AWS CLI has, for every command.

use clap::Args;
use emrkeys_core::aws::{self, ProfileSet};
use emrkeys_objects::{S3Access, Store};

use crate::output::Failure;

/// Options for AWS; the environment and the profile give the rest.
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
    ///
    /// # Errors
    /// A profile that is not there, or cannot be used apart from the environment.
    pub(crate) fn apply(&self) -> Result<(), Failure> {
        if self.endpoint_url.is_some() {
            // They would come before the endpoint of all.
            for service in ["S3", "KMS", "STS"] {
                std::env::remove_var(format!("AWS_ENDPOINT_URL_{service}"));
            }
        }
        let set = |name, value: &Option<String>| {
            if let Some(value) = value {
                std::env::set_var(name, value);
            }
        };
        set("AWS_REGION", &self.region);
        set("AWS_ENDPOINT_URL", &self.endpoint_url);
        set("AWS_ENDPOINT_URL_KMS", &self.kms_endpoint_url);
        set("AWS_PROFILE", &self.profile);
        if let Some(name) = &self.profile {
            only_profile(name)?;
        }
        let region_is_set = || {
            ["AWS_REGION", "AWS_DEFAULT_REGION"]
                .iter()
                .any(|name| std::env::var_os(name).is_some())
                || aws::profiles().is_some_and(|all| selected(&all, "region").is_some())
        };
        // Servers that are not AWS's want a region in the signature and care little which.
        if self.endpoint_url.is_some() && !region_is_set() {
            std::env::set_var("AWS_REGION", "us-east-1");
        }
        Ok(())
    }

    /// How S3 is reached.
    pub(crate) fn s3_access(&self) -> S3Access {
        let elsewhere = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"]
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        S3Access {
            endpoint: None, // the environment has it, by `apply`
            region: self.region.clone(),
            // Servers that are not AWS's seldom have a host name for each bucket.
            path_style: elsewhere,
        }
    }

    /// Objects in S3.
    pub(crate) fn store(&self) -> Result<Store, Failure> {
        Ok(Store::connect(&self.s3_access())?)
    }

    /// The endpoint of KMS, where one is given.
    pub(crate) fn kms_endpoint(&self) -> Option<&String> {
        self.kms_endpoint_url.as_ref().or(self.endpoint_url.as_ref())
    }
}

/// As for the AWS CLI, the credentials of a profile that is named on the command line come before those of the
/// environment. The SDK would ask the environment first, and go on to the instance where there is no such profile: as
/// somebody else than was asked for.
fn only_profile(name: &str) -> Result<(), Failure> {
    if let Some(all) = aws::profiles() {
        if all.get_profile(name).is_none() {
            let what = format!("--profile {name}: the AWS configuration has no such profile");
            return Err(Failure::Usage(what));
        }
        if selected(&all, "credential_source")
            .is_some_and(|source| source.eq_ignore_ascii_case("Environment"))
        {
            let what = "its credential_source is the environment, which does not count beside --profile";
            return Err(Failure::Usage(format!("--profile {name}: {what}")));
        }
    }
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_ACCOUNT_ID",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ] {
        std::env::remove_var(name);
    }
    Ok(())
}

/// The property of the selected profile, or of the one that it takes its credentials from.
fn selected<'a>(all: &'a ProfileSet, property: &str) -> Option<&'a str> {
    let profile = all.get_profile(all.selected_profile())?;
    let source = || all.get_profile(profile.get("source_profile")?)?.get(property);
    profile.get(property).or_else(source)
}
