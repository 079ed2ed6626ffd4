//! The audit log: one JSON line for each request for a key, never with a secret.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_kms::primitives::{DateTime, DateTimeFormat};
use serde_json::json;

use crate::error::{Code, Problem};

const PROPERTY: &str = "emrkeys.audit";

/// Lines that wait for the caller's logger. It takes them after each request, so that there are as many as threads.
const MAX_WAITING: usize = 10_000;

/// Where the lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum AuditTarget {
    #[default]
    Off,
    /// The caller logs them.
    Log,
    /// Appended to a file, which is created for its owner alone.
    File(PathBuf),
}

/// What is known of a request, filled in on its way.
#[derive(Debug, Default)]
pub(crate) struct AuditRecord {
    pub(crate) purpose: &'static str,
    /// The object's location, as the client gave it.
    pub(crate) uri: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) source: Option<&'static str>,
    pub(crate) version: Option<String>,
}

pub(crate) enum Audit {
    Off,
    Log(Mutex<VecDeque<String>>),
    File { path: PathBuf, file: Mutex<File> },
}

impl Audit {
    /// # Errors
    /// `AUDIT_UNAVAILABLE`
    pub(crate) fn open(target: &AuditTarget) -> Result<Self, Problem> {
        Ok(match target {
            AuditTarget::Off => Audit::Off,
            AuditTarget::Log => Audit::Log(Mutex::default()),
            AuditTarget::File(path) => {
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .open(path)
                    .map_err(|error| unavailable(path, &error))?;
                Audit::File {
                    path: path.clone(),
                    file: Mutex::new(file),
                }
            }
        })
    }

    pub(crate) fn is_off(&self) -> bool {
        matches!(self, Audit::Off)
    }

    /// Writes one line. `outcome` is `ok` or a code.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE`: then no key may be given, for nobody would know of it.
    pub(crate) fn write(&self, record: &AuditRecord, outcome: &str) -> Result<(), Problem> {
        match self {
            Audit::Off => Ok(()),
            Audit::Log(waiting) => {
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.len() >= MAX_WAITING {
                    return Err(Problem::at(
                        PROPERTY,
                        Code::AuditUnavailable,
                        "nobody takes the audit log's lines",
                        "Report this defect.",
                    ));
                }
                waiting.push_back(line(record, outcome));
                Ok(())
            }
            Audit::File { path, file } => {
                let mut text = line(record, outcome);
                text.push('\n');
                // One write of a file opened for appending: lines of several processes do not mix.
                file.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .write_all(text.as_bytes())
                    .map_err(|error| unavailable(path, &error))
            }
        }
    }

    /// The lines for the caller's logger, oldest first.
    pub(crate) fn take(&self) -> Vec<String> {
        match self {
            Audit::Log(waiting) => waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .drain(..)
                .collect(),
            Audit::Off | Audit::File { .. } => Vec::new(),
        }
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Audit::Off => "Off",
            Audit::Log(_) => "Log",
            Audit::File { .. } => "File",
        })
    }
}

fn line(record: &AuditRecord, outcome: &str) -> String {
    let time = DateTime::from(SystemTime::now())
        .fmt(DateTimeFormat::DateTime)
        .unwrap_or_default();
    json!({
        "time": time,
        "purpose": record.purpose,
        "uri": record.uri,
        "key": record.key,
        "version": record.version,
        "source": record.source,
        "outcome": outcome,
    })
    .to_string()
}

fn unavailable(path: &std::path::Path, error: &std::io::Error) -> Problem {
    Problem::at(
        PROPERTY,
        Code::AuditUnavailable,
        format!("the audit log {} cannot be written: {error}", path.display()),
        "Make the file writable for the user that the job runs as, make room, or set the property to log or off.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> AuditRecord {
        AuditRecord {
            purpose: "encrypt",
            uri: Some("s3://lake/a\n\"b".to_owned()),
            key: Some("audit".to_owned()),
            ..AuditRecord::default()
        }
    }

    #[test]
    fn a_line_is_one_json_object_whatever_is_in_it() {
        let text = line(&record(), "ok");
        assert!(!text.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["uri"], "s3://lake/a\n\"b");
        assert_eq!(value["version"], serde_json::Value::Null);
        assert_eq!(value["outcome"], "ok");
    }

    #[test]
    fn lines_are_appended_to_a_file_of_the_owners() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        for _ in 0..2 {
            let audit = Audit::open(&AuditTarget::File(path.clone())).unwrap();
            audit.write(&record(), "NO_RULE").unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_log_that_cannot_be_written_is_an_error() {
        let code = |path: &str| {
            Audit::open(&AuditTarget::File(path.into()))
                .and_then(|audit| audit.write(&record(), "ok"))
                .unwrap_err()
                .code
        };
        assert_eq!(code("/nonexistent/audit.log"), Code::AuditUnavailable);
        assert_eq!(code("/dev/full"), Code::AuditUnavailable);
    }
}
