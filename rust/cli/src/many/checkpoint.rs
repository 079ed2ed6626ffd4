//! How far a run got, in a file that the same command goes on from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use emrkeys_core::Code;
use emrkeys_objects::ObjectUri;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

use crate::files::NewFile;
use crate::output::{at, note, problem, Failure};

/// The form of the file. Older ones say nothing of the version of the key, so that nobody can know whether they hold
/// today.
const FORMAT: u32 = 2;
/// The most failed objects that a checkpoint remembers; more than that and something else is wrong.
const MAX_FAILED: usize = 10_000;

/// The options that decide what a run does to which objects: two runs that go on from each other's checkpoints share
/// them.
pub(crate) trait Identity: Clone + PartialEq + Serialize + DeserializeOwned {
    /// In a few words, for an error.
    fn name(&self) -> String;
}

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State<Run> {
    format: u32,
    of: Run,
    /// Keys and versions that wrapped when the run began. Objects before the mark are under these and not under any
    /// newer.
    target: String,
    /// When the first of the runs that go on from each other began (RFC 3339).
    pub(super) started: String,
    /// The mark of the last object up to which every one was worked on.
    pub(super) after: Option<String>,
    /// Objects before it that failed, and are tried again.
    pub(super) failed: BTreeSet<String>,
    /// Outcomes of all runs since `started`.
    pub(super) counts: BTreeMap<String, u64>,
}

impl<Run> State<Run> {
    fn new(of: Run, target: String) -> Self {
        State {
            format: FORMAT,
            of,
            target,
            started: now(),
            after: None,
            failed: BTreeSet::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Counts an outcome; one that failed before and is tried again is counted by its last outcome.
    pub(super) fn count(&mut self, uri: &ObjectUri, outcome: &str, failed: bool) -> Result<(), Failure> {
        if self.failed.remove(&uri.key) {
            if let Some(count) = self.counts.get_mut("failed") {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove("failed");
                }
            }
        }
        *self.counts.entry(outcome.to_owned()).or_default() += 1;
        if failed {
            self.failed.insert(uri.key.clone());
        }
        if self.failed.len() > MAX_FAILED {
            return Err(problem(
                Code::ObjectsFailed,
                format!("more than {MAX_FAILED} objects failed"),
                "See the lines above for the cause that they share.",
            ));
        }
        Ok(())
    }
}

/// The state of a run, and the file for it where there is one.
pub(super) struct Checkpoint<Run> {
    path: Option<PathBuf>,
    pub(super) state: State<Run>,
    /// Whether an earlier run left the state.
    pub(super) resumed: bool,
}

impl<Run: Identity> Checkpoint<Run> {
    /// Goes on from the file, if it is of the same run and the same versions of keys; else begins anew.
    ///
    /// # Errors
    /// A file that is no checkpoint, or one of another run.
    pub(super) fn open(path: Option<&Path>, of: Run, target: String) -> Result<Self, Failure> {
        let begun = |state, resumed| Checkpoint {
            path: path.map(Path::to_owned),
            state,
            resumed,
        };
        let Some(path) = path.filter(|path| path.exists()) else {
            return Ok(begun(State::new(of, target), false));
        };
        let wrong = |what: String| {
            Failure::Configuration(format!("{}: {what}; remove it to begin anew", path.display()))
        };
        let text = fs::read(path).map_err(at(path))?;
        let found: State<Run> = serde_json::from_slice(&text)
            .map_err(|error| wrong(format!("it is no checkpoint of this release ({error})")))?;
        if found.format != FORMAT {
            return Err(wrong(format!(
                "its form is {}, and {FORMAT} is known",
                found.format
            )));
        }
        if found.of != of {
            return Err(wrong(format!(
                "it is of a run with other options ({})",
                found.of.name()
            )));
        }
        if found.target != target {
            note(format_args!(
                "note: the checkpoint is of a run to {}, and {target} wraps by now: begins anew",
                found.target
            ));
            return Ok(begun(State::new(of, target), false));
        }
        Ok(begun(found, true))
    }

    /// Whether the keys that wrap now are those that wrapped when the run began.
    pub(super) fn is_to(&self, target: &str) -> bool {
        self.state.target == target
    }

    /// Begins anew, with these versions of keys.
    pub(super) fn restart(&mut self, target: String) {
        self.state = State::new(self.state.of.clone(), target);
    }

    pub(super) fn write(&self) -> Result<(), Failure> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let mut file = NewFile::create(path).map_err(at(path))?;
        serde_json::to_writer(&mut file, &self.state).map_err(|error| at(path)(error.into()))?;
        file.replace().map_err(at(path))
    }

    /// Every object was looked at. The next run looks at all of them again: a mark at the end would hide those that
    /// appear before it, and a rotation.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        match &self.path {
            Some(path) if path.exists() => fs::remove_file(path).map_err(at(path)),
            _ => Ok(()),
        }
    }
}

fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let whole = now.replace_nanosecond(0).unwrap_or(now);
    whole.format(&Rfc3339).unwrap_or_default()
}
