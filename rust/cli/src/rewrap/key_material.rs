//! `emrkeys rewrap --key-material`: the wrapped keys of Parquet files, in the files of key material beside them.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use base64ct::{Base64, Encoding};
use emrkeys_core::{Code, Error, Problem, Provider};
use emrkeys_objects::parquet::{
    is_key_material, key_material_name, material_report_line, MaterialFile, MaterialInS3, MaterialOutcome,
    RewrapMaterial, MAX_KEY_MATERIAL,
};
use emrkeys_objects::{local_path, work_on, Buckets, ObjectUri, Pace, Store};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use super::Command;
use crate::aws::Aws;
use crate::conf::Client;
use crate::files::NewFile;
use crate::many::{self, out_beside, Identity, Pass, Report, Scope, Sums, Tally, Task, Words};
use crate::object::parquet::read_small;
use crate::object::Place;
use crate::output::{at, problem, shown, Failure};
use crate::progress::{interrupted, is_set};
use crate::text::{counted, printable};
use crate::Form;

const WORDS: Words = Words {
    ask: "Replace",
    done: "replaced",
    failed: "of key material could not be re-wrapped, and were not changed",
    none: "no file of Parquet's key material (_KEY_MATERIAL_FOR_*.json) is there",
    other_key: (
        "for keys that are not configured here, or are not to move to the one in --to: its holders could read with \
         them",
        "Where the move is meant, name the keys in --from; configure the others where their holders run this.",
    ),
};

/// The work, with what it is done with.
struct Work<'a> {
    rewrap: RewrapMaterial,
    provider: Provider,
    scope: &'a Scope,
    store: &'a Store,
    buckets: Buckets,
}

impl Command {
    pub(super) fn key_material(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        if self.to.is_none() && !self.from.is_empty() {
            return Err(Failure::Usage(
                "--from names keys that go to another: add --to".to_owned(),
            ));
        }
        let stop = interrupted()?;
        let provider = self.conf.files.open_provider(Client::Tables, aws)?;
        let rewrap = RewrapMaterial {
            to: self.to.clone(),
            from: self.from.iter().cloned().collect(),
            dry_run: self.options.dry_run,
        };
        let known = provider.key_names();
        if let Some(unknown) = self.to.iter().chain(&self.from).find(|key| !known.contains(*key)) {
            return Err(problem(
                Code::KeyNotConfigured,
                format!("no key {} is configured", printable(unknown)),
                format!("Name one of these: {}.", Vec::from_iter(known).join(", ")),
            ));
        }
        if let Some(path) = local_path(self.prefix.text())? {
            return self.on_disk(&rewrap, &provider, &path, &stop, form);
        }
        let mut scope = Scope::of(&self.prefix, self.recursive)?;
        if scope.exact {
            scope.uri.key = material_of(&scope.uri.key);
        }
        let store = self.options.store(aws.store()?);
        let work = Work {
            rewrap,
            provider,
            scope: &scope,
            store: &store,
            buckets: Buckets::default(),
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

    /// All files of key material in a folder and below it, or the one that is named.
    fn on_disk(
        &self,
        rewrap: &RewrapMaterial,
        provider: &Provider,
        path: &Path,
        stop: &AtomicBool,
        form: Form,
    ) -> Result<(), Failure> {
        let files = local_files(path)?;
        if files.is_empty() {
            return Err(Failure::NoObjects(format!("{}: {}", WORDS.none, path.display())));
        }
        let many = files.len() > self.options.ask_above && !self.options.yes && !self.options.dry_run;
        if many {
            return Err(Failure::Usage(format!(
                "there are {}: add --yes, or look first with --dry-run",
                counted(files.len() as u64, "file")
            )));
        }
        let mut report = Report::open(&self.options, None)?;
        let mut tally = Tally::default();
        let mut told = Ok(());
        let pace = Pace {
            jobs: 1,
            per_second: None,
        };
        work_on(
            files.into_iter().map(Ok),
            pace,
            stop,
            |path| rewrap.file(provider, &OnDisk { path }),
            |_, path, result| {
                let place = Place::File(path);
                tally.add(&place, &result);
                let line = report.tell(|_| material_report_line(&place.to_string(), &result));
                told = std::mem::replace(&mut told, Ok(())).and(line);
            },
        )?;
        report.flush().and(told)?;
        let mut out = out_beside(&self.options);
        let place = Place::File(path.to_owned());
        shown(self.print(&mut out, &place, &tally, form))?;
        if is_set(stop) {
            return Err(Failure::Interrupted);
        }
        match tally.count("failed") {
            0 => tally.left_alone(&WORDS),
            failed => Err(problem(
                Code::ObjectsFailed,
                format!("{} {}", counted(failed, "file"), WORDS.failed),
                "See the lines above and the report; the same command tries them again.",
            )),
        }
    }

    fn print(&self, out: &mut impl Write, place: &Place, tally: &Tally, form: Form) -> Result<(), Failure> {
        if form == Form::Json {
            let document = json!({
                "prefix": place.to_string(),
                "to": self.to,
                "dryRun": self.options.dry_run,
                "counts": tally.counts,
                "changes": tally.ways_json(),
                "errors": tally.errors_json(),
            });
            return Ok(writeln!(out, "{document:#}")?);
        }
        let to = self.to.as_deref().unwrap_or(PRESENT);
        let dry = if self.options.dry_run {
            " (a dry run: nothing was written)"
        } else {
            ""
        };
        writeln!(out, "{} -> {to}{dry}", printable(&place.to_string()))?;
        tally.print(out)
    }
}

/// The destination without `--to`, in words.
const PRESENT: &str = "the present versions of the same keys";

/// The path or key of the file of key material, by that of either file.
fn material_of(file: &str) -> String {
    if is_key_material(file) {
        return file.to_owned();
    }
    let (folder, name) = file
        .rsplit_once('/')
        .map_or(("", file), |(folder, _)| file.split_at(folder.len() + 1));
    format!("{folder}{}", key_material_name(name))
}

/// The files of key material at or below a path, in order.
fn local_files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        let file = PathBuf::from(material_of(&path.to_string_lossy()));
        return Ok(Vec::from_iter(Some(file).filter(|file| file.exists())));
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(at(path))? {
        let entry = entry.map_err(at(path))?;
        let kind = entry.file_type().map_err(at(path))?;
        if kind.is_dir() {
            found.extend(local_files(&entry.path())?);
        } else if is_key_material(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// A file of key material on a disk.
struct OnDisk<'a> {
    path: &'a Path,
}

impl OnDisk<'_> {
    fn failed(&self, error: &std::io::Error) -> Error {
        let code = match error.kind() {
            ErrorKind::PermissionDenied => Code::StoreDenied,
            _ => Code::StoreUnavailable,
        };
        Problem::new(
            code,
            format!("{}: {error}", self.path.display()),
            "See the permissions of the file and its folder, and the space on the disk.",
        )
        .into()
    }
}

impl MaterialFile for OnDisk<'_> {
    /// The mark is the content itself.
    fn read(&self) -> Result<Option<(Vec<u8>, String)>, Error> {
        let Some(bytes) = read_small(self.path, MAX_KEY_MATERIAL)? else {
            return Ok(None);
        };
        let mark = Base64::encode_string(&bytes);
        Ok(Some((bytes, mark)))
    }

    fn replace(&self, content: Vec<u8>, mark: &str) -> Result<Option<&'static str>, Error> {
        let write = || {
            let mut file = NewFile::create(self.path)?;
            file.write_all(&content)?;
            file.like(self.path)?;
            Ok(file)
        };
        let file = write().map_err(|error| self.failed(&error))?;
        if self.read()?.is_none_or(|(_, now)| now != mark) {
            return Err(Problem::new(
                Code::ObjectChanged,
                format!("{} was replaced by somebody else meanwhile", self.path.display()),
                "Try again.",
            )
            .into());
        }
        // Hadoop's checksum of the old content would make it refuse the new one. Without a checksum it reads on.
        if let Some(name) = self.path.file_name() {
            let checksum = self
                .path
                .with_file_name(format!(".{}.crc", name.to_string_lossy()));
            match fs::remove_file(checksum) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed(&error)),
                _ => {}
            }
        }
        file.replace().map_err(|error| self.failed(&error)).map(|()| None)
    }
}

/// There is no checkpoint for this work, which leaves alone what is current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run(String);

impl Identity for Run {
    fn name(&self) -> String {
        self.0.clone()
    }
}

impl Work<'_> {
    fn file<'a>(&'a self, uri: &'a ObjectUri) -> MaterialInS3<'a> {
        MaterialInS3 {
            store: self.store,
            uri,
            buckets: &self.buckets,
        }
    }
}

impl Task for Work<'_> {
    type Outcome = MaterialOutcome;
    type Run = Run;
    const HAS_SURVEY: bool = false;

    fn words(&self) -> &Words {
        &WORDS
    }

    fn target(&self) -> Result<String, Error> {
        Ok(self.destination())
    }

    fn object(&self, uri: &ObjectUri, _: bool) -> Result<MaterialOutcome, Error> {
        self.rewrap.file(&self.provider, &self.file(uri))
    }

    fn look(&self, uri: &ObjectUri) -> Result<MaterialOutcome, Error> {
        let dry = RewrapMaterial {
            dry_run: true,
            ..self.rewrap.clone()
        };
        dry.file(&self.provider, &self.file(uri))
    }

    fn concerns(&self, uri: &ObjectUri) -> bool {
        is_key_material(&uri.key)
    }

    fn identity(&self) -> Run {
        Run(self.scope.objects())
    }

    fn document(&self) -> Value {
        json!({ "prefix": self.scope.uri.to_string(), "to": self.rewrap.to })
    }

    fn destination(&self) -> String {
        self.rewrap.to.as_deref().unwrap_or(PRESENT).to_owned()
    }
}

impl many::Outcome for MaterialOutcome {
    const CSV_HEAD: Option<&'static str> = None;

    fn name(result: &Result<Self, Error>) -> &'static str {
        result.as_ref().map_or("failed", MaterialOutcome::name)
    }

    fn way(&self) -> Option<(String, String)> {
        MaterialOutcome::way(self)
    }

    fn add_to(&self, _: &mut Sums) {}

    fn line(uri: &ObjectUri, result: &Result<Self, Error>, _: bool) -> String {
        material_report_line(&uri.to_string(), result)
    }
}
