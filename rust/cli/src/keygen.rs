//! `emrkeys keygen …`

use std::fmt::Write as _;
use std::io::{stdout, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use clap::{Args, Subcommand, ValueEnum};
use emrkeys_core::{is_name, Code, Problem};
use emrkeys_crypto::generate;
use serde_json::json;
use zeroize::Zeroizing;

use crate::files::NewFile;
use crate::output::{problem, Failure};
use crate::text::printable;
use crate::Form;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Makes a file with an AES key
    #[command(after_help = "\
Example:
  emrkeys keygen aes /etc/emrkeys/audit.key")]
    Aes {
        /// The file to make; it must not exist
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Length of the key
        #[arg(long, default_value = "256", value_parser = ["128", "192", "256"])]
        bits: String,
        /// How the key is written
        #[arg(long, value_name = "FORM", default_value = "raw")]
        encoding: Encoding,
        #[command(flatten)]
        naming: Naming,
    },
    /// Makes two files with an RSA pair: FILE.pk8 (private, PKCS#8) and FILE.pub (public, X.509), both PEM
    #[command(after_help = "\
Example:
  emrkeys keygen rsa /etc/emrkeys/main")]
    Rsa {
        /// The files to make, without their endings; they must not exist
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Length of the modulus
        #[arg(long, default_value = "3072", value_parser = ["2048", "3072", "4096"])]
        bits: String,
        #[command(flatten)]
        naming: Naming,
    },
}

#[derive(Args)]
pub(crate) struct Naming {
    /// The name of the key in the properties that are printed; that of the file without its ending, if not given
    #[arg(long, value_name = "KEY", value_parser = key_name)]
    name: Option<String>,
}

impl Naming {
    /// Each file makes a key of its own: one name for all would put the second in the place of the first.
    fn of(&self, file: &Path) -> Result<String, Failure> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let name: String = stem
            .chars()
            .map(|c| {
                if is_name(c.encode_utf8(&mut [0; 4])) {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        key_name(&name).map_err(|why| {
            let name = printable(&name);
            Failure::Usage(format!(
                "{name} cannot be the name of a key: {why}; give one by --name"
            ))
        })
    }
}

/// For options that name a key.
pub(crate) fn key_name(name: &str) -> Result<String, &'static str> {
    if is_name(name) {
        Ok(name.to_owned())
    } else {
        Err("names are 1 to 64 letters, digits, '-' and '_'")
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Encoding {
    /// The bytes themselves
    Raw,
    /// Hexadecimal digits
    Hex,
    /// Base64 (RFC 4648)
    Base64,
}

impl Command {
    pub(crate) fn run(&self, form: Form) -> Result<(), Failure> {
        match self {
            Command::Aes {
                file,
                bits,
                encoding,
                naming,
            } => {
                let name = naming.of(file)?;
                let key = generate::aes(number(bits)?).map_err(|error| cannot(&error))?;
                let text = match encoding {
                    Encoding::Raw => key,
                    Encoding::Hex => line(hex::encode(&*key)),
                    Encoding::Base64 => line(Base64::encode_string(&key)),
                };
                let properties = [("type", "aes".to_owned()), ("file", uri(file)?)];
                write_new(file, &text)?;
                tell(&[file], &name, &properties, form)
            }
            Command::Rsa { file, bits, naming } => {
                // Its name is given without an ending.
                let name = naming.of(&with_ending(file, ".pk8"))?;
                let (private, public) = (with_ending(file, ".pk8"), with_ending(file, ".pub"));
                for file in [&private, &public] {
                    if file.symlink_metadata().is_ok() {
                        return Err(exists(file));
                    }
                }
                let pair = generate::rsa(number(bits)?).map_err(|error| cannot(&error))?;
                write_new(&private, pair.private.as_bytes())?;
                write_new(&public, pair.public.as_bytes())?;
                let properties = [
                    ("type", "rsa".to_owned()),
                    ("public", uri(&public)?),
                    ("private", uri(&private)?),
                ];
                tell(&[&private, &public], &name, &properties, form)
            }
        }
    }
}

fn number(bits: &str) -> Result<usize, Failure> {
    bits.parse()
        .map_err(|_| Failure::Usage(format!("--bits {bits}: write a number")))
}

fn line(text: String) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(text.into_bytes());
    bytes.push(b'\n');
    bytes
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A file that appears whole, with a key that only its owner can read, where nothing was.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() {
        return Err(exists(path));
    }
    let failed = |error: std::io::Error| cannot(&format!("{}: {error}", path.display()));
    let mut file = NewFile::create(path).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.keep().map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => failed(error),
    })
}

fn exists(path: &Path) -> Failure {
    let problem = Problem::new(
        Code::KeyFileExists,
        format!(
            "{} exists, and a key that is overwritten is lost with everything under it",
            path.display()
        ),
        "Name another file.",
    );
    Failure::Changed(problem.to_string())
}

/// The failure to make a key.
pub(crate) fn cannot(why: &dyn std::fmt::Display) -> Failure {
    problem(
        Code::KeyFileUnwritable,
        format!("the key could not be made: {why}"),
        "See that the folder is there and can be written, and that the disk is not full.",
    )
}

/// All bytes but those that mean themselves in a URI, a properties file, a site file and a shell are written `%XX`.
pub(crate) fn uri(path: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path).map_err(|error| cannot(&error))?;
    let mut uri = "file://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    Ok(uri)
}

fn tell(files: &[&Path], name: &str, properties: &[(&str, String)], form: Form) -> Result<(), Failure> {
    let properties = properties
        .iter()
        .map(|(property, value)| (format!("emrkeys.key.{name}.{property}"), value));
    let mut out = stdout().lock();
    if form == Form::Json {
        let files: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
        let properties: serde_json::Map<_, _> =
            properties.map(|(name, value)| (name, json!(value))).collect();
        return Ok(writeln!(
            out,
            "{:#}",
            json!({ "files": files, "properties": properties })
        )?);
    }
    for (name, value) in properties {
        writeln!(out, "{name}={value}")?;
    }
    Ok(())
}
