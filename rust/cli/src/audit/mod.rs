//! `emrkeys audit`: which keys protect what is under a prefix.

mod finding;
mod look;
mod page;
mod share;
mod table_of;
mod tables;
mod tally;

use std::collections::BTreeMap;
use std::io::{stdout, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;
use emrkeys_objects::{work_on, Listing, Pace, Page, Store};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;

use crate::aws::Aws;
use crate::conf::Conf;
use crate::files::NewFile;
use crate::object::{is_standard, Instructions, Prefix};
use crate::output::{at, shown, Failure};
use crate::progress::{interrupted, is_set, Progress};
use crate::text::printable;
use crate::Form;
use look::{Auditor, Row};
use tally::{csv_line, Tally};

#[derive(Args)]
#[command(after_help = "\
Objects are looked at by HEAD, and their instruction files where the listing has them; no content is read. An \
inventory is in no order,
so that with one S3 is asked for the instruction file of every object that has no envelope.
With a configuration each data key is unwrapped, which asks KMS once per object for keys of type kms; --no-unwrap \
asks nobody.

Example:
  emrkeys audit s3://lake/sales/ --conf /etc/hadoop/conf --html audit.html")]
pub(crate) struct Command {
    #[command(flatten)]
    prefix: Prefix,
    #[command(flatten)]
    instructions: Instructions,
    /// Does not unwrap data keys: says what the envelopes say, and nothing on what can be read
    #[arg(long)]
    no_unwrap: bool,
    /// How many objects are looked at at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// How many keys of objects are given as examples of each finding
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// Writes a page for a browser, which loads nothing from elsewhere; - prints it in place of the tables
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes a line for every object: CSV, or JSON where FILE ends in .jsonl; - prints CSV in place of the tables
    #[arg(long, value_name = "FILE")]
    objects: Option<PathBuf>,
    /// Ends with status 6 where there are findings
    #[arg(long)]
    fail_on_findings: bool,
    #[command(flatten)]
    conf: Conf,
}

/// The head of the report in every form.
struct About {
    prefix: String,
    when: String,
    client: &'static str,
    unwrapped: bool,
}

impl Command {
    pub(crate) fn run(self, form: Form, csv: bool, aws: &Aws) -> Result<(), Failure> {
        let (prefix, inventory) = self.prefix.parse()?;
        let printed = |path: &Option<PathBuf>| path.as_deref().is_some_and(is_standard);
        if printed(&self.html) && printed(&self.objects) {
            return Err(Failure::Usage(
                "--html - and --objects -: one of them at once".to_owned(),
            ));
        }
        let auditor = Auditor::open(&self.conf, aws, self.no_unwrap)?;
        let store = self.instructions.store(aws)?;
        let stop = interrupted()?;
        let mut objects = match &self.objects {
            Some(path) => Some(Objects::create(path)?),
            None => None,
        };
        let mut tally = Tally::new(&prefix.key, self.examples);
        let mut progress = Progress::of("objects", None);
        let mut listing = Listing::open(&store, &prefix, inventory.as_ref(), None)?;
        while let Some(page) = listing.next_page()? {
            for row in self.rows(&auditor, &store, &page, &stop, &mut progress)? {
                if let Some(objects) = &mut objects {
                    objects.write(&row)?;
                }
                tally.add(row);
            }
            if is_set(&stop) {
                return Err(Failure::Interrupted);
            }
        }
        progress.finish();
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
            write_whole(path, page::page(&about, &tally).as_bytes())?;
        }
        if !printed(&self.html) && !printed(&self.objects) {
            shown(print(form, csv, &about, &tally))?;
        }
        if tally.objects == 0 {
            return Err(Failure::NoObjects(format!(
                "no object's key begins so: {}",
                printable(&about.prefix)
            )));
        }
        if self.fail_on_findings && tally.has_findings() {
            return Err(Failure::Findings(tally.finding_objects()));
        }
        Ok(())
    }

    /// One row per object of the page, in its order.
    fn rows(
        &self,
        auditor: &Auditor,
        store: &Store,
        page: &Page,
        stop: &AtomicBool,
        progress: &mut Progress,
    ) -> Result<Vec<Row>, Failure> {
        let pace = Pace {
            jobs: self.jobs.into(),
            per_second: None,
        };
        let mut rows = BTreeMap::new();
        work_on(
            page.objects.iter().map(Ok),
            pace,
            stop,
            |object| auditor.look(store, object, page),
            |number, _, row| {
                progress.add(1);
                rows.insert(number, row);
            },
        )?;
        Ok(rows.into_values().collect())
    }
}

fn print(form: Form, csv: bool, about: &About, tally: &Tally) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match form {
        Form::Text if csv => out.write_all(tally.csv().as_bytes())?,
        Form::Text => out.write_all(tally.text(&about.prefix).as_bytes())?,
        Form::Json => {
            let document = json!({
                "prefix": about.prefix, "when": about.when, "tool": emrkeys_core::VERSION, "client": about.client,
                "unwrapped": about.unwrapped, "objects": tally.objects, "bytes": tally.bytes,
                "shares": tally.shares.json(), "folders": tally.folders.json(),
                "groups": tally.groups_json(), "findings": tally.findings_json(),
            });
            writeln!(out, "{document:#}")?;
        }
    }
    Ok(out.flush()?)
}

fn write_whole(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut file = Sink::create(path).map_err(at(path))?;
    file.write_all(content).map_err(at(path))?;
    file.replace().map_err(at(path))
}

/// A file that appears when it is whole, or standard output.
enum Sink {
    File(NewFile),
    Standard(Stdout),
}

impl Sink {
    fn create(path: &Path) -> std::io::Result<Sink> {
        if is_standard(path) {
            return Ok(Sink::Standard(stdout()));
        }
        NewFile::create(path).map(Sink::File)
    }

    fn replace(self) -> std::io::Result<()> {
        match self {
            Sink::File(file) => file.replace(),
            Sink::Standard(mut out) => out.flush(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Sink::File(file) => file.write(bytes),
            Sink::Standard(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Sink::File(file) => file.flush(),
            Sink::Standard(out) => out.flush(),
        }
    }
}

/// A line for every object.
struct Objects {
    path: PathBuf,
    out: BufWriter<Sink>,
    json: bool,
}

impl Objects {
    fn create(path: &Path) -> Result<Objects, Failure> {
        let mut objects = Objects {
            path: path.to_owned(),
            out: BufWriter::new(Sink::create(path).map_err(at(path))?),
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

    fn finish(self) -> Result<(), Failure> {
        let file = self
            .out
            .into_inner()
            .map_err(|error| at(&self.path)(error.into_error()))?;
        file.replace().map_err(at(&self.path))
    }
}
