//! The question before many objects are changed.

use std::io::{stderr, stdin, BufRead, IsTerminal};

use emrkeys_core::Error;
use emrkeys_objects::{work_on, Pace, Rewrap};

use super::tally::Tally;
use super::{Item, Work};
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
    pub(super) fn and<'a>(
        self,
        more: Box<dyn Iterator<Item = Result<Item, Error>> + Send + 'a>,
    ) -> Box<dyn Iterator<Item = Result<Item, Error>> + Send + 'a> {
        Box::new(self.items.into_iter().map(Ok).chain(more))
    }

    /// Asks, where there are many objects and somebody who can answer.
    ///
    /// # Errors
    /// `Usage` where nobody can answer; `Interrupted` for no.
    pub(super) fn confirm(&self, work: &Work<'_>, jobs: u16) -> Result<(), Failure> {
        if self.items.len() <= MANY {
            return Ok(());
        }
        if !stdin().is_terminal() {
            return Err(Failure::Usage(format!(
                "there are more than {MANY} objects, and nobody to ask: add --yes, or look first with --dry-run"
            )));
        }
        self.show(work, jobs)?;
        note(format_args!(
            "There are more than {MANY} objects. Move all of them? Type yes, or anything else to leave them:"
        ));
        let mut answer = String::new();
        stdin().lock().read_line(&mut answer)?;
        if answer.trim() == "yes" {
            return Ok(());
        }
        Err(Failure::Refused("nothing was moved".to_owned()))
    }

    /// A table of what would become of the first few.
    fn show(&self, work: &Work<'_>, jobs: u16) -> Result<(), Failure> {
        let dry = Rewrap {
            dry_run: true,
            ..work.rewrap.clone()
        };
        let pace = Pace {
            jobs: jobs.into(),
            per_second: None,
        };
        let mut tally = Tally::default();
        let sample = self.items.iter().take(SAMPLE).map(Ok);
        work_on(
            sample,
            pace,
            work.stop,
            |(uri, _)| dry.object(work.provider, work.store, uri),
            |_, (uri, _), result| tally.add(uri, &result),
        )?;
        let mut out = stderr().lock();
        note(format_args!("The first {SAMPLE} objects:"));
        tally.print(&mut out)
    }
}
