//! Messages, and exit codes.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use emrkeys_core::{Code, Error, Problem};

use crate::terminal::{error_width, hanging_in, Tone};
use crate::text::{counted, printable};

/// Why a command did not do what it was asked.
pub(crate) enum Failure {
    /// The core says so.
    Core(Error),
    /// The command line is wrong, which clap could not know.
    Usage(String),
    /// Somebody else changed what was to be changed.
    Changed(String),
    /// The tool may not work on the thing that it found.
    Refused(String),
    /// A configuration file or value cannot be used.
    Configuration(String),
    /// The file system does not let the user read a configuration file.
    Denied(String),
    /// A file of the user's could not be read or written.
    File(PathBuf, std::io::Error),
    /// The user stopped it; what was under way was finished.
    Interrupted,
    /// The user stopped it, and it can be gone on with.
    Paused(String),
    /// An audit that should fail on findings has them, for so many objects.
    Findings(u64),
    /// There are no objects to work on.
    NoObjects(String),
    /// A check failed, and was printed.
    Unhealthy,
    /// The result could not be printed.
    Output(std::io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Core(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Output(error)
    }
}

impl Failure {
    /// Says on standard error what went wrong.
    pub(crate) fn report(&self) -> ExitCode {
        let (text, code) = match self {
            Failure::Core(error) => {
                note_lines(&error_lines(error));
                return ExitCode::from(exit_code(error.code()));
            }
            Failure::Usage(text) => (text.clone(), 2),
            Failure::Changed(text) => (text.clone(), 3),
            Failure::Refused(text) => (text.clone(), 4),
            Failure::Configuration(text) => (text.clone(), 1),
            Failure::Denied(text) => (text.clone(), 5),
            Failure::File(path, error) => {
                let denied = error.kind() == ErrorKind::PermissionDenied;
                (format!("{}: {error}", path.display()), if denied { 5 } else { 1 })
            }
            Failure::Interrupted => (
                "stopped; what was under way was finished, and nothing is half done".to_owned(),
                130,
            ),
            Failure::Paused(text) => (text.clone(), 130),
            Failure::NoObjects(text) => (text.clone(), 7),
            Failure::Findings(objects) => (format!("{} with findings", counted(*objects, "object")), 6),
            Failure::Unhealthy => return ExitCode::from(1),
            // The reader of our output has seen enough.
            Failure::Output(error) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Failure::Output(error) => (format!("the result could not be printed: {error}"), 1),
        };
        note(format_args!("error: {text}"));
        ExitCode::from(code)
    }
}

/// One line for each problem, so that outside input in a message cannot begin a line.
fn error_lines(error: &Error) -> Vec<String> {
    let problems: Vec<String> = error.problems().map(ToString::to_string).collect();
    match problems.as_slice() {
        [one] => vec![format!("error: {one}")],
        many => std::iter::once(format!("error: {} problems:", many.len()))
            .chain(
                many.iter()
                    .enumerate()
                    .map(|(at, problem)| format!("  {}. {problem}", at + 1)),
            )
            .collect(),
    }
}

/// A line on standard error, printable. If that is closed or full, the line is lost and the work goes on.
pub(crate) fn note(line: impl Display) {
    note_lines(&[line.to_string()]);
}

fn note_lines(lines: &[String]) {
    let mut err = std::io::stderr().lock();
    for line in lines {
        let line = printable(line);
        let (label, rest) = match line.split_once(": ") {
            Some(("error", rest)) => (Tone::Bad.on_stderr("error: "), rest),
            Some(("warning", rest)) => (Tone::Doubtful.on_stderr("warning: "), rest),
            _ => (String::new(), line.as_str()),
        };
        let indent = if label.is_empty() {
            0
        } else {
            line.len() - rest.len()
        };
        let _ = write!(err, "{}", hanging_in(error_width(), &label, indent, rest));
    }
}

/// As [`note`], for what `--quiet` leaves out: how far the work got, and what was done.
pub(crate) fn remark(line: impl Display) {
    if !is_quiet() {
        note(line);
    }
}

static QUIET: AtomicBool = AtomicBool::new(false);

/// Leaves remarks and bars out from now on.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether `--quiet` was given.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// For what is printed before a verdict: a reader who has seen enough and went away does not change that.
pub(crate) fn shown(printed: Result<(), Failure>) -> Result<(), Failure> {
    match printed {
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// For failures with a file that the user named.
pub(crate) fn at(path: &Path) -> impl Fn(std::io::Error) -> Failure + '_ {
    |error| Failure::File(path.to_owned(), error)
}

/// A failure with a code of the core's, found here.
pub(crate) fn problem(code: Code, message: impl Into<String>, remedy: impl Into<String>) -> Failure {
    Failure::Core(Problem::new(code, message, remedy).into())
}

/// The exit codes of `emrkeys --help`.
fn exit_code(code: Code) -> u8 {
    match code {
        Code::KeyringChanged | Code::ObjectChanged => 3,
        Code::KeyringInvalid
        | Code::KeyringNotAuthentic
        | Code::KeyringRolledBack
        | Code::KeyringProtector => 4,
        Code::SourceDenied | Code::StoreDenied | Code::KeyFilePermissions | Code::KeyFileUnreadable => 5,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(failure: impl Fn(std::io::Error) -> Failure, kind: ErrorKind) -> ExitCode {
        failure(kind.into()).report()
    }

    #[test]
    fn what_the_file_system_denies_is_denied() {
        let file = at(Path::new("/x"));
        assert_eq!(code_of(&file, ErrorKind::PermissionDenied), ExitCode::from(5));
        assert_eq!(code_of(&file, ErrorKind::NotFound), ExitCode::from(1));
    }

    #[test]
    fn only_a_reader_who_went_away_is_no_failure() {
        assert_eq!(code_of(Failure::Output, ErrorKind::BrokenPipe), ExitCode::SUCCESS);
        assert_eq!(
            code_of(Failure::Output, ErrorKind::StorageFull),
            ExitCode::from(1)
        );
        let shown = |kind: ErrorKind| shown(Err(Failure::Output(kind.into()))).is_ok();
        assert!(shown(ErrorKind::BrokenPipe));
        assert!(!shown(ErrorKind::StorageFull));
    }
}
