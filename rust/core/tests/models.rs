//! Calls that threads share, and the queue of the audit log, under every order of steps that threads can take (loom).
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

// The same sources, with locks that loom watches.
#[path = "../src/key_service/cache/flight.rs"]
#[allow(dead_code)]
mod flight;
#[path = "../src/audit/queue.rs"]
#[allow(dead_code)]
mod queue;
mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
}

use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::Duration;

use flight::{Flights, Turn};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use queue::Waiting;

const HOUR: Duration = Duration::from_secs(3600);

/// Makes the call or waits for it, and gives its outcome. No two calls may be under way at once.
fn call(flights: &Arc<Flights<u8, usize>>, under_way: &AtomicUsize, calls: &AtomicUsize) -> usize {
    match flights.join(&0, HOUR) {
        Turn::Lead(lead) => {
            assert_eq!(under_way.fetch_add(1, Ordering::SeqCst), 0, "two calls at once");
            let number = calls.fetch_add(1, Ordering::SeqCst) + 1;
            under_way.fetch_sub(1, Ordering::SeqCst);
            lead.end(number);
            number
        }
        Turn::Ended(number) => number,
        Turn::Late => panic!("an hour has not passed"),
    }
}

#[test]
fn one_call_at_a_time_is_made_and_everybody_gets_an_outcome() {
    loom::model(|| {
        let flights = Arc::new(Flights::default());
        let (under_way, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (flights, under_way, calls) = (flights.clone(), under_way.clone(), calls.clone());
                thread::spawn(move || call(&flights, &under_way, &calls))
            })
            .collect();
        for thread in threads {
            let number = thread.join().unwrap();
            assert!((1..=calls.load(Ordering::SeqCst)).contains(&number));
        }
        assert!(flights.lead(&0, HOUR).is_some(), "nothing is left under way");
    });
}

#[test]
fn a_call_that_is_lost_passes_to_a_thread_that_waits() {
    loom::model(|| {
        let flights: Arc<Flights<u8, usize>> = Arc::default();
        let lost = flights.lead(&0, HOUR).unwrap();
        let other = flights.clone();
        let waits = thread::spawn(move || match other.join(&0, HOUR) {
            Turn::Lead(lead) => lead.end(1),
            Turn::Ended(_) | Turn::Late => panic!("nobody ended the call"),
        });
        drop(lost);
        waits.join().unwrap();
        assert!(flights.lead(&0, HOUR).is_some());
    });
}

#[test]
fn a_call_that_gives_up_passes_to_a_thread_with_more_patience_and_answers_the_others() {
    const SECOND: Duration = Duration::from_secs(1);
    for (leads, waits) in [(SECOND, HOUR), (HOUR, SECOND), (HOUR, HOUR)] {
        // In some order of steps, whatever loom does with its own.
        let answered = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&answered);
        loom::model(move || {
            let flights: Arc<Flights<u8, usize>> = Arc::default();
            let lead = flights.lead(&0, leads).unwrap();
            let (other, seen) = (flights.clone(), seen.clone());
            let waiter = thread::spawn(move || match other.join(&0, waits) {
                Turn::Lead(lead) => lead.end(2),
                Turn::Ended(failure) => {
                    assert_eq!(failure, 1);
                    seen.store(true, Ordering::SeqCst);
                }
                Turn::Late => panic!("not even a second has passed"),
            });
            lead.give_up(1);
            waiter.join().unwrap();
            assert!(flights.lead(&0, HOUR).is_some(), "nothing is left under way");
        });
        assert_eq!(answered.load(Ordering::SeqCst), waits <= leads);
    }
}

#[test]
fn a_thread_without_patience_does_not_wait() {
    loom::model(|| {
        let flights: Arc<Flights<u8, usize>> = Arc::default();
        let lead = flights.lead(&0, HOUR).unwrap();
        assert!(matches!(flights.join(&0, Duration::ZERO), Turn::Late));
        assert!(matches!(flights.join(&1, Duration::ZERO), Turn::Lead(_)));
        lead.end(1);
    });
}

#[test]
fn every_line_of_the_audit_log_is_taken_once() {
    loom::model(|| {
        let waiting = Arc::new(Waiting::default());
        let other = Arc::clone(&waiting);
        // Each request leaves its line, and takes all that wait.
        let there = thread::spawn(move || {
            assert!(other.put("there".to_owned()));
            other.take()
        });
        assert!(waiting.put("here".to_owned()));
        let mut lines = waiting.take();
        lines.extend(there.join().unwrap());
        lines.sort();
        assert_eq!(lines, ["here", "there"]);
        assert!(waiting.take().is_empty());
    });
}
