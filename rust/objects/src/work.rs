//! Threads that work on many objects.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use emrkeys_core::Error;

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Threads, at least 1.
    pub jobs: usize,
    /// Items begun in a second, at most, above 0; `None`: as many as can be.
    pub per_second: Option<f64>,
}

/// The longest pause between two items.
const LONGEST_PAUSE: Duration = Duration::from_secs(1000);
/// How often a pause looks whether it is to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// Works on `items` in threads, and hands each result to `each`, on the calling thread, with the item's number in the
/// order in which they came. Once `stop` is set nothing more is begun; what is under way is finished and handed over.
///
/// # Errors
/// The first error among the items, after what is under way.
pub fn work_on<I, T>(
    items: impl Iterator<Item = Result<I, Error>> + Send,
    pace: Pace,
    stop: &AtomicBool,
    work: impl Fn(&I) -> T + Sync,
    mut each: impl FnMut(u64, I, T),
) -> Result<(), Error>
where
    I: Send,
    T: Send,
{
    struct Queue<Items> {
        items: Items,
        taken: u64,
        error: Option<Error>,
        due: Instant,
    }
    let jobs = pace.jobs.max(1);
    let queue = Mutex::new(Queue {
        items,
        taken: 0,
        error: None,
        due: Instant::now(),
    });
    let interval = pace
        .per_second
        .filter(|rate| *rate > 0.0)
        .map(|rate| Duration::from_secs_f64((1.0 / rate).min(LONGEST_PAUSE.as_secs_f64())));
    let stopped = || stop.load(Ordering::Relaxed);
    let take = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        if stopped() || queue.error.is_some() {
            return None;
        }
        let item = match queue.items.next()? {
            Ok(item) => item,
            Err(error) => {
                queue.error = Some(error);
                return None;
            }
        };
        if let Some(interval) = interval {
            // All threads wait their turn here, so that nothing is begun too early.
            while !stopped() && Instant::now() < queue.due {
                thread::sleep(queue.due.saturating_duration_since(Instant::now()).min(GLANCE));
            }
            queue.due = Instant::now() + interval;
        }
        if stopped() {
            return None;
        }
        let number = queue.taken;
        queue.taken += 1;
        Some((number, item))
    };
    thread::scope(|scope| {
        let (results, arrive) = sync_channel(jobs);
        for _ in 0..jobs {
            let results = results.clone();
            let (take, work) = (&take, &work);
            scope.spawn(move || {
                while let Some((number, item)) = take() {
                    let result = work(&item);
                    if results.send((number, item, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for (number, item, result) in arrive {
            each(number, item, result);
        }
    });
    match queue.into_inner().unwrap_or_else(PoisonError::into_inner).error {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// Works on all of `items` in `jobs` threads; gives each with its result, in no order. Once `stop` is set nothing more
/// is begun.
///
/// # Errors
/// None of single items: what became of them is in the results.
pub fn work_on_all<I: Send, T: Send>(
    items: Vec<I>,
    jobs: usize,
    stop: &AtomicBool,
    work: impl Fn(&I) -> T + Sync,
) -> Result<Vec<(I, T)>, Error> {
    let pace = Pace {
        jobs,
        per_second: None,
    };
    let mut results = Vec::with_capacity(items.len());
    work_on(items.into_iter().map(Ok), pace, stop, work, |_, item, result| {
        results.push((item, result));
    })?;
    Ok(results)
}

/// Puts what ends in another order than it began back into its order, by the numbers that [`work_on`] gives.
#[derive(Debug)]
pub struct InOrder<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Default for InOrder<T> {
    /// Nothing has ended yet.
    fn default() -> Self {
        InOrder {
            next: 0,
            waiting: BTreeMap::new(),
        }
    }
}

impl<T> InOrder<T> {
    /// Item `number` has ended; gives all that come next by now, which may be none.
    pub fn put(&mut self, number: u64, item: T) -> impl Iterator<Item = T> + '_ {
        self.waiting.insert(number, item);
        std::iter::from_fn(|| {
            let item = self.waiting.remove(&self.next)?;
            self.next += 1;
            Some(item)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emrkeys_core::{Code, Problem};
    use std::sync::atomic::AtomicUsize;

    fn pace(jobs: usize) -> Pace {
        Pace {
            jobs,
            per_second: None,
        }
    }

    #[test]
    fn every_item_is_worked_on_once_and_its_number_is_its_place() {
        let mut seen = vec![0; 1000];
        let items = (0..1000u64).map(Ok);
        work_on(
            items,
            pace(8),
            &AtomicBool::new(false),
            |item| item * 2,
            |number, item, result| {
                assert_eq!((number, result), (item, 2 * item));
                seen[usize::try_from(item).unwrap()] += 1;
            },
        )
        .unwrap();
        assert!(seen.iter().all(|count| *count == 1));
    }

    #[test]
    fn an_error_among_the_items_ends_the_work_after_what_is_under_way() {
        let items = (0..10u64).map(|item| match item {
            5 => Err(Problem::new(Code::StoreUnavailable, "gone", "Wait.").into()),
            _ => Ok(item),
        });
        let mut done = 0;
        let result = work_on(
            items,
            pace(2),
            &AtomicBool::new(false),
            |_| (),
            |_, _, ()| done += 1,
        );
        assert_eq!(result.unwrap_err().code(), Code::StoreUnavailable);
        assert_eq!(done, 5);
    }

    #[test]
    fn a_stop_begins_nothing_more() {
        let stop = AtomicBool::new(false);
        let begun = AtomicUsize::new(0);
        let mut done = 0;
        let work = |_: &u64| begun.fetch_add(1, Ordering::SeqCst);
        work_on((0..1_000_000u64).map(Ok), pace(4), &stop, work, |_, _, _| {
            done += 1;
            stop.store(true, Ordering::SeqCst);
        })
        .unwrap();
        assert_eq!(done, begun.load(Ordering::SeqCst));
        assert!(done < 100, "{done}");
    }

    #[test]
    fn a_rate_is_kept() {
        let start = Instant::now();
        let slow = Pace {
            jobs: 8,
            per_second: Some(100.0),
        };
        work_on(
            (0..11u64).map(Ok),
            slow,
            &AtomicBool::new(false),
            |_| (),
            |_, _, ()| {},
        )
        .unwrap();
        assert!(start.elapsed() >= Duration::from_millis(100));
    }

    #[test]
    fn a_stop_ends_the_wait_for_the_next_item() {
        for rate in [0.01, 1e-20] {
            let (start, stop) = (Instant::now(), AtomicBool::new(false));
            let slow = Pace {
                jobs: 2,
                per_second: Some(rate),
            };
            let mut done = 0;
            work_on(
                (0..9u64).map(Ok),
                slow,
                &stop,
                |_| (),
                |_, _, ()| {
                    done += 1;
                    stop.store(true, Ordering::SeqCst);
                },
            )
            .unwrap();
            assert_eq!(done, 1);
            assert!(start.elapsed() < Duration::from_secs(50));
        }
    }

    #[test]
    fn nobody_waits_where_there_is_nothing_more() {
        let start = Instant::now();
        let slow = Pace {
            jobs: 8,
            per_second: Some(0.01),
        };
        let only = std::iter::once(Ok(1u64));
        work_on(only, slow, &AtomicBool::new(false), |_| (), |_, _, ()| {}).unwrap();
        assert!(start.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn what_ends_early_waits_for_the_first_that_is_missing() {
        let mut order = InOrder::default();
        let mut put = |number: u64| order.put(number, number).collect::<Vec<_>>();
        for early in [1, 2, 4] {
            assert!(put(early).is_empty());
        }
        assert_eq!(put(0), [0, 1, 2]);
        assert_eq!(put(3), [3, 4]);
    }
}
