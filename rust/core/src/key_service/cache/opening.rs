//! How a wrapped key is opened: once for all threads that need it at the same time, and again when it has expired.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretSlice;

use super::entry::{Opened, State};
use super::failed::Failed;
use super::flight::{Lead, Turn};
use super::{calls, KeyCache, GRACE};
use crate::aws::runtime;
use crate::error::Problem;
use crate::key_service::{Failure, WrappedKey};
use crate::waiting;

impl KeyCache {
    /// The key that `wrapped` holds.
    ///
    /// # Errors
    /// As [`current`](KeyCache::current).
    pub(crate) fn open(&self, wrapped: &WrappedKey) -> Result<Arc<SecretSlice<u8>>, Problem> {
        match self.opened_state(wrapped) {
            State::Fresh(key) | State::Due(key) | State::Stale(key) => {
                self.stats.hits.add();
                return Ok(key);
            }
            State::Failed(failure) => return Err(failure.into_problem()),
            State::Missing => {}
        }
        waiting::may_wait()?;
        let opened = waiting::within(self.limits.deadline, || self.open_or_wait(wrapped));
        opened
            .and_then(Opened::into_answer)
            .map_err(Failure::into_problem)
    }

    fn opened_state(&self, wrapped: &WrappedKey) -> State<Arc<SecretSlice<u8>>> {
        let opened = self.opened.get(wrapped);
        opened.map_or(State::Missing, |opened| {
            opened.state(self.clock.now(), &self.limits)
        })
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
        let old = self.opened.get(wrapped);
        let known = old
            .as_ref()
            .filter(|old| !matches!(old.state(self.clock.now(), &self.limits), State::Missing));
        let opened = match known {
            // Somebody opened it between the look and the lead.
            Some(opened) => opened.clone(),
            None => {
                self.stats.misses.add();
                let opened = self.open_now(wrapped, old.as_ref(), lead.patience());
                self.opened.insert(wrapped.clone(), opened.clone());
                opened
            }
        };
        land(lead, opened.clone());
        Ok(opened)
    }

    fn open_now(&self, wrapped: &WrappedKey, old: Option<&Opened>, patience: Duration) -> Opened {
        let attempt = || {
            self.stats.decrypt_calls.add();
            self.service.open(wrapped)
        };
        let left = waiting::left(self.limits.deadline);
        let call = calls::with_retries(&*self.clock, &self.gate, &self.stats, left, attempt);
        let result = runtime::block_on(left + GRACE, call)
            .unwrap_or_else(|problem| Some(Err(Failure::Unavailable(problem))))
            .unwrap_or_else(|| Err(calls::lost()));
        let now = self.clock.now();
        match result {
            Ok(key) => Opened::Key {
                key: Arc::new(key),
                born: now,
            },
            Err(failure) => match old.and_then(|old| old.stale(&failure, now, &self.limits)) {
                Some(stale) => {
                    self.stats.stale.add();
                    stale
                }
                None => Opened::Failed(Failed::new(failure, now, patience)),
            },
        }
    }
}

fn land(lead: Lead<WrappedKey, Opened>, opened: Opened) {
    match &opened {
        Opened::Failed(failed) if !failed.is_refusal() => lead.give_up(opened),
        _ => lead.end(opened),
    }
}
