//! The boundary between the JVM and the core: the native methods of `org.emrkeys.bridge.Natives`.
//!
//! Everything crosses as numbers and byte arrays (the format is in [`wire`]). An error crosses as a response, too, and
//! Java makes the exception of it, so that nothing here looks up a Java class or calls a Java method. No decision is
//! taken here.

mod boundary;
mod calls;
mod cipher;
mod defect;
mod handles;
pub mod hostile;
mod natives;
mod objects;
mod slots;
/// The locks of [`slots`], which its model test exchanges for others.
mod sync {
    pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock};
}
mod unload;
mod wire;
