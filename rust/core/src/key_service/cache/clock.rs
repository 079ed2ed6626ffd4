//! Time, as the cache sees it: one that cannot be set back, and that a simulation can replace.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

/// A clock that only goes forward.
pub(crate) trait Clock: Send + Sync + 'static {
    /// Since a moment that stays the same.
    fn now(&self) -> Duration;

    /// Ends after `pause`.
    fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The machine's monotonic clock: whoever sets the date changes nothing.
pub(crate) struct Monotonic;

impl Clock for Monotonic {
    fn now(&self) -> Duration {
        static START: Lazy<Instant> = Lazy::new(Instant::now);
        START.elapsed()
    }

    fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(pause))
    }
}
