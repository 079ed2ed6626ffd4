//! `emrkeys emr-config …`: what a cluster is made with, for a configuration of keys.

mod classification;

use std::io::{stdout, Write};

use clap::{Args, Subcommand, ValueEnum};
use emrkeys_core::aws::{is_kms_alias, Arn, KmsTarget};
use emrkeys_core::inspect::checks::Connector;
use emrkeys_core::release::Release;
use emrkeys_core::uri::S3Location;
use emrkeys_core::{config_summary, shell_word, Code, Config, KeySummary};
use serde_json::{json, Map, Value};

use crate::aws::Aws;
use crate::conf::{Client, Conf, Loaded, ReleaseOption};
use crate::output::{note, problem, Failure};

/// The classes that EMR and Hadoop load. Source: `java/src/main/java/org/emrkeys`.
pub(crate) const S3_CLASS: &str = "org.emrkeys.S3EncryptionMaterialsProvider";
/// Source: the package of the class in parquet-hadoop.
pub(crate) const PARQUET_FACTORY: &str = "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory";
pub(crate) const PARQUET_CLASS: &str = "org.emrkeys.parquet.EmrKeysKmsClient";
pub(crate) const DISK_CLASS: &str = "org.emrkeys.LocalDiskEncryptionMaterialsProvider";
pub(crate) const S3A_CLASS: &str = "org.emrkeys.S3AKeyring";
pub(crate) const S3A_INTERCEPTOR: &str = "org.emrkeys.S3AReadInterceptor";

/// The properties that name the jar for EMRFS and S3A.
const EMRFS_JAR: &str = "fs.s3.cse.encryptionMaterialsProvider.uri";
const S3A_JAR: &str = "fs.s3a.cse.customKeyringProvider.uri";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The security configuration: encryption in S3 and of the local disks
    #[command(after_help = "\
Examples:
  emrkeys emr-config security-configuration --conf emr.json \\
      --jar s3://artifacts/emrkeys.jar
  emrkeys emr-config security-configuration --s3 sse-kms --s3-kms-key ARN \\
      --disk aws-kms --disk-kms-key ARN")]
    SecurityConfiguration(SecurityConfiguration),
    /// The classification with the properties by which a cluster asks for keys and writes authenticated objects:
    /// emrfs-site, or core-site where S3A serves s3:// (from emr-7.10.0 on) and with --for s3a
    #[command(after_help = "\
A property of the configuration that chooses AES-CBC is kept, with a warning. On a release where S3A serves s3://, \
EMRFS stays in force with -D fs.s3.impl=com.amazon.ws.emr.hadoop.fs.EmrFileSystem.

Examples:
  emrkeys emr-config classification --conf keys.conf --release emr-6.15.0
  emrkeys emr-config classification --conf keys.conf --release emr-7.12.0 \\
      --jar s3://artifacts/emrkeys.jar
  emrkeys emr-config classification --conf keys.conf --for s3a")]
    Classification {
        /// The jar in S3, where no security configuration names it
        #[arg(long, value_name = "URI")]
        jar: Option<String>,
        #[command(flatten)]
        release: ReleaseOption,
        #[command(flatten)]
        conf: Conf,
    },
    /// An IAM policy for the role of the instances that allows what the keys need and nothing else
    #[command(after_help = "\
Where the keys need nothing of AWS, nothing is printed, and standard error says so: IAM has no policy without \
statements.

Example:
  emrkeys emr-config iam-policy --conf emr.json --release emr-7.12.0 \\
      --jar s3://artifacts/emrkeys.jar")]
    IamPolicy {
        /// The jar in S3, where the configuration does not name it
        #[arg(long, value_name = "URI")]
        jar: Option<String>,
        #[command(flatten)]
        release: ReleaseOption,
        #[command(flatten)]
        conf: Conf,
    },
}

#[derive(Args)]
pub(crate) struct SecurityConfiguration {
    /// How objects are encrypted
    #[arg(long, value_name = "MODE", default_value = "cse-custom")]
    s3: S3Mode,
    /// The KMS key of sse-kms and cse-kms, by ARN
    #[arg(long, value_name = "ARN")]
    s3_kms_key: Option<String>,
    /// How the local disks are encrypted; custom where emrkeys.local-disk.key is set
    #[arg(long, value_name = "MODE")]
    disk: Option<DiskMode>,
    /// The KMS key of aws-kms, by ARN
    #[arg(long, value_name = "ARN")]
    disk_kms_key: Option<String>,
    /// With aws-kms: EBS's own encryption, of the root volume too
    #[arg(long)]
    ebs: bool,
    /// The jar in S3
    #[arg(long, value_name = "URI")]
    jar: Option<String>,
    #[command(flatten)]
    conf: Conf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum S3Mode {
    /// emrkeys
    CseCustom,
    /// EMRFS's own client-side encryption, a call of KMS for each object
    CseKms,
    /// S3's encryption with a KMS key
    SseKms,
    /// S3's encryption with its own key
    SseS3,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DiskMode {
    /// emrkeys
    Custom,
    /// A key from KMS for each volume
    AwsKms,
    /// None
    None,
}

/// The security configuration with which EMRFS asks emrkeys for the keys of objects.
pub(crate) fn for_objects(jar: &str, conf: Conf, aws: &Aws) -> Result<Value, Failure> {
    let options = SecurityConfiguration {
        s3: S3Mode::CseCustom,
        s3_kms_key: None,
        disk: Some(DiskMode::None),
        disk_kms_key: None,
        ebs: false,
        jar: Some(jar.to_owned()),
        conf,
    };
    options.document(aws)
}

/// The classifications with which a cluster of this release uses a configuration; the jar is named elsewhere.
pub(crate) fn classification(client: Client, release: Release, settings: &Loaded) -> Result<Value, Failure> {
    classification::document(None, client.into(), Some(release), settings)
}

impl Command {
    pub(crate) fn run(&self, aws: &Aws) -> Result<(), Failure> {
        let document = match self {
            Command::SecurityConfiguration(options) => options.document(aws)?,
            Command::Classification { jar, release, conf } => {
                let settings = conf.load(aws)?;
                let release = release.of(&settings);
                let client = client_in_force(conf.usage, release, &settings);
                classification::document(jar.as_deref(), client.into(), release, &settings)?
            }
            Command::IamPolicy { jar, release, conf } => {
                let settings = conf.load(aws)?;
                let client = client_in_force(conf.usage, release.of(&settings), &settings);
                let Some(policy) = iam_policy(jar.as_deref(), client, &settings)? else {
                    note("note: the keys need nothing of AWS, so the role needs no policy for them");
                    return Ok(());
                };
                policy
            }
        };
        Ok(writeln!(stdout(), "{document:#}")?)
    }
}

impl SecurityConfiguration {
    /// Source of the structure: Amazon EMR Management Guide, "Create a security configuration", "Specify encryption
    /// options using the AWS CLI".
    fn document(&self, aws: &Aws) -> Result<Value, Failure> {
        // With the modes of EMR's own there is nothing to configure.
        let settings = self.conf.files.load_if_given(aws)?;
        let disk_key = settings.contains_key("emrkeys.local-disk.key");
        let disk = self.disk.unwrap_or(if disk_key {
            DiskMode::Custom
        } else {
            DiskMode::None
        });
        self.refuse_what_has_no_effect(disk)?;
        let mut s3 = Map::new();
        let mode = match self.s3 {
            S3Mode::CseCustom => {
                Config::parse(emrkeys_core::Client::S3, &settings)
                    .map_err(|error| settings.located(error))?;
                s3.insert("S3Object".to_owned(), json!(jar(self.jar.as_deref())?));
                s3.insert("EncryptionKeyProviderClass".to_owned(), json!(S3_CLASS));
                "CSE-Custom"
            }
            S3Mode::CseKms | S3Mode::SseKms => {
                s3.insert(
                    "AwsKmsKey".to_owned(),
                    json!(kms_key("--s3-kms-key", self.s3_kms_key.as_deref())?),
                );
                if self.s3 == S3Mode::CseKms {
                    "CSE-KMS"
                } else {
                    "SSE-KMS"
                }
            }
            S3Mode::SseS3 => "SSE-S3",
        };
        s3.insert("EncryptionMode".to_owned(), json!(mode));
        let mut at_rest = Map::new();
        at_rest.insert("S3EncryptionConfiguration".to_owned(), Value::Object(s3));
        let disk = match disk {
            DiskMode::Custom => {
                Config::parse(emrkeys_core::Client::LocalDisk, &settings)
                    .map_err(|error| settings.located(error))?;
                Some(json!({
                    "EncryptionKeyProviderType": "Custom",
                    "S3Object": jar(self.jar.as_deref())?,
                    "EncryptionKeyProviderClass": DISK_CLASS,
                }))
            }
            DiskMode::AwsKms => {
                let mut disk = json!({
                    "EncryptionKeyProviderType": "AwsKms",
                    "AwsKmsKey": kms_key("--disk-kms-key", self.disk_kms_key.as_deref())?,
                });
                if self.ebs {
                    disk["EnableEbsEncryption"] = json!(true);
                }
                Some(disk)
            }
            DiskMode::None => None,
        };
        at_rest.extend(disk.map(|disk| ("LocalDiskEncryptionConfiguration".to_owned(), disk)));
        Ok(json!({
            "EncryptionConfiguration": {
                "EnableInTransitEncryption": false,
                "EnableAtRestEncryption": true,
                "AtRestEncryptionConfiguration": at_rest,
            }
        }))
    }

    /// An option that changes nothing would leave somebody in the belief that something is encrypted, or encrypted
    /// otherwise.
    fn refuse_what_has_no_effect(&self, disk: DiskMode) -> Result<(), Failure> {
        let s3_kms = matches!(self.s3, S3Mode::CseKms | S3Mode::SseKms);
        let disk_kms = disk == DiskMode::AwsKms;
        let jar = self.s3 == S3Mode::CseCustom || disk == DiskMode::Custom;
        let wrong = [
            (
                self.s3_kms_key.is_some() && !s3_kms,
                "--s3-kms-key goes with --s3 sse-kms or cse-kms",
            ),
            (
                self.disk_kms_key.is_some() && !disk_kms,
                "--disk-kms-key goes with --disk aws-kms",
            ),
            (self.ebs && !disk_kms, "--ebs goes with --disk aws-kms"),
            (
                self.jar.is_some() && !jar,
                "--jar goes with --s3 cse-custom or --disk custom",
            ),
            (
                self.conf.usage != Client::S3,
                "a security configuration is for EMRFS and the local disks together: leave --for out \
                 (S3A is set up by emr-config classification --for s3a)",
            ),
        ];
        match wrong.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, what)) => Err(Failure::Usage(what.to_owned())),
            None => Ok(()),
        }
    }
}

/// The URI of the jar, which names a jar in S3.
pub(crate) fn jar(jar: Option<&str>) -> Result<&str, Failure> {
    match jar {
        Some(jar) if jar.starts_with("s3://") && jar.ends_with(".jar") => Ok(jar),
        Some(jar) => Err(Failure::Usage(format!(
            "--jar {jar}: name a jar in S3, such as s3://artifacts/emrkeys.jar"
        ))),
        None => Err(Failure::Usage(
            "say where the jar is: --jar s3://artifacts/emrkeys.jar".to_owned(),
        )),
    }
}

fn kms_key<'a>(option: &str, key: Option<&'a str>) -> Result<&'a str, Failure> {
    match key {
        Some(key) if Arn::parse(key).is_some_and(|arn| arn.service == "kms") => Ok(key),
        _ => Err(Failure::Usage(format!(
            "name the KMS key by its ARN: {option} arn:aws:kms:…"
        ))),
    }
}

/// The client that asks for keys on such a cluster: where S3A serves `s3://`, it does in the place of EMRFS.
fn client_in_force(asked: Client, release: Option<Release>, settings: &Loaded) -> Client {
    if asked == Client::S3 && Connector::of(release, settings) == Connector::S3a {
        note("note: S3A serves s3:// on this cluster, so this is for S3A");
        return Client::S3a;
    }
    asked
}

/// `None`: nothing has to be allowed.
pub(crate) fn iam_policy(
    jar_uri: Option<&str>,
    client: Client,
    settings: &Loaded,
) -> Result<Option<Value>, Failure> {
    let summary_for = |client| match Config::parse(client, settings) {
        Ok(config) => Ok(config_summary(&config)),
        Err(error) => Err(settings.located(error)),
    };
    let mut summaries = vec![summary_for(client.into())?];
    // The instances that read and write S3 open the key of their disks, too.
    if client != Client::LocalDisk && summaries[0].local_disk_key.is_some() {
        summaries.push(summary_for(emrkeys_core::Client::LocalDisk)?);
    }
    let used = || {
        summaries
            .iter()
            .flat_map(|summary| &summary.keys)
            .filter(|key| key.used)
    };
    let partition = partition(used());
    let (mut decrypt, mut generate, mut roles, mut objects) = (vec![], vec![], vec![], vec![]);
    for key in used() {
        for target in &key.kms {
            // That role's policy allows the use of the KMS key.
            if let Some(role) = &target.access.role {
                roles.push(role.arn.clone());
                continue;
            }
            let arn = kms_arn(target, partition)?;
            if key.encrypts && key.key_type != "keyring" {
                generate.push(arn.clone());
            }
            decrypt.push(arn);
        }
        objects.extend(
            key.files
                .iter()
                .filter_map(|file| object_arn(&file.uri, partition)),
        );
    }
    let named = match client {
        Client::S3 => settings.get(EMRFS_JAR),
        Client::S3a => settings.get(S3A_JAR),
        Client::LocalDisk | Client::Tables => None,
    };
    let jars = match jar_uri {
        Some(uri) => object_arn(jar(Some(uri))?, partition),
        None => named.and_then(|uri| object_arn(uri.trim(), partition)),
    };
    let statements: Vec<Value> = [
        ("UseKeysToRead", "kms:Decrypt", decrypt),
        ("UseKeysToWrite", "kms:GenerateDataKey", generate),
        ("AssumeRolesOfKeys", "sts:AssumeRole", roles),
        ("ReadKeyMaterial", "s3:GetObject", objects),
        ("ReadJar", "s3:GetObject", jars.into_iter().collect()),
    ]
    .into_iter()
    .filter_map(|(sid, action, mut resources)| {
        resources.sort();
        resources.dedup();
        (!resources.is_empty())
            .then(|| json!({ "Sid": sid, "Effect": "Allow", "Action": action, "Resource": resources }))
    })
    .collect();
    Ok((!statements.is_empty()).then(|| json!({ "Version": "2012-10-17", "Statement": statements })))
}

/// AWS's own, unless a key or role is in another, such as `aws-cn`: all that a cluster uses is in one.
fn partition<'a>(keys: impl Iterator<Item = &'a KeySummary>) -> &'a str {
    keys.flat_map(|key| &key.kms)
        .flat_map(|target| {
            let role = target.access.role.as_ref();
            std::iter::once(&target.key_id).chain(role.map(|role| &role.arn))
        })
        .find_map(|arn| Some(Arn::parse(arn)?.partition))
        .unwrap_or("aws")
}

/// IAM knows KMS keys by ARN alone: an alias in a policy's resource allows nothing.
fn kms_arn(target: &KmsTarget, partition: &str) -> Result<String, Failure> {
    match target.key_id.as_str() {
        arn if Arn::parse(arn).is_some_and(|arn| arn.kms_key_id().is_some()) => Ok(arn.to_owned()),
        id if !is_kms_alias(id) => Ok(format!("arn:{partition}:kms:*:*:key/{id}")),
        alias => Err(problem(
            Code::InvalidValue,
            format!(
                "{}: {alias} is an alias, by which IAM allows nothing",
                target.property
            ),
            format!(
                "Name the key by its ARN (`aws kms describe-key --key-id {}` has it), here with -D or for good.",
                shell_word(alias)
            ),
        )),
    }
}

/// `None`: the URI does not name an object in S3.
fn object_arn(uri: &str, partition: &str) -> Option<String> {
    let S3Location { bucket, key } = S3Location::parse(uri).ok()?;
    Some(format!(
        "arn:{partition}:s3:::{bucket}/{}",
        String::from_utf8(key).ok()?
    ))
}
