//! Configuration from outside (site files, EMR's JSON, Spark properties): properties, which are expanded or refused, or
//! an error that names the file.
//!
//! Input: the name of the file on a line of its own, which decides the format; its content. Includes would read files
//! of the machine.
#![no_main]
use std::path::Path;

use emrkeys_cli::conf::{parse, Site};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Some((name @ ("x.xml" | "x.json" | "x.conf"), text)) = input.split_once('\n') else {
        return;
    };
    if text.contains("include") {
        return;
    }
    match parse(Path::new(name), text) {
        Ok(resource) => {
            let mut site = Site::default();
            site.add(resource.clone());
            assert!(resource.properties.iter().all(|property| site.origin(&property.name).is_some()));
            site.warn_of_variables(|_| None);
            let _ = site.settings(|_| None);
        }
        Err(refused) => assert!(refused.to_string().starts_with(name)),
    }
});
