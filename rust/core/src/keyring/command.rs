//! Commands of `emrkeys keyring`, for remedies.

use std::fmt::Display;

use crate::aws::KmsTarget;
use crate::error::shell_word;

/// The KMS keys and the key files that may protect a keyring, and the role to use the first KMS key with, as options of
/// `emrkeys keyring`: a remedy is a command that works when it is pasted. Each option has a space before it.
pub fn command_options(kms: &[KmsTarget], files: impl IntoIterator<Item: Display>) -> String {
    let option = |name: &str, value: &str| format!(" --{name} {}", shell_word(value));
    let keys = kms.iter().map(|target| option("kms-key-id", &target.key_id));
    let files = files
        .into_iter()
        .map(|file| option("protector-file", &file.to_string()));
    let role = kms.first().and_then(|target| target.access.role.as_ref());
    let external = role.and_then(|role| role.external_id.as_ref());
    let role = role.map(|role| option("role-arn", &role.arn));
    let external = external.map(|id| option("external-id", id));
    keys.chain(files).chain(role).chain(external).collect()
}
