//! S3: how it is reached, and what its errors mean.

use aws_config::SdkConfig;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::Client;

use crate::aws::connect::{self, Patience};
use crate::aws::error::{answer, causes, request};

/// How to reach S3; what is not set here comes from the AWS environment, profile or instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Access {
    /// Of a store that is not AWS's.
    pub endpoint: Option<String>,
    /// Of the buckets.
    pub region: Option<String>,
    /// Whether buckets stand in the path of a URL and not in its host.
    pub path_style: bool,
}

impl S3Access {
    /// A client that reaches S3 so; `shared` has what is not set here. Asks nobody.
    pub fn client(&self, shared: &SdkConfig, patience: Patience) -> Client {
        let settings = connect::service(shared, self.endpoint.as_deref(), patience);
        let builder = Builder::from(&settings).force_path_style(self.path_style);
        Client::from_conf(builder.build())
    }
}

/// The kinds of failures of S3, for a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Failure {
    /// There is no such bucket.
    NoBucket,
    /// There is no such object.
    NoObject,
    /// A condition of the request does not hold, or another write was under way.
    Changed,
    /// The caller may not, or its credentials are not good.
    Denied,
    /// The bucket is in another region.
    OtherRegion,
    /// This store, which is not AWS's, has no such operation.
    Unsupported,
    /// S3 did not answer, or with a fault.
    Unavailable,
}

impl S3Failure {
    /// Whether the thing that was asked for is not there, or nowhere in this store.
    pub(super) fn is_absence(self) -> bool {
        matches!(
            self,
            S3Failure::NoBucket | S3Failure::NoObject | S3Failure::Unsupported
        )
    }
}

/// The kind of a failure and its words, with the id of the request.
///
/// Source: Amazon S3 API Reference, "Error responses".
pub fn classify<E>(error: &SdkError<E>) -> (S3Failure, String)
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    SdkError<E>: RequestId,
{
    let id = request(error.request_id());
    let Some((status, name, told)) = answer(error) else {
        return (S3Failure::Unavailable, format!("{}{id}", causes(error)));
    };
    let failure = match (status, name) {
        (404, "NoSuchBucket") => S3Failure::NoBucket,
        (404, _) => S3Failure::NoObject,
        (409 | 412, _) => S3Failure::Changed,
        (401 | 403, _) | (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => S3Failure::Denied,
        (301 | 307 | 400, "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed") => {
            S3Failure::OtherRegion
        }
        (501, _) => S3Failure::Unsupported,
        _ => S3Failure::Unavailable,
    };
    (failure, format!("{told}{id}"))
}
