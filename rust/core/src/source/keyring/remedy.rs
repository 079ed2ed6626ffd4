//! Commands in remedies.

use crate::config::loader::Loader;
use crate::config::{self, KeyKind};
use crate::error::shell_word;

/// The keys that may protect a keyring, and the role to use them with, as options of `emrkeys keyring`: a remedy is a
/// command that works when it is pasted.
pub(super) fn options(config: &config::KeyringKey, loader: &Loader) -> String {
    let kms = config
        .kms
        .iter()
        .map(|target| format!(" --kms-key-id {}", shell_word(&target.key_id)));
    let key = config
        .key
        .as_ref()
        .and_then(|(_, name)| match &loader.config.keys.get(name)?.kind {
            KeyKind::Aes(config::AesKey {
                origin: config::Origin::File(file),
                ..
            }) => Some(&file.location),
            _ => None,
        });
    let files = config.files.iter().map(|file| &file.location).chain(key);
    let files = files.map(|location| format!(" --protector-file {}", shell_word(&location.to_string())));
    let role = config.kms.first().and_then(|target| target.access.role.as_ref());
    let external = role.and_then(|role| role.external_id.as_ref());
    let role = role.map(|role| format!(" --role-arn {}", shell_word(&role.arn)));
    let external = external.map(|id| format!(" --external-id {}", shell_word(id)));
    kms.chain(files).chain(role).chain(external).collect()
}
