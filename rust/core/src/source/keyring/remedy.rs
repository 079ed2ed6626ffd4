//! Commands in remedies.

use crate::config::loader::Loader;
use crate::config::{self, KeyKind};
use crate::keyring::command_options;

/// The options of `emrkeys keyring` for the keyring that this configuration names.
pub(super) fn options(config: &config::KeyringKey, loader: &Loader) -> String {
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
    command_options(&config.kms, files)
}
