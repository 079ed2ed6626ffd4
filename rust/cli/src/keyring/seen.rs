//! The newest generation of each keyring that this user has seen.
//!
//! A keyring proves that its writer held the protecting key, not that it is the newest one: an older document that
//! somebody puts back is authentic, too, and a change of it would make a new generation without the versions that came
//! since. So the tool remembers the generation and the versions of every keyring that it verified, in a file for each
//! below
//! `$XDG_STATE_HOME/emrkeys/keyrings` (`~/.local/state`), and refuses a document that is older or lacks a version.
//! Nothing in these files is secret. On a machine without that memory, `--expect-generation` takes its place.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use emrkeys_core::keyring::Summary;
use emrkeys_core::{shell_word, Code};
use emrkeys_crypto::digest::sha256;
use serde::{Deserialize, Serialize};

use crate::files::NewFile;
use crate::output::{note, problem, Failure};

/// The memory of one keyring.
pub(crate) struct Seen {
    uri: String,
    /// `None`: this user has no folder for it.
    path: Option<PathBuf>,
    record: Option<Record>,
}

/// The content of a file.
#[derive(Serialize, Deserialize)]
struct Record {
    /// For people: the file's name is a digest.
    uri: String,
    generation: u64,
    /// The ids of all versions, those that were destroyed included.
    versions: Vec<String>,
}

impl Seen {
    /// The memory of the keyring at `uri` behind the S3 endpoint `endpoint`.
    ///
    /// # Errors
    /// A file that cannot be read or was damaged: without it an older keyring would be taken for the newest.
    pub(crate) fn of(uri: &str, endpoint: Option<&str>) -> Result<Seen, Failure> {
        let path = folder().map(|folder| {
            // The three schemes name the same object.
            let place = ["s3a://", "s3n://"]
                .iter()
                .find_map(|scheme| uri.strip_prefix(scheme))
                .map_or_else(|| uri.to_owned(), |rest| format!("s3://{rest}"));
            let digest = sha256(format!("{}\n{place}", endpoint.unwrap_or_default()).as_bytes());
            folder.join(format!("{}.json", hex::encode(&digest[..16])))
        });
        let record = path.as_deref().map(read).transpose()?.flatten();
        Ok(Seen {
            uri: uri.to_owned(),
            path,
            record,
        })
    }

    /// Whether a verified keyring may be worked on: it is of the generation that `expected` names, or without one, as
    /// new as any that was seen.
    ///
    /// # Errors
    /// `KEYRING_ROLLED_BACK`; `KEYRING_CHANGED` for a newer one than `expected`.
    pub(crate) fn check(&self, found: &Summary, expected: Option<u64>) -> Result<(), Failure> {
        let (uri, generation) = (&self.uri, found.generation);
        if let Some(expected) = expected {
            return match generation.cmp(&expected) {
                std::cmp::Ordering::Equal => Ok(()),
                std::cmp::Ordering::Less => Err(self.rolled_back(&format!(
                    "{uri} is of generation {generation}, and {expected} is expected"
                ))),
                std::cmp::Ordering::Greater => Err(problem(
                    Code::KeyringChanged,
                    format!("{uri} is of generation {generation}, and {expected} is expected"),
                    format!(
                        "Look at the keyring (`emrkeys keyring show {}`) and name its generation.",
                        shell_word(uri)
                    ),
                )),
            };
        }
        let Some(record) = &self.record else {
            return Ok(());
        };
        let lost: Vec<&str> = record
            .versions
            .iter()
            .filter(|id| !found.versions.iter().any(|version| version.id == **id))
            .map(String::as_str)
            .collect();
        if generation < record.generation {
            return Err(self.rolled_back(&format!(
                "{uri} is of generation {generation}, and generation {} was seen before",
                record.generation
            )));
        }
        if !lost.is_empty() {
            return Err(self.rolled_back(&format!(
                "{uri} lacks what was seen in it before: version {}",
                lost.join(", ")
            )));
        }
        Ok(())
    }

    /// Whether a new keyring may take the place, where nothing is: not if there was one. `expected` 0 means a new one.
    ///
    /// # Errors
    /// `KEYRING_ROLLED_BACK`
    pub(crate) fn check_vacant(&self, expected: Option<u64>) -> Result<(), Failure> {
        match (&self.record, expected) {
            (Some(record), None) => Err(problem(
                Code::KeyringRolledBack,
                format!(
                    "there is no keyring at {}, where one of generation {} was seen before",
                    self.uri, record.generation
                ),
                "Restore it (an older version of the object in S3, a backup): the objects under its versions need it. \
                 For a new \
                 keyring all the same, say --expect-generation 0.",
            )),
            (_, None | Some(0)) => Ok(()),
            (_, Some(expected)) => Err(problem(
                Code::KeyringRolledBack,
                format!(
                    "there is no keyring at {}, and generation {expected} is expected",
                    self.uri
                ),
                "Restore it, or say --expect-generation 0 for a new one.",
            )),
        }
    }

    fn rolled_back(&self, message: &str) -> Failure {
        problem(
            Code::KeyringRolledBack,
            message,
            "Somebody put an older keyring back; a change of it would lose versions, and their objects. Restore the \
             newest one \
             (an older version of the object in S3, a backup). If the one that is there is meant, name its generation \
             by \
             --expect-generation.",
        )
    }

    /// Remembers a verified keyring. Where that cannot be written, a warning says so and the work goes on: the keyring
    /// itself is not at fault.
    pub(crate) fn remember(&self, found: &Summary) {
        let Some(path) = &self.path else {
            return note(
                "warning: the generation of the keyring is not remembered, since neither XDG_STATE_HOME nor HOME is \
                 set; name it \
                 by --expect-generation next time",
            );
        };
        let record = Record {
            uri: self.uri.clone(),
            generation: found.generation,
            versions: found.versions.iter().map(|version| version.id.clone()).collect(),
        };
        let same = self
            .record
            .as_ref()
            .is_some_and(|known| known.generation == record.generation && known.versions == record.versions);
        if same {
            return;
        }
        if let Err(error) = write(path, &record) {
            note(format_args!(
                "warning: the generation of the keyring is not remembered: {}: {error}",
                path.display()
            ));
        }
    }
}

fn read(path: &Path) -> Result<Option<Record>, Failure> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Failure::Configuration(format!(
                "{}: it does not hold the generation of a keyring ({error}); remove it, and name the generation by \
                 --expect-generation once",
                path.display()
            ))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::File(path.to_owned(), error)),
    }
}

fn write(path: &Path, record: &Record) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = NewFile::create(path)?;
    file.write_all(format!("{:#}\n", serde_json::json!(record)).as_bytes())?;
    file.replace()
}

/// Source: XDG Base Directory Specification, `$XDG_STATE_HOME`; relative paths in it do not count.
fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("emrkeys/keyrings"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use emrkeys_core::keyring::{State, VersionSummary};

    fn keyring(generation: u64, versions: &[&str]) -> Summary {
        Summary {
            name: "lake".to_owned(),
            generation,
            updated: "2026-01-01T00:00:00Z".to_owned(),
            protector: "kms",
            protector_key: String::new(),
            versions: versions
                .iter()
                .map(|id| VersionSummary {
                    id: (*id).to_owned(),
                    created: "2026-01-01T00:00:00Z".to_owned(),
                    state: State::Active,
                })
                .collect(),
            authentic: true,
        }
    }

    fn seen(path: &Path) -> Seen {
        Seen {
            uri: "s3://keys/lake".to_owned(),
            path: Some(path.to_owned()),
            record: read(path).ok().flatten(),
        }
    }

    fn code(result: Result<(), Failure>) -> Option<Code> {
        match result {
            Ok(()) => None,
            Err(Failure::Core(error)) => Some(error.code()),
            Err(_) => Some(Code::Internal),
        }
    }

    #[test]
    fn a_keyring_is_as_new_as_any_that_was_seen_or_is_named_by_its_generation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/lake.json");
        assert_eq!(code(seen(&path).check(&keyring(1, &["1-a"]), None)), None);
        seen(&path).remember(&keyring(3, &["1-a", "2-b"]));
        let known = seen(&path);
        let back = Some(Code::KeyringRolledBack);
        for (found, expected, result) in [
            (keyring(3, &["1-a", "2-b"]), None, None),
            (keyring(4, &["1-a", "2-b", "3-c"]), None, None),
            (keyring(2, &["1-a"]), None, back),
            // Another line of changes from the same beginning.
            (keyring(3, &["1-a", "2-x"]), None, back),
            (keyring(9, &["1-a", "2-x"]), None, back),
            (keyring(2, &["1-a"]), Some(2), None),
            (keyring(2, &["1-a"]), Some(3), back),
            (keyring(4, &["1-a", "2-b"]), Some(3), Some(Code::KeyringChanged)),
        ] {
            assert_eq!(
                code(known.check(&found, expected)),
                result,
                "{found:?} {expected:?}"
            );
        }
        assert_eq!(code(known.check_vacant(None)), back);
        assert_eq!(code(known.check_vacant(Some(0))), None);
        assert_eq!(code(known.check_vacant(Some(2))), back);
    }

    #[test]
    fn a_damaged_memory_is_no_memory_of_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lake.json");
        assert!(matches!(read(&path), Ok(None)));
        fs::write(&path, "{").unwrap();
        assert!(read(&path).is_err());
    }
}
