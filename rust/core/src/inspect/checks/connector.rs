//! The connector behind `s3://` on a release of EMR, and the content that EMRFS writes.
//!
//! Sources: Amazon EMR Release Guide, "Migrate from EMRFS to S3A" and "S3A encryption properties", for the connector,
//! the properties that EMR maps to S3A's, and the default of `v1.compatibility`. That such a cluster writes plaintext
//! is inferred from them; it was not tried. EMRFS is closed source: the default of `cryptoMode` is that of a public
//! listing of its class `CSEConstants`, of an unknown release.

use super::{get, is_true, said, ALGORITHM, CUSTOM, S3A_CLASS, S3A_INTERCEPTOR};
use crate::inputs::Settings;
use crate::inspect::finding::Finding;
use crate::release::Release;

/// The first release on which S3A serves `s3://`.
const S3A_SINCE: Release = (7, 10);
const IMPLEMENTATION: &str = "fs.s3.impl";
const EMRFS_CLASS: &str = "com.amazon.ws.emr.hadoop.fs.EmrFileSystem";
const S3A_FILE_SYSTEM: &str = "org.apache.hadoop.fs.s3a.S3AFileSystem";
const ENABLED: &str = "fs.s3.cse.enabled";
const CRYPTO_MODE: &str = "fs.s3.cse.cryptoMode";
const V2: &str = "fs.s3.cse.encryptionV2.enabled";

/// The connector that serves `s3://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connector {
    Emrfs,
    S3a,
    /// The release is not known, and no property decides.
    Unknown,
}

impl Connector {
    pub(super) fn of(release: Option<Release>, settings: &Settings) -> Connector {
        match (get(settings, IMPLEMENTATION), release) {
            (Some(EMRFS_CLASS), _) => Connector::Emrfs,
            (Some(S3A_FILE_SYSTEM), _) => Connector::S3a,
            (_, Some(release)) if release >= S3A_SINCE => Connector::S3a,
            (_, Some(_)) => Connector::Emrfs,
            (_, None) => Connector::Unknown,
        }
    }
}

/// Whether EMRFS, for which the configuration is, serves `s3://`. If S3A does and has no keyring, objects are written
/// in plaintext without an error.
pub(super) fn for_emrfs(connector: Connector, settings: &Settings) -> Finding {
    const CHECK: &str = "emrfs.connector";
    match connector {
        Connector::Emrfs => Finding::ok(CHECK, "EMRFS serves s3://".to_owned()),
        Connector::Unknown => Finding::note(
            CHECK,
            "the release of EMR is not known: from emr-7.10.0 on S3A serves s3://, which reads none of EMRFS's \
             properties for client-side encryption; name the release by --release"
                .to_owned(),
        ),
        Connector::S3a => {
            let (name, value) = said(settings, "fs.s3a.", ALGORITHM)
                .unwrap_or_else(|| (format!("fs.s3a.{ALGORITHM}"), None));
            if value == CUSTOM {
                return Finding::note(
                    CHECK,
                    format!(
                        "S3A serves s3:// on this cluster, and {name}=CSE-CUSTOM: check its properties with \
                         --for s3a"
                    ),
                );
            }
            Finding::failure(
                CHECK,
                format!(
                    "S3A serves s3:// on this cluster. EMR's release guide maps neither {ENABLED} nor \
                     fs.s3.cse.encryptionMaterialsProvider to S3A, and {name} is {}: the cluster would write objects \
                     that no client has encrypted (inferred from the guide, not tried on a cluster)",
                    value.unwrap_or("not set")
                ),
                format!(
                    "Set fs.s3a.encryption.algorithm=CSE-CUSTOM, \
                     fs.s3a.encryption.cse.custom.keyring.class.name={S3A_CLASS} and \
                     fs.s3a.audit.execution.interceptors={S3A_INTERCEPTOR}, and check with --for s3a; or keep EMRFS by \
                     {IMPLEMENTATION}={EMRFS_CLASS} in core-site."
                ),
            )
        }
    }
}

/// Whether S3A, for which the configuration is, serves `s3://` on this cluster; nothing if it need not.
pub(super) fn for_s3a(connector: Connector, settings: &Settings) -> Option<Finding> {
    const CHECK: &str = "s3a.connector";
    match connector {
        Connector::S3a => Some(Finding::ok(CHECK, "S3A serves s3://, s3n:// and s3a://".to_owned())),
        Connector::Unknown => None,
        Connector::Emrfs if is_true(settings, ENABLED) => Some(Finding::note(
            CHECK,
            "EMRFS serves s3://, and S3A s3a:// alone: check EMRFS's properties with --for s3".to_owned(),
        )),
        Connector::Emrfs => Some(Finding::warning(
            CHECK,
            format!(
                "EMRFS serves s3:// on this cluster, and S3A s3a:// alone; {ENABLED} is not true, so that objects \
                 written to s3:// are not encrypted by any client"
            ),
            "Name locations as s3a://, or configure EMRFS as well and check it with --for s3.".to_owned(),
        )),
    }
}

/// The content of the objects that EMRFS writes.
pub(super) fn content(settings: &Settings) -> Finding {
    const CHECK: &str = "emrfs.content";
    let of_cbc = |why: String| {
        Finding::warning(
            CHECK,
            format!(
                "{why}: the content of new objects is in AES-CBC, which is not authenticated, gains nothing from our \
                 ciphers, and cannot be read by S3A"
            ),
            format!(
                "Set {V2}=true (AES-GCM by the V2 client; a key of type kms then has to be the default key), or \
                 {CRYPTO_MODE}=AuthenticatedEncryption (AES-GCM by the V1 client; S3A then needs \
                 emrkeys.s3a.allow-legacy=true). Ranges stay readable, sizes grow by 16 bytes, and existing objects \
                 stay as they are."
            ),
        )
    };
    if is_true(settings, V2) {
        return Finding::ok(CHECK, format!("{V2}=true: AES-GCM"));
    }
    match get(settings, CRYPTO_MODE) {
        Some(mode @ ("AuthenticatedEncryption" | "StrictAuthenticatedEncryption")) => {
            Finding::ok(CHECK, format!("{CRYPTO_MODE}={mode}: AES-GCM"))
        }
        Some("EncryptionOnly") => of_cbc(format!("{CRYPTO_MODE}=EncryptionOnly")),
        None => of_cbc(format!(
            "neither {V2} nor {CRYPTO_MODE} is set, and EMRFS's default is EncryptionOnly (as a public listing of its \
             classes has it; emrkeys inspect shows the format of an object that your cluster wrote)"
        )),
        Some(other) => Finding::failure(
            CHECK,
            format!("{CRYPTO_MODE}={other} is not a mode of the SDK's clients"),
            format!("Set {CRYPTO_MODE}=AuthenticatedEncryption, or remove it and set {V2}=true."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Level;

    fn settings(entries: &[(&str, &str)]) -> Settings {
        entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn s3a_serves_s3_from_release_7_10_on_unless_a_property_names_emrfs() {
        let none = settings(&[]);
        let back = settings(&[(IMPLEMENTATION, EMRFS_CLASS)]);
        let s3a = settings(&[(IMPLEMENTATION, S3A_FILE_SYSTEM)]);
        for (release, settings, expected) in [
            (None, &none, Connector::Unknown),
            (None, &back, Connector::Emrfs),
            (Some((5, 36)), &none, Connector::Emrfs),
            (Some((7, 9)), &none, Connector::Emrfs),
            (Some((7, 10)), &none, Connector::S3a),
            (Some((8, 0)), &none, Connector::S3a),
            (Some((7, 10)), &back, Connector::Emrfs),
            (Some((7, 9)), &s3a, Connector::S3a),
            (None, &s3a, Connector::S3a),
        ] {
            assert_eq!(
                Connector::of(release, settings),
                expected,
                "{release:?} {settings:?}"
            );
        }
    }

    #[test]
    fn properties_of_emrfs_alone_are_a_failure_where_s3a_would_write_plaintext() {
        let emrfs = settings(&[(ENABLED, "true"), (V2, "true")]);
        let found = for_emrfs(Connector::S3a, &emrfs);
        assert_eq!(found.level, Level::Failure);
        let remedy = found.remedy.unwrap();
        for named in [
            "fs.s3a.encryption.algorithm=CSE-CUSTOM",
            "fs.s3a.encryption.cse.custom.keyring.class.name=org.emrkeys.S3AKeyring",
            "fs.s3.impl=com.amazon.ws.emr.hadoop.fs.EmrFileSystem",
        ] {
            assert!(remedy.contains(named), "{remedy}");
        }
        assert!(found.message.contains("not tried"), "{}", found.message);
        for (name, level) in [
            ("fs.s3a.encryption.algorithm", Level::Note),
            ("fs.s3a.server-side-encryption-algorithm", Level::Note),
        ] {
            let both = settings(&[(ENABLED, "true"), (name, "CSE-CUSTOM")]);
            assert_eq!(for_emrfs(Connector::S3a, &both).level, level, "{name}");
        }
        let sse = settings(&[("fs.s3a.encryption.algorithm", "SSE-KMS")]);
        assert_eq!(for_emrfs(Connector::S3a, &sse).level, Level::Failure);
        assert_eq!(for_emrfs(Connector::Emrfs, &emrfs).level, Level::Ok);
        assert_eq!(for_emrfs(Connector::Unknown, &emrfs).level, Level::Note);
    }

    #[test]
    fn properties_of_s3a_alone_are_a_warning_where_emrfs_serves_s3() {
        let none = settings(&[]);
        let both = settings(&[(ENABLED, "true")]);
        let level = |connector, settings| for_s3a(connector, settings).map(|found| found.level);
        assert_eq!(level(Connector::Emrfs, &none), Some(Level::Warning));
        assert_eq!(level(Connector::Emrfs, &both), Some(Level::Note));
        assert_eq!(level(Connector::S3a, &none), Some(Level::Ok));
        assert_eq!(level(Connector::Unknown, &none), None);
    }

    #[test]
    fn content_that_is_not_authenticated_is_a_warning() {
        for (entries, expected) in [
            (&[][..], Level::Warning),
            (&[(CRYPTO_MODE, "EncryptionOnly")], Level::Warning),
            (&[(V2, "false")], Level::Warning),
            (&[(CRYPTO_MODE, "AuthenticatedEncryption")], Level::Ok),
            (&[(CRYPTO_MODE, "StrictAuthenticatedEncryption")], Level::Ok),
            (&[(CRYPTO_MODE, "GCM")], Level::Failure),
            (&[(V2, "true")], Level::Ok),
        ] {
            assert_eq!(content(&settings(entries)).level, expected, "{entries:?}");
        }
    }
}
