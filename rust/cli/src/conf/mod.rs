//! The configuration of a cluster, as files and options name it.

mod emr;
mod release;
mod site;
mod spark;
mod xml;

use std::fmt;
use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use emrkeys_core::{
    Config, Error, InputRef, InputValue, Inputs, Problem, Provider, Report, Settings, CATALOGS,
};
use encoding_rs::{Encoding, UTF_8};

use crate::aws::Aws;
use crate::output::{note, Failure};
pub(crate) use release::ReleaseOption;
pub(crate) use site::OURS;
pub use site::{Origin, Property, Resource, Site};

/// The longest configuration file that is read, in bytes. The largest that EMR makes have some hundred kilobytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The site files of a folder, in the order in which they win over each other.
const SITE_FILES: [&str; 4] = [
    "core-site.xml",
    "hdfs-site.xml",
    "emrfs-site.xml",
    "mapred-site.xml",
];

/// Why a configuration file is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    path: PathBuf,
    line: Option<u32>,
    what: String,
    denied: bool,
}

impl Refused {
    fn at(path: &Path, line: Option<u32>, what: impl Into<String>) -> Self {
        Refused {
            path: path.to_owned(),
            line,
            what: what.into(),
            denied: false,
        }
    }

    /// Where in the file, from 1 on.
    pub fn line(&self) -> Option<u32> {
        self.line
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        if refused.denied {
            return Failure::Denied(refused.to_string());
        }
        Failure::Configuration(refused.to_string())
    }
}

/// The properties of a configuration, expanded, and where each was set.
pub(crate) struct Loaded {
    settings: Settings,
    site: Site,
}

impl Deref for Loaded {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

/// For what else than the files sets properties, such as a security configuration.
impl DerefMut for Loaded {
    fn deref_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }
}

impl Loaded {
    /// The release of EMR that a document of the configuration names, such as `emr-7.12.0`.
    pub(crate) fn release(&self) -> Option<&str> {
        self.site.release()
    }

    /// The settings of the files that have no effect, though they look so.
    pub(crate) fn warnings(&self) -> &[String] {
        self.site.warnings()
    }

    /// The error, with the file and line of every property that it names.
    pub(crate) fn located(&self, error: Error) -> Error {
        error.map(|problem| {
            let origin = problem
                .property
                .as_deref()
                .and_then(|name| self.site.origin(name));
            match origin {
                Some(origin) => Problem {
                    message: format!("{} ({origin})", problem.message),
                    ..problem
                },
                None => problem,
            }
        })
    }
}

/// Names the files to use if `--conf` is not given, separated as in `PATH`.
const VARIABLE: &str = "EMRKEYS_CONF";

/// The options that name the files and properties of a configuration.
#[derive(Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Files {
    /// A site file, an EMR configuration in JSON, a Spark properties file, a folder with site files, or - for standard
    /// input; several by repeating. Later files win, and Spark's properties win over all site files. Without --conf,
    /// the environment variable EMRKEYS_CONF names the files, separated by colons
    #[arg(long, value_name = "FILE|DIR")]
    conf: Vec<PathBuf>,
    /// A property; it wins over all files
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    define: Vec<String>,
    /// Whether the environment names no files.
    #[arg(skip)]
    alone: bool,
}

/// The options that say which configuration is meant, and for which client.
#[derive(Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Conf {
    #[command(flatten)]
    pub(crate) files: Files,
    /// The client that asks for the keys
    #[arg(long = "for", value_name = "CLIENT", default_value = "s3")]
    pub(crate) usage: Client,
}

/// The client that asks for keys.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// EMRFS, or another client of the SDK v1
    S3,
    /// Hadoop's S3A
    S3a,
    /// EMR's local disks
    LocalDisk,
    /// Parquet and Iceberg, which name the keys of files and columns themselves
    Tables,
}

impl From<Client> for emrkeys_core::Client {
    fn from(client: Client) -> emrkeys_core::Client {
        match client {
            Client::S3 => emrkeys_core::Client::S3,
            Client::S3a => emrkeys_core::Client::S3a,
            Client::LocalDisk => emrkeys_core::Client::LocalDisk,
            Client::Tables => emrkeys_core::Client::Tables,
        }
    }
}

impl Files {
    /// Whether anything names a configuration.
    pub(crate) fn is_given(&self) -> bool {
        !self.paths().is_empty() || !self.define.is_empty()
    }

    fn paths(&self) -> Vec<PathBuf> {
        if !self.conf.is_empty() {
            return self.conf.clone();
        }
        if self.alone {
            return Vec::new();
        }
        let variable = std::env::var_os(VARIABLE).unwrap_or_default();
        std::env::split_paths(&variable)
            .filter(|path| !path.as_os_str().is_empty())
            .collect()
    }

    /// Everything that the files and options say, and where.
    fn site(&self) -> Result<Site, Failure> {
        let mut site = Site::default();
        for path in self.paths() {
            add(&mut site, &path)?;
        }
        for property in &self.define {
            match property.split_once('=') {
                Some((name, value)) if !name.trim().is_empty() => site.define(name.trim(), value),
                _ => return Err(Failure::Usage(format!("-D {property}: write NAME=VALUE"))),
            }
        }
        site.warn_of_variables(environment);
        site.warn_of_near_misses();
        Ok(site)
    }

    /// All properties that the files and options give, expanded. Standard error gets what is left out.
    ///
    /// # Errors
    /// The command line is wrong if nothing names a configuration; what is wrong with the files.
    pub(crate) fn load(&self, aws: &Aws) -> Result<Loaded, Failure> {
        if !self.is_given() {
            return Err(Failure::Usage(format!(
                "no configuration is given: name the files of the cluster by --conf FILE|DIR or in {VARIABLE}, or \
                 properties \
                 by -D NAME=VALUE"
            )));
        }
        self.load_if_given(aws)
    }

    /// As [`Files::load`], for commands that have an answer without a configuration, too.
    pub(crate) fn load_if_given(&self, aws: &Aws) -> Result<Loaded, Failure> {
        let site = self.site()?;
        for warning in site.warnings() {
            note(format_args!("warning: {warning}"));
        }
        let mut settings = site.settings(environment).map_err(Failure::Configuration)?;
        let mut preset = |name: &str, value: &str| {
            settings
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        };
        if let Some(endpoint) = &aws.endpoint_url {
            preset("emrkeys.s3.endpoint", endpoint);
            preset("emrkeys.s3.path-style-access", "true");
        }
        Ok(Loaded { settings, site })
    }

    /// The provider for a client, with every key that it needs at its start. Its warnings go to standard error.
    pub(crate) fn open_provider(&self, client: Client, aws: &Aws) -> Result<Provider, Failure> {
        let settings = self.load(aws)?;
        let config = Config::parse(client.into(), &settings);
        let (provider, report) = config.and_then(open).map_err(|error| settings.located(error))?;
        for warning in report.warnings {
            note(format_args!("warning: {warning}"));
        }
        Ok(provider)
    }
}

impl Conf {
    /// These properties, without any file.
    pub(crate) fn of(properties: &Settings, usage: Client) -> Conf {
        let define = properties.iter().map(|(name, value)| format!("{name}={value}"));
        Conf {
            files: Files {
                conf: Vec::new(),
                define: define.collect(),
                alone: true,
            },
            usage,
        }
    }

    /// As [`Files::load`].
    pub(crate) fn load(&self, aws: &Aws) -> Result<Loaded, Failure> {
        self.files.load(aws)
    }

    /// The provider of this configuration, with every key that its use needs. Its warnings go to standard error.
    pub(crate) fn open_provider(&self, aws: &Aws) -> Result<Provider, Failure> {
        self.files.open_provider(self.usage, aws)
    }

    /// The provider of this configuration, each key of which is opened when an object needs it.
    pub(crate) fn open_lazily(&self, aws: &Aws) -> Result<Provider, Failure> {
        let settings = self.load(aws)?;
        let provider = Config::parse(self.usage.into(), &settings).and_then(open_lazily);
        Ok(provider.map_err(|error| settings.located(error))?)
    }
}

/// Takes the properties of a file over, or those of the site files in a folder.
fn add(site: &mut Site, path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        let files: Vec<PathBuf> = SITE_FILES
            .iter()
            .map(|name| path.join(name))
            .filter(|file| file.exists())
            .collect();
        if files.is_empty() {
            let what = format!("the folder has none of {}", SITE_FILES.join(", "));
            return Err(Refused::at(path, None, what).into());
        }
        for file in files {
            site.add(parse(&file, &read(&file)?)?);
        }
        return Ok(());
    }
    let mut resource = parse(path, &read(path)?)?;
    if resource.properties.is_empty() && resource.warnings.is_empty() && resource.release.is_none() {
        let warning = format!("{}: it gives Hadoop no property", path.display());
        resource.warnings.push(warning);
    }
    site.add(resource);
    Ok(())
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The start of a problem that Hadoop does not have.
pub(crate) const ONLY_HADOOP: &str = "only Hadoop can";

/// The provider of a configuration, with every key that its client needs.
pub(crate) fn open(config: impl Into<Arc<Config>>) -> Result<(Provider, Report), Error> {
    let config = config.into();
    Provider::open(Arc::clone(&config), &inputs(&config))
}

/// The provider of a configuration, each key of which is opened when an object needs it.
pub(crate) fn open_lazily(config: impl Into<Arc<Config>>) -> Result<Provider, Error> {
    let config = config.into();
    let inputs = inputs(&config);
    Provider::open_lazily(config, inputs)
}

/// The inputs of a configuration. A file that only Hadoop can open is a failure of the key that needs it.
fn inputs(config: &Config) -> Inputs {
    config
        .required_inputs()
        .into_iter()
        .map(|input| {
            let why = match &input {
                InputRef::Uri(_) => {
                    "read it: run `hadoop jar emrkeys.jar doctor` on a node, or copy the file and name \
                    the copy by -D"
                }
                InputRef::Credential(_) => {
                    "open its credential providers: run `hadoop jar emrkeys.jar doctor` on a \
                    node, or name a key file by -D"
                }
            };
            (input, InputValue::Failed(format!("{ONLY_HADOOP} {why}")))
        })
        .collect()
}

/// The properties of a file, whatever its format.
///
/// # Errors
/// The fault, and its place.
pub fn parse(path: &Path, text: &str) -> Result<Resource, Refused> {
    match text.trim_start_matches('\u{feff}').trim_start().chars().next() {
        Some('<') => xml::parse(
            path,
            text.trim_start_matches('\u{feff}')
                .trim_start_matches(char::is_whitespace),
        )
        .map(Resource::from),
        Some('[' | '{') => emr::parse(path, text.trim_start_matches('\u{feff}')),
        Some(_) => spark::parse(path, text),
        None => Err(Refused::at(path, None, "the file is empty")),
    }
}

/// The name under which a property of Spark's is read here: that which Hadoop gets, or the whole of one of a catalog.
fn property_of_spark(name: &str) -> Option<&str> {
    name.strip_prefix("spark.hadoop.")
        .or_else(|| name.starts_with(CATALOGS).then_some(name))
}

fn left_out_by_spark(origin: &Origin, name: &str) -> String {
    format!("{origin}: Spark leaves {name} out, which does not begin with spark.: write spark.hadoop.{name}")
}

/// The text of a configuration file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String, Refused> {
    let cannot = |error: std::io::Error| Refused {
        denied: error.kind() == std::io::ErrorKind::PermissionDenied,
        ..Refused::at(path, None, format!("it cannot be read ({error})"))
    };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(cannot)?)
    };
    let mut bytes = Vec::new();
    source
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        let what = format!("it has more than {MAX_FILE} bytes, which no configuration has");
        return Err(Refused::at(path, None, what));
    }
    decoded(path, bytes)
}

/// The text, in the encoding that the first bytes or an XML declaration name, UTF-8 otherwise.
fn decoded(path: &Path, bytes: Vec<u8>) -> Result<String, Refused> {
    let label = declared_encoding(&bytes);
    let encoding = match (Encoding::for_bom(&bytes), label) {
        (Some((encoding, _)), _) => encoding,
        (None, None) => UTF_8,
        // A declaration that can be read by its bytes is not in UTF-16.
        (None, Some(label)) => Encoding::for_label(label.as_bytes())
            .filter(|encoding| encoding.is_ascii_compatible())
            .ok_or_else(|| {
                Refused::at(
                    path,
                    Some(1),
                    format!(
                        "it is not in the encoding that it declares, {label:?}, or that is not known here"
                    ),
                )
            })?,
    };
    let (text, _, malformed) = encoding.decode(&bytes);
    if !malformed {
        return Ok(text.into_owned());
    }
    let line = std::str::from_utf8(&bytes)
        .err()
        .filter(|_| encoding == UTF_8)
        .and_then(|error| {
            let before = &bytes[..error.valid_up_to()];
            u32::try_from(before.iter().filter(|byte| **byte == b'\n').count() + 1).ok()
        });
    let what = match label {
        Some(label) => format!("it is not {label}, which it declares"),
        None => format!("it is not {}, and declares no other encoding", encoding.name()),
    };
    Err(Refused::at(path, line, what))
}

/// The encoding that an XML declaration names.
fn declared_encoding(bytes: &[u8]) -> Option<&str> {
    let rest = bytes.strip_prefix(b"<?xml")?;
    let end = rest.windows(2).position(|two| two == b"?>")?;
    let (_, rest) = std::str::from_utf8(&rest[..end]).ok()?.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|quote| "'\"".contains(*quote))?;
    rest[1..].split_once(quote).map(|(label, _)| label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_in_the_encoding_that_it_declares() {
        let decoded = |bytes: &[u8]| decoded(Path::new("x.xml"), bytes.to_vec());
        let latin = b"<?xml version=\"1.0\" encoding='ISO-8859-1'?><configuration>\xe9</configuration>";
        assert!(decoded(latin).unwrap().contains("<configuration>é<"));
        assert_eq!(decoded(b"\xff\xfea\0").unwrap(), "a");
        assert_eq!(decoded("é".as_bytes()).unwrap(), "é");
        for (bytes, told) in [
            (
                &b"<configuration>\n\xe9</configuration>"[..],
                "x.xml, line 2: it is not UTF-8, and declares no other",
            ),
            (
                b"<?xml version='1.0' encoding='UTF-8'?>\n\xe9",
                "x.xml, line 2: it is not UTF-8, which it declares",
            ),
            (
                b"<?xml version='1.0' encoding='UTF-16'?>",
                "x.xml, line 1: it is not in the encoding",
            ),
            (
                b"<?xml version='1.0' encoding='none'?>",
                "x.xml, line 1: it is not in the encoding",
            ),
        ] {
            let refused = decoded(bytes).unwrap_err().to_string();
            assert!(refused.starts_with(told), "{refused}");
        }
    }
}
