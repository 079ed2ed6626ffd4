//! The findings of checks, and how they are printed.

use std::io::{stdout, Write};

use emrkeys_core::inspect::{Finding, Level};
use emrkeys_core::{Code, Error, Problem};
use serde_json::{json, Value};

use crate::output::{shown, Failure};
use crate::terminal::{hanging, Tone};
use crate::text::printable;
use crate::Form;

/// The check of the caller's identity.
pub(super) const IDENTITY: &str = "aws.identity";
/// The column at which messages begin.
const MESSAGE_AT: usize = 30;

fn tone(level: Level) -> Tone {
    match level {
        Level::Ok => Tone::Good,
        Level::Note => Tone::Plain,
        Level::Warning => Tone::Doubtful,
        Level::Failure => Tone::Bad,
    }
}

/// The properties that a message begins with: `a, b: the message`.
fn properties(message: &str) -> impl Iterator<Item = &str> {
    let (names, _) = message.split_once(": ").unwrap_or_default();
    names.split(", ")
}

/// All lines, in the order of the checks; people get problems first.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(Finding::ok(check, message));
    }

    pub(super) fn note(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(Finding::note(check, message));
    }

    pub(super) fn warn(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(Finding::warning(check, message, remedy));
    }

    pub(super) fn fail(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(Finding::failure(check, message, remedy));
    }

    /// A problem of the core, with its code.
    pub(super) fn problem(&mut self, check: &'static str, level: Level, problem: &Problem) {
        let property = problem
            .property
            .as_ref()
            .map(|name| format!("{name}: "))
            .unwrap_or_default();
        let end = format!("[{}]", problem.code);
        if let Some(name) = &problem.property {
            // Two clients that open one key get the same answer, but for the id of the request in its text.
            let same = |found: &Finding| {
                found.level == level
                    && properties(&found.message).any(|known| known == name)
                    && found.message.ends_with(&end)
            };
            if self.0.iter().any(same) {
                return;
            }
            // A service that does not answer is one cause for all keys.
            let cause = problem
                .message
                .split_once(" failed: ")
                .map(|(_, cause)| format!("{cause} {end}"));
            let unavailable = matches!(problem.code, Code::SourceUnavailable | Code::StoreUnavailable);
            if let Some(cause) = cause.filter(|_| unavailable) {
                let shares = |found: &&mut Finding| {
                    found.check == check && found.level == level && found.message.ends_with(&cause)
                };
                if let Some(found) = self.0.iter_mut().find(shares) {
                    found.message = format!("{name}, {}", found.message);
                    return;
                }
            }
        }
        self.add(Finding {
            check,
            level,
            message: format!("{property}{} {end}", problem.message),
            remedy: Some(problem.remedy.clone()),
        });
    }

    pub(super) fn error(&mut self, check: &'static str, error: &Error) {
        for problem in error.problems() {
            self.problem(check, Level::Failure, problem);
        }
    }

    /// Adds the findings of the core.
    pub(super) fn extend(&mut self, found: Vec<Finding>) {
        found.into_iter().for_each(|found| self.add(found));
    }

    /// Adds the findings of a catalog that has properties of its own.
    pub(super) fn extend_of_catalog(&mut self, catalog: &str, found: Findings) {
        for found in found.0 {
            self.add(Finding {
                message: format!("catalog {catalog}: {}", found.message),
                ..found
            });
        }
    }

    /// A cause that several clients or keys share is one line.
    fn add(&mut self, found: Finding) {
        let is_known = |known: &Finding| known.level == found.level && known.message == found.message;
        if found.level == Level::Ok || !self.0.iter().any(is_known) {
            self.0.push(found);
        }
    }

    /// Whether a check failed at a property that begins so.
    pub(super) fn has_failure_at(&self, check: &str, property: &str) -> bool {
        let failures = self.0.iter().filter(|found| found.level == Level::Failure);
        failures.into_iter().any(|found| {
            found.check == check && properties(&found.message).any(|name| name.starts_with(property))
        })
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
                            "level": found.level.word().to_ascii_lowercase(),
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
                    (IDENTITY, _) => 0,
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
                        tone(found.level).on_stdout(&format!("{:8}", found.level.word())),
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
