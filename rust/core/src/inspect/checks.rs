//! Checks of the properties that EMRFS, S3A, Parquet and Iceberg need beside keys and rules. Pure: properties in,
//! findings out.
//!
//! Sources: Amazon EMR Management Guide, "Encryption options" and "Specifying Amazon S3 client-side encryption using a
//! custom provider"; Hadoop's documentation of S3A, "Per-bucket configuration"; docs/s3a.md for what was measured with
//! Hadoop.

mod connector;
pub(super) mod tables;

use std::collections::BTreeSet;

use crate::client::Client;
use crate::config::Config;
use crate::inputs::Settings;
use crate::inspect::catalogs::table_views;
use crate::inspect::config_summary::{config_summary, ConfigSummary};
use crate::inspect::finding::{Finding, Level};
use crate::release::{self, Release};
pub use connector::{authenticated_content, is_v1_authenticated, Connector, EMRFS_CLASS, IMPLEMENTATION};

const S3_CLASS: &str = "org.emrkeys.S3EncryptionMaterialsProvider";
const DISK_CLASS: &str = "org.emrkeys.LocalDiskEncryptionMaterialsProvider";
const S3A_CLASS: &str = "org.emrkeys.S3AKeyring";
const S3A_INTERCEPTOR: &str = "org.emrkeys.S3AReadInterceptor";

/// Facts about a cluster that its properties do not hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cluster {
    /// EMR's release, if it is known.
    pub release: Option<Release>,
    /// EMR's security configuration is known, and has CSE-Custom with our class: it wins over the properties.
    pub secured: bool,
}

impl Cluster {
    /// The facts that this node has about itself: the release in EMR's own file, if there is one.
    pub fn of_node() -> Cluster {
        Cluster {
            release: release::of_node(release::RELEASE_FILE.as_ref()).ok().flatten(),
            secured: false,
        }
    }
}

/// The checks of the client that asks for keys; local disks have none.
pub fn client(usage: Client, settings: &Settings, cluster: Cluster) -> Vec<Finding> {
    match usage {
        Client::S3 => {
            let config = Config::parse(usage, settings).ok();
            emrfs(settings, config.as_ref().map(config_summary).as_ref(), cluster)
        }
        Client::S3a => s3a(settings, cluster),
        Client::LocalDisk => Vec::new(),
        Client::Tables => {
            let summary =
                |settings: &Settings| Config::parse(usage, settings).ok().as_ref().map(config_summary);
            let mut findings = tables::parquet(settings, summary(settings).as_ref());
            for view in table_views(settings) {
                findings.extend(tables::iceberg(&view, summary(&view.settings).as_ref()));
            }
            findings
        }
    }
}

/// EMRFS's own properties. `summary` is absent where the configuration is not valid.
pub fn emrfs(settings: &Settings, summary: Option<&ConfigSummary>, cluster: Cluster) -> Vec<Finding> {
    const ENABLED: &str = "fs.s3.cse.enabled";
    const PROVIDER: &str = "fs.s3.cse.encryptionMaterialsProvider";
    const DESCRIPTION: &str = "fs.s3.cse.materialsDescription.enabled";
    const V2: &str = "fs.s3.cse.encryptionV2.enabled";

    let secured = cluster.secured;
    let connector = Connector::of(cluster.release, settings);
    let mut findings = vec![connector::for_emrfs(connector, settings)];
    if connector != Connector::S3a {
        findings.push(connector::content(settings, cluster.release));
    }
    findings.push(match get(settings, ENABLED) {
        _ if secured => Finding::ok("emrfs.enabled", format!("the security configuration sets {ENABLED}")),
        Some(value) if value.eq_ignore_ascii_case("true") => Finding::ok("emrfs.enabled", format!("{ENABLED}=true")),
        Some(value) => Finding::failure(
            "emrfs.enabled",
            format!("{ENABLED}={value}: EMRFS writes plaintext"),
            format!("Set {ENABLED}=true."),
        ),
        None => Finding::warning(
            "emrfs.enabled",
            format!(
                "{ENABLED} is not set: EMRFS writes plaintext, unless a security configuration sets it on the \
                 cluster"
            ),
            format!("Set {ENABLED}=true, or check the files of a node of the cluster."),
        ),
    });
    findings.push(match get(settings, PROVIDER) {
        _ if secured => Finding::ok(
            "emrfs.provider",
            format!("the security configuration sets {PROVIDER}"),
        ),
        Some(name) => class("emrfs.provider", PROVIDER, name, S3_CLASS),
        None => Finding::warning(
            "emrfs.provider",
            format!("{PROVIDER} is not set; a security configuration may set it on the cluster"),
            format!("Set {PROVIDER}={S3_CLASS}, or check with --security-configuration FILE."),
        ),
    });
    let rules = summary.is_some_and(|summary| !summary.rules.is_empty());
    match (is_true(settings, DESCRIPTION), rules) {
        (true, _) => findings.push(Finding::ok(
            "emrfs.description",
            format!("{DESCRIPTION}=true: rules by prefix see locations"),
        )),
        // With rules, the core refuses the configuration.
        (false, true) => {}
        (false, false) => findings.push(Finding::note(
            "emrfs.description",
            format!("{DESCRIPTION} is not true: rules by prefix would need it; there are none"),
        )),
    }
    findings.push(storage(settings));
    let others: Vec<&str> = summary
        .into_iter()
        .flat_map(connector::kms_keys_besides_the_default)
        .collect();
    // The core refuses what would be written; this is about existing objects.
    if is_true(settings, V2) && !others.is_empty() {
        findings.push(Finding::warning(
            "emrfs.v2",
            format!(
                "{V2}=true, and {} of type kms is not the default key: the V2 client asks KMS to open every \
                 object of a kms key under the default key",
                others.join(", ")
            ),
            format!(
                "Use type kms-cached or keyring for what is written, or set {V2}=false to read what was \
                 written under kms keys."
            ),
        ));
    }
    findings
}

/// The place of the envelopes.
fn storage(settings: &Settings) -> Finding {
    const STORAGE: &str = "fs.s3.cse.cryptoStorageMode";
    match get(settings, STORAGE) {
        None | Some("ObjectMetadata") => Finding::ok(
            "emrfs.storage-mode",
            "envelopes are in the metadata of objects".to_owned(),
        ),
        Some("InstructionFile") => Finding::note(
            "emrfs.storage-mode",
            format!(
                "{STORAGE}=InstructionFile: each object has a second one, NAME.instruction, that copies and \
                 lifecycle rules have to take along"
            ),
        ),
        Some(other) => Finding::failure(
            "emrfs.storage-mode",
            format!("{STORAGE}={other} is not a mode"),
            format!("Set {STORAGE}=ObjectMetadata, or remove it."),
        ),
    }
}

/// S3A's options, without the `fs.s3a.` or `fs.s3a.bucket.NAME.` before them, and what is said of a property and its
/// value.
const S3A: [(&str, Judge); 6] = [
    (ALGORITHM, algorithm),
    ("encryption.cse.custom.keyring.class.name", keyring),
    (V1_COMPATIBILITY, v1_compatibility),
    (INPUT_STREAM, input_stream),
    ("audit.execution.interceptors", interceptors),
    ("committer.name", committer),
];
type Judge = fn(&str, Option<&str>) -> Finding;

/// The option whose default EMR's S3A changes.
const V1_COMPATIBILITY: &str = "encryption.cse.v1.compatibility.enabled";

const INPUT_STREAM: &str = "input.stream.type";
/// The option that names S3A's client factory.
const FACTORY: &str = "s3.client.factory.impl";
const READ_FACTORY: &str = "org.emrkeys.S3AReadClientFactory";

const ALGORITHM: &str = "encryption.algorithm";
/// Its older name, which S3A reads where the newer is not set.
const OLD_ALGORITHM: &str = "server-side-encryption-algorithm";
const CUSTOM: Option<&str> = Some("CSE-CUSTOM");

/// S3A's properties: those for all buckets, and what single buckets have instead.
pub fn s3a(settings: &Settings, cluster: Cluster) -> Vec<Finding> {
    let connector = Connector::of(cluster.release, settings);
    let all = |option: &str| {
        let not_set = || match (option, connector) {
            (V1_COMPATIBILITY, Connector::S3a) => (
                format!("fs.s3a.{option} (not set; the default of EMR's S3A)"),
                Some("true"),
            ),
            _ => (format!("fs.s3a.{option}"), None),
        };
        said(settings, "fs.s3a.", option).unwrap_or_else(not_set)
    };
    let own = |bucket: &str, option: &str| said(settings, &format!("fs.s3a.bucket.{bucket}."), option);
    let asks = |bucket: &str| own(bucket, ALGORITHM).is_some_and(|(_, value)| value == CUSTOM);
    let (name, value) = all(ALGORITHM);
    let buckets = buckets(settings);
    let by_factory =
        |bucket: &str| own(bucket, FACTORY).is_some_and(|(_, value)| value == Some(READ_FACTORY));
    // Where some buckets alone ask a keyring, nothing of this is about the others.
    let some = value != CUSTOM && buckets.iter().any(|bucket| asks(bucket) || by_factory(bucket));
    let (factory_name, factory) = all(FACTORY);
    let reading = read_factory(&factory_name, factory, value);
    let only_reads = reading.as_ref().is_some_and(|found| found.level == Level::Note);
    let mut findings: Vec<Finding> = if only_reads {
        let (name, value) = all(INPUT_STREAM);
        vec![input_stream(&name, value)]
    } else if some {
        let value = value.unwrap_or("not set");
        vec![Finding::note(
            "s3a.algorithm",
            format!("{name} is {value}: S3A asks the keyring for those buckets alone that say so themselves"),
        )]
    } else {
        S3A.iter()
            .map(|(option, judge)| {
                let (name, value) = all(option);
                judge(&name, value)
            })
            .collect()
    };
    findings.extend(reading);
    findings.extend(connector::for_s3a(connector, settings));
    for bucket in buckets {
        let (name, own_factory) = own(bucket, FACTORY).unwrap_or_else(|| all(FACTORY));
        let algorithm = own(bucket, ALGORITHM).map_or(value, |(_, value)| value);
        let reading = read_factory(&name, own_factory, algorithm);
        let reads = reading.as_ref().is_some_and(|found| found.level == Level::Note);
        let streams = reads.then(|| own(bucket, INPUT_STREAM).unwrap_or_else(|| all(INPUT_STREAM)));
        let streams = streams.map(|(name, value)| input_stream(&name, value));
        for found in reading.into_iter().chain(streams) {
            if !findings.contains(&found) {
                findings.push(found);
            }
        }
        if reads || ((some || only_reads) && !asks(bucket)) {
            continue;
        }
        for (option, judge) in S3A {
            let (name, value) = match own(bucket, option) {
                Some(own) => own,
                None if some || only_reads => all(option),
                None => continue,
            };
            let found = judge(&name, value);
            // A finding about all buckets is the same for each.
            if !findings.contains(&found) {
                findings.push(found);
            }
        }
    }
    if findings.contains(&algorithm(&name, CUSTOM)) || some {
        findings.push(limits());
    }
    findings
}

/// The wrong answers of S3A itself, which nothing outside it can turn into errors.
fn limits() -> Finding {
    Finding::note(
        "s3a.limits",
        "S3A takes 16 bytes off every length in a listing and asks no keyring there: objects in AES-CBC of 1 to 15 \
         bytes are read as empty, and the length of an object in AES-CBC that is no multiple of 16 bytes is up to 15 \
         bytes short, without an error. With v1.compatibility it returns ciphertext for an object with an instruction \
         file whose writer stored no length. `emrkeys audit PREFIX` finds such objects; docs/s3a.md lists every case"
            .to_owned(),
    )
}

/// The property that says it, and what; for a bucket even nothing is in the place of what is said for all.
fn said<'a>(settings: &'a Settings, prefix: &str, option: &str) -> Option<(String, Option<&'a str>)> {
    let older = (option == ALGORITHM).then_some(OLD_ALGORITHM);
    [Some(option), older].into_iter().flatten().find_map(|option| {
        let name = format!("{prefix}{option}");
        settings.contains_key(&name).then(|| {
            let value = get(settings, &name);
            (name, value)
        })
    })
}

/// The buckets that have an option of their own. Their names may have dots in them, as options have.
fn buckets(settings: &Settings) -> BTreeSet<&str> {
    settings.keys().filter_map(|name| bucket(name)).collect()
}

/// The bucket for which alone a property sets an option that is checked here.
fn bucket(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("fs.s3a.bucket.")?;
    options().find_map(|option| rest.strip_suffix(option)?.strip_suffix('.'))
}

/// The options of S3A that are checked here, without what is before them.
fn options() -> impl Iterator<Item = &'static str> {
    S3A.iter()
        .map(|(option, _)| *option)
        .chain([OLD_ALGORITHM, FACTORY])
}

/// Whether a property sets an option of S3A that is checked here, for all buckets or for one.
pub fn is_s3a_option(name: &str) -> bool {
    let option = name.strip_prefix("fs.s3a.");
    option.is_some_and(|option| options().any(|known| known == option)) || bucket(name).is_some()
}

/// Whether S3A reads by a client factory of ours; with client-side encryption it takes its own.
fn read_factory(name: &str, value: Option<&str>, algorithm: Option<&str>) -> Option<Finding> {
    const CHECK: &str = "s3a.read-factory";
    if value != Some(READ_FACTORY) {
        return None;
    }
    Some(match algorithm {
        Some(method) if method.starts_with("CSE") => Finding::failure(
            CHECK,
            format!(
                "{name}={READ_FACTORY} has no effect: with client-side encryption ({method}) S3A takes a client \
                 factory of its own"
            ),
            format!(
                "Set fs.s3a.bucket.NAME.{ALGORITHM} to nothing for the buckets that it reads, or remove {name}."
            ),
        ),
        _ => Finding::note(
            CHECK,
            format!(
                "{name}={READ_FACTORY}: S3A reads the objects of every S3 encryption client, unauthenticated, and \
                 writes none; AES-CBC and older wraps need emrkeys.s3a.allow-legacy=true"
            ),
        ),
    })
}

fn algorithm(name: &str, value: Option<&str>) -> Finding {
    if value == CUSTOM {
        return Finding::ok("s3a.algorithm", format!("{name}=CSE-CUSTOM"));
    }
    Finding::failure(
        "s3a.algorithm",
        format!("{name} is {}: S3A asks no keyring", value.unwrap_or("not set")),
        format!("Set {name}=CSE-CUSTOM."),
    )
}

fn keyring(name: &str, value: Option<&str>) -> Finding {
    match value {
        Some(value) => class("s3a.keyring", name, value, S3A_CLASS),
        None => Finding::failure(
            "s3a.keyring",
            format!("{name} is not set"),
            format!("Set {name}={S3A_CLASS}."),
        ),
    }
}

fn v1_compatibility(name: &str, value: Option<&str>) -> Finding {
    if !value.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        let default = if value.is_none() {
            ", the default of Hadoop's S3A; EMR's has it on"
        } else {
            ""
        };
        return Finding::ok("s3a.v1-compatibility", format!("{name} is off{default}"));
    }
    let property = name.split(' ').next().unwrap_or(name);
    Finding::failure(
        "s3a.v1-compatibility",
        format!(
            "{name}=true: S3A then asks no keyring about objects in AES-CBC, with an instruction file or of \
             release 4 of the S3 Encryption Client, and returns their ciphertext without an error, unless \
             {S3A_INTERCEPTOR} refuses it"
        ),
        format!(
            "Set {property}=false: objects in AES-GCM do not need it. Older wraps are allowed by \
             emrkeys.s3a.allow-legacy=true."
        ),
    )
}

fn input_stream(name: &str, value: Option<&str>) -> Finding {
    const CHECK: &str = "s3a.input-stream";
    match value {
        Some("classic") => Finding::ok(CHECK, format!("{name}=classic")),
        Some("analytics") => Finding::failure(
            CHECK,
            format!("{name}=analytics: it takes the length of the ciphertext for that of the content"),
            format!("Set {name}=classic."),
        ),
        other => Finding::warning(
            CHECK,
            format!(
                "{name} is {}; the default of Hadoop 3.4.3, analytics, takes the length of the ciphertext \
                 for that of the content",
                other.unwrap_or("not set")
            ),
            format!("Set {name}=classic where Hadoop is 3.4.3 or newer."),
        ),
    }
}

fn interceptors(name: &str, value: Option<&str>) -> Finding {
    let mut classes = value.unwrap_or_default().split(',');
    if classes.any(|class| class.trim() == S3A_INTERCEPTOR) {
        return Finding::ok("s3a.interceptor", format!("{name}={S3A_INTERCEPTOR}"));
    }
    Finding::warning(
        "s3a.interceptor",
        format!(
            "{name} has no {S3A_INTERCEPTOR}: now and then the S3 Encryption Client takes the first bytes \
             of an answer for the end of the file, and an object of 1 to 15 bytes in AES-CBC is empty"
        ),
        format!("Set {name}={S3A_INTERCEPTOR}, after a comma where it has a value already."),
    )
}

fn committer(name: &str, value: Option<&str>) -> Finding {
    let message = match value {
        Some("magic") => format!("{name}=magic: no renames; keep Spark's speculation off with it"),
        other => format!(
            "{name} is {}: a rename keeps the key of its source, for which rules see the folder that is committed to",
            other.unwrap_or("not set")
        ),
    };
    Finding::note("s3a.committer", message)
}

/// A property that has to name a class of ours.
fn class(check: &'static str, property: &str, name: &str, wanted: &str) -> Finding {
    if name == wanted {
        return Finding::ok(check, format!("{property}={wanted}"));
    }
    Finding::failure(
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

#[cfg(test)]
mod tests;
