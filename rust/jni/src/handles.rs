//! Handles of configurations, providers and listings: numbers that Java holds in place of pointers.

use std::sync::{Arc, Mutex};

use emrkeys_core::{Code, Config, Error, Problem, Provider};
use emrkeys_objects::Listing;
use once_cell::sync::Lazy;

use crate::defect::internal;
use crate::slots::Table;

pub(crate) static CONFIGS: Lazy<Handles<Config>> = Lazy::new(Handles::new);
pub(crate) static PROVIDERS: Lazy<Handles<Provider>> = Lazy::new(Handles::new);
/// `None` while a call is at work on the listing, and after one whose objects nobody got.
pub(crate) static LISTINGS: Lazy<Handles<Mutex<Option<Listing>>>> = Lazy::new(Handles::new);

/// Objects that several threads use at once, by their handles.
pub(crate) struct Handles<T>(Table<Arc<T>>);

impl<T> Handles<T> {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Handles(Table::starting_anywhere())
    }

    /// Takes an object in and gives its handle.
    pub(crate) fn insert(&self, opened: T) -> Result<i64, Error> {
        self.0
            .insert(Arc::new(opened))
            .ok_or_else(|| internal("too many handles are open".to_owned()))
    }

    /// The object of a handle; it lives on while it is used, even if it is closed meanwhile.
    pub(crate) fn get(&self, handle: i64) -> Result<Arc<T>, Error> {
        self.0.read(handle, Arc::clone).map_err(|_| {
            Problem::new(
                Code::Closed,
                "the provider, or what it gave, was closed",
                "Make a new one; this one gives no more.",
            )
            .into()
        })
    }

    /// Lets go of everything.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }

    /// Lets go of an object, after the last request under way; a provider's keys are wiped then. Returns whether the
    /// handle was open.
    pub(crate) fn remove(&self, handle: i64) -> bool {
        self.0.remove(handle).is_ok()
    }
}
