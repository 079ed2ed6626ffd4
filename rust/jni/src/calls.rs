//! Calls that may wait: for a key service, for S3, or for another thread that asks one.
//!
//! A thread of the JVM that waits in native code does not notice an interrupt. So what has to wait runs on a thread of
//! this library, Java gets the number of the call, and waits for it with `await`, which `cancel` ends at once. A call
//! that nobody waits for any more goes on to its own end: the key that it gets serves the next caller. Work on many
//! objects begins with no more of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use emrkeys_core::aws::runtime;
use emrkeys_core::{Code, Error, Problem};
use jni::objects::JByteArray;
use jni::{Env, EnvUnowned};
use once_cell::sync::Lazy;

use crate::boundary::{outcome, respond};
use crate::handles::Handles;
use crate::wire::{self, Response};

pub(crate) static CALLS: Lazy<Handles<Call>> = Lazy::new(Handles::new);

/// Makes the response of a result, on the thread that takes it: a handle that nobody takes is not made.
pub(crate) type Finish = Box<dyn FnOnce() -> Result<Response, Error> + Send>;

/// A call under way.
#[derive(Default)]
pub(crate) struct Call {
    state: Mutex<State>,
    changed: Condvar,
    cancelled: AtomicBool,
}

#[derive(Default)]
enum State {
    #[default]
    Running,
    Ended(Finish),
    Cancelled,
}

/// The result of work that needs nothing done where it is taken.
pub(crate) fn finished(response: Response) -> Finish {
    Box::new(move || Ok(response))
}

/// As [`respond`], for work that may wait: the response may be the number of a call. The work does the same if it runs
/// twice: once so that it does not wait, then so that it does. [`finish_or_wait`] would take a box for each response,
/// and most requests for materials wait for nothing.
pub(crate) fn respond_or_wait<'local, W>(
    env: EnvUnowned<'local>,
    prepare: impl FnOnce(&mut Env<'local>) -> Result<W, Error>,
) -> JByteArray<'local>
where
    W: FnMut() -> Result<Response, Error> + Send + 'static,
{
    respond(env, |env| {
        let mut work = prepare(env)?;
        match emrkeys_core::without_waiting(&mut work) {
            Some(response) => response,
            None => start(move |_| work().map(finished)),
        }
    })
}

/// As [`respond_or_wait`], for work whose result needs something done where it is taken.
pub(crate) fn finish_or_wait<'local, W>(
    env: EnvUnowned<'local>,
    prepare: impl FnOnce(&mut Env<'local>) -> Result<W, Error>,
) -> JByteArray<'local>
where
    W: FnMut() -> Result<Finish, Error> + Send + 'static,
{
    respond(env, |env| {
        let mut work = prepare(env)?;
        match emrkeys_core::without_waiting(&mut work) {
            Some(result) => result?(),
            None => start(move |_| work()),
        }
    })
}

/// As [`respond`], for work that always waits: the response is the number of a call. The work is to stop once the flag
/// is set.
pub(crate) fn respond_later<'local, W>(
    env: EnvUnowned<'local>,
    prepare: impl FnOnce(&mut Env<'local>) -> Result<W, Error>,
) -> JByteArray<'local>
where
    W: FnOnce(&AtomicBool) -> Result<Finish, Error> + Send + 'static,
{
    respond(env, |env| start(prepare(env)?))
}

fn start(
    work: impl FnOnce(&AtomicBool) -> Result<Finish, Error> + Send + 'static,
) -> Result<Response, Error> {
    let number = CALLS.insert(Call::default())?;
    let call = CALLS.get(number)?;
    let started = runtime::thread("emrkeys-call", move || {
        // A panic is a response, too.
        let mut finish = None;
        let failure = outcome(|| {
            finish = Some(work(&call.cancelled)?);
            Ok(Response::default())
        });
        call.end(finish.unwrap_or_else(|| finished(failure)));
    });
    match started {
        Ok(()) => Ok(wire::waiting(number)),
        Err(error) => {
            CALLS.remove(number);
            Err(Problem::new(
                Code::SourceUnavailable,
                format!("no thread is left to wait with ({error})"),
                "Raise the limits of the process (ulimit -u).",
            )
            .into())
        }
    }
}

impl Call {
    /// Waits for the end, which `INTERRUPTED` may be.
    pub(crate) fn wait(&self) -> Result<Response, Error> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self
            .changed
            .wait_while(state, |state| matches!(state, State::Running))
            .unwrap_or_else(PoisonError::into_inner);
        let state = {
            let mut state = state;
            std::mem::replace(&mut *state, State::Cancelled)
        };
        match state {
            State::Ended(finish) => finish(),
            State::Running | State::Cancelled => Err(Problem::new(
                Code::Interrupted,
                "the thread was interrupted while it waited for a key service, S3 or another thread",
                "Try again if the work is to go on; the request under way was not withdrawn.",
            )
            .into()),
        }
    }

    /// Ends the waiting, unless the call has ended already.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.become_if_running(State::Cancelled);
    }

    fn end(&self, finish: Finish) {
        self.become_if_running(State::Ended(finish));
    }

    fn become_if_running(&self, next: State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Running) {
            *state = next;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn response() -> Response {
        wire::waiting(1)
    }

    #[test]
    fn the_first_end_counts() {
        let call = Call::default();
        call.end(finished(response()));
        call.cancel();
        assert_eq!(call.wait().unwrap(), response());
        let call = Call::default();
        call.cancel();
        call.end(finished(response()));
        assert_eq!(call.wait().unwrap_err().code(), Code::Interrupted);
    }

    #[test]
    fn a_cancelled_call_ends_the_waiting_of_another_thread() {
        let call = Call::default();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| call.wait().map_err(|error| error.code()));
            call.cancel();
            assert_eq!(waits.join().unwrap(), Err(Code::Interrupted));
        });
    }

    #[test]
    fn work_that_nobody_waits_for_is_told_to_stop_and_leaves_nothing() {
        let (begun, begins) = mpsc::channel();
        let (dropped, drops) = mpsc::channel::<()>();
        let waiting = start(move |stop| {
            begun.send(()).unwrap();
            while !stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let finish: Finish = Box::new(move || -> Result<Response, Error> {
                dropped.send(()).unwrap();
                Ok(response())
            });
            Ok(finish)
        });
        let number = i64::from_be_bytes(waiting.unwrap()[1..].try_into().unwrap());
        begins.recv().unwrap();
        let call = CALLS.get(number).unwrap();
        call.cancel();
        assert_eq!(call.wait().unwrap_err().code(), Code::Interrupted);
        // Its end is dropped and never taken: nothing was sent.
        assert_eq!(drops.recv(), Err(mpsc::RecvError));
    }

    #[test]
    fn a_panic_of_the_work_is_a_response() {
        let waiting = start(|_| panic!("asked for")).unwrap();
        let number = i64::from_be_bytes(waiting[1..].try_into().unwrap());
        let response = CALLS.get(number).unwrap().wait().unwrap();
        assert_eq!(response[0], 1);
        assert!(response.windows(8).any(|text| text == b"INTERNAL"));
    }
}
