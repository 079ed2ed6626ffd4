//! Keys of a key service: `kms-cached` and `data-key-service`. A few calls of the service cover any number of objects.

use std::sync::Arc;
use std::time::Duration;

use crate::counters::Counts;
use crate::description::{self, StoredDescription};
use crate::error::Problem;
use crate::key_service::cache::KeyCache;
use crate::key_service::DescriptionCodec;
use crate::model::{MaterialKey, Materials};
use crate::release;
use crate::source::Source;

use secrecy::SecretSlice;

/// A configured key whose versions a key service wraps.
pub(crate) struct CachedKey {
    pub(crate) name: String,
    pub(crate) type_name: &'static str,
    pub(crate) codec: Arc<dyn DescriptionCodec>,
    pub(crate) cache: Arc<KeyCache>,
}

impl CachedKey {
    fn materials(key: Arc<SecretSlice<u8>>, description: StoredDescription) -> Materials {
        Materials {
            key: MaterialKey::Symmetric {
                algorithm: release::ALGORITHM,
                bytes: key,
            },
            description,
        }
    }
}

impl Source for CachedKey {
    fn for_encryption(&self) -> Result<Materials, Problem> {
        let current = self.cache.current()?;
        let mut description = StoredDescription::from_iter([(description::KEY, &self.name)]);
        description.extend(self.codec.description(&current.wrapped));
        Ok(Self::materials(Arc::clone(&current.key), description))
    }

    fn for_decryption(&self, stored: StoredDescription) -> Result<Materials, Problem> {
        let key = self.cache.open(&self.codec.wrapped(&stored)?)?;
        Ok(Self::materials(key, stored))
    }

    fn for_decryption_of_foreign(&self, stored: StoredDescription) -> Result<Materials, Problem> {
        self.for_decryption(stored)
    }

    fn summary(&self) -> String {
        self.type_name.to_owned()
    }

    fn renew(&self) -> Result<(), Problem> {
        self.cache.renew()
    }

    fn counts(&self) -> Option<(Counts, Option<Duration>)> {
        Some((self.cache.counts(), self.cache.age()))
    }

    fn type_name(&self) -> &'static str {
        self.type_name
    }
}
