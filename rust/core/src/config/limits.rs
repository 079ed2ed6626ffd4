//! The bounds of the cache of a key service.

use std::time::Duration;

/// The bounds of a cache.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Limits {
    /// After that long a key is renewed, or opened again.
    pub(crate) max_age: Duration,
    /// So many objects are encrypted under one key.
    pub(crate) max_uses: u64,
    /// So many opened keys are kept.
    pub(crate) max_entries: u64,
    /// For so long after that a key still serves while the service cannot be reached.
    pub(crate) max_stale: Duration,
    /// For one request, all tries together.
    pub(crate) deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_age: Duration::from_secs(600),
            max_uses: 1 << 20,
            max_entries: 10_000,
            max_stale: Duration::ZERO,
            deadline: Duration::from_secs(20),
        }
    }
}
