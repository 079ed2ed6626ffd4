//! A fleet of executors against one key service, in virtual time: what the cache, as it is, asks of KMS at scale.
//!
//! The cache is the real one, one for each executor; the clock is moved by the simulation and the service answers
//! from memory. Every executor writes its objects at an even pace, and then reads as many, drawn at random from all
//! that the fleet has written.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretSlice;

use super::{Clock, KeyCache, Limits};
use crate::error::Problem;
use crate::key_service::{Answer, KeyService, NewKey, WrappedKey};

/// The fleet of processes that is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// How many processes there are.
    pub executors: u64,
    /// How many objects each writes, and how many it reads.
    pub objects: u64,
    /// How long each takes to write them, and again to read them.
    pub phase: Duration,
}

/// The requests of the fleet to the key service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Calls in all.
    pub calls: u64,
    /// The most calls within one second.
    pub peak: u64,
}

/// How keys are got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A call for each object, as EMRFS's own KMS mode makes them.
    PerObject,
    /// `kms-cached`.
    KmsCached,
    /// `keyring`: every process opens the same wrapped key.
    Keyring,
}

/// Lets `fleet` run with the default limits.
///
/// # Errors
/// None are expected: the service of the simulation never fails.
pub fn simulate(mode: Mode, fleet: Fleet) -> Result<Load, Problem> {
    let clock = Hands::default();
    let service = Arc::new(Service {
        clock: clock.clone(),
        made: AtomicU64::new(0),
        seconds: Mutex::default(),
    });
    let caches: Vec<Arc<KeyCache>> = (0..fleet.executors)
        .map(|_| {
            let service: Arc<dyn KeyService> = service.clone();
            let mut limits = Limits::default();
            if mode == Mode::Keyring {
                // The keys of a document are kept until there is another document.
                limits.max_age = fleet.phase * 3;
            }
            Arc::new(KeyCache::new(service, limits, Arc::new(clock.clone())))
        })
        .collect();
    let keyring = wrapped(u64::MAX);
    let mut random = fastrand::Rng::with_seed(1);
    // The number of the key that each object was written under.
    let mut written: Vec<u64> = Vec::with_capacity((fleet.executors * fleet.objects) as usize);
    let pace = fleet.phase / u32::try_from(fleet.objects).unwrap_or(u32::MAX).max(1);
    // Executors do not start at the same moment.
    let offsets: Vec<Duration> = caches.iter().map(|_| pace.mul_f64(random.f64())).collect();
    let mut order: Vec<usize> = (0..caches.len()).collect();
    order.sort_by_key(|executor| offsets[*executor]);
    for reading in [false, true] {
        let start = if reading { fleet.phase } else { Duration::ZERO };
        for object in 0..fleet.objects {
            for executor in &order {
                clock.set(start + pace * u32::try_from(object).unwrap_or(u32::MAX) + offsets[*executor]);
                let cache = &caches[*executor];
                match (mode, reading) {
                    (Mode::PerObject, _) => service.count(),
                    (Mode::Keyring, _) => drop(cache.open(&keyring)?),
                    (Mode::KmsCached, false) => written.push(number(&cache.current()?.wrapped)),
                    (Mode::KmsCached, true) => {
                        drop(cache.open(&wrapped(written[random.usize(..written.len())]))?);
                    }
                }
            }
        }
    }
    let seconds = service.seconds.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Load {
        calls: seconds.values().sum(),
        peak: seconds.values().copied().max().unwrap_or(0),
    })
}

/// Asks one cache of `entries` for `keys` distinct wrapped keys, and gives what it holds in the end.
///
/// # Errors
/// None are expected.
pub fn fill(keys: u64, entries: u64) -> Result<u64, Problem> {
    let clock = Hands::default();
    let service: Arc<dyn KeyService> = Arc::new(Service {
        clock: clock.clone(),
        made: AtomicU64::new(0),
        seconds: Mutex::default(),
    });
    let limits = Limits {
        max_entries: entries,
        ..Limits::default()
    };
    let cache = KeyCache::new(service, limits, Arc::new(clock));
    for key in 0..keys {
        drop(cache.open(&wrapped(key))?);
    }
    cache.opened.run_pending_tasks();
    Ok(cache.opened.entry_count())
}

/// Time that the simulation sets.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn set(&self, now: Duration) {
        self.0.store(now.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

/// Answers at once, and counts by the second.
struct Service {
    clock: Hands,
    made: AtomicU64,
    seconds: Mutex<BTreeMap<u64, u64>>,
}

impl Service {
    fn count(&self) {
        let second = self.clock.now().as_secs();
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        *seconds.entry(second).or_default() += 1;
    }
}

/// As large as what KMS gives.
fn wrapped(number: u64) -> WrappedKey {
    let mut ciphertext = vec![0; 184];
    ciphertext[..8].copy_from_slice(&number.to_be_bytes());
    WrappedKey {
        key_id: "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".to_owned(),
        ciphertext,
        context: BTreeMap::from([("emrkeys.key".to_owned(), "audit".to_owned())]),
    }
}

fn number(wrapped: &WrappedKey) -> u64 {
    wrapped
        .ciphertext
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl KeyService for Service {
    fn generate(&self) -> Answer<'_, NewKey> {
        self.count();
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(NewKey {
            plaintext: SecretSlice::from(vec![0; 32]),
            wrapped: wrapped(number),
        })))
    }

    fn open<'a>(&'a self, _: &'a WrappedKey) -> Answer<'a, SecretSlice<u8>> {
        self.count();
        Box::pin(std::future::ready(Ok(SecretSlice::from(vec![0; 32]))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEET: Fleet = Fleet {
        executors: 10,
        objects: 20,
        phase: Duration::from_secs(60),
    };

    #[test]
    fn calls_are_counted_as_each_mode_makes_them() {
        let calls = |mode| simulate(mode, FLEET).unwrap().calls;
        assert_eq!(calls(Mode::PerObject), 400);
        assert_eq!(calls(Mode::Keyring), 10);
        let cached = calls(Mode::KmsCached);
        assert!((10..=110).contains(&cached), "{cached}");
    }

    #[test]
    fn a_cache_holds_no_more_than_it_may() {
        assert!(fill(1000, 100).unwrap() <= 100);
    }
}
