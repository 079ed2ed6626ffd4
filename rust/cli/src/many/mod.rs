//! Commands that do the same to each of many objects: listed or from an inventory, at a pace, with a checkpoint and a
//! report.

mod checkpoint;
mod confirm;
mod report;
mod survey;
mod tally;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use emrkeys_core::{Code, Error};
use emrkeys_objects::{work_on, InOrder, Listing, ObjectUri, Pace, Store};
use serde_json::{json, Value};

pub(crate) use checkpoint::{read_back, Identity};
pub(crate) use report::{out_beside, Report};
pub(crate) use tally::{Sums, Tally};

use crate::object::Prefix;
use crate::output::{note, problem, shown, Failure};
use crate::progress::{is_set, Progress};
use crate::text::{counted, printable};
use crate::Form;
use checkpoint::Checkpoint;
use confirm::{confirm, Beginning};
use tally::EXAMPLES;

/// How often the checkpoint is written.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// So many objects are looked at before the share of those that failed means anything.
const ENOUGH: u64 = 100;

/// How the work on many objects is done.
#[derive(Args)]
pub(crate) struct Options {
    /// Ask before more objects than that are changed; each of them is looked at first, to show what would become of
    /// them
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) ask_above: usize,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Work everything out and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Objects at work at once
    #[arg(
        long,
        visible_alias = "concurrency",
        value_name = "N",
        default_value = "16",
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    jobs: u16,
    /// Objects begun in a second, at most: from 0.001 to 1000000
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Agree to pay for requests and transfer, of buckets whose owner has the requester pay
    #[arg(long, value_name = "WHO")]
    request_payer: Option<Payer>,
    /// A file that remembers how far the work got; the same command goes on from there. Removed when every object was
    /// looked at
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// A file that gets a line for each object: JSON, or CSV if its name ends in .csv; - is standard output, and the
    /// counts go to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Stop if more than this share of the objects fails; looked at from the hundredth object on
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = share)]
    max_failures: f64,
}

/// The one who pays, as the AWS CLI has it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Payer {
    /// The owner of the credentials, and not the owner of the bucket
    Requester,
}

impl Options {
    /// The store, as these options want it used.
    pub(crate) fn store(&self, store: Store) -> Store {
        match self.request_payer {
            Some(Payer::Requester) => store.paid_by_requester(),
            None => store,
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1e6).contains(rate));
    rate.ok_or_else(|| "write a number from 0.001 to 1000000".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let percent: Option<f64> = text.strip_suffix('%').unwrap_or(text).parse().ok();
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    percent
        .map(|percent| percent / 100.0)
        .ok_or_else(|| "write a share from 0% to 100%".to_owned())
}

/// The objects of a run.
pub(crate) struct Scope {
    pub(crate) uri: ObjectUri,
    pub(crate) inventory: Option<ObjectUri>,
    /// The object of that key and no other.
    pub(crate) exact: bool,
}

impl Scope {
    /// One object, or many if the URI ends in a slash, has no key, or is said to be a prefix.
    pub(crate) fn of(prefix: &Prefix, recursive: bool) -> Result<Scope, Failure> {
        let (uri, inventory) = prefix.parse()?;
        let exact = !recursive && !uri.key.is_empty() && !uri.key.ends_with('/');
        if exact && inventory.is_some() {
            return Err(Failure::Usage(format!(
                "{uri} is one object, and an inventory is of many: end the URI with a slash, or add --recursive"
            )));
        }
        Ok(Scope {
            uri,
            inventory,
            exact,
        })
    }

    /// For a checkpoint.
    pub(crate) fn objects(&self) -> String {
        format!("{}{}", self.uri, if self.exact { "" } else { "*" })
    }
}

/// An object with its place in the listing; those that are tried again stand before the mark wherever they are.
pub(crate) struct Item {
    uri: ObjectUri,
    mark: Option<String>,
    /// Bytes as stored; 0 where nobody said.
    length: u64,
}

type Items<'a> = Box<dyn Iterator<Item = Result<Item, Error>> + Send + 'a>;

/// The work of a command, in words.
pub(crate) struct Words {
    /// As in "Move all of them?".
    pub(crate) ask: &'static str,
    /// As in "nothing was moved".
    pub(crate) done: &'static str,
    /// As in "2 objects could not be re-wrapped; the data keys are as they were".
    pub(crate) failed: &'static str,
    /// As in "no object's key begins so: s3://lake/raw/".
    pub(crate) none: &'static str,
    /// As in "2 objects left alone, under a key that ...", and the remedy.
    pub(crate) other_key: (&'static str, &'static str),
}

/// No object is there.
pub(crate) const NO_OBJECT: &str = "no object's key begins so";
/// Objects were left alone whose keys the rules do not give at their places.
pub(crate) const OTHER_KEY: (&str, &str) = (
    "under a key that the rules do not give at the object's place: it may have been copied there so that holders of \
     another key can read it",
    "Where that is meant, name the keys in --from.",
);

/// An outcome for one object.
pub(crate) trait Outcome: Sized + Send {
    /// The word that it is counted by.
    fn name(result: &Result<Self, Error>) -> &'static str;
    /// From where to where it went, or would.
    fn way(&self) -> Option<(String, String)>;
    /// Adds what else is summed up.
    fn add_to(&self, sums: &mut Sums);
    /// The line of a report, without its end: JSON, or CSV.
    fn line(uri: &ObjectUri, result: &Result<Self, Error>, csv: bool) -> String;
    /// The head of a report in CSV; `None` where there is no such form.
    const CSV_HEAD: Option<&'static str>;
}

/// The work on each object.
pub(crate) trait Task: Sync {
    type Outcome: Outcome;
    type Run: Identity;

    fn words(&self) -> &Words;
    /// The state that objects are brought to, as far as it can change during the work: keys and their versions.
    fn target(&self) -> Result<String, Error>;
    /// Works on an object. `doubted`: an earlier run replaced it, and nothing showed that it is what was sent.
    fn object(&self, uri: &ObjectUri, doubted: bool) -> Result<Self::Outcome, Error>;
    /// The outcome that [`Task::object`] would have.
    fn look(&self, uri: &ObjectUri) -> Result<Self::Outcome, Error>;
    /// Whether the work is on objects of this key; others are passed over.
    fn concerns(&self, _: &ObjectUri) -> bool {
        true
    }
    /// The options that two runs must share to go on from each other's checkpoints.
    fn identity(&self) -> Self::Run;
    /// Fields of the printed document that come first.
    fn document(&self) -> Value;
    /// Where the objects are brought to, in words.
    fn destination(&self) -> String;
    /// Whether how much there is to do is found out beside the work.
    const HAS_SURVEY: bool;
}

/// The work, and all that it needs.
pub(crate) struct Pass<'a, T> {
    pub(crate) task: &'a T,
    pub(crate) options: &'a Options,
    pub(crate) scope: &'a Scope,
    pub(crate) store: &'a Store,
    pub(crate) stop: &'a AtomicBool,
}

impl<T: Task> Pass<'_, T> {
    /// Does all of it, and prints what was done.
    pub(crate) fn run(&self, form: Form) -> Result<(), Failure> {
        let options = self.options;
        let path = options.checkpoint.as_deref().filter(|_| !options.dry_run);
        let mut checkpoint = Checkpoint::open(path, self.task.identity(), self.task.target()?, self.scope)?;
        let mut tally = Tally::default();
        let mut asked = options.yes || options.dry_run;
        loop {
            self.pass(&mut checkpoint, &mut tally, &mut asked)?;
            let target = self.task.target()?;
            if is_set(self.stop) || options.dry_run || checkpoint.is_to(&target) {
                break;
            }
            note(format_args!(
                "note: {target} wraps by now, since the work began: looks at every object again"
            ));
            checkpoint.restart(target);
        }
        let interrupted = is_set(self.stop);
        if interrupted {
            self.write(&checkpoint)?;
        } else {
            checkpoint.end()?;
        }
        shown(self.summary(&checkpoint, &tally, interrupted, form))?;
        if interrupted {
            return Err(match path {
                Some(path) => Failure::Paused(format!(
                    "stopped; what was under way was finished, and the same command goes on from {}",
                    path.display()
                )),
                None => Failure::Interrupted,
            });
        }
        self.verdict(&checkpoint, &tally)
    }

    /// Looks at every object behind the checkpoint's mark, and at those before it that failed.
    fn pass(
        &self,
        checkpoint: &mut Checkpoint<T::Run>,
        tally: &mut Tally,
        asked: &mut bool,
    ) -> Result<(), Failure> {
        let mut items = self.items(checkpoint)?;
        if !*asked {
            let beginning = Beginning::of(&mut items, self.options.ask_above)?;
            if beginning.is_many() {
                confirm(self, beginning.and(items))?;
                items = self.items(checkpoint)?;
            } else {
                items = beginning.and(items);
            }
            *asked = true;
        }
        let doubted = self.doubted(checkpoint);
        let mut report = Report::open(self.options, T::Outcome::CSV_HEAD)?;
        let pace = Pace {
            jobs: self.options.jobs.into(),
            per_second: self.options.rate,
        };
        let survey = survey::Survey::begin(self, checkpoint.state.after.as_deref());
        let mut progress = Progress::of(if T::HAS_SURVEY { "bytes" } else { "objects" }, None);
        let mut order = InOrder::default();
        let mut written = Instant::now();
        let mut broken = None;
        let (mut looked, mut failed) = (0, 0);
        let ended = work_on(
            items,
            pace,
            self.stop,
            |item| {
                if self.options.dry_run {
                    self.task.look(&item.uri)
                } else {
                    self.task.object(&item.uri, doubted.contains(&item.uri.key))
                }
            },
            |number, item, result| {
                if let Some((total, objects)) = survey.as_ref().and_then(survey::Survey::found) {
                    progress.expect(total, objects);
                }
                progress.add_object(if T::HAS_SURVEY { item.length } else { 1 });
                tally.add(&item.uri, &result);
                looked += 1;
                failed += u64::from(result.is_err());
                let outcome = T::Outcome::name(&result);
                let counted = checkpoint.state.count(&item.uri, outcome, result.as_ref().err());
                let told = report.tell(|csv| T::Outcome::line(&item.uri, &result, csv));
                for mark in order.put(number, item.mark) {
                    checkpoint.state.after = mark.or(checkpoint.state.after.take());
                }
                let saved = if written.elapsed() >= CHECKPOINT_EVERY {
                    written = Instant::now();
                    // Each object that the checkpoint covers has its line.
                    report.flush().and_then(|()| self.write(checkpoint))
                } else {
                    Ok(())
                };
                let bearable = self.bear(looked, failed);
                if let Err(failure) = told.and(saved).and(counted).and(bearable) {
                    self.stop.store(true, Ordering::Relaxed);
                    broken = broken.take().or(Some(failure));
                }
            },
        );
        progress.finish();
        report.flush()?;
        let failure = broken.map_or_else(|| ended.map_err(Failure::from), Err);
        if failure.is_err() {
            self.write(checkpoint)?;
        }
        failure
    }

    /// The objects of a run, from the checkpoint's mark on.
    fn items(&self, checkpoint: &Checkpoint<T::Run>) -> Result<Items<'_>, Failure> {
        let scope = self.scope;
        if scope.exact {
            let item = Item {
                uri: scope.uri.clone(),
                mark: None,
                length: 0,
            };
            return Ok(Box::new(std::iter::once(Ok(item))));
        }
        // They stay in the checkpoint until they succeed, whatever ends this run.
        let mut first = checkpoint.state.failed.clone();
        first.extend(checkpoint.state.doubted.keys().cloned());
        let bucket = scope.uri.bucket.clone();
        let again = first.clone().into_iter().map(move |key| {
            let bucket = bucket.clone();
            Ok(Item {
                uri: ObjectUri { bucket, key },
                mark: None,
                length: 0,
            })
        });
        let listing = self.listing(checkpoint.state.after.as_deref())?;
        let listing =
            listing.filter(move |listed| !matches!(listed, Ok(listed) if first.contains(&listed.uri.key)));
        let listed = listing.map(|listed| {
            listed.map(|listed| Item {
                mark: Some(listed.mark()),
                length: listed.length,
                uri: listed.uri,
            })
        });
        Ok(Box::new(again.chain(listed).filter(|item| {
            item.as_ref().map_or(true, |item| self.task.concerns(&item.uri))
        })))
    }

    /// The objects that an earlier run left in doubt; the first of them are named.
    fn doubted(&self, checkpoint: &Checkpoint<T::Run>) -> BTreeSet<String> {
        let doubted = &checkpoint.state.doubted;
        for message in doubted.values().take(EXAMPLES) {
            note(format_args!(
                "note: an earlier run left this in doubt: {}",
                printable(message)
            ));
        }
        doubted.keys().cloned().collect()
    }

    fn listing(&self, after: Option<&str>) -> Result<Listing, Error> {
        Listing::open(self.store, &self.scope.uri, self.scope.inventory.as_ref(), after)
    }

    /// Whether so few objects failed that the work goes on.
    fn bear(&self, looked: u64, failed: u64) -> Result<(), Failure> {
        let most = self.options.max_failures * looked as f64;
        if looked < ENOUGH || failed as f64 <= most {
            return Ok(());
        }
        Err(problem(
            Code::ObjectsFailed,
            format!("stopped: {failed} of {} failed", counted(looked, "object")),
            "See the lines above for the cause that they share; --max-failures says how many are too many.",
        ))
    }

    /// A dry run leaves no trace.
    fn write(&self, checkpoint: &Checkpoint<T::Run>) -> Result<(), Failure> {
        if self.options.dry_run {
            return Ok(());
        }
        checkpoint.write()
    }

    fn summary(
        &self,
        checkpoint: &Checkpoint<T::Run>,
        tally: &Tally,
        interrupted: bool,
        form: Form,
    ) -> Result<(), Failure> {
        let mut out = out_beside(self.options);
        let earlier = checkpoint.resumed.then_some(&checkpoint.state);
        if form == Form::Json {
            let mut document = self.task.document();
            document["dryRun"] = self.options.dry_run.into();
            document["complete"] = (!interrupted).into();
            document["counts"] = json!(tally.counts);
            document["changes"] = tally.ways_json();
            document["notes"] = json!(tally.sums.notes);
            if T::HAS_SURVEY {
                document["bytes"] = tally.sums.bytes.into();
                document["requests"] = json!(tally.sums.requests);
            }
            document["errors"] = tally.errors_json();
            if let Some(state) = earlier {
                document["withEarlierRuns"] = json!({ "started": state.started, "counts": state.counts });
            }
            return Ok(writeln!(out, "{document:#}")?);
        }
        let dry = if self.options.dry_run {
            " (a dry run: nothing was written)"
        } else {
            ""
        };
        let uri = self.scope.uri.to_string();
        writeln!(out, "{} -> {}{dry}", printable(&uri), self.task.destination())?;
        tally.print(&mut out)?;
        if let Some(state) = earlier {
            writeln!(out, "\nWith the earlier runs since {}:", state.started)?;
            for (kind, count) in &state.counts {
                writeln!(out, "  {count:>10}  {kind}")?;
            }
        }
        Ok(())
    }

    fn verdict(&self, checkpoint: &Checkpoint<T::Run>, tally: &Tally) -> Result<(), Failure> {
        let uri = printable(&self.scope.uri.to_string());
        if self.scope.exact && tally.count("gone") > 0 {
            return Err(Failure::NoObjects(format!(
                "{uri} does not exist; for all objects whose keys begin so add --recursive"
            )));
        }
        if tally.objects() == 0 && checkpoint.state.counts.is_empty() {
            return Err(Failure::NoObjects(format!("{}: {uri}", self.task.words().none)));
        }
        let failed = checkpoint.state.failed.len() as u64;
        if failed > 0 {
            return Err(problem(
                Code::ObjectsFailed,
                format!("{} {}", counted(failed, "object"), self.task.words().failed),
                "See the lines above and the report; the same command tries them again.",
            ));
        }
        tally.left_alone(self.task.words())
    }
}
