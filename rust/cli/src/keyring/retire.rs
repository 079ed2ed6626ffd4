//! `emrkeys keyring retire`: a version is disabled once no object needs it.

use std::io::{stdout, Write};
use std::sync::atomic::AtomicBool;

use clap::Args;
use emrkeys_core::keyring::Change;
use emrkeys_core::{shell_word, Code, Error};
use emrkeys_objects::{work_on, Listed, Listing, ObjectUri, Pace, Store};
use serde_json::{json, Value};

use super::target::Found;
use super::{finish, number_of, Writing};
use crate::aws::Aws;
use crate::object::Instructions;
use crate::output::{note, problem, shown, Failure};
use crate::progress::{interrupted, is_set, Progress};
use crate::text::{counted, printable};
use crate::Form;

/// Objects that are named where a version is still needed.
const EXAMPLES: usize = 3;

#[derive(Args)]
pub(crate) struct Check {
    /// Where objects under the version may be: all whose keys begin so, s3://bucket/prefix; several by repeating
    #[arg(long, value_name = "PREFIX", required = true)]
    check: Vec<String>,
    #[command(flatten)]
    instructions: Instructions,
    /// How many objects are looked at at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
}

/// The objects below one prefix, counted.
#[derive(Default)]
struct Tally {
    objects: u64,
    under_version: u64,
    /// Those that could not be looked at, and why the first of them.
    failed: u64,
    error: Option<Error>,
    examples: Vec<String>,
}

/// Looks at every object, and disables the version if none is under it.
pub(super) fn run(
    found: &Found,
    version: &str,
    check: &Check,
    writing: &Writing,
    form: Form,
    aws: &Aws,
) -> Result<(), Failure> {
    let change = Change::Disable(version.to_owned());
    // Whether it can be disabled is known before hours of looking.
    let edit = found.change(&change, writing)?;
    let id = number_of(&edit, version);
    let prefixes = check
        .check
        .iter()
        .map(|prefix| ObjectUri::parse(prefix))
        .collect::<Result<Vec<_>, _>>()?;
    let store = check.instructions.store(aws)?;
    let stop = interrupted()?;
    let mut progress = Progress::of("objects", None);
    let mut tallies = Vec::new();
    for prefix in &prefixes {
        let tally = look(&store, prefix, &id, check.jobs, &stop, &mut progress)?;
        tallies.push((prefix.to_string(), tally));
    }
    progress.finish();
    if is_set(&stop) {
        return Err(Failure::Interrupted);
    }
    let key = found.name.as_deref().unwrap_or(&edit.after.name);
    if let Some(failure) = obstacle(&id, key, &tallies) {
        shown(print(&id, &tallies, form))?;
        return Err(failure);
    }
    if form == Form::Text {
        shown(print(&id, &tallies, form))?;
    }
    // As the keyring is by now.
    let edit = found.change(&change, writing)?;
    finish(found, &edit, writing, form)?;
    note("note: older versions of objects in S3, and objects elsewhere, were not looked at; enable the version if one \
        needs it");
    Ok(())
}

fn look(
    store: &Store,
    prefix: &ObjectUri,
    version: &str,
    jobs: u16,
    stop: &AtomicBool,
    progress: &mut Progress,
) -> Result<Tally, Failure> {
    let pace = Pace {
        jobs: jobs.into(),
        per_second: None,
    };
    let mut tally = Tally::default();
    work_on(
        Listing::open(store, prefix, None, None)?,
        pace,
        stop,
        |listed: &Listed| match store.find(&listed.uri) {
            Ok(found) => {
                let envelope = found.and_then(|found| found.envelope);
                Ok(envelope.is_some_and(|(envelope, _)| envelope.version() == Some(version)))
            }
            Err(error) => Err(error),
        },
        |_, listed, result| {
            progress.add(1);
            tally.objects += 1;
            match result {
                Ok(false) => {}
                Ok(true) => {
                    tally.under_version += 1;
                    if tally.examples.len() < EXAMPLES {
                        tally.examples.push(listed.uri.to_string());
                    }
                }
                Err(error) => {
                    tally.failed += 1;
                    tally.error.get_or_insert(error);
                }
            }
        },
    )?;
    Ok(tally)
}

/// Why the version of the key `key` stays as it is.
fn obstacle(id: &str, key: &str, tallies: &[(String, Tally)]) -> Option<Failure> {
    let under: u64 = tallies.iter().map(|(_, tally)| tally.under_version).sum();
    if let Some((prefix, _)) = tallies.iter().find(|(_, tally)| tally.under_version > 0) {
        return Some(Failure::Refused(format!(
            "{} under version {id}: bring them to the newest version (`emrkeys rewrap {} --recursive --to {key}`), and \
             try again; nothing was written",
            if under == 1 { "1 object is".to_owned() } else { format!("{under} objects are") },
            shell_word(prefix)
        )));
    }
    let failed: u64 = tallies.iter().map(|(_, tally)| tally.failed).sum();
    if let Some(error) = tallies.iter().find_map(|(_, tally)| tally.error.as_ref()) {
        let why: Vec<String> = error.problems().take(1).map(ToString::to_string).collect();
        return Some(Failure::Refused(format!(
            "{} could not be looked at, and may be under version {id}; the first: {}",
            counted(failed, "object"),
            why.join("")
        )));
    }
    let empty = tallies.iter().find(|(_, tally)| tally.objects == 0);
    empty.map(|(prefix, _)| {
        problem(
            Code::ObjectNotFound,
            format!("there are no objects below {prefix}"),
            "Correct the prefix; nothing was written.",
        )
    })
}

fn print(id: &str, tallies: &[(String, Tally)], form: Form) -> Result<(), Failure> {
    let mut out = stdout().lock();
    if form == Form::Json {
        let checked: Vec<Value> = tallies
            .iter()
            .map(|(prefix, tally)| {
                json!({
                    "prefix": prefix, "objects": tally.objects, "underVersion": tally.under_version,
                    "failed": tally.failed, "examples": tally.examples,
                })
            })
            .collect();
        let document = json!({ "version": id, "written": false, "checked": checked });
        return Ok(writeln!(out, "{document:#}")?);
    }
    for (prefix, tally) in tallies {
        writeln!(
            out,
            "{}: {}, {} under version {id}",
            printable(prefix),
            counted(tally.objects, "object"),
            tally.under_version
        )?;
        for example in &tally.examples {
            writeln!(out, "  - {}", printable(example))?;
        }
    }
    Ok(())
}
