//! The end of this copy of the library. The JVM unloads it after the class loader of its Java classes was collected:
//! then no Java object refers to a handle any more, and no thread is in a native method.
//!
//! Keys are wiped and threads end in any case. The code stays mapped while something may still jump into it: a thread
//! that does not end in time, a handler of signals, or (by glibc's own count) a Java thread that was here and has not
//! ended.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::catch_unwind;
use std::ptr;
use std::time::Duration;

use crate::{calls, cipher, handles, objects};

/// The JVM waits so long: its own housekeeping stands still meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// `JNI_OnUnload`, JNI specification, chapter 5. Called once.
// SAFETY: the JVM calls what has this name, and nothing else in this library has it.
#[unsafe(no_mangle)]
extern "system" fn JNI_OnUnload(_vm: *mut c_void, _reserved: *mut c_void) {
    // In a thread that ends: the one that unloads is the JVM's cleaner, and what the standard library keeps for it
    // would keep the code mapped until the JVM ends.
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: `end` needs nothing of its argument, and the thread is joined once, before this function returns.
    unsafe {
        if libc::pthread_create(thread.as_mut_ptr(), ptr::null(), end, ptr::null_mut()) == 0 {
            libc::pthread_join(thread.assume_init(), ptr::null_mut());
        } else {
            stay();
        }
    }
}

extern "C" fn end(_: *mut c_void) -> *mut c_void {
    let unused = catch_unwind(|| {
        objects::clear();
        handles::LISTINGS.clear();
        handles::PROVIDERS.clear();
        handles::CONFIGS.clear();
        calls::CALLS.clear();
        emrkeys_objects::forget_stores();
        emrkeys_core::forget_clients();
        cipher::clear();
        emrkeys_core::aws::runtime::shut_down(PATIENCE)
    })
    .unwrap_or_else(|payload| {
        std::mem::forget(payload); // its destructor may panic in its turn
        false
    });
    // Threads first: those of the network use the back end of ciphers.
    if !(unused && emrkeys_crypto::forget_threads() && ends_without_trace()) {
        stay();
    }
    ptr::null_mut()
}

/// Whether nothing is left in the process that calls this library later on.
fn ends_without_trace() -> bool {
    // SAFETY: looks a name up; nothing is called. Without this function (glibc before 2.18) the end of a Java thread
    // that was here calls Rust's standard library through a pthread key, which nobody deletes.
    let threads_count = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__cxa_thread_atexit_impl".as_ptr()) };
    !threads_count.is_null() && (1..=libc::SIGRTMAX()).all(|signal| !handles_here(signal))
}

/// Whether a signal calls this library, as `SIGCHLD` does once tokio has started a process (`credential_process`).
fn handles_here(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with a null pointer in place of a new action, the present one is written to `action`.
    if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: zeroed above, which is a valid value, and written by the call.
    let handler = unsafe { action.assume_init() }.sa_sigaction;
    library(handler as *const c_void)
        .zip(library(JNI_OnUnload as *const c_void))
        .is_some_and(|(handler, this)| ptr::eq(handler.dli_fbase, this.dli_fbase))
}

/// The library that an address lies in.
fn library(address: *const c_void) -> Option<libc::Dl_info> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` takes any address, and writes to `info` where it finds one.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) } != 0;
    // SAFETY: zeroed above, which is a valid value, and written by the call.
    found.then(|| unsafe { info.assume_init() })
}

/// Keeps the code mapped for the life of the process, although the JVM unloads the library.
fn stay() {
    if let Some(this) = library(JNI_OnUnload as *const c_void) {
        let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
        // SAFETY: the name is the loader's own, and with RTLD_NOLOAD the call loads nothing.
        unsafe { libc::dlopen(this.dli_fname, flags) };
    }
}
