//! The questions that the rest of the core asks of a configured key. A new type of key answers them; it adds none.

use super::key_reader::{CredentialRef, FileRef};
use crate::aws::kms::{Context, KmsTarget};

/// The kind of key that unwraps a data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KekKind {
    Aes,
    Rsa,
    Kms,
}

/// The questions that the rest of the core asks of a key, whatever its type.
pub(crate) trait KeyDetails {
    /// The value of `emrkeys.key.<name>.type`.
    fn type_name(&self) -> &'static str;

    /// The kind of key that unwraps the data keys of its objects.
    fn kek(&self) -> KekKind {
        KekKind::Aes
    }

    /// The files without which the current version cannot be loaded.
    fn material_files(&self) -> Vec<&FileRef> {
        Vec::new()
    }

    /// The files that are read besides.
    fn other_files(&self) -> Vec<&FileRef> {
        Vec::new()
    }

    /// The Hadoop credentials that are read.
    fn credentials(&self) -> Vec<&CredentialRef> {
        Vec::new()
    }

    /// The KMS keys that wrap for the key, or may protect it.
    fn kms_targets(&self) -> &[KmsTarget] {
        &[]
    }

    /// The user's entries of the encryption context; `None` for a key whose calls have no context.
    fn encryption_context(&self) -> Option<&Context> {
        None
    }

    /// The address of the key service other than KMS that gives the key.
    fn service_url(&self) -> Option<&str> {
        None
    }

    /// Fields of other providers' descriptions, and the values under which these providers know the key.
    fn peer_names(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }
}

impl dyn KeyDetails {
    /// All files that are read.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileRef> {
        self.material_files().into_iter().chain(self.other_files())
    }
}
