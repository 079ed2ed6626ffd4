//! Commands in remedies.

use crate::config::loader::Loader;
use crate::config::{self, KeyKind};

/// The keys that may protect a keyring, as options of `emrkeys keyring`: a remedy is a command that works when it is
/// pasted.
pub(super) fn options(config: &config::KeyringKey, loader: &Loader) -> String {
    let kms = config
        .kms
        .iter()
        .map(|target| format!(" --kms-key-id {}", target.key_id));
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
    let files = files.map(|location| format!(" --protector-file {location}"));
    kms.chain(files).collect()
}
