//! Keys of type `aes`: a static AES key in a file or in a Hadoop credential.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::versions::Version;
use crate::config::loader::Loader;
use crate::config::{AesKey, FileRef, Origin};
use crate::error::Problem;
use crate::keyring::AesProtector;
use crate::material::aes_key::{parse_aes_key, Encoding};
use crate::material::{Permissions, Secrecy};
use crate::model::MaterialKey;
use crate::release;

pub(crate) fn load(config: &AesKey, loader: &mut Loader) -> Result<Version, Problem> {
    let encoding = config.encoding;
    let key = match &config.origin {
        Origin::File(file) => {
            let bytes = loader.file(file, Secrecy::Secret, Permissions::Enforce)?;
            parse_aes_key(&file.property, bytes.expose_secret(), encoding)?
        }
        Origin::Credential(credential) => {
            // A credential is text, so that raw bytes are out of the question and nothing is ambiguous.
            let text = match encoding {
                Encoding::Auto => with_final_newline(loader.credential(credential)?.expose_secret()),
                _ => zeroize::Zeroizing::new(loader.credential(credential)?.expose_secret().to_vec()),
            };
            parse_aes_key(&credential.property, &text, encoding)?
        }
    };
    Ok(Version {
        id: emrkeys_crypto::fingerprint::aes(key.expose_secret()),
        key: MaterialKey::Symmetric {
            algorithm: release::ALGORITHM,
            bytes: Arc::new(key),
        },
        also_stored: Vec::new(),
    })
}

/// The AES key in a file that protects a keyring.
pub(crate) fn load_file(file: &FileRef, loader: &mut Loader) -> Result<AesProtector, Problem> {
    let bytes = loader.file(file, Secrecy::Secret, Permissions::Enforce)?;
    let key = parse_aes_key(&file.property, bytes.expose_secret(), Encoding::Auto)?;
    AesProtector::new(&file.property, Arc::new(key))
}

fn with_final_newline(text: &[u8]) -> zeroize::Zeroizing<Vec<u8>> {
    let mut line = zeroize::Zeroizing::new(Vec::with_capacity(text.len() + 1));
    line.extend_from_slice(text);
    line.push(b'\n');
    line
}
