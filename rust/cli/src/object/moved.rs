//! The line of `get` and `put` on an object that is where it should be, and the names that folders give.

use std::ffi::OsStr;
use std::io::{stdout, Write};
use std::path::{Path, PathBuf};

use emrkeys_core::Provider;
use emrkeys_objects::{Envelope, ObjectUri};
use serde_json::json;

use super::Place;
use crate::output::{is_quiet, note, shown, Failure};
use crate::text::{counted, printable};
use crate::Form;

/// The name of standard input and standard output on a command line.
const STANDARD: &str = "-";

/// Whether a file on the command line is standard input or output.
pub(crate) fn is_standard(file: &Path) -> bool {
    file == Path::new(STANDARD)
}

/// One object that was encrypted or decrypted.
pub(super) struct Moved {
    pub(super) from: String,
    pub(super) to: String,
    /// The content's length.
    pub(super) bytes: u64,
    /// The name of the key in the configuration; `None` if neither the object nor the configuration names one.
    pub(super) key: Option<String>,
    pub(super) version: Option<String>,
    /// Whether the whole content is known to be what its writer encrypted.
    pub(super) authenticated: bool,
}

impl Moved {
    pub(super) fn new(provider: &Provider, envelope: &Envelope) -> Moved {
        let configured = provider.key_of(envelope).ok().flatten().map(|found| found.key);
        Moved {
            from: String::new(),
            to: String::new(),
            bytes: 0,
            key: configured.or_else(|| envelope.key().map(str::to_owned)),
            version: envelope.version().map(str::to_owned),
            authenticated: true,
        }
    }

    /// Prints one line, or the document; on standard error if the content is on standard output.
    pub(super) fn print(&self, form: Form) -> Result<(), Failure> {
        let text = match form {
            Form::Json => format!(
                "{:#}",
                json!({
                    "from": self.from, "to": self.to, "objects": 1, "bytes": self.bytes, "key": self.key,
                    "version": self.version, "authenticated": self.authenticated,
                })
            ),
            Form::Text if is_quiet() => return Ok(()),
            Form::Text => {
                let key = self.key.as_deref().unwrap_or("not named");
                let line = format!(
                    "{} to {}: key {key}, {}, {}",
                    self.from,
                    self.to,
                    counted(self.bytes, "byte"),
                    counted(1, "object")
                );
                printable(&line)
            }
        };
        if self.to != STANDARD {
            return shown(writeln!(stdout().lock(), "{text}").map_err(Failure::Output));
        }
        for line in text.lines() {
            note(line);
        }
        Ok(())
    }
}

/// The file that an object goes to: where `file` is a folder, the file in it with the last part of the object's name.
/// A folder that ends in a slash is made.
pub(super) fn file_for(file: &Path, place: &Place) -> Result<PathBuf, Failure> {
    let ends_in_slash = file.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !ends_in_slash && !file.is_dir() {
        return Ok(file.to_owned());
    }
    let name = match place {
        Place::S3(uri) => uri.key.rsplit('/').next().map(OsStr::new),
        Place::File(path) => path.file_name(),
    };
    let name = name.filter(|name| is_file_name(name)).ok_or_else(|| {
        Failure::Usage(format!(
            "{}: it is a folder, and the name of {place} is not one of a file: name the file",
            file.display()
        ))
    })?;
    if ends_in_slash {
        std::fs::create_dir_all(file).map_err(crate::output::at(file))?;
    }
    Ok(file.join(name))
}

/// Whether a key of S3 may be the name of a file as it is.
pub(super) fn is_file_name(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&0) && !bytes.contains(&b'/')
}

/// Where a file goes: where `uri` is a folder, the object in it with the file's own name.
pub(super) fn object_for(uri: &str, file: &Path) -> Result<Place, Failure> {
    let place = Place::parse(uri)?;
    let is_folder = match &place {
        Place::S3(object) if object.key.is_empty() && !uri.ends_with('/') => {
            return Err(Failure::Usage(format!(
                "{uri} is a bucket: name the object, or end it with a slash to take the name of the file"
            )))
        }
        Place::S3(_) => uri.ends_with('/'),
        Place::File(path) => uri.ends_with('/') || path.is_dir(),
    };
    if !is_folder {
        return Ok(place);
    }
    let name = file.file_name().filter(|_| !is_standard(file));
    let Some(name) = name.and_then(OsStr::to_str) else {
        return Err(Failure::Usage(format!(
            "{uri} is a folder, and {} has no name that an object could take: name the object",
            if is_standard(file) {
                "standard input".to_owned()
            } else {
                file.display().to_string()
            }
        )));
    };
    Ok(match place {
        Place::S3(object) => Place::S3(ObjectUri {
            key: format!("{}{name}", object.key),
            ..object
        }),
        Place::File(folder) => Place::File(folder.join(name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(uri: &str, file: &str) -> Option<String> {
        object_for(uri, Path::new(file))
            .ok()
            .map(|place| place.to_string())
    }

    #[test]
    fn a_folder_takes_the_name_of_the_file() {
        for (uri, file, wanted) in [
            ("s3://lake/", "in", Some("s3://lake/in")),
            ("s3://lake/a/", "/x/in put", Some("s3://lake/a/in put")),
            ("s3://lake/a", "in", Some("s3://lake/a")),
            ("s3://lake", "in", None),
            ("s3://lake/a/", "-", None),
            ("s3://lake/a", "-", Some("s3://lake/a")),
            ("file:///nowhere/a/", "in", Some("file:///nowhere/a/in")),
        ] {
            assert_eq!(named(uri, file).as_deref(), wanted, "{uri} {file}");
        }
    }

    #[test]
    fn an_object_is_named_in_a_folder_by_the_last_part_of_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let into = |key: &str| {
            let uri = ObjectUri {
                bucket: "lake".to_owned(),
                key: key.to_owned(),
            };
            file_for(folder.path(), &Place::S3(uri)).ok()
        };
        assert_eq!(into("a/b%20c"), Some(folder.path().join("b%20c")));
        for key in ["a/", "", "a/..", "a/.", "a/b\0"] {
            assert_eq!(into(key), None, "{key:?}");
        }
        let new = folder.path().join("new/");
        let uri = Place::File("/x/y".into());
        assert_eq!(file_for(&new, &uri).ok(), Some(folder.path().join("new/y")));
        assert!(new.is_dir());
    }
}
