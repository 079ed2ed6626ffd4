//! `emrkeys put`

mod upload;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use emrkeys_core::{Code, Provider};
use emrkeys_crypto::gcm::MAX_MESSAGE;
use emrkeys_objects::{seal, work_on, Content, Envelope, ObjectUri};

use super::get::go_on;
use super::moved::{is_standard, object_for, Moved};
use super::tree::{files_of, folder_of_objects, Sums, PACE};
use super::{instruction_path, Instructions, Place, Stores, PIECE};
use crate::aws::Aws;
use crate::conf::Conf;
use crate::files::NewFile;
use crate::output::{at, problem, Failure};
use crate::progress::{interrupted, Progress};
use crate::text::in_units;
use crate::Form;
pub(crate) use upload::read_back;
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
    /// Take FILE for a folder, all files of which go below the URI
    #[arg(long, conflicts_with = "resume")]
    recursive: bool,
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
        if self.recursive {
            return self.tree(&folder_of_objects(Place::parse(&self.uri)?)?, form, aws);
        }
        let stop = interrupted()?;
        let place = object_for(&self.uri, &self.file)?;
        let provider = self.conf.open_lazily(aws)?;
        let input = Input::open(&self.file)?;
        let stores = Stores::new(aws, &self.instructions, None);
        let mut progress = Progress::of("bytes", input.length);
        let mut total = 0;
        let done = self.one(&input, &place, &provider, &stores, &mut |count| {
            total += count as u64;
            progress.add(count as u64);
            go_on(&stop)
        });
        progress.finish();
        done.map_err(|failure| self.stopped(failure, total))?.print(form)
    }

    /// Encrypts a file. `read` gets how many bytes of it were read.
    fn one(
        &self,
        input: &Input,
        place: &Place,
        provider: &Provider,
        stores: &Stores,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<Moved, Failure> {
        let content = match self.format {
            Format::V2 => Content::Gcm,
            Format::V4 => Content::CommittingGcm,
        };
        let mut total = 0;
        let mut read = |count: usize| {
            total += count as u64;
            read(count)
        };
        let envelope = match place {
            Place::File(path) => self.to_file(path, place, provider, content, input, &mut read)?,
            Place::S3(uri) => {
                let object = S3Object {
                    put: self,
                    input,
                    store: stores.s3()?,
                    provider,
                    uri,
                };
                object.write(content, &mut read)?
            }
        };
        Ok(Moved {
            from: input.path.display().to_string(),
            to: place.to_string(),
            bytes: input.length.unwrap_or(total),
            ..Moved::new(provider, &envelope)
        })
    }

    /// Encrypts all files of a folder.
    fn tree(&self, prefix: &ObjectUri, form: Form, aws: &Aws) -> Result<(), Failure> {
        let stop = interrupted()?;
        let provider = self.conf.open_lazily(aws)?;
        let files = files_of(&self.file)?;
        let stores = Stores::new(aws, &self.instructions, None);
        stores.s3()?;
        let mut progress = Progress::of("objects", Some(files.len() as u64));
        let mut sums = Sums::default();
        let done = work_on(
            files.into_iter().map(Ok),
            PACE,
            &stop,
            |(path, below)| {
                let uri = ObjectUri {
                    bucket: prefix.bucket.clone(),
                    key: format!("{}{below}", prefix.key),
                };
                let input = Input::open(path)?;
                let moved = self.one(&input, &Place::S3(uri), &provider, &stores, &mut |_| go_on(&stop));
                moved.map(Some)
            },
            |_, (path, _), result| {
                progress.add(1);
                sums.add(&path.display().to_string(), result);
            },
        );
        progress.finish();
        done?;
        sums.end(&self.file.display().to_string(), &prefix.to_string(), form, &stop)
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
        input: &Input,
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
            let length = fill(&input.file, &mut buffer).map_err(at(&input.path))?;
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

/// A file to encrypt.
struct Input {
    path: PathBuf,
    file: File,
    /// `None` for a pipe, which ends where it ends.
    length: Option<u64>,
}

impl Input {
    fn open(path: &Path) -> Result<Input, Failure> {
        let file = if is_standard(path) {
            std::io::stdin().as_fd().try_clone_to_owned().map(File::from)
        } else {
            File::open(path)
        };
        let file = file.map_err(at(path))?;
        let about = file.metadata().map_err(at(path))?;
        if about.is_dir() {
            let what = "it is a folder; --recursive takes all of its files";
            return Err(at(path)(std::io::Error::other(what)));
        }
        if about.is_file() && about.len() > MAX_MESSAGE {
            return Err(problem(
                Code::ContentUnsupported,
                format!(
                    "{} has {} bytes, and AES-GCM takes at most {MAX_MESSAGE}",
                    path.display(),
                    about.len()
                ),
                "Split the file.",
            ));
        }
        Ok(Input {
            path: path.to_owned(),
            length: about.is_file().then_some(about.len()),
            file,
        })
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
fn fill(mut file: &File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}
