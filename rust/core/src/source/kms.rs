//! Keys of type `kms`: the S3 client's own KMS mode. The client calls KMS; emrkeys names the key.

use crate::aws::arn::same_kms_key;
use crate::description::{self, StoredDescription};
use crate::error::{excerpt, Code, Problem};
use crate::model::{MaterialKey, Materials};
use crate::source::Source;

/// A KMS key that the client uses by itself.
///
/// Its materials have no description of ours. The client makes the KMS encryption context of it, and the V2 client
/// reads an object back only where what is stored equals what the default materials say; so every entry of ours would
/// shut out objects that EMRFS's own KMS provider wrote, and ours from it. The `kms_cmk_id` that the client adds by
/// itself identifies the key.
pub(crate) struct KmsKey {
    pub(crate) name: String,
    pub(crate) key_id: String,
    /// The ids besides that objects may name: older keys, and what `.match.kms_cmk_id` says.
    pub(crate) previous: Vec<String>,
}

impl KmsKey {
    fn unknown(&self, stored: &str) -> Problem {
        Problem::at(
            format!("emrkeys.key.{}.previous-kms-key-ids", self.name),
            Code::KeyVersionUnknown,
            format!(
                "the object was written with KMS key {}, which is none of those configured for key {}",
                excerpt(stored),
                self.name
            ),
            "If it is an older key of yours, add its ARN here; otherwise the object's description was changed.",
        )
    }
}

impl Source for KmsKey {
    fn for_encryption(&self) -> Result<Materials, Problem> {
        let key = MaterialKey::Kms {
            key_id: self.key_id.clone(),
        };
        Ok(Materials {
            key,
            description: StoredDescription::default(),
        })
    }

    /// The key whose id is stored, by the id that is configured for it: the object does not choose whom the client
    /// calls.
    fn for_decryption(&self, stored: StoredDescription) -> Result<Materials, Problem> {
        let key_id = match stored.get(description::KMS_KEY_ID) {
            None => &self.key_id,
            Some(stored) => std::iter::once(&self.key_id)
                .chain(&self.previous)
                .find(|known| *known == stored || same_kms_key(known, stored))
                .ok_or_else(|| self.unknown(stored))?,
        };
        Ok(Materials {
            key: MaterialKey::Kms {
                key_id: key_id.clone(),
            },
            description: stored,
        })
    }

    fn for_decryption_of_foreign(&self, stored: StoredDescription) -> Result<Materials, Problem> {
        self.for_decryption(stored)
    }

    fn type_name(&self) -> &'static str {
        "kms"
    }

    fn summary(&self) -> String {
        "kms".to_owned()
    }
}
