//! The outcomes of one run, added up: bounded, however many objects there are.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;

use emrkeys_core::{Code, Error};
use emrkeys_objects::convert::Requests;
use serde_json::{json, Value};

use super::{Outcome, Words};
use crate::output::{note, problem, Failure};
use crate::terminal::Table;
use crate::text::{counted, in_units, printable};

/// Objects that are named for each code.
pub(super) const EXAMPLES: usize = 3;
/// More ways from one key to another than that are counted as one: names in descriptions are outside input.
const MAX_WAYS: usize = 1000;

/// Objects that failed with one code.
struct Failed {
    objects: u64,
    /// Of the first of them.
    message: String,
    examples: Vec<String>,
}

/// Sums over the objects of a run.
#[derive(Default)]
pub(crate) struct Sums {
    /// Bytes of content that moved, or would.
    pub(crate) bytes: u64,
    /// Objects about which something else is worth knowing.
    pub(crate) notes: BTreeMap<&'static str, u64>,
    /// Requests that the work takes, by a dry run.
    pub(crate) requests: Requests,
}

impl Sums {
    pub(crate) fn note(&mut self, what: &'static str) {
        *self.notes.entry(what).or_default() += 1;
    }
}

/// The outcomes of a run.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) counts: BTreeMap<String, u64>,
    /// Objects by the key and version before and after.
    ways: BTreeMap<(String, String), u64>,
    errors: BTreeMap<&'static str, Failed>,
    pub(super) sums: Sums,
}

impl Tally {
    /// Adds an object, and says on standard error how the first few failed.
    pub(crate) fn add<O: Outcome>(&mut self, uri: &impl Display, result: &Result<O, Error>) {
        *self.counts.entry(O::name(result).to_owned()).or_default() += 1;
        match result {
            Ok(outcome) => {
                if let Some((from, to)) = outcome.way() {
                    self.count_way(from, to);
                }
                outcome.add_to(&mut self.sums);
            }
            Err(error) => {
                let failed = self
                    .errors
                    .entry(error.code().as_str())
                    .or_insert_with(|| Failed {
                        objects: 0,
                        message: error.to_string(),
                        examples: Vec::new(),
                    });
                failed.objects += 1;
                if failed.examples.len() < EXAMPLES {
                    failed.examples.push(uri.to_string());
                    note(format_args!(
                        "{}: {}",
                        printable(&uri.to_string()),
                        printable(&error.to_string())
                    ));
                } else if failed.objects == EXAMPLES as u64 + 1 {
                    note(format_args!(
                        "[{}] more objects fail so; they are counted",
                        error.code()
                    ));
                }
            }
        }
    }

    fn count_way(&mut self, from: String, to: String) {
        let way = (from, to);
        let way = if self.ways.len() < MAX_WAYS || self.ways.contains_key(&way) {
            way
        } else {
            ("others".to_owned(), String::new())
        };
        *self.ways.entry(way).or_default() += 1;
    }

    pub(crate) fn count(&self, outcome: &str) -> u64 {
        self.counts.get(outcome).copied().unwrap_or(0)
    }

    pub(crate) fn objects(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether no object was left alone, or a part of one, because of its key.
    pub(crate) fn left_alone(&self, words: &Words) -> Result<(), Failure> {
        let kinds = ["other-key", "partly-rewrapped", "would-be-partly-rewrapped"];
        let (why, remedy) = words.other_key;
        match kinds.iter().map(|kind| self.count(kind)).sum() {
            0 => Ok(()),
            others => Err(problem(
                Code::ObjectsFailed,
                format!("{} left alone, {why}", counted(others, "object")),
                remedy,
            )),
        }
    }

    pub(crate) fn ways_json(&self) -> Value {
        self.ways
            .iter()
            .map(|((from, to), objects)| json!({ "from": from, "to": to, "objects": objects }))
            .collect()
    }

    pub(crate) fn errors_json(&self) -> Value {
        self.errors
            .iter()
            .map(|(code, failed)| {
                json!({
                    "code": code, "objects": failed.objects, "message": failed.message, "examples": failed.examples,
                })
            })
            .collect()
    }

    /// The counts, the ways from key to key, and the errors by code.
    pub(crate) fn print(&self, out: &mut impl Write) -> Result<(), Failure> {
        for (kind, count) in &self.counts {
            writeln!(out, "  {count:>10}  {kind}")?;
        }
        self.print_ways(out)?;
        self.print_sums(out)?;
        for (code, failed) in &self.errors {
            writeln!(
                out,
                "\n{code}: {}\n  {}",
                counted(failed.objects, "object"),
                printable(&failed.message)
            )?;
            for example in &failed.examples {
                writeln!(out, "  - {}", printable(example))?;
            }
            let more = failed.objects - failed.examples.len() as u64;
            if more > 0 {
                writeln!(out, "  and {more} more, which --report lists")?;
            }
        }
        Ok(())
    }

    fn print_sums(&self, out: &mut impl Write) -> Result<(), Failure> {
        let sums = &self.sums;
        if sums.bytes > 0 {
            writeln!(out, "\n{} of content", in_units(sums.bytes))?;
        }
        for (what, objects) in &sums.notes {
            writeln!(out, "  {objects:>10}  {what}")?;
        }
        let requests = &sums.requests.0;
        if !requests.is_empty() {
            let all: u64 = requests.values().sum();
            writeln!(out, "\nRequests of S3 that it takes: {all}")?;
            for (operation, count) in requests {
                writeln!(out, "  {count:>10}  {operation}")?;
            }
        }
        Ok(())
    }

    /// A line for each way from one key and version to another.
    pub(super) fn print_ways(&self, out: &mut impl Write) -> Result<(), Failure> {
        if self.ways.is_empty() {
            return Ok(());
        }
        let mut table =
            Table::new(&["objects", "from", "version", "", "to", "version"]).numbers(&["objects"]);
        // Versions have columns of their own, which are the first to be shortened: names stay whole.
        let of = |key: &str| {
            let (name, version) = key.split_once('/').unwrap_or((key, ""));
            [printable(name), printable(version)]
        };
        for ((from, to), objects) in &self.ways {
            let ([from, old], [to, new]) = (of(from), of(to));
            table.row([objects.to_string(), from, old, "->".to_owned(), to, new]);
        }
        Ok(write!(out, "\n{}", table.text())?)
    }
}
