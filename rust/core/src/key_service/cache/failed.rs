//! Failures that answer further requests without a call ("negative caching"): for how long, and whose.

use std::time::Duration;

use super::flight;
use crate::key_service::Failure;

/// How long a refusal is cached, so that a job without permission does not ask again for every object.
pub(super) const REFUSAL_CACHED_FOR: Duration = Duration::from_secs(5);
/// How long another failure is cached, and how long until the background tries again.
pub(super) const FAULT_CACHED_FOR: Duration = Duration::from_secs(1);

/// The failure of a call.
#[derive(Clone)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    at: Duration,
    patience: Duration,
}

impl Failed {
    /// A failure of this moment, of a call that might have taken as long as `patience`.
    pub(super) fn new(failure: Failure, now: Duration, patience: Duration) -> Failed {
        Failed {
            failure,
            at: now,
            patience,
        }
    }

    /// Whether the service said no. Otherwise it gave no answer, and an expired key may serve on.
    pub(super) fn is_refusal(&self) -> bool {
        self.failure.is_final()
    }

    /// Whether this answers a request that has `patience`, without another call. A fault answers only those who would
    /// not wait longer for the service than this call did.
    pub(super) fn answers(&self, now: Duration, patience: Duration) -> bool {
        let age = now.saturating_sub(self.at);
        if self.is_refusal() {
            age < REFUSAL_CACHED_FOR
        } else {
            age < FAULT_CACHED_FOR && flight::answers(self.patience, patience)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Problem};

    const PATIENCE: Duration = Duration::from_secs(20);
    const NOW: Duration = Duration::from_secs(100);

    fn problem() -> Problem {
        Problem::new(Code::SourceDenied, "", "")
    }

    #[test]
    fn a_refusal_answers_everybody_for_five_seconds() {
        let refused = Failed::new(Failure::Refused(problem()), NOW, Duration::ZERO);
        assert!(refused.is_refusal());
        assert!(refused.answers(NOW + Duration::from_millis(4999), PATIENCE));
        assert!(!refused.answers(NOW + Duration::from_secs(5), Duration::ZERO));
    }

    #[test]
    fn a_fault_answers_for_a_second_those_who_have_no_more_patience() {
        for failure in [Failure::Throttled, Failure::Unavailable] {
            let failed = Failed::new(failure(problem()), NOW, PATIENCE);
            assert!(!failed.is_refusal());
            assert!(failed.answers(NOW + Duration::from_millis(999), PATIENCE));
            assert!(!failed.answers(NOW + Duration::from_secs(1), PATIENCE));
            assert!(!failed.answers(NOW, PATIENCE * 2));
        }
    }
}
