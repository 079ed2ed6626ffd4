//! The entries of the cache: the states of a key, and what becomes of an entry when a call ends. Here is no lock, no
//! clock and no call, so that each transition is a function of its arguments.
//!
//! | state | the request | the key |
//! |---|---|---|
//! | fresh | is served | stays |
//! | due | is served | is replaced in the background |
//! | stale | is served: the service does not answer | is replaced in the background, or by each request |
//! | failed | fails with the cached failure | is asked for again once the failure is no longer cached |
//! | missing | waits for a call | is what the call gives |

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretSlice;

use super::failed::Failed;
use crate::config::Limits;
use crate::key_service::{Failure, NewKey, WrappedKey};

/// The state of an entry at one moment, for one request.
pub(super) enum State<K> {
    /// The key serves.
    Fresh(K),
    /// The key serves, and is to be replaced before it expires.
    Due(K),
    /// The key has expired and serves all the same: the last call was not answered, and its grace lasts.
    Stale(K),
    /// The service failed, and need not be asked again yet.
    Failed(Failure),
    /// There is no key, or an expired one.
    Missing,
}

/// The key that encrypts, with what is stored.
pub(crate) struct Current {
    pub(crate) key: Arc<SecretSlice<u8>>,
    pub(crate) wrapped: WrappedKey,
    pub(super) born: Duration,
    uses: AtomicU64,
}

impl Current {
    /// A key that the service has just made.
    pub(super) fn new(made: NewKey, now: Duration) -> Current {
        Current {
            key: Arc::new(made.plaintext),
            wrapped: made.wrapped,
            born: now,
            uses: AtomicU64::new(0),
        }
    }

    /// Counts one use; false if there were as many as allowed.
    pub(super) fn take_use(&self, limits: &Limits) -> bool {
        self.uses.fetch_add(1, Ordering::Relaxed) < limits.max_uses
    }

    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.born)
    }

    /// A fifth before the end, so that nobody has to wait at the end. A process whose turn comes at another moment than
    /// its neighbours' spares the service a burst: the moment depends on the key's own bytes.
    fn is_due(&self, age: Duration, uses: u64, limits: &Limits) -> bool {
        let last = self.wrapped.ciphertext.last();
        let share = last.map_or(0.0, |last| f64::from(*last) / 256.0);
        age >= limits.max_age.mul_f64(0.75 + 0.1 * share) || uses >= limits.max_uses - limits.max_uses / 8
    }
}

/// The entry for the key that encrypts.
#[derive(Clone, Default)]
pub(super) struct Encrypting {
    key: Option<Arc<Current>>,
    /// How the last call ended, if it gave no key.
    failed: Option<Failed>,
}

impl Encrypting {
    /// The last key that a call gave, whatever its state.
    pub(super) fn key(&self) -> Option<&Arc<Current>> {
        self.key.as_ref()
    }

    /// For a request that would wait for a call as long as `patience`.
    pub(super) fn state(&self, now: Duration, limits: &Limits, patience: Duration) -> State<Arc<Current>> {
        if let Some(key) = &self.key {
            let (age, uses) = (key.age(now), key.uses.load(Ordering::Relaxed));
            if uses < limits.max_uses {
                if age < limits.max_age {
                    let key = Arc::clone(key);
                    return if key.is_due(age, uses, limits) {
                        State::Due(key)
                    } else {
                        State::Fresh(key)
                    };
                }
                let is_unanswered = self.failed.as_ref().is_some_and(|failed| !failed.is_refusal());
                if is_unanswered && age < limits.max_age + limits.max_stale {
                    return State::Stale(Arc::clone(key));
                }
            }
        }
        match self.cached_failure(now, patience) {
            Some(failed) => State::Failed(failed.failure.clone()),
            None => State::Missing,
        }
    }

    /// The failure that keeps a call from being made, in whichever state the key is.
    pub(super) fn cached_failure(&self, now: Duration, patience: Duration) -> Option<&Failed> {
        self.failed
            .as_ref()
            .filter(|failed| failed.answers(now, patience))
    }

    /// The entry after a call that gave a key.
    pub(super) fn renewed(key: Arc<Current>) -> Encrypting {
        Encrypting {
            key: Some(key),
            failed: None,
        }
    }

    /// The entry after a call that failed: the key stays what it was.
    pub(super) fn failed(&self, failed: Failed) -> Encrypting {
        Encrypting {
            key: self.key.clone(),
            failed: Some(failed),
        }
    }
}

/// The entry for a wrapped key that was opened. It is never due: who needs it once it has expired asks again.
#[derive(Clone)]
pub(super) enum Opened {
    /// The service opened it.
    Key {
        key: Arc<SecretSlice<u8>>,
        born: Duration,
    },
    /// The service did not.
    Failed(Failed),
}

impl Opened {
    /// The entry of a key that this process encrypts with.
    pub(super) fn of(current: &Current) -> Opened {
        Opened::Key {
            key: Arc::clone(&current.key),
            born: current.born,
        }
    }

    /// Fresh, failed or missing. Of failures only refusals are cached: the gate keeps those who ask again from storming
    /// a service that does not answer.
    pub(super) fn state(&self, now: Duration, limits: &Limits) -> State<Arc<SecretSlice<u8>>> {
        match self {
            Opened::Key { key, born } if now.saturating_sub(*born) < limits.max_age => {
                State::Fresh(Arc::clone(key))
            }
            Opened::Failed(failed) if failed.is_refusal() && failed.answers(now, Duration::ZERO) => {
                State::Failed(failed.failure.clone())
            }
            _ => State::Missing,
        }
    }

    /// The entry after a call that failed, whose key serves all the same: the call was not answered, and the grace of
    /// the key lasts. The key does not become younger.
    pub(super) fn stale(&self, failure: &Failure, now: Duration, limits: &Limits) -> Option<Opened> {
        match self {
            Opened::Key { born, .. }
                if !failure.is_final() && now.saturating_sub(*born) < limits.max_age + limits.max_stale =>
            {
                Some(self.clone())
            }
            _ => None,
        }
    }

    /// The answer to those for whom a call has just been made.
    pub(super) fn into_answer(self) -> Result<Arc<SecretSlice<u8>>, Failure> {
        match self {
            Opened::Key { key, .. } => Ok(key),
            Opened::Failed(failed) => Err(failed.failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Problem};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn limits() -> Limits {
        Limits {
            max_age: at(600),
            max_uses: 16,
            max_stale: at(100),
            ..Limits::default()
        }
    }

    /// Made at the first second.
    fn current() -> Arc<Current> {
        let made = NewKey {
            plaintext: SecretSlice::from(vec![7; 32]),
            wrapped: WrappedKey {
                key_id: "key".to_owned(),
                ciphertext: vec![0],
                context: Default::default(),
            },
        };
        Arc::new(Current::new(made, at(1)))
    }

    fn problem() -> Problem {
        Problem::new(Code::SourceUnavailable, "", "")
    }

    fn name<K>(state: &State<K>) -> &'static str {
        match state {
            State::Fresh(_) => "fresh",
            State::Due(_) => "due",
            State::Stale(_) => "stale",
            State::Failed(_) => "failed",
            State::Missing => "missing",
        }
    }

    fn state(entry: &Encrypting, now: u64) -> &'static str {
        name(&entry.state(at(now), &limits(), PATIENCE))
    }

    #[test]
    fn the_key_that_encrypts_is_fresh_then_due_then_missing() {
        assert_eq!(state(&Encrypting::default(), 1), "missing");
        let entry = Encrypting::renewed(current());
        let states = [1, 450, 451, 600, 601].map(|now| state(&entry, now));
        assert_eq!(states, ["fresh", "fresh", "due", "due", "missing"]);
    }

    #[test]
    fn it_is_due_and_missing_by_its_uses_too() {
        let entry = Encrypting::renewed(current());
        let key = entry.key().unwrap();
        let states: Vec<_> = (0..16)
            .map(|_| {
                let before = state(&entry, 1);
                assert!(key.take_use(&limits()));
                before
            })
            .collect();
        assert_eq!(states[..14], ["fresh"; 14]);
        assert_eq!(states[14..], ["due"; 2]);
        assert!(!key.take_use(&limits()));
        assert_eq!(state(&entry, 1), "missing");
    }

    #[test]
    fn a_call_without_an_answer_leaves_the_key_and_its_grace() {
        for failure in [Failure::Throttled, Failure::Unavailable] {
            let failed = Failed::new(failure(problem()), at(602), PATIENCE);
            let entry = Encrypting::renewed(current()).failed(failed.clone());
            let states = [2, 602, 700, 701].map(|now| state(&entry, now));
            assert_eq!(states, ["fresh", "stale", "stale", "missing"]);
            assert!(entry.cached_failure(at(602), PATIENCE).is_some());
            assert_eq!(state(&Encrypting::default().failed(failed), 602), "failed");
        }
    }

    #[test]
    fn a_refusal_ends_the_grace_and_is_cached() {
        let refused = Failed::new(Failure::Refused(problem()), at(602), PATIENCE);
        let entry = Encrypting::renewed(current()).failed(refused);
        let states = [599, 602, 606, 607].map(|now| state(&entry, now));
        assert_eq!(states, ["due", "failed", "failed", "missing"]);
        let renewed = Encrypting::renewed(current());
        assert!(renewed.cached_failure(at(602), PATIENCE).is_none());
    }

    #[test]
    fn an_opened_key_is_fresh_until_its_age_and_then_missing() {
        let opened = Opened::of(&current());
        let states = [1, 600, 601].map(|now| name(&opened.state(at(now), &limits())));
        assert_eq!(states, ["fresh", "fresh", "missing"]);
    }

    #[test]
    fn an_opened_key_survives_a_call_without_an_answer_within_its_grace_alone() {
        let opened = Opened::of(&current());
        let (down, refused) = (Failure::Unavailable(problem()), Failure::Refused(problem()));
        let stale = opened.stale(&down, at(700), &limits()).unwrap();
        assert_eq!(
            name(&stale.state(at(700), &limits())),
            "missing",
            "it is not younger"
        );
        assert!(stale.into_answer().is_ok());
        assert!(opened.stale(&down, at(701), &limits()).is_none());
        assert!(opened.stale(&refused, at(602), &limits()).is_none());
        let failed = Opened::Failed(Failed::new(down.clone(), at(602), PATIENCE));
        assert!(failed.stale(&down, at(602), &limits()).is_none());
    }

    #[test]
    fn of_the_failures_to_open_a_key_refusals_alone_are_cached() {
        let state = |failure: Failure| {
            let opened = Opened::Failed(Failed::new(failure, at(1), PATIENCE));
            assert!(opened.clone().into_answer().is_err());
            [1, 5, 6].map(|now| name(&opened.state(at(now), &limits())))
        };
        assert_eq!(
            state(Failure::Refused(problem())),
            ["failed", "failed", "missing"]
        );
        assert_eq!(state(Failure::Unavailable(problem())), ["missing"; 3]);
    }
}
