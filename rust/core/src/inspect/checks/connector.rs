//! The connector behind `s3://` on a release of EMR, and the content that EMRFS writes.
//!
//! Sources: Amazon EMR Release Guide, "Migrate from EMRFS to S3A" and "S3A encryption properties", for the connector,
//! the properties that EMR maps to S3A's, and the default of `v1.compatibility`. That such a cluster writes plaintext
//! is inferred from them; it was not tried. EMRFS is closed source: the default of `cryptoMode` is that of a public
//! listing of its class `CSEConstants`, of an unknown release. The pages of single releases name their AWS SDK.

use super::{get, is_true, said, ALGORITHM, CUSTOM, S3A_CLASS, S3A_INTERCEPTOR};
use crate::inputs::Settings;
use crate::inspect::config_summary::ConfigSummary;
use crate::inspect::finding::Finding;
use crate::release::Release;

/// The first release on which S3A serves `s3://`.
const S3A_SINCE: Release = (7, 10);
/// The property that names the connector behind `s3://`.
pub const IMPLEMENTATION: &str = "fs.s3.impl";
/// EMRFS as the connector behind `s3://`.
pub const EMRFS_CLASS: &str = "com.amazon.ws.emr.hadoop.fs.EmrFileSystem";
const S3A_FILE_SYSTEM: &str = "org.apache.hadoop.fs.s3a.S3AFileSystem";
const ENABLED: &str = "fs.s3.cse.enabled";
const CRYPTO_MODE: &str = "fs.s3.cse.cryptoMode";
const V2: &str = "fs.s3.cse.encryptionV2.enabled";

const AUTHENTICATED: [&str; 2] = ["AuthenticatedEncryption", "StrictAuthenticatedEncryption"];

/// The connector that serves `s3://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connector {
    /// EMRFS, with a client of the SDK v1.
    Emrfs,
    /// Hadoop's S3A, with the S3 Encryption Client.
    S3a,
    /// The release is not known, and no property decides.
    Unknown,
}

impl Connector {
    /// The connector on a release of EMR, unless a property names another.
    pub fn of(release: Option<Release>, settings: &Settings) -> Connector {
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

/// Whether the AWS SDK of a release has the V2 client, which came with 1.11.838. Source: EMR's pages of releases, which
/// name 1.11.828 for 6.1 and 1.11.880 for 6.2, 1.11.759 for 5.30 and 1.11.852 for 5.31.
fn has_v2_client(release: Option<Release>) -> bool {
    release.is_none_or(|release| release >= (6, 2) || ((5, 31)..(6, 0)).contains(&release))
}

/// The property, with its value, by which EMRFS writes authenticated content where no property of the configuration
/// decides that; nothing if one does. The V1 client has to do it where a key of type `kms` is not the default key,
/// since the V2 client opens no object under such a key, and on a release without the V2 client.
pub fn authenticated_content(
    settings: &Settings,
    summary: &ConfigSummary,
    release: Option<Release>,
) -> Option<(&'static str, &'static str)> {
    let v2 = has_v2_client(release);
    if get(settings, CRYPTO_MODE).is_some() || (v2 && is_true(settings, V2)) {
        return None;
    }
    let other_kms = kms_keys_besides_the_default(summary).next().is_some();
    let refused = get(settings, V2).is_some();
    Some(if v2 && !other_kms && !refused {
        (V2, "true")
    } else {
        (CRYPTO_MODE, AUTHENTICATED[0])
    })
}

/// Whether EMRFS's V1 client writes authenticated content with this configuration; S3A reads such objects only if older
/// wraps are allowed.
pub fn is_v1_authenticated(settings: &Settings) -> bool {
    !is_true(settings, V2) && get(settings, CRYPTO_MODE).is_some_and(|mode| AUTHENTICATED.contains(&mode))
}

/// The keys of type `kms` that the V2 client cannot read objects under.
pub(super) fn kms_keys_besides_the_default(summary: &ConfigSummary) -> impl Iterator<Item = &str> {
    let default = summary.default_key.as_deref();
    let used = summary
        .keys
        .iter()
        .filter(|key| key.used && key.key_type == "kms");
    used.map(|key| key.name.as_str())
        .filter(move |name| Some(*name) != default)
}

/// The content of the objects that EMRFS writes.
pub(super) fn content(settings: &Settings, release: Option<Release>) -> Finding {
    const CHECK: &str = "emrfs.content";
    let of_cbc = |why: String| {
        let by_v2 = if has_v2_client(release) {
            format!(
                "{V2}=true (AES-GCM by the V2 client; a key of type kms then has to be the default key), or "
            )
        } else {
            String::new()
        };
        Finding::warning(
            CHECK,
            format!(
                "{why}: the content of new objects is in AES-CBC, which is not authenticated, gains nothing from our \
                 ciphers, and cannot be read by S3A"
            ),
            format!(
                "Set {by_v2}{CRYPTO_MODE}=AuthenticatedEncryption (AES-GCM by the V1 client; S3A then needs \
                 emrkeys.s3a.allow-legacy=true). Ranges stay readable, sizes grow by 16 bytes, and existing objects \
                 stay as they are."
            ),
        )
    };
    if is_true(settings, V2) && has_v2_client(release) {
        return Finding::ok(CHECK, format!("{V2}=true: AES-GCM"));
    }
    match get(settings, CRYPTO_MODE) {
        Some(mode) if AUTHENTICATED.contains(&mode) => Finding::ok(CHECK, format!("{CRYPTO_MODE}={mode}: AES-GCM")),
        Some("EncryptionOnly") => of_cbc(format!("{CRYPTO_MODE}=EncryptionOnly")),
        None if is_true(settings, V2) => of_cbc(format!(
            "{V2}=true, but the AWS SDK of this release of EMR is older than the V2 client (1.11.838), and \
             {CRYPTO_MODE} is not set (inferred from EMR's release guide, not tried on a cluster)"
        )),
        None => of_cbc(format!(
            "neither {V2} nor {CRYPTO_MODE} is set, and EMRFS's default is EncryptionOnly (as a public listing of its \
             classes has it; `emrkeys inspect URI` shows the format of an object that your cluster wrote)"
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
            assert_eq!(content(&settings(entries), None).level, expected, "{entries:?}");
        }
    }

    #[test]
    fn a_release_without_the_v2_client_is_not_taken_for_one_that_has_it() {
        let v2 = settings(&[(V2, "true")]);
        for (release, expected) in [
            ((5, 30), Level::Warning),
            ((5, 31), Level::Ok),
            ((6, 0), Level::Warning),
            ((6, 1), Level::Warning),
            ((6, 2), Level::Ok),
            ((7, 9), Level::Ok),
        ] {
            let found = content(&v2, Some(release));
            assert_eq!(found.level, expected, "{release:?}");
            // The remedy names no property that this release does not know.
            assert!(!found.remedy.is_some_and(|remedy| remedy.contains(V2)));
        }
        let both = settings(&[(V2, "true"), (CRYPTO_MODE, "AuthenticatedEncryption")]);
        assert_eq!(content(&both, Some((6, 1))).level, Level::Ok);
    }
}
