//! How far a run got, in a file that the same command goes on from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use emrkeys_core::{Code, Error, Problem};
use emrkeys_objects::ObjectUri;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

use super::Scope;
use crate::files::{read_state, NewFile};
use crate::output::{at, note, problem, Failure};

/// The form of the file. Older ones say nothing of the version of the key, so that nobody can know whether they hold
/// today.
const FORMAT: u32 = 2;
/// The most failed objects that a checkpoint remembers, and the most in doubt; more than that and something else is
/// wrong.
const MAX_FAILED: usize = 10_000;
/// The outcome of the objects that are tried again.
const FAILED: &str = "failed";

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
    /// Objects that were replaced and that nothing has shown to be what was sent, each with the message of that time.
    /// Without them the next run would take these objects for done.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) doubted: BTreeMap<String, String>,
}

impl<Run: Clone> State<Run> {
    fn new(of: Run, target: String) -> Self {
        State {
            format: FORMAT,
            of,
            target,
            started: now(),
            after: None,
            failed: BTreeSet::new(),
            counts: BTreeMap::new(),
            doubted: BTreeMap::new(),
        }
    }

    /// The state of a run that looks at every object, those in doubt first.
    fn anew(&self, target: String) -> Self {
        State {
            doubted: self.doubted.clone(),
            ..State::new(self.of.clone(), target)
        }
    }

    /// The content of a file. `prefix` begins the key of each object of the run; `listed` says whether marks are keys.
    ///
    /// # Errors
    /// In words, for content that no run with this prefix wrote. It would have other objects worked on, or leave some
    /// out.
    pub(super) fn parse(content: &[u8], prefix: &str, listed: bool) -> Result<Self, String>
    where
        Run: DeserializeOwned,
    {
        let state: State<Run> = serde_json::from_slice(content)
            .map_err(|error| format!("it is no checkpoint of this release ({error})"))?;
        if state.format != FORMAT {
            return Err(format!("its form is {}, and {FORMAT} is known", state.format));
        }
        let mark = state.after.as_ref().filter(|_| listed);
        let mut keys = state.failed.iter().chain(state.doubted.keys()).chain(mark);
        let counted = state.counts.get(FAILED).copied().unwrap_or_default();
        if !keys.all(|key| key.starts_with(prefix)) || counted != state.failed.len() as u64 {
            return Err("it was changed".to_owned());
        }
        Ok(state)
    }

    /// Counts an outcome; one that failed before and is tried again is counted by its last outcome.
    pub(super) fn count(
        &mut self,
        uri: &ObjectUri,
        outcome: &str,
        error: Option<&Error>,
    ) -> Result<(), Failure> {
        if self.failed.remove(&uri.key) {
            if let Some(count) = self.counts.get_mut(FAILED) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.counts.remove(FAILED);
                }
            }
        }
        let count = self.counts.entry(outcome.to_owned()).or_default();
        *count = count.saturating_add(1);
        match error {
            None => {
                self.doubted.remove(&uri.key);
            }
            Some(error) => {
                self.failed.insert(uri.key.clone());
                if error.code() == Code::ReplacementNotProven {
                    self.doubted.insert(uri.key.clone(), error.to_string());
                }
            }
        }
        if self.failed.len().max(self.doubted.len()) > MAX_FAILED {
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
    /// A file that is no checkpoint, one of another run, or one that others can write.
    pub(super) fn open(path: Option<&Path>, of: Run, target: String, scope: &Scope) -> Result<Self, Failure> {
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
        let found: State<Run> =
            State::parse(&read_state(path)?, &scope.uri.key, scope.inventory.is_none()).map_err(wrong)?;
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
            return Ok(begun(found.anew(target), false));
        }
        let resumed = !found.counts.is_empty();
        Ok(begun(found, resumed))
    }

    /// Whether the keys that wrap now are those that wrapped when the run began.
    pub(super) fn is_to(&self, target: &str) -> bool {
        self.state.target == target
    }

    /// Begins anew, with these versions of keys.
    pub(super) fn restart(&mut self, target: String) {
        self.state = self.state.anew(target);
    }

    pub(super) fn write(&self) -> Result<(), Failure> {
        self.store(&self.state)
    }

    fn store(&self, state: &State<Run>) -> Result<(), Failure> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let mut file = NewFile::create(path).map_err(at(path))?;
        serde_json::to_writer(&mut file, state).map_err(|error| at(path)(error.into()))?;
        file.replace().map_err(at(path))
    }

    /// Every object was looked at. The next run looks at all of them again: a mark at the end would hide those that
    /// appear before it, and a rotation. Objects in doubt stay in the file until they prove whole.
    pub(super) fn end(&self) -> Result<(), Failure> {
        if !self.state.doubted.is_empty() {
            return self.store(&self.state.anew(self.state.target.clone()));
        }
        match &self.path {
            Some(path) if path.exists() => fs::remove_file(path).map_err(at(path)),
            _ => Ok(()),
        }
    }
}

/// For [`hostile`](crate::hostile).
pub(crate) fn read_back<Run: Identity + std::fmt::Debug>(
    content: &[u8],
    prefix: &str,
    outcomes: &[(&str, bool)],
) -> Option<Result<(), String>> {
    let mut state: State<Run> = State::parse(content, prefix, true).ok()?;
    for (key, failed) in outcomes {
        let uri = ObjectUri {
            bucket: String::new(),
            key: format!("{prefix}{key}"),
        };
        let error = failed.then(|| Error::from(Problem::new(Code::ReplacementNotProven, "", "")));
        let outcome = if *failed { FAILED } else { "rewrapped" };
        if state.count(&uri, outcome, error.as_ref()).is_err() {
            return Some(Ok(())); // too many failed
        }
    }
    let written = serde_json::to_vec(&state).map_err(|error| error.to_string());
    Some(written.and_then(|written| State::<Run>::parse(&written, prefix, true).map(|_| ())))
}

fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let whole = now.replace_nanosecond(0).unwrap_or(now);
    whole.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    impl Identity for String {
        fn name(&self) -> String {
            self.clone()
        }
    }

    fn parse(after: &str, failed: &[&str], counted: u64, listed: bool) -> Result<State<String>, String> {
        let content = json!({
            "format": FORMAT, "of": "run", "target": "new", "started": "then", "after": after, "failed": failed,
            "counts": { "failed": counted, "rewrapped": u64::MAX },
        });
        State::parse(content.to_string().as_bytes(), "raw/", listed)
    }

    #[test]
    fn a_checkpoint_that_leads_elsewhere_is_refused() {
        assert!(parse("raw/b", &["raw/a"], 1, true).is_ok());
        assert!(
            parse("3:7", &["raw/a"], 1, false).is_ok(),
            "a mark in an inventory is no key"
        );
        assert!(parse("raw/b", &["secret/a"], 1, true).is_err());
        assert!(parse("secret/b", &["raw/a"], 1, true).is_err());
        for counted in [0, 2] {
            assert!(parse("raw/b", &["raw/a"], counted, true).is_err());
        }
    }

    #[test]
    fn no_count_runs_over() {
        let mut state = parse("raw/b", &["raw/a"], 1, true).unwrap();
        let uri = ObjectUri {
            bucket: "lake".to_owned(),
            key: "raw/a".to_owned(),
        };
        state.count(&uri, "rewrapped", None).ok().unwrap();
        assert_eq!(state.counts, BTreeMap::from([("rewrapped".to_owned(), u64::MAX)]));
    }
}
