//! Configuration of the operator's.

use std::path::Path;

use emrkeys_cli::conf::{parse, Site};
use emrkeys_cli::Policy;

const ROLE: &str = "arn:aws:iam::111122223333:role/EMR_EC2_DefaultRole";

/// Configuration from outside (site files, EMR's JSON, Spark properties): properties, which are expanded or refused, or
/// an error that names the file.
///
/// Input: the name of the file on a line of its own, which decides the format; its content. Includes would read files
/// of the machine.
pub(crate) fn conf(input: &[u8]) {
    let Some((name @ ("x.xml" | "x.json" | "x.conf"), text)) = std::str::from_utf8(input)
        .ok()
        .and_then(|input| input.split_once('\n'))
    else {
        return;
    };
    if text.contains("include") {
        return;
    }
    match parse(Path::new(name), text) {
        Ok(resource) => {
            let mut site = Site::default();
            site.add(resource.clone());
            let mut properties = resource.properties.iter();
            assert!(properties.all(|property| site.origin(&property.name).is_some()));
            site.warn_of_variables(|_| None);
            let _ = site.settings(|_| None);
        }
        Err(refused) => assert!(refused.to_string().starts_with(name)),
    }
}

/// Key policies from KMS: one more key user, once and for good, or an error.
pub(crate) fn policy(input: &[u8]) {
    let Some(Ok(policy)) = std::str::from_utf8(input).ok().map(Policy::parse) else {
        return;
    };
    let Some(changed) = policy.with_user(ROLE) else {
        assert!(policy.is_user(ROLE));
        return;
    };
    let again = Policy::parse(&changed.pretty());
    assert_eq!(again.as_ref(), Ok(&changed));
    assert!(changed.is_user(ROLE) && changed.with_user(ROLE).is_none());
}
