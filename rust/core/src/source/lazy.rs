//! A key that is loaded when it is first used: a command on one object, or a file of a table, needs one key, and the
//! others of the configuration may be out of reach.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;

use super::load::load_key;
use super::Source;
use crate::config::loader::Loader;
use crate::config::Config;
use crate::counters::Counts;
use crate::description::StoredDescription;
use crate::error::Problem;
use crate::inputs::Inputs;
use crate::model::Materials;
use crate::waiting;

/// How long a failure is remembered, so that a job does not try again for every object.
const FAILURE_CACHED_FOR: Duration = Duration::from_secs(5);

/// A valid key that is loaded with its first use. A failure counts for a while, then the next use tries again.
pub(crate) struct LazyKey {
    name: String,
    type_name: &'static str,
    config: Arc<Config>,
    inputs: Arc<Inputs>,
    loaded: OnceCell<Box<dyn Source>>,
    failed: Mutex<Option<(Instant, Problem)>>,
}

impl LazyKey {
    /// `None` if the configuration has no such key.
    pub(crate) fn new(name: &str, config: &Arc<Config>, inputs: &Arc<Inputs>) -> Option<Self> {
        Some(LazyKey {
            name: name.to_owned(),
            type_name: config.keys.get(name)?.kind.type_name(),
            config: Arc::clone(config),
            inputs: Arc::clone(inputs),
            loaded: OnceCell::new(),
            failed: Mutex::default(),
        })
    }

    fn source(&self) -> Result<&dyn Source, Problem> {
        if let Some(source) = self.loaded.get() {
            return Ok(&**source);
        }
        // Files and services are read, and other threads may be at it.
        waiting::may_wait()?;
        let source = self.loaded.get_or_try_init(|| {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            match &*failed {
                Some((at, problem)) if at.elapsed() < FAILURE_CACHED_FOR => return Err(problem.clone()),
                _ => {}
            }
            let mut loader = Loader {
                config: &self.config,
                inputs: &self.inputs,
                warnings: Vec::new(),
            };
            load_key(&self.name, &mut loader).map_err(|error| {
                let problem = error.first().clone();
                *failed = Some((Instant::now(), problem.clone()));
                problem
            })
        })?;
        Ok(&**source)
    }
}

impl Source for LazyKey {
    fn for_encryption(&self) -> Result<Materials, Problem> {
        self.source()?.for_encryption()
    }

    fn for_decryption(&self, stored: StoredDescription) -> Result<Materials, Problem> {
        self.source()?.for_decryption(stored)
    }

    fn for_decryption_of_foreign(&self, stored: StoredDescription) -> Result<Materials, Problem> {
        self.source()?.for_decryption_of_foreign(stored)
    }

    fn renew(&self) -> Result<(), Problem> {
        self.source()?.renew()
    }

    fn counts(&self) -> Option<(Counts, Option<Duration>)> {
        self.loaded.get()?.counts()
    }

    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn summary(&self) -> String {
        self.type_name.to_owned()
    }
}
