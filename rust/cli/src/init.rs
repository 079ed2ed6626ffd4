//! `emrkeys init`: a key, and the documents with which a cluster uses it.

use std::fs;
use std::io::{stdout, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use emrkeys_core::inspect::checks::{authenticated_content, EMRFS_CLASS, IMPLEMENTATION};
use emrkeys_core::keyring::Protection;
use emrkeys_core::release::{self, Release};
use emrkeys_core::{config_summary, shell_word, Code, Config, Settings};
use emrkeys_crypto::generate;
use emrkeys_objects::{ObjectUri, Store};
use serde_json::{json, Value};
use zeroize::Zeroizing;

use crate::aws::Aws;
use crate::conf::{Client, Conf};
use crate::emr_config;
use crate::files::NewFile;
use crate::keygen::{self, cannot, key_name, write_new};
use crate::keyring;
use crate::output::{at, Failure};
use crate::text::printable;
use crate::Form;

/// The first release whose S3A asks a keyring, and serves `s3://`.
const S3A_SINCE: Release = (7, 10);

#[derive(Args)]
#[command(after_help = "\
Writes into DIR, and replaces nothing:
  emr.json       the classifications with the properties
  security.json  for EMRFS: the security configuration
  policy.json    what the role of the instances must be allowed
  NAME.key       without --kms-key-id: an AES key, which with
                 --keyring protects the keyring

A KMS key without --keyring gives a key of type kms-cached, which asks KMS for one data key per writer \
and age; with --keyring KMS is asked once per JVM, and `emrkeys keyring rotate` rotates the key.

Examples:
  emrkeys init --release emr-7.12.0 --jar s3://artifacts/emrkeys.jar \\
      --keyring s3://keys/main.keyring --kms-key-id \\
      arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
  emrkeys init --release emr-7.9.0 --jar s3://artifacts/emrkeys.jar \\
      --key-file s3://keys/main.key emr")]
pub(crate) struct Command {
    /// The folder to write into; it is made if it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// EMR's release, such as emr-7.12.0
    #[arg(long, value_name = "LABEL", value_parser = label)]
    release: String,
    /// The connector behind s3://; S3A from emr-7.10.0 on and EMRFS before, if not given
    #[arg(long = "for", value_name = "CONNECTOR")]
    connector: Option<Connector>,
    /// Where the jar is, or will be
    #[arg(long, value_name = "URI")]
    jar: String,
    /// The name of the key
    #[arg(long, default_value = "main", value_parser = key_name)]
    name: String,
    /// The KMS key, by its ARN: it protects the keyring, or wraps data keys itself
    #[arg(long, value_name = "ARN", value_parser = kms_key)]
    kms_key_id: Option<String>,
    /// Makes a keyring: s3://bucket/key, file:///path or a local path
    #[arg(long, value_name = "URI")]
    keyring: Option<String>,
    /// Where the AES key goes, and the cluster reads it: s3://bucket/key, which must not be there, or a local path;
    /// DIR/NAME.key, if not given
    #[arg(long, value_name = "URI", conflicts_with = "kms_key_id")]
    key_file: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Connector {
    /// EMR's own, which releases before 7.10 have alone
    #[value(alias = "s3")]
    Emrfs,
    /// Hadoop's, as EMR has it from release 7.10 on
    S3a,
}

/// A release label, as EMR writes it.
fn label(text: &str) -> Result<String, String> {
    match release::parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("name a release label, such as emr-7.12.0".to_owned()),
    }
}

fn kms_key(text: &str) -> Result<String, String> {
    if text.starts_with("arn:") && text.contains(":kms:") && text.contains(":key/") {
        return Ok(text.to_owned());
    }
    Err(format!(
        "name the KMS key by its ARN (`aws kms describe-key --key-id {}` has it): IAM allows nothing by an alias",
        shell_word(text)
    ))
}

/// The AES key of a configuration without KMS, not stored yet.
struct KeyFile {
    place: KeyPlace,
    /// As the configuration names it.
    uri: String,
    key: Zeroizing<Vec<u8>>,
}

enum KeyPlace {
    Path(PathBuf),
    S3(ObjectUri),
}

/// A thing that was made, in words.
struct Made {
    place: String,
    what: &'static str,
}

impl Command {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        let release = release::parse(&self.release).unwrap_or_default();
        let connector = self.connector(release)?;
        emr_config::jar(Some(&self.jar))?;
        let usage = match connector {
            Connector::Emrfs => Client::S3,
            Connector::S3a => Client::S3a,
        };
        let names = match connector {
            Connector::Emrfs => &["emr.json", "policy.json", "security.json"][..],
            Connector::S3a => &["emr.json", "policy.json"],
        };
        for name in names {
            let path = self.folder.join(name);
            if path.symlink_metadata().is_ok() {
                return Err(Failure::Changed(format!(
                    "{} exists, and init replaces nothing: name another folder",
                    path.display()
                )));
            }
        }
        fs::create_dir_all(&self.folder).map_err(at(&self.folder))?;
        let key = self.new_key()?;
        let mut settings = self.settings(connector, release, key.as_ref())?;
        let summary = config_summary(&Config::parse(usage.into(), &settings)?);
        if connector == Connector::Emrfs {
            let added = authenticated_content(&settings, &summary, Some(release));
            settings.extend(added.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }

        let mut made = self.make_keys(key, aws)?;
        let conf = || Conf::of(&settings, usage);
        let mut write = |name: &str, what: &'static str, document: &Value| {
            let path = self.folder.join(name);
            write_document(&path, document)?;
            made.push(Made {
                place: path.display().to_string(),
                what,
            });
            Ok::<_, Failure>(())
        };
        write(
            "emr.json",
            "the classifications, for --configurations",
            &emr_config::classification(usage, release, &conf().load(aws)?)?,
        )?;
        if connector == Connector::Emrfs {
            let document = emr_config::for_objects(&self.jar, conf(), aws)?;
            write("security.json", "the security configuration", &document)?;
        }
        if let Some(policy) = emr_config::iam_policy(Some(&self.jar), usage, &conf().load(aws)?)? {
            write(
                "policy.json",
                "what the role of the instances must be allowed",
                &policy,
            )?;
        }
        self.tell(connector, &made, form)
    }

    fn connector(&self, release: Release) -> Result<Connector, Failure> {
        match self.connector {
            Some(Connector::S3a) if release < S3A_SINCE => Err(Failure::Usage(format!(
                "--for s3a: S3A of {} asks no keyring; releases from emr-7.10.0 on do",
                self.release
            ))),
            Some(connector) => Ok(connector),
            None if release < S3A_SINCE => Ok(Connector::Emrfs),
            None => Ok(Connector::S3a),
        }
    }

    /// A new AES key, where no KMS key is named.
    fn new_key(&self) -> Result<Option<KeyFile>, Failure> {
        if self.kms_key_id.is_some() {
            return Ok(None);
        }
        let name = format!("{}.key", self.name);
        let own = self.folder.join(name).display().to_string();
        let text = self.key_file.as_deref().unwrap_or(&own);
        let (place, uri) = if text.starts_with("s3://") {
            (KeyPlace::S3(ObjectUri::parse(text)?), text.to_owned())
        } else {
            let path = emrkeys_objects::local_path(text)?.unwrap_or_else(|| PathBuf::from(text));
            let uri = keygen::uri(&path)?;
            (KeyPlace::Path(path), uri)
        };
        let key = generate::aes(256).map_err(|error| cannot(&error))?;
        Ok(Some(KeyFile { place, uri, key }))
    }

    /// The location of the keyring as a configuration names it.
    fn keyring_uri(&self) -> Result<Option<String>, Failure> {
        match &self.keyring {
            Some(uri) if uri.contains(":/") => Ok(Some(uri.clone())),
            Some(path) => Ok(Some(keygen::uri(Path::new(path))?)),
            None => Ok(None),
        }
    }

    fn settings(
        &self,
        connector: Connector,
        release: Release,
        key: Option<&KeyFile>,
    ) -> Result<Settings, Failure> {
        let keyring = self.keyring_uri()?;
        let mut settings = Settings::new();
        let mut set = |name: String, value: &str| drop(settings.insert(name, value.to_owned()));
        let of_key = |property: &str| format!("emrkeys.key.{}.{property}", self.name);
        let key_type = match (&keyring, key) {
            (Some(_), _) => "keyring",
            (None, Some(_)) => "aes",
            (None, None) => "kms-cached",
        };
        set(of_key("type"), key_type);
        if let Some(uri) = &keyring {
            set(of_key("uri"), uri);
        }
        match (&self.kms_key_id, key, &keyring) {
            (Some(id), ..) => set(of_key("kms-key-id"), id),
            (None, Some(key), Some(_)) => set(of_key("protector-file"), &key.uri),
            (None, Some(key), None) => set(of_key("file"), &key.uri),
            (None, None, _) => {}
        }
        set("emrkeys.default.key".to_owned(), &self.name);
        if connector == Connector::Emrfs {
            // Rules may come, and see locations by this alone.
            set("fs.s3.cse.materialsDescription.enabled".to_owned(), "true");
            if release >= S3A_SINCE {
                // S3A would serve s3://, and knows nothing of EMRFS's properties.
                set(IMPLEMENTATION.to_owned(), EMRFS_CLASS);
            }
        }
        Ok(settings)
    }

    /// The AES key and the keyring. An AES key does not stay if the keyring that it would protect cannot be made.
    fn make_keys(&self, key: Option<KeyFile>, aws: &Aws) -> Result<Vec<Made>, Failure> {
        let mut made = Vec::new();
        if let Some(key) = &key {
            match &key.place {
                KeyPlace::Path(path) => write_new(path, &key.key)?,
                KeyPlace::S3(uri) => put_new(&aws.store()?, uri, key.key.clone())?,
            }
            made.push(Made {
                place: key.uri.clone(),
                what: "an AES key of 256 bits",
            });
        }
        let Some(uri) = self.keyring_uri()? else {
            return Ok(made);
        };
        let protection = Protection {
            kms_key_ids: self.kms_key_id.iter().cloned().collect(),
            files: key.iter().map(|key| key.uri.clone()).collect(),
        };
        if let Err(failure) = keyring::create(&uri, &protection, &self.name, aws) {
            if let Some(key) = &key {
                // If it cannot be removed, it is a key that nothing is under.
                let _ = match &key.place {
                    KeyPlace::Path(path) => fs::remove_file(path).is_ok(),
                    KeyPlace::S3(uri) => aws.store()?.delete(uri).is_ok(),
                };
            }
            return Err(failure);
        }
        made.push(Made {
            place: uri,
            what: "a keyring with one version",
        });
        Ok(made)
    }

    fn tell(&self, connector: Connector, made: &[Made], form: Form) -> Result<(), Failure> {
        let next = self.next(connector);
        let mut out = stdout().lock();
        if form == Form::Json {
            let made: Vec<Value> = made
                .iter()
                .map(|made| json!({ "place": made.place, "what": made.what }))
                .collect();
            return Ok(writeln!(out, "{:#}", json!({ "made": made, "next": next }))?);
        }
        writeln!(out, "Made:")?;
        let width = made
            .iter()
            .map(|made| made.place.chars().count())
            .max()
            .unwrap_or(0);
        for made in made {
            writeln!(out, "  {:width$}  {}", printable(&made.place), made.what)?;
        }
        writeln!(out, "\nNext:")?;
        for command in next {
            writeln!(out, "  {command}")?;
        }
        let security = match connector {
            Connector::Emrfs => " --security-configuration emrkeys",
            Connector::S3a => "",
        };
        writeln!(
            out,
            "\nThe cluster is then created with --release-label {} --configurations file://{}{security}, and the jar \
             in {}.",
            self.release,
            self.path("emr.json"),
            self.jar
        )?;
        if connector == Connector::Emrfs {
            writeln!(
                out,
                "security.json does not encrypt local disks: see `emrkeys emr-config security-configuration --help`."
            )?;
        }
        if connector == Connector::S3a {
            writeln!(
                out,
                "S3A also needs the jar on the class path of the nodes (docs/s3a.md, \"The jar\")."
            )?;
        }
        if made.iter().any(|made| made.place.starts_with("file:")) {
            writeln!(
                out,
                "Files of keys that are on this machine must be on every node, under the same path."
            )?;
        }
        Ok(())
    }

    /// The commands to type now, which a shell takes as they are.
    fn next(&self, connector: Connector) -> Vec<String> {
        let client = match connector {
            Connector::Emrfs => format!("--for s3 --security-configuration {}", self.path("security.json")),
            Connector::S3a => "--for s3a".to_owned(),
        };
        let doctor = format!(
            "emrkeys doctor --conf {} {client} --release {}",
            self.path("emr.json"),
            self.release
        );
        let policy = format!(
            "aws iam put-role-policy --role-name EMR_EC2_DefaultRole --policy-name emrkeys --policy-document file://{}",
            self.path("policy.json")
        );
        let last = match connector {
            Connector::Emrfs => format!(
                "aws emr create-security-configuration --name emrkeys --security-configuration file://{}",
                self.path("security.json")
            ),
            Connector::S3a => format!("aws s3 cp emrkeys.jar {}", shell_word(&self.jar)),
        };
        vec![doctor, policy, last]
    }

    /// A document in the folder, for a shell.
    fn path(&self, name: &str) -> String {
        let path = if self.folder == Path::new(".") {
            PathBuf::from(name)
        } else {
            self.folder.join(name)
        };
        shell_word(&path.display().to_string())
    }
}

/// A key in S3, where nothing was.
fn put_new(store: &Store, uri: &ObjectUri, key: Zeroizing<Vec<u8>>) -> Result<(), Failure> {
    store.put_secret(uri, key).map_err(|error| match error.code() {
        Code::ObjectChanged => Failure::Changed(format!(
            "{uri} exists, and a key that is overwritten is lost with everything under it: name another place"
        )),
        _ => error.into(),
    })
}

fn write_document(path: &Path, document: &Value) -> Result<(), Failure> {
    let mut file = NewFile::create(path).map_err(at(path))?;
    writeln!(file, "{document:#}").map_err(at(path))?;
    file.keep().map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kms_key_is_named_by_its_arn() {
        assert!(kms_key("arn:aws:kms:eu-west-1:111122223333:key/1234").is_ok());
        for other in ["alias/x", "1234", "arn:aws:kms:eu-west-1:111122223333:alias/x"] {
            assert!(kms_key(other).is_err(), "{other}");
        }
    }
}
