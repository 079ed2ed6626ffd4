//! `emrkeys rewrap`

mod checkpoint;
mod confirm;
mod tally;

use std::fs::File;
use std::io::{stdout, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use emrkeys_core::{Code, Error, Provider};
use emrkeys_objects::{
    report_line, work_on, InOrder, Listing, ObjectUri, Outcome, Pace, Rewrap, Store, Target,
};
use serde_json::json;

use crate::aws::Aws;
use crate::conf::Conf;
use crate::object::{Instructions, Prefix};
use crate::output::{at, note, problem, shown, Failure};
use crate::progress::{interrupted, is_set, Progress};
use crate::text::{counted, printable};
use crate::Form;
use checkpoint::{Checkpoint, Run};
use confirm::Beginning;
use tally::Tally;

/// How often the checkpoint is written.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(crate) struct Command {
    #[command(flatten)]
    prefix: Prefix,
    /// Take the URI for a prefix: all objects whose keys begin so. A URI that ends in a slash is one anyway
    #[arg(long)]
    recursive: bool,
    /// A version of one object, in a bucket with versions: the newest version becomes a copy of it under the key
    #[arg(long, value_name = "ID", conflicts_with_all = ["recursive", "inventory", "checkpoint"])]
    version_id: Option<String>,
    #[command(flatten)]
    instructions: Instructions,
    /// The name of the key that is to wrap the data keys, as in emrkeys.key.NAME.type
    #[arg(long, value_name = "KEY", required_unless_present = "to_rules")]
    to: Option<String>,
    /// Wrap each object's data key by the key that the rules give to new objects at its place
    #[arg(long, conflicts_with = "to")]
    to_rules: bool,
    /// Move objects under these keys too, though the rules give others at their place. All holders of the new key can
    /// read them then
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    from: Vec<String>,
    /// Do not ask before more than 1000 objects are moved
    #[arg(long)]
    yes: bool,
    /// Work everything out and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Objects at work at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Objects begun in a second, at most: from 0.001 to 1000000
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// A file that remembers how far the work got; the same command goes on from there. Removed when every object was
    /// looked at
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// A file that gets a line of JSON for each object
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Replace the wraps of the SDK v1's first client by those of its second, which S3A reads without
    /// emrkeys.s3a.allow-legacy
    #[arg(long)]
    upgrade_wrap: bool,
    /// Copy objects of more bytes in parts
    #[arg(long, value_name = "BYTES", default_value = "5368709120", hide = true)]
    multipart_above: u64,
    #[command(flatten)]
    conf: Conf,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1e6).contains(rate));
    rate.ok_or_else(|| "write a number from 0.001 to 1000000".to_owned())
}

/// The objects of a run.
struct Scope {
    uri: ObjectUri,
    inventory: Option<ObjectUri>,
    /// The object of that key and no other.
    exact: bool,
}

/// An object with its place in the listing; those that are tried again stand before the mark wherever they are.
type Item = (ObjectUri, Option<String>);

/// The state that one pass needs besides the command line.
struct Work<'a> {
    rewrap: &'a Rewrap,
    provider: &'a Provider,
    store: &'a Store,
    stop: &'a AtomicBool,
}

impl Command {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        let scope = self.scope()?;
        let stop = interrupted()?;
        let (provider, report) = self.conf.open_provider(aws)?;
        for warning in report.warnings {
            note(format_args!("warning: {warning}"));
        }
        let rewrap = self.rewrap();
        let target = rewrap.target(&provider, &scope.uri)?;
        let store = self.store(&scope, aws)?;
        let path = self.checkpoint.as_deref().filter(|_| !self.dry_run);
        let mut checkpoint = Checkpoint::open(path, self.identity(&scope), target)?;
        let work = Work {
            rewrap: &rewrap,
            provider: &provider,
            store: &store,
            stop: &stop,
        };
        let mut tally = Tally::default();
        let mut asked = self.yes || self.dry_run;
        loop {
            self.pass(&work, &scope, &mut checkpoint, &mut tally, &mut asked)?;
            let target = rewrap.target(&provider, &scope.uri)?;
            if is_set(&stop) || self.dry_run || checkpoint.is_to(&target) {
                break;
            }
            note(format_args!(
                "note: {target} wraps by now, since the work began: looks at every object again"
            ));
            checkpoint.restart(target);
        }
        if is_set(&stop) {
            self.write(&checkpoint)?;
        } else {
            checkpoint.remove()?;
        }
        shown(self.summary(&scope, &checkpoint, &tally, is_set(&stop), form))?;
        if is_set(&stop) {
            return Err(Failure::Interrupted);
        }
        self.verdict(&scope, &checkpoint, &tally)
    }

    fn store(&self, scope: &Scope, aws: &Aws) -> Result<Store, Failure> {
        let store = self.instructions.store(aws)?;
        match &self.version_id {
            None => Ok(store),
            Some(id) if scope.exact => Ok(store.at_version(id)),
            Some(_) => Err(Failure::Usage(
                "--version-id: name one object, whose version it is".to_owned(),
            )),
        }
    }

    fn rewrap(&self) -> Rewrap {
        Rewrap {
            from: self.from.iter().cloned().collect(),
            upgrade_wrap: self.upgrade_wrap,
            dry_run: self.dry_run,
            multipart_above: self.multipart_above,
            ..Rewrap::to(match &self.to {
                Some(key) => Target::Key(key.clone()),
                None => Target::Rules,
            })
        }
    }

    fn scope(&self) -> Result<Scope, Failure> {
        let (uri, inventory) = self.prefix.parse()?;
        let exact = !self.recursive && !uri.key.is_empty() && !uri.key.ends_with('/');
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

    /// The options that two runs must share to go on from each other's checkpoints.
    fn identity(&self, scope: &Scope) -> Run {
        let all = if scope.exact { "" } else { "*" };
        Run {
            objects: format!("{}{all}", scope.uri),
            inventory: scope.inventory.as_ref().map(ObjectUri::to_string),
            to: self.to.clone(),
            from: self.from.iter().cloned().collect(),
            upgrade_wrap: self.upgrade_wrap,
            instruction_suffix: self.instructions.other().map(str::to_owned),
        }
    }

    /// Looks at every object behind the checkpoint's mark, and at those before it that failed.
    fn pass(
        &self,
        work: &Work<'_>,
        scope: &Scope,
        checkpoint: &mut Checkpoint,
        tally: &mut Tally,
        asked: &mut bool,
    ) -> Result<(), Failure> {
        let mut items = items(work.store, scope, checkpoint)?;
        if !*asked {
            let beginning = Beginning::of(&mut items)?;
            beginning.confirm(work, self.jobs)?;
            items = beginning.and(items);
            *asked = true;
        }
        let mut lines = match &self.report {
            None => None,
            Some(path) => Some(BufWriter::new(append(path)?)),
        };
        let pace = Pace {
            jobs: self.jobs.into(),
            per_second: self.rate,
        };
        let mut progress = Progress::of("objects", None);
        let mut order = InOrder::default();
        let mut written = Instant::now();
        let mut broken = None;
        let ended = work_on(
            items,
            pace,
            work.stop,
            |(uri, _)| work.rewrap.object(work.provider, work.store, uri),
            |number, (uri, mark), result| {
                progress.add(1);
                tally.add(&uri, &result);
                let outcome = emrkeys_objects::outcome_name(&result);
                let counted = checkpoint.state.count(&uri, outcome, result.is_err());
                let told = self.tell(&uri, &result, &mut lines);
                for mark in order.put(number, mark) {
                    checkpoint.state.after = mark.or(checkpoint.state.after.take());
                }
                let saved = if written.elapsed() >= CHECKPOINT_EVERY {
                    written = Instant::now();
                    // Each object that the checkpoint covers has its line.
                    self.flush(&mut lines).and_then(|()| self.write(checkpoint))
                } else {
                    Ok(())
                };
                if let Err(failure) = told.and(saved).and(counted) {
                    work.stop.store(true, Ordering::Relaxed);
                    broken = broken.take().or(Some(failure));
                }
            },
        );
        progress.finish();
        self.flush(&mut lines)?;
        let failure = broken.map_or_else(|| ended.map_err(Failure::from), Err);
        if failure.is_err() {
            self.write(checkpoint)?;
        }
        failure
    }

    fn tell(
        &self,
        uri: &ObjectUri,
        result: &Result<Outcome, Error>,
        lines: &mut Option<BufWriter<File>>,
    ) -> Result<(), Failure> {
        let (Some(lines), Some(path)) = (lines, &self.report) else {
            return Ok(());
        };
        writeln!(lines, "{}", report_line(uri, result)).map_err(at(path))
    }

    fn flush(&self, lines: &mut Option<BufWriter<File>>) -> Result<(), Failure> {
        match (lines, &self.report) {
            (Some(lines), Some(path)) => lines.flush().map_err(at(path)),
            _ => Ok(()),
        }
    }

    /// A dry run leaves no trace.
    fn write(&self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        checkpoint.write()
    }

    fn summary(
        &self,
        scope: &Scope,
        checkpoint: &Checkpoint,
        tally: &Tally,
        interrupted: bool,
        form: Form,
    ) -> Result<(), Failure> {
        let mut out = stdout().lock();
        let earlier = checkpoint.resumed.then_some(&checkpoint.state);
        if form == Form::Json {
            let mut document = json!({
                "prefix": scope.uri.to_string(),
                "to": self.to,
                "dryRun": self.dry_run,
                "complete": !interrupted,
                "counts": tally.counts,
                "changes": tally.ways_json(),
                "errors": tally.errors_json(),
            });
            if let Some(state) = earlier {
                document["withEarlierRuns"] = json!({ "started": state.started, "counts": state.counts });
            }
            return Ok(writeln!(out, "{document:#}")?);
        }
        let to = self.to.as_deref().unwrap_or("the keys of the rules");
        let dry = if self.dry_run {
            " (a dry run: nothing was written)"
        } else {
            ""
        };
        writeln!(out, "{} -> {to}{dry}", printable(&scope.uri.to_string()))?;
        tally.print(&mut out)?;
        if let Some(state) = earlier {
            writeln!(out, "\nWith the earlier runs since {}:", state.started)?;
            for (kind, count) in &state.counts {
                writeln!(out, "  {count:>10}  {kind}")?;
            }
        }
        Ok(())
    }

    fn verdict(&self, scope: &Scope, checkpoint: &Checkpoint, tally: &Tally) -> Result<(), Failure> {
        let uri = printable(&scope.uri.to_string());
        if scope.exact && tally.count("gone") > 0 {
            return Err(Failure::NoObjects(format!(
                "{uri} does not exist; for all objects whose keys begin so add --recursive"
            )));
        }
        if tally.objects() == 0 && checkpoint.state.counts.is_empty() {
            return Err(Failure::NoObjects(format!("no object's key begins so: {uri}")));
        }
        let failed = checkpoint.state.failed.len() as u64;
        if failed > 0 {
            return Err(problem(
                Code::ObjectsFailed,
                format!(
                    "{} could not be re-wrapped; the data keys are as they were",
                    counted(failed, "object")
                ),
                "See the lines above and the report; the same command tries them again.",
            ));
        }
        match tally.count("other-key") {
            0 => Ok(()),
            others => Err(problem(
                Code::ObjectsFailed,
                format!(
                    "{} left alone, under a key that the rules do not give at the object's place: it may have been \
                     copied there so that holders of another key can read it",
                    counted(others, "object")
                ),
                "Where that is meant, name the keys in --from.",
            )),
        }
    }
}

/// The objects of a run, from the checkpoint's mark on.
fn items<'a>(
    store: &Store,
    scope: &Scope,
    checkpoint: &Checkpoint,
) -> Result<Box<dyn Iterator<Item = Result<Item, Error>> + Send + 'a>, Failure> {
    if scope.exact {
        return Ok(Box::new(std::iter::once(Ok((scope.uri.clone(), None)))));
    }
    // They stay in the checkpoint until they succeed, whatever ends this run.
    let bucket = scope.uri.bucket.clone();
    let again = checkpoint.state.failed.clone().into_iter().map(move |key| {
        let bucket = bucket.clone();
        Ok((ObjectUri { bucket, key }, None))
    });
    let after = checkpoint.state.after.as_deref();
    let listing = Listing::open(store, &scope.uri, scope.inventory.as_ref(), after)?;
    let listed = listing.map(|listed| listed.map(|listed| (listed.uri.clone(), Some(listed.mark()))));
    Ok(Box::new(again.chain(listed)))
}

fn append(path: &Path) -> Result<File, Failure> {
    File::options()
        .append(true)
        .create(true)
        .open(path)
        .map_err(at(path))
}
