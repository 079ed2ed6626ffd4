//! The KMS key that an alias stands for, as KMS says it. The word of an object counts for nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::aws::kms::{KmsAccess, KmsTarget};
use crate::error::{Code, Failure};

/// After that long KMS is asked again, where an object is under another key than the alias stood for.
const ANSWER_AGE: Duration = Duration::from_secs(10);

/// KMS's last word on an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// For the key with this ARN.
    For(String),
    /// The role may not describe keys. KMS refuses to decrypt by the alias what is not under its key, so that asking
    /// for that finds out as much.
    Unsaid,
}

/// One alias, in this process. Thread-safe.
#[derive(Default)]
pub(super) struct Alias {
    last: Mutex<Option<(Stands, Instant)>>,
    /// Held while KMS is asked, so that many threads ask once.
    asking: tokio::sync::Mutex<()>,
}

/// All of this process: an alias stands for the same key whichever configuration names it.
static ALIASES: Mutex<BTreeMap<(KmsAccess, String), Arc<Alias>>> = Mutex::new(BTreeMap::new());

impl Alias {
    /// The alias that `target` names.
    pub(super) fn of(target: &KmsTarget) -> Arc<Alias> {
        let mut aliases = ALIASES.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (target.access.clone(), target.key_id.clone());
        Arc::clone(aliases.entry(place).or_default())
    }

    /// The last answer of KMS; `None` before it was asked.
    pub(super) fn stands(&self) -> Option<Stands> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(stands, _)| stands.clone())
    }

    /// Whether KMS may say something else than it said last.
    pub(super) fn may_have_moved(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_none_or(|(_, at)| at.elapsed() >= ANSWER_AGE)
    }

    /// Takes over what KMS said.
    pub(super) fn learn(&self, stands: Stands) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((stands, Instant::now()));
    }

    /// Asks KMS, unless it was asked just now.
    ///
    /// # Errors
    /// The refusal of KMS, except where the role may not describe keys.
    pub(super) async fn ask(&self, target: &KmsTarget) -> Result<(), Failure> {
        let _one_at_a_time = self.asking.lock().await;
        if !self.may_have_moved() {
            return Ok(());
        }
        match target.describe().await {
            Ok(arn) => self.learn(Stands::For(arn)),
            Err(Failure::Refused(problem)) if problem.code == Code::SourceDenied => {
                self.learn(Stands::Unsaid);
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}
