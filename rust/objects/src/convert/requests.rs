//! The requests of S3 that an object takes.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counts by operation of S3's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Requests(pub BTreeMap<&'static str, u64>);

impl Requests {
    pub(super) fn add(&mut self, operation: &'static str, count: u64) {
        if count > 0 {
            *self.0.entry(operation).or_default() += count;
        }
    }

    /// Adds those of another object.
    pub fn merge(&mut self, other: &Requests) {
        for (operation, count) in &other.0 {
            self.add(operation, *count);
        }
    }
}
