use std::collections::BTreeSet;
use std::time::Duration;

use super::drop_in::{KMS_KEY_ID, RSA_NAME, RSA_PRIVATE, RSA_PUBLIC};
use super::*;
use crate::inputs::{InputRef, Settings};
use crate::jce::{JceInstall, JceMgf1, JceRelease, JceSettings};
use crate::material::Permissions;
use crate::{Client, Code};

mod key_types;

/// A configuration that is valid: what a test adds or changes is what it is about.
fn settings(changes: &[(&str, &str)]) -> Settings {
    let base = [
        ("emrkeys.key.main.type", "aes"),
        ("emrkeys.key.main.file", "file:///keys/main"),
        ("emrkeys.default.key", "main"),
        ("fs.s3.cse.materialsDescription.enabled", "true"),
    ];
    base.iter()
        .chain(changes)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn problems(usage: Client, changes: &[(&str, &str)]) -> Vec<(Code, String)> {
    let error = Config::parse(usage, &settings(changes)).unwrap_err();
    error
        .problems()
        .map(|problem| (problem.code, problem.property.clone().unwrap_or_default()))
        .collect()
}

fn problem(changes: &[(&str, &str)]) -> (Code, String) {
    let mut found = problems(Client::S3, changes);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[track_caller]
fn expect(changes: &[(&str, &str)], code: Code, property: &str) {
    assert_eq!(problem(changes), (code, property.to_owned()));
}

#[test]
fn an_empty_value_is_no_value() {
    let config = Config::parse(Client::S3, &settings(&[("emrkeys.legacy.key", "  ")])).unwrap();
    assert!(config.legacy_keys.is_empty());
}

#[test]
fn every_problem_is_reported_at_once() {
    let found = problems(
        Client::S3,
        &[
            ("emrkeys.nonsense", "1"),
            ("emrkeys.key.b.type", "des"),
            ("emrkeys.key.c.type", "aes"),
            ("emrkeys.rule.r.prefix", "s3://"),
            ("emrkeys.legacy.key", "nobody"),
        ],
    );
    let codes: BTreeSet<Code> = found.iter().map(|(code, _)| *code).collect();
    let expected = [
        Code::UnknownProperty,
        Code::InvalidValue,
        Code::MissingProperty,
        Code::InvalidUri,
        Code::UnknownKey,
    ];
    assert_eq!(codes, expected.into_iter().collect(), "{found:?}");
}

#[test]
fn an_unknown_property_is_refused_with_a_suggestion() {
    let error = Config::parse(Client::S3, &settings(&[("emrkeys.defualt.key", "main")])).unwrap_err();
    assert_eq!(error.code(), Code::UnknownProperty);
    assert!(error.to_string().contains("emrkeys.default.key"), "{error}");
}

#[test]
fn no_key_at_all_is_a_problem() {
    assert_eq!(
        Config::parse(Client::S3, &Settings::new()).unwrap_err().code(),
        Code::MissingProperty
    );
}

#[test]
fn names_are_plain() {
    expect(
        &[("emrkeys.key.a b.type", "aes")],
        Code::InvalidValue,
        "emrkeys.key.a b.type",
    );
    let long = format!("emrkeys.key.{}.type", "k".repeat(65));
    expect(&[(&long, "aes")], Code::InvalidValue, &long);
}

#[test]
fn what_names_a_key_must_name_a_configured_one() {
    expect(
        &[("emrkeys.default.key", "mian")],
        Code::UnknownKey,
        "emrkeys.default.key",
    );
    expect(
        &[("emrkeys.legacy.key", "b")],
        Code::UnknownKey,
        "emrkeys.legacy.key",
    );
    expect(
        &[("emrkeys.local-disk.key", "b")],
        Code::UnknownKey,
        "emrkeys.local-disk.key",
    );
    expect(
        &[("emrkeys.key.main.previous", "b")],
        Code::UnknownKey,
        "emrkeys.key.main.previous",
    );
    expect(
        &[
            ("emrkeys.rule.r.prefix", "s3://lake/"),
            ("emrkeys.rule.r.key", "b"),
        ],
        Code::UnknownKey,
        "emrkeys.rule.r.key",
    );
}

#[test]
fn a_key_with_a_problem_is_reported_once_and_not_as_unknown_too() {
    expect(
        &[("emrkeys.key.main.encoding", "?")],
        Code::InvalidValue,
        "emrkeys.key.main.encoding",
    );
}

#[test]
fn rules_need_a_prefix_with_a_bucket_and_a_key() {
    let rule = |prefix| [("emrkeys.rule.r.key", "main"), ("emrkeys.rule.r.prefix", prefix)];
    for prefix in ["s3://", "s3:///a", "/a", "hdfs://lake/a", "s3://Lake/a"] {
        expect(&rule(prefix), Code::InvalidUri, "emrkeys.rule.r.prefix");
    }
    expect(&rule(" "), Code::MissingProperty, "emrkeys.rule.r.prefix");
    expect(
        &[("emrkeys.rule.r.prefix", "s3://lake/a")],
        Code::MissingProperty,
        "emrkeys.rule.r.key",
    );
    let mut job_flow = rule("s3://lake/").to_vec();
    job_flow.push(("emrkeys.rule.r.job-flow", "cluster"));
    expect(&job_flow, Code::InvalidValue, "emrkeys.rule.r.job-flow");
}

#[test]
fn two_rules_with_one_prefix_are_refused() {
    let rules = |a, b| {
        problem(&[
            ("emrkeys.rule.a.prefix", a),
            ("emrkeys.rule.a.key", "main"),
            ("emrkeys.rule.b.prefix", b),
            ("emrkeys.rule.b.key", "main"),
        ])
    };
    let expected = (Code::DuplicateRule, "emrkeys.rule.b.prefix".to_owned());
    assert_eq!(rules("s3://lake/a/", "s3a://lake/a/"), expected);
    assert_eq!(rules("s3://lake/a b/,s3://lake/c/", "s3://lake/a%20b/"), expected);
}

#[test]
fn rules_by_prefix_need_the_objects_location() {
    let rule = [
        ("emrkeys.rule.r.prefix", "s3://lake/"),
        ("emrkeys.rule.r.key", "main"),
    ];
    let mut off = rule.to_vec();
    off.push((DESCRIPTION_ENABLED, "false"));
    expect(&off, Code::DescriptionDisabled, DESCRIPTION_ENABLED);
    Config::parse(Client::S3, &settings(&rule)).unwrap();
    // Local disks have no prefixes.
    off.push(("emrkeys.local-disk.key", "main"));
    Config::parse(Client::LocalDisk, &settings(&off)).unwrap();
}

#[test]
fn the_properties_of_awss_providers_define_a_key_where_none_of_ours_does() {
    let parse = |entries: &[(&str, &str)]| {
        let settings = entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Config::parse(Client::S3, &settings)
    };
    let rsa = [
        (RSA_PUBLIC, "s3://keys/pub"),
        (RSA_PRIVATE, "/keys/private"),
        (RSA_NAME, "n"),
    ];
    let config = parse(&rsa).unwrap();
    assert_eq!(config.default_key.as_deref(), Some("default"));
    assert!(matches!(&config.keys["default"].kind,
        KeyKind::Rsa(RsaKey { legacy_name: Some(name), permissions: Permissions::Warn, .. }) if name == "n"));
    assert_eq!(config.required_inputs(), [InputRef::Uri("/keys/private".into())]);

    let config = parse(&[(KMS_KEY_ID, "alias/k")]).unwrap();
    assert!(matches!(&config.keys["default"].kind, KeyKind::Kms(key) if key.target.key_id == "alias/k"));

    let both = [&rsa[..], &[(KMS_KEY_ID, "alias/k")]].concat();
    assert_eq!(parse(&both).unwrap_err().code(), Code::Conflict);
    assert_eq!(parse(&rsa[1..]).unwrap_err().code(), Code::MissingProperty);

    let config = Config::parse(Client::S3, &settings(&rsa)).unwrap();
    assert!(!config.keys.contains_key("default"), "keys of ours come first");
}

#[test]
fn local_disks_need_one_symmetric_key() {
    let code = |changes: &[(&str, &str)]| problems(Client::LocalDisk, changes)[0].0;
    assert_eq!(code(&[]), Code::MissingProperty);
    let kms = [
        ("emrkeys.key.k.type", "kms"),
        ("emrkeys.key.k.kms-key-id", "alias/k"),
        ("emrkeys.local-disk.key", "k"),
    ];
    assert_eq!(code(&kms), Code::KeyNotSymmetric);
    assert_eq!(
        code(&[
            ("emrkeys.local-disk.key", "main"),
            ("emrkeys.local-disk.emr-release", "7.1")
        ]),
        Code::InvalidValue
    );
}

#[test]
fn a_key_for_disks_and_for_s3_is_a_warning() {
    let config = Config::parse(
        Client::LocalDisk,
        &settings(&[("emrkeys.local-disk.key", "main")]),
    )
    .unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    let own = [
        ("emrkeys.key.disk.type", "aes"),
        ("emrkeys.key.disk.file", "file:///keys/disk"),
        ("emrkeys.local-disk.key", "disk"),
    ];
    assert!(Config::parse(Client::LocalDisk, &settings(&own))
        .unwrap()
        .warnings
        .is_empty());
    let same_file = [&own[..], &[("emrkeys.key.disk.file", "file:///keys/main")]].concat();
    assert_eq!(
        Config::parse(Client::LocalDisk, &settings(&same_file))
            .unwrap()
            .warnings
            .len(),
        1
    );
}

#[test]
fn each_use_loads_only_the_keys_it_needs() {
    let own = [
        ("emrkeys.key.disk.type", "aes"),
        ("emrkeys.key.disk.credential", "disk.key"),
        ("emrkeys.local-disk.key", "disk"),
    ];
    let config = Config::parse(Client::LocalDisk, &settings(&own)).unwrap();
    assert_eq!(config.used_keys().collect::<Vec<_>>(), ["disk"]);
    let of_s3 = Config::parse(Client::S3, &settings(&own)).unwrap();
    assert_eq!(of_s3.used_keys().collect::<Vec<_>>(), ["main"]);
    assert_eq!(
        config.required_inputs(),
        [InputRef::Credential("disk.key".into())]
    );
    assert!(of_s3.required_inputs().is_empty());
}

proptest::proptest! {
    #[test]
    fn any_properties_are_parsed_or_refused(
        entries in proptest::collection::btree_map(
            proptest::prop_oneof![
                "emrkeys\\.(key|rule)\\.[a-c.]{0,3}\\.(type|file|prefix|key|previous|match\\.x|aliases|public)",
                "emrkeys\\.(default|legacy|local-disk)\\.key",
                "\\PC{0,12}",
            ],
            proptest::prop_oneof!["aes|rsa|kms|[a-c],[a-c]|file:///[a-c]|s3://lake/[a-c%,]{0,4}", "\\PC{0,12}"],
            0..12,
        ),
    ) {
        let _ = Config::parse(Client::S3, &entries);
        let _ = Config::parse(Client::LocalDisk, &entries);
    }
}

#[test]
fn the_jce_provider_is_installed_first_unless_told_otherwise() {
    let defaults = Config::parse(Client::S3, &settings(&[])).unwrap().jce;
    assert_eq!(defaults, JceSettings::default());
    let changed = Config::parse(
        Client::S3,
        &settings(&[
            ("emrkeys.jce.install", "last"),
            ("emrkeys.jce.release-unverified-plaintext", "never"),
            ("emrkeys.jce.max-buffered-bytes", "68719476736"),
            ("emrkeys.jce.oaep-mgf1", "both"),
            ("emrkeys.jce.stand-in-for-bc", "true"),
        ]),
    )
    .unwrap()
    .jce;
    let expected = JceSettings {
        install: JceInstall::Last,
        release: JceRelease::Never,
        max_buffered_bytes: 64 << 30,
        oaep_mgf1: JceMgf1::Both,
        stand_in_for_bc: true,
    };
    assert_eq!(changed, expected);
}

#[test]
fn a_jce_value_that_is_not_understood_is_refused() {
    for (property, value) in [
        ("emrkeys.jce.install", "FIRST"),
        ("emrkeys.jce.release-unverified-plaintext", "true"),
        ("emrkeys.jce.max-buffered-bytes", "0"),
        ("emrkeys.jce.max-buffered-bytes", "68719476737"),
        ("emrkeys.jce.max-buffered-bytes", "1g"),
        ("emrkeys.jce.oaep-mgf1", "sha512"),
        ("emrkeys.jce.stand-in-for-bc", "yes"),
    ] {
        expect(&[(property, value)], Code::InvalidValue, property);
    }
}
