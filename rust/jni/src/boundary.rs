//! The one wrapper around every export.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use emrkeys_core::Error;
use jni::objects::JByteArray;
use jni::{Env, EnvUnowned, Outcome};

use crate::defect::internal;
use crate::wire::{self, Response};

/// Runs `body` and gives its response to Java, whatever happens in it: an error and a panic are responses as well.
///
/// Gives `null` only where the JVM cannot make an array, and then the JVM's own exception is pending.
pub(crate) fn respond<'local>(
    mut env: EnvUnowned<'local>,
    body: impl FnOnce(&mut Env<'local>) -> Result<Response, Error>,
) -> JByteArray<'local> {
    hide_panic_messages();
    let outcome = env
        .with_env(|env| -> jni::errors::Result<JByteArray<'local>> {
            let response = outcome(|| body(env));
            env.byte_array_from_slice(response.as_slice())
        })
        .into_outcome();
    match outcome {
        Outcome::Ok(array) => array,
        Outcome::Err(_) | Outcome::Panic(_) => JByteArray::default(),
    }
}

/// The response of `body`, be it an error or a panic.
pub(crate) fn outcome(body: impl FnOnce() -> Result<Response, Error>) -> Response {
    // Nothing that the body could leave half changed outlives it but the registry of handles, whose lock is never held
    // across code that can panic.
    match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => wire::failure(&error),
        Err(payload) => wire::failure(&defect(payload)),
    }
}

/// The bytes of an argument; `None` for `null`.
pub(crate) fn argument(env: &Env, array: &JByteArray) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, Error> {
    if array.is_null() {
        return Ok(None);
    }
    let bytes = env
        .convert_byte_array(array)
        .map_err(|error| internal(format!("an argument was not read: {error}")))?;
    Ok(Some(zeroize::Zeroizing::new(bytes)))
}

/// Fixed text: what a panic says may hold anything.
fn defect(payload: Box<dyn Any + Send>) -> Error {
    // The destructor of a payload may panic in its turn.
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    internal("a defect in emrkeys was caught".to_owned())
}

/// A panic's message goes to standard error by default, and may hold what must not be seen. Only the place of the
/// defect is printed. The hook is this library's own: Rust code in other libraries of the JVM has another one.
pub(crate) fn hide_panic_messages() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|info| {
            if let Some(place) = info.location() {
                eprintln!(
                    "emrkeys: a defect at {}:{} was caught",
                    place.file(),
                    place.line()
                );
            }
        }));
    });
}
