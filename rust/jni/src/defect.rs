//! Defects of this library, as errors.

use emrkeys_core::{Code, Error, Problem};

/// `INTERNAL`, with what was found.
pub(crate) fn internal(message: String) -> Error {
    Problem::new(
        Code::Internal,
        message,
        "Report this defect, with what the log says around it.",
    )
    .into()
}
