//! The setup that all clients of AWS share: credentials, region, TLS.
//!
//! Credentials come from the AWS default chain (environment, profile, web identity, container, instance), are never
//! held here, and never appear in a message.

use std::future::Future;
use std::time::Duration;

use aws_config::profile::ProfileSet;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{rustls_provider::CryptoMode, Provider};
use aws_smithy_http_client::Connector;
use aws_types::origin::Origin;

use crate::aws::runtime;
use crate::error::{Code, Error, Problem};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The settings of the environment, the profile and the node; `region` comes first.
pub(crate) async fn load(region: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client(ProxyConfig::from_env()));
    // Only where it is set: a chain of region providers built apart from the loader would not use its HTTP client.
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
}

/// How long a client of AWS waits, and how often it tries.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Attempts for one call: 1 retries nothing.
    pub attempts: u32,
    /// For one attempt from its start to the whole answer.
    pub attempt: Option<Duration>,
    /// For the next bytes of an answer.
    pub read: Option<Duration>,
}

/// The settings of the client of one service; `shared` has what is not set here. `endpoint` comes before those of the
/// environment and the profile.
pub(crate) fn service(shared: &SdkConfig, endpoint: Option<&str>, patience: Patience) -> SdkConfig {
    let mut timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT);
    timeouts
        .set_operation_attempt_timeout(patience.attempt)
        .set_read_timeout(patience.read);
    let mut builder = shared
        .to_builder()
        .retry_config(RetryConfig::standard().with_max_attempts(patience.attempts))
        .timeout_config(timeouts.build());
    if let Some(endpoint) = endpoint {
        // Without the origin, the service would prefer AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL_KMS.
        builder.insert_origin("endpoint_url", Origin::shared_config());
        builder.set_endpoint_url(Some(endpoint.to_owned()));
        if shared.region().is_none() {
            // Servers that are not AWS's want a region in the signature and care little which.
            builder.set_region(Region::from_static("us-east-1"));
        }
    }
    builder.build()
}

/// The one TLS stack: rustls over the aws-lc that the ciphers use, with the machine's trusted certificates.
pub(crate) fn http_client(proxy: ProxyConfig) -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build()
    })
}

/// The settings of the environment, the profile and the node: credentials, region, proxy, TLS. `region` comes first.
/// Blocks if an instance or a container has to be asked.
///
/// # Errors
/// `SOURCE_UNAVAILABLE` where no thread can be started, or the node did not answer within 20 seconds.
pub fn config(region: Option<&str>) -> Result<SdkConfig, Error> {
    block_on(Duration::from_secs(20), load(region))
}

/// The profiles of the AWS configuration, the one selected that the environment names; `None` where its files cannot be
/// read. Asks nobody and starts no thread.
pub fn profiles() -> Option<ProfileSet> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    let (fs, env, files) = Default::default();
    runtime
        .block_on(aws_config::profile::load(&fs, &env, &files, None))
        .ok()
}

/// Runs `future` to its end on the runtime of the process. Blocks the calling thread, which must not be one of that
/// runtime.
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
