//! A key that is loaded when it is first used: a command on one object needs one key, and the others of the
//! configuration may be out of reach.

use std::sync::{Arc, OnceLock};

use super::load::load_key;
use super::Source;
use crate::config::loader::Loader;
use crate::config::Config;
use crate::description::StoredDescription;
use crate::error::{Error, Problem};
use crate::inputs::Inputs;
use crate::model::Materials;

/// A valid key that is not loaded yet, or was loaded once, with that outcome.
pub(crate) struct LazyKey {
    name: String,
    type_name: &'static str,
    config: Arc<Config>,
    inputs: Arc<Inputs>,
    loaded: OnceLock<Result<Box<dyn Source>, Error>>,
}

impl LazyKey {
    /// `None` if the configuration has no such key.
    pub(crate) fn new(name: &str, config: &Arc<Config>, inputs: &Arc<Inputs>) -> Option<Self> {
        Some(LazyKey {
            name: name.to_owned(),
            type_name: config.keys.get(name)?.kind.type_name(),
            config: Arc::clone(config),
            inputs: Arc::clone(inputs),
            loaded: OnceLock::new(),
        })
    }

    fn source(&self) -> Result<&dyn Source, Problem> {
        let loaded = self.loaded.get_or_init(|| {
            let mut loader = Loader {
                config: &self.config,
                inputs: &self.inputs,
                warnings: Vec::new(),
            };
            load_key(&self.name, &mut loader)
        });
        match loaded {
            Ok(source) => Ok(&**source),
            Err(error) => Err(error.first().clone()),
        }
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

    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn summary(&self) -> String {
        self.type_name.to_owned()
    }
}
