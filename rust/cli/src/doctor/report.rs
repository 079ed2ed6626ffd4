//! What a check found, and how it is printed.

use std::io::{stdout, Write};

use emrkeys_core::{Error, Problem};
use serde_json::{json, Value};

use crate::output::{shown, Failure};
use crate::Form;

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

/// All lines, in the order of the checks.
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

    /// As the core tells it, with its code.
    pub(super) fn problem(&mut self, check: &'static str, level: Level, problem: &Problem) {
        let property = problem
            .property
            .as_ref()
            .map(|name| format!("{name}: "))
            .unwrap_or_default();
        let message = format!("{property}{} [{}]", problem.message, problem.code);
        self.add(check, level, message, Some(problem.remedy.clone()));
    }

    pub(super) fn error(&mut self, check: &'static str, error: &Error) {
        for problem in error.problems() {
            self.problem(check, Level::Failure, problem);
        }
    }

    fn add(&mut self, check: &'static str, level: Level, message: String, remedy: Option<String>) {
        self.0.push(Finding {
            check,
            level,
            message,
            remedy,
        });
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
                for found in &self.0 {
                    writeln!(
                        out,
                        "{:8} {:20} {}",
                        found.level.name(),
                        found.check,
                        found.message
                    )?;
                    if let Some(remedy) = &found.remedy {
                        writeln!(out, "{:30}{remedy}", "")?;
                    }
                }
                writeln!(out, "failures: {failures}, warnings: {warnings}")?;
            }
        }
        Ok(())
    }
}
