//! The properties of each type of key.

use super::*;

#[test]
fn keys_need_what_their_type_needs_and_nothing_else() {
    expect(
        &[("emrkeys.key.b.file", "file:///b")],
        Code::MissingProperty,
        "emrkeys.key.b.type",
    );
    expect(
        &[("emrkeys.key.b.type", "aes")],
        Code::MissingProperty,
        "emrkeys.key.b.file",
    );
    expect(
        &[("emrkeys.key.b.type", "rsa")],
        Code::MissingProperty,
        "emrkeys.key.b.public",
    );
    expect(
        &[("emrkeys.key.b.type", "kms")],
        Code::MissingProperty,
        "emrkeys.key.b.kms-key-id",
    );
    expect(
        &[("emrkeys.key.main.public", "file:///b")],
        Code::Conflict,
        "emrkeys.key.main.public",
    );
    expect(
        &[("emrkeys.key.main.credential", "b")],
        Code::Conflict,
        "emrkeys.key.main.credential",
    );
    expect(
        &[("emrkeys.key.main.encoding", "utf-8")],
        Code::InvalidValue,
        "emrkeys.key.main.encoding",
    );
    expect(
        &[("emrkeys.key.main.file", "/b")],
        Code::InvalidUri,
        "emrkeys.key.main.file",
    );
}

#[test]
fn kms_keys_that_v2_could_not_read_back_are_refused() {
    let key = [
        ("emrkeys.key.k.type", "kms"),
        ("emrkeys.key.k.kms-key-id", "alias/k"),
        (V2_ENABLED, "true"),
    ];
    let rule = [
        &key[..],
        &[
            ("emrkeys.rule.r.prefix", "s3://lake/"),
            ("emrkeys.rule.r.key", "k"),
        ],
    ]
    .concat();
    expect(&rule, Code::KmsWithV2, "emrkeys.rule.r.key");
    Config::parse(
        Client::S3,
        &settings(&[&rule[..], &[(V2_ENABLED, "false")]].concat()),
    )
    .unwrap();

    let default = [&key[..], &[("emrkeys.default.key", "k")]].concat();
    expect(&default, Code::KmsWithV2, "emrkeys.default.key");
    Config::parse(
        Client::S3,
        &settings(&[&default[..], &[(DESCRIPTION_ENABLED, "false")]].concat()),
    )
    .unwrap();
}

#[test]
fn kms_keys_are_named_in_the_forms_of_kms() {
    let key = |id| [("emrkeys.key.k.type", "kms"), ("emrkeys.key.k.kms-key-id", id)];
    for id in [
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "mrk-1234abcd12ab34cd56ef1234567890ab",
        "alias/a/b",
        "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-cn:kms:cn-north-1:111122223333:alias/a",
    ] {
        Config::parse(Client::S3, &settings(&key(id))).unwrap();
    }
    for id in [
        "alias/",
        "a b",
        "arn:aws:s3:::bucket",
        "arn:aws:kms:::key/1",
        "arn:aws:kms:eu-west-1:1:grant/1",
    ] {
        expect(&key(id), Code::InvalidValue, "emrkeys.key.k.kms-key-id");
    }
}

#[test]
fn older_versions_are_followed_to_the_end_and_never_in_a_circle() {
    fn aes(properties: &[[String; 3]]) -> Vec<(&str, &str)> {
        properties
            .iter()
            .flat_map(|[of_type, file, _]| [(of_type.as_str(), "aes"), (file.as_str(), "file:///k")])
            .collect()
    }
    let names: Vec<[String; 3]> = ["b", "c", "d"]
        .map(|n| ["type", "file", "previous"].map(|field| format!("emrkeys.key.{n}.{field}")))
        .to_vec();
    let mut keys = aes(&names);
    keys.extend([
        ("emrkeys.key.main.previous", "b,c"),
        ("emrkeys.key.c.previous", "d"),
    ]);
    let config = Config::parse(Client::S3, &settings(&keys)).unwrap();
    assert_eq!(config.keys["main"].previous, ["b", "c", "d"]);

    keys.push(("emrkeys.key.d.previous", "main"));
    let found = problems(Client::S3, &keys);
    assert!(
        !found.is_empty() && found.iter().all(|(code, _)| *code == Code::Cycle),
        "{found:?}"
    );
    expect(
        &[("emrkeys.key.main.previous", "main")],
        Code::Cycle,
        "emrkeys.key.main.previous",
    );
}

#[test]
fn versions_of_one_key_are_of_one_type() {
    expect(
        &[
            ("emrkeys.key.k.type", "kms"),
            ("emrkeys.key.k.kms-key-id", "alias/k"),
            ("emrkeys.key.main.previous", "k"),
        ],
        Code::Conflict,
        "emrkeys.key.main.previous",
    );
}

#[test]
fn no_object_may_belong_to_two_keys() {
    let with = |more: &[(&'static str, &'static str)]| {
        let b = [("emrkeys.key.b.type", "aes"), ("emrkeys.key.b.file", "file:///b")];
        problem(&[&b, more].concat())
    };
    assert_eq!(with(&[("emrkeys.key.b.aliases", "main")]).0, Code::Conflict);
    assert_eq!(
        with(&[
            ("emrkeys.key.b.aliases", "old"),
            ("emrkeys.key.main.aliases", "old")
        ])
        .0,
        Code::Conflict
    );
    assert_eq!(
        with(&[("emrkeys.key.b.match.k", "1"), ("emrkeys.key.main.match.k", "1")]).0,
        Code::Conflict
    );
    assert_eq!(
        with(&[("emrkeys.key.b.match.emrkeys.key", "1")]).0,
        Code::InvalidValue
    );
    assert_eq!(with(&[("emrkeys.key.b.match.path", "1")]).0, Code::InvalidValue);
}

#[test]
fn a_keyring_needs_a_place_and_a_protector() {
    let base = [
        ("emrkeys.key.lake.type", "keyring"),
        ("emrkeys.key.lake.uri", "s3://keys/lake.keyring"),
        (
            "emrkeys.key.lake.kms-key-id",
            "arn:aws:kms:eu-west-1:1:key/a, arn:aws:kms:eu-west-1:1:key/b",
        ),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&base[..], more].concat();
    let config = Config::parse(Client::S3, &settings(&base)).unwrap();
    let KeyKind::Keyring(keyring) = &config.keys["lake"].kind else {
        panic!("{:?}", config.keys["lake"]);
    };
    assert_eq!(keyring.kms.len(), 2);
    assert_eq!(keyring.min_generation, 1);
    assert_eq!(config.keyring_max_age, Duration::from_secs(300));

    let own = |field: &str| format!("emrkeys.key.lake.{field}");
    expect(&[base[0], base[2]], Code::MissingProperty, &own("uri"));
    expect(&base[..2], Code::MissingProperty, &own("kms-key-id"));
    for (property, value, code) in [
        ("emrkeys.key.lake.uri", "lake.keyring", Code::InvalidUri),
        (
            "emrkeys.key.lake.kms-key-id",
            "alias/a, alias/b",
            Code::InvalidValue,
        ),
        ("emrkeys.key.lake.protector-key", "nobody", Code::UnknownKey),
        ("emrkeys.key.lake.protector-key", "lake", Code::Conflict),
        ("emrkeys.key.lake.protector-file", "master.key", Code::InvalidUri),
        ("emrkeys.key.lake.min-generation", "0", Code::InvalidValue),
        ("emrkeys.key.lake.min-generation", "many", Code::InvalidValue),
        ("emrkeys.key.lake.external-id", "x", Code::Conflict),
        ("emrkeys.key.lake.previous", "main", Code::Conflict),
        ("emrkeys.keyring.max-age", "1ms", Code::InvalidValue),
    ] {
        let found = problems(Client::S3, &with(&[(property, value)]));
        assert_eq!(found[0], (code, property.to_owned()), "{value}");
    }
}

#[test]
fn what_a_keyring_is_made_of_is_opened_with_it() {
    let config = Config::parse(
        Client::S3,
        &settings(&[
            ("emrkeys.key.lake.type", "keyring"),
            ("emrkeys.key.lake.uri", "hdfs:///keys/lake.keyring"),
            ("emrkeys.key.lake.protector-file", "hdfs:///keys/master"),
            ("emrkeys.key.lake.protector-key", "disk"),
            ("emrkeys.key.disk.type", "aes"),
            ("emrkeys.key.disk.credential", "disk.key"),
            ("emrkeys.local-disk.key", "disk"),
        ]),
    )
    .unwrap();
    let expected = [
        InputRef::Uri("hdfs:///keys/lake.keyring".into()),
        InputRef::Uri("hdfs:///keys/master".into()),
        InputRef::Credential("disk.key".into()),
    ];
    assert_eq!(config.required_inputs(), expected);
}

#[test]
fn a_data_key_service_has_an_address_and_someone_who_asks() {
    let service = |changes: &[(&str, &str)]| {
        let mut all = vec![
            ("emrkeys.key.s.type", "data-key-service"),
            ("emrkeys.key.s.url", "https://dks.example.org/"),
            ("emrkeys.key.s.identity", "hdfs:///keys/client.p12"),
            ("emrkeys.key.s.trust", "s3://keys/ca.pem"),
            ("emrkeys.key.s.password-credential", "password"),
        ];
        all.extend_from_slice(changes);
        Config::parse(Client::S3, &settings(&all))
    };
    let inputs = service(&[]).unwrap().required_inputs();
    assert_eq!(
        inputs,
        [
            InputRef::Uri("hdfs:///keys/client.p12".to_owned()),
            InputRef::Credential("password".to_owned())
        ]
    );
    let http = [
        ("emrkeys.key.s.url", "http://localhost:8080"),
        ("emrkeys.key.s.identity", ""),
        ("emrkeys.key.s.trust", ""),
    ];
    service(&http).unwrap();
    for (changes, code, property) in [
        (vec![("emrkeys.key.s.url", "")], Code::MissingProperty, "url"),
        (vec![("emrkeys.key.s.url", "http://dks")], Code::InvalidUri, "url"),
        (
            vec![("emrkeys.key.s.url", "https://u:CANARY@dks")],
            Code::InvalidUri,
            "url",
        ),
        (
            vec![("emrkeys.key.s.identity", "")],
            Code::MissingProperty,
            "identity",
        ),
        (
            vec![("emrkeys.key.s.identity", "client.p12")],
            Code::InvalidUri,
            "identity",
        ),
        (vec![http[0], http[1]], Code::Conflict, "trust"),
        (
            vec![("emrkeys.key.s.previous", "main")],
            Code::Conflict,
            "previous",
        ),
    ] {
        let error = service(&changes).unwrap_err();
        let problem = error.problems().next().unwrap();
        assert_eq!(problem.code, code, "{error}");
        assert_eq!(
            problem.property,
            Some(format!("emrkeys.key.s.{property}")),
            "{error}"
        );
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
}
