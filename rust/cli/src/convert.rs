//! `emrkeys convert`

use std::collections::BTreeSet;
use std::io::{stdin, BufRead, IsTerminal};

use clap::{Args, ValueEnum};
use emrkeys_core::{Error, Provider};
use emrkeys_objects::convert::{self, outcome_name, report, report_csv, Convert, Outcome, CSV_COLUMNS};
use emrkeys_objects::{ObjectUri, Store, Target};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use crate::aws::Aws;
use crate::conf::Conf;
use crate::heaps;
use crate::many::{self, Identity, Options, Pass, Scope, Sums, Task, Words, NO_OBJECT, OTHER_KEY};
use crate::object::{Instructions, Prefix};
use crate::output::{note, Failure};
use crate::progress::interrupted;
use crate::text::printable;
use crate::Form;

#[derive(Args)]
pub(crate) struct Command {
    #[command(flatten)]
    prefix: Prefix,
    /// Take the URI for a prefix: all objects whose keys begin so. A URI that ends in a slash is one anyway
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    instructions: Instructions,
    /// The client whose format the objects get
    #[arg(long, value_name = "FORMAT", default_value = "v2")]
    format: Format,
    /// The name of the key that is to wrap the data keys; without it, the key that the rules give to new objects at
    /// the place of each
    #[arg(long, value_name = "KEY", conflicts_with = "to_plaintext")]
    to: Option<String>,
    /// Convert objects under these keys too, though the rules give others at their place. All holders of the new key
    /// can read them then
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    from: Vec<String>,
    /// Encrypt objects that no client encrypted, too, whether S3 itself encrypts them or not
    #[arg(long, conflicts_with = "to_plaintext")]
    from_plaintext: bool,
    /// Encrypt objects anew that have the format and the key already: each gets a fresh data key, as after a key was
    /// compromised
    #[arg(long, conflicts_with = "to_plaintext")]
    renew: bool,
    /// Leave client-side encryption: everybody who may read the objects in S3 can read their content then
    #[arg(long, conflicts_with = "format")]
    to_plaintext: bool,
    /// With --to-plaintext, in place of the question: the URI that stands on the command line, once more
    #[arg(long, value_name = "URI", requires = "to_plaintext")]
    confirm: Option<String>,
    /// Read each new object and compare it, even if S3 confirms the checksum of what was sent; read those whole, too,
    /// that are converted already
    #[arg(long)]
    second_read: bool,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    conf: Conf,
}

/// The format of new objects.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Of the SDK v1's second client and the S3 Encryption Client 3; EMRFS (with fs.s3.cse.encryptionV2.enabled) and
    /// S3A read it
    V2,
    /// Of the S3 Encryption Client 4, which commits to its key
    V4,
}

const WORDS: Words = Words {
    ask: "Convert",
    done: "converted",
    failed: "could not be converted",
    none: NO_OBJECT,
    other_key: OTHER_KEY,
};

/// The options that decide what a run does to which objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    /// `v2`, `v4` or `plaintext`.
    convert_to: String,
    objects: String,
    inventory: Option<String>,
    /// The key's name; absent for the keys that the rules give.
    to: Option<String>,
    from: BTreeSet<String>,
    from_plaintext: bool,
    #[serde(default)]
    renew: bool,
    /// The end of the keys of instruction files, if it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instruction_suffix: Option<String>,
}

impl Identity for Run {
    fn name(&self) -> String {
        let to = self.to.as_deref().unwrap_or("the rules' keys");
        let objects = self.inventory.as_deref().unwrap_or(&self.objects);
        format!("{objects} -> {} under {to}", self.convert_to)
    }
}

/// The work, with what it is done with.
struct Work<'a> {
    command: &'a Command,
    scope: &'a Scope,
    convert: Convert,
    provider: Provider,
    store: &'a Store,
}

impl Command {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        heaps::share(); // before the threads that ask S3
        let scope = Scope::of(&self.prefix, self.recursive)?;
        self.ask(&scope)?;
        let stop = interrupted()?;
        let provider = self.conf.open_provider(aws)?;
        let store = self.options.store(self.instructions.store(aws)?);
        let work = Work {
            command: self,
            scope: &scope,
            convert: self.convert(),
            provider,
            store: &store,
        };
        let pass = Pass {
            task: &work,
            options: &self.options,
            scope: &scope,
            store: &store,
            stop: &stop,
        };
        pass.run(form)
    }

    fn form(&self) -> convert::Form {
        match self.format {
            _ if self.to_plaintext => convert::Form::Plaintext,
            Format::V2 => convert::Form::V2,
            Format::V4 => convert::Form::V4,
        }
    }

    fn convert(&self) -> Convert {
        let mut convert = Convert::to(self.form());
        convert.target = self.to.clone().map_or(Target::Rules, Target::Key);
        convert.from = self.from.iter().cloned().collect();
        convert.from_plaintext = self.from_plaintext;
        convert.renew = self.renew;
        convert.second_read = self.second_read;
        convert.dry_run = self.options.dry_run;
        convert
    }

    /// Content that is to lose its encryption has to be named twice.
    fn ask(&self, scope: &Scope) -> Result<(), Failure> {
        if !self.to_plaintext || self.options.dry_run {
            return Ok(());
        }
        let uri = scope.uri.to_string();
        let answer = match &self.confirm {
            Some(confirmed) => confirmed.clone(),
            None if stdin().is_terminal() => {
                note(format_args!(
                    "All of {uri} will lose its client-side encryption. Type that URI to go on:"
                ));
                let mut answer = String::new();
                stdin().lock().read_line(&mut answer)?;
                answer.trim_end_matches(['\r', '\n']).to_owned()
            }
            None => {
                return Err(Failure::Usage(format!(
                    "--to-plaintext needs a confirmation, and nobody is there to ask: add --confirm '{}'",
                    printable(&uri)
                )))
            }
        };
        if ObjectUri::parse(&answer).is_ok_and(|named| named == scope.uri) {
            return Ok(());
        }
        Err(Failure::Refused(
            "what was confirmed is another URI; nothing was converted".to_owned(),
        ))
    }
}

impl Task for Work<'_> {
    type Outcome = Outcome;
    type Run = Run;
    const HAS_SURVEY: bool = true;

    fn words(&self) -> &Words {
        &WORDS
    }

    fn target(&self) -> Result<String, Error> {
        self.convert.target(&self.provider, &self.scope.uri)
    }

    fn object(&self, uri: &ObjectUri, doubted: bool) -> Result<Outcome, Error> {
        if !doubted {
            return self.convert.object(&self.provider, self.store, uri);
        }
        let mut convert = self.convert.clone();
        convert.doubted = true;
        convert.object(&self.provider, self.store, uri)
    }

    fn look(&self, uri: &ObjectUri) -> Result<Outcome, Error> {
        let mut dry = self.convert.clone();
        dry.dry_run = true;
        dry.object(&self.provider, self.store, uri)
    }

    fn identity(&self) -> Run {
        Run {
            convert_to: self.convert.form.name().to_owned(),
            objects: self.scope.objects(),
            inventory: self.scope.inventory.as_ref().map(ObjectUri::to_string),
            to: self.command.to.clone(),
            from: self.convert.from.clone(),
            from_plaintext: self.command.from_plaintext,
            renew: self.command.renew,
            instruction_suffix: self.command.instructions.other().map(str::to_owned),
        }
    }

    fn document(&self) -> Value {
        json!({
            "prefix": self.scope.uri.to_string(),
            "format": self.convert.form.name(),
            "to": self.command.to,
        })
    }

    fn destination(&self) -> String {
        match (self.convert.form, &self.command.to) {
            (convert::Form::Plaintext, _) => "plaintext".to_owned(),
            (form, Some(key)) => format!("{} under {key}", form.name()),
            (form, None) => format!("{} under the keys of the rules", form.name()),
        }
    }
}

impl many::Outcome for Outcome {
    const CSV_HEAD: Option<&'static str> = Some(CSV_COLUMNS);

    fn name(result: &Result<Self, Error>) -> &'static str {
        outcome_name(result)
    }

    fn way(&self) -> Option<(String, String)> {
        match self {
            Outcome::Converted(done) => Some((done.before.name(), done.after.name())),
            Outcome::Planned(plan) => Some((plan.before.name(), plan.to.clone())),
            Outcome::OtherKey { key } => Some((key.clone(), "left alone (other-key)".to_owned())),
            Outcome::Skipped(_) => None,
        }
    }

    fn add_to(&self, sums: &mut Sums) {
        match self {
            Outcome::Converted(done) => {
                sums.bytes += done.bytes;
                sums.note(match done.compared {
                    "checksum" => "compared by the checksum that S3 confirmed",
                    _ => "compared by a second read",
                });
                if done.old_version.is_some() {
                    sums.note("with an older version under the old key");
                }
                for note in &done.notes {
                    sums.note(note);
                }
            }
            Outcome::Planned(plan) => {
                sums.bytes += plan.bytes;
                sums.requests.merge(&plan.requests);
            }
            _ => {}
        }
    }

    fn line(uri: &ObjectUri, result: &Result<Self, Error>, csv: bool) -> String {
        if csv {
            return report_csv(uri, result);
        }
        report(uri, result).to_string()
    }
}
