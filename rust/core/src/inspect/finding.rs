//! The result of a check, in the words that both doctors print.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing, or not checked from here.
    Note,
    /// Works, and should be changed.
    Warning,
    /// Does not work, or will not.
    Failure,
}

impl Level {
    /// The word that begins a printed line, and that the library passes to Java. JSON has it in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Failure => "FAIL",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check, such as `emrfs.enabled`. Names are stable: scripts look at them.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The state that was found.
    pub message: String,
    /// The remedy; present for warnings and failures.
    pub remedy: Option<String>,
}

impl Finding {
    /// A state as it should be.
    pub fn ok(check: &'static str, message: impl Into<String>) -> Finding {
        Finding::new(check, Level::Ok, message.into(), None)
    }

    /// A state worth knowing.
    pub fn note(check: &'static str, message: impl Into<String>) -> Finding {
        Finding::new(check, Level::Note, message.into(), None)
    }

    /// A state that works and should be changed.
    pub fn warning(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::new(check, Level::Warning, message.into(), Some(remedy.into()))
    }

    /// A state that does not work.
    pub fn failure(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::new(check, Level::Failure, message.into(), Some(remedy.into()))
    }

    fn new(check: &'static str, level: Level, message: String, remedy: Option<String>) -> Finding {
        Finding {
            check,
            level,
            message,
            remedy,
        }
    }
}
