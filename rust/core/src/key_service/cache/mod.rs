//! Keys that a key service made or opened, kept for a while so that it is asked a few times in a process.
//!
//! One [`KeyCache`] stands behind a configured key, shared by everything in the process that is configured alike. It
//! holds the key that encrypts now, and those that were opened to decrypt. Whatever many threads need at once is asked
//! for once.
//!
//! | file | subject |
//! |---|---|
//! | `entry` | the states of a key, and how it passes from one to another |
//! | `failed` | negative caching: for how long and for whom a failure is the answer |
//! | `renewal` | how the key that encrypts is replaced |
//! | `opening` | how a wrapped key is opened |
//! | `flight` | single flight: one call for all threads that need it |
//! | `calls`, `gate` | retries under a deadline; a service that is down is not stormed |

mod calls;
mod clock;
mod entry;
mod failed;
mod flight;
mod gate;
mod opening;
mod renewal;
/// The locks of [`flight`], which its model test exchanges for others.
mod sync {
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
}
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::aws::runtime;
use crate::config::Limits;
use crate::counters::{Counts, Stats};
use crate::error::Problem;
use crate::key_service::{Answer, Failure, KeyService, WrappedKey};
use crate::waiting;
use entry::{Encrypting, Opened};
use gate::Gate;

pub use calls::full_jitter;
pub(crate) use clock::{Clock, Monotonic};
pub(crate) use flight::{answers, Flights, Turn};

/// Those who wait for a call wait that much longer than they have left: it ends by its own deadline, and its failure
/// says more than theirs.
const GRACE: Duration = Duration::from_secs(1);

/// The keys of one configured key. Thread-safe.
pub(crate) struct KeyCache {
    service: Arc<dyn KeyService>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    gate: Gate,
    /// The key that encrypts. Only the call that has the lead of the renewals changes it.
    encrypting: ArcSwap<Encrypting>,
    /// Calls for a new key to encrypt with.
    renewals: Arc<Flights<(), Result<(), Failure>>>,
    /// The keys that decrypt.
    opened: moka::sync::Cache<WrappedKey, Opened>,
    /// Calls that open a key.
    openings: Arc<Flights<WrappedKey, Opened>>,
    stats: Stats,
}

/// The caches of this process by what was configured for them.
static CACHES: Mutex<BTreeMap<String, Weak<KeyCache>>> = Mutex::new(BTreeMap::new());

impl KeyCache {
    /// The cache for `identity`, which says everything that decides what the service gives; a new one with `service`
    /// if no cache exists yet.
    pub(crate) fn shared(
        identity: String,
        limits: Limits,
        service: impl FnOnce() -> Arc<dyn KeyService>,
    ) -> Arc<KeyCache> {
        let mut caches = CACHES.lock().unwrap_or_else(PoisonError::into_inner);
        caches.retain(|_, cache| cache.strong_count() > 0);
        let identity = format!("{identity} {limits:?}");
        if let Some(cache) = caches.get(&identity).and_then(Weak::upgrade) {
            return cache;
        }
        let cache = Arc::new(KeyCache::new(service(), limits, Arc::new(Monotonic)));
        caches.insert(identity, Arc::downgrade(&cache));
        cache
    }

    fn new(service: Arc<dyn KeyService>, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        KeyCache {
            service,
            opened: moka::sync::Cache::new(limits.max_entries),
            limits,
            clock,
            gate: Gate::default(),
            encrypting: ArcSwap::default(),
            renewals: Arc::default(),
            openings: Arc::default(),
            stats: Stats::default(),
        }
    }

    /// The counters of this cache so far.
    pub(crate) fn counts(&self) -> Counts {
        self.stats.counts()
    }

    /// The time that this thread's call has left for the service.
    fn left(&self) -> Result<Duration, Failure> {
        let left = waiting::left(self.limits.deadline);
        if left.is_zero() {
            return Err(calls::no_answer());
        }
        Ok(left)
    }
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyCache({:?})", self.counts())
    }
}

/// One call of a key service whose answer is not kept, with the retries of those that are. Blocks, for about `deadline`
/// at the most.
///
/// # Errors
/// The refusal of the service, or `SOURCE_UNAVAILABLE`.
pub fn call<'a, T>(deadline: Duration, attempt: impl Fn() -> Answer<'a, T>) -> Result<T, Problem> {
    let (gate, stats) = (Gate::default(), Stats::default());
    let call = calls::with_retries(&Monotonic, &gate, &stats, deadline, attempt);
    runtime::block_on(deadline + GRACE, call)?
        .unwrap_or_else(|| Err(calls::lost()))
        .map_err(Failure::into_problem)
}

#[cfg(test)]
mod tests;
