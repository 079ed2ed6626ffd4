//! What all clients of AWS share: credentials, region, TLS.
//!
//! Credentials come from the AWS default chain (environment, profile, web identity, container, instance), are never
//! held here, and never appear in a message.

use std::error::Error as StdError;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{rustls_provider::CryptoMode, Provider};
use aws_smithy_http_client::Connector;

use crate::error::excerpt;

/// What the environment, the profile and the node say; `region` comes first.
pub(crate) async fn load(region: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client(ProxyConfig::from_env()));
    // Only where it is set: a chain of region providers built apart from the loader would not use its HTTP client.
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
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

/// What a service answered in place of a result: the HTTP status, the name of the error, and both with its message. `None` where
/// there was no answer.
pub(crate) fn answer<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<(u16, &str, String)> {
    let status = error.raw_response()?.status().as_u16();
    let name = error.code().unwrap_or("no error code");
    let told = match error.message() {
        Some(message) => format!("HTTP {status}, {name}: {}", excerpt(message)),
        None => format!("HTTP {status}, {name}"),
    };
    Some((status, name, told))
}

/// The id of a request, to go behind what was told of it.
pub(crate) fn request(id: Option<&str>) -> String {
    id.map(|id| format!(" (request {})", excerpt(id)))
        .unwrap_or_default()
}

/// What went wrong and why, as the errors themselves put it; their `Debug` forms hold whole requests.
pub fn causes(error: &dyn StdError) -> String {
    /// Longer texts tell nobody more.
    const MOST: usize = 400;
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text.chars().filter(|c| !c.is_control()).take(MOST).collect()
}
