//! Entrances for the targets of `rust/fuzz`, which pass hostile files that a run goes on from. Nothing else calls them.

use crate::{many, object, rewrap};

/// Reads a checkpoint of `emrkeys rewrap` for keys that begin with `prefix`, counts an outcome for each of these keys
/// behind the prefix, `true` for a failure, and reads what would be written then. `None`: the checkpoint is refused.
///
/// # Errors
/// Why what would be written is refused.
pub fn checkpoint(content: &[u8], prefix: &str, outcomes: &[(&str, bool)]) -> Option<Result<(), String>> {
    many::read_back::<rewrap::Run>(content, prefix, outcomes)
}

/// Reads the state of an upload to `uri`: whether it reads the same when it is written again. `None`: it is refused.
pub fn upload(content: &[u8], uri: &str) -> Option<bool> {
    object::read_back(content, uri)
}
