//! Keyrings from outside: a summary within its bounds or an error, never a panic.
#![no_main]
use emrkeys_core::keyring::{inspect, State, MAX_DOCUMENT, MAX_VERSIONS};
use emrkeys_core::Code;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match inspect(data) {
        Ok(summary) => {
            assert!(data.len() <= MAX_DOCUMENT && !summary.authentic && summary.generation > 0);
            assert!((1..=MAX_VERSIONS).contains(&summary.versions.len()));
            let active = summary.versions.iter().filter(|version| version.state == State::Active);
            assert_eq!(active.count(), 1);
        }
        Err(error) => {
            assert_eq!(error.code(), Code::KeyringInvalid);
            assert!(error.to_string().len() < 4096);
        }
    }
});
