//! The findings of checks, and how they are printed.

use std::io::{stdout, Write};

use emrkeys_core::{Error, Problem};
use serde_json::{json, Value};

use crate::output::{shown, Failure};
use crate::terminal::{hanging, Tone};
use crate::text::printable;
use crate::Form;

/// The check of the caller's identity.
pub(super) const IDENTITY: &str = "aws.identity";
/// The column at which messages begin.
const MESSAGE_AT: usize = 30;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Could not be checked from here, or is worth knowing.
    Note,
    /// Works, and should be changed.
    Warning,
    /// Does not work, or will not.
    Failure,
}

impl Level {
    fn tone(self) -> Tone {
        match self {
            Level::Ok => Tone::Good,
            Level::Note => Tone::Plain,
            Level::Warning => Tone::Doubtful,
            Level::Failure => Tone::Bad,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Failure => "FAIL",
        }
    }
}

/// One line.
#[derive(Debug)]
pub(super) struct Finding {
    /// Stable: what scripts look at.
    pub(super) check: &'static str,
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) remedy: Option<String>,
}

/// All lines, in the order of the checks; people get problems first.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Level::Ok, message.into(), None);
    }

    pub(super) fn note(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Level::Note, message.into(), None);
    }

    pub(super) fn warn(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(check, Level::Warning, message.into(), Some(remedy.into()));
    }

    pub(super) fn fail(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(check, Level::Failure, message.into(), Some(remedy.into()));
    }

    /// A problem of the core, with its code.
    pub(super) fn problem(&mut self, check: &'static str, level: Level, problem: &Problem) {
        let property = problem
            .property
            .as_ref()
            .map(|name| format!("{name}: "))
            .unwrap_or_default();
        // Two clients that open one key get the same answer, but for the id of the request in its text.
        let end = format!("[{}]", problem.code);
        let is_same = |found: &Finding| {
            found.level == level && found.message.starts_with(&property) && found.message.ends_with(&end)
        };
        if problem.property.is_some() && self.0.iter().any(is_same) {
            return;
        }
        let message = format!("{property}{} {end}", problem.message);
        self.add(check, level, message, Some(problem.remedy.clone()));
    }

    pub(super) fn error(&mut self, check: &'static str, error: &Error) {
        for problem in error.problems() {
            self.problem(check, Level::Failure, problem);
        }
    }

    /// A cause that several clients or keys share is one line.
    fn add(&mut self, check: &'static str, level: Level, message: String, remedy: Option<String>) {
        let is_known = |found: &&Finding| found.level == level && found.message == message;
        if level != Level::Ok && self.0.iter().any(|found| is_known(&found)) {
            return;
        }
        self.0.push(Finding {
            check,
            level,
            message,
            remedy,
        });
    }

    /// Whether a check failed at a property that begins so.
    pub(super) fn has_failure_at(&self, check: &str, property: &str) -> bool {
        let failures = self.0.iter().filter(|found| found.level == Level::Failure);
        failures
            .into_iter()
            .any(|found| found.check == check && found.message.starts_with(property))
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }

    /// Prints everything; fails where something failed, or with `strict` where there is a warning.
    pub(super) fn print(&self, strict: bool, form: Form) -> Result<(), Failure> {
        let bad = self.count(Level::Failure) > 0 || (strict && self.count(Level::Warning) > 0);
        shown(self.write(bad, form))?;
        if bad {
            return Err(Failure::Unhealthy);
        }
        Ok(())
    }

    fn write(&self, bad: bool, form: Form) -> Result<(), Failure> {
        let (failures, warnings) = (self.count(Level::Failure), self.count(Level::Warning));
        let mut out = stdout().lock();
        match form {
            Form::Json => {
                let checks: Vec<Value> = self
                    .0
                    .iter()
                    .map(|found| {
                        json!({
                            "check": found.check,
                            "level": found.level.name().to_ascii_lowercase(),
                            "message": found.message,
                            "remedy": found.remedy,
                        })
                    })
                    .collect();
                let document =
                    json!({ "ok": !bad, "failures": failures, "warnings": warnings, "checks": checks });
                writeln!(out, "{document:#}")?;
            }
            Form::Text => {
                // The caller's identity comes first, since every other line depends on it; then problems.
                let rank = |found: &&Finding| match (found.check, found.level) {
                    (IDENTITY, Level::Ok) => 0,
                    (_, Level::Failure) => 1,
                    (_, Level::Warning) => 2,
                    (_, Level::Note) => 3,
                    (_, Level::Ok) => 4,
                };
                let mut sorted: Vec<&Finding> = self.0.iter().collect();
                sorted.sort_by_key(rank);
                for found in sorted {
                    let label = format!(
                        "{} {:20} ",
                        found.level.tone().on_stdout(&format!("{:8}", found.level.name())),
                        found.check
                    );
                    write!(out, "{}", hanging(&label, MESSAGE_AT, &printable(&found.message)))?;
                    if let Some(remedy) = &found.remedy {
                        write!(out, "{}", hanging("", MESSAGE_AT, &printable(remedy)))?;
                    }
                }
                writeln!(out, "failures: {failures}, warnings: {warnings}")?;
            }
        }
        Ok(())
    }
}
