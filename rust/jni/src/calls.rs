//! Calls that may wait: for a key service, for S3, or for another thread that asks one.
//!
//! A thread of the JVM that waits in native code does not notice an interrupt. So what has to wait runs on a thread of
//! this library, Java gets the number of the call, and waits for it with `await`, which `cancel` ends at once. A call
//! that nobody waits for any more goes on to its own end: the key that it gets serves the next caller.

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

/// Gives a response. May run twice: once so that it does not wait, then so that it does.
pub(crate) trait Work: FnMut() -> Result<Response, Error> + Send + 'static {}
impl<F: FnMut() -> Result<Response, Error> + Send + 'static> Work for F {}

/// A call under way.
#[derive(Default)]
pub(crate) struct Call {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Running,
    Ended(Response),
    Cancelled,
}

/// As [`respond`], for work that may wait: the response may be the number of a call.
pub(crate) fn respond_or_wait<'local, W: Work>(
    env: EnvUnowned<'local>,
    prepare: impl FnOnce(&mut Env<'local>) -> Result<W, Error>,
) -> JByteArray<'local> {
    respond(env, |env| {
        let mut work = prepare(env)?;
        emrkeys_core::without_waiting(&mut work).unwrap_or_else(|| start(work))
    })
}

fn start(work: impl Work) -> Result<Response, Error> {
    let number = CALLS.insert(Call::default())?;
    let call = CALLS.get(number)?;
    let started = runtime::thread("emrkeys-call", move || call.end(outcome(work)));
    match started {
        Ok(()) => Ok(wire::waiting(number)),
        Err(error) => {
            CALLS.remove(number);
            Err(Problem::new(
                Code::SourceUnavailable,
                format!("no thread is left to ask for a key with ({error})"),
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
        let mut state = self
            .changed
            .wait_while(state, |state| matches!(state, State::Running))
            .unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Cancelled) {
            State::Ended(response) => Ok(response),
            State::Running | State::Cancelled => Err(Problem::new(
                Code::Interrupted,
                "the thread was interrupted while it waited for a key",
                "Try again if the work is to go on; the request to the key service was not withdrawn.",
            )
            .into()),
        }
    }

    /// Ends the waiting, unless the call has ended already.
    pub(crate) fn cancel(&self) {
        self.become_if_running(State::Cancelled);
    }

    fn end(&self, response: Response) {
        self.become_if_running(State::Ended(response));
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

    fn response() -> Response {
        wire::waiting(1)
    }

    #[test]
    fn the_first_end_counts() {
        let call = Call::default();
        call.end(response());
        call.cancel();
        assert_eq!(call.wait().unwrap(), response());
        let call = Call::default();
        call.cancel();
        call.end(response());
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
}
