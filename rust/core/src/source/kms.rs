//! Keys of type `kms`: the S3 client's own KMS mode. The client calls KMS; emrkeys names the key.

use crate::description::{self, Description};
use crate::error::Problem;
use crate::provider::{MaterialKey, Materials};
use crate::source::Source;

/// A KMS key that the client is told to use.
pub(crate) struct KmsKey {
    key_id: String,
    description: Vec<(String, String)>,
}

impl KmsKey {
    pub(crate) fn new(name: &str, key_id: &str, context: &[(String, String)]) -> Self {
        let mut description = vec![(description::KEY.to_owned(), name.to_owned())];
        description.extend(context.iter().cloned());
        KmsKey {
            key_id: key_id.to_owned(),
            description,
        }
    }
}

impl Source for KmsKey {
    fn for_encryption(&self) -> Result<Materials, Problem> {
        let key = MaterialKey::Kms {
            key_id: self.key_id.clone(),
        };
        Ok(Materials {
            key,
            description: self.description.clone(),
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

    fn summary(&self) -> String {
        "kms".to_owned()
    }
}
