//! The question before many objects are changed.

use std::io::{stderr, stdin, BufRead, IsTerminal};

use emrkeys_core::Error;
use emrkeys_objects::{work_on, Pace};

use super::tally::Tally;
use super::{Item, Items, Pass, Task};
use crate::output::{note, Failure};
use crate::progress::{is_set, Progress};
use crate::text::counted;

/// The first objects of a run.
pub(super) struct Beginning {
    items: Vec<Item>,
    many: usize,
}

impl Beginning {
    /// Takes one more than go without a question, where there are so many.
    pub(super) fn of(
        items: &mut dyn Iterator<Item = Result<Item, Error>>,
        many: usize,
    ) -> Result<Beginning, Failure> {
        let items = items.take(many.saturating_add(1)).collect::<Result<_, _>>()?;
        Ok(Beginning { items, many })
    }

    /// The taken objects, and the others behind them.
    pub(super) fn and<'a>(self, more: Items<'a>) -> Items<'a> {
        Box::new(self.items.into_iter().map(Ok).chain(more))
    }

    /// Whether there are more than go without a question.
    pub(super) fn is_many(&self) -> bool {
        self.items.len() > self.many
    }
}

/// Looks at all objects, shows what would become of them, and asks.
///
/// # Errors
/// `Usage` where nobody can answer; `Refused` for no.
pub(super) fn confirm<T: Task>(pass: &Pass<'_, T>, items: Items<'_>) -> Result<(), Failure> {
    let words = pass.task.words();
    if !stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "there are more than {} objects, and nobody to ask: add --yes, or look first with --dry-run",
            pass.options.ask_above
        )));
    }
    let tally = foresee(pass, items)?;
    note(format_args!(
        "{} would become:",
        counted(tally.objects(), "object")
    ));
    tally.print(&mut stderr().lock())?;
    note(format_args!(
        "{} them? Type yes, or anything else to leave them:",
        words.ask
    ));
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(Failure::Refused(format!("nothing was {}", words.done)))
}

/// The outcome for each object, were it worked on.
fn foresee<T: Task>(pass: &Pass<'_, T>, items: Items<'_>) -> Result<Tally, Failure> {
    let pace = Pace {
        jobs: pass.options.jobs.into(),
        per_second: None,
    };
    let mut progress = Progress::of("objects", None);
    let mut tally = Tally::default();
    let looked = work_on(
        items,
        pace,
        pass.stop,
        |item| pass.task.look(&item.uri),
        |_, item, result| {
            progress.add(1);
            tally.add(&item.uri, &result);
        },
    );
    progress.finish();
    looked?;
    if is_set(pass.stop) {
        return Err(Failure::Interrupted);
    }
    Ok(tally)
}
