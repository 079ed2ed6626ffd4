//! When a keyring is read again because an object names a version that nobody knows.

use std::collections::HashMap;
use std::time::Duration;

/// Between two readings that objects of unknown versions cause.
const PAUSE: Duration = Duration::from_secs(1);
/// So long a version that was looked for in vain is taken not to exist.
const ABSENT: Duration = Duration::from_secs(10);
/// So many versions that were looked for in vain are remembered: many times what is read within [`ABSENT`].
const MOST_ABSENT: usize = 4096;

/// The versions that were looked for. Times are those of a clock that only goes forward.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// When the last reading that has ended began.
    last: Option<Duration>,
    /// Versions, and when a reading last did not find them.
    absent: HashMap<String, Duration>,
}

/// The next step for an object of an unknown version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// No reading could show the version.
    Absent,
    /// Read the keyring, after that long.
    Read(Duration),
}

impl Lookups {
    /// For a version that what was read last does not have. `arrived`: when the object was asked for; a reading that
    /// began since then counts for it.
    pub(super) fn step(&mut self, version: &str, arrived: Duration, now: Duration) -> Step {
        let in_vain = |at: &Duration| now.saturating_sub(*at) < ABSENT;
        if self.absent.get(version).is_some_and(in_vain) {
            return Step::Absent;
        }
        if self.last.is_some_and(|last| last >= arrived) {
            self.in_vain(version);
            return Step::Absent;
        }
        let next = self.last.map_or(now, |last| last + PAUSE);
        Step::Read(next.saturating_sub(now))
    }

    /// A reading that began at `began` has ended.
    pub(super) fn read(&mut self, began: Duration) {
        self.last = Some(began);
    }

    /// The last reading did not find `version`.
    fn in_vain(&mut self, version: &str) {
        let Some(last) = self.last else { return };
        if self.absent.len() >= MOST_ABSENT {
            self.absent.retain(|_, at| last.saturating_sub(*at) < ABSENT);
        }
        // If somebody makes up more names than that within ten seconds, they are looked for once a second, all
        // together.
        if self.absent.len() < MOST_ABSENT {
            self.absent.insert(version.to_owned(), last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects of unknown versions, asked for ten times a second, cause this many readings in `seconds`.
    fn readings(seconds: u64, versions: &[&str]) -> usize {
        let mut lookups = Lookups::default();
        let mut now = Duration::from_secs(1);
        let end = now + Duration::from_secs(seconds);
        let mut readings = 0;
        while now < end {
            for version in versions {
                let arrived = now;
                if let Step::Read(pause) = lookups.step(version, arrived, now) {
                    now += pause;
                    lookups.read(now);
                    readings += 1;
                    assert_eq!(lookups.step(version, arrived, now), Step::Absent);
                }
            }
            now += Duration::from_millis(100);
        }
        readings
    }

    #[test]
    fn a_version_that_does_not_exist_is_looked_for_every_ten_seconds_for_ever() {
        assert_eq!(readings(9, &["a"]), 1);
        assert_eq!(readings(100, &["a"]), 10);
        assert_eq!(readings(1000, &["a"]), 100);
    }

    #[test]
    fn many_of_them_cause_a_reading_a_second_at_most() {
        let names: Vec<String> = (0..MOST_ABSENT + 100).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut lookups = Lookups::default();
        for name in &names {
            lookups.read(Duration::from_secs(5));
            lookups.in_vain(name);
        }
        assert_eq!(lookups.absent.len(), MOST_ABSENT);
        let now = Duration::from_secs(5);
        assert_eq!(
            lookups.step("new", now + PAUSE / 2, now + PAUSE / 2),
            Step::Read(PAUSE / 2)
        );
    }

    #[test]
    fn a_reading_counts_for_those_who_came_before_it_began() {
        let mut lookups = Lookups::default();
        let at = Duration::from_secs;
        lookups.read(at(5));
        assert_eq!(lookups.step("a", at(4), at(6)), Step::Absent);
        assert_eq!(lookups.step("b", at(6), at(6)), Step::Read(Duration::ZERO));
    }
}
