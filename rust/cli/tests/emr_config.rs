//! `emrkeys emr-config` as its binary, against the structure of Amazon's guide.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::process::{Command, Output};

use serde_json::{json, Value};

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const JAR: &str = "s3://artifacts/emrkeys.jar";
const KEYS: [&str; 10] = [
    "emrkeys.key.lake.type=keyring",
    "emrkeys.key.lake.uri=s3://keys/lake.keyring",
    "emrkeys.key.lake.kms-key-id=arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "emrkeys.key.raw.type=kms-cached",
    "emrkeys.key.raw.kms-key-id=90abcdef-12ab-34cd-56ef-1234567890ab",
    "emrkeys.rule.raw.prefix=s3://lake/raw/",
    "emrkeys.rule.raw.key=raw",
    "emrkeys.default.key=lake",
    "fs.s3.cse.materialsDescription.enabled=true",
    "unrelated=1",
];
const DISK: [&str; 3] = [
    "emrkeys.key.disk.type=aes",
    "emrkeys.key.disk.file=s3://keys/disk",
    "emrkeys.local-disk.key=disk",
];

fn run(command: &str, properties: &[&str], options: &[&str]) -> Output {
    let defines = properties.iter().flat_map(|property| ["-D", property]);
    Command::new(env!("CARGO_BIN_EXE_emrkeys"))
        .args(["emr-config", command])
        .args(defines)
        .args(options)
        .env_clear()
        .output()
        .unwrap()
}

fn printed(command: &str, properties: &[&str], options: &[&str]) -> Value {
    let output = run(command, properties, options);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Each field with the values that the guide allows: "Specify encryption options using the AWS CLI".
fn check_security_configuration(document: &Value) {
    let at_rest = &document["EncryptionConfiguration"]["AtRestEncryptionConfiguration"];
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(document), ["EncryptionConfiguration"]);
    assert!(document["EncryptionConfiguration"]["EnableAtRestEncryption"].is_boolean());
    assert!(document["EncryptionConfiguration"]["EnableInTransitEncryption"].is_boolean());
    let s3 = &at_rest["S3EncryptionConfiguration"];
    let mut expected = match s3["EncryptionMode"].as_str().unwrap() {
        "SSE-S3" => vec!["EncryptionMode"],
        "SSE-KMS" | "CSE-KMS" => vec!["AwsKmsKey", "EncryptionMode"],
        "CSE-Custom" => vec!["EncryptionKeyProviderClass", "EncryptionMode", "S3Object"],
        other => panic!("{other}"),
    };
    let mut found = fields(s3);
    found.sort();
    expected.sort_unstable();
    assert_eq!(found, expected);
    if let Some(disk) = at_rest.get("LocalDiskEncryptionConfiguration") {
        let allowed = match disk["EncryptionKeyProviderType"].as_str().unwrap() {
            "Custom" => [
                "EncryptionKeyProviderType",
                "S3Object",
                "EncryptionKeyProviderClass",
            ],
            "AwsKms" => ["EncryptionKeyProviderType", "AwsKmsKey", "EnableEbsEncryption"],
            other => panic!("{other}"),
        };
        assert!(
            fields(disk).iter().all(|field| allowed.contains(&field.as_str())),
            "{disk}"
        );
    }
}

#[test]
fn the_security_configuration_has_the_structure_of_the_guide() {
    let all: Vec<&str> = KEYS.iter().chain(&DISK).copied().collect();
    let custom = printed("security-configuration", &all, &["--jar", JAR]);
    check_security_configuration(&custom);
    let at_rest = &custom["EncryptionConfiguration"]["AtRestEncryptionConfiguration"];
    assert_eq!(at_rest["S3EncryptionConfiguration"]["S3Object"], JAR);
    assert_ne!(
        at_rest["S3EncryptionConfiguration"]["EncryptionKeyProviderClass"],
        at_rest["LocalDiskEncryptionConfiguration"]["EncryptionKeyProviderClass"]
    );
    for options in [
        &["--s3", "sse-s3"][..],
        &["--s3", "sse-kms", "--s3-kms-key", ARN],
        &[
            "--s3",
            "cse-kms",
            "--s3-kms-key",
            ARN,
            "--disk",
            "aws-kms",
            "--disk-kms-key",
            ARN,
            "--ebs",
        ],
    ] {
        check_security_configuration(&printed("security-configuration", &[], options));
    }
}

#[test]
fn what_is_missing_is_asked_for() {
    for options in [
        &[][..],
        &["--jar", "/tmp/x.jar"],
        &["--s3", "sse-kms"],
        &["--s3", "sse-s3", "--ebs"],
        &["--s3", "sse-s3", "--disk-kms-key", ARN],
        &["--jar", JAR, "--disk", "custom", "--disk-kms-key", ARN],
        &["--jar", JAR, "--s3-kms-key", ARN],
        &["--s3", "sse-s3", "--s3-kms-key", ARN],
        &["--s3", "sse-s3", "--jar", JAR],
        &["--jar", JAR, "--for", "s3a"],
    ] {
        assert_eq!(
            run("security-configuration", &KEYS, options).status.code(),
            Some(2),
            "{options:?}"
        );
    }
    let wrong = run(
        "security-configuration",
        &["emrkeys.default.key=none"],
        &["--jar", JAR],
    );
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("[UNKNOWN_KEY]"));
}

#[test]
fn the_classification_holds_what_the_client_needs_and_can_be_read_again() {
    let emrfs = printed("classification", &KEYS, &["--jar", JAR]);
    assert_eq!(emrfs[0]["Classification"], "emrfs-site");
    let properties = &emrfs[0]["Properties"];
    assert_eq!(
        properties["fs.s3.cse.encryptionMaterialsProvider"],
        "org.emrkeys.S3EncryptionMaterialsProvider"
    );
    assert_eq!(properties["emrkeys.key.raw.type"], "kms-cached");
    assert!(properties.get("unrelated").is_none());

    let s3a = printed("classification", &KEYS, &["--for", "s3a"]);
    assert_eq!(s3a[0]["Classification"], "core-site");
    let properties = &s3a[0]["Properties"];
    assert_eq!(properties["fs.s3a.encryption.algorithm"], "CSE-CUSTOM");
    assert_eq!(
        properties["fs.s3a.audit.execution.interceptors"],
        "org.emrkeys.S3AReadInterceptor"
    );
    let jar = run("classification", &KEYS, &["--for", "s3a", "--jar", JAR]);
    let document: Value = serde_json::from_slice(&jar.stdout).unwrap();
    let with_jar = &document[0]["Properties"];
    assert_eq!(with_jar["fs.s3a.cse.customKeyringProvider.uri"], JAR);
    assert_eq!(
        with_jar["fs.s3a.audit.execution.interceptors"],
        properties["fs.s3a.audit.execution.interceptors"]
    );
    assert!(String::from_utf8_lossy(&jar.stderr).contains("class path"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), s3a.to_string()).unwrap();
    let again = printed(
        "classification",
        &[],
        &["--for", "s3a", "--conf", file.path().to_str().unwrap()],
    );
    assert_eq!(again, s3a);
}

/// The levels of doctor's checks of a printed classification.
fn doctor(document: &Value, options: &[&str]) -> Vec<(String, String)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), document.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_emrkeys"))
        .args([
            "doctor",
            "--output",
            "json",
            "--conf",
            file.path().to_str().unwrap(),
        ])
        .args(options)
        .env_clear()
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = found["checks"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks
        .iter()
        .map(|check| (text(&check["check"]), text(&check["level"])))
        .collect()
}

/// A key whose opening needs nothing of AWS.
const LOCAL: [&str; 3] = [
    "emrkeys.key.a.type=aes",
    "emrkeys.key.a.file=file:///nonexistent",
    "emrkeys.default.key=a",
];
const V2: &str = "fs.s3.cse.encryptionV2.enabled";
const MODE: &str = "fs.s3.cse.cryptoMode";

#[test]
fn emrfs_is_made_to_write_authenticated_objects_and_doctor_agrees() {
    let kms = [
        "emrkeys.key.k.type=kms",
        "emrkeys.key.k.kms-key-id=0",
        "emrkeys.legacy.key=k",
    ];
    let with_kms = [&LOCAL[..], &kms].concat();
    for (properties, release, expected) in [
        (&LOCAL[..], None, (V2, "true")),
        (&LOCAL, Some("emr-6.15.0"), (V2, "true")),
        // The SDK of that release has no V2 client.
        (&LOCAL, Some("emr-6.1.0"), (MODE, "AuthenticatedEncryption")),
        // The V2 client could not read the objects under that key.
        (&with_kms, Some("emr-6.15.0"), (MODE, "AuthenticatedEncryption")),
        (
            &[&LOCAL[..], &["fs.s3.cse.encryptionV2.enabled=false"]].concat(),
            None,
            (MODE, "AuthenticatedEncryption"),
        ),
        (
            &[
                &LOCAL[..],
                &["fs.s3.cse.cryptoMode=StrictAuthenticatedEncryption"],
            ]
            .concat(),
            None,
            (MODE, "StrictAuthenticatedEncryption"),
        ),
    ] {
        let options: Vec<&str> = release
            .iter()
            .flat_map(|release| ["--release", *release])
            .collect();
        let document = printed("classification", properties, &options);
        assert_eq!(document[0]["Classification"], "emrfs-site");
        assert_eq!(
            document[0]["Properties"][expected.0], expected.1,
            "{properties:?} {release:?}"
        );
        if properties == &LOCAL[..] {
            let levels = doctor(&document, &options);
            assert!(
                levels.contains(&("emrfs.content".to_owned(), "ok".to_owned())),
                "{levels:?}"
            );
        }
    }
    let kept = run(
        "classification",
        &LOCAL,
        &["-D", "fs.s3.cse.cryptoMode=EncryptionOnly"],
    );
    let stderr = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert!(
        stderr.contains("warning: fs.s3.cse.cryptoMode=EncryptionOnly"),
        "{stderr}"
    );
    let document: Value = serde_json::from_slice(&kept.stdout).unwrap();
    assert!(document[0]["Properties"].get(V2).is_none());
}

#[test]
fn where_s3a_serves_s3_the_properties_are_those_of_s3a_and_doctor_agrees() {
    let release = ["--release", "emr-7.12.0"];
    let emrfs = [
        "fs.s3.cse.enabled=true",
        "fs.s3.cse.cryptoMode=AuthenticatedEncryption",
        "fs.s3a.encryption.cse.v1.compatibility.enabled=true",
        "fs.s3a.audit.execution.interceptors=com.example.A",
        "fs.s3a.bucket.raw.encryption.algorithm=SSE-KMS",
        "fs.s3a.bucket.raw.access.key=CANARY",
    ];
    let output = run("classification", &[&LOCAL[..], &emrfs].concat(), &release);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document.as_array().unwrap().len(), 1);
    assert_eq!(document[0]["Classification"], "core-site");
    let expected = json!({
        "emrkeys.default.key": "a",
        "emrkeys.key.a.file": "file:///nonexistent",
        "emrkeys.key.a.type": "aes",
        // Objects of the V1 client may lie there.
        "emrkeys.s3a.allow-legacy": "true",
        "fs.s3a.audit.execution.interceptors": "com.example.A,org.emrkeys.S3AReadInterceptor",
        "fs.s3a.bucket.raw.encryption.algorithm": "SSE-KMS",
        "fs.s3a.encryption.algorithm": "CSE-CUSTOM",
        "fs.s3a.encryption.cse.custom.keyring.class.name": "org.emrkeys.S3AKeyring",
        "fs.s3a.encryption.cse.v1.compatibility.enabled": "false",
        "fs.s3a.input.stream.type": "classic",
    });
    assert_eq!(document[0]["Properties"], expected);
    assert!(String::from_utf8_lossy(&output.stderr).contains("S3A serves s3://"));

    let document = printed("classification", &LOCAL, &release);
    let levels = doctor(&document, &[&release[..], &["--for", "s3a"]].concat());
    let bad = |(check, level): &&(String, String)| {
        check.starts_with("s3a.") && !["ok", "note"].contains(&level.as_str())
    };
    assert_eq!(levels.iter().find(bad), None);
    assert!(
        levels.contains(&("s3a.connector".to_owned(), "ok".to_owned())),
        "{levels:?}"
    );
    assert!(!levels.contains(&("s3a.v1-compatibility".to_owned(), "fail".to_owned())));
}

#[test]
fn emrfs_stays_in_force_where_a_property_names_it() {
    let back = "fs.s3.impl=com.amazon.ws.emr.hadoop.fs.EmrFileSystem";
    let release = ["--release", "emr-7.12.0"];
    let document = printed("classification", &[&LOCAL[..], &[back]].concat(), &release);
    let sites: Vec<&Value> = document
        .as_array()
        .unwrap()
        .iter()
        .map(|site| &site["Classification"])
        .collect();
    assert_eq!(sites, ["emrfs-site", "core-site"]);
    assert_eq!(
        document[1]["Properties"],
        json!({ "fs.s3.impl": "com.amazon.ws.emr.hadoop.fs.EmrFileSystem" })
    );
    let levels = doctor(&document, &release);
    for check in ["emrfs.connector", "emrfs.content"] {
        assert!(
            levels.contains(&(check.to_owned(), "ok".to_owned())),
            "{levels:?}"
        );
    }
}

#[test]
fn the_policy_is_that_of_the_client_of_the_release() {
    let jars = [
        &KEYS[..],
        &[
            "fs.s3.cse.encryptionMaterialsProvider.uri=s3://artifacts/emrfs.jar",
            "fs.s3a.cse.customKeyringProvider.uri=s3://artifacts/s3a.jar",
        ],
    ]
    .concat();
    for (release, jar) in [("emr-7.9.0", "emrfs"), ("emr-7.10.0", "s3a")] {
        let policy = printed("iam-policy", &jars, &["--release", release]);
        assert_eq!(
            resources(&policy, "ReadJar"),
            json!([format!("arn:aws:s3:::artifacts/{jar}.jar")])
        );
        assert_eq!(resources(&policy, "UseKeysToRead").as_array().unwrap().len(), 2);
    }
}

fn resources(policy: &Value, sid: &str) -> Value {
    let statements = policy["Statement"].as_array().unwrap();
    let found = statements.iter().find(|statement| statement["Sid"] == sid);
    found.map_or(Value::Null, |statement| statement["Resource"].clone())
}

#[test]
fn the_policy_allows_what_the_keys_need_and_nothing_else() {
    let other = "arn:aws:kms:*:*:key/90abcdef-12ab-34cd-56ef-1234567890ab";
    let expected = json!([
        { "Sid": "UseKeysToRead", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": [other, ARN] },
        { "Sid": "UseKeysToWrite", "Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": [other] },
        { "Sid": "ReadKeyMaterial", "Effect": "Allow", "Action": "s3:GetObject",
          "Resource": ["arn:aws:s3:::keys/lake.keyring"] },
    ]);
    assert_eq!(printed("iam-policy", &KEYS, &[])["Statement"], expected);
    let alias = run(
        "iam-policy",
        &KEYS,
        &["-D", "emrkeys.key.raw.kms-key-id=alias/raw"],
    );
    assert!(String::from_utf8_lossy(&alias.stderr).contains("[INVALID_VALUE]"));
    assert_eq!(alias.status.code(), Some(1));
}

#[test]
fn the_policy_lets_the_key_of_the_disks_and_the_jar_be_read() {
    let all: Vec<&str> = KEYS.iter().chain(&DISK).copied().collect();
    let policy = printed("iam-policy", &all, &["--jar", JAR]);
    assert_eq!(
        resources(&policy, "ReadKeyMaterial"),
        json!(["arn:aws:s3:::keys/disk", "arn:aws:s3:::keys/lake.keyring"])
    );
    assert_eq!(
        resources(&policy, "ReadJar"),
        json!(["arn:aws:s3:::artifacts/emrkeys.jar"])
    );
    let disk = printed("iam-policy", &all, &["--for", "local-disk"]);
    assert_eq!(disk["Statement"].as_array().unwrap().len(), 1);
    let named = [
        &KEYS[..],
        &["fs.s3.cse.encryptionMaterialsProvider.uri=s3://artifacts/a.jar"],
    ]
    .concat();
    assert_eq!(
        resources(&printed("iam-policy", &named, &[]), "ReadJar"),
        json!(["arn:aws:s3:::artifacts/a.jar"])
    );
    assert_eq!(
        run("iam-policy", &KEYS, &["--jar", "/tmp/x.jar"]).status.code(),
        Some(2)
    );
}

#[test]
fn keys_of_another_role_need_that_role_and_not_the_kms_key() {
    const ROLE: &str = "arn:aws:iam::444455556666:role/keys";
    let role = format!("emrkeys.key.lake.role-arn={ROLE}");
    let policy = printed(
        "iam-policy",
        &KEYS,
        &["-D", &role, "-D", "emrkeys.key.lake.kms-key-id=alias/lake"],
    );
    assert_eq!(resources(&policy, "AssumeRolesOfKeys"), json!([ROLE]));
    let other = "arn:aws:kms:*:*:key/90abcdef-12ab-34cd-56ef-1234567890ab";
    assert_eq!(resources(&policy, "UseKeysToRead"), json!([other]));
}

#[test]
fn the_partition_is_that_of_the_keys() {
    let arn = ARN.replace("arn:aws:", "arn:aws-cn:");
    let key = format!("emrkeys.key.lake.kms-key-id={arn}");
    let policy = printed("iam-policy", &KEYS, &["-D", &key, "--jar", JAR]).to_string();
    assert_eq!(policy.matches("arn:aws-cn:").count(), 5, "{policy}");
    assert!(!policy.contains("arn:aws:"), "{policy}");
}

#[test]
fn keys_that_need_nothing_of_aws_give_no_policy() {
    let local = [
        "emrkeys.key.a.type=aes",
        "emrkeys.key.a.file=file:///etc/emrkeys/a",
        "emrkeys.default.key=a",
    ];
    let output = run("iam-policy", &local, &[]);
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("note: "));
}
