//! Checks of the settings that EMRFS, S3A and EMR need beside keys and rules. The core checks the properties, for the
//! doctor in Java as well.

use emrkeys_core::inspect::checks::{self, whose, Cluster};
use emrkeys_core::inspect::Level;
use emrkeys_core::release::Release;
use emrkeys_core::{Client, ConfigSummary, Settings};
use serde_json::Value;

use super::report::Findings;
use super::security::document;
use crate::emr_config::{DISK_CLASS, S3_CLASS};

const SECURED: &str = "security-configuration.s3";
const DISKS: &str = "security-configuration.disk";
/// The property that names the key of the local disks.
pub(super) const DISK_KEY: &str = "emrkeys.local-disk.key";

/// EMRFS's own properties. `summary` is absent if the configuration is not valid. The security configuration is checked
/// before: its answer is in `findings`.
pub(super) fn emrfs(
    settings: &Settings,
    summary: Option<&ConfigSummary>,
    release: Option<Release>,
    findings: &mut Findings,
) {
    let secured = findings
        .0
        .iter()
        .any(|found| found.check == SECURED && found.level == Level::Ok);
    findings.extend(checks::emrfs(settings, summary, Cluster { release, secured }));
}

/// S3A's properties.
pub(super) fn s3a(settings: &Settings, release: Option<Release>, findings: &mut Findings) {
    let cluster = Cluster {
        release,
        secured: false,
    };
    findings.extend(checks::s3a(settings, cluster));
}

/// Parquet's properties.
pub(super) fn tables(settings: &Settings, findings: &mut Findings) {
    findings.extend(checks::client(Client::Tables, settings, Cluster::default()));
}

/// EMR's security configuration: classes, and the KMS keys that EMR itself uses; those of local disks come back.
/// `settings` are those of the cluster, empty if none were given.
/// Source: Amazon EMR Management Guide, "Configure security configuration … JSON".
pub(super) fn security_configuration(
    text: &str,
    settings: &Settings,
    findings: &mut Findings,
) -> Vec<String> {
    let check = "security-configuration";
    let document = match document(text) {
        Ok(document) => document,
        Err(error) => {
            findings.fail(
                check,
                format!("it is not JSON: {error}"),
                "Name the file that `aws emr create-security-configuration` got, or the answer of `aws emr \
                 describe-security-configuration`.",
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
            "Set EnableAtRestEncryption to true; `emrkeys emr-config security-configuration --jar JAR` prints a \
             configuration.",
        );
        return Vec::new();
    }
    let (s3, disk) = (
        &at_rest["S3EncryptionConfiguration"],
        &at_rest["LocalDiskEncryptionConfiguration"],
    );
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let s3_class = text(&s3["EncryptionKeyProviderClass"]);
    match s3["EncryptionMode"].as_str() {
        Some("CSE-Custom") if s3_class.as_deref() == Some(S3_CLASS) => {
            findings.ok(SECURED, format!("CSE-Custom with {S3_CLASS}"));
        }
        Some("CSE-Custom") => findings.fail(
            SECURED,
            format!(
                "the class for S3 is {}{}",
                s3_class.as_deref().unwrap_or("not set"),
                s3_class.as_deref().map_or("", whose)
            ),
            format!("Set S3EncryptionConfiguration.EncryptionKeyProviderClass to {S3_CLASS}."),
        ),
        mode => findings.warn(
            SECURED,
            format!(
                "the mode for S3 is {}: EMRFS asks no provider of ours",
                mode.unwrap_or("not set")
            ),
            "Set EncryptionMode to CSE-Custom where emrkeys is to give the keys.",
        ),
    }
    local_disks(
        disk["EncryptionKeyProviderType"].as_str(),
        disk["EncryptionKeyProviderClass"].as_str(),
        settings,
        findings,
    );
    text(&disk["AwsKmsKey"]).into_iter().collect()
}

/// How a security configuration has the local disks encrypted, and whether the cluster's properties fit.
fn local_disks(provider: Option<&str>, class: Option<&str>, settings: &Settings, findings: &mut Findings) {
    let names_key = settings.contains_key(DISK_KEY);
    match provider {
        Some("Custom") if class != Some(DISK_CLASS) => findings.fail(
            DISKS,
            format!(
                "the class for local disks is {}{}",
                class.unwrap_or("not set"),
                class.map_or("", whose)
            ),
            format!(
                "Set LocalDiskEncryptionConfiguration.EncryptionKeyProviderClass to {DISK_CLASS}; the class for S3 \
                 is another."
            ),
        ),
        Some("Custom") if !names_key && settings.keys().next().is_some() => findings.fail(
            DISKS,
            format!("Custom with {DISK_CLASS}, and {DISK_KEY} names no key: the disks of no instance can be set up"),
            format!("Set {DISK_KEY}, or choose another LocalDiskEncryptionConfiguration."),
        ),
        Some("Custom") => findings.ok(DISKS, format!("Custom with {DISK_CLASS}")),
        Some("AwsKms") => findings.ok(DISKS, "AwsKms"),
        _ if names_key => findings.warn(
            DISKS,
            format!("it does not encrypt local disks, so {DISK_KEY} has no effect"),
            "Add the LocalDiskEncryptionConfiguration that `emrkeys emr-config security-configuration --jar JAR --disk \
             custom` prints, or remove the property.",
        ),
        // An instance can encrypt them itself, and an account all volumes, so this is a choice.
        _ => findings.note(
            DISKS,
            "it does not encrypt local disks, to which jobs write parts of their data; see \
             `emrkeys emr-config security-configuration --help`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn level(findings: &Findings, check: &str) -> Level {
        findings
            .0
            .iter()
            .find(|found| found.check == check)
            .unwrap_or_else(|| panic!("no {check}"))
            .level
    }

    #[test]
    fn a_security_configuration_names_two_classes() {
        let of = |s3: Value, disk: Value| {
            let document = json!({ "EncryptionConfiguration": { "EnableAtRestEncryption": true,
                "AtRestEncryptionConfiguration": {
                    "S3EncryptionConfiguration": s3, "LocalDiskEncryptionConfiguration": disk } } });
            let mut findings = Findings::default();
            let keys = security_configuration(&document.to_string(), &Settings::new(), &mut findings);
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
            assert!(security_configuration(text, &Settings::new(), &mut findings).is_empty());
            assert_eq!(
                level(&findings, "security-configuration"),
                Level::Failure,
                "{text}"
            );
        }
    }

    #[test]
    fn the_encryption_of_local_disks_and_the_property_of_their_key_go_together() {
        let of = |provider: Option<&str>, properties: &[(&str, &str)]| {
            let mut settings = Settings::new();
            settings.extend(
                properties
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_string())),
            );
            let mut findings = Findings::default();
            local_disks(provider, Some(DISK_CLASS), &settings, &mut findings);
            level(&findings, DISKS)
        };
        let (named, unnamed) = ([(DISK_KEY, "disk")], [("emrkeys.default.key", "lake")]);
        assert_eq!(of(Some("Custom"), &named), Level::Ok);
        assert_eq!(of(Some("Custom"), &unnamed), Level::Failure);
        assert_eq!(of(Some("Custom"), &[]), Level::Ok);
        assert_eq!(of(None, &named), Level::Warning);
        assert_eq!(of(None, &unnamed), Level::Note);
        assert_eq!(of(Some("AwsKms"), &unnamed), Level::Ok);
    }
}
