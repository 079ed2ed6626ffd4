//! The uses of KMS in EMR's security configuration; `clients` checks the rest of it.
//!
//! Source: Amazon EMR Management Guide, "Create a security configuration", "Specify encryption options using the AWS
//! CLI".

use std::collections::BTreeMap;

use emrkeys_core::aws::{KmsAccess, KmsTarget};
use emrkeys_core::KeySummary;
use serde_json::Value;

/// The content of a security configuration; empty if it cannot be read or encrypts nothing at rest.
#[derive(Debug, Default)]
pub(super) struct Security {
    /// The key that EMRFS or S3 encrypts objects with.
    pub(super) s3_key: Option<KeySummary>,
    /// Whether the key of the local disks is that of EBS volumes, too.
    pub(super) ebs: bool,
}

/// The document in `text`: as `aws emr create-security-configuration` takes it, or in the answer of
/// `aws emr describe-security-configuration`, which holds it as text.
pub(super) fn document(text: &str) -> Result<Value, serde_json::Error> {
    let document: Value = serde_json::from_str(text)?;
    match document["SecurityConfiguration"].as_str() {
        Some(inner) => serde_json::from_str(inner),
        None => Ok(document),
    }
}

impl Security {
    pub(super) fn parse(text: &str) -> Security {
        let document = document(text).unwrap_or_default();
        let encryption = &document["EncryptionConfiguration"];
        if encryption["EnableAtRestEncryption"] != Value::Bool(true) {
            return Security::default();
        }
        let at_rest = &encryption["AtRestEncryptionConfiguration"];
        let s3 = &at_rest["S3EncryptionConfiguration"];
        let mode = s3["EncryptionMode"].as_str().unwrap_or_default();
        Security {
            s3_key: s3["AwsKmsKey"]
                .as_str()
                .filter(|_| mode.ends_with("-KMS"))
                .map(|key| key_of_emr("S3", "S3EncryptionConfiguration.AwsKmsKey", key)),
            ebs: at_rest["LocalDiskEncryptionConfiguration"]["EnableEbsEncryption"] == Value::Bool(true),
        }
    }
}

/// The key of local disks.
pub(super) fn key_of_disks(key: &str) -> KeySummary {
    key_of_emr("local disks", "LocalDiskEncryptionConfiguration.AwsKmsKey", key)
}

/// A KMS key that EMR itself uses, in the form of those of a configuration.
fn key_of_emr(what: &str, property: &str, key: &str) -> KeySummary {
    KeySummary {
        name: format!("{what} (security configuration)"),
        key_type: "kms",
        used: true,
        encrypts: true,
        kms: vec![KmsTarget {
            property: property.to_owned(),
            key_id: key.to_owned(),
            access: KmsAccess::default(),
        }],
        encryption_context: BTreeMap::new(),
        files: Vec::new(),
        credentials: Vec::new(),
        previous: Vec::new(),
        aliases: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(s3: Value, ebs: bool, enabled: bool) -> Security {
        let at_rest = json!({ "S3EncryptionConfiguration": s3,
            "LocalDiskEncryptionConfiguration": {
                "EncryptionKeyProviderType": "AwsKms", "EnableEbsEncryption": ebs } });
        let document = json!({ "EnableAtRestEncryption": enabled, "AtRestEncryptionConfiguration": at_rest });
        Security::parse(&json!({ "EncryptionConfiguration": document }).to_string())
    }

    #[test]
    fn the_key_of_s3_counts_where_a_mode_uses_it() {
        let key = |mode: &str, enabled| {
            let s3 = json!({ "EncryptionMode": mode, "AwsKmsKey": "alias/s3" });
            parsed(s3, false, enabled)
                .s3_key
                .map(|key| key.kms[0].key_id.clone())
        };
        assert_eq!(key("SSE-KMS", true).as_deref(), Some("alias/s3"));
        assert_eq!(key("CSE-KMS", true).as_deref(), Some("alias/s3"));
        assert_eq!(key("SSE-S3", true), None);
        assert_eq!(key("SSE-KMS", false), None);
        assert!(Security::parse("[").s3_key.is_none());
        let text = json!({ "EncryptionConfiguration": { "EnableAtRestEncryption": true, "AtRestEncryptionConfiguration":
            { "S3EncryptionConfiguration": { "EncryptionMode": "SSE-KMS", "AwsKmsKey": "alias/s3" } } } });
        let described = json!({ "Name": "n", "SecurityConfiguration": text.to_string() }).to_string();
        assert!(Security::parse(&described).s3_key.is_some());
    }

    #[test]
    fn ebs_volumes_are_encrypted_where_it_says_so() {
        assert!(parsed(json!({}), true, true).ebs && !parsed(json!({}), false, true).ebs);
    }
}
