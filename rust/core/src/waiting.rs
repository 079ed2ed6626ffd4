//! How long a call may wait for the network or another thread: a while in all, or not at all.
//!
//! A call may wait several times: for a keyring in S3, then for KMS, or for another thread that asks one. Its
//! patience covers all of them.
//!
//! A thread of the JVM can be interrupted, and does not notice that in native code. So the boundary tries each call on
//! the thread that makes it, without waiting; what would have to wait runs again on a thread of this library, for which
//! the thread of the JVM waits in a way that can be interrupted.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Problem};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// May wait.
    Patient,
    /// Is not to wait.
    Impatient,
    /// Was not to wait, and would have had to.
    Refused,
}

thread_local! {
    static PATIENCE: Cell<Patience> = const { Cell::new(Patience::Patient) };
    /// When the call under way is to have ended.
    static END: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `body` on this thread. All its waits together last no longer than `patience`, nor longer than an outer
/// `within` has left.
pub(crate) fn within<T>(patience: Duration, body: impl FnOnce() -> T) -> T {
    /// Restores the outer end, even if `body` panics.
    struct Restore(Option<Instant>);
    impl Drop for Restore {
        fn drop(&mut self) {
            END.set(self.0);
        }
    }
    if PATIENCE.get() != Patience::Patient {
        return body(); // It waits for nothing, so that it needs no clock.
    }
    let outer = END.get();
    let _restore = Restore(outer);
    let end = Instant::now() + patience;
    END.set(Some(outer.map_or(end, |outer| outer.min(end))));
    body()
}

/// How long a wait may last that would last `most` at the longest by itself.
pub(crate) fn left(most: Duration) -> Duration {
    END.get().map_or(most, |end| {
        most.min(end.saturating_duration_since(Instant::now()))
    })
}

/// Runs `body` on this thread; `None` if it would have to wait. Then it had no effect that counts, and can run again.
pub fn without_waiting<T>(body: impl FnOnce() -> Result<T, Error>) -> Option<Result<T, Error>> {
    /// Makes the thread patient again, even if `body` panics.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            PATIENCE.set(Patience::Patient);
        }
    }
    let _reset = Reset;
    PATIENCE.set(Patience::Impatient);
    let result = body();
    (!was_refused()).then_some(result)
}

/// Stands before everything that waits.
pub(crate) fn may_wait() -> Result<(), Problem> {
    if PATIENCE.get() == Patience::Patient {
        return Ok(());
    }
    PATIENCE.set(Patience::Refused);
    Err(Problem::new(
        Code::Internal,
        "a call that is not to wait would have to wait",
        "Report this defect: the call should have been repeated.",
    ))
}

/// Whether the call under way failed because it is not to wait.
pub(crate) fn was_refused() -> bool {
    PATIENCE.get() == Patience::Refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_wait_gives_nothing_and_what_does_not_gives_its_result() {
        assert!(without_waiting(|| Ok(may_wait()?)).is_none());
        assert_eq!(without_waiting(|| Ok(7)).unwrap().unwrap(), 7);
        assert!(may_wait().is_ok());
    }

    #[test]
    fn a_refusal_counts_even_if_the_call_makes_do_without() {
        assert!(without_waiting(|| {
            let _ = may_wait();
            Ok(7)
        })
        .is_none());
    }

    #[test]
    fn the_waits_of_a_call_share_its_patience() {
        let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
        assert_eq!(left(day), day);
        within(hour, || {
            assert!(left(day) <= hour);
            assert_eq!(left(Duration::from_secs(1)), Duration::from_secs(1));
            within(day, || {
                assert!(
                    left(day) <= hour,
                    "no call grants more than the outer one has left"
                )
            });
            within(Duration::ZERO, || assert_eq!(left(hour), Duration::ZERO));
            assert!(
                left(hour) > Duration::ZERO,
                "the outer call has its patience back"
            );
        });
        assert!(std::panic::catch_unwind(|| within(hour, || panic!("asked for"))).is_err());
        assert_eq!(left(day), day);
    }

    #[test]
    fn a_panic_leaves_the_thread_patient() {
        let caught =
            std::panic::catch_unwind(|| without_waiting(|| -> Result<(), Error> { panic!("asked for") }));
        assert!(caught.is_err());
        assert!(may_wait().is_ok());
    }
}
