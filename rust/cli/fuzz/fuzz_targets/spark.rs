//! Spark properties files from outside: properties, which are expanded or refused, or an error that names the file.
#![no_main]
use std::path::Path;

use emrkeys_cli::conf::{parse, Site};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match parse(Path::new("x.conf"), text) {
        Ok(properties) => {
            let mut site = Site::default();
            site.add(properties.clone());
            assert!(properties.iter().all(|property| site.origin(&property.name).is_some()));
            let _ = site.settings(|_| None);
        }
        Err(refused) => assert!(refused.to_string().starts_with("x.conf")),
    }
});
