//! Errors of the AWS SDK, in words for operators.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::error::excerpt;

/// The answer of a service in place of a result: the HTTP status, the name of the error, and both with its message.
/// `None` if there was no answer.
pub fn answer<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<(u16, &str, String)> {
    let status = error.raw_response()?.status().as_u16();
    let name = error.code().unwrap_or("no error code");
    let told = match error.message() {
        Some(message) => format!("HTTP {status}, {name}: {}", whole(message)),
        None => format!("HTTP {status}, {name}"),
    };
    Some((status, name, told))
}

/// The message of a service, quoted, with control characters escaped: whole, since the resource and the reason of a
/// denial stand at its end.
fn whole(message: &str) -> String {
    /// No message of AWS is longer, in characters: ARNs have at most 2048.
    const MOST: usize = 8192;
    let shown: String = message.chars().take(MOST).collect();
    let more = if shown.len() < message.len() { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}

/// The id of a request, as text for a message: AWS support finds the request by it.
pub fn request(id: Option<&str>) -> String {
    id.map(|id| format!(" (request {})", excerpt(id)))
        .unwrap_or_default()
}

/// The error and its causes, as they display themselves; their `Debug` forms hold whole requests.
pub fn causes(error: &dyn StdError) -> String {
    /// The most characters of a text: longer ones help nobody.
    const MOST: usize = 2000;
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
