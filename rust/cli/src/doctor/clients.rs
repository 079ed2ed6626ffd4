//! What EMRFS, S3A and EMR have to be told, beside keys and rules. Pure: properties in, findings out.
//!
//! Sources: Amazon EMR Management Guide, "Encryption options" and "Specifying Amazon S3 client-side encryption using a custom
//! provider"; docs/s3a.md for what was measured with Hadoop.

use emrkeys_core::{Outline, Settings};
use serde_json::Value;

use super::report::Findings;
use crate::emr_config::{DISK_CLASS, S3A_CLASS, S3A_INTERCEPTOR, S3_CLASS};

fn get<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    settings
        .get(name)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
}

fn is_true(settings: &Settings, name: &str) -> bool {
    get(settings, name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// EMRFS's own properties. `outline` is absent where the configuration is not valid.
pub(super) fn emrfs(settings: &Settings, outline: Option<&Outline>, findings: &mut Findings) {
    const ENABLED: &str = "fs.s3.cse.enabled";
    const PROVIDER: &str = "fs.s3.cse.encryptionMaterialsProvider";
    const STORAGE: &str = "fs.s3.cse.cryptoStorageMode";
    const DESCRIPTION: &str = "fs.s3.cse.materialsDescription.enabled";
    const V2: &str = "fs.s3.cse.encryptionV2.enabled";

    match get(settings, ENABLED) {
        Some(value) if value.eq_ignore_ascii_case("true") => {
            findings.ok("emrfs.enabled", format!("{ENABLED}=true"));
        }
        Some(value) => findings.fail(
            "emrfs.enabled",
            format!("{ENABLED}={value}: EMRFS writes plaintext"),
            format!("Set {ENABLED}=true."),
        ),
        None => findings.warn(
            "emrfs.enabled",
            format!("{ENABLED} is not set: EMRFS writes plaintext, unless a security configuration sets it on the cluster"),
            format!("Set {ENABLED}=true, or check the files of a node of the cluster."),
        ),
    }
    class(PROVIDER, S3_CLASS, "emrfs.provider", settings, findings);
    let rules = outline.is_some_and(|outline| !outline.rules.is_empty());
    match (is_true(settings, DESCRIPTION), rules) {
        (true, _) => findings.ok(
            "emrfs.description",
            format!("{DESCRIPTION}=true: rules by prefix see locations"),
        ),
        // With rules, the core refuses the configuration.
        (false, true) => {}
        (false, false) => findings.note(
            "emrfs.description",
            format!("{DESCRIPTION} is not true: rules by prefix would need it; there are none"),
        ),
    }
    match get(settings, STORAGE) {
        None | Some("ObjectMetadata") => findings.ok("emrfs.storage-mode", "envelopes are in the metadata of objects"),
        Some("InstructionFile") => findings.note(
            "emrfs.storage-mode",
            format!("{STORAGE}=InstructionFile: each object has a second one, NAME.instruction, that copies and lifecycle rules have to take along"),
        ),
        Some(other) => findings.fail(
            "emrfs.storage-mode",
            format!("{STORAGE}={other} is not a mode"),
            format!("Set {STORAGE}=ObjectMetadata, or remove it."),
        ),
    }
    let kms: Vec<&str> = outline
        .iter()
        .flat_map(|outline| &outline.keys)
        .filter(|key| key.used && key.key_type == "kms")
        .map(|key| key.name.as_str())
        .collect();
    let default = outline.and_then(|outline| outline.default_key.as_deref());
    let others: Vec<&str> = kms
        .iter()
        .copied()
        .filter(|name| Some(*name) != default)
        .collect();
    match (is_true(settings, V2), others.as_slice()) {
        (true, []) => findings.ok("emrfs.v2", format!("{V2}=true")),
        // What is written the core refuses; this is about what was.
        (true, others) => findings.warn(
            "emrfs.v2",
            format!("{V2}=true, and {} of type kms is not the default key: the V2 client asks KMS to open every object of a kms key under the default key", others.join(", ")),
            format!("Use type kms-cached or keyring for what is written, or set {V2}=false to read what was written under kms keys."),
        ),
        (false, _) => findings.note("emrfs.v2", format!("{V2} is not true: EMRFS uses the older V1 client")),
    }
}

/// S3A's properties.
pub(super) fn s3a(settings: &Settings, findings: &mut Findings) {
    const ALGORITHM: &str = "fs.s3a.encryption.algorithm";
    const KEYRING: &str = "fs.s3a.encryption.cse.custom.keyring.class.name";
    const V1: &str = "fs.s3a.encryption.cse.v1.compatibility.enabled";
    const STREAM: &str = "fs.s3a.input.stream.type";
    const COMMITTER: &str = "fs.s3a.committer.name";
    const INTERCEPTORS: &str = "fs.s3a.audit.execution.interceptors";

    match get(settings, ALGORITHM) {
        Some("CSE-CUSTOM") => findings.ok("s3a.algorithm", format!("{ALGORITHM}=CSE-CUSTOM")),
        other => findings.fail(
            "s3a.algorithm",
            format!(
                "{ALGORITHM} is {}: S3A asks no keyring",
                other.unwrap_or("not set")
            ),
            format!("Set {ALGORITHM}=CSE-CUSTOM."),
        ),
    }
    class(KEYRING, S3A_CLASS, "s3a.keyring", settings, findings);
    if is_true(settings, V1) {
        findings.fail(
            "s3a.v1-compatibility",
            format!("{V1}=true: S3A then hands out the ciphertext of objects in AES-CBC as it is, and asks no keyring about them"),
            "Remove it: objects in AES-GCM need no such switch. Older wraps are allowed by emrkeys.s3a.allow-legacy=true.",
        );
    } else {
        findings.ok("s3a.v1-compatibility", format!("{V1} is off"));
    }
    match get(settings, STREAM) {
        Some("classic") => findings.ok("s3a.input-stream", format!("{STREAM}=classic")),
        Some("analytics") => findings.fail(
            "s3a.input-stream",
            format!("{STREAM}=analytics: it takes the length of the ciphertext for that of the content"),
            format!("Set {STREAM}=classic."),
        ),
        other => findings.warn(
            "s3a.input-stream",
            format!("{STREAM} is {}; the default of Hadoop 3.4.3, analytics, takes the length of the ciphertext for that of the content", other.unwrap_or("not set")),
            format!("Set {STREAM}=classic where Hadoop is 3.4.3 or newer."),
        ),
    }
    let interceptors = get(settings, INTERCEPTORS).unwrap_or_default();
    if interceptors
        .split(',')
        .any(|class| class.trim() == S3A_INTERCEPTOR)
    {
        findings.ok("s3a.interceptor", format!("{INTERCEPTORS}={S3A_INTERCEPTOR}"));
    } else {
        findings.warn(
            "s3a.interceptor",
            format!("{INTERCEPTORS} has no {S3A_INTERCEPTOR}: now and then the S3 Encryption Client takes the first bytes of an answer for the end of the file"),
            format!("Set {INTERCEPTORS}={S3A_INTERCEPTOR}, after a comma where it has a value already."),
        );
    }
    match get(settings, COMMITTER) {
        Some("magic") => findings.note(
            "s3a.committer",
            "the magic committer: no renames; keep Spark's speculation off with it",
        ),
        other => findings.note(
            "s3a.committer",
            format!("committer {}: a rename keeps the key of its source, for which rules see the folder that is committed to", other.unwrap_or("of the job's choice")),
        ),
    }
}

/// A property that has to name a class of ours.
fn class(property: &str, wanted: &str, check: &'static str, settings: &Settings, findings: &mut Findings) {
    match get(settings, property) {
        Some(name) if name == wanted => findings.ok(check, format!("{property}={wanted}")),
        Some(name) => findings.fail(
            check,
            format!("{property}={name}{}", whose(name)),
            format!("Set {property}={wanted}."),
        ),
        None if property.starts_with("fs.s3a.") => {
            findings.fail(
                check,
                format!("{property} is not set"),
                format!("Set {property}={wanted}."),
            );
        }
        None => findings.warn(
            check,
            format!("{property} is not set; a security configuration may set it on the cluster"),
            format!("Set {property}={wanted}, or check with --security-configuration FILE."),
        ),
    }
}

fn whose(class: &str) -> &'static str {
    match class {
        S3_CLASS => ", the class for objects of EMRFS",
        S3A_CLASS => ", the class for S3A",
        DISK_CLASS => ", the class for local disks",
        _ => "",
    }
}

/// EMR's security configuration: classes, and the KMS keys that EMR itself uses; those of local disks come back.
/// Source: Amazon EMR Management Guide, "Configure security configuration … JSON".
pub(super) fn security_configuration(text: &str, findings: &mut Findings) -> Vec<String> {
    let check = "security-configuration";
    let document: Value = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            findings.fail(
                check,
                format!("it is not JSON: {error}"),
                "Name the file that aws emr create-security-configuration got.",
            );
            return Vec::new();
        }
    };
    let encryption = &document["EncryptionConfiguration"];
    let at_rest = &encryption["AtRestEncryptionConfiguration"];
    if encryption["EnableAtRestEncryption"] != Value::Bool(true) || !at_rest.is_object() {
        findings.fail(
            check,
            "encryption at rest is not enabled in it",
            "Set EnableAtRestEncryption to true; emrkeys emr-config security prints a configuration.",
        );
        return Vec::new();
    }
    let (s3, disk) = (
        &at_rest["S3EncryptionConfiguration"],
        &at_rest["LocalDiskEncryptionConfiguration"],
    );
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let s3_class = text(&s3["EncryptionKeyProviderClass"]);
    let disk_class = text(&disk["EncryptionKeyProviderClass"]);
    match s3["EncryptionMode"].as_str() {
        Some("CSE-Custom") if s3_class.as_deref() == Some(S3_CLASS) => {
            findings.ok("security-configuration.s3", format!("CSE-Custom with {S3_CLASS}"));
        }
        Some("CSE-Custom") => findings.fail(
            "security-configuration.s3",
            format!(
                "the class for S3 is {}{}",
                s3_class.as_deref().unwrap_or("not set"),
                s3_class.as_deref().map_or("", whose)
            ),
            format!("Set S3EncryptionConfiguration.EncryptionKeyProviderClass to {S3_CLASS}."),
        ),
        mode => findings.warn(
            "security-configuration.s3",
            format!(
                "the mode for S3 is {}: EMRFS asks no provider of ours",
                mode.unwrap_or("not set")
            ),
            "Set EncryptionMode to CSE-Custom where emrkeys is to give the keys.",
        ),
    }
    match disk["EncryptionKeyProviderType"].as_str() {
        Some("Custom") if disk_class.as_deref() == Some(DISK_CLASS) => {
            findings.ok("security-configuration.disk", format!("Custom with {DISK_CLASS}"));
        }
        Some("Custom") => findings.fail(
            "security-configuration.disk",
            format!("the class for local disks is {}{}", disk_class.as_deref().unwrap_or("not set"), disk_class.as_deref().map_or("", whose)),
            format!("Set LocalDiskEncryptionConfiguration.EncryptionKeyProviderClass to {DISK_CLASS}; it is not that for S3."),
        ),
        Some("AwsKms") => findings.ok("security-configuration.disk", "AwsKms"),
        _ => findings.warn(
            "security-configuration.disk",
            "local disks are not encrypted by it",
            "Add a LocalDiskEncryptionConfiguration.",
        ),
    }
    disk["AwsKmsKey"]
        .as_str()
        .map(str::to_owned)
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;
    use emrkeys_core::{outline, Usage};
    use serde_json::json;

    fn settings(entries: &[(&str, &str)]) -> Settings {
        entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn level(findings: &Findings, check: &str) -> Level {
        findings
            .0
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

    /// What `check` says of EMRFS's properties with these changes; an empty value removes one.
    fn of_emrfs(changes: &[(&str, &str)], check: &str) -> Level {
        let all = settings(&[EMRFS, changes].concat());
        let mut findings = Findings::default();
        emrfs(&all, outline(Usage::S3, &all).ok().as_ref(), &mut findings);
        level(&findings, check)
    }

    #[test]
    fn emrfs_is_told_everything() {
        for check in [
            "emrfs.enabled",
            "emrfs.provider",
            "emrfs.description",
            "emrfs.storage-mode",
            "emrfs.v2",
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
            ("fs.s3.cse.encryptionV2.enabled", "false", "emrfs.v2", Level::Note),
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
            let mut findings = Findings::default();
            s3a(&settings(&[&good[..], changes].concat()), &mut findings);
            level(&findings, check)
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
    fn a_security_configuration_names_two_classes() {
        let of = |s3: Value, disk: Value| {
            let document = json!({ "EncryptionConfiguration": { "EnableAtRestEncryption": true,
                "AtRestEncryptionConfiguration": { "S3EncryptionConfiguration": s3, "LocalDiskEncryptionConfiguration": disk } } });
            let mut findings = Findings::default();
            let keys = security_configuration(&document.to_string(), &mut findings);
            (
                level(&findings, "security-configuration.s3"),
                level(&findings, "security-configuration.disk"),
                keys,
            )
        };
        let s3 = |class: &str| json!({ "EncryptionMode": "CSE-Custom", "EncryptionKeyProviderClass": class });
        let disk = |class: &str| json!({ "EncryptionKeyProviderType": "Custom", "EncryptionKeyProviderClass": class });
        assert_eq!(of(s3(S3_CLASS), disk(DISK_CLASS)), (Level::Ok, Level::Ok, vec![]));
        assert_eq!(
            of(s3(DISK_CLASS), disk(S3_CLASS)),
            (Level::Failure, Level::Failure, vec![])
        );
        let kms = json!({ "EncryptionKeyProviderType": "AwsKms", "AwsKmsKey": "alias/d" });
        assert_eq!(
            of(json!({ "EncryptionMode": "SSE-S3" }), kms),
            (Level::Warning, Level::Ok, vec!["alias/d".to_owned()])
        );
        for text in [
            "",
            "[]",
            "{}",
            r#"{"EncryptionConfiguration": {"EnableAtRestEncryption": false}}"#,
        ] {
            let mut findings = Findings::default();
            assert!(security_configuration(text, &mut findings).is_empty());
            assert_eq!(
                level(&findings, "security-configuration"),
                Level::Failure,
                "{text}"
            );
        }
    }
}
