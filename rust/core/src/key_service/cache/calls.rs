//! Calls of a key service: retried where that can help, under one deadline.

use std::time::Duration;

use super::clock::Clock;
use super::gate::{Admission, Gate};
use crate::counters::Stats;
use crate::error::{Code, Problem};
use crate::key_service::{Answer, Failure};

/// The pause before a retry is random between nothing and this, doubled each time up to the longest ("full jitter").
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Makes `attempt` until it succeeds, is refused, or `deadline` has passed.
pub(super) async fn with_retries<'a, T>(
    clock: &dyn Clock,
    gate: &Gate,
    stats: &Stats,
    deadline: Duration,
    attempt: impl Fn() -> Answer<'a, T>,
) -> Result<T, Failure> {
    let start = clock.now();
    let left = || deadline.saturating_sub(clock.now().saturating_sub(start));
    let mut tries = 0u32;
    let mut last = None;
    if deadline.is_zero() {
        return Err(no_answer());
    }
    loop {
        let pause = match gate.admit(clock.now(), deadline) {
            Admission::Down(failure) => return Err(failure),
            Admission::Wait(pause) => pause,
            Admission::Go => {
                tries += 1;
                let outcome = tokio::time::timeout(left(), attempt()).await;
                let failure = match outcome {
                    Ok(Ok(value)) => {
                        gate.answered();
                        return Ok(value);
                    }
                    Ok(Err(Failure::Refused(problem))) => {
                        gate.answered();
                        stats.denials.add();
                        return Err(Failure::Refused(problem));
                    }
                    Ok(Err(failure)) => failure,
                    Err(_) => last.take().unwrap_or_else(no_answer),
                };
                match &failure {
                    Failure::Throttled(_) => stats.throttles.add(),
                    _ => stats.faults.add(),
                }
                gate.failed(clock.now(), &failure);
                last = Some(failure);
                full_jitter(tries)
            }
        };
        if pause >= left() {
            return Err(gave_up(last.unwrap_or_else(no_answer), tries, deadline));
        }
        clock.sleep(pause).await;
    }
}

/// How long to wait after so many tries.
pub fn full_jitter(tries: u32) -> Duration {
    let most = (FIRST_PAUSE * 2u32.pow(tries.min(10))).min(LONGEST_PAUSE);
    most.mul_f64(fastrand::f64())
}

pub(super) fn no_answer() -> Failure {
    Failure::Unavailable(Problem::new(
        Code::SourceUnavailable,
        "the key service did not answer in time",
        "See that this node reaches it; emrkeys.kms.deadline says how long to wait in all.",
    ))
}

/// The failure of a call that neither succeeded nor failed by its deadline.
pub(super) fn lost() -> Failure {
    Failure::Unavailable(Problem::new(
        Code::SourceUnavailable,
        "the call of the key service was lost",
        "Try again; if it stays so, report this defect.",
    ))
}

fn gave_up(failure: Failure, tries: u32, deadline: Duration) -> Failure {
    let told = |mut problem: Problem| {
        problem.message = format!(
            "{} (given up after {tries} tries in {} seconds)",
            problem.message,
            deadline.as_secs()
        );
        problem
    };
    match failure {
        Failure::Refused(problem) => Failure::Refused(problem),
        Failure::Throttled(problem) => Failure::Throttled(told(problem)),
        Failure::Unavailable(problem) => Failure::Unavailable(told(problem)),
    }
}
