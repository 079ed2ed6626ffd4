//! `emrkeys rewrap`

mod key_material;

use std::collections::BTreeSet;

use clap::Args;
use emrkeys_core::{Error, Provider};
use emrkeys_objects::{outcome_name, report_line, ObjectUri, Outcome, Rewrap, Store, Target};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use crate::aws::Aws;
use crate::conf::Conf;
use crate::many::{self, Identity, Options, Pass, Scope, Sums, Task, Words, NO_OBJECT, OTHER_KEY};
use crate::object::{Instructions, Prefix};
use crate::output::Failure;
use crate::progress::interrupted;
use crate::Form;

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
    #[arg(long, value_name = "KEY", required_unless_present_any = ["to_rules", "key_material"])]
    to: Option<String>,
    /// Wrap each object's data key by the key that the rules give to new objects at its place
    #[arg(long, conflicts_with = "to")]
    to_rules: bool,
    /// Move objects under these keys too, though the rules give others at their place. All holders of the new key can
    /// read them then
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    from: Vec<String>,
    /// Wrap the keys in files of Parquet's key material anew (_KEY_MATERIAL_FOR_*.json, beside the data; in S3 or, as
    /// file:///path, on a disk): each under the present version of its key, or, of keys named in --from, under --to
    #[arg(
        long,
        conflicts_with_all = [
            "to_rules", "version_id", "upgrade_wrap", "checkpoint", "inventory", "instruction_suffix"
        ]
    )]
    key_material: bool,
    #[command(flatten)]
    options: Options,
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

const WORDS: Words = Words {
    ask: "Move",
    done: "moved",
    failed: "could not be re-wrapped; the data keys are as they were",
    none: NO_OBJECT,
    other_key: OTHER_KEY,
};

/// The options that decide what a run does to which objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    objects: String,
    inventory: Option<String>,
    /// The key's name; absent for the keys that the rules give.
    to: Option<String>,
    from: BTreeSet<String>,
    upgrade_wrap: bool,
    /// The end of the keys of instruction files, if it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instruction_suffix: Option<String>,
}

impl Identity for Run {
    fn name(&self) -> String {
        let to = self.to.as_deref().unwrap_or("the rules' keys");
        format!("{} -> {to}", self.inventory.as_deref().unwrap_or(&self.objects))
    }
}

/// The work, with what it is done with.
struct Work<'a> {
    command: &'a Command,
    scope: &'a Scope,
    rewrap: Rewrap,
    provider: Provider,
    store: &'a Store,
}

impl Command {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        if self.key_material {
            return self.key_material(form, aws);
        }
        let scope = Scope::of(&self.prefix, self.recursive)?;
        let stop = interrupted()?;
        let provider = self.conf.open_provider(aws)?;
        let store = self.store(&scope, aws)?;
        let work = Work {
            command: self,
            scope: &scope,
            rewrap: self.rewrap(),
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

    fn store(&self, scope: &Scope, aws: &Aws) -> Result<Store, Failure> {
        let store = self.options.store(self.instructions.store(aws)?);
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
            dry_run: self.options.dry_run,
            multipart_above: self.multipart_above,
            ..Rewrap::to(match &self.to {
                Some(key) => Target::Key(key.clone()),
                None => Target::Rules,
            })
        }
    }
}

impl Task for Work<'_> {
    type Outcome = Outcome;
    type Run = Run;
    const HAS_SURVEY: bool = false;

    fn words(&self) -> &Words {
        &WORDS
    }

    fn target(&self) -> Result<String, Error> {
        self.rewrap.target(&self.provider, &self.scope.uri)
    }

    /// A copy within S3 needs no proof.
    fn object(&self, uri: &ObjectUri, _doubted: bool) -> Result<Outcome, Error> {
        self.rewrap.object(&self.provider, self.store, uri)
    }

    fn look(&self, uri: &ObjectUri) -> Result<Outcome, Error> {
        let dry = Rewrap {
            dry_run: true,
            ..self.rewrap.clone()
        };
        dry.object(&self.provider, self.store, uri)
    }

    fn identity(&self) -> Run {
        Run {
            objects: self.scope.objects(),
            inventory: self.scope.inventory.as_ref().map(ObjectUri::to_string),
            to: self.command.to.clone(),
            from: self.command.from.iter().cloned().collect(),
            upgrade_wrap: self.command.upgrade_wrap,
            instruction_suffix: self.command.instructions.other().map(str::to_owned),
        }
    }

    fn document(&self) -> Value {
        json!({ "prefix": self.scope.uri.to_string(), "to": self.command.to })
    }

    fn destination(&self) -> String {
        self.command
            .to
            .clone()
            .unwrap_or_else(|| "the keys of the rules".to_owned())
    }
}

impl many::Outcome for Outcome {
    const CSV_HEAD: Option<&'static str> = None;

    fn name(result: &Result<Self, Error>) -> &'static str {
        outcome_name(result)
    }

    fn way(&self) -> Option<(String, String)> {
        match self {
            Outcome::Rewrapped { from, to, .. } | Outcome::Planned { from, to } => {
                Some((from.clone(), to.clone()))
            }
            Outcome::OtherKey { key } => Some((key.clone(), "left alone (other-key)".to_owned())),
            Outcome::Skipped(_) => None,
        }
    }

    fn add_to(&self, sums: &mut Sums) {
        if let Outcome::Rewrapped { notes, .. } = self {
            notes.iter().for_each(|note| sums.note(note));
        }
    }

    fn line(uri: &ObjectUri, result: &Result<Self, Error>, _: bool) -> String {
        report_line(uri, result)
    }
}
