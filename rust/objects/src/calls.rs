//! Calls of S3: waited for, and sorted by the reason if they fail.

use std::fmt::Display;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use emrkeys_core::aws::{self, runtime, S3Failure, S3Refusal};
use emrkeys_core::{excerpt, Code, Problem};

/// No single call takes longer; a call that stalls ends long before.
pub(super) const DEADLINE: Duration = Duration::from_secs(3600);

/// Waits for the answer of a call, and says what went wrong with it.
pub(super) fn wait<T, E>(
    uri: &dyn Display,
    operation: &str,
    call: impl std::future::Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, Problem>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    SdkError<E>: RequestId,
{
    let uri = uri.to_string();
    runtime::block_on(DEADLINE, call)?
        .ok_or_else(|| unavailable(&uri, operation, "no answer within an hour", None))?
        .map_err(|error| {
            let (failure, told) = aws::classify(&error);
            refused(&uri, operation, failure, &told)
        })
}

/// Waits for the answers of the core's requests about an object, and says what went wrong with the last one.
pub(super) fn ask<T>(
    uri: &dyn Display,
    answer: impl std::future::Future<Output = Result<T, S3Refusal>>,
) -> Result<T, Problem> {
    let uri = uri.to_string();
    runtime::block_on(DEADLINE, answer)?
        .ok_or_else(|| unavailable(&uri, "a request", "no answer within an hour", None))?
        .map_err(|refusal| refused(&uri, refusal.operation, refusal.failure, &refusal.told))
}

fn refused(uri: &str, operation: &str, failure: S3Failure, told: &str) -> Problem {
    let (code, remedy) = match failure {
        S3Failure::NoBucket => (Code::ObjectNotFound, "Correct the bucket's name."),
        S3Failure::NoObject => (Code::ObjectNotFound, "Correct the location."),
        S3Failure::Changed => (
            Code::ObjectChanged,
            "Somebody else wrote the object in the meantime, and nothing was done: try again if that is still wanted.",
        ),
        S3Failure::Denied => (
            Code::StoreDenied,
            "Allow the operation in the role's and the bucket's policies, and kms:Decrypt (kms:GenerateDataKey to \
             write) on the key of the bucket's own encryption; S3 also answers so for an object that does not exist if \
             s3:ListBucket is not allowed.",
        ),
        S3Failure::OtherRegion => (
            Code::StoreUnavailable,
            "The bucket is in another region: name it.",
        ),
        S3Failure::Unsupported | S3Failure::Unavailable => {
            return unavailable(uri, operation, told, None)
        }
    };
    problem(uri, operation, code, told, None, remedy)
}

pub(super) fn unavailable(uri: &str, operation: &str, told: &str, request_id: Option<&str>) -> Problem {
    problem(
        uri,
        operation,
        Code::StoreUnavailable,
        told,
        request_id,
        "See that this machine reaches S3 (endpoint, proxy) and has credentials and a region.",
    )
}

fn problem(
    uri: &str,
    operation: &str,
    code: Code,
    told: &str,
    request_id: Option<&str>,
    remedy: &str,
) -> Problem {
    let id = aws::request(request_id);
    let message = format!("{operation} of {} failed: {told}{id}", excerpt(uri));
    Problem::new(code, message, remedy)
}
