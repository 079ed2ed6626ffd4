//! Key sources: where the material of a key comes from. One file for each type of key.
//!
//! A source knows its key's name, material and versions. It knows nothing of rules, of other keys, or of who calls.

pub(crate) mod aes;
pub(crate) mod cached;
pub(crate) mod keyring;
pub(crate) mod kms;
pub(crate) mod lazy;
pub(crate) mod load;
pub(crate) mod rsa;
pub(crate) mod versions;

use std::time::Duration;

use crate::counters::Counts;
use crate::description::StoredDescription;
use crate::error::Problem;
use crate::model::Materials;

/// A configured key, loaded and ready. Shared by all threads.
pub(crate) trait Source: Send + Sync {
    /// Materials for a new object: the current version.
    fn for_encryption(&self) -> Result<Materials, Problem>;

    /// Materials for an object whose stored description names this key and, where keys of the type have versions,
    /// the version `stored` says.
    fn for_decryption(&self, stored: StoredDescription) -> Result<Materials, Problem>;

    /// Materials for an object that another provider wrote and that was attributed to exactly this key.
    fn for_decryption_of_foreign(&self, stored: StoredDescription) -> Result<Materials, Problem>;

    /// Asks for what may have changed since, on a refresh.
    ///
    /// # Errors
    /// The failure; then the source is as it was.
    fn renew(&self) -> Result<(), Problem> {
        Ok(())
    }

    /// The requests to its key service, if it has one, and the age of the key that encrypts.
    fn counts(&self) -> Option<(Counts, Option<Duration>)> {
        None
    }

    /// The type of the key, as configured.
    fn type_name(&self) -> &'static str;

    /// A few words for the start-up line, such as "rsa, 2 versions". No secret.
    fn summary(&self) -> String;
}
