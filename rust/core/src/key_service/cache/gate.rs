//! Keeps a key service that is down from being stormed.
//!
//! While the service answers, everybody passes. After a few failures in a row one call at a time is let through as a
//! probe, at growing intervals, and the others wait for their turn or for their own deadline. Once it has been down for
//! longer than any call waits, the others fail at once with the failure of the last probe.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::key_service::Failure;

/// So many failures in a row are bad luck; more are an outage.
const BAD_LUCK: u32 = 3;
/// Between probes, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    /// Since the first of the failures in a row.
    since: Duration,
    next_probe: Duration,
    last: Option<Failure>,
}

pub(super) enum Admission {
    Go,
    /// Ask again after that long.
    Wait(Duration),
    /// It has been down for long.
    Down(Failure),
}

impl Gate {
    /// `patience`: how long the caller would wait in all.
    pub(super) fn admit(&self, now: Duration, patience: Duration) -> Admission {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures < BAD_LUCK {
            return Admission::Go;
        }
        if now >= state.next_probe {
            // Others wait for this one's outcome, or until it is as late as a lost one.
            state.next_probe = now + LONGEST_PAUSE;
            return Admission::Go;
        }
        match &state.last {
            Some(last) if now.saturating_sub(state.since) > patience => Admission::Down(last.clone()),
            _ => Admission::Wait(state.next_probe - now),
        }
    }

    /// The service answered, if only to say no.
    pub(super) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    pub(super) fn failed(&self, now: Duration, failure: &Failure) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures == 0 {
            state.since = now;
        }
        state.failures = state.failures.saturating_add(1);
        let doublings = state.failures.saturating_sub(BAD_LUCK).min(10);
        state.next_probe = now + (FIRST_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE);
        state.last = Some(failure.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Problem};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn failure() -> Failure {
        Failure::Unavailable(Problem::new(Code::SourceUnavailable, "", ""))
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn an_outage_lets_one_probe_through_at_a_time() {
        let gate = Gate::default();
        for _ in 0..BAD_LUCK {
            assert!(matches!(gate.admit(at(1000), PATIENCE), Admission::Go));
            gate.failed(at(1000), &failure());
        }
        assert!(matches!(gate.admit(at(1050), PATIENCE), Admission::Wait(pause) if pause == at(50)));
        assert!(matches!(gate.admit(at(1100), PATIENCE), Admission::Go));
        assert!(matches!(gate.admit(at(1100), PATIENCE), Admission::Wait(_)));
        gate.failed(at(1200), &failure());
        assert!(matches!(gate.admit(at(1300), PATIENCE), Admission::Wait(pause) if pause == at(100)));
        gate.answered();
        assert!(matches!(gate.admit(at(1300), PATIENCE), Admission::Go));
        assert!(matches!(gate.admit(at(1300), PATIENCE), Admission::Go));
    }

    #[test]
    fn a_long_outage_fails_at_once_but_for_the_probe() {
        let gate = Gate::default();
        for second in 0..30 {
            gate.failed(at(second * 1000), &failure());
        }
        assert!(matches!(gate.admit(at(29_500), PATIENCE), Admission::Down(_)));
        assert!(matches!(gate.admit(at(31_000), PATIENCE), Admission::Go));
        assert!(matches!(gate.admit(at(31_000), PATIENCE), Admission::Down(_)));
    }

    #[test]
    fn the_pause_between_probes_is_bounded() {
        let gate = Gate::default();
        for _ in 0..10_000 {
            gate.failed(at(0), &failure());
        }
        assert!(matches!(gate.admit(at(1), PATIENCE), Admission::Wait(pause) if pause <= LONGEST_PAUSE));
    }
}
