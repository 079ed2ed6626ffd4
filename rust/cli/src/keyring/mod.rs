//! `emrkeys keyring …`

use std::io::{stdin, stdout, BufRead, IsTerminal, Write};

use clap::{Args, Subcommand};
use emrkeys_core::keyring::{Access, Change, Edit, Editor, Protection, State, Summary, VersionSummary};
use serde_json::{json, Value};

use crate::aws::Aws;
use crate::output::Failure;
use crate::Form;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Makes a keyring with its first version
    ///
    /// The place must be empty. The key that protects the keyring is named once: a KMS key (--kms-key-id) or a file with an AES key of 256
    /// bits (--protector-file).
    #[command(after_help = "\
Example:
  emrkeys keyring create s3://keys/lake.keyring --name lake \\
      --kms-key-id arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
Then, on the clusters:
  emrkeys.key.lake.type=keyring
  emrkeys.key.lake.uri=s3://keys/lake.keyring
  emrkeys.key.lake.kms-key-id=arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")]
    Create {
        #[command(flatten)]
        target: Target,
        /// The name of the key that the keyring holds, as in emrkeys.key.NAME.type
        #[arg(long)]
        name: String,
        #[command(flatten)]
        writing: Writing,
    },
    /// Adds a version, which encrypts from now on
    ///
    /// The version that encrypted so far decrypts from now on. Running clusters take the new version over within
    /// emrkeys.keyring.max-age (5 minutes).
    #[command(after_help = "\
Example:
  emrkeys keyring rotate s3://keys/lake.keyring --kms-key-id alias/lake")]
    Rotate {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        writing: Writing,
    },
    /// Prints the versions, oldest first
    ///
    /// With the key that protects the keyring named, the keyring is verified; without, what it says may be anybody's.
    #[command(after_help = "\
Example:
  emrkeys keyring list s3://keys/lake.keyring")]
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Prints what the keyring says of itself: name, counter, protector, versions by state
    ///
    /// With the key that protects the keyring named, the keyring is verified; without, what it says may be anybody's.
    #[command(after_help = "\
Example:
  emrkeys keyring show s3://keys/lake.keyring --kms-key-id alias/lake --output json")]
    Show {
        #[command(flatten)]
        target: Target,
    },
    /// Has a version refused: its objects cannot be read until it is enabled again
    #[command(after_help = "\
Example:
  emrkeys keyring disable s3://keys/lake.keyring 3 --kms-key-id alias/lake")]
    Disable {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        version: Version,
        #[command(flatten)]
        writing: Writing,
    },
    /// Lets a disabled version decrypt again
    #[command(after_help = "\
Example:
  emrkeys keyring enable s3://keys/lake.keyring 3 --kms-key-id alias/lake")]
    Enable {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        version: Version,
        #[command(flatten)]
        writing: Writing,
    },
    /// Removes the key of a disabled version for good: its objects can never be read again
    ///
    /// Copies of older keyrings (versions of the S3 object, backups, snapshots) still hold the key, wrapped: remove
    /// them, or rewrap the keyring and retire the old protecting key.
    #[command(after_help = "\
Example:
  emrkeys keyring destroy s3://keys/lake.keyring 3 --kms-key-id alias/lake --yes")]
    Destroy {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        version: Version,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        writing: Writing,
    },
    /// Puts the same versions under a new protecting key
    ///
    /// Objects stay as they are. First name both protecting keys in the configuration of the clusters, or those that do not know
    /// the new one go on with the keyring as they have it.
    #[command(after_help = "\
Example:
  emrkeys keyring rewrap s3://keys/lake.keyring --kms-key-id alias/lake \\
      --to-kms-key-id arn:aws:kms:eu-west-1:111122223333:key/90abcdef-12ab-34cd-56ef-1234567890ab")]
    Rewrap {
        #[command(flatten)]
        target: Target,
        /// The KMS key that is to protect the keyring: ARN, key id or alias
        #[arg(
            long,
            value_name = "ID",
            conflicts_with = "to_protector_file",
            required_unless_present = "to_protector_file"
        )]
        to_kms_key_id: Option<String>,
        /// The file with the AES key that is to protect it
        #[arg(long, value_name = "URI")]
        to_protector_file: Option<String>,
        #[command(flatten)]
        writing: Writing,
    },
}

/// Which keyring, and how to get at it.
#[derive(Args)]
pub(crate) struct Target {
    /// Where the keyring is: s3://bucket/key, file:///path, or a local path
    #[arg(value_name = "URI")]
    uri: String,
    /// A KMS key that may protect it: ARN, key id or alias; several by repeating
    #[arg(long, value_name = "ID")]
    kms_key_id: Vec<String>,
    /// A file with an AES key of 256 bits that may protect it; several by repeating
    #[arg(long, value_name = "URI")]
    protector_file: Vec<String>,
    /// A role to assume for KMS
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// The external id that the role asks for
    #[arg(long, value_name = "ID", requires = "role_arn")]
    external_id: Option<String>,
}

#[derive(Args)]
pub(crate) struct Version {
    /// The version: its id, or the number before the dash
    version: String,
}

#[derive(Args)]
pub(crate) struct Writing {
    /// Work the change out, print it, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Target {
    fn editor(&self, aws: &Aws) -> Result<Editor, Failure> {
        let access = Access {
            s3_endpoint: aws.endpoint_url.clone(),
            kms_endpoint: aws.kms_endpoint().cloned(),
            region: aws.region.clone(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
        };
        let protection = Protection {
            kms_key_ids: self.kms_key_id.clone(),
            files: self.protector_file.clone(),
        };
        Ok(Editor::new(&self.uri, &access, &protection)?)
    }

    /// For what cannot be done without the key.
    fn protected_editor(&self, aws: &Aws) -> Result<Editor, Failure> {
        if self.kms_key_id.is_empty() && self.protector_file.is_empty() {
            return Err(Failure::Usage(
                "name the key that protects the keyring: --kms-key-id or --protector-file".to_owned(),
            ));
        }
        self.editor(aws)
    }
}

impl Command {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        match self {
            Command::Create {
                target,
                name,
                writing,
            } => {
                let editor = target.protected_editor(aws)?;
                finish(&editor, &editor.create(name)?, writing, form)
            }
            Command::Rotate { target, writing } => change(target, &Change::Rotate, writing, form, aws),
            Command::List { target } => list(&target.editor(aws)?, form),
            Command::Show { target } => show(&target.editor(aws)?, form),
            Command::Disable {
                target,
                version,
                writing,
            } => change(
                target,
                &Change::Disable(version.version.clone()),
                writing,
                form,
                aws,
            ),
            Command::Enable {
                target,
                version,
                writing,
            } => change(
                target,
                &Change::Enable(version.version.clone()),
                writing,
                form,
                aws,
            ),
            Command::Destroy {
                target,
                version,
                yes,
                writing,
            } => {
                let editor = target.protected_editor(aws)?;
                let edit = editor.change(&Change::Destroy(version.version.clone()))?;
                if !yes && !writing.dry_run {
                    confirm(&edit)?;
                }
                finish(&editor, &edit, writing, form)
            }
            Command::Rewrap {
                target,
                to_kms_key_id,
                to_protector_file,
                writing,
            } => {
                let protection = Protection {
                    kms_key_ids: to_kms_key_id.iter().cloned().collect(),
                    files: to_protector_file.iter().cloned().collect(),
                };
                change(target, &Change::Rewrap(protection), writing, form, aws)
            }
        }
    }
}

fn change(target: &Target, change: &Change, writing: &Writing, form: Form, aws: &Aws) -> Result<(), Failure> {
    let editor = target.protected_editor(aws)?;
    let edit = editor.change(change)?;
    finish(&editor, &edit, writing, form)
}

fn finish(editor: &Editor, edit: &Edit<'_>, writing: &Writing, form: Form) -> Result<(), Failure> {
    if !writing.dry_run {
        edit.write()?;
    }
    let mut out = stdout().lock();
    let changes = changes(edit);
    match form {
        Form::Json => {
            let document = json!({
                "uri": editor.uri(),
                "written": !writing.dry_run,
                "changes": changes,
                "keyring": summary(&edit.after),
            });
            writeln!(out, "{document:#}")?;
        }
        Form::Text => {
            let done = if writing.dry_run {
                "would change (nothing was written)"
            } else {
                "changed"
            };
            writeln!(
                out,
                "{} {done}: generation {}",
                editor.uri(),
                edit.after.generation
            )?;
            for change in changes {
                writeln!(out, "  {change}")?;
            }
        }
    }
    Ok(())
}

/// What differs between before and after, a line each.
fn changes(edit: &Edit<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let before = edit.before.as_ref();
    if before.is_none_or(|before| before.protector_key != edit.after.protector_key) {
        lines.push(format!("protected by {}", protector(&edit.after)));
    } else if before.is_some_and(|before| before.versions == edit.after.versions) {
        lines.push("the same versions under a new document key".to_owned());
    }
    for version in &edit.after.versions {
        let old = before.and_then(|before| before.versions.iter().find(|old| old.id == version.id));
        match old {
            None => lines.push(format!("version {} is new, {}", version.id, version.state)),
            Some(old) if old.state != version.state => {
                lines.push(format!(
                    "version {} was {}, is {}",
                    version.id, old.state, version.state
                ));
            }
            Some(_) => {}
        }
    }
    lines
}

fn protector(summary: &Summary) -> String {
    match summary.protector {
        "kms" => format!("KMS key {}", summary.protector_key),
        _ => format!("AES key {}", summary.protector_key),
    }
}

/// Asks for the version's id on the terminal.
fn confirm(edit: &Edit<'_>) -> Result<(), Failure> {
    let before = edit.before.iter().flat_map(|before| &before.versions);
    let lost = before
        .zip(&edit.after.versions)
        .find(|(before, after)| before.state != after.state)
        .map_or("", |(before, _)| before.id.as_str());
    if !stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "the objects under version {lost} can never be read again; say --yes if that is what you want"
        )));
    }
    let mut err = std::io::stderr().lock();
    write!(
        err,
        "The objects under version {lost} can never be read again. Type the version's id to destroy it: "
    )?;
    err.flush()?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    if answer.trim() == lost {
        return Ok(());
    }
    Err(Failure::Usage("not confirmed; nothing was written".to_owned()))
}

fn list(editor: &Editor, form: Form) -> Result<(), Failure> {
    let found = editor.read()?;
    let mut out = stdout().lock();
    if form == Form::Json {
        let versions: Vec<Value> = found.versions.iter().map(version).collect();
        return Ok(writeln!(
            out,
            "{:#}",
            json!({ "authentic": found.authentic, "versions": versions })
        )?);
    }
    let width = found.versions.iter().map(|v| v.id.len()).max().unwrap_or(0);
    writeln!(out, "{:width$}  {:20}  state", "version", "created (UTC)")?;
    for version in &found.versions {
        writeln!(
            out,
            "{:width$}  {:20}  {}",
            version.id, version.created, version.state
        )?;
    }
    note_unverified(&found)
}

fn show(editor: &Editor, form: Form) -> Result<(), Failure> {
    let found = editor.read()?;
    let mut out = stdout().lock();
    if form == Form::Json {
        return Ok(writeln!(out, "{:#}", summary(&found))?);
    }
    let count = |state| found.versions.iter().filter(|v| v.state == state).count();
    let active = found.versions.iter().find(|v| v.state == State::Active);
    let active = active.map_or_else(String::new, |v| format!("{}, since {}", v.id, v.created));
    writeln!(out, "key         {}", found.name)?;
    writeln!(out, "generation  {}, of {}", found.generation, found.updated)?;
    writeln!(out, "protector   {}", protector(&found))?;
    writeln!(out, "active      {active}")?;
    let others = [State::DecryptOnly, State::Disabled, State::Destroyed].map(|s| format!("{} {s}", count(s)));
    writeln!(out, "others      {}", others.join(", "))?;
    writeln!(
        out,
        "authentic   {}",
        if found.authentic { "yes" } else { "not verified" }
    )?;
    note_unverified(&found)
}

fn note_unverified(found: &Summary) -> Result<(), Failure> {
    if !found.authentic {
        writeln!(
            std::io::stderr(),
            "note: not verified; name the key that protects the keyring (--kms-key-id or --protector-file) to verify it"
        )?;
    }
    Ok(())
}

fn summary(found: &Summary) -> Value {
    json!({
        "name": found.name,
        "generation": found.generation,
        "updated": found.updated,
        "protector": { "type": found.protector, "key": found.protector_key },
        "authentic": found.authentic,
        "versions": found.versions.iter().map(version).collect::<Vec<_>>(),
    })
}

fn version(version: &VersionSummary) -> Value {
    json!({ "id": version.id, "created": version.created, "state": version.state.as_str() })
}
