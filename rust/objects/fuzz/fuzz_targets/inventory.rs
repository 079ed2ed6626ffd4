//! Inventories from outside: objects with keys, or an error.
//!
//! Input: a manifest, a zero byte, a file of the inventory, unzipped.
#![no_main]
use emrkeys_objects::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let Ok(manifest) = Manifest::parse(parts.next().unwrap_or_default(), "lake") else {
        return;
    };
    let mut rows = manifest.rows(parts.next().unwrap_or_default());
    while let Ok(true) = rows.read() {
        match rows.object() {
            Ok(_) => {}
            Err(what) => assert!(!what.is_empty() && what.len() < 4096),
        }
    }
});
