//! What Java holds instead of pointers: numbers that name a provider, or nothing any more.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use emrkeys_core::{Code, Error, Problem, Provider};
use once_cell::sync::Lazy;

static OPEN: Lazy<RwLock<HashMap<i64, Arc<Provider>>>> = Lazy::new(RwLock::default);

/// Never used twice. Starts anywhere, so that a number of another copy of this library names nothing here.
static NEXT: Lazy<AtomicI64> = Lazy::new(|| {
    let random = RandomState::new().build_hasher().finish();
    AtomicI64::new(i64::from_ne_bytes(random.to_ne_bytes()))
});

/// Takes a provider in and gives its number.
pub(crate) fn insert(provider: Provider) -> i64 {
    let handle = NEXT.fetch_add(1, Ordering::Relaxed);
    // A lock is poisoned only by a panic inside of the map's own code; the map is then still whole.
    OPEN.write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(handle, Arc::new(provider));
    handle
}

/// The provider of a number; it lives on while it is used, even if it is closed meanwhile.
pub(crate) fn get(handle: i64) -> Result<Arc<Provider>, Error> {
    OPEN.read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&handle)
        .cloned()
        .ok_or_else(|| {
            Problem::new(
                Code::Closed,
                "the provider was closed",
                "Make a new one; this one gives no more keys.",
            )
            .into()
        })
}

/// Lets a provider go; its keys are wiped with the last request under way. Whether the number named one.
pub(crate) fn remove(handle: i64) -> bool {
    OPEN.write()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&handle)
        .is_some()
}
