//! Memory for content: so many bytes for all objects at work together.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes that are given out and come back. Thread-safe.
#[derive(Debug)]
pub(super) struct Room {
    size: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: u64,
    /// The number of the next to ask, and of the next to get: whoever needs much is not passed over for ever.
    last: u64,
    next: u64,
}

/// Bytes that were taken; they come back when it is dropped.
pub(super) struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    pub(super) const fn of(size: u64) -> Room {
        Room {
            size,
            state: Mutex::new(State {
                free: size,
                last: 0,
                next: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits for its turn and for so many bytes; more than there are at all count as all. To be taken once for an
    /// object: two that each wait for more would wait for ever.
    pub(super) fn take(&self, bytes: u64) -> Taken<'_> {
        let bytes = bytes.min(self.size);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = state.last;
        state.last += 1;
        while state.next != turn || state.free < bytes {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.next += 1;
        state.free -= bytes;
        self.changed.notify_all();
        Taken { room: self, bytes }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.room.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.free += self.bytes;
        self.room.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn no_more_is_given_out_than_there_is() {
        let (room, out) = (Room::of(100), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for need in [30, 100, 1000, 60, 1, 99, 50, 0] {
                let (room, out) = (&room, &out);
                scope.spawn(move || {
                    for _ in 0..100 {
                        let taken = room.take(need);
                        assert!(out.fetch_add(taken.bytes, Ordering::SeqCst) + taken.bytes <= 100);
                        out.fetch_sub(taken.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(room.state.lock().unwrap().free, 100);
    }
}
