use super::failed::{FAULT_CACHED_FOR, REFUSAL_CACHED_FOR};
use super::*;
use crate::error::Code;
use crate::key_service::NewKey;
use secrecy::{ExposeSecret, SecretSlice};
use std::collections::BTreeMap as Map;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Time that passes when the test says so; sleeping moves it on.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, pause: Duration) -> std::pin::Pin<Box<dyn std::future::Future<Output = ()> + Send>> {
        self.forward(pause.max(Duration::from_millis(1)));
        Box::pin(tokio::task::yield_now())
    }
}

/// A key service in memory. The n-th key is 32 times n, its ciphertext is n.
#[derive(Default)]
struct Service {
    made: AtomicU64,
    opened: AtomicU64,
    delay: Duration,
    /// The failure that answers calls, until it is taken away.
    trouble: Mutex<Option<Failure>>,
    panics: AtomicBool,
}

impl Service {
    /// Counts a call, and answers it as the test wants it at this moment.
    fn answer<T: Send + 'static>(&self, count: &AtomicU64, value: impl FnOnce(u64) -> T) -> Answer<'_, T> {
        let trouble = self.trouble.lock().unwrap().clone();
        let value = value(count.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move {
            if !self.delay.is_zero() {
                tokio::time::sleep(self.delay).await;
            }
            assert!(!self.panics.load(Ordering::SeqCst), "asked for");
            trouble.map_or(Ok(value), Err)
        })
    }

    fn trouble(&self, failure: Option<Failure>) {
        *self.trouble.lock().unwrap() = failure;
    }

    /// How often it was asked for a new key, and to open one.
    fn calls(&self) -> (u64, u64) {
        (
            self.made.load(Ordering::SeqCst),
            self.opened.load(Ordering::SeqCst),
        )
    }
}

fn wrapped(n: u64) -> WrappedKey {
    WrappedKey {
        key_id: "key".to_owned(),
        ciphertext: n.to_be_bytes().to_vec(),
        context: Map::new(),
    }
}

fn key(n: u64) -> SecretSlice<u8> {
    SecretSlice::from(vec![n as u8; 32])
}

impl KeyService for Service {
    fn generate(&self) -> Answer<'_, NewKey> {
        self.answer(&self.made, |n| NewKey {
            plaintext: key(n),
            wrapped: wrapped(n),
        })
    }

    fn open<'a>(&'a self, wrapped: &'a WrappedKey) -> Answer<'a, SecretSlice<u8>> {
        let n = u64::from_be_bytes(wrapped.ciphertext.clone().try_into().unwrap());
        self.answer(&self.opened, |_| key(n))
    }
}

fn assert_unanswered(outcomes: [Option<Problem>; 2]) {
    for outcome in outcomes {
        assert_eq!(outcome.unwrap().code, Code::SourceUnavailable);
    }
}

fn unavailable() -> Failure {
    Failure::Unavailable(Problem::new(Code::SourceUnavailable, "down", "wait"))
}

fn refused() -> Failure {
    Failure::Refused(Problem::new(Code::SourceDenied, "no", "ask"))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn limits() -> Limits {
    Limits {
        max_age: seconds(600),
        deadline: seconds(5),
        ..Limits::default()
    }
}

/// A cache, its service and its clock.
fn cache(limits: Limits, service: Service) -> (Arc<KeyCache>, Arc<Service>, Hands) {
    let service = Arc::new(service);
    let hands = Hands::default();
    let same: Arc<dyn KeyService> = service.clone();
    (
        Arc::new(KeyCache::new(same, limits, Arc::new(hands.clone()))),
        service,
        hands,
    )
}

fn current(cache: &Arc<KeyCache>) -> u8 {
    cache.current().unwrap().key.expose_secret()[0]
}

/// Waits for what happens in the background.
fn until(what: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !what() {
        assert!(start.elapsed() < seconds(10), "it did not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn one_key_serves_until_its_age() {
    let (cache, service, hands) = cache(limits(), Service::default());
    for _ in 0..1000 {
        assert_eq!(current(&cache), 0);
    }
    hands.forward(seconds(601));
    assert_eq!(current(&cache), 1);
    assert_eq!(service.made.load(Ordering::SeqCst), 2);
    assert_eq!(cache.counts().generate_calls, 2);
    assert_eq!((cache.counts().hits, cache.counts().misses), (999, 2));
}

#[test]
fn one_key_encrypts_so_many_objects_and_no_more() {
    let limits = Limits {
        max_uses: 10,
        ..limits()
    };
    let (cache, _, _) = cache(limits, Service::default());
    let mut uses = Map::new();
    for _ in 0..1000 {
        *uses.entry(current(&cache)).or_insert(0) += 1;
    }
    assert!(uses.values().all(|uses| *uses <= 10), "{uses:?}");
    assert!(uses.len() >= 100);
}

#[test]
fn a_key_is_renewed_before_it_expires_without_anybody_waiting() {
    let (cache, service, hands) = cache(limits(), Service::default());
    assert_eq!(current(&cache), 0);
    hands.forward(seconds(400));
    assert_eq!(current(&cache), 0);
    assert_eq!(service.made.load(Ordering::SeqCst), 1);
    hands.forward(seconds(120));
    assert_eq!(current(&cache), 0);
    until(|| current(&cache) == 1);
    assert_eq!(cache.counts().refreshes, 1);
    assert_eq!(cache.counts().misses, 1);
}

#[test]
fn a_thousand_cold_threads_make_one_call() {
    let slow = || Service {
        delay: Duration::from_millis(100),
        ..Service::default()
    };
    let (encrypting, service, _) = cache(limits(), slow());
    let (decrypting, other, _) = cache(limits(), slow());
    std::thread::scope(|scope| {
        for _ in 0..1000 {
            std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn_scoped(scope, || {
                    assert_eq!(current(&encrypting), 0);
                    assert_eq!(decrypting.open(&wrapped(7)).unwrap().expose_secret()[0], 7);
                })
                .unwrap();
        }
    });
    assert_eq!(service.made.load(Ordering::SeqCst), 1);
    assert_eq!(other.opened.load(Ordering::SeqCst), 1);
}

#[test]
fn a_key_is_opened_once_and_again_at_its_age() {
    let (cache, service, hands) = cache(limits(), Service::default());
    for _ in 0..100 {
        for n in 0..10 {
            assert_eq!(u64::from(cache.open(&wrapped(n)).unwrap().expose_secret()[0]), n);
        }
    }
    assert_eq!(service.opened.load(Ordering::SeqCst), 10);
    hands.forward(seconds(600));
    cache.open(&wrapped(3)).unwrap();
    assert_eq!(service.opened.load(Ordering::SeqCst), 11);
}

#[test]
fn everything_that_decides_the_result_tells_keys_apart() {
    let (cache, service, _) = cache(limits(), Service::default());
    let mut others = vec![wrapped(1), wrapped(1), wrapped(1)];
    others[1].key_id = "other".to_owned();
    others[2].context.insert("a".to_owned(), "b".to_owned());
    for other in &others {
        cache.open(other).unwrap();
    }
    assert_eq!(service.opened.load(Ordering::SeqCst), 3);
}

#[test]
fn who_wrote_reads_without_a_call() {
    let (cache, service, _) = cache(limits(), Service::default());
    let written = cache.current().unwrap();
    cache.open(&written.wrapped).unwrap();
    assert_eq!(service.opened.load(Ordering::SeqCst), 0);
}

#[test]
fn the_number_of_kept_keys_is_bounded() {
    let limits = Limits {
        max_entries: 100,
        ..limits()
    };
    let (cache, _, _) = cache(limits, Service::default());
    for n in 0..20_000 {
        cache.open(&wrapped(n)).unwrap();
    }
    cache.opened.run_pending_tasks();
    assert!(cache.opened.entry_count() <= 100);
}

#[test]
fn a_refusal_is_believed_for_a_few_seconds_and_never_retried() {
    let (cache, service, hands) = cache(limits(), Service::default());
    service.trouble(Some(refused()));
    for _ in 0..100 {
        assert_eq!(cache.current().err().unwrap().code, Code::SourceDenied);
        assert_eq!(cache.open(&wrapped(1)).err().unwrap().code, Code::SourceDenied);
    }
    assert_eq!(service.made.load(Ordering::SeqCst), 1);
    assert_eq!(service.opened.load(Ordering::SeqCst), 1);
    assert_eq!(cache.counts().denials, 2);
    service.trouble(None);
    hands.forward(REFUSAL_CACHED_FOR);
    cache.current().unwrap();
    cache.open(&wrapped(1)).unwrap();
}

#[test]
fn faults_are_retried_until_the_deadline() {
    let (cache, service, hands) = cache(limits(), Service::default());
    service.trouble(Some(unavailable()));
    let problem = cache.current().err().unwrap();
    assert_eq!(problem.code, Code::SourceUnavailable);
    assert!(problem.message.contains("tries"), "{problem}");
    assert!(service.made.load(Ordering::SeqCst) > 2);
    assert!(hands.now() <= seconds(6), "{:?}", hands.now());
    service.trouble(None);
    hands.forward(seconds(3));
    cache.current().unwrap();
}

#[test]
fn a_fault_that_passes_costs_nothing_but_time() {
    let (cache, service, _) = cache(
        Limits {
            deadline: seconds(600),
            ..limits()
        },
        Service {
            delay: Duration::from_millis(5),
            ..Service::default()
        },
    );
    service.trouble(Some(Failure::Throttled(Problem::new(
        Code::SourceThrottled,
        "slower",
        "",
    ))));
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| cache.current().map(|_| ()));
        until(|| service.made.load(Ordering::SeqCst) > 3);
        service.trouble(None);
        caller.join().unwrap().unwrap();
    });
    assert!(cache.counts().throttles > 2);
}

#[test]
fn an_expired_key_serves_while_the_service_is_down_for_as_long_as_allowed() {
    let limits = Limits {
        max_stale: seconds(100),
        ..limits()
    };
    let (cache, service, hands) = cache(limits, Service::default());
    assert_eq!(current(&cache), 0);
    cache.open(&wrapped(5)).unwrap();
    service.trouble(Some(unavailable()));
    hands.forward(seconds(601));
    assert_eq!(current(&cache), 0);
    assert_eq!(cache.open(&wrapped(5)).unwrap().expose_secret()[0], 5);
    assert!(cache.counts().stale >= 2);
    hands.forward(seconds(200));
    assert_eq!(cache.current().err().unwrap().code, Code::SourceUnavailable);
    assert_eq!(
        cache.open(&wrapped(5)).err().unwrap().code,
        Code::SourceUnavailable
    );
}

#[test]
fn a_refusal_ends_the_grace() {
    let limits = Limits {
        max_stale: seconds(100),
        ..limits()
    };
    let (cache, service, hands) = cache(limits, Service::default());
    assert_eq!(current(&cache), 0);
    service.trouble(Some(refused()));
    hands.forward(seconds(601));
    assert_eq!(cache.current().err().unwrap().code, Code::SourceDenied);
}

#[test]
fn renewal_gives_a_new_key_or_leaves_the_old() {
    let (cache, service, _) = cache(limits(), Service::default());
    cache.renew().unwrap();
    assert_eq!(
        service.made.load(Ordering::SeqCst),
        0,
        "nobody has needed a key yet"
    );
    assert_eq!(current(&cache), 0);
    cache.renew().unwrap();
    assert_eq!(current(&cache), 1);
    service.trouble(Some(refused()));
    assert_eq!(cache.renew().unwrap_err().code, Code::SourceDenied);
    assert_eq!(current(&cache), 1);
}

#[test]
fn a_call_that_panics_ends_the_wait_of_all() {
    let (cache, service, hands) = cache(limits(), Service::default());
    service.panics.store(true, Ordering::SeqCst);
    let call = std::panic::AssertUnwindSafe(|| cache.current().map(|_| ()));
    assert!(std::panic::catch_unwind(call).is_err());
    service.panics.store(false, Ordering::SeqCst);
    hands.forward(FAULT_CACHED_FOR);
    cache.current().unwrap();
}

/// A service whose call takes longer than anybody waits.
fn slow() -> Service {
    Service {
        delay: seconds(600),
        ..Service::default()
    }
}

#[test]
fn a_thread_waits_for_anothers_call_no_longer_than_its_own_request_may_take() {
    let patient = Limits {
        deadline: seconds(600),
        ..limits()
    };
    let (cache, service, _) = cache(patient, slow());
    let (encrypts, decrypts) = (Arc::clone(&cache), Arc::clone(&cache));
    // They end with the test's process.
    std::thread::spawn(move || encrypts.current().map(|_| ()));
    std::thread::spawn(move || decrypts.open(&wrapped(1)).map(|_| ()));
    let asked = |calls: &AtomicU64| calls.load(Ordering::SeqCst) > 0;
    until(|| asked(&service.made) && asked(&service.opened));
    for _ in 0..2 {
        let late = waiting::within(Duration::from_millis(1), || {
            [cache.current().err(), cache.open(&wrapped(1)).err()]
        });
        assert_unanswered(late);
    }
    assert_eq!(service.calls(), (1, 1));
}

#[test]
fn a_request_whose_time_is_up_makes_no_call_and_leaves_no_failure_to_others() {
    let (cache, service, _) = cache(limits(), Service::default());
    current(&cache);
    let late = waiting::within(Duration::ZERO, || {
        let open = cache.open(&wrapped(1)).err();
        [open, cache.renew().err()]
    });
    assert_unanswered(late);
    assert_eq!(service.calls(), (1, 0));
    cache.renew().unwrap();
    cache.open(&wrapped(1)).unwrap();
}

#[test]
fn a_thread_with_more_time_does_not_get_the_failure_of_one_that_had_less() {
    let limits = Limits {
        deadline: seconds(600),
        ..limits()
    };
    let slow = Service {
        delay: Duration::from_millis(200),
        ..Service::default()
    };
    let (cache, service, hands) = cache(limits, slow);
    let write = || cache.current().map(drop);
    let read = || cache.open(&wrapped(9)).map(drop);
    let requests: [&(dyn Fn() -> Result<(), Problem> + Sync); 2] = [&write, &read];
    for request in requests {
        service.trouble(Some(unavailable()));
        let calls = service.calls();
        std::thread::scope(|scope| {
            let hasty = scope.spawn(|| waiting::within(seconds(60), request));
            until(|| service.calls() != calls);
            // While the first call is under way, another thread comes to wait for it.
            service.trouble(None);
            let patient = scope.spawn(request);
            hands.forward(seconds(61));
            assert_eq!(hasty.join().unwrap().unwrap_err().code, Code::SourceUnavailable);
            patient.join().unwrap().unwrap();
        });
    }
    assert_eq!(service.calls(), (2, 2));
}

#[test]
fn a_failure_is_cached_for_those_who_have_no_more_time_than_the_call_had() {
    let (cache, service, _) = cache(limits(), Service::default());
    service.trouble(Some(unavailable()));
    let hasty = || waiting::within(seconds(1), || cache.current().map(drop));
    hasty().unwrap_err();
    service.trouble(None);
    hasty().unwrap_err();
    cache.current().unwrap();
}

#[test]
fn a_thread_that_takes_over_has_only_what_is_left_of_its_time() {
    let (cache, service, hands) = cache(limits(), Service::default());
    service.trouble(Some(unavailable()));
    let half = limits().deadline / 2;
    let start = hands.now();
    waiting::within(half, || cache.open(&wrapped(1))).unwrap_err();
    assert!(hands.now() - start <= half, "{:?}", hands.now());
}

#[test]
fn threads_that_use_a_key_up_share_their_deadline_over_all_their_calls() {
    // Each call gives a key for one object, so that a thread may have to wait for several.
    let limits = Limits {
        max_uses: 1,
        ..limits()
    };
    let (cache, service, _) = cache(limits, Service::default());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| cache.current().unwrap());
        }
    });
    assert!(service.made.load(Ordering::SeqCst) >= 16);
}

#[test]
fn caches_are_shared_by_what_was_configured() {
    let make = || -> Arc<dyn KeyService> { Arc::new(Service::default()) };
    let one = KeyCache::shared("shared test a".to_owned(), limits(), make);
    let same = KeyCache::shared("shared test a".to_owned(), limits(), make);
    let other = KeyCache::shared("shared test b".to_owned(), limits(), make);
    assert!(Arc::ptr_eq(&one, &same));
    assert!(!Arc::ptr_eq(&one, &other));
    drop((one, same));
    let again = KeyCache::shared("shared test a".to_owned(), limits(), make);
    assert_eq!(again.counts(), Counts::default());
}
