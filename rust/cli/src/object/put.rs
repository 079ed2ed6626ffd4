//! `emrkeys put`

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

use clap::{Args, ValueEnum};
use emrkeys_core::object::{
    note_length, Content, Envelope, Metadata, ObjectUri, Sealer, Store, Upload, INSTRUCTION_MARK,
};
use emrkeys_core::{Code, Error, Provider};
use emrkeys_crypto::digest::sha256;
use serde::{Deserialize, Serialize};

use super::{instruction_path, Place, Stores, PIECE};
use crate::aws::Aws;
use crate::conf::Conf;
use crate::files::NewFile;
use crate::output::{at, problem, Failure};
use crate::progress::{interrupted, is_set, Progress};

/// Bytes of a part. 8192 of them are the 64 GiB that AES-GCM encrypts under one key, and S3 takes 10,000.
const PART: usize = 8 * 1024 * 1024;
/// Parts on their way at once; with the one that is being encrypted they are what memory is needed for.
const AT_ONCE: usize = 3;

#[derive(Args)]
pub(crate) struct Put {
    /// The file to encrypt
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the object goes: s3://bucket/key or file:///path
    #[arg(value_name = "URI")]
    uri: String,
    /// Which client's format
    #[arg(long, value_name = "FORMAT", default_value = "v2")]
    format: Format,
    /// In S3: the envelope goes into an instruction file and not into the metadata
    #[arg(long)]
    instruction_file: bool,
    /// In S3: only where there is no object yet
    #[arg(long)]
    no_overwrite: bool,
    /// A file that remembers a large upload; after a failure the same command goes on with it
    #[arg(long, value_name = "FILE")]
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

/// An upload that can be gone on with. Whoever reads this learns nothing: the data key is wrapped.
#[derive(Serialize, Deserialize)]
struct State {
    uri: String,
    upload: String,
    metadata: Metadata,
    length: u64,
    parts: Vec<PartState>,
}

#[derive(Serialize, Deserialize)]
struct PartState {
    /// SHA-256 of the plaintext, in hex: what was sent once under this key and vector, and may not be sent otherwise.
    plaintext: String,
    /// `None`: it was about to be sent.
    etag: Option<String>,
}

impl Put {
    pub(crate) fn run(&self, aws: &Aws) -> Result<(), Failure> {
        let stop = interrupted()?;
        let place = Place::parse(&self.uri)?;
        let (provider, _) = self.conf.open_provider(aws)?;
        let mut file = File::open(&self.file).map_err(at(&self.file))?;
        let length = file.metadata().map_err(at(&self.file))?.len();
        let content = match self.format {
            Format::V2 => Content::Gcm,
            Format::V4 => Content::CommittingGcm,
        };
        let mut progress = Progress::of("bytes", Some(length));
        let mut read = |count: usize| {
            progress.add(count as u64);
            if is_set(&stop) {
                return Err(Failure::Interrupted);
            }
            Ok(())
        };
        let done = match &place {
            Place::File(path) => self.to_file(path, &place, &provider, content, &mut file, &mut read),
            Place::S3(uri) => {
                let stores = Stores::new(aws);
                let object = S3Object {
                    put: self,
                    store: stores.s3()?,
                    provider: &provider,
                    uri,
                    length,
                };
                if length < PART as u64 {
                    object.whole(content, &mut file)
                } else {
                    object.in_parts(content, &mut file, &mut read)
                }
            }
        };
        progress.finish();
        done
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
    ) -> Result<(), Failure> {
        let instruction = instruction_path(path);
        for path in [path, &instruction] {
            if path.symlink_metadata().is_ok() {
                return Err(exists(path));
            }
        }
        let (mut sealer, envelope) = provider.seal(&place.for_rules(), content)?;
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
        out.keep().map_err(at(path))
    }
}

/// A new object in S3.
struct S3Object<'a> {
    put: &'a Put,
    store: &'a Store,
    provider: &'a Provider,
    uri: &'a ObjectUri,
    length: u64,
}

impl S3Object<'_> {
    fn whole(&self, content: Content, file: &mut File) -> Result<(), Failure> {
        let (mut sealer, envelope) = self.provider.seal(self.uri, content)?;
        let mut bytes = Vec::with_capacity(PART + 16);
        let length = file
            .take(PART as u64)
            .read_to_end(&mut bytes)
            .map_err(at(&self.put.file))?;
        sealer.update(&mut bytes)?;
        bytes.extend_from_slice(&sealer.finish()?);
        let metadata = self.store_envelope(&envelope, length as u64)?;
        Ok(self
            .store
            .put(self.uri, bytes, &metadata, self.put.no_overwrite)?)
    }

    /// What goes into the object's metadata; the rest goes into the instruction file, which is there before the object is.
    fn store_envelope(&self, envelope: &Envelope, length: u64) -> Result<Metadata, Failure> {
        let mut metadata = if self.put.instruction_file {
            let (instruction, beside) = envelope.to_instruction();
            let mark = Metadata::from([(INSTRUCTION_MARK.to_owned(), String::new())]);
            self.store
                .put(&self.uri.instruction(), instruction, &mark, self.put.no_overwrite)?;
            beside
        } else {
            envelope.to_metadata()
        };
        note_length(&mut metadata, length);
        Ok(metadata)
    }

    fn in_parts(
        &self,
        content: Content,
        file: &mut File,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if let Some(state) = self.read_state()? {
            let upload = Upload {
                id: state.upload.clone(),
                uri: self.uri.clone(),
            };
            if self.unchanged(&state, file)? {
                let envelope = Envelope::parse(&state.metadata)
                    .map_err(Error::from)?
                    .ok_or_else(|| self.foreign_state())?;
                let sealer = Sealer::again(&self.provider.data_key(&envelope)?, &envelope)?;
                return self.send(&upload, sealer, state, file, read);
            }
            eprintln!("note: the file is not as it was when its upload began: that is given up, and a new one begins");
            // It may be gone already.
            let _ = self.store.abort(&upload);
        }
        let (sealer, envelope) = self.provider.seal(self.uri, content)?;
        let metadata = self.store_envelope(&envelope, self.length)?;
        let upload = self.store.begin(self.uri, &metadata)?;
        let state = State {
            uri: self.uri.to_string(),
            upload: upload.id.clone(),
            metadata,
            length: self.length,
            parts: Vec::new(),
        };
        let begun = self
            .write_state(&state)
            .and_then(|()| self.send(&upload, sealer, state, file, read));
        if begun.is_err() && self.put.resume.is_none() {
            // What cannot be gone on with is not left to be paid for.
            let _ = self.store.abort(&upload);
        }
        begun
    }

    /// Whether everything that was sent, or about to be, still reads the same: under one key and vector no two texts may ever be
    /// encrypted.
    fn unchanged(&self, state: &State, file: &mut File) -> Result<bool, Failure> {
        if state.length != self.length {
            return Ok(false);
        }
        let mut buffer = vec![0; PART];
        let mut unchanged = true;
        for part in &state.parts {
            let length = fill(file, &mut buffer).map_err(at(&self.put.file))?;
            unchanged &= hex::encode(sha256(&buffer[..length])) == part.plaintext;
        }
        std::io::Seek::rewind(file).map_err(at(&self.put.file))?;
        Ok(unchanged)
    }

    /// Encrypts from the beginning, one part after the other, and sends those that S3 has not got yet, some at once.
    fn send(
        &self,
        upload: &Upload,
        sealer: Sealer,
        state: State,
        file: &mut File,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let state = Mutex::new(state);
        let locked = || state.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = AtomicBool::new(false);
        let (parts, queue) = sync_channel::<(usize, Vec<u8>)>(0);
        let queue = Mutex::new(queue);
        let encrypted: Result<(), Failure> = std::thread::scope(|scope| {
            let (locked, queue, failed) = (&locked, &queue, &failed);
            let work = move || -> Result<(), Failure> {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((index, content)) = next else {
                        return Ok(());
                    };
                    if failed.load(Ordering::Relaxed) {
                        continue;
                    }
                    let number = i32::try_from(index + 1).unwrap_or(i32::MAX); // S3 refuses more than 10,000
                    let sent = self
                        .store
                        .part(upload, number, content)
                        .map_err(Failure::from)
                        .and_then(|etag| {
                            let mut state = locked();
                            state.parts[index].etag = Some(etag);
                            self.write_state(&state)
                        });
                    if let Err(failure) = sent {
                        failed.store(true, Ordering::Relaxed);
                        return Err(failure);
                    }
                }
            };
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            let encrypt = || -> Result<(), Failure> {
                let mut sealer = sealer;
                for index in 0.. {
                    let mut buffer = Vec::with_capacity(PART + 16);
                    let length = file
                        .take(PART as u64)
                        .read_to_end(&mut buffer)
                        .map_err(at(&self.put.file))?;
                    let plaintext = match self.put.resume {
                        Some(_) => hex::encode(sha256(&buffer[..length])),
                        None => String::new(), // nobody will go on with it
                    };
                    let mut state = locked();
                    let sent = match state.parts.get(index) {
                        Some(part) if part.plaintext != plaintext => return Err(self.changed_underway()),
                        Some(part) => part.etag.is_some(),
                        None => {
                            state.parts.push(PartState {
                                plaintext,
                                etag: None,
                            });
                            self.write_state(&state)?;
                            false
                        }
                    };
                    drop(state);
                    sealer.update(&mut buffer)?;
                    if length < PART {
                        buffer.extend_from_slice(&sealer.finish()?);
                        if !sent {
                            // Where nobody takes it, a worker failed and says why.
                            let _ = parts.send((index, buffer));
                        }
                        return read(length);
                    }
                    if failed.load(Ordering::Relaxed) || (!sent && parts.send((index, buffer)).is_err()) {
                        break;
                    }
                    read(length)?;
                }
                Ok(())
            };
            let encrypted = encrypt();
            if encrypted.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            drop(parts);
            let mut sent = Ok(());
            for worker in workers {
                sent = sent.and(worker.join().unwrap_or_else(|_| {
                    Err(problem(
                        Code::Internal,
                        "a thread ended early",
                        "Report this defect.",
                    ))
                }));
            }
            encrypted.and(sent)
        });
        encrypted?;
        let state = locked();
        let etags: Vec<String> = state.parts.iter().filter_map(|part| part.etag.clone()).collect();
        self.store.complete(upload, &etags, self.put.no_overwrite)?;
        if let Some(path) = &self.put.resume {
            fs::remove_file(path).map_err(at(path))?;
        }
        Ok(())
    }

    fn read_state(&self) -> Result<Option<State>, Failure> {
        let Some(path) = self.put.resume.as_ref().filter(|path| path.exists()) else {
            return Ok(None);
        };
        if self.put.instruction_file {
            return Err(Failure::Usage(
                "--resume does not go with --instruction-file".to_owned(),
            ));
        }
        let state: State =
            serde_json::from_slice(&fs::read(path).map_err(at(path))?).map_err(|_| self.foreign_state())?;
        if state.uri != self.uri.to_string() {
            return Err(self.foreign_state());
        }
        Ok(Some(state))
    }

    fn write_state(&self, state: &State) -> Result<(), Failure> {
        let Some(path) = &self.put.resume else {
            return Ok(());
        };
        let mut file = NewFile::create(path).map_err(at(path))?;
        serde_json::to_writer(&mut file, state).map_err(|error| at(path)(error.into()))?;
        // On the disk before a part is on its way: what was sent must not be forgotten.
        file.replace().map_err(at(path))
    }

    fn foreign_state(&self) -> Failure {
        let path = self.put.resume.as_deref().unwrap_or(Path::new(""));
        Failure::Configuration(format!(
            "{}: it is not of an upload to {}; remove it to begin anew",
            path.display(),
            self.uri
        ))
    }

    fn changed_underway(&self) -> Failure {
        problem(
            Code::ObjectChanged,
            format!("{} was changed while it was uploaded", self.put.file.display()),
            "Upload it again once it stays as it is.",
        )
    }
}

fn exists(path: &Path) -> Failure {
    problem(
        Code::ObjectChanged,
        format!("{} exists", path.display()),
        "Name another file, or remove it and its instruction file.",
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
