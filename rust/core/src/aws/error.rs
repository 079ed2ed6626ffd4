//! Errors of the AWS SDK, in words for operators.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::error::excerpt;

/// What a service answered in place of a result: the HTTP status, the name of the error, and both with its message. `None` where
/// there was no answer.
pub fn answer<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<(u16, &str, String)> {
    let status = error.raw_response()?.status().as_u16();
    let name = error.code().unwrap_or("no error code");
    let told = match error.message() {
        Some(message) => format!("HTTP {status}, {name}: {}", whole(message)),
        None => format!("HTTP {status}, {name}"),
    };
    Some((status, name, told))
}

/// What a service says, quoted, with control characters escaped: whole, since the resource and the reason of a denial stand at its
/// end.
fn whole(message: &str) -> String {
    /// No message of AWS is longer, in characters: ARNs have at most 2048.
    const MOST: usize = 8192;
    let shown: String = message.chars().take(MOST).collect();
    let more = if shown.len() < message.len() { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}

/// The id of a request, to go behind what was told of it.
pub fn request(id: Option<&str>) -> String {
    id.map(|id| format!(" (request {})", excerpt(id)))
        .unwrap_or_default()
}

/// What went wrong and why, as the errors themselves put it; their `Debug` forms hold whole requests.
pub fn causes(error: &dyn StdError) -> String {
    /// Longer texts tell nobody more.
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
