use super::*;
use crate::inspect::finding::Level;

fn settings(entries: &[(&str, &str)]) -> Settings {
    entries
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn level(findings: &[Finding], check: &str) -> Level {
    findings
        .iter()
        .find(|found| found.check == check)
        .unwrap_or_else(|| panic!("no {check}"))
        .level
}

const EMRFS: &[(&str, &str)] = &[
    ("fs.s3.cse.enabled", "true"),
    ("fs.s3.cse.encryptionMaterialsProvider", S3_CLASS),
    ("fs.s3.cse.materialsDescription.enabled", "true"),
    ("fs.s3.cse.encryptionV2.enabled", "true"),
    ("emrkeys.key.a.type", "aes"),
    ("emrkeys.key.a.file", "file:///a"),
    ("emrkeys.default.key", "a"),
];

/// The level of `check` for EMRFS's properties with these changes; an empty value removes one.
fn of_emrfs(changes: &[(&str, &str)], check: &str) -> Level {
    let all = settings(&[EMRFS, changes].concat());
    level(&client(Client::S3, &all, Cluster::default()), check)
}

#[test]
fn emrfs_is_told_everything() {
    for check in [
        "emrfs.enabled",
        "emrfs.provider",
        "emrfs.description",
        "emrfs.storage-mode",
        "emrfs.content",
    ] {
        assert_eq!(of_emrfs(&[], check), Level::Ok, "{check}");
    }
    for (property, value, check, expected) in [
        ("fs.s3.cse.enabled", "false", "emrfs.enabled", Level::Failure),
        ("fs.s3.cse.enabled", "", "emrfs.enabled", Level::Warning),
        (
            "fs.s3.cse.encryptionMaterialsProvider",
            DISK_CLASS,
            "emrfs.provider",
            Level::Failure,
        ),
        (
            "fs.s3.cse.encryptionMaterialsProvider",
            "org.emrkeys.Typo",
            "emrfs.provider",
            Level::Failure,
        ),
        (
            "fs.s3.cse.encryptionMaterialsProvider",
            "",
            "emrfs.provider",
            Level::Warning,
        ),
        (
            "fs.s3.cse.materialsDescription.enabled",
            "false",
            "emrfs.description",
            Level::Note,
        ),
        (
            "fs.s3.cse.cryptoStorageMode",
            "InstructionFile",
            "emrfs.storage-mode",
            Level::Note,
        ),
        (
            "fs.s3.cse.cryptoStorageMode",
            "Nowhere",
            "emrfs.storage-mode",
            Level::Failure,
        ),
        (
            "fs.s3.cse.encryptionV2.enabled",
            "false",
            "emrfs.content",
            Level::Warning,
        ),
    ] {
        assert_eq!(
            of_emrfs(&[(property, value)], check),
            expected,
            "{property}={value}"
        );
    }
    let second = [
        ("emrkeys.key.k.type", "kms"),
        ("emrkeys.key.k.kms-key-id", "alias/k"),
    ];
    assert_eq!(of_emrfs(&second, "emrfs.v2"), Level::Warning);
}

#[test]
fn s3a_is_told_everything() {
    let good = [
        ("fs.s3a.encryption.algorithm", "CSE-CUSTOM"),
        ("fs.s3a.encryption.cse.custom.keyring.class.name", S3A_CLASS),
        ("fs.s3a.input.stream.type", "classic"),
        (
            "fs.s3a.audit.execution.interceptors",
            "a.B, org.emrkeys.S3AReadInterceptor",
        ),
    ];
    let of = |changes: &[(&str, &str)], check: &str| {
        let all = settings(&[&good[..], changes].concat());
        level(&client(Client::S3a, &all, Cluster::default()), check)
    };
    for check in [
        "s3a.algorithm",
        "s3a.keyring",
        "s3a.v1-compatibility",
        "s3a.input-stream",
        "s3a.interceptor",
    ] {
        assert_eq!(of(&[], check), Level::Ok, "{check}");
    }
    assert_eq!(of(&[], "s3a.limits"), Level::Note);
    for (property, value, check, expected) in [
        (
            "fs.s3a.encryption.algorithm",
            "CSE-KMS",
            "s3a.algorithm",
            Level::Failure,
        ),
        ("fs.s3a.encryption.algorithm", "", "s3a.algorithm", Level::Failure),
        (
            "fs.s3a.encryption.cse.custom.keyring.class.name",
            S3_CLASS,
            "s3a.keyring",
            Level::Failure,
        ),
        (
            "fs.s3a.encryption.cse.custom.keyring.class.name",
            "",
            "s3a.keyring",
            Level::Failure,
        ),
        (
            "fs.s3a.encryption.cse.v1.compatibility.enabled",
            "true",
            "s3a.v1-compatibility",
            Level::Failure,
        ),
        ("fs.s3a.input.stream.type", "", "s3a.input-stream", Level::Warning),
        (
            "fs.s3a.input.stream.type",
            "analytics",
            "s3a.input-stream",
            Level::Failure,
        ),
        (
            "fs.s3a.audit.execution.interceptors",
            "a.B",
            "s3a.interceptor",
            Level::Warning,
        ),
        ("fs.s3a.committer.name", "magic", "s3a.committer", Level::Note),
    ] {
        assert_eq!(of(&[(property, value)], check), expected, "{property}={value}");
    }
}

#[test]
fn the_release_decides_which_properties_are_read() {
    let on = |release, usage, entries: &[(&str, &str)], check: &str| {
        let cluster = Cluster {
            release: Some(release),
            secured: false,
        };
        level(&client(usage, &settings(entries), cluster), check)
    };
    let (old, new) = ((7, 9), (7, 10));
    assert_eq!(on(old, Client::S3, EMRFS, "emrfs.connector"), Level::Ok);
    assert_eq!(on(new, Client::S3, EMRFS, "emrfs.connector"), Level::Failure);
    let s3a = [("fs.s3a.encryption.algorithm", "CSE-CUSTOM")];
    assert_eq!(on(new, Client::S3a, &s3a, "s3a.connector"), Level::Ok);
    assert_eq!(on(old, Client::S3a, &s3a, "s3a.connector"), Level::Warning);
    // EMR's default is not Hadoop's.
    assert_eq!(on(new, Client::S3a, &s3a, "s3a.v1-compatibility"), Level::Failure);
    let off = [
        s3a[0],
        ("fs.s3a.encryption.cse.v1.compatibility.enabled", "false"),
    ];
    assert_eq!(on(new, Client::S3a, &off, "s3a.v1-compatibility"), Level::Ok);
}

const SECURED: Cluster = Cluster {
    release: None,
    secured: true,
};

#[test]
fn a_security_configuration_wins_over_what_turns_emrfs_on() {
    for site in [
        settings(&[]),
        settings(&[
            ("fs.s3.cse.enabled", "false"),
            ("fs.s3.cse.encryptionMaterialsProvider", "org.emrkeys.Typo"),
        ]),
    ] {
        let findings = emrfs(&site, None, SECURED);
        assert_eq!(level(&findings, "emrfs.enabled"), Level::Ok);
        assert_eq!(level(&findings, "emrfs.provider"), Level::Ok);
    }
    let other = settings(&[("fs.s3.cse.cryptoStorageMode", "Nowhere")]);
    assert_eq!(
        level(&emrfs(&other, None, SECURED), "emrfs.storage-mode"),
        Level::Failure
    );
}

/// The levels of `check`, each with its property.
fn of_buckets(entries: &[(&str, &str)], check: &str) -> Vec<(Level, String)> {
    client(Client::S3a, &settings(entries), Cluster::default())
        .into_iter()
        .filter(|found| found.check == check)
        .map(|found| {
            let name = found.message.split([' ', '=']).next().unwrap().to_owned();
            (found.level, name)
        })
        .collect()
}

#[test]
fn what_a_bucket_has_of_its_own_is_told_beside_what_all_have() {
    let all = [
        ("fs.s3a.encryption.algorithm", "CSE-CUSTOM"),
        ("fs.s3a.encryption.cse.custom.keyring.class.name", S3A_CLASS),
        ("fs.s3a.input.stream.type", "classic"),
    ];
    let ok = |option: &str| (Level::Ok, format!("fs.s3a.{option}"));
    for (property, value, check, option, level) in [
        (
            "fs.s3a.bucket.lake.encryption.algorithm",
            "SSE-S3",
            "s3a.algorithm",
            ALGORITHM,
            Level::Failure,
        ),
        (
            "fs.s3a.bucket.lake.encryption.algorithm",
            "",
            "s3a.algorithm",
            ALGORITHM,
            Level::Failure,
        ),
        (
            "fs.s3a.bucket.lake.server-side-encryption-algorithm",
            "SSE-KMS",
            "s3a.algorithm",
            ALGORITHM,
            Level::Failure,
        ),
        (
            "fs.s3a.bucket.a.b.c.encryption.algorithm",
            "CSE-CUSTOM",
            "s3a.algorithm",
            ALGORITHM,
            Level::Ok,
        ),
        (
            "fs.s3a.bucket.lake.input.stream.type",
            "analytics",
            "s3a.input-stream",
            "input.stream.type",
            Level::Failure,
        ),
        (
            "fs.s3a.bucket.lake.encryption.cse.custom.keyring.class.name",
            S3_CLASS,
            "s3a.keyring",
            S3A[1].0,
            Level::Failure,
        ),
    ] {
        let found = of_buckets(&[&all[..], &[(property, value)]].concat(), check);
        assert_eq!(
            found,
            [ok(option), (level, property.to_owned())],
            "{property}={value}"
        );
    }
    // Options that no check looks at, and names without a bucket.
    for property in [
        "fs.s3a.bucket.lake.endpoint",
        "fs.s3a.bucket.encryption.algorithm",
    ] {
        let found = of_buckets(&[&all[..], &[(property, "x")]].concat(), "s3a.algorithm");
        assert_eq!(found, [ok(ALGORITHM)], "{property}");
    }
}

#[test]
fn where_single_buckets_ask_the_keyring_they_alone_are_checked() {
    let site = [
        ("fs.s3a.encryption.algorithm", "SSE-KMS"),
        ("fs.s3a.bucket.lake.encryption.algorithm", "CSE-CUSTOM"),
        ("fs.s3a.bucket.pond.encryption.algorithm", "CSE-CUSTOM"),
        (
            "fs.s3a.bucket.pond.encryption.cse.custom.keyring.class.name",
            S3A_CLASS,
        ),
        ("fs.s3a.bucket.logs.encryption.algorithm", "SSE-S3"),
    ];
    let name = |level, name: &str| (level, name.to_owned());
    assert_eq!(
        of_buckets(&site, "s3a.algorithm"),
        [
            name(Level::Note, "fs.s3a.encryption.algorithm"),
            name(Level::Ok, "fs.s3a.bucket.lake.encryption.algorithm"),
            name(Level::Ok, "fs.s3a.bucket.pond.encryption.algorithm"),
        ]
    );
    assert_eq!(
        of_buckets(&site, "s3a.keyring"),
        [
            name(Level::Failure, "fs.s3a.encryption.cse.custom.keyring.class.name"),
            name(
                Level::Ok,
                "fs.s3a.bucket.pond.encryption.cse.custom.keyring.class.name"
            ),
        ]
    );
    // Said once, though it is so for both.
    assert_eq!(of_buckets(&site, "s3a.interceptor").len(), 1);
    assert_eq!(of_buckets(&site, "s3a.limits").len(), 1);
    assert!(of_buckets(&[("fs.s3a.encryption.algorithm", "SSE-KMS")], "s3a.limits").is_empty());
}

#[test]
fn the_older_name_of_the_algorithm_counts_where_the_newer_is_not_set() {
    let older = ("fs.s3a.server-side-encryption-algorithm", "CSE-CUSTOM");
    let found = of_buckets(&[older], "s3a.algorithm");
    assert_eq!(found, [(Level::Ok, older.0.to_owned())]);
    let newer = ("fs.s3a.encryption.algorithm", "SSE-S3");
    let found = of_buckets(&[older, newer], "s3a.algorithm");
    assert_eq!(found, [(Level::Failure, newer.0.to_owned())]);
}

#[test]
fn the_factory_that_reads_needs_no_keyring_and_no_client_side_encryption() {
    let factory = (
        "fs.s3a.s3.client.factory.impl",
        "org.emrkeys.S3AReadClientFactory",
    );
    let levels = |entries: &[(&str, &str)]| -> Vec<(&'static str, Level)> {
        let found = client(Client::S3a, &settings(entries), Cluster::default());
        found
            .into_iter()
            .map(|found| (found.check, found.level))
            .collect()
    };
    let alone = levels(&[factory, ("fs.s3a.input.stream.type", "classic")]);
    assert_eq!(
        alone,
        [("s3a.input-stream", Level::Ok), ("s3a.read-factory", Level::Note)]
    );
    let beside = levels(&[factory, ("fs.s3a.encryption.algorithm", "CSE-CUSTOM")]);
    assert!(
        beside.contains(&("s3a.read-factory", Level::Failure)),
        "{beside:?}"
    );
    let one = [
        (
            "fs.s3a.bucket.old.s3.client.factory.impl",
            "org.emrkeys.S3AReadClientFactory",
        ),
        ("fs.s3a.input.stream.type", "analytics"),
    ];
    let levels_of_one = levels(&one);
    assert!(
        levels_of_one.contains(&("s3a.input-stream", Level::Failure)),
        "{levels_of_one:?}"
    );
    assert!(
        levels_of_one.contains(&("s3a.algorithm", Level::Note)),
        "{levels_of_one:?}"
    );
    let all = [
        ("fs.s3a.encryption.algorithm", "CSE-CUSTOM"),
        ("fs.s3a.bucket.old.encryption.algorithm", ""),
        (
            "fs.s3a.bucket.old.s3.client.factory.impl",
            "org.emrkeys.S3AReadClientFactory",
        ),
    ];
    let of_one = levels(&all);
    assert!(of_one.contains(&("s3a.read-factory", Level::Note)), "{of_one:?}");
    let bad = of_one
        .iter()
        .filter(|(check, level)| *check == "s3a.algorithm" && *level == Level::Failure);
    assert_eq!(bad.count(), 0, "{of_one:?}");
}
