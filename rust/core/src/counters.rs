//! The counters of a key: those of its cache, and of keys of tables.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Counters of one cache. They only grow.
        #[derive(Debug, Default)]
        pub(crate) struct Stats { $($(#[doc = $doc])+ pub(crate) $name: Counter,)+ }

        /// The counters of a key at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $($(#[doc = $doc])+ pub $name: u64,)+ }

        impl Counts {
            /// The names, in the order of [`values`](Counts::values).
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)+];

            /// The values, in the order of [`NAMES`](Counts::NAMES).
            pub fn values(&self) -> Vec<u64> {
                vec![$(self.$name,)+]
            }
        }

        impl Stats {
            pub(crate) fn counts(&self) -> Counts {
                Counts { $($name: self.$name.get(),)+ }
            }
        }
    };
}

counters! {
    /// Calls of the key service that asked for a new key, retries included.
    generate_calls,
    /// Calls of the key service that asked to unwrap a key, retries included.
    decrypt_calls,
    /// Requests that were answered without the key service.
    hits,
    /// Requests that had to ask the key service.
    misses,
    /// Requests that waited for a call that another one had made.
    waits,
    /// Keys that were renewed in the background, before they expired.
    refreshes,
    /// Calls that the key service refused.
    denials,
    /// Calls that the key service throttled.
    throttles,
    /// Calls that were not answered, or with a fault.
    faults,
    /// Requests that got an expired key, because the key service could not be reached (`emrkeys.cache.max-stale`).
    stale,
    /// Keys of tables that were wrapped under the key.
    table_wraps,
    /// Keys of tables that were unwrapped under the key.
    table_unwraps,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
