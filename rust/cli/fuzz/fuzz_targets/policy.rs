//! Key policies from KMS: one more key user, once and for good, or an error.
#![no_main]
use emrkeys_cli::Policy;
use libfuzzer_sys::fuzz_target;

const ROLE: &str = "arn:aws:iam::111122223333:role/EMR_EC2_DefaultRole";

fuzz_target!(|text: &str| {
    let Ok(policy) = Policy::parse(text) else {
        return;
    };
    let Some(changed) = policy.with_user(ROLE) else {
        assert!(policy.is_user(ROLE));
        return;
    };
    let again = Policy::parse(&changed.pretty());
    assert_eq!(again.as_ref(), Ok(&changed));
    assert!(changed.is_user(ROLE) && changed.with_user(ROLE).is_none());
});
