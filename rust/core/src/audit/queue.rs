//! The lines of the audit log that wait for the caller's logger.

use std::collections::VecDeque;
use std::sync::PoisonError;

use super::sync::Mutex;

/// So many wait at most. The logger takes them after each request, so that there are as many as threads.
pub(crate) const MAX_WAITING: usize = 10_000;

/// The lines that wait for the caller's logger. A provider has one for its life: a request that began before a refresh
/// ends after it, and its line must not end up where nobody looks any more.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<VecDeque<String>>);

impl Waiting {
    /// Whether there was room.
    pub(crate) fn put(&self, line: String) -> bool {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = lines.len() < MAX_WAITING;
        if room {
            lines.push_back(line);
        }
        room
    }

    /// All that wait, oldest first.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.drain(..).collect()
    }
}
