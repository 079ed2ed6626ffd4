//! `emrkeys explain`

mod tables;

use std::io::{stdin, stdout, BufRead, Write};
use std::path::Path;

use clap::Args;
use emrkeys_core::{current_version, explain, Config, Considered, Current, Error, Settings, Verdict};
use serde_json::{json, Value};

use crate::aws::Aws;
use crate::conf::{Client, Conf};
use crate::output::{at, note, problem, Failure};
use crate::text::printable;
use crate::Form;

#[derive(Args)]
#[command(after_help = "\
The exit code is 0 if the rules have an answer for every URI, whatever it is: also for a write that is refused, and \
for a key
whose version is unknown because its file is missing on this machine or cannot be used. `emrkeys doctor` checks the \
files.
A URI without an answer is printed with its error, the others are answered, and the exit code is not 0.

Examples:
  emrkeys explain s3://lake/audit/2026/part-0 \\
      --conf /usr/share/aws/emr/emrfs/conf --conf /etc/hadoop/conf
  emrkeys explain lake --for tables --conf /etc/hadoop/conf")]
pub(crate) struct Command {
    /// Where objects would be written, such as s3://bucket/key; - for one on each line of standard input; none for the
    /// local disks. With --for tables also names of keys, and none for all keys
    #[arg(value_name = "URI")]
    uris: Vec<String>,
    /// The cluster that writes, such as j-2AXXXXXXGAPLF
    #[arg(long, value_name = "ID")]
    job_flow: Option<String>,
    #[command(flatten)]
    conf: Conf,
}

/// Everything that is to be said, of one location or of the local disks.
struct Answer {
    uri: Option<String>,
    committed: Option<String>,
    considered: Vec<Considered>,
    others: usize,
    by_default: bool,
    key: Option<Key>,
}

struct Key {
    name: String,
    type_name: &'static str,
    current: Result<Current, Error>,
}

impl Command {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        let settings = self.conf.load(aws)?;
        let uris = self.uris()?;
        if self.conf.usage == Client::Tables && uris.iter().all(|name| !name.contains(':')) {
            return tables::run(&uris, &settings, form);
        }
        let config = parsed(self.conf.usage, &settings).map_err(|error| settings.located(error))?;
        let key = |name: &str| Key::of(&config, name, |error| settings.located(error));
        let answers: Vec<Result<Answer, Box<Unanswered>>> = match (self.conf.usage, uris.as_slice()) {
            (Client::LocalDisk, []) => vec![Ok(Answer {
                uri: None,
                committed: None,
                considered: Vec::new(),
                others: 0,
                by_default: false,
                key: config.local_disk_key().map(key),
            })],
            (Client::LocalDisk, _) => {
                return Err(Failure::Usage(
                    "local disks have one key: give no URI with --for local-disk".to_owned(),
                ))
            }
            (_, []) => return Err(Failure::Usage("give at least one URI".to_owned())),
            (_, uris) => uris
                .iter()
                .map(|uri| {
                    let unanswered = |error| {
                        Box::new(Unanswered {
                            uri: uri.clone(),
                            error,
                        })
                    };
                    let found = explain(&config, uri, self.job_flow.as_deref()).map_err(unanswered)?;
                    Ok(Answer {
                        uri: Some(uri.clone()),
                        committed: found.committed,
                        considered: found.considered,
                        others: found.others,
                        by_default: found.by_default,
                        key: found.key.as_deref().map(key),
                    })
                })
                .collect(),
        };
        print(&answers, form)?;
        let count = answers.len();
        let mut failed: Vec<Error> = answers
            .into_iter()
            .filter_map(|answer| answer.err().map(|unanswered| unanswered.error))
            .collect();
        match (failed.len(), failed.pop()) {
            (_, None) => Ok(()),
            (1, Some(error)) => Err(error.into()),
            (many, Some(error)) => Err(problem(
                error.code(),
                format!("{many} of {count} URIs have no answer"),
                "Each of them was printed with its error.",
            )),
        }
    }

    /// The URIs of the command line; `-` stands for one on each line of standard input.
    fn uris(&self) -> Result<Vec<String>, Failure> {
        let mut uris = Vec::new();
        for uri in &self.uris {
            if uri != "-" {
                uris.push(uri.clone());
                continue;
            }
            for line in stdin().lock().lines() {
                let line = line.map_err(at(Path::new("-")))?;
                uris.extend(Some(line).filter(|line| !line.is_empty()));
            }
        }
        Ok(uris)
    }
}

/// The configuration of a client. Its warnings go to standard error.
fn parsed(usage: Client, settings: &Settings) -> Result<Config, Error> {
    let config = Config::parse(usage.into(), settings)?;
    for warning in config.warnings() {
        note(format_args!("warning: {warning}"));
    }
    Ok(config)
}

/// A URI that has no answer, and why.
struct Unanswered {
    uri: String,
    error: Error,
}

fn print(answers: &[Result<Answer, Box<Unanswered>>], form: Form) -> Result<(), Failure> {
    let mut out = stdout().lock();
    if form == Form::Json {
        let answers = answers.iter().map(|answer| match answer {
            Ok(answer) => answer.json(),
            Err(unanswered) => {
                let Unanswered { uri, error } = unanswered.as_ref();
                json!({ "uri": uri, "error": { "code": error.code().as_str(), "message": error.to_string() } })
            }
        });
        return Ok(writeln!(out, "{:#}", Value::from_iter(answers))?);
    }
    for (number, answer) in answers.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        match answer {
            Ok(answer) => answer.print(&mut out)?,
            Err(unanswered) => {
                let Unanswered { uri, error } = unanswered.as_ref();
                writeln!(out, "{}", printable(uri))?;
                writeln!(out, "  error       {}", printable(&error.to_string()))?;
            }
        }
    }
    Ok(())
}

impl Answer {
    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "{}", printable(self.uri.as_deref().unwrap_or("local disks")))?;
        if let Some(committed) = &self.committed {
            writeln!(out, "  committed   {}", printable(committed))?;
        }
        match &self.key {
            None => writeln!(out, "  key         none: the write is refused")?,
            Some(key) => {
                writeln!(out, "  key         {} ({})", key.name, key.type_name)?;
                writeln!(out, "  version     {}", key.version())?;
            }
        }
        writeln!(out, "  because     {}", self.because())?;
        if self.uri.is_none() {
            return Ok(());
        }
        let mut label = "rules";
        for rule in &self.considered {
            let job_flow = rule
                .job_flow
                .as_deref()
                .map_or_else(String::new, |id| format!(" for {id}"));
            let (name, prefix, key) = (&rule.rule, &rule.prefix, &rule.key);
            writeln!(
                out,
                "  {label:10}  {name} ({prefix}{job_flow} -> {key}): {}",
                verdict(rule.verdict)
            )?;
            label = "";
        }
        if self.others > 0 {
            let (verb, noun) = if self.others == 1 {
                ("does", "prefix")
            } else {
                ("do", "prefixes")
            };
            writeln!(out, "  {label:10}  {} other {noun} {verb} not match", self.others)?;
        }
        Ok(())
    }

    fn because(&self) -> String {
        if self.uri.is_none() {
            return "it is emrkeys.local-disk.key".to_owned();
        }
        match self.considered.iter().find(|rule| rule.verdict == Verdict::Wins) {
            Some(rule) => format!("rule {} has the longest prefix that matches", rule.rule),
            None if self.by_default => "no rule matches; it is emrkeys.default.key".to_owned(),
            None => "no rule matches, and emrkeys.default.key is not set".to_owned(),
        }
    }

    fn json(&self) -> Value {
        let rules = self.considered.iter().map(|rule| {
            json!({
                "rule": rule.rule,
                "prefix": rule.prefix,
                "jobFlow": rule.job_flow,
                "key": rule.key,
                "wins": rule.verdict == Verdict::Wins,
                "why": verdict(rule.verdict),
            })
        });
        json!({
            "uri": self.uri,
            "committed": self.committed,
            "key": self.key.as_ref().map(|key| &key.name),
            "type": self.key.as_ref().map(|key| key.type_name),
            "version": self.key.as_ref().map(Key::json),
            "because": self.because(),
            "rules": rules.collect::<Vec<_>>(),
            "otherPrefixes": self.others,
        })
    }
}

impl Key {
    fn of(config: &Config, name: &str, located: impl Fn(Error) -> Error) -> Key {
        Key {
            name: name.to_owned(),
            type_name: config.key_type(name).unwrap_or_default(),
            current: current_version(config, name).map_err(located),
        }
    }

    fn version(&self) -> String {
        match &self.current {
            Ok(Current::Version(id)) => id.clone(),
            Ok(Current::Unverified(id)) => {
                format!("{id} (the keyring was not verified: no key is asked for here)")
            }
            Ok(Current::Kms(id)) => format!("made when one is needed, under KMS key {id}"),
            Ok(Current::Elsewhere(place)) => format!("not looked at: {place} is not on this machine"),
            Err(error) => format!("unknown: {error}"),
        }
    }

    fn json(&self) -> Value {
        match &self.current {
            Ok(Current::Version(id)) => json!({ "id": id, "verified": true }),
            Ok(Current::Unverified(id)) => json!({ "id": id, "verified": false }),
            Ok(Current::Kms(id)) => json!({ "kmsKey": id }),
            Ok(Current::Elsewhere(place)) => json!({ "elsewhere": place }),
            Err(error) => json!({ "error": error.code().as_str(), "message": error.to_string() }),
        }
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Wins => "wins",
        Verdict::Shorter => "loses: its prefix is shorter",
        Verdict::LessSpecific => "loses: at this prefix a rule for the cluster comes first",
        Verdict::OtherJobFlow => "loses: it is for another cluster",
    }
}
