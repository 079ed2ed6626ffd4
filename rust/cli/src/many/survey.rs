//! How much there is to do, found out beside the work: for the time that is left.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Pass, Task};
use crate::output::is_quiet;

/// Bytes and objects, once all are counted.
pub(super) struct Survey(Arc<Mutex<Option<(u64, u64)>>>);

impl Survey {
    /// Lists what the work lists, a thousand objects a request. `None` where nobody looks at a bar, or for one object.
    ///
    /// A fault of the listing is one of the listing that the work has, which reports it.
    pub(super) fn begin<T: Task>(pass: &Pass<'_, T>, after: Option<&str>) -> Option<Survey> {
        if !T::HAS_SURVEY || pass.scope.exact || is_quiet() {
            return None;
        }
        let listing = pass.listing(after).ok()?;
        let found = Arc::new(Mutex::new(None));
        let result = Arc::clone(&found);
        std::thread::spawn(move || {
            let mut sums = (0, 0);
            for listed in listing {
                let Ok(listed) = listed else { return };
                sums = (sums.0 + listed.length, sums.1 + 1);
            }
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(sums);
        });
        Some(Survey(found))
    }

    /// Bytes and objects in all, if they are known by now; once.
    pub(super) fn found(&self) -> Option<(u64, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
