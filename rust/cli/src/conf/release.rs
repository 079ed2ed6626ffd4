//! The release of EMR that a command is about.

use clap::Args;
use emrkeys_core::inspect::checks::Cluster;
use emrkeys_core::release::{self, Release};

use super::Loaded;

/// The option that names a release of EMR.
#[derive(Args)]
pub(crate) struct ReleaseOption {
    /// EMR's release, such as emr-7.12.0; it decides whether EMRFS or S3A serves s3://. Without it, the cluster's
    /// document (ReleaseLabel) or, on a node, the node's own file names the release
    #[arg(long, value_name = "LABEL", value_parser = parse)]
    release: Option<Release>,
}

impl ReleaseOption {
    /// The release that the option names, else the configuration, else the node's own file.
    pub(crate) fn of(&self, settings: &Loaded) -> Option<Release> {
        self.release
            .or_else(|| settings.release().and_then(release::parse))
            .or_else(|| Cluster::of_node().release)
    }
}

/// For `--release`.
fn parse(label: &str) -> Result<Release, String> {
    release::parse(label).ok_or_else(|| "name a release label, such as emr-7.12.0".to_owned())
}
