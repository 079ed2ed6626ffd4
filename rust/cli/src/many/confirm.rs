//! The question before many objects are changed.

use std::io::{stderr, stdin, BufRead, IsTerminal};

use emrkeys_core::Error;
use emrkeys_objects::{work_on, Pace};

use super::tally::Tally;
use super::{Item, Pass, Task};
use crate::output::{note, Failure};

/// So many objects are changed without a question.
const MANY: usize = 1000;
/// Objects that are looked at to show what is to be done.
const SAMPLE: usize = 100;

/// The first objects of a run.
pub(super) struct Beginning {
    items: Vec<Item>,
}

impl Beginning {
    /// Takes one more than go without a question, where there are so many.
    pub(super) fn of(items: &mut dyn Iterator<Item = Result<Item, Error>>) -> Result<Beginning, Failure> {
        let items = items.take(MANY + 1).collect::<Result<_, _>>()?;
        Ok(Beginning { items })
    }

    /// The taken objects, and the others behind them.
    pub(super) fn and<'a>(self, more: super::Items<'a>) -> super::Items<'a> {
        Box::new(self.items.into_iter().map(Ok).chain(more))
    }

    /// Asks, where there are many objects and somebody who can answer.
    ///
    /// # Errors
    /// `Usage` where nobody can answer; `Interrupted` for no.
    pub(super) fn confirm<T: Task>(&self, pass: &Pass<'_, T>) -> Result<(), Failure> {
        if self.items.len() <= MANY {
            return Ok(());
        }
        if !stdin().is_terminal() {
            return Err(Failure::Usage(format!(
                "there are more than {MANY} objects, and nobody to ask: add --yes, or look first with --dry-run"
            )));
        }
        self.show(pass)?;
        note(format_args!(
            "There are more than {MANY} objects. {} all of them? Type yes, or anything else to leave them:",
            pass.task.words().ask
        ));
        let mut answer = String::new();
        stdin().lock().read_line(&mut answer)?;
        if answer.trim() == "yes" {
            return Ok(());
        }
        Err(Failure::Refused(format!(
            "nothing was {}",
            pass.task.words().done
        )))
    }

    /// A table of what would become of the first few.
    fn show<T: Task>(&self, pass: &Pass<'_, T>) -> Result<(), Failure> {
        let pace = Pace {
            jobs: pass.options.jobs.into(),
            per_second: None,
        };
        let mut tally = Tally::default();
        let sample = self.items.iter().take(SAMPLE).map(Ok);
        work_on(
            sample,
            pace,
            pass.stop,
            |item| pass.task.look(&item.uri),
            |_, item, result| tally.add(&item.uri, &result),
        )?;
        let mut out = stderr().lock();
        note(format_args!("The first {SAMPLE} objects:"));
        tally.print(&mut out)
    }
}
