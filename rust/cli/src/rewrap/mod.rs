//! `emrkeys rewrap`

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{stdout, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use emrkeys_core::{Code, Error};
use emrkeys_objects::{
    outcome_name, report_line, work_on, InOrder, Listing, ObjectUri, Outcome, Pace, Rewrap,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::aws::Aws;
use crate::conf::Conf;
use crate::files::NewFile;
use crate::object::Prefix;
use crate::output::{at, note, problem, shown, Failure};
use crate::progress::{interrupted, is_set, Progress};
use crate::Form;

/// How often the checkpoint is written.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// The most failed objects that a checkpoint remembers; more than that and something else is wrong.
const MAX_FAILED: usize = 10_000;

#[derive(Args)]
pub(crate) struct Command {
    #[command(flatten)]
    prefix: Prefix,
    /// The name of the key that is to wrap their data keys, as in emrkeys.key.NAME.type
    #[arg(long, value_name = "KEY")]
    to: String,
    /// Work everything out and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Objects at work at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Objects begun in a second, at most: from 0.001 to 1000000
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// A file that remembers how far the work got; the same command goes on from there
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// A file that gets a line of JSON for each object
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Replace the wraps of the SDK v1's first client by those of its second, which S3A reads without emrkeys.s3a.allow-legacy
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

/// What a checkpoint file holds.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    inventory: Option<String>,
    to: String,
    upgrade_wrap: bool,
    /// The mark of the last object up to which every one was worked on.
    after: Option<String>,
    /// Objects before it that failed, and are tried again.
    failed: BTreeSet<String>,
    counts: BTreeMap<String, u64>,
}

impl Checkpoint {
    fn is_of_the_run_of(&self, other: &Checkpoint) -> bool {
        self.prefix == other.prefix
            && self.inventory == other.inventory
            && self.to == other.to
            && self.upgrade_wrap == other.upgrade_wrap
    }

    /// Counts what became of an object; one that failed before and is tried again is counted by its last outcome.
    fn count(&mut self, key: &str, result: &Result<Outcome, Error>) -> Result<(), Failure> {
        if self.failed.remove(key) {
            if let Some(failed) = self.counts.get_mut("failed") {
                *failed -= 1;
                if *failed == 0 {
                    self.counts.remove("failed");
                }
            }
        }
        *self.counts.entry(outcome_name(result).to_owned()).or_default() += 1;
        if result.is_err() {
            self.failed.insert(key.to_owned());
        }
        if self.failed.len() > MAX_FAILED {
            return Err(problem(
                Code::ObjectsFailed,
                format!("more than {MAX_FAILED} objects failed"),
                "See the lines above for the cause that they share.",
            ));
        }
        Ok(())
    }
}

impl Command {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        let (prefix, inventory) = self.prefix.parse()?;
        let stop = interrupted()?;
        let (provider, report) = self.conf.open_provider(aws)?;
        for warning in report.warnings {
            note(format_args!("warning: {warning}"));
        }
        let store = aws.store()?;
        let rewrap = Rewrap {
            upgrade_wrap: self.upgrade_wrap,
            dry_run: self.dry_run,
            multipart_above: self.multipart_above,
            ..Rewrap::to(&self.to)
        };
        let mut checkpoint = self.read_checkpoint(&prefix, inventory.as_ref())?;
        let mut lines = match &self.report {
            None => None,
            Some(path) => Some(BufWriter::new(append(path)?)),
        };
        // They stay in the checkpoint until they succeed, whatever ends this run.
        let again = checkpoint.failed.clone();
        let again = again.into_iter().map(|key| ObjectUri {
            bucket: prefix.bucket.clone(),
            key,
        });
        let listing = Listing::open(&store, &prefix, inventory.as_ref(), checkpoint.after.as_deref())?;
        // Those that are tried again stand before the mark wherever they are.
        let items = again
            .map(|uri| Ok((uri, None)))
            .chain(listing.map(|listed| listed.map(|listed| (listed.uri.clone(), Some(listed.mark())))));
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
            &stop,
            |(uri, _)| rewrap.object(&provider, &store, uri),
            |number, (uri, mark), result| {
                progress.add(1);
                let counted = checkpoint.count(&uri.key, &result);
                let told = self.tell(&uri, &result, &mut lines);
                for mark in order.put(number, mark) {
                    checkpoint.after = mark.or(checkpoint.after.take());
                }
                let saved = if written.elapsed() >= CHECKPOINT_EVERY {
                    written = Instant::now();
                    // What the checkpoint covers has its line.
                    self.flush(&mut lines)
                        .and_then(|()| self.write_checkpoint(&checkpoint))
                } else {
                    Ok(())
                };
                if let Err(failure) = told.and(saved).and(counted) {
                    stop.store(true, std::sync::atomic::Ordering::Relaxed);
                    broken = broken.take().or(Some(failure));
                }
            },
        );
        progress.finish();
        self.flush(&mut lines)?;
        self.write_checkpoint(&checkpoint)?;
        if let Some(failure) = broken {
            return Err(failure);
        }
        ended?;
        shown(self.summary(&checkpoint, is_set(&stop), form))?;
        if is_set(&stop) {
            return Err(Failure::Interrupted);
        }
        match checkpoint.failed.len() {
            0 => Ok(()),
            failed => Err(problem(
                Code::ObjectsFailed,
                format!("{failed} objects could not be re-wrapped; their data keys are as they were"),
                "See the lines above and the report; the same command tries them again.",
            )),
        }
    }

    fn tell(
        &self,
        uri: &ObjectUri,
        result: &Result<Outcome, Error>,
        lines: &mut Option<BufWriter<File>>,
    ) -> Result<(), Failure> {
        if let Err(error) = result {
            note(format_args!("{uri}: {error}"));
        }
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

    fn summary(&self, checkpoint: &Checkpoint, interrupted: bool, form: Form) -> Result<(), Failure> {
        let mut out = stdout().lock();
        if form == Form::Json {
            let document = json!({
                "prefix": checkpoint.prefix,
                "to": self.to,
                "dryRun": self.dry_run,
                "complete": !interrupted,
                "counts": checkpoint.counts,
            });
            return Ok(writeln!(out, "{document:#}")?);
        }
        let dry = if self.dry_run {
            " (nothing was written)"
        } else {
            ""
        };
        writeln!(out, "{} -> {}{dry}", checkpoint.prefix, self.to)?;
        for (kind, count) in &checkpoint.counts {
            writeln!(out, "  {count:>10}  {kind}")?;
        }
        Ok(())
    }

    fn read_checkpoint(
        &self,
        prefix: &ObjectUri,
        inventory: Option<&ObjectUri>,
    ) -> Result<Checkpoint, Failure> {
        let new = Checkpoint {
            prefix: prefix.to_string(),
            inventory: inventory.map(ObjectUri::to_string),
            to: self.to.clone(),
            upgrade_wrap: self.upgrade_wrap,
            after: None,
            failed: BTreeSet::new(),
            counts: BTreeMap::new(),
        };
        let Some(path) = self.checkpoint.as_ref().filter(|path| path.exists()) else {
            return Ok(new);
        };
        let wrong = |what: String| {
            Failure::Configuration(format!("{}: {what}; remove it to begin anew", path.display()))
        };
        let found: Checkpoint = serde_json::from_slice(&fs::read(path).map_err(at(path))?)
            .map_err(|error| wrong(format!("it is not a checkpoint ({error})")))?;
        if !found.is_of_the_run_of(&new) {
            return Err(wrong(format!(
                "it is of another run ({} -> {})",
                found.inventory.unwrap_or(found.prefix),
                found.to
            )));
        }
        Ok(found)
    }

    /// A dry run leaves no trace.
    fn write_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let Some(path) = self.checkpoint.as_ref().filter(|_| !self.dry_run) else {
            return Ok(());
        };
        let mut file = NewFile::create(path).map_err(at(path))?;
        serde_json::to_writer(&mut file, checkpoint).map_err(|error| at(path)(error.into()))?;
        file.replace().map_err(at(path))
    }
}

fn append(path: &Path) -> Result<File, Failure> {
    File::options()
        .append(true)
        .create(true)
        .open(path)
        .map_err(at(path))
}
