//! Keys of type `kms`: the S3 client's own KMS mode. The client calls KMS; emrkeys names the key.

use crate::description::{self, Description};
use crate::error::Problem;
use crate::model::{MaterialKey, Materials};
use crate::source::Source;

/// A KMS key that the client is told to use.
///
/// Its materials have no description of ours. The client makes the KMS encryption context of it, and the V2 client
/// reads an object back only where what is stored equals what the default materials say; so every entry of ours would
/// shut out objects that EMRFS's own KMS provider wrote, and ours from it. The `kms_cmk_id` that the client adds by
/// itself identifies the key.
pub(crate) struct KmsKey {
    pub(crate) key_id: String,
}

impl Source for KmsKey {
    fn for_encryption(&self) -> Result<Materials, Problem> {
        let key = MaterialKey::Kms {
            key_id: self.key_id.clone(),
        };
        Ok(Materials {
            key,
            description: Vec::new(),
        })
    }

    /// The key id that is stored, not today's: KMS itself decides whether it may be used.
    fn for_decryption(&self, stored: &Description) -> Result<Materials, Problem> {
        let key_id = stored
            .get(description::KMS_KEY_ID)
            .unwrap_or(&self.key_id)
            .to_owned();
        Ok(Materials {
            key: MaterialKey::Kms { key_id },
            description: stored.to_owned_entries(),
        })
    }

    fn for_decryption_of_foreign(&self, stored: &Description) -> Result<Materials, Problem> {
        self.for_decryption(stored)
    }

    fn type_name(&self) -> &'static str {
        "kms"
    }

    fn summary(&self) -> String {
        "kms".to_owned()
    }
}
