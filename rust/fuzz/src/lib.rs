//! Targets for hostile input: each takes any bytes, and panics if emrkeys does with them what it must not.
//!
//! The feature `libfuzzer` makes a program of them. The tests replay the inputs in `corpus/`, a folder for each target;
//! an input that once showed a fault stays there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod boundary;
mod ciphers;
mod configuration;
mod progress;
mod self_test;
mod stored;

pub use self_test::SELF_TEST;

/// A target.
pub type Target = fn(&[u8]);

/// All of them by their names.
pub const TARGETS: [(&str, Target); 13] = [
    ("checkpoint", progress::checkpoint),
    ("conf", configuration::conf),
    ("description", stored::description),
    ("envelope", stored::envelope),
    ("inventory", stored::inventory),
    ("keyring", stored::keyring),
    ("pieces", boundary::pieces),
    ("policy", configuration::policy),
    ("stream", ciphers::stream),
    ("table-key", stored::table_key),
    ("unwrap", ciphers::unwrap),
    ("upload", progress::upload),
    ("wire", boundary::wire),
];
