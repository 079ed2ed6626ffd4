//! The parts of emrkeys that share memory between threads and call no foreign code, under Miri: `./dev check --memory`.
//! Miri finds undefined behaviour, data races and deadlocks in the order of steps that its seed chooses; the models
//! (loom) go through every order, but for a few steps.
#![cfg(test)]

#[path = "../../core/src/key_service/cache/flight.rs"]
#[allow(dead_code)]
mod flight;
#[path = "../../core/src/audit/queue.rs"]
#[allow(dead_code)]
mod queue;
#[path = "../../jni/src/slots.rs"]
#[allow(dead_code)]
mod slots;
mod sync {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
}

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use flight::{Flights, Turn};
use queue::Waiting;
use slots::{Refusal, Table};

const THREADS: usize = 4;

#[test]
fn handles_are_made_used_and_freed_by_many_threads() {
    let table = Table::new(1, 64);
    let shared = table.insert(Box::new(7)).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let table = &table;
            scope.spawn(move || {
                for round in 0..20 {
                    let handle = table.insert(Box::new(thread * 100 + round)).unwrap();
                    match table.with(shared, |object| **object) {
                        Ok(object) => assert_eq!(object, 7),
                        Err(refusal) => assert_eq!(refusal, Refusal::Busy),
                    }
                    assert_eq!(table.read(handle, |object| **object), Ok(thread * 100 + round));
                    table.remove(handle).unwrap();
                    assert_eq!(table.read(handle, |_| ()), Err(Refusal::Closed));
                }
            });
        }
    });
    table.clear();
    assert_eq!(table.read(shared, |_| ()), Err(Refusal::Closed));
}

#[test]
fn calls_are_shared_and_lost_ones_pass_on() {
    let flights: Arc<Flights<u8, usize>> = Arc::default();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let flights = Arc::clone(&flights);
            scope.spawn(move || match flights.join(&0, Duration::from_secs(3600)) {
                Turn::Lead(lead) if thread % 2 == 0 => lead.end(thread),
                Turn::Lead(lost) => drop(lost),
                Turn::Ended(by) => assert_eq!(by % 2, 0),
                Turn::Late => panic!("an hour has not passed"),
            });
        }
    });
    assert!(matches!(flights.join(&0, Duration::ZERO), Turn::Lead(_)));
}

#[test]
fn every_line_is_taken_once() {
    let waiting = Waiting::default();
    let mut taken: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let waiting = &waiting;
                scope.spawn(move || {
                    let put = |line| assert!(waiting.put(format!("{thread} {line}")));
                    (0..10).for_each(put);
                    waiting.take()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    taken.extend(waiting.take());
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), THREADS * 10);
}
