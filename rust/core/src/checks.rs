//! What EMRFS and S3A have to be told, beside keys and rules. Pure: properties in, findings out.
//!
//! Sources: Amazon EMR Management Guide, "Encryption options" and "Specifying Amazon S3 client-side encryption using a custom
//! provider"; docs/s3a.md for what was measured with Hadoop.

use crate::inputs::Settings;
use crate::outline::{outline, Outline};
use crate::provider::Usage;

const S3_CLASS: &str = "org.emrkeys.S3EncryptionMaterialsProvider";
const DISK_CLASS: &str = "org.emrkeys.LocalDiskEncryptionMaterialsProvider";
const S3A_CLASS: &str = "org.emrkeys.S3AKeyring";
const S3A_INTERCEPTOR: &str = "org.emrkeys.S3AReadInterceptor";

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Works, and should be changed.
    Warning,
    /// Does not work, or will not.
    Failure,
}

/// What one check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable: what scripts look at.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What is so.
    pub message: String,
    /// What to do; there for warnings and failures.
    pub remedy: Option<String>,
}

/// The checks of the client that asks for keys; local disks have none.
pub fn client(usage: Usage, settings: &Settings) -> Vec<Finding> {
    match usage {
        Usage::S3 => emrfs(settings, outline(usage, settings).ok().as_ref()),
        Usage::S3a => s3a(settings),
        Usage::LocalDisk => Vec::new(),
    }
}

/// EMRFS's own properties. `outline` is absent where the configuration is not valid.
pub fn emrfs(settings: &Settings, outline: Option<&Outline>) -> Vec<Finding> {
    const ENABLED: &str = "fs.s3.cse.enabled";
    const PROVIDER: &str = "fs.s3.cse.encryptionMaterialsProvider";
    const STORAGE: &str = "fs.s3.cse.cryptoStorageMode";
    const DESCRIPTION: &str = "fs.s3.cse.materialsDescription.enabled";
    const V2: &str = "fs.s3.cse.encryptionV2.enabled";

    let mut findings = Vec::new();
    findings.push(match get(settings, ENABLED) {
        Some(value) if value.eq_ignore_ascii_case("true") => ok("emrfs.enabled", format!("{ENABLED}=true")),
        Some(value) => failure(
            "emrfs.enabled",
            format!("{ENABLED}={value}: EMRFS writes plaintext"),
            format!("Set {ENABLED}=true."),
        ),
        None => warning(
            "emrfs.enabled",
            format!("{ENABLED} is not set: EMRFS writes plaintext, unless a security configuration sets it on the cluster"),
            format!("Set {ENABLED}=true, or check the files of a node of the cluster."),
        ),
    });
    findings.push(match get(settings, PROVIDER) {
        Some(name) => class("emrfs.provider", PROVIDER, name, S3_CLASS),
        None => warning(
            "emrfs.provider",
            format!("{PROVIDER} is not set; a security configuration may set it on the cluster"),
            format!("Set {PROVIDER}={S3_CLASS}, or check with --security-configuration FILE."),
        ),
    });
    let rules = outline.is_some_and(|outline| !outline.rules.is_empty());
    match (is_true(settings, DESCRIPTION), rules) {
        (true, _) => findings.push(ok(
            "emrfs.description",
            format!("{DESCRIPTION}=true: rules by prefix see locations"),
        )),
        // With rules, the core refuses the configuration.
        (false, true) => {}
        (false, false) => findings.push(note(
            "emrfs.description",
            format!("{DESCRIPTION} is not true: rules by prefix would need it; there are none"),
        )),
    }
    findings.push(match get(settings, STORAGE) {
        None | Some("ObjectMetadata") => ok("emrfs.storage-mode", "envelopes are in the metadata of objects".to_owned()),
        Some("InstructionFile") => note(
            "emrfs.storage-mode",
            format!("{STORAGE}=InstructionFile: each object has a second one, NAME.instruction, that copies and lifecycle rules have to take along"),
        ),
        Some(other) => failure(
            "emrfs.storage-mode",
            format!("{STORAGE}={other} is not a mode"),
            format!("Set {STORAGE}=ObjectMetadata, or remove it."),
        ),
    });
    let default = outline.and_then(|outline| outline.default_key.as_deref());
    let others: Vec<&str> = outline
        .iter()
        .flat_map(|outline| &outline.keys)
        .filter(|key| key.used && key.key_type == "kms")
        .map(|key| key.name.as_str())
        .filter(|name| Some(*name) != default)
        .collect();
    findings.push(match (is_true(settings, V2), others.as_slice()) {
        (true, []) => ok("emrfs.v2", format!("{V2}=true")),
        // What is written the core refuses; this is about what was.
        (true, others) => warning(
            "emrfs.v2",
            format!("{V2}=true, and {} of type kms is not the default key: the V2 client asks KMS to open every object of a kms key under the default key", others.join(", ")),
            format!("Use type kms-cached or keyring for what is written, or set {V2}=false to read what was written under kms keys."),
        ),
        (false, _) => note("emrfs.v2", format!("{V2} is not true: EMRFS uses the older V1 client")),
    });
    findings
}

/// S3A's properties.
pub fn s3a(settings: &Settings) -> Vec<Finding> {
    const ALGORITHM: &str = "fs.s3a.encryption.algorithm";
    const KEYRING: &str = "fs.s3a.encryption.cse.custom.keyring.class.name";
    const V1: &str = "fs.s3a.encryption.cse.v1.compatibility.enabled";
    const STREAM: &str = "fs.s3a.input.stream.type";
    const COMMITTER: &str = "fs.s3a.committer.name";
    const INTERCEPTORS: &str = "fs.s3a.audit.execution.interceptors";

    let algorithm = match get(settings, ALGORITHM) {
        Some("CSE-CUSTOM") => ok("s3a.algorithm", format!("{ALGORITHM}=CSE-CUSTOM")),
        other => failure(
            "s3a.algorithm",
            format!(
                "{ALGORITHM} is {}: S3A asks no keyring",
                other.unwrap_or("not set")
            ),
            format!("Set {ALGORITHM}=CSE-CUSTOM."),
        ),
    };
    let keyring = match get(settings, KEYRING) {
        Some(name) => class("s3a.keyring", KEYRING, name, S3A_CLASS),
        None => failure(
            "s3a.keyring",
            format!("{KEYRING} is not set"),
            format!("Set {KEYRING}={S3A_CLASS}."),
        ),
    };
    let v1 = if is_true(settings, V1) {
        failure(
            "s3a.v1-compatibility",
            format!("{V1}=true: S3A then hands out the ciphertext of objects in AES-CBC as it is, and asks no keyring about them"),
            "Remove it: objects in AES-GCM need no such switch. Older wraps are allowed by emrkeys.s3a.allow-legacy=true.".to_owned(),
        )
    } else {
        ok("s3a.v1-compatibility", format!("{V1} is off"))
    };
    let stream = match get(settings, STREAM) {
        Some("classic") => ok("s3a.input-stream", format!("{STREAM}=classic")),
        Some("analytics") => failure(
            "s3a.input-stream",
            format!("{STREAM}=analytics: it takes the length of the ciphertext for that of the content"),
            format!("Set {STREAM}=classic."),
        ),
        other => warning(
            "s3a.input-stream",
            format!("{STREAM} is {}; the default of Hadoop 3.4.3, analytics, takes the length of the ciphertext for that of the content", other.unwrap_or("not set")),
            format!("Set {STREAM}=classic where Hadoop is 3.4.3 or newer."),
        ),
    };
    let interceptors = get(settings, INTERCEPTORS).unwrap_or_default();
    let interceptor = if interceptors
        .split(',')
        .any(|class| class.trim() == S3A_INTERCEPTOR)
    {
        ok("s3a.interceptor", format!("{INTERCEPTORS}={S3A_INTERCEPTOR}"))
    } else {
        warning(
            "s3a.interceptor",
            format!("{INTERCEPTORS} has no {S3A_INTERCEPTOR}: now and then the S3 Encryption Client takes the first bytes of an answer for the end of the file"),
            format!("Set {INTERCEPTORS}={S3A_INTERCEPTOR}, after a comma where it has a value already."),
        )
    };
    let committer = match get(settings, COMMITTER) {
        Some("magic") => note(
            "s3a.committer",
            "the magic committer: no renames; keep Spark's speculation off with it".to_owned(),
        ),
        other => note(
            "s3a.committer",
            format!("committer {}: a rename keeps the key of its source, for which rules see the folder that is committed to", other.unwrap_or("of the job's choice")),
        ),
    };
    vec![algorithm, keyring, v1, stream, interceptor, committer]
}

/// A property that has to name a class of ours.
fn class(check: &'static str, property: &str, name: &str, wanted: &str) -> Finding {
    if name == wanted {
        return ok(check, format!("{property}={wanted}"));
    }
    failure(
        check,
        format!("{property}={name}{}", whose(name)),
        format!("Set {property}={wanted}."),
    )
}

/// Whose class it is, where it is one of ours; for the end of a message.
pub fn whose(class: &str) -> &'static str {
    match class {
        S3_CLASS => ", the class for objects of EMRFS",
        S3A_CLASS => ", the class for S3A",
        DISK_CLASS => ", the class for local disks",
        _ => "",
    }
}

fn get<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    settings
        .get(name)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
}

fn is_true(settings: &Settings, name: &str) -> bool {
    get(settings, name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn ok(check: &'static str, message: String) -> Finding {
    finding(check, Level::Ok, message, None)
}

fn note(check: &'static str, message: String) -> Finding {
    finding(check, Level::Note, message, None)
}

fn warning(check: &'static str, message: String, remedy: String) -> Finding {
    finding(check, Level::Warning, message, Some(remedy))
}

fn failure(check: &'static str, message: String, remedy: String) -> Finding {
    finding(check, Level::Failure, message, Some(remedy))
}

fn finding(check: &'static str, level: Level, message: String, remedy: Option<String>) -> Finding {
    Finding {
        check,
        level,
        message,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// What `check` says of EMRFS's properties with these changes; an empty value removes one.
    fn of_emrfs(changes: &[(&str, &str)], check: &str) -> Level {
        let all = settings(&[EMRFS, changes].concat());
        level(&client(Usage::S3, &all), check)
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
            let all = settings(&[&good[..], changes].concat());
            level(&client(Usage::S3a, &all), check)
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
}
