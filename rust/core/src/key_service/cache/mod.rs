//! Keys that a key service made or opened, kept for a while so that it is asked a few times in a process.
//!
//! One [`KeyCache`] stands behind a configured key, shared by everything in the process that is configured alike. It
//! holds the key that encrypts now, and those that were opened to decrypt. Whatever many threads need at once is asked
//! for once.

mod calls;
mod clock;
mod flight;
mod gate;
/// The locks of [`flight`], which its model test exchanges for others.
mod sync {
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
}
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use secrecy::SecretSlice;

use crate::aws::runtime;
use crate::config::Limits;
use crate::counters::{Counts, Stats};
use crate::error::{Code, Problem};
use crate::key_service::{Answer, Failure, KeyService, NewKey, WrappedKey};
use crate::waiting;
use gate::Gate;

pub use calls::full_jitter;
pub(crate) use clock::{Clock, Monotonic};
pub(crate) use flight::{answers, Flights, Lead, Turn};

/// How long a refusal is cached, so that a job without permission does not ask again for every object.
const REFUSAL_CACHED_FOR: Duration = Duration::from_secs(5);
/// How long another failure is cached, and how long until the background tries again.
const FAULT_CACHED_FOR: Duration = Duration::from_secs(1);
/// Those who wait for a call wait that much longer than they have left: it ends by its own deadline, and its failure
/// says more than theirs.
const GRACE: Duration = Duration::from_secs(1);

/// The key that encrypts, with what is stored.
pub(crate) struct Current {
    pub(crate) key: Arc<SecretSlice<u8>>,
    pub(crate) wrapped: WrappedKey,
    born: Duration,
    uses: AtomicU64,
}

/// The cached answer to a request to unwrap a key.
#[derive(Clone)]
enum Opened {
    Key { key: Arc<SecretSlice<u8>>, at: Duration },
    Failed { failure: Failure, at: Duration },
}

/// The failure of a call for a new current key.
struct LastFailure {
    failure: Failure,
    at: Duration,
    /// How long the call might have taken.
    patience: Duration,
}

/// The keys of one configured key. Thread-safe.
pub(crate) struct KeyCache {
    service: Arc<dyn KeyService>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    gate: Gate,
    current: ArcSwapOption<Current>,
    /// Calls for a new current key.
    renewals: Arc<Flights<(), Result<(), Failure>>>,
    /// How the last of them ended, if it failed.
    failure: Mutex<Option<LastFailure>>,
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
            current: ArcSwapOption::empty(),
            renewals: Arc::default(),
            failure: Mutex::default(),
            openings: Arc::default(),
            stats: Stats::default(),
        }
    }

    /// The key for one more object.
    ///
    /// # Errors
    /// The refusal of the service, or `SOURCE_UNAVAILABLE`, at the latest after the deadline.
    pub(crate) fn current(self: &Arc<Self>) -> Result<Arc<Current>, Problem> {
        if let Some(current) = self.take_use() {
            self.stats.hits.add();
            return Ok(current);
        }
        waiting::within(self.limits.deadline, || self.current_or_wait())
    }

    fn current_or_wait(self: &Arc<Self>) -> Result<Arc<Current>, Problem> {
        loop {
            if let Some(stale) = self.stale() {
                self.renew_in_background();
                self.stats.stale.add();
                return Ok(stale);
            }
            waiting::may_wait()?;
            if let Err(failure) = self.refresh_or_wait(false) {
                // Within its grace an expired key serves all the same, from the first failure on.
                return match self.stale() {
                    Some(stale) => {
                        self.stats.stale.add();
                        Ok(stale)
                    }
                    None => Err(failure.into_problem()),
                };
            }
            // As many threads as a key has uses may have been quicker.
            if let Some(current) = self.take_use() {
                return Ok(current);
            }
        }
    }

    /// The key that `wrapped` holds.
    ///
    /// # Errors
    /// As [`current`](KeyCache::current).
    pub(crate) fn open(&self, wrapped: &WrappedKey) -> Result<Arc<SecretSlice<u8>>, Problem> {
        match self.known(wrapped) {
            Some(Opened::Key { key, .. }) => {
                self.stats.hits.add();
                return Ok(key);
            }
            Some(Opened::Failed { failure, .. }) => return Err(failure.into_problem()),
            None => {}
        }
        waiting::may_wait()?;
        let opened = waiting::within(self.limits.deadline, || self.open_or_wait(wrapped));
        match opened.map_err(Failure::into_problem)? {
            Opened::Key { key, .. } => Ok(key),
            Opened::Failed { failure, .. } => Err(failure.into_problem()),
        }
    }

    /// Opens a key, or waits for the thread that does.
    fn open_or_wait(&self, wrapped: &WrappedKey) -> Result<Opened, Failure> {
        let left = self.left()?;
        let lead = match self.openings.join(wrapped, left + GRACE) {
            Turn::Lead(lead) => lead,
            Turn::Ended(opened) => {
                self.stats.waits.add();
                return Ok(opened);
            }
            Turn::Late => {
                self.stats.waits.add();
                return Err(calls::no_answer());
            }
        };
        let opened = match self.known(wrapped) {
            // Somebody opened it between the look and the lead.
            Some(opened) => opened,
            None => {
                self.stats.misses.add();
                let opened = self.open_now(wrapped, self.opened.get(wrapped).as_ref());
                self.opened.insert(wrapped.clone(), opened.clone());
                opened
            }
        };
        match &opened {
            Opened::Failed { failure, .. } if !failure.is_final() => lead.give_up(opened.clone()),
            _ => lead.end(opened.clone()),
        }
        Ok(opened)
    }

    /// The time that this thread's call has left for the service.
    fn left(&self) -> Result<Duration, Failure> {
        let left = waiting::left(self.limits.deadline);
        if left.is_zero() {
            return Err(calls::no_answer());
        }
        Ok(left)
    }

    /// Asks for a new key to encrypt with, where there was one, and forgets those that were opened.
    ///
    /// # Errors
    /// As [`current`](KeyCache::current); then everything stays as it was.
    pub(crate) fn renew(self: &Arc<Self>) -> Result<(), Problem> {
        if self.current.load().is_some() {
            waiting::may_wait()?;
            waiting::within(self.limits.deadline, || self.refresh_or_wait(true))
                .map_err(Failure::into_problem)?;
        }
        self.opened.invalidate_all();
        if let Some(current) = self.current.load_full() {
            self.remember(&current);
        }
        Ok(())
    }

    /// The counters of this cache so far.
    pub(crate) fn counts(&self) -> Counts {
        self.stats.counts()
    }

    /// How old the key is that encrypts, if there is one.
    pub(crate) fn age(&self) -> Option<Duration> {
        let born = self.current.load().as_ref()?.born;
        Some(self.clock.now().saturating_sub(born))
    }

    /// The current key, one use counted; `None` where it has expired.
    fn take_use(self: &Arc<Self>) -> Option<Arc<Current>> {
        let current = self.current.load_full()?;
        let age = self.clock.now().saturating_sub(current.born);
        if age >= self.limits.max_age {
            return None;
        }
        let uses = current.uses.fetch_add(1, Ordering::Relaxed);
        if uses >= self.limits.max_uses {
            return None;
        }
        // A fifth before the end, so that nobody has to wait at the end. A process whose turn comes at another moment
        // than its neighbours' spares the service a burst: the moment depends on the key's own bytes.
        let early = self.limits.max_age.mul_f64(0.75 + 0.1 * share(&current.wrapped));
        if age >= early || uses >= self.limits.max_uses - self.limits.max_uses / 8 {
            self.renew_in_background();
        }
        Some(current)
    }

    /// An expired key that may still serve, because the last call since it was made has failed for want of an answer.
    fn stale(&self) -> Option<Arc<Current>> {
        let current = self.current.load_full()?;
        let age = self.clock.now().saturating_sub(current.born);
        let unanswered = matches!(&*self.last_failure(), Some(last) if !last.failure.is_final());
        let in_grace = age < self.limits.max_age + self.limits.max_stale;
        (unanswered && in_grace && current.uses.load(Ordering::Relaxed) < self.limits.max_uses)
            .then_some(current)
    }

    /// Gets a new key, or waits for the thread that does. `always`: even where the current one is good.
    fn refresh_or_wait(self: &Arc<Self>, always: bool) -> Result<(), Failure> {
        let left = self.left()?;
        let lead = match self.renewals.join(&(), left + GRACE) {
            Turn::Lead(lead) => lead,
            Turn::Ended(outcome) => {
                self.stats.waits.add();
                return outcome;
            }
            Turn::Late => {
                self.stats.waits.add();
                return Err(calls::no_answer());
            }
        };
        let call = self.begin_call(lead);
        if !always {
            let settled = if self.is_good() {
                Some(Ok(()))
            } else {
                self.recent_failure(left + GRACE).map(Err)
            };
            if let Some(outcome) = settled {
                return call.skip(outcome);
            }
        }
        self.stats.misses.add();
        let result = runtime::block_on(left + GRACE, self.generate(left));
        call.finish(result.unwrap_or_else(|problem| Some(Err(Failure::Unavailable(problem)))))
    }

    fn renew_in_background(self: &Arc<Self>) {
        let patience = self.limits.deadline + GRACE;
        if self.recent_failure(patience).is_some() {
            return;
        }
        let Some(lead) = self.renewals.lead(&(), patience) else {
            return;
        };
        let call = self.begin_call(lead);
        self.stats.refreshes.add();
        let cache = Arc::clone(self);
        // Without a runtime there is no key either, and every call that needs one fails.
        let _ = runtime::spawn(async move {
            let result = cache.generate(cache.limits.deadline).await;
            let _ = call.finish(Some(result));
        });
    }

    fn last_failure(&self) -> MutexGuard<'_, Option<LastFailure>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failure of the last call, as long as it is cached, if it answers a call that has `patience`.
    fn recent_failure(&self, patience: Duration) -> Option<Failure> {
        let last = self.last_failure();
        let last = last.as_ref()?;
        let (age, answers) = if last.failure.is_final() {
            (REFUSAL_CACHED_FOR, true)
        } else {
            (FAULT_CACHED_FOR, flight::answers(last.patience, patience))
        };
        (answers && self.clock.now().saturating_sub(last.at) < age).then(|| last.failure.clone())
    }

    fn is_good(&self) -> bool {
        self.current.load().as_ref().is_some_and(|current| {
            self.clock.now().saturating_sub(current.born) < self.limits.max_age
                && current.uses.load(Ordering::Relaxed) < self.limits.max_uses
        })
    }

    fn begin_call(self: &Arc<Self>, lead: Lead<(), Result<(), Failure>>) -> PendingCall {
        PendingCall {
            cache: Arc::clone(self),
            lead: Some(lead),
        }
    }

    async fn generate(&self, deadline: Duration) -> Result<NewKey, Failure> {
        let attempt = || {
            self.stats.generate_calls.add();
            self.service.generate()
        };
        calls::with_retries(&*self.clock, &self.gate, &self.stats, deadline, attempt).await
    }

    fn open_now(&self, wrapped: &WrappedKey, old: Option<&Opened>) -> Opened {
        let attempt = || {
            self.stats.decrypt_calls.add();
            self.service.open(wrapped)
        };
        let left = waiting::left(self.limits.deadline);
        let call = calls::with_retries(&*self.clock, &self.gate, &self.stats, left, attempt);
        let result = runtime::block_on(left + GRACE, call)
            .unwrap_or_else(|problem| Some(Err(Failure::Unavailable(problem))))
            .unwrap_or_else(|| Err(lost()));
        let now = self.clock.now();
        match (result, old) {
            (Ok(key), _) => Opened::Key {
                key: Arc::new(key),
                at: now,
            },
            (Err(Failure::Throttled(_) | Failure::Unavailable(_)), Some(Opened::Key { key, at }))
                if now.saturating_sub(*at) < self.limits.max_age + self.limits.max_stale =>
            {
                self.stats.stale.add();
                Opened::Key {
                    key: Arc::clone(key),
                    at: *at,
                }
            }
            (Err(failure), _) => Opened::Failed { failure, at: now },
        }
    }

    /// The cached answer, if it is still valid.
    fn known(&self, wrapped: &WrappedKey) -> Option<Opened> {
        let opened = self.opened.get(wrapped)?;
        let (at, age) = match &opened {
            Opened::Key { at, .. } => (at, self.limits.max_age),
            Opened::Failed {
                at,
                failure: Failure::Refused(_),
            } => (at, REFUSAL_CACHED_FOR),
            // The gate keeps those who ask again from storming the service.
            Opened::Failed { .. } => return None,
        };
        (self.clock.now().saturating_sub(*at) < age).then_some(opened)
    }

    /// A process that writes an object often reads it, so that the key counts as unwrapped, too.
    fn remember(&self, current: &Current) {
        self.opened.insert(
            current.wrapped.clone(),
            Opened::Key {
                key: Arc::clone(&current.key),
                at: current.born,
            },
        );
    }
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyCache({:?})", self.counts())
    }
}

/// A call for a new current key; ends it even if the call panics.
struct PendingCall {
    cache: Arc<KeyCache>,
    /// `None` once it has ended.
    lead: Option<Lead<(), Result<(), Failure>>>,
}

impl PendingCall {
    fn finish(mut self, result: Option<Result<NewKey, Failure>>) -> Result<(), Failure> {
        self.end(result.unwrap_or_else(|| Err(lost())))
    }

    /// Ends it where no call was needed.
    fn skip(mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        self.land(outcome.clone());
        outcome
    }

    fn end(&mut self, result: Result<NewKey, Failure>) -> Result<(), Failure> {
        let now = self.cache.clock.now();
        let outcome = result.map(|NewKey { plaintext, wrapped }| {
            let current = Arc::new(Current {
                key: Arc::new(plaintext),
                wrapped,
                born: now,
                uses: AtomicU64::new(0),
            });
            self.cache.remember(&current);
            self.cache.current.store(Some(current));
        });
        let patience = self.lead.as_ref().map_or(Duration::ZERO, Lead::patience);
        *self.cache.last_failure() = outcome.clone().err().map(|failure| LastFailure {
            failure,
            at: now,
            patience,
        });
        self.land(outcome.clone());
        outcome
    }

    fn land(&mut self, outcome: Result<(), Failure>) {
        if let Some(lead) = self.lead.take() {
            match &outcome {
                Err(failure) if !failure.is_final() => lead.give_up(outcome),
                _ => lead.end(outcome),
            }
        }
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        if self.lead.is_some() {
            let _ = self.end(Err(lost()));
        }
    }
}

/// The failure of a call that neither succeeded nor failed by its deadline.
fn lost() -> Failure {
    Failure::Unavailable(Problem::new(
        Code::SourceUnavailable,
        "the call of the key service was lost",
        "Try again; if it stays so, report this defect.",
    ))
}

/// A number from 0 to 1 that is the same for the same key, and another for another.
fn share(wrapped: &WrappedKey) -> f64 {
    wrapped
        .ciphertext
        .last()
        .map_or(0.0, |last| f64::from(*last) / 256.0)
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
        .unwrap_or_else(|| Err(lost()))
        .map_err(Failure::into_problem)
}

#[cfg(test)]
mod tests;
