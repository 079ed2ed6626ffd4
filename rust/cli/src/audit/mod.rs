//! `emrkeys audit`: which keys protect what is under a prefix.

mod look;
mod page;
mod tally;

use std::fs::File;
use std::io::{stdout, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use emrkeys_core::object::{ObjectUri, Page, Store, StoreAccess};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

use crate::aws::Aws;
use crate::conf::Conf;
use crate::output::{at, Failure};
use crate::Form;
use look::{Auditor, Row};
use tally::{csv_line, Tally};

/// Between two lines on how far it is, where nobody watches a terminal.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

#[derive(Args)]
#[command(after_help = "\
Objects are looked at by HEAD, and their instruction files where the listing has them; no content is read.
With a configuration each data key is unwrapped, which asks KMS once per object for keys of type kms; --no-unwrap asks nobody.

Example:
  emrkeys audit s3://lake/sales/ --conf /etc/hadoop/conf --html audit.html")]
pub(crate) struct Command {
    /// What is walked: s3://bucket/prefix
    prefix: String,
    #[command(flatten)]
    conf: Conf,
    /// Does not unwrap data keys: says what the envelopes say, and nothing on what can be read
    #[arg(long)]
    no_unwrap: bool,
    /// How many objects are looked at at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// How many keys of objects are given as examples of each finding
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// Writes a page for a browser, which loads nothing from elsewhere
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes a line for every object: CSV, or JSON where FILE ends in .jsonl
    #[arg(long, value_name = "FILE")]
    objects: Option<PathBuf>,
    /// Ends with status 6 where there are findings
    #[arg(long)]
    fail_on_findings: bool,
}

/// What every form of the report begins with.
struct About {
    prefix: String,
    when: String,
    client: &'static str,
    unwrapped: bool,
}

impl Command {
    pub(crate) fn run(self, form: Form, csv: bool, aws: &Aws) -> Result<(), Failure> {
        let prefix = ObjectUri::parse(&self.prefix)?;
        let auditor = Auditor::open(&self.conf, aws, self.no_unwrap)?;
        let store = Store::connect(&StoreAccess {
            endpoint: aws.endpoint_url.clone(),
            region: aws.region.clone(),
            path_style: aws.endpoint_url.is_some() || std::env::var_os("AWS_ENDPOINT_URL").is_some(),
        })?;
        let mut objects = match &self.objects {
            Some(path) => Some(Objects::create(path)?),
            None => None,
        };
        let mut tally = Tally::new(self.examples);
        let mut progress = Progress::new();
        let mut next: Option<String> = None;
        loop {
            let page = store.list(&prefix, None, next.as_deref())?;
            for row in self.rows(&auditor, &store, &prefix.bucket, &page) {
                if let Some(objects) = &mut objects {
                    objects.write(&row)?;
                }
                tally.add(row);
            }
            progress.tell(&tally);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        progress.end();
        if let Some(objects) = objects {
            objects.finish()?;
        }
        let about = About {
            prefix: prefix.to_string(),
            when: OffsetDateTime::now_utc()
                .replace_nanosecond(0)
                .unwrap_or(OffsetDateTime::UNIX_EPOCH)
                .format(&Rfc3339)
                .unwrap_or_default(),
            client: auditor.client(),
            unwrapped: auditor.unwraps(),
        };
        if let Some(path) = &self.html {
            write_whole(path, page::html(&about, &tally).as_bytes())?;
        }
        let mut out = stdout().lock();
        match form {
            Form::Text if csv => out.write_all(tally.csv().as_bytes())?,
            Form::Text => out.write_all(tally.text(&about.prefix).as_bytes())?,
            Form::Json => {
                let document = json!({
                    "prefix": about.prefix, "when": about.when, "tool": emrkeys_core::VERSION, "client": about.client,
                    "unwrapped": about.unwrapped, "objects": tally.objects, "bytes": tally.bytes,
                    "groups": tally.groups_json(), "findings": tally.findings_json(),
                });
                writeln!(out, "{document:#}")?;
            }
        }
        out.flush()?;
        if self.fail_on_findings && tally.has_findings() {
            return Err(Failure::Findings(tally.finding_objects()));
        }
        Ok(())
    }

    /// One row per object of the page, in its order.
    fn rows(&self, auditor: &Auditor, store: &Store, bucket: &str, page: &Page) -> Vec<Row> {
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, Row)>> = Mutex::new(Vec::with_capacity(page.objects.len()));
        std::thread::scope(|scope| {
            for _ in 0..usize::from(self.jobs).min(page.objects.len()) {
                scope.spawn(|| loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(object) = page.objects.get(index) else {
                        return;
                    };
                    let row = auditor.look(store, bucket, object, page);
                    done.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((index, row));
                });
            }
        });
        let mut done = done
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        done.sort_unstable_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, row)| row).collect()
    }
}

/// Where a file is written before it gets its name.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    PathBuf::from(name)
}

/// The file appears whole or not at all.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let part = unfinished(path);
    std::fs::write(&part, content)
        .and_then(|()| std::fs::rename(&part, path))
        .map_err(at(path))
}

/// A line for every object.
struct Objects {
    path: PathBuf,
    out: BufWriter<File>,
    json: bool,
}

impl Objects {
    fn create(path: &Path) -> Result<Objects, Failure> {
        let file = File::create(unfinished(path)).map_err(at(path))?;
        let mut objects = Objects {
            path: path.to_owned(),
            out: BufWriter::new(file),
            json: path.extension().is_some_and(|extension| extension == "jsonl"),
        };
        if !objects.json {
            objects.line(&csv_line(&Row::COLUMNS.map(str::to_owned)))?;
        }
        Ok(objects)
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.out.write_all(line.as_bytes()).map_err(at(&self.path))
    }

    fn write(&mut self, row: &Row) -> Result<(), Failure> {
        let line = if self.json {
            format!("{}\n", row.json())
        } else {
            csv_line(&row.cells())
        };
        self.line(&line)
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.out
            .flush()
            .and_then(|()| std::fs::rename(unfinished(&self.path), &self.path))
            .map_err(at(&self.path))
    }
}

/// How far it is, on standard error.
struct Progress {
    terminal: bool,
    told: Instant,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            terminal: std::io::stderr().is_terminal(),
            told: Instant::now(),
        }
    }

    fn tell(&mut self, tally: &Tally) {
        // Where standard error is closed there is nobody to be told.
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r{} objects looked at", tally.objects);
        } else if self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            let _ = writeln!(std::io::stderr(), "{} objects looked at", tally.objects);
        }
    }

    fn end(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
