//! libFuzzer for one target, which `EMRKEYS_FUZZ` names.
#![no_main]

use emrkeys_fuzz::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static CHOSEN: std::sync::OnceLock<Target> = std::sync::OnceLock::new();
    let target = CHOSEN.get_or_init(|| {
        let name = std::env::var("EMRKEYS_FUZZ").unwrap_or_default();
        let mut all = emrkeys_fuzz::TARGETS.iter().chain([&emrkeys_fuzz::SELF_TEST]);
        let known = all.find(|(known, _)| *known == name);
        known.map_or_else(|| panic!("EMRKEYS_FUZZ names no target"), |(_, target)| *target)
    });
    target(data);
});
