//! Objects that other providers wrote, or that say nothing of their key.

use super::*;
use crate::envelope::{Content, Envelope, Format, Wrap};
use crate::key_lookup::KeyLookup;

#[test]
fn objects_of_awss_rsa_provider_are_read_and_can_be_read_by_it() {
    let fixture = Fixture::new().rsa("pair", true);
    let public = fixture.settings["emrkeys.key.pair.public"].clone();
    let private = fixture.settings["emrkeys.key.pair.private"].clone();
    let named = fixture
        .set("emrkeys.key.pair.legacy-name", "payroll")
        .set("emrkeys.default.key", "pair");
    let provider = named.open();
    assert!(provider.ask(Some(&[("rsa_name", "payroll")])).is_ok());
    assert_eq!(
        code(provider.ask(Some(&[("rsa_name", "other")]))),
        Code::KeyNotConfigured
    );
    assert_eq!(value(&provider.ask(None).unwrap(), "rsa_name"), Some("payroll"));

    let drop_in: Settings = [
        ("fs.s3.cse.rsa.public", public.as_str()),
        ("fs.s3.cse.rsa.private", private.as_str()),
        ("fs.s3.cse.rsa.name", "payroll"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let (provider, _) = open(Client::S3, &drop_in, &Inputs::new()).unwrap();
    assert!(provider.ask(Some(&[("rsa_name", "payroll")])).is_ok());
    assert_eq!(value(&provider.ask(None).unwrap(), "rsa_name"), Some("payroll"));
}

#[test]
fn objects_of_emrfss_kms_provider_belong_to_the_kms_key_of_that_id() {
    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let arn = format!("arn:aws:kms:eu-west-1:111122223333:key/{ID}");
    let provider = Fixture::new()
        .set("emrkeys.key.k.type", "kms")
        .set("emrkeys.key.k.kms-key-id", &arn)
        .set("emrkeys.default.key", "k")
        .open();
    let written = provider.ask(None).unwrap();
    assert!(matches!(&written.key, MaterialKey::Kms { key_id } if *key_id == arn));
    assert!(written.description.is_empty(), "{:?}", written.description);
    for stored in [arn.as_str(), ID] {
        let read = provider.ask(Some(&[("kms_cmk_id", stored)])).unwrap();
        assert!(matches!(&read.key, MaterialKey::Kms { key_id } if *key_id == arn));
    }
    assert_eq!(
        code(provider.ask(Some(&[("kms_cmk_id", "alias/other")]))),
        Code::KeyNotConfigured
    );
}

#[test]
fn an_object_does_not_choose_the_kms_key_that_is_called() {
    const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const OLDER: &str = "arn:aws:kms:eu-west-1:111122223333:key/0000abcd-12ab-34cd-56ef-1234567890ab";
    let foreign = ARN.replace("111122223333", "444455556666");
    let fixture = || {
        Fixture::new()
            .set("emrkeys.key.k.type", "kms")
            .set("emrkeys.key.k.kms-key-id", "alias/k")
            .set("emrkeys.key.k.match.team", "red")
            .set("emrkeys.default.key", "k")
    };
    let listed = [
        fixture().set("emrkeys.key.k.previous-kms-key-ids", OLDER),
        fixture().set("emrkeys.key.k.match.kms_cmk_id", OLDER),
    ];
    for claim in [("emrkeys.key", "k"), ("team", "red")] {
        let read = |fixture: &Fixture, id: &str| fixture.open().ask(Some(&[claim, ("kms_cmk_id", id)]));
        for other in [&*foreign, ARN, "alias/other"] {
            assert_eq!(code(read(&fixture(), other)), Code::KeyVersionUnknown, "{other}");
        }
        for fixture in &listed {
            assert_eq!(code(read(fixture, &foreign)), Code::KeyVersionUnknown);
            let read = read(fixture, OLDER).unwrap();
            assert!(matches!(read.key, MaterialKey::Kms { key_id } if key_id == OLDER));
        }
    }
    for fixture in &listed {
        assert!(fixture.open().ask(Some(&[("kms_cmk_id", OLDER)])).is_ok());
        assert_eq!(
            code(fixture.open().ask(Some(&[("kms_cmk_id", &*foreign)]))),
            Code::KeyNotConfigured
        );
    }
    let by_arn = fixture().set("emrkeys.key.k.kms-key-id", ARN);
    assert_eq!(
        code(by_arn.open().ask(Some(&[("kms_cmk_id", &*foreign)]))),
        Code::KeyNotConfigured
    );
}

#[test]
fn objects_of_home_made_providers_belong_to_the_key_that_matches() {
    let provider = two_keys()
        .set("emrkeys.key.main.match.team.key", "red")
        .set("emrkeys.key.audit.match.owner", "blue")
        .set("emrkeys.key.audit.match.keyid", "cloudhsm:1,2")
        .open();
    assert_eq!(
        symmetric(&provider.ask(Some(&[("team.key", "red"), ("x", "y")])).unwrap()),
        1
    );
    assert_eq!(
        symmetric(
            &provider
                .ask(Some(&[("owner", "blue"), ("Path", "s3://lake/x")]))
                .unwrap()
        ),
        2
    );
    assert_eq!(
        symmetric(&provider.ask(Some(&[("keyid", "cloudhsm:1,2")])).unwrap()),
        2
    );
    assert_eq!(
        code(provider.ask(Some(&[("keyid", "other")]))),
        Code::KeyNotConfigured
    );
    let both = provider.ask(Some(&[("team.key", "red"), ("owner", "blue")]));
    assert_eq!(code(both), Code::DescriptionAmbiguous);
}

#[test]
fn descriptions_that_say_nothing_need_the_legacy_key() {
    for stored in [&[][..], &[("who", "knows")]] {
        assert_eq!(
            code(two_keys().open().ask(Some(stored))),
            Code::DescriptionUnknown
        );
        let provider = two_keys().set("emrkeys.legacy.key", "audit").open();
        assert_eq!(symmetric(&provider.ask(Some(stored)).unwrap()), 2);
    }
}

#[test]
fn of_several_legacy_keys_the_wrap_chooses_one() {
    let fixture = two_keys()
        .set("emrkeys.key.k.type", "kms")
        .set("emrkeys.key.k.kms-key-id", "alias/k")
        .set("emrkeys.key.l.type", "kms")
        .set("emrkeys.key.l.kms-key-id", "alias/l");
    let both = fixture.set("emrkeys.legacy.key", "audit, l");
    let read = |wrap| {
        let provider = both.open();
        let request = Request::Read {
            stored: StoredDescription::default(),
            wrap,
            content: GCM,
            object: None,
        };
        provider.materials(request).map(Option::unwrap)
    };
    for wrap in ["AESWrap", "AES/GCM", "AES"] {
        assert_eq!(symmetric(&read(wrap).unwrap()), 2, "{wrap}");
    }
    for wrap in ["kms", "kms+context"] {
        let key = read(wrap).unwrap().key;
        assert!(
            matches!(key, MaterialKey::Kms { key_id } if key_id == "alias/l"),
            "{wrap}"
        );
    }
    assert_eq!(code(read("RSA")), Code::DescriptionUnknown);
    assert_eq!(symmetric(&both.open().ask(Some(&[("x", "y")])).unwrap()), 2);
    let same = both.set("emrkeys.legacy.key", "audit,main");
    assert_eq!(same.open_error(), Code::Conflict);
}

#[test]
fn a_call_with_null_for_a_description_gets_the_legacy_key_or_null() {
    assert!(two_keys()
        .open()
        .materials(Request::NoDescription)
        .unwrap()
        .is_none());
    let provider = two_keys().set("emrkeys.legacy.key", "audit").open();
    let materials = provider.materials(Request::NoDescription).unwrap().unwrap();
    assert_eq!(
        (symmetric(&materials), value(&materials, "emrkeys.key")),
        (2, Some("audit"))
    );
}

#[test]
fn what_a_data_key_services_provider_wrote_belongs_to_the_only_service_or_to_the_one_named() {
    const STORED: &[(&str, &str)] = &[("keyid", "cloudhsm:1,2"), ("encryptedkey", "c")];
    let service = |fixture: Fixture, name: &str| {
        fixture
            .set(&format!("emrkeys.key.{name}.type"), "data-key-service")
            .set(&format!("emrkeys.key.{name}.url"), "http://127.0.0.1:1")
            .set("emrkeys.kms.deadline", "100ms")
    };
    let ask = |fixture: Fixture| code(fixture.open().ask(Some(STORED)));
    let none = Fixture::new().aes("a", 1).set("emrkeys.default.key", "a");
    assert_eq!(ask(none), Code::KeyNotConfigured);
    // Nobody listens: that it was asked is all that counts here.
    assert_eq!(ask(service(Fixture::new(), "one")), Code::SourceUnavailable);
    let two = || service(service(Fixture::new(), "one"), "two");
    assert_eq!(ask(two()), Code::KeyNotConfigured);
    assert_eq!(
        ask(two().set("emrkeys.key.two.match.keyid", "cloudhsm:1,2")),
        Code::SourceUnavailable
    );
    assert_eq!(
        ask(two().set("emrkeys.key.two.match.keyid", "cloudhsm:3,4")),
        Code::KeyNotConfigured
    );
    // One that another key claims is that key's, even where there is but one service.
    let claimed = service(Fixture::new().aes("a", 1), "one").set("emrkeys.key.a.match.keyid", "cloudhsm:1,2");
    assert!(claimed.open().ask(Some(STORED)).is_ok());
    let cut = service(Fixture::new(), "one").open();
    assert_eq!(
        code(cut.ask(Some(&[("keyid", "cloudhsm:1,2")]))),
        Code::InvalidDescription
    );
}

#[test]
fn what_kms_wrapped_without_a_key_id_belongs_to_the_only_kms_key() {
    let one = Fixture::new()
        .set("emrkeys.key.k.type", "kms")
        .set("emrkeys.key.k.kms-key-id", "alias/k")
        .set("emrkeys.default.key", "k");
    let read = |fixture: &Fixture| {
        let (provider, _) = open(Client::S3a, &fixture.settings, &fixture.inputs).unwrap();
        provider
            .materials(Request::Read {
                stored: StoredDescription::from_iter([("aws:x-amz-cek-alg", GCM)]),
                wrap: "kms+context",
                content: GCM,
                object: None,
            })
            .map(Option::unwrap)
    };
    assert!(matches!(read(&one).unwrap().key, MaterialKey::Kms { key_id } if key_id == "alias/k"));
    let two = one
        .set("emrkeys.key.l.type", "kms")
        .set("emrkeys.key.l.kms-key-id", "alias/l");
    assert_eq!(
        open(Client::S3a, &two.settings, &two.inputs).unwrap_err().code(),
        Code::Conflict
    );
    let two = two.aes("main", 1).set("emrkeys.default.key", "main");
    assert_eq!(code(read(&two)), Code::DescriptionUnknown);
}

#[test]
fn every_description_leads_to_the_name_that_the_key_has_now() {
    let fixture = Fixture::new()
        .aes("main", 1)
        .set("emrkeys.key.main.aliases", "before")
        .set("emrkeys.key.main.match.team", "a")
        .rsa("pair", true)
        .set("emrkeys.key.pair.legacy-name", "payroll")
        .set("emrkeys.key.k.type", "kms")
        .set(
            "emrkeys.key.k.kms-key-id",
            "arn:aws:kms:eu-west-1:111122223333:key/1-2",
        )
        .set("emrkeys.key.hsm.type", "data-key-service")
        .set("emrkeys.key.hsm.url", "http://127.0.0.1:1")
        .set("emrkeys.legacy.key", "main");
    let key_lookup = KeyLookup::new(&Config::parse(Client::S3, &fixture.settings).unwrap());
    let owner = |wrap: Wrap, stored: &[(&str, &str)]| {
        key_lookup.of(&Envelope {
            format: Format::V2,
            content: Content::Gcm,
            wrap,
            wrapped_key: Vec::new(),
            nonce: Vec::new(),
            commitment: None,
            description: stored.iter().copied().collect(),
        })
    };
    let of = |wrap, stored: &[(&str, &str)]| {
        let owner = owner(wrap, stored).unwrap().unwrap();
        (owner.key, owner.named)
    };
    let named = |key: &str| (key.to_owned(), true);
    let presumed = |key: &str| (key.to_owned(), false);
    assert_eq!(of(Wrap::AesGcm, &[("emrkeys.key", "before")]), named("main"));
    assert_eq!(of(Wrap::AesGcm, &[("emrkeys.key", "gone")]), named("gone"));
    assert_eq!(of(Wrap::AesGcm, &[("team", "a")]), named("main"));
    assert_eq!(of(Wrap::RsaOaepSha1, &[("rsa_name", "payroll")]), named("pair"));
    assert_eq!(of(Wrap::AesGcm, &[("keyid", "cloudhsm:1,2")]), named("hsm"));
    assert_eq!(of(Wrap::Kms, &[("kms_cmk_id", "1-2")]), named("k"));
    assert_eq!(of(Wrap::KmsContext, &[("aws:x-amz-cek-alg", GCM)]), presumed("k"));
    assert_eq!(of(Wrap::AesGcm, &[]), presumed("main"));
    let code = |stored: &[(&str, &str)]| owner(Wrap::Kms, stored).unwrap_err().code();
    assert_eq!(code(&[("kms_cmk_id", "alias/other")]), Code::KeyNotConfigured);
    assert_eq!(code(&[("emrkeys.version", "1")]), Code::InvalidDescription);
}
