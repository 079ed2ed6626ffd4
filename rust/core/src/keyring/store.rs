//! Where keyrings lie, for those who write them: a local file or an object in S3.
//!
//! A write happens only if the keyring is still as it was read, so that of two operators at once one gets an error. On
//! a local disk a lock of the folder and a comparison see to it, in S3 a conditional request.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, RenameFlags};
use secrecy::ExposeSecret;

use super::document::{Document, Malformed};
use crate::aws::S3Access;
use crate::error::{excerpt, shell_word, Code, Problem};
use crate::inputs::Inputs;
use crate::material::s3::{self, Condition};
use crate::material::{self, Location, Permissions, Secrecy};

/// The subject of messages where no property is at fault.
const WHAT: &str = "keyring";
/// How long to wait for another operator's write to the same folder.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the document in `bytes`, which were found at `shown`.
///
/// # Errors
/// `KEYRING_INVALID`, at `property`.
pub(crate) fn parse(property: &str, shown: &str, bytes: &[u8]) -> Result<Document, Problem> {
    Document::parse(bytes).map_err(|Malformed(what)| {
        Problem::at(
            property,
            Code::KeyringInvalid,
            format!("{} is not a keyring: {what}", excerpt(shown)),
            "Restore the keyring, or correct the location.",
        )
    })
}

pub(super) struct Store {
    place: Place,
    uri: String,
}

enum Place {
    File(PathBuf),
    S3 {
        bucket: String,
        key: String,
        access: S3Access,
    },
}

/// A keyring as it was read.
pub(super) struct Stored {
    pub(super) bytes: Vec<u8>,
    /// In S3.
    tag: Option<String>,
}

impl Store {
    /// A store for a URI or the path of a local file.
    pub(super) fn new(uri: &str, access: &S3Access) -> Result<Self, Problem> {
        let invalid = |what: String, remedy: &str| Problem::at(WHAT, Code::InvalidUri, what, remedy);
        if !uri.contains(':') && !uri.is_empty() {
            let path = std::path::absolute(uri).map_err(|error| {
                invalid(
                    format!("{} is no path: {error}", excerpt(uri)),
                    "Write it as file:///path.",
                )
            })?;
            return Ok(Store {
                uri: format!("file://{}", path.display()),
                place: Place::File(path),
            });
        }
        let place = match Location::literal(WHAT, uri)? {
            Location::File(path) => Place::File(path),
            Location::S3 { bucket, key } => Place::S3 {
                bucket,
                key,
                access: access.clone(),
            },
            Location::External(_) => {
                return Err(invalid(
                    format!("{} is neither a local file nor an object in S3", excerpt(uri)),
                    "For a file system of Hadoop's, copy the keyring to this machine (`hdfs dfs -get`), \
                     change it here, and put it back (`hdfs dfs -put -f`).",
                ))
            }
        };
        Ok(Store {
            place,
            uri: uri.to_owned(),
        })
    }

    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    pub(super) fn read(&self) -> Result<Stored, Problem> {
        let (bytes, tag) = match &self.place {
            Place::File(path) => (read_file(path)?, None),
            Place::S3 { bucket, key, access } => {
                let (bytes, tag) = s3::read(WHAT, bucket, key, super::MAX_DOCUMENT, access)?;
                (bytes.expose_secret().to_vec(), tag)
            }
        };
        Ok(Stored { bytes, tag })
    }

    /// Whether there is nothing yet.
    pub(super) fn is_vacant(&self) -> Result<bool, Problem> {
        match self.read() {
            Ok(_) => Ok(false),
            // S3 denies what is not there to those who may not list the bucket. The write itself decides.
            Err(problem) if matches!(problem.code, Code::KeyFileNotFound | Code::SourceDenied) => Ok(true),
            // Something is there, whatever it is.
            Err(problem) if matches!(problem.code, Code::KeyFileEmpty | Code::KeyFileTooLarge) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// Writes `bytes` in place of `old`, or where nothing is. Gives a note on a property that could not be kept.
    ///
    /// # Errors
    /// `KEYRING_CHANGED` where the keyring is not `old` any more; then nothing was written.
    pub(super) fn write(&self, old: Option<&Stored>, bytes: &[u8]) -> Result<Option<&'static str>, Problem> {
        match &self.place {
            Place::File(path) => self.write_file(path, old, bytes).map(|()| None),
            Place::S3 { bucket, key, access } => {
                let condition = match old.map(|old| old.tag.as_deref()) {
                    None => Condition::Absent,
                    Some(Some(tag)) => Condition::Unchanged(tag),
                    Some(None) => {
                        return Err(Problem::at(
                            WHAT,
                            Code::SourceUnavailable,
                            "the store gives no ETag, so that a change by somebody else could be lost",
                            "Use an S3 that has conditional writes.",
                        ))
                    }
                };
                let written = s3::write(WHAT, bucket, key, access, bytes, condition)?;
                // A write whose answer was lost is repeated by the client, and then refused for having happened.
                let found = self.read();
                let is_ours = found.as_ref().is_ok_and(|found| found.bytes == bytes);
                match (written.happened, is_ours) {
                    (_, true) => Ok(written.note),
                    (false, false) => Err(self.changed(old.is_some())),
                    (true, false) => {
                        found?;
                        Err(Problem::at(
                            WHAT,
                            Code::KeyringChanged,
                            format!(
                                "{} was written, and then at once replaced by somebody else",
                                excerpt(&self.uri)
                            ),
                            format!(
                                "Look at it (`emrkeys keyring show {}`) before you go on.",
                                shell_word(&self.uri)
                            ),
                        ))
                    }
                }
            }
        }
    }

    fn write_file(&self, path: &Path, old: Option<&Stored>, bytes: &[u8]) -> Result<(), Problem> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Problem::at(
                WHAT,
                Code::SourceUnavailable,
                format!("{} could not be written: {what}: {error}", excerpt(&self.uri)),
                "Nothing was changed. See that this user may write to the folder, and that the disk is not full.",
            )
        };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(failed("the path", &"names no file"));
        };
        let lock = lock(folder).map_err(|(what, why)| failed(what, &why))?;
        let before = match (old, read_file(path)) {
            (None, Err(problem)) if problem.code == Code::KeyFileNotFound => None,
            (Some(old), Ok(found)) if found == old.bytes => {
                Some(std::fs::metadata(path).map_err(|error| failed("the file", &error))?)
            }
            _ => return Err(self.changed(old.is_some())),
        };

        let mut temporary = name.to_owned();
        temporary.push(format!(".{:016x}.tmp", fastrand::u64(..)));
        let temporary = Temporary(folder.join(temporary));
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary.0)
            .map_err(|error| failed("a file beside it", &error))?;
        file.write_all(bytes)
            .map_err(|error| failed("a file beside it", &error))?;
        if let Some(before) = &before {
            // Those who could read the keyring can read it afterwards.
            use rustix::process::{Gid, Uid};
            let own = file
                .metadata()
                .map_err(|error| failed("a file beside it", &error))?;
            if (own.uid(), own.gid()) != (before.uid(), before.gid()) {
                let (user, group) = (Uid::from_raw(before.uid()), Gid::from_raw(before.gid()));
                rustix::fs::fchown(&file, Some(user), Some(group))
                    .map_err(|error| failed("its owner cannot be kept", &error))?;
            }
            rustix::fs::fchmod(&file, Mode::from_raw_mode(before.mode() & 0o7777))
                .map_err(|error| failed("its permissions cannot be kept", &error))?;
        }
        file.sync_all()
            .map_err(|error| failed("a file beside it", &error))?;
        let written = std::fs::read(&temporary.0).map_err(|error| failed("a file beside it", &error))?;
        if written != bytes {
            return Err(failed("a file beside it", &"is not as it was written"));
        }
        let moved = match before {
            Some(_) => rustix::fs::rename(&temporary.0, path),
            None => {
                let here = rustix::fs::CWD;
                rustix::fs::renameat_with(here, &temporary.0, here, path, RenameFlags::NOREPLACE)
            }
        };
        match moved {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(self.changed(false)),
            Err(error) => return Err(failed("the file", &error)),
        }
        // Without it the new name may be lost with the machine's power; the keyring itself is in place.
        lock.sync_all().map_err(|error| {
            let mut problem = failed("its folder cannot be brought to the disk", &error);
            problem.remedy =
                "The keyring was changed, and may be as before if the machine loses its power now."
                    .to_owned();
            problem
        })
    }

    pub(super) fn changed(&self, existed: bool) -> Problem {
        let (message, remedy) = if existed {
            (
                "was changed by somebody else in the meantime; nothing was written",
                "Look at it and run the command again.",
            )
        } else {
            (
                "exists already; nothing was written",
                "Choose another place, or change that keyring by the other commands.",
            )
        };
        Problem::at(
            WHAT,
            Code::KeyringChanged,
            format!("{} {message}", excerpt(&self.uri)),
            remedy,
        )
    }
}

/// Locks a folder until the file is closed. The error is the subject of a message, and the reason.
fn lock(folder: &Path) -> Result<File, (&'static str, String)> {
    let lock = File::open(folder).map_err(|error| ("its folder", error.to_string()))?;
    let start = Instant::now();
    while let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(("its folder cannot be locked", error.to_string()));
        }
        if start.elapsed() > PATIENCE {
            return Err(("its folder", "is locked by another process".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(lock)
}

/// Removed unless it was moved away.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already, or left behind: it holds nothing secret, and no caller is there to get the error.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    let location = Location::File(path.to_owned());
    let read = material::read(
        WHAT,
        &location,
        super::MAX_DOCUMENT,
        Secrecy::Authentic,
        Permissions::Enforce,
        &Inputs::new(),
        &S3Access::default(),
    )?;
    Ok(read.bytes.expose_secret().to_vec())
}
