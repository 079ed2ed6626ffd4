//! The one asynchronous runtime of the process, and the threads beside it.
//!
//! The runtime is created when something first needs the network. Its threads are not attached to the JVM, so a JVM may
//! shut down while they sleep or work. It ends with [`shut_down`] alone: the JVM calls that when it unloads this
//! library.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::error::{Code, Problem};
use crate::waiting;

static RUNTIME: RwLock<Option<Arc<Runtime>>> = RwLock::new(None);

/// The threads that [`thread`] started and that may run.
static THREADS: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Threads for name resolution, the one thing that blocks. They end after ten idle seconds.
const MAX_BLOCKING_THREADS: usize = 4;

/// Runs `future` to its end, or until `deadline` has passed: then `None`. Blocks the calling thread, which must not
/// be one of an asynchronous runtime.
pub fn block_on<F: Future>(deadline: Duration, future: F) -> Result<Option<F::Output>, Problem> {
    waiting::may_wait()?;
    Ok(runtime()?
        .block_on(async { tokio::time::timeout(deadline, future).await })
        .ok())
}

/// Runs `future` on the runtime's own thread, whatever becomes of the caller.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Result<(), Problem> {
    runtime()?.spawn(future);
    Ok(())
}

/// Starts a thread that lives no longer than this library.
///
/// # Errors
/// The system's, if it has no thread left.
pub fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    threads.retain(|thread| !thread.is_finished());
    threads.push(started);
    Ok(())
}

/// Ends every thread of this library: for its unloading, when nothing calls it any more and every provider is dropped.
/// Waits at most `patience`.
///
/// Returns whether all threads have ended. If not, they still run code of this library.
pub fn shut_down(patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let threads = std::mem::take(&mut *THREADS.lock().unwrap_or_else(PoisonError::into_inner));
    while threads.iter().any(|thread| !thread.is_finished()) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    threads.into_iter().for_each(|thread| {
        let _ = thread.join(); // a panic ends a thread, too
    });
    let taken = RUNTIME.write().unwrap_or_else(PoisonError::into_inner).take();
    match taken.map(Arc::try_unwrap) {
        None => true,
        Some(Err(_in_use)) => false,
        Some(Ok(runtime)) => {
            // Returns early, with every thread joined, or at the deadline.
            runtime.shutdown_timeout(deadline.saturating_duration_since(Instant::now()));
            Instant::now() < deadline
        }
    }
}

fn runtime() -> Result<Arc<Runtime>, Problem> {
    if let Some(runtime) = &*RUNTIME.read().unwrap_or_else(PoisonError::into_inner) {
        return Ok(Arc::clone(runtime));
    }
    let mut place = RUNTIME.write().unwrap_or_else(PoisonError::into_inner);
    match &*place {
        Some(runtime) => Ok(Arc::clone(runtime)),
        None => Ok(Arc::clone(place.insert(Arc::new(create()?)))),
    }
}

fn create() -> Result<Runtime, Problem> {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    Builder::new_multi_thread()
        // Requests are few and small; the thread that waits for one drives it.
        .worker_threads(1)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_name_fn(|| format!("emrkeys-{}", THREADS.fetch_add(1, Ordering::Relaxed)))
        .enable_all()
        .build()
        .map_err(|error| {
            Problem::new(
                Code::SourceUnavailable,
                format!("no threads or descriptors are left to reach the network with ({error})"),
                "Raise the limits of the process (ulimit -u, ulimit -n).",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_ends_with_its_value_or_at_the_deadline() {
        assert_eq!(block_on(Duration::from_secs(5), async { 7 }).unwrap(), Some(7));
        assert_eq!(
            block_on(Duration::from_millis(20), std::future::pending::<()>()).unwrap(),
            None
        );
    }

    #[test]
    fn many_threads_share_the_runtime() {
        let threads: Vec<_> = (0..8u64)
            .map(|n| {
                std::thread::spawn(move || {
                    let work = async move {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        n
                    };
                    block_on(Duration::from_secs(5), work).unwrap()
                })
            })
            .collect();
        let all: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all, (0..8).map(Some).collect::<Vec<_>>());
    }
}
