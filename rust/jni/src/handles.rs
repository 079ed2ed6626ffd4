//! What Java holds instead of pointers: numbers that name a configuration, a provider or a listing, or nothing any more.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use emrkeys_core::{Code, Config, Error, Problem, Provider};
use emrkeys_objects::Listing;
use once_cell::sync::Lazy;

pub(crate) static CONFIGS: Lazy<Table<Config>> = Lazy::new(Table::default);
pub(crate) static PROVIDERS: Lazy<Table<Provider>> = Lazy::new(Table::default);
pub(crate) static LISTINGS: Lazy<Table<Mutex<Listing>>> = Lazy::new(Table::default);

/// Never used twice. Starts anywhere, so that a number of another copy of this library names nothing here.
static NEXT: Lazy<AtomicI64> = Lazy::new(|| {
    let random = RandomState::new().build_hasher().finish();
    AtomicI64::new(i64::from_ne_bytes(random.to_ne_bytes()))
});

/// What is open, by its number. A lock is poisoned only by a panic inside of the map's own code; the map is then still whole.
pub(crate) struct Table<T>(RwLock<HashMap<i64, Arc<T>>>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table(RwLock::default())
    }
}

impl<T> Table<T> {
    /// Takes it in and gives its number.
    pub(crate) fn insert(&self, opened: T) -> i64 {
        let handle = NEXT.fetch_add(1, Ordering::Relaxed);
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handle, Arc::new(opened));
        handle
    }

    /// What a number names; it lives on while it is used, even if it is closed meanwhile.
    pub(crate) fn get(&self, handle: i64) -> Result<Arc<T>, Error> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&handle)
            .cloned()
            .ok_or_else(|| {
                Problem::new(
                    Code::Closed,
                    "the provider, or what it gave, was closed",
                    "Make a new one; this one gives no more.",
                )
                .into()
            })
    }

    /// Lets go of everything.
    pub(crate) fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Lets it go, after the last request under way; a provider's keys are wiped then. Whether the number named one.
    pub(crate) fn remove(&self, handle: i64) -> bool {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&handle)
            .is_some()
    }
}
