//! A bucket's own settings that decide which requests an object needs before it is written anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use emrkeys_core::aws::{runtime, BucketSettings, Hidden};
use emrkeys_core::Problem;

use crate::calls::{ask, DEADLINE};
use crate::standing::Skipped;
use crate::store::{Head, ObjectUri, Store};

/// The settings of buckets, each asked for once. Clones share them. Thread-safe.
#[derive(Clone, Debug, Default)]
pub struct Buckets(Arc<Mutex<BTreeMap<String, BucketSettings>>>);

impl Buckets {
    /// The settings of the object's bucket. Where the first may not be read, the bucket counts as having lists, and
    /// each object is asked for.
    pub(super) fn settings(&self, store: &Store, uri: &ObjectUri) -> BucketSettings {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Threads that come meanwhile wait for the answer.
        *known.entry(uri.bucket.clone()).or_insert_with(|| {
            let settings = BucketSettings::of(&store.client, &uri.bucket);
            let settings = runtime::block_on(DEADLINE, settings).ok().flatten();
            settings.unwrap_or(BucketSettings::UNREADABLE)
        })
    }
}

impl Store {
    /// Why an object is not to be written anew: S3 does not show all that it has, and the new one would be without it.
    /// Two requests at the most if the bucket `has_locks`, otherwise none.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`
    pub(super) fn hides(
        &self,
        uri: &ObjectUri,
        head: &Head,
        has_locks: bool,
    ) -> Result<Option<Skipped>, Problem> {
        let hidden = ask(uri, self.at(uri).hides(&head.raw, has_locks))?;
        Ok(hidden.map(|hidden| match hidden {
            Hidden::Metadata => Skipped::MetadataUnreadable,
            Hidden::Lock => Skipped::LockUnreadable,
        }))
    }
}
