//! The key that the properties of AWS's own providers define, if no key of ours is configured.

use super::key_reader::{file, kms_key_id};
use super::keys::{KeyConfig, KeyKind, KmsKey, RsaKey};
use super::reader::Reader;
use crate::aws::kms::{KmsAccess, KmsTarget};
use crate::error::{Code, Problem};
use crate::material::Permissions;

pub(super) const RSA_PUBLIC: &str = "fs.s3.cse.rsa.public";
pub(super) const RSA_PRIVATE: &str = "fs.s3.cse.rsa.private";
pub(super) const RSA_NAME: &str = "fs.s3.cse.rsa.name";
pub(super) const KMS_KEY_ID: &str = "fs.s3.cse.kms.keyId";

/// The key that the properties of AWS's own providers define.
pub(super) fn read(reader: &mut Reader) -> Option<KeyConfig> {
    let (public, private) = (reader.get(RSA_PUBLIC), reader.get(RSA_PRIVATE));
    let kind = match (public, private, reader.get(KMS_KEY_ID)) {
        (None, None, None) => return None,
        (None, None, Some(key_id)) => KeyKind::Kms(KmsKey {
            target: KmsTarget {
                key_id: kms_key_id(reader, KMS_KEY_ID.to_owned(), key_id)?,
                property: KMS_KEY_ID.to_owned(),
                access: KmsAccess::default(),
            },
            previous: Vec::new(),
        }),
        (_, _, Some(_)) => {
            reader.problems.add(Problem::at(
                KMS_KEY_ID,
                Code::Conflict,
                format!("{KMS_KEY_ID} and {RSA_PUBLIC} are both set, and each would define the default key"),
                "Remove the one that is not used, or configure keys by emrkeys.key.<name>.type.",
            ));
            return None;
        }
        (None, Some(_), None) => {
            reader.missing(RSA_PUBLIC.to_owned(), "Set it to the URI of the public key.");
            return None;
        }
        (Some(public), private, None) => {
            let private = private.map(|uri| file(reader, RSA_PRIVATE.to_owned(), uri));
            KeyKind::Rsa(RsaKey {
                public: file(reader, RSA_PUBLIC.to_owned(), public)?,
                private: match private {
                    None => None,
                    Some(file) => Some(file?),
                },
                password: None,
                legacy_name: reader.get(RSA_NAME).map(str::to_owned),
                permissions: Permissions::Warn,
            })
        }
    };
    Some(KeyConfig {
        kind,
        previous: Vec::new(),
        aliases: Vec::new(),
        matches: Vec::new(),
    })
}
