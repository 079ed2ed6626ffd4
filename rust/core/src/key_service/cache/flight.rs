//! Calls that many threads need at once and one of them makes ("single flight").
//!
//! The thread that gets a [`Lead`] makes the call. The others wait for its outcome, each within its own patience. If
//! the call ends without an outcome, because it panicked, one of the others gets the lead. So does a thread with more
//! patience than the call had, if that gave up: its failure is no answer to those who can wait longer.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, MutexGuard};

/// Calls by the key of what they ask for. Thread-safe.
pub(crate) struct Flights<K, T>(Mutex<BTreeMap<K, Arc<Flight<T>>>>);

struct Flight<T> {
    state: Mutex<State<T>>,
    ended: Condvar,
}

enum State<T> {
    UnderWay,
    Ended(T),
    /// The outcome is for those who have no more patience than the call had.
    GaveUp(T, Duration),
    Lost,
}

/// The part of a thread in a call.
pub(crate) enum Turn<K: Ord, T> {
    /// It makes the call. Nobody else makes one for the same key until the lead ends.
    Lead(Lead<K, T>),
    /// Another thread made it, with this outcome.
    Ended(T),
    /// Another thread makes it, and the patience has run out.
    Late,
}

/// The right to make one call. Dropped without [`end`](Lead::end), it passes to another thread.
pub(crate) struct Lead<K: Ord, T> {
    flights: Arc<Flights<K, T>>,
    key: K,
    flight: Arc<Flight<T>>,
    patience: Duration,
    /// The state in which it leaves the call.
    leaves: State<T>,
}

/// Whether the failure of a call that had `patience` answers one that has `left`, too: an eighth more would not have
/// changed it.
pub(crate) fn answers(patience: Duration, left: Duration) -> bool {
    left <= patience + patience / 8
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Ord, T> Default for Flights<K, T> {
    fn default() -> Self {
        Flights(Mutex::new(BTreeMap::new()))
    }
}

impl<K: Ord + Clone, T: Clone> Flights<K, T> {
    /// The lead of a call that has `patience`, if no call for `key` is under way.
    pub(crate) fn lead(self: &Arc<Self>, key: &K, patience: Duration) -> Option<Lead<K, T>> {
        self.enter(key, patience).ok()
    }

    /// The lead, or the outcome of the call under way.
    pub(crate) fn join(self: &Arc<Self>, key: &K, patience: Duration) -> Turn<K, T> {
        let end = Instant::now() + patience;
        loop {
            let left = || end.saturating_duration_since(Instant::now());
            let flight = match self.enter(key, left()) {
                Ok(lead) => return Turn::Lead(lead),
                Err(flight) => flight,
            };
            let mut state = lock(&flight.state);
            loop {
                let left = left();
                match &*state {
                    State::Ended(outcome) => return Turn::Ended(outcome.clone()),
                    State::GaveUp(outcome, patience) if answers(*patience, left) => {
                        return Turn::Ended(outcome.clone())
                    }
                    State::GaveUp(..) | State::Lost => break,
                    State::UnderWay => {}
                }
                if left.is_zero() {
                    return Turn::Late;
                }
                let waited = flight.ended.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn enter(self: &Arc<Self>, key: &K, patience: Duration) -> Result<Lead<K, T>, Arc<Flight<T>>> {
        let mut flights = lock(&self.0);
        if let Some(flight) = flights.get(key) {
            return Err(Arc::clone(flight));
        }
        let flight = Arc::new(Flight {
            state: Mutex::new(State::UnderWay),
            ended: Condvar::new(),
        });
        flights.insert(key.clone(), Arc::clone(&flight));
        Ok(Lead {
            flights: Arc::clone(self),
            key: key.clone(),
            flight,
            patience,
            leaves: State::Lost,
        })
    }
}

impl<K: Ord, T> Lead<K, T> {
    /// Ends the call: all who wait get `outcome`. The next call for the key may begin before they have seen it.
    pub(crate) fn end(mut self, outcome: T) {
        self.leaves = State::Ended(outcome);
    }

    /// Ends the call with a failure that more time might have spared: those get it who have no more left than this call
    /// had, and one of the others makes the next call.
    pub(crate) fn give_up(mut self, failure: T) {
        self.leaves = State::GaveUp(failure, self.patience);
    }

    /// How long the call may take.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }
}

impl<K: Ord, T> Drop for Lead<K, T> {
    fn drop(&mut self) {
        // Out of the way first, so that a thread which finds the call lost or given up can begin another.
        lock(&self.flights.0).remove(&self.key);
        *lock(&self.flight.state) = std::mem::replace(&mut self.leaves, State::Lost);
        self.flight.ended.notify_all();
    }
}
