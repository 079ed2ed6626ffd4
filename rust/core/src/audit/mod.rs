//! The audit log: one JSON line for each request for a key, never with a secret.

mod line_file;
mod queue;
/// The locks of [`queue`], which its model test exchanges for others.
mod sync {
    pub(super) use std::sync::Mutex;
}

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_kms::primitives::{DateTime, DateTimeFormat};
use serde_json::json;

use crate::error::{Code, Problem};
use line_file::LineFile;
pub(crate) use queue::Waiting;

const PROPERTY: &str = "emrkeys.audit";

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

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Encrypt,
    Decrypt,
}

impl Purpose {
    /// The word in the audit log.
    fn name(self) -> &'static str {
        match self {
            Purpose::Encrypt => "encrypt",
            Purpose::Decrypt => "decrypt",
        }
    }
}

/// One request, as the audit log records it.
#[derive(Debug)]
pub(crate) struct AuditRecord {
    pub(crate) purpose: Purpose,
    /// The object's location, as the client gave it.
    pub(crate) uri: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) source: Option<&'static str>,
    pub(crate) version: Option<String>,
    /// The kind of table, for a key of a file of a table.
    pub(crate) table: Option<&'static str>,
}

pub(crate) enum Audit {
    Off,
    Log(Arc<Waiting>),
    File { path: PathBuf, file: Mutex<LineFile> },
}

impl Audit {
    /// `waiting` takes the lines for the caller's logger.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE`
    pub(crate) fn open(target: &AuditTarget, waiting: &Arc<Waiting>) -> Result<Self, Problem> {
        Ok(match target {
            AuditTarget::Off => Audit::Off,
            AuditTarget::Log => Audit::Log(Arc::clone(waiting)),
            AuditTarget::File(path) => Audit::File {
                path: path.clone(),
                file: Mutex::new(LineFile::open(path).map_err(|error| unavailable(path, &error))?),
            },
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
            Audit::Log(waiting) => waiting.put(line(record, outcome)).then_some(()).ok_or_else(|| {
                Problem::at(
                    PROPERTY,
                    Code::AuditUnavailable,
                    "nobody takes the audit log's lines",
                    "Report this defect.",
                )
            }),
            Audit::File { path, file } => {
                let mut text = line(record, outcome);
                text.push('\n');
                file.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .append(text.as_bytes())
                    .map_err(|error| unavailable(path, &error))
            }
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
    let mut line = json!({
        "time": time,
        "purpose": record.purpose.name(),
        "uri": record.uri,
        "key": record.key,
        "version": record.version,
        "source": record.source,
        "outcome": outcome,
    });
    if let Some(table) = record.table {
        line["table"] = table.into();
    }
    line.to_string()
}

fn unavailable(path: &std::path::Path, error: &std::io::Error) -> Problem {
    Problem::at(
        PROPERTY,
        Code::AuditUnavailable,
        format!("the audit log {} cannot be written: {error}", path.display()),
        "Name a regular file that the user of the job (or root) owns and not everybody may write, make \
         room, or set the property to log or off.",
    )
}

#[cfg(test)]
mod tests;
