//! How the key that encrypts is replaced: by a request that needs it, in the background, or because somebody asks for
//! it. One call at a time, whichever of them begins it.

use std::sync::Arc;
use std::time::Duration;

use super::entry::{Current, Encrypting, Opened, State};
use super::failed::Failed;
use super::flight::{Lead, Turn};
use super::{calls, KeyCache, GRACE};
use crate::aws::runtime;
use crate::error::Problem;
use crate::key_service::{Failure, NewKey};
use crate::waiting;

impl KeyCache {
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
                return Ok(stale);
            }
            waiting::may_wait()?;
            if let Err(failure) = self.renew_or_wait(false) {
                // Within its grace an expired key serves all the same, from the first failure on.
                return self.stale().ok_or_else(|| failure.into_problem());
            }
            // As many threads as a key has uses may have been quicker.
            if let Some(current) = self.take_use() {
                return Ok(current);
            }
        }
    }

    /// Asks for a new key to encrypt with, where there was one, and forgets those that were opened.
    ///
    /// # Errors
    /// As [`current`](KeyCache::current); then everything stays as it was.
    pub(crate) fn renew(self: &Arc<Self>) -> Result<(), Problem> {
        if self.encrypting.load().key().is_some() {
            waiting::may_wait()?;
            waiting::within(self.limits.deadline, || self.renew_or_wait(true))
                .map_err(Failure::into_problem)?;
        }
        self.opened.invalidate_all();
        if let Some(current) = self.encrypting.load().key() {
            self.remember(current);
        }
        Ok(())
    }

    /// How old the key is that encrypts, if there is one.
    pub(crate) fn age(&self) -> Option<Duration> {
        let born = self.encrypting.load().key()?.born;
        Some(self.clock.now().saturating_sub(born))
    }

    fn state(&self, patience: Duration) -> State<Arc<Current>> {
        self.encrypting
            .load()
            .state(self.clock.now(), &self.limits, patience)
    }

    /// The fresh key, one use counted. If it is due, it is replaced in the background.
    fn take_use(self: &Arc<Self>) -> Option<Arc<Current>> {
        let state = self.state(Duration::ZERO);
        let is_due = matches!(state, State::Due(_));
        let (State::Fresh(key) | State::Due(key)) = state else {
            return None;
        };
        if !key.take_use(&self.limits) {
            return None;
        }
        if is_due {
            self.renew_in_background();
        }
        Some(key)
    }

    fn stale(&self) -> Option<Arc<Current>> {
        let State::Stale(key) = self.state(Duration::ZERO) else {
            return None;
        };
        self.stats.stale.add();
        Some(key)
    }

    /// Gets a new key, or waits for the thread that does. `always`: even where the current one is fresh.
    fn renew_or_wait(self: &Arc<Self>, always: bool) -> Result<(), Failure> {
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
        let call = Renewal::new(self, lead);
        if !always {
            // Another call may have ended since this request looked.
            match self.state(left + GRACE) {
                State::Fresh(_) | State::Due(_) | State::Stale(_) => return call.skip(Ok(())),
                State::Failed(failure) => return call.skip(Err(failure)),
                State::Missing => {}
            }
        }
        self.stats.misses.add();
        let result = runtime::block_on(left + GRACE, self.generate(left));
        call.finish(result.unwrap_or_else(|problem| Some(Err(Failure::Unavailable(problem)))))
    }

    fn renew_in_background(self: &Arc<Self>) {
        let patience = self.limits.deadline + GRACE;
        let now = self.clock.now();
        if self.encrypting.load().cached_failure(now, patience).is_some() {
            return;
        }
        let Some(lead) = self.renewals.lead(&(), patience) else {
            return;
        };
        let call = Renewal::new(self, lead);
        self.stats.refreshes.add();
        let cache = Arc::clone(self);
        // Without a runtime there is no key either, and every call that needs one fails.
        let _ = runtime::spawn(async move {
            let result = cache.generate(cache.limits.deadline).await;
            let _ = call.finish(Some(result));
        });
    }

    async fn generate(&self, deadline: Duration) -> Result<NewKey, Failure> {
        let attempt = || {
            self.stats.generate_calls.add();
            self.service.generate()
        };
        calls::with_retries(&*self.clock, &self.gate, &self.stats, deadline, attempt).await
    }

    /// A process that writes an object often reads it, so that the key counts as opened, too.
    fn remember(&self, current: &Current) {
        self.opened.insert(current.wrapped.clone(), Opened::of(current));
    }
}

/// A call for a new key. It alone changes the entry, and ends even if it panics.
struct Renewal {
    cache: Arc<KeyCache>,
    /// `None` once it has ended.
    lead: Option<Lead<(), Result<(), Failure>>>,
}

impl Renewal {
    fn new(cache: &Arc<KeyCache>, lead: Lead<(), Result<(), Failure>>) -> Renewal {
        Renewal {
            cache: Arc::clone(cache),
            lead: Some(lead),
        }
    }

    fn finish(mut self, result: Option<Result<NewKey, Failure>>) -> Result<(), Failure> {
        self.end(result.unwrap_or_else(|| Err(calls::lost())))
    }

    /// Ends it where no call was needed.
    fn skip(mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        self.land(outcome.clone());
        outcome
    }

    fn end(&mut self, result: Result<NewKey, Failure>) -> Result<(), Failure> {
        let now = self.cache.clock.now();
        let (entry, outcome) = match result {
            Ok(made) => {
                let current = Arc::new(Current::new(made, now));
                self.cache.remember(&current);
                (Encrypting::renewed(current), Ok(()))
            }
            Err(failure) => {
                let patience = self.lead.as_ref().map_or(Duration::ZERO, Lead::patience);
                let failed = Failed::new(failure.clone(), now, patience);
                (self.cache.encrypting.load().failed(failed), Err(failure))
            }
        };
        self.cache.encrypting.store(Arc::new(entry));
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

impl Drop for Renewal {
    fn drop(&mut self) {
        if self.lead.is_some() {
            let _ = self.end(Err(calls::lost()));
        }
    }
}
