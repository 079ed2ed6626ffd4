//! The properties that are not below the name of a key: one function for each group.

use std::path::PathBuf;
use std::time::Duration;

use super::model::{LocalDisk, RuleTarget};
use super::properties::RULE_PREFIX;
use super::reader::{list, Reader};
use super::Limits;
use crate::audit::AuditTarget;
use crate::aws::S3Access;
use crate::error::{excerpt, Code, Problem};
use crate::jce::{JceInstall, JceMgf1, JceRelease, JceSettings, MAX_BUFFERED_LIMIT};
use crate::material::Location;
use crate::release;
use crate::rules::Rule;
use crate::uri::S3Location;

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn s3_access(reader: &mut Reader) -> S3Access {
    S3Access {
        endpoint: reader.get("emrkeys.s3.endpoint").map(str::to_owned),
        region: reader.get("emrkeys.s3.region").map(str::to_owned),
        path_style: reader.flag("emrkeys.s3.path-style-access"),
    }
}

pub(super) fn audit(reader: &mut Reader) -> AuditTarget {
    const PROPERTY: &str = "emrkeys.audit";
    match reader.get(PROPERTY) {
        None | Some("off") => AuditTarget::Off,
        Some("log") => AuditTarget::Log,
        Some(uri) => match Location::parse(PROPERTY, uri) {
            Ok(Location::File(path)) => AuditTarget::File(path),
            _ => {
                reader.problems.add(Problem::at(
                    PROPERTY,
                    Code::InvalidValue,
                    format!("{} is neither off, log nor a local file", excerpt(uri)),
                    "Set it to log, or to a URI such as file:///var/log/emrkeys/audit.json.",
                ));
                AuditTarget::Off
            }
        },
    }
}

pub(super) fn stats_interval(reader: &mut Reader) -> Duration {
    reader.duration("emrkeys.stats.log-interval", Duration::ZERO, Duration::ZERO..=DAY)
}

pub(super) fn cache(reader: &mut Reader) -> Limits {
    let default = Limits::default();
    Limits {
        max_age: reader.duration(
            "emrkeys.cache.max-age",
            default.max_age,
            Duration::from_millis(100)..=DAY * 7,
        ),
        max_uses: reader.number("emrkeys.cache.max-uses", default.max_uses, 1..=1 << 32),
        max_entries: reader.number("emrkeys.cache.max-entries", default.max_entries, 1..=10_000_000),
        max_stale: reader.duration("emrkeys.cache.max-stale", default.max_stale, Duration::ZERO..=DAY),
        deadline: reader.duration(
            "emrkeys.kms.deadline",
            default.deadline,
            Duration::from_millis(100)..=Duration::from_secs(600),
        ),
    }
}

pub(super) fn jce(reader: &mut Reader) -> JceSettings {
    let default = JceSettings::default();
    JceSettings {
        install: reader.choice(
            "emrkeys.jce.install",
            default.install,
            &[
                ("first", JceInstall::First),
                ("last", JceInstall::Last),
                ("off", JceInstall::Off),
            ],
        ),
        release: reader.choice(
            "emrkeys.jce.release-unverified-plaintext",
            default.release,
            &[
                ("never", JceRelease::Never),
                ("sdk", JceRelease::Sdk),
                ("always", JceRelease::Always),
            ],
        ),
        max_buffered_bytes: reader.number(
            "emrkeys.jce.max-buffered-bytes",
            default.max_buffered_bytes,
            1..=MAX_BUFFERED_LIMIT,
        ),
        oaep_mgf1: reader.choice(
            "emrkeys.jce.oaep-mgf1",
            default.oaep_mgf1,
            &[
                ("sha1", JceMgf1::Sha1),
                ("sha256", JceMgf1::Sha256),
                ("both", JceMgf1::Both),
            ],
        ),
        stand_in_for_bc: reader.flag("emrkeys.jce.stand-in-for-bc"),
    }
}

pub(super) fn local_disk(reader: &mut Reader) -> LocalDisk {
    const RELEASE: &str = "emrkeys.local-disk.emr-release";
    let label = reader.get(RELEASE);
    let release = label.and_then(release::parse);
    if let (Some(label), None) = (label, release) {
        reader.problems.add(Problem::at(
            RELEASE,
            Code::InvalidValue,
            format!("{} is not a release label", excerpt(label)),
            "Write it as EMR does, such as emr-7.1.0.",
        ));
    }
    LocalDisk {
        key: reader.get("emrkeys.local-disk.key").map(str::to_owned),
        release,
        release_file: reader.get("emrkeys.local-disk.release-file").map(PathBuf::from),
    }
}

pub(super) fn keyring_max_age(reader: &mut Reader) -> Duration {
    reader.duration(
        "emrkeys.keyring.max-age",
        Duration::from_secs(300),
        Duration::from_secs(1)..=Duration::from_secs(7 * 86_400),
    )
}

pub(super) fn rules(reader: &mut Reader) -> Vec<Rule<RuleTarget>> {
    let mut rules = Vec::new();
    for (name, fields) in reader.grouped(RULE_PREFIX) {
        if fields.is_empty() {
            continue;
        }
        let property = |field: &str| format!("{RULE_PREFIX}{name}.{field}");
        let key = fields.get("key").copied();
        if key.is_none() {
            reader.missing(
                property("key"),
                "Set it to the name of the key for these locations.",
            );
        }
        let prefixes = list(fields.get("prefix").copied());
        if prefixes.is_empty() {
            reader.missing(
                property("prefix"),
                "Set it to one or more prefixes such as s3://bucket/folder/.",
            );
        }
        let job_flows = list(fields.get("job-flow").copied());
        for id in job_flows.iter().filter(|id| !id.starts_with("j-")) {
            reader.problems.add(Problem::at(
                property("job-flow"),
                Code::InvalidValue,
                format!("{} is not a job flow id", excerpt(id)),
                "Write ids of clusters, such as j-2AXXXXXXGAPLF.",
            ));
        }
        let target = RuleTarget {
            rule: name.to_owned(),
            key: key.unwrap_or_default().to_owned(),
        };
        for text in prefixes {
            let Some(prefix) = prefix(reader, property("prefix"), &text) else {
                continue;
            };
            if key.is_none() {
                continue;
            }
            if job_flows.is_empty() {
                rules.push(Rule {
                    prefix,
                    job_flow: None,
                    target: target.clone(),
                });
                continue;
            }
            rules.extend(job_flows.iter().map(|id| Rule {
                prefix: prefix.clone(),
                job_flow: Some(id.clone()),
                target: target.clone(),
            }));
        }
    }
    rules
}

fn prefix(reader: &mut Reader, property: String, text: &str) -> Option<S3Location> {
    let parsed = S3Location::parse(text).map_err(|error| {
        Problem::at(
            property,
            Code::InvalidUri,
            error.to_string(),
            "Write prefixes as s3://bucket/folder/.",
        )
    });
    reader.problems.keep(parsed)
}
