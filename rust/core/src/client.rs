//! AWS for the operator's tool: clients that are configured as the provider's own are, and the runtime to call them on.

use std::future::Future;
use std::time::Duration;

pub use aws_config::profile::ProfileSet;
pub use aws_config::SdkConfig;

pub use crate::aws::causes;
pub use crate::kms::{KmsAccess, KmsTarget, Role};

use crate::aws;
use crate::error::{Code, Error, Problem};
use crate::runtime;

/// What the environment, the profile and the node say: credentials, region, proxy, TLS. `region` comes first. Blocks, where an
/// instance or a container has to be asked.
///
/// # Errors
/// `SOURCE_UNAVAILABLE` where no thread can be started, or the node did not answer within 20 seconds.
pub fn config(region: Option<&str>) -> Result<SdkConfig, Error> {
    block_on(Duration::from_secs(20), aws::load(region))
}

/// The profiles of the AWS configuration, the one selected that the environment names; `None` where its files cannot be read. Asks
/// nobody and starts no thread.
pub fn profiles() -> Option<ProfileSet> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    let (fs, env, files) = Default::default();
    runtime
        .block_on(aws_config::profile::load(&fs, &env, &files, None))
        .ok()
}

/// Runs `future` to its end on the runtime of the process. Blocks the calling thread, which must not be one of that runtime.
///
/// # Errors
/// `SOURCE_UNAVAILABLE` where `deadline` has passed, or no thread can be started.
pub fn block_on<F: Future>(deadline: Duration, future: F) -> Result<F::Output, Error> {
    runtime::block_on(deadline, future)?.ok_or_else(|| {
        Problem::new(
            Code::SourceUnavailable,
            format!("AWS did not answer within {} seconds", deadline.as_secs()),
            "See that this machine reaches the endpoints of AWS (VPC endpoint, proxy), and try again.",
        )
        .into()
    })
}
