//! `emrkeys keyring …`

mod retire;
mod seen;
mod target;

use std::io::{stdin, stdout, BufRead, IsTerminal, Write};

use clap::{Args, Subcommand};
use emrkeys_core::aws::ACL_UNREADABLE;
use emrkeys_core::keyring::{Change, Edit, Editor, Protection, State, Summary, VersionSummary};
use serde_json::{json, Value};

pub(crate) use self::seen::Seen;
pub(crate) use self::target::of_key;
use self::target::{Found, Target};
use crate::aws::Aws;
use crate::output::{note, Failure};
use crate::terminal::Table;
use crate::text::printable;
use crate::Form;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Makes a keyring with its first version
    ///
    /// The place must be empty. The key that protects the keyring is named once: a KMS key (--kms-key-id) or a file
    /// with an AES key of 256 bits (--protector-file).
    #[command(after_help = "\
Example:
  emrkeys keyring create s3://keys/lake.keyring --name lake \\
      --kms-key-id alias/lake
Then, on the clusters:
  emrkeys.key.lake.type=keyring
  emrkeys.key.lake.uri=s3://keys/lake.keyring
  emrkeys.key.lake.kms-key-id=alias/lake")]
    Create {
        #[command(flatten)]
        target: Target,
        /// The name of the key that the keyring holds, as in emrkeys.key.NAME.type; a configuration gives it, too
        #[arg(long)]
        name: Option<String>,
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
    /// If the protecting key is named, the keyring is verified. Otherwise its content is not proven.
    #[command(after_help = "\
Example:
  emrkeys keyring list s3://keys/lake.keyring")]
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Prints what the keyring says of itself: name, counter, protector, versions by state
    ///
    /// If the protecting key is named, the keyring is verified. Otherwise its content is not proven.
    #[command(after_help = "\
Example:
  emrkeys keyring show s3://keys/lake.keyring --kms-key-id alias/lake \\
      --output json")]
    Show {
        #[command(flatten)]
        target: Target,
    },
    /// Disables a version: its objects cannot be read until it is enabled again
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
    /// Disables a version if no object is under it
    ///
    /// Looks at all objects below the prefixes, and refuses while one of them is under the version, could not be looked
    /// at, or a prefix has no objects. Older versions of objects in S3 are not looked at.
    #[command(after_help = "\
Example:
  emrkeys keyring retire lake 3 --check s3://lake/ --conf emr.json")]
    Retire {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        version: Version,
        #[command(flatten)]
        check: retire::Check,
        #[command(flatten)]
        writing: Writing,
    },
    /// Puts the same versions under a new protecting key
    ///
    /// Objects stay as they are. First name both protecting keys in the configuration of the clusters, or those that do
    /// not know the new one go on with the keyring as they have it.
    #[command(after_help = "\
Example:
  emrkeys keyring rewrap s3://keys/lake.keyring --kms-key-id alias/lake \\
      --to-kms-key-id alias/lake-2026")]
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
    /// Refuse a keyring of another generation; without it, one that is older than the newest that this user has seen
    #[arg(long, value_name = "N")]
    expect_generation: Option<u64>,
}

impl Command {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        let change = |target: &Target, change: Change, writing: &Writing| {
            let found = target.find_protected(aws)?;
            let edit = found.change(&change, writing)?;
            finish(&found, &edit, writing, form)
        };
        match self {
            Command::Create {
                target,
                name,
                writing,
            } => {
                let found = target.find_protected(aws)?;
                let Some(name) = name.as_ref().or(found.name.as_ref()) else {
                    return Err(Failure::Usage(
                        "name the key that the keyring holds: --name".to_owned(),
                    ));
                };
                let edit = found.editor.create(name)?;
                found.seen.check_vacant(writing.expect_generation)?;
                finish(&found, &edit, writing, form)
            }
            Command::Rotate { target, writing } => change(target, Change::Rotate, writing),
            Command::List { target } => list(&target.find(aws)?, form),
            Command::Show { target } => show(&target.find(aws)?, form),
            Command::Disable {
                target,
                version,
                writing,
            } => change(target, Change::Disable(version.version.clone()), writing),
            Command::Enable {
                target,
                version,
                writing,
            } => change(target, Change::Enable(version.version.clone()), writing),
            Command::Destroy {
                target,
                version,
                yes,
                writing,
            } => {
                let found = target.find_protected(aws)?;
                let edit = found.change(&Change::Destroy(version.version.clone()), writing)?;
                if !yes && !writing.dry_run {
                    confirm(&edit)?;
                }
                finish(&found, &edit, writing, form)
            }
            Command::Retire {
                target,
                version,
                check,
                writing,
            } => retire::run(
                &target.find_protected(aws)?,
                &version.version,
                check,
                writing,
                form,
                aws,
            ),
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
                change(target, Change::Rewrap(protection), writing)
            }
        }
    }
}

impl Found {
    /// Works a change out, of a keyring that is the newest one that this user knows of.
    fn change(&self, change: &Change, writing: &Writing) -> Result<Edit<'_>, Failure> {
        let edit = self.editor.change(change)?;
        if let Some(before) = &edit.before {
            self.seen.check(before, writing.expect_generation)?;
        }
        Ok(edit)
    }

    /// Reads the keyring. The result says whether it is the newest one that this user knows of, where it was verified.
    fn read(&self) -> Result<(Summary, Result<(), Failure>), Failure> {
        let found = self.editor.read()?;
        if !found.authentic {
            return Ok((found, Ok(())));
        }
        let newest = self.seen.check(&found, None);
        if newest.is_ok() {
            self.seen.remember(&found);
        }
        Ok((found, newest))
    }
}

/// Makes a keyring with its first version, of the key `name`.
pub(crate) fn create(uri: &str, protection: &Protection, name: &str, aws: &Aws) -> Result<(), Failure> {
    let access = target::access(aws);
    let editor = Editor::new(uri, &access, protection)?;
    let seen = Seen::of(editor.uri(), access.s3_endpoint.as_deref())?;
    let edit = editor.create(name)?;
    seen.check_vacant(None)?;
    edit.write()?;
    seen.remember(&edit.after);
    Ok(())
}

/// The id of the version that a change is about, which the command line may name by its number alone.
fn number_of(edit: &Edit<'_>, version: &str) -> String {
    let is_meant =
        |id: &str| id == version || id.split_once('-').is_some_and(|(number, _)| number == version);
    let versions = &edit.after.versions;
    let found = versions.iter().find(|found| is_meant(&found.id));
    found.map_or_else(|| version.to_owned(), |found| found.id.clone())
}

fn finish(found: &Found, edit: &Edit<'_>, writing: &Writing, form: Form) -> Result<(), Failure> {
    let editor = &found.editor;
    let mut lost = None;
    if !writing.dry_run {
        lost = edit.write()?;
        found.seen.remember(&edit.after);
    }
    if lost == Some(ACL_UNREADABLE) {
        note(
            "warning: the access control list of the keyring may not be read, and is lost: set it again, and allow \
             s3:GetObjectAcl and s3:PutObjectAcl",
        );
    }
    let mut out = stdout().lock();
    let changes = changes(edit);
    match form {
        Form::Json => {
            let document = json!({
                "uri": editor.uri(),
                "written": !writing.dry_run,
                "changes": changes,
                "notes": Vec::from_iter(lost),
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
                printable(editor.uri()),
                edit.after.generation
            )?;
            for change in changes {
                writeln!(out, "  {}", printable(&change))?;
            }
        }
    }
    Ok(())
}

/// The differences between before and after, a line each.
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

fn list(found: &Found, form: Form) -> Result<(), Failure> {
    let (keyring, newest) = found.read()?;
    let mut out = stdout().lock();
    if form == Form::Json {
        let versions: Vec<Value> = keyring.versions.iter().map(version).collect();
        writeln!(
            out,
            "{:#}",
            json!({ "authentic": keyring.authentic, "versions": versions })
        )?;
        return newest;
    }
    let mut table = Table::new(&["version", "created (UTC)", "state"]);
    for version in &keyring.versions {
        let state = version.state.to_string();
        table.row([version.id.clone(), version.created.clone(), state]);
    }
    out.write_all(table.whole().as_bytes())?;
    note_unverified(&keyring);
    newest
}

fn show(found: &Found, form: Form) -> Result<(), Failure> {
    let (keyring, newest) = found.read()?;
    let mut out = stdout().lock();
    if form == Form::Json {
        writeln!(out, "{:#}", summary(&keyring))?;
        return newest;
    }
    let count = |state| keyring.versions.iter().filter(|v| v.state == state).count();
    let active = keyring.versions.iter().find(|v| v.state == State::Active);
    let active = active.map_or_else(String::new, |v| format!("{}, since {}", v.id, v.created));
    writeln!(out, "key         {}", keyring.name)?;
    writeln!(out, "generation  {}, of {}", keyring.generation, keyring.updated)?;
    writeln!(out, "protector   {}", printable(&protector(&keyring)))?;
    writeln!(out, "active      {active}")?;
    let others = [State::DecryptOnly, State::Disabled, State::Destroyed].map(|s| format!("{} {s}", count(s)));
    writeln!(out, "others      {}", others.join(", "))?;
    writeln!(
        out,
        "authentic   {}",
        if keyring.authentic { "yes" } else { "not verified" }
    )?;
    note_unverified(&keyring);
    newest
}

fn note_unverified(found: &Summary) {
    if !found.authentic {
        note(
            "note: not verified; name the key that protects the keyring (--kms-key-id or --protector-file), or the key \
             in a \
             configuration, to verify it",
        );
    }
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
