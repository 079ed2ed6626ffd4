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
/// Source: Amazon EMR Management Guide, "Configure security configuration … JSON".
pub(super) fn security_configuration(text: &str, findings: &mut Findings) -> Vec<String> {
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
            "Set EnableAtRestEncryption to true; `emrkeys emr-config security-configuration` prints a configuration.",
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
    match disk["EncryptionKeyProviderType"].as_str() {
        Some("Custom") if disk_class.as_deref() == Some(DISK_CLASS) => {
            findings.ok("security-configuration.disk", format!("Custom with {DISK_CLASS}"));
        }
        Some("Custom") => findings.fail(
            "security-configuration.disk",
            format!(
                "the class for local disks is {}{}",
                disk_class.as_deref().unwrap_or("not set"),
                disk_class.as_deref().map_or("", whose)
            ),
            format!(
                "Set LocalDiskEncryptionConfiguration.EncryptionKeyProviderClass to {DISK_CLASS}; the class for S3 \
                 is another."
            ),
        ),
        Some("AwsKms") => findings.ok("security-configuration.disk", "AwsKms"),
        _ => findings.warn(
            "security-configuration.disk",
            "local disks are not encrypted by it",
            "Add a LocalDiskEncryptionConfiguration.",
        ),
    }
    text(&disk["AwsKmsKey"]).into_iter().collect()
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
