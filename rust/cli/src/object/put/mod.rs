//! `emrkeys put`

mod upload;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use emrkeys_core::{Code, Provider};
use emrkeys_crypto::gcm::MAX_MESSAGE;
use emrkeys_objects::{seal, Content, Envelope};

use super::moved::{is_standard, object_for, Moved};
use super::{instruction_path, Instructions, Place, Stores, PIECE};
use crate::aws::Aws;
use crate::conf::Conf;
use crate::files::NewFile;
use crate::output::{at, problem, Failure};
use crate::progress::{interrupted, is_set, Progress};
use crate::text::in_units;
use crate::Form;
use upload::S3Object;

#[derive(Args)]
pub(crate) struct Put {
    /// The file to encrypt, or a pipe; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the object goes: s3://bucket/key or file:///path; below a folder (it ends in a slash) it gets the file's
    /// name
    #[arg(value_name = "URI")]
    uri: String,
    /// Which client's format
    #[arg(long, value_name = "FORMAT", default_value = "v2")]
    format: Format,
    /// In S3: the envelope goes into an instruction file and not into the metadata; neither it nor the object may be
    /// there yet
    #[arg(long)]
    instruction_file: bool,
    #[command(flatten)]
    instructions: Instructions,
    /// In S3: only where there is no object yet
    #[arg(long)]
    no_overwrite: bool,
    /// A file that remembers a large upload; after a failure the same command goes on with it
    #[arg(long, value_name = "FILE", conflicts_with = "instruction_file")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    conf: Conf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Of the SDK v1's second client and the S3 Encryption Client 3; EMRFS and S3A read it
    V2,
    /// Of the S3 Encryption Client 4, which commits to its key
    V4,
}

impl Put {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        let stop = interrupted()?;
        let place = object_for(&self.uri, &self.file)?;
        let provider = self.conf.open_lazily(aws)?;
        let mut file = self.open()?;
        let about = file.metadata().map_err(at(&self.file))?;
        let length = about.is_file().then_some(about.len()); // a pipe ends where it ends
        if length.is_some_and(|length| length > MAX_MESSAGE) {
            return Err(problem(
                Code::ContentUnsupported,
                format!(
                    "{} has {} bytes, and AES-GCM takes at most {MAX_MESSAGE}",
                    self.file.display(),
                    about.len()
                ),
                "Split the file.",
            ));
        }
        let content = match self.format {
            Format::V2 => Content::Gcm,
            Format::V4 => Content::CommittingGcm,
        };
        let mut progress = Progress::of("bytes", length);
        let mut total = 0;
        let mut read = |count: usize| {
            total += count as u64;
            progress.add(count as u64);
            if is_set(&stop) {
                return Err(Failure::Interrupted);
            }
            Ok(())
        };
        let done = match &place {
            Place::File(path) => self.to_file(path, &place, &provider, content, &mut file, &mut read),
            Place::S3(uri) => {
                let stores = Stores::new(aws, &self.instructions, None);
                let object = S3Object {
                    put: self,
                    store: stores.s3()?,
                    provider: &provider,
                    uri,
                    length,
                };
                object.write(content, file, &mut read)
            }
        };
        progress.finish();
        let envelope = done.map_err(|failure| self.stopped(failure, total))?;
        let moved = Moved {
            from: self.file.display().to_string(),
            to: place.to_string(),
            bytes: length.unwrap_or(total),
            ..Moved::new(&provider, &envelope)
        };
        moved.print(form)
    }

    fn open(&self) -> Result<File, Failure> {
        if is_standard(&self.file) {
            let own = std::io::stdin().as_fd().try_clone_to_owned();
            return own.map(File::from).map_err(at(&self.file));
        }
        let file = File::open(&self.file).map_err(at(&self.file))?;
        if file.metadata().is_ok_and(|about| about.is_dir()) {
            let what = "it is a folder, and put takes one file";
            return Err(at(&self.file)(std::io::Error::other(what)));
        }
        Ok(file)
    }

    /// Where the user stopped an upload that can be gone on with, how.
    fn stopped(&self, failure: Failure, sent: u64) -> Failure {
        match (failure, &self.resume) {
            (Failure::Interrupted, Some(state)) if state.exists() => Failure::Paused(format!(
                "stopped after {}; the same command goes on with the upload, which {} remembers",
                in_units(sent),
                state.display()
            )),
            (failure, _) => failure,
        }
    }

    /// The ciphertext and, before it, the instruction file; both new, so that no older pair is torn apart.
    fn to_file(
        &self,
        path: &Path,
        place: &Place,
        provider: &Provider,
        content: Content,
        file: &mut File,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<Envelope, Failure> {
        let instruction = instruction_path(path, self.instructions.suffix());
        for path in [path, &instruction] {
            if path.symlink_metadata().is_ok() {
                return Err(exists(path.display()));
            }
        }
        let (mut sealer, envelope) = seal(provider, &place.for_rules(), content)?;
        let mut out = NewFile::create(path).map_err(at(path))?;
        let mut buffer = vec![0; PIECE];
        loop {
            let length = fill(file, &mut buffer).map_err(at(&self.file))?;
            if length == 0 {
                break;
            }
            sealer.update(&mut buffer[..length])?;
            out.write_all(&buffer[..length]).map_err(at(path))?;
            read(length)?;
        }
        out.write_all(&sealer.finish()?).map_err(at(path))?;
        let mut beside = NewFile::create(&instruction).map_err(at(&instruction))?;
        // All of it in one file: there is no metadata that a part of it could be in.
        serde_json::to_writer(&mut beside, &envelope.to_metadata())
            .map_err(|error| at(&instruction)(error.into()))?;
        beside.keep().map_err(at(&instruction))?;
        out.keep().map_err(|error| {
            // There is nothing that it would belong to.
            let _ = fs::remove_file(&instruction);
            at(path)(error)
        })?;
        Ok(envelope)
    }
}

fn exists(what: impl std::fmt::Display) -> Failure {
    problem(
        Code::ObjectChanged,
        format!("{what} exists"),
        "Name another place, or remove it and its instruction file.",
    )
}

/// Fewer bytes than there is room for only at the end.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}
