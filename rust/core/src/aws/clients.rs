//! Clients of AWS, remembered by their settings.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Clients by the settings that they were made with. A process keeps them because a new client would ask the instance
/// for credentials again. Thread-safe.
pub struct Clients<K, C> {
    /// The most that are kept: settings differ by key or configuration, and a process has a few.
    most: usize,
    known: Mutex<Vec<(K, C)>>,
}

impl<K: PartialEq, C: Clone> Clients<K, C> {
    /// No clients, and room for `most`, after which a new one displaces the oldest.
    pub const fn new(most: usize) -> Self {
        Clients {
            most,
            known: Mutex::new(Vec::new()),
        }
    }

    /// The client that was made with `settings`.
    pub fn get(&self, settings: &K) -> Option<C> {
        find(&self.lock(), settings)
    }

    /// Keeps a new client and returns it, or the one that another thread kept meanwhile.
    pub fn keep(&self, settings: K, client: C) -> C {
        let mut known = self.lock();
        if let Some(other) = find(&known, &settings) {
            return other;
        }
        if known.len() >= self.most {
            known.remove(0);
        }
        known.push((settings, client.clone()));
        client
    }

    /// Drops the clients that are kept, with their credentials, and gives their number.
    pub fn forget(&self) -> usize {
        std::mem::take(&mut *self.lock()).len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(K, C)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

fn find<K: PartialEq, C: Clone>(known: &[(K, C)], settings: &K) -> Option<C> {
    let mut known = known.iter();
    known
        .find(|(other, _)| other == settings)
        .map(|(_, client)| client.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_client_of_some_settings_stays_until_others_displace_it() {
        let clients = Clients::new(2);
        assert_eq!(clients.get(&"a"), None);
        assert_eq!((clients.keep("a", 1), clients.keep("a", 2)), (1, 1));
        clients.keep("b", 3);
        assert_eq!((clients.get(&"a"), clients.get(&"b")), (Some(1), Some(3)));
        clients.keep("c", 4);
        assert_eq!((clients.get(&"a"), clients.len()), (None, 2));
        assert_eq!((clients.forget(), clients.get(&"b"), clients.len()), (2, None, 0));
    }
}
