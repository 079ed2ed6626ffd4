//! `emrkeys doctor`: everything that has to be right before a job runs, a line each.

mod clients;
mod clock;
mod kms;
mod report;
mod security;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use emrkeys_core::aws::{self, Patience};
use emrkeys_core::inspect::Level;
use emrkeys_core::keyring::{command_options, Editor, State, Summary};
use emrkeys_core::{
    config_summary, current_version, shell_word, table_views, Config, ConfigSummary, KeySummary, RuleSummary,
    Settings,
};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use self::clock::Clock;
use self::report::{Findings, IDENTITY};
use self::security::{key_of_disks, Security};
use crate::aws::Aws;
use crate::conf::{open, read, Client, Conf, ReleaseOption, ONLY_HADOOP};
use crate::keyring::{of_key, Seen};
use crate::kms::{caller, principal_of, role_by_arn, DEADLINE};
use crate::output::Failure;
use crate::Form;

#[derive(Args)]
#[command(after_help = "\
Levels: ok; note: not checked from here, or worth knowing; warning: works, and should be changed; FAIL.
The exit code is 1 where anything fails, else 0.

Example:
  emrkeys doctor --conf /usr/share/aws/emr/emrfs/conf \\
      --conf /etc/hadoop/conf --live
On a node this checks what only its JVM can know (class path, library, ciphers):
  hadoop jar emrkeys.jar doctor")]
pub(crate) struct Command {
    /// Make a data key under each KMS key that encrypts and open it again, where else KMS is only asked whether it
    /// would (DryRun)
    #[arg(long)]
    live: bool,
    /// A bucket whose region is compared with those of all keys, as those of rules are with that of theirs; several by
    /// repeating
    #[arg(long, value_name = "NAME")]
    bucket: Vec<String>,
    /// The role that should be a key user, by ARN; the one of the caller, if not given
    #[arg(long, value_name = "ARN", value_parser = role_by_arn)]
    role: Option<String>,
    /// The service role of the cluster (EMR_DefaultRole), by ARN: encryption of EBS volumes wants it as a key user, too
    #[arg(long, value_name = "ARN", value_parser = role_by_arn)]
    service_role: Option<String>,
    /// A version of a keyring that encrypts for longer is a warning
    #[arg(long, value_name = "DAYS", default_value = "365", value_parser = clap::value_parser!(u16).range(1..))]
    max_age: u16,
    /// EMR's security configuration, in JSON: its classes, and the KMS keys of S3 and of local disks
    #[arg(long, value_name = "FILE")]
    security_configuration: Option<PathBuf>,
    #[command(flatten)]
    release: ReleaseOption,
    /// Fail on warnings, too
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    conf: Conf,
}

/// Of the questions for S3.
const PATIENCE: Patience = Patience {
    attempts: 3,
    attempt: None,
    read: None,
};

/// Whether a keyring opens, and is authentic.
const KEYRING: &str = "keyring.authentic";

impl Command {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        let settings = if self.security_configuration.is_some() {
            self.conf.files.load_if_given(aws)?
        } else {
            self.conf.load(aws)?
        };
        let mut findings = Findings::default();
        for warning in settings.warnings() {
            findings.warn(
                "config.files",
                warning,
                "Correct the file, or leave the property out.",
            );
        }
        if let Some(release) = settings.release() {
            findings.ok("emr.release", format!("{release}, by the configuration"));
        }
        let usage = self.conf.usage.into();
        let views = match self.conf.usage {
            Client::Tables => table_views(&settings),
            _ => Vec::new(),
        };
        let catalogs = views
            .iter()
            .filter_map(|view| Some((view.catalog.as_ref()?, view)));
        let catalogs: Vec<_> = catalogs.collect();
        // If catalogs alone are configured, nothing asks for the keys of the rest.
        let config = if catalogs.is_empty() || catalogs.len() < views.len() {
            configuration(usage, &settings, &mut findings)
        } else {
            None
        };
        // The key of local disks is in the same files, and nobody else looks at it here.
        if usage != emrkeys_core::Client::LocalDisk && settings.contains_key(clients::DISK_KEY) {
            configuration(emrkeys_core::Client::LocalDisk, &settings, &mut findings);
        }
        let text = self.security_configuration.as_deref().map(read).transpose()?;
        let security = text.as_deref().map(Security::parse).unwrap_or_default();
        // First: it wins over EMRFS's properties.
        let disk_keys = text.map_or_else(Vec::new, |text| {
            clients::security_configuration(&text, &settings, &mut findings)
        });
        let release = self.release.of(&settings);
        match self.conf.usage {
            Client::S3 => clients::emrfs(&settings, config.as_ref(), release, &mut findings),
            Client::S3a => clients::s3a(&settings, release, &mut findings),
            Client::Tables => clients::tables(&settings, &mut findings),
            Client::LocalDisk => {}
        }
        self.keyrings(config.as_ref(), aws, &mut findings);
        if config.is_some() || security.s3_key.is_some() || !disk_keys.is_empty() {
            self.aws(config.as_ref(), &security, &disk_keys, aws, &mut findings)?;
        }
        for (catalog, view) in catalogs {
            let mut own = Findings::default();
            let config = configuration(usage, &view.settings, &mut own);
            self.keyrings(config.as_ref(), aws, &mut own);
            if config.is_some() {
                self.aws(config.as_ref(), &Security::default(), &[], aws, &mut own)?;
            }
            findings.extend_of_catalog(catalog, own);
        }
        findings.print(self.strict, form)
    }

    /// The keyrings of a configuration.
    fn keyrings(&self, config: Option<&ConfigSummary>, aws: &Aws, findings: &mut Findings) {
        let Some(config) = config else {
            return;
        };
        let keys = config.keys.iter();
        for key in keys.filter(|key| key.used && key.key_type == "keyring") {
            // One that could not be opened has its line.
            let own = format!("emrkeys.key.{}.", key.name);
            if !findings.has_failure_at(KEYRING, &own) {
                self.keyring(key, config, aws, findings);
            }
        }
    }

    /// S3 and KMS. `config` is absent where the configuration is not valid.
    fn aws(
        &self,
        config: Option<&ConfigSummary>,
        security: &Security,
        disk_keys: &[String],
        aws: &Aws,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let clock = Clock::default();
        let shared = aws::config(aws.region.as_deref())?;
        let region = shared.region().map(|region| region.as_ref().to_owned());
        let rules = config.map_or(&[][..], |config| config.rules.as_slice());
        let bucket_regions = self.buckets(rules, aws, &shared, &clock, findings)?;
        let disks: Vec<KeySummary> = disk_keys.iter().map(|key| key_of_disks(key)).collect();
        let used = config.map_or(&[][..], |config| config.keys.as_slice());
        let of_s3 = used.iter().filter(|key| key.used).chain(&security.s3_key);
        // Those of the disks come last, to be compared with all others.
        let targets: Vec<_> = of_s3
            .map(|key| (key, false))
            .chain(disks.iter().map(|key| (key, true)))
            .flat_map(|(key, of_disks)| key.kms.iter().map(move |target| (key, target, of_disks)))
            .collect();
        if targets.is_empty() {
            clock.report(findings);
            return Ok(());
        }
        let identity = caller(aws.region.as_deref());
        match &identity {
            Ok(arn) => findings.ok(IDENTITY, arn),
            Err(why) => findings.note(IDENTITY, format!("not known: {why}")),
        }
        let context = kms::Context {
            region,
            principal: self.principal(&identity),
            service_role: self.service_role.as_deref(),
            live: self.live,
            clock: clock.clone(),
        };
        let mut arns: BTreeMap<String, &str> = BTreeMap::new();
        for (key, target, of_disks) in targets {
            let encrypted = |bucket: &String| {
                let by_rule = |rule: &RuleSummary| rule.key == key.name && rule.bucket == *bucket;
                !of_disks && (self.bucket.contains(bucket) || rules.iter().any(by_rule))
            };
            let buckets: Vec<_> = bucket_regions
                .iter()
                .filter(|(bucket, _)| encrypted(bucket))
                .collect();
            let checked = context.check(key, target, &buckets, of_disks && security.ebs, findings);
            let arn = checked.unwrap_or_else(|error| {
                findings.error("kms.exists", &error);
                None
            });
            if of_disks {
                same_as_disk(arn.as_ref().unwrap_or(&target.key_id), &arns, findings);
            } else {
                arns.extend(arn.map(|arn| (arn, key.name.as_str())));
            }
        }
        clock.report(findings);
        Ok(())
    }

    /// The role that is to use the keys. The error says why it is not known: no option names it, and the caller is not
    /// a role.
    fn principal(&self, identity: &Result<String, String>) -> Result<String, String> {
        if let Some(role) = &self.role {
            return Ok(role.clone());
        }
        let caller = identity.clone()?;
        role_by_arn(&principal_of(&caller))
            .map_err(|_| format!("{caller} is no role, so it is not that of a cluster"))
    }

    /// The regions of the buckets that are named, and are there.
    fn buckets(
        &self,
        rules: &[RuleSummary],
        aws: &Aws,
        shared: &aws::SdkConfig,
        clock: &Clock,
        findings: &mut Findings,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let names: BTreeSet<&str> = rules
            .iter()
            .map(|rule| rule.bucket.as_str())
            .chain(self.bucket.iter().map(String::as_str))
            .collect();
        let s3 = aws.s3_access().client(shared, PATIENCE);
        let mut regions = BTreeMap::new();
        for name in names {
            let call = s3
                .head_bucket()
                .bucket(name)
                .customize()
                .interceptor(clock.clone())
                .send();
            let answer = match aws::block_on(DEADLINE, call) {
                Ok(answer) => answer,
                Err(error) => {
                    findings.error("s3.bucket", &error);
                    continue;
                }
            };
            let (region, status, cause) = match &answer {
                Ok(found) => (found.bucket_region.clone(), 200, String::new()),
                Err(error) => match error.raw_response() {
                    Some(answer) => {
                        let region = answer.headers().get("x-amz-bucket-region");
                        let status = answer.status().as_u16();
                        (region.map(str::to_owned), status, format!("status {status}"))
                    }
                    None => (None, 0, aws::causes(error)),
                },
            };
            match (status, &region) {
                (404, _) => findings.fail(
                    "s3.bucket",
                    format!("there is no bucket {name}"),
                    "Correct the prefixes of the rules, or make it.",
                ),
                (403, _) => findings.note(
                    "s3.bucket",
                    format!("{name}: not checked: S3 does not let you look at it (s3:ListBucket)"),
                ),
                (_, Some(region)) => findings.ok("s3.bucket", format!("{name}: {region}")),
                (200, None) => findings.note("s3.bucket", format!("{name}: S3 does not say in which region it is")),
                _ => findings.fail(
                    "s3.bucket",
                    format!("{name}: S3 did not answer as it should ({cause})"),
                    "See that this machine reaches S3 (endpoint, VPC endpoint, proxy) and has credentials and a \
                     region.",
                ),
            }
            let cluster = shared.region().map(|cluster| cluster.as_ref());
            if let (Some(cluster), Some(region)) = (
                cluster,
                region.as_deref().filter(|region| Some(*region) != cluster),
            ) {
                findings.warn(
                    "s3.region",
                    format!("{name}: the bucket is in {region}, the cluster in {cluster}"),
                    "Run the cluster in the region of its buckets and keys; where this runs elsewhere, name the \
                     cluster's by --region.",
                );
            }
            regions.extend(region.map(|region| (name.to_owned(), region)));
        }
        Ok(regions)
    }

    /// Whether it is authentic and the newest one, and how old the version is that encrypts.
    fn keyring(&self, key: &KeySummary, config: &ConfigSummary, aws: &Aws, findings: &mut Findings) {
        const CHECK: &str = KEYRING;
        let name = &key.name;
        let place = match of_key(key, config, aws) {
            Ok(place) => place,
            Err(why) => {
                let told =
                    format!("{name}: not checked: {why}; run `hadoop jar emrkeys.jar doctor` on a node");
                return findings.note(CHECK, told);
            }
        };
        let found =
            Editor::new(&place.uri, &place.access, &place.protection).and_then(|editor| editor.read());
        match found {
            Ok(found) if found.authentic => {
                findings.ok(
                    CHECK,
                    format!(
                        "{name}: generation {} of {}; clusters look for a newer one every {} s",
                        found.generation,
                        found.updated,
                        config.keyring_max_age.as_secs()
                    ),
                );
                let seen = Seen::of(&place.uri, place.access.s3_endpoint.as_deref())
                    .and_then(|seen| seen.check(&found, None));
                match seen {
                    Ok(()) => {}
                    Err(Failure::Core(error)) => findings.error("keyring.newest", &error),
                    Err(_) => findings.note(
                        "keyring.newest",
                        format!("{name}: the generations that were seen cannot be read"),
                    ),
                }
                rotation(key, &found, self.max_age, OffsetDateTime::now_utc(), findings);
            }
            Ok(_) => findings.fail(
                CHECK,
                format!("{name}: not verified, because no key that may protect it is configured"),
                format!("Set emrkeys.key.{name}.kms-key-id, .protector-file or .protector-key."),
            ),
            Err(error) => findings.error(CHECK, &error),
        }
    }
}

/// Whether it is valid, and its keys can be read.
fn configuration(
    usage: emrkeys_core::Client,
    settings: &Settings,
    findings: &mut Findings,
) -> Option<ConfigSummary> {
    let what = match usage {
        emrkeys_core::Client::S3 => "S3",
        emrkeys_core::Client::S3a => "S3A",
        emrkeys_core::Client::LocalDisk => "local disks",
        emrkeys_core::Client::Tables => "tables",
    };
    let parsed = match Config::parse(usage, settings) {
        Ok(parsed) => parsed,
        Err(error) => {
            findings.error("config.valid", &error);
            return None;
        }
    };
    let config = config_summary(&parsed);
    findings.ok(
        "config.valid",
        format!("every property for {what} is known and valid"),
    );
    for warning in &config.warnings {
        findings.warn(
            "config.warning",
            warning,
            "docs/configuration.md has every property.",
        );
    }
    if usage == emrkeys_core::Client::Tables {
        keys_of_tables(&parsed, &config, findings);
    }
    match open(parsed) {
        Ok((_, report)) => {
            findings.ok("keys.open", report.summary);
            for warning in report
                .warnings
                .iter()
                .filter(|warning| !config.warnings.contains(warning))
            {
                findings.warn("keys.open", warning, "docs/configuration.md has every property.");
            }
        }
        Err(error) => {
            for problem in error.problems() {
                let only_hadoop = problem.message.contains(ONLY_HADOOP);
                let of_keyring = |key: &&KeySummary| {
                    let own = format!("emrkeys.key.{}.", key.name);
                    key.key_type == "keyring"
                        && problem
                            .property
                            .as_ref()
                            .is_some_and(|property| property.starts_with(&own))
                };
                let check = match config.keys.iter().find(of_keyring) {
                    Some(_) if !only_hadoop => KEYRING,
                    _ => "keys.open",
                };
                let level = if only_hadoop { Level::Note } else { Level::Failure };
                findings.problem(check, level, problem);
            }
        }
    }
    note_local_files(&config, findings);
    Some(config)
}

/// A client of tables opens a key when a table names it, and its start says nothing of keys. One that cannot be used is
/// a warning: a reader may lack a key on purpose. Keyrings have a check of their own.
fn keys_of_tables(parsed: &Config, config: &ConfigSummary, findings: &mut Findings) {
    for key in config.keys.iter().filter(|key| key.key_type != "keyring") {
        if let Err(error) = current_version(parsed, &key.name) {
            for problem in error.problems() {
                findings.problem("keys.open", Level::Warning, problem);
            }
        }
    }
}

/// This machine has the files of keys; whether each node has them cannot be seen from here.
fn note_local_files(config: &ConfigSummary, findings: &mut Findings) {
    for key in config.keys.iter().filter(|key| key.used) {
        let files = key.files.iter().map(|file| file.uri.as_str());
        let local: Vec<&str> = files.filter(|uri| uri.starts_with("file:")).collect();
        if !local.is_empty() {
            findings.note(
                "keys.files",
                format!(
                    "{}: every node needs {}, readable by the users of the jobs alone",
                    key.name,
                    local.join(" and ")
                ),
            );
        }
    }
}

/// AWS recommends separate keys for local disks and for S3.
fn same_as_disk(disk: &str, arns: &BTreeMap<String, &str>, findings: &mut Findings) {
    match arns.iter().find(|(arn, _)| aws::same_kms_key(arn, disk)) {
        Some((_, key)) => findings.warn(
            "kms.separate",
            format!("{key}: the same KMS key is that of the local disks ({disk})"),
            "Use separate KMS keys for local disks and for S3.",
        ),
        // An alias of the disks' key could be any key's: only KMS knows, and ARNs are what EMR's guide asks for.
        None if aws::is_kms_alias(disk) => {
            findings.note(
                "kms.separate",
                format!("not checked: {disk} is an alias; name the key of local disks by ARN"),
            );
        }
        None => findings.ok(
            "kms.separate",
            format!("the key of the local disks ({disk}) is none of those for S3"),
        ),
    }
}

/// How long the active version encrypts; `max_age` in days.
fn rotation(key: &KeySummary, found: &Summary, max_age: u16, now: OffsetDateTime, findings: &mut Findings) {
    const CHECK: &str = "keyring.rotation";
    let name = &key.name;
    let active = found
        .versions
        .iter()
        .find(|version| version.state == State::Active);
    let created = active.and_then(|version| OffsetDateTime::parse(&version.created, &Rfc3339).ok());
    let (Some(active), Some(created)) = (active, created) else {
        return;
    };
    let age = now - created;
    let told = format!(
        "{name}: version {} encrypts for {} days",
        active.id,
        age.whole_days().max(0)
    );
    if age > Duration::days(max_age.into()) {
        findings.warn(
            CHECK,
            format!("{told}, more than {max_age}"),
            format!("{}; objects stay readable.", rotate_command(key)),
        );
    } else {
        findings.ok(CHECK, told);
    }
}

/// The command that adds a version to the keyring of a key, whole: with its location and what protects it.
fn rotate_command(key: &KeySummary) -> String {
    let (document, protectors) = key
        .files
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (&first.uri, rest));
    let options = command_options(&key.kms, protectors.iter().map(|file| &file.uri));
    format!("`emrkeys keyring rotate {}{options}`", shell_word(document))
}

#[cfg(test)]
mod tests {
    use super::*;
    use emrkeys_core::keyring::VersionSummary;
    use time::macros::datetime;

    #[test]
    fn a_version_that_encrypts_for_too_long_is_a_warning() {
        let version = |id: &str, created: &str, state| VersionSummary {
            id: id.to_owned(),
            created: created.to_owned(),
            state,
        };
        let found = Summary {
            name: "lake".to_owned(),
            generation: 2,
            updated: "2026-01-01T00:00:00Z".to_owned(),
            protector: "kms",
            protector_key: String::new(),
            versions: vec![
                version("1-a", "2020-01-01T00:00:00Z", State::DecryptOnly),
                version("2-b", "2026-01-01T00:00:00Z", State::Active),
            ],
            authentic: true,
        };
        for (now, level) in [
            (datetime!(2026-01-01 00:00 UTC), Level::Ok),
            (datetime!(2026-01-31 00:00 UTC), Level::Ok),
            (datetime!(2026-02-01 00:00 UTC), Level::Warning),
        ] {
            let mut findings = Findings::default();
            rotation(
                &super::security::key_of_disks("lake"),
                &found,
                30,
                now,
                &mut findings,
            );
            assert_eq!(findings.0[0].level, level, "{now}");
        }
    }

    #[test]
    fn the_remedy_names_the_keyring_and_what_protects_it() {
        let mut key = super::security::key_of_disks("alias/lake");
        key.files = [("uri", "s3://keys/lake.keyring"), ("protector-file", "file:///m")]
            .map(|(property, uri)| emrkeys_core::FileSummary {
                property: property.to_owned(),
                uri: uri.to_owned(),
                external: false,
            })
            .to_vec();
        assert_eq!(
            rotate_command(&key),
            "`emrkeys keyring rotate s3://keys/lake.keyring --kms-key-id alias/lake --protector-file file:///m`"
        );
    }
}
