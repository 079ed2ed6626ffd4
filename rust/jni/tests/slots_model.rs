//! The table of handles under every order of steps that two threads can take (loom).
#![allow(missing_docs, clippy::unwrap_used)]

// The same source, with locks that loom watches.
#[path = "../src/slots.rs"]
#[allow(dead_code)]
mod slots;
mod sync {
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use std::sync::OnceLock;
}

use loom::sync::Arc;
use loom::thread;
use slots::{Refusal, Table};

#[test]
fn a_stale_handle_never_reaches_what_took_its_slot() {
    loom::model(|| {
        let table = Arc::new(Table::new(1, 8));
        let first = table.insert("first").unwrap();
        let other = Arc::clone(&table);
        let user = thread::spawn(move || match other.with(first, |object| *object) {
            Ok(object) => assert_eq!(object, "first"),
            Err(refusal) => assert!(matches!(refusal, Refusal::Closed | Refusal::Busy)),
        });
        table.remove(first).unwrap();
        let second = table.insert("second").unwrap();
        assert_ne!(first, second);
        user.join().unwrap();
        assert_eq!(table.with(first, |_| ()), Err(Refusal::Closed));
        assert_eq!(table.with(second, |object| *object), Ok("second"));
    });
}

#[test]
fn two_threads_that_free_one_handle_free_it_once() {
    loom::model(|| {
        let table = Arc::new(Table::new(1, 8));
        let handle = table.insert(0).unwrap();
        let other = Arc::clone(&table);
        let freed = thread::spawn(move || other.remove(handle).is_ok());
        let here = table.remove(handle).is_ok();
        assert!(here ^ freed.join().unwrap());
        // Freed twice, the slot would be given out twice.
        let (a, b) = (table.insert(1).unwrap(), table.insert(2).unwrap());
        assert_ne!(a, b);
        assert_eq!(table.with(a, |object| *object), Ok(1));
        assert_eq!(table.with(b, |object| *object), Ok(2));
    });
}

#[test]
fn two_threads_that_insert_get_a_slot_each() {
    loom::model(|| {
        let table = Arc::new(Table::new(1, 8));
        let other = Arc::clone(&table);
        let there = thread::spawn(move || other.insert(1).unwrap());
        let here = table.insert(2).unwrap();
        let there = there.join().unwrap();
        assert_ne!(here, there);
        assert_eq!(table.read(there, |object| *object), Ok(1));
        assert_eq!(table.read(here, |object| *object), Ok(2));
    });
}

#[test]
fn a_full_table_refuses_and_what_it_holds_stays() {
    loom::model(|| {
        let table = Table::new(1, 2);
        let handles = [table.insert(0).unwrap(), table.insert(1).unwrap()];
        for _ in 0..10 {
            assert_eq!(table.insert(9), None);
        }
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(table.with(handle, |object| *object), Ok(i));
        }
        table.remove(handles[0]).unwrap();
        assert!(table.insert(2).is_some());
    });
}

#[test]
fn a_slot_whose_generations_are_used_up_is_not_used_again() {
    loom::model(|| {
        let table = Table::new(0x7fff_fffd, 1);
        let mut seen = Vec::new();
        while let Some(handle) = table.insert(()) {
            assert!(handle > 0 && !seen.contains(&handle), "{handle:x}");
            seen.push(handle);
            table.remove(handle).unwrap();
        }
        assert_eq!(seen.len(), 2);
        for handle in seen {
            assert_eq!(table.remove(handle), Err(Refusal::Closed));
        }
    });
}

#[test]
fn a_cleared_table_has_nothing() {
    loom::model(|| {
        let table = Table::new(1, 8);
        let handles = [table.insert(0).unwrap(), table.insert(1).unwrap()];
        table.clear();
        for handle in handles {
            assert_eq!(table.with(handle, |object| *object), Err(Refusal::Closed));
        }
    });
}

#[test]
fn handles_of_nothing_are_closed() {
    loom::model(|| {
        let table: Table<()> = Table::new(1, 8);
        for handle in [0, 1, -1, i64::MIN, i64::MAX, 1 << 32, (1 << 32) | 0xffff_ffff] {
            assert_eq!(table.with(handle, |()| ()), Err(Refusal::Closed));
            assert_eq!(table.read(handle, |()| ()), Err(Refusal::Closed));
            assert_eq!(table.remove(handle), Err(Refusal::Closed));
        }
    });
}
