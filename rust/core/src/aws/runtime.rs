//! The one asynchronous runtime of the process.
//!
//! It is created when something first needs the network, and never dropped: its threads are not attached to the JVM,
//! so a JVM may shut down while they sleep or work, and dropping a runtime in the middle of that could block.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use once_cell::sync::OnceCell;
use tokio::runtime::{Builder, Runtime};

use crate::error::{Code, Problem};

static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// Threads for name resolution, the one thing that blocks. They end after ten idle seconds.
const MAX_BLOCKING_THREADS: usize = 4;

/// Runs `future` to its end, or until `deadline` has passed: then `None`. Blocks the calling thread, which must not
/// be one of an asynchronous runtime.
pub fn block_on<F: Future>(deadline: Duration, future: F) -> Result<Option<F::Output>, Problem> {
    let runtime = RUNTIME.get_or_try_init(create)?;
    Ok(runtime
        .block_on(async { tokio::time::timeout(deadline, future).await })
        .ok())
}

/// Runs `future` on the runtime's own thread, whatever becomes of the caller.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Result<(), Problem> {
    RUNTIME.get_or_try_init(create)?.spawn(future);
    Ok(())
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
