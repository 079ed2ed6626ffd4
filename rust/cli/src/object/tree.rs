//! `get` and `put` with `--recursive`: a folder of files, and the objects below a prefix.

use std::collections::BTreeSet;
use std::io::{stdout, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use emrkeys_core::Code;
use emrkeys_objects::{ObjectUri, Pace};
use serde_json::{json, Value};

use super::moved::{is_file_name, Moved};
use super::Place;
use crate::output::{at, is_quiet, note, problem, shown, Failure};
use crate::progress::is_set;
use crate::text::{counted, printable};
use crate::Form;

/// Objects at work at once. Each may be in parts of some megabytes, several of them on their way.
pub(super) const PACE: Pace = Pace {
    jobs: 4,
    per_second: None,
};
/// Failures that are named one by one.
const NAMED: u64 = 10;

/// The prefix of a folder of objects.
pub(super) fn folder_of_objects(place: Place) -> Result<ObjectUri, Failure> {
    match place {
        Place::S3(uri) if uri.key.is_empty() || uri.key.ends_with('/') => Ok(uri),
        Place::S3(uri) => Ok(ObjectUri {
            key: format!("{}/", uri.key),
            ..uri
        }),
        Place::File(_) => Err(Failure::Usage(
            "--recursive: the objects are in S3, below s3://bucket/prefix/".to_owned(),
        )),
    }
}

/// The file for an object, by the part of its key below the prefix.
///
/// # Errors
/// For a key that is no path of files: `a/../b`, `a//b`.
pub(super) fn path_below(folder: &Path, below: &str) -> Result<PathBuf, Failure> {
    let mut path = folder.to_owned();
    for part in below.split('/') {
        if !is_file_name(part.as_ref()) {
            return Err(problem(
                Code::InvalidUri,
                "its key is not the path of a file",
                "Get the object alone, under a name of your own.",
            ));
        }
        path.push(part);
    }
    Ok(path)
}

/// The files of a folder and of those in it, in order, each with its path below the folder. Links are followed, but for
/// those to folders.
pub(super) fn files_of(folder: &Path) -> Result<Vec<(PathBuf, String)>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, below)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(at(&path)(std::io::Error::other(
                    "its name is not UTF-8, which keys are",
                )));
            };
            if entry.file_type().map_err(at(&path))?.is_dir() {
                folders.push((path, format!("{below}{name}/")));
            } else if path.metadata().map_err(at(&path))?.is_file() {
                found.push((path, format!("{below}{name}")));
            } else {
                note(format_args!("note: {} is no file, and left out", path.display()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The outcome for many objects.
#[derive(Default)]
pub(super) struct Sums {
    objects: u64,
    bytes: u64,
    keys: BTreeSet<String>,
    failed: u64,
    errors: Vec<Value>,
}

impl Sums {
    /// Adds one; `None` for one that is no object of its own.
    pub(super) fn add(&mut self, what: &str, result: Result<Option<Moved>, Failure>) {
        let failure = match result {
            Ok(None) | Err(Failure::Interrupted) => return,
            Ok(Some(moved)) => {
                self.objects += 1;
                self.bytes += moved.bytes;
                self.keys.extend(moved.key);
                return;
            }
            Err(failure) => failure,
        };
        self.failed += 1;
        if self.failed > NAMED {
            return;
        }
        let (code, message) = match &failure {
            Failure::Core(error) => (Some(error.code().as_str()), error.to_string()),
            Failure::File(path, error) => (None, format!("{}: {error}", path.display())),
            _ => (None, "it could not be worked on".to_owned()),
        };
        note(format_args!("{what}: {message}"));
        self.errors
            .push(json!({ "what": what, "code": code, "message": message }));
    }

    /// Prints what was done.
    ///
    /// # Errors
    /// `OBJECTS_FAILED`, `NoObjects`, `Interrupted`.
    pub(super) fn end(self, from: &str, to: &str, form: Form, stop: &AtomicBool) -> Result<(), Failure> {
        shown(self.print(from, to, form))?;
        if is_set(stop) {
            return Err(Failure::Interrupted);
        }
        if self.failed > 0 {
            return Err(problem(
                Code::ObjectsFailed,
                format!("{} failed", counted(self.failed, "object")),
                "See the lines above; the others are done.",
            ));
        }
        if self.objects == 0 {
            return Err(Failure::NoObjects(format!(
                "there is nothing in {}",
                printable(from)
            )));
        }
        Ok(())
    }

    fn print(&self, from: &str, to: &str, form: Form) -> Result<(), Failure> {
        let mut out = stdout().lock();
        if form == Form::Json {
            let document = json!({
                "from": from, "to": to, "objects": self.objects, "bytes": self.bytes, "keys": self.keys,
                "failed": self.failed, "errors": self.errors,
            });
            return Ok(writeln!(out, "{document:#}")?);
        }
        if is_quiet() {
            return Ok(());
        }
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        let keys = match keys.as_slice() {
            [] => "no key".to_owned(),
            [one] => format!("key {one}"),
            many => format!("keys {}", many.join(", ")),
        };
        let line = format!(
            "{from} to {to}: {keys}, {}, {}",
            counted(self.bytes, "byte"),
            counted(self.objects, "object")
        );
        Ok(writeln!(out, "{}", printable(&line))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_folder() {
        let folder = Path::new("/out");
        let path = |below| path_below(folder, below).ok();
        assert_eq!(path("a/b%2F c"), Some("/out/a/b%2F c".into()));
        for below in ["../a", "a/../../b", "a//b", "/a", "a/", ".", "a\0b", ""] {
            assert_eq!(path(below), None, "{below:?}");
        }
    }

    #[test]
    fn all_files_of_a_folder_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("b/c")).unwrap();
        for name in ["z", "b/c/y", "b/x"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("z", folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("to-folder")).unwrap();
        let found: Vec<String> = files_of(folder.path())
            .ok()
            .unwrap()
            .into_iter()
            .map(|(_, below)| below)
            .collect();
        assert_eq!(found, ["b/c/y", "b/x", "link", "z"]);
    }
}
