//! `emrkeys put`

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

use clap::{Args, ValueEnum};
use emrkeys_core::{Code, Error, Provider};
use emrkeys_crypto::digest::sha256;
use emrkeys_crypto::gcm::MAX_MESSAGE;
use emrkeys_objects::{
    note_length, seal, unwrap_data_key, Content, Envelope, Metadata, ObjectUri, Sealer, Store, Upload,
    INSTRUCTION_MARK, TAG_BYTES,
};
use serde::{Deserialize, Serialize};

use super::{instruction_path, Instructions, Place, Stores, PIECE};
use crate::aws::Aws;
use crate::conf::Conf;
use crate::files::NewFile;
use crate::output::{at, note, problem, Failure};
use crate::progress::{interrupted, is_set, Progress};

/// Bytes of a part. 8192 of them are the 64 GiB that AES-GCM encrypts under one key, and S3 takes 10,000.
const PART: usize = 8 * 1024 * 1024;
/// Parts on their way at once; with the one that is being encrypted they are what memory is needed for.
const AT_ONCE: usize = 3;

#[derive(Args)]
pub(crate) struct Put {
    /// The file to encrypt, or a pipe
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the object goes: s3://bucket/key or file:///path
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

/// An upload that can be gone on with. It holds no secret: the data key is wrapped, the digests are of ciphertext.
#[derive(Serialize, Deserialize)]
struct State {
    uri: String,
    upload: String,
    metadata: Metadata,
    length: Option<u64>,
    parts: Vec<PartState>,
}

#[derive(Serialize, Deserialize)]
struct PartState {
    /// SHA-256 of the ciphertext, in hex: what was sent once under this key and vector, and may not be sent otherwise.
    ciphertext: String,
    /// `None`: it was about to be sent.
    etag: Option<String>,
}

impl Put {
    pub(crate) fn run(&self, aws: &Aws) -> Result<(), Failure> {
        let stop = interrupted()?;
        let place = Place::parse(&self.uri)?;
        let provider = self.conf.open_lazily(aws)?;
        let mut file = File::open(&self.file).map_err(at(&self.file))?;
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
        })
    }
}

/// The content of a file, read part by part.
struct Parts<'a> {
    path: &'a Path,
    file: File,
}

impl Parts<'_> {
    /// The next part, with room for a tag; shorter than [`PART`] only at the end.
    fn next(&mut self) -> Result<Vec<u8>, Failure> {
        let mut buffer = Vec::with_capacity(PART + TAG_BYTES);
        let mut part = (&mut self.file).take(PART as u64);
        part.read_to_end(&mut buffer).map_err(at(self.path))?;
        Ok(buffer)
    }
}

/// A new object in S3.
struct S3Object<'a> {
    put: &'a Put,
    store: &'a Store,
    provider: &'a Provider,
    uri: &'a ObjectUri,
    /// Of a file; a pipe's nobody knows.
    length: Option<u64>,
}

impl S3Object<'_> {
    /// In one piece or in many, by what is there to be read and not by what its length is said to be.
    fn write(
        &self,
        content: Content,
        file: File,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.put.resume.is_some() && self.length.is_none() {
            return Err(Failure::Usage(format!(
                "--resume needs a file that can be read again, and {} is none",
                self.put.file.display()
            )));
        }
        if self.put.instruction_file {
            // Two objects cannot be replaced at once, and a pair that is torn apart is lost.
            for uri in [self.uri, &self.store.instruction_of(self.uri)] {
                if self.store.head(uri)?.is_some() {
                    return Err(exists(uri));
                }
            }
        }
        let mut parts = Parts {
            path: &self.put.file,
            file,
        };
        let first = parts.next()?;
        if first.len() < PART {
            return self.whole(content, first);
        }
        self.in_parts(content, first, &mut parts, read)
    }

    fn whole(&self, content: Content, mut bytes: Vec<u8>) -> Result<(), Failure> {
        let (mut sealer, envelope) = seal(self.provider, self.uri, content)?;
        let length = bytes.len() as u64;
        sealer.update(&mut bytes)?;
        bytes.extend_from_slice(&sealer.finish()?);
        let (metadata, instruction) = self.envelope(&envelope, Some(length));
        self.appear(instruction, |new| self.store.put(self.uri, bytes, &metadata, new))
    }

    /// The object's metadata, and the content of its instruction file if it gets one.
    fn envelope(&self, envelope: &Envelope, length: Option<u64>) -> (Metadata, Option<Vec<u8>>) {
        let (mut metadata, instruction) = if self.put.instruction_file {
            let (instruction, beside) = envelope.to_instruction();
            (beside, Some(instruction))
        } else {
            (envelope.to_metadata(), None)
        };
        if let Some(length) = length {
            note_length(&mut metadata, length);
        }
        (metadata, instruction)
    }

    /// The last step, which makes the object: the argument of `make` says whether the object must not exist yet.
    /// The instruction file is there just before it, and does not stay without it.
    fn appear(
        &self,
        instruction: Option<Vec<u8>>,
        make: impl FnOnce(bool) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        let Some(instruction) = instruction else {
            return Ok(make(self.put.no_overwrite)?);
        };
        let beside = self.store.instruction_of(self.uri);
        let mark = Metadata::from([(INSTRUCTION_MARK.to_owned(), String::new())]);
        self.store.put(&beside, instruction, &mark, true)?;
        let made = make(true);
        // An answer may be lost although the object was made.
        if made.is_err() && self.store.head(self.uri)?.is_none() {
            self.store.delete(&beside)?;
        }
        Ok(made?)
    }

    fn in_parts(
        &self,
        content: Content,
        first: Vec<u8>,
        parts: &mut Parts,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (sealer, envelope) = seal(self.provider, self.uri, content)?;
        let mut first = Some(first);
        if let Some(state) = self.read_state()? {
            let Some(obstacle) = self.go_on(state, &envelope, first.take(), parts, read)? else {
                return Ok(());
            };
            note(format!("note: {obstacle}: a new upload begins"));
            parts.file.rewind().map_err(at(parts.path))?;
        }
        let (metadata, instruction) = self.envelope(&envelope, self.length);
        let upload = self.store.begin(self.uri, &metadata)?;
        let state = State {
            uri: self.uri.to_string(),
            upload: upload.id.clone(),
            metadata,
            length: self.length,
            parts: Vec::new(),
        };
        let done = self
            .write_state(&state)
            .and_then(|()| self.send(&upload, sealer, state, first, parts, read))
            .and_then(|sent| sent.ok_or_else(|| self.changed_underway()))
            .and_then(|etags| {
                self.appear(instruction, |new| self.store.complete(&upload, &etags, new))?;
                self.forget_state()
            });
        if done.is_err() && self.put.resume.is_none() {
            // An upload that cannot be gone on with is not left to be paid for.
            let _ = self.store.abort(&upload);
        }
        done
    }

    /// Goes on with an upload. `Some`: why that cannot be, and a new one, with a data key of its own, has to begin.
    fn go_on(
        &self,
        state: State,
        fresh: &Envelope,
        first: Option<Vec<u8>>,
        parts: &mut Parts,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<Option<&'static str>, Failure> {
        let envelope = Envelope::parse(&state.metadata)
            .map_err(Error::from)?
            .ok_or_else(|| self.foreign_state())?;
        let upload = Upload {
            id: state.upload.clone(),
            uri: self.uri.clone(),
            metadata: state.metadata.clone(),
        };
        let give_up = |why| {
            // It may be gone already.
            let _ = self.store.abort(&upload);
            Ok(Some(why))
        };
        if envelope.content != fresh.content
            || envelope.key() != fresh.key()
            || envelope.version() != fresh.version()
        {
            return give_up("the upload was begun in another format or under another key");
        }
        const CHANGED: &str = "the file is not as it was when its upload began";
        if state.length != self.length {
            return give_up(CHANGED);
        }
        let metadata = state.metadata.clone();
        let sealer = Sealer::again(&unwrap_data_key(self.provider, &envelope)?, &envelope)?;
        let done = match self.send(&upload, sealer, state, first, parts, read) {
            Ok(None) => return give_up(CHANGED),
            Ok(Some(etags)) => self
                .store
                .complete(&upload, &etags, self.put.no_overwrite)
                .map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        match done {
            Err(Failure::Core(error))
                if matches!(error.code(), Code::ObjectNotFound | Code::ObjectChanged) =>
            {
                // Where the upload was completed and this was not remembered, the object is there.
                let found = self.store.head(self.uri)?;
                if found.is_none_or(|found| found.metadata != metadata) {
                    if error.code() == Code::ObjectChanged {
                        return Err(error.into());
                    }
                    return Ok(Some("S3 does not know the upload any more"));
                }
            }
            done => done?,
        }
        self.forget_state()?;
        Ok(None)
    }

    /// Encrypts from the beginning, one part after the other, and sends those that S3 has not got yet, some at once.
    /// Gives the ETags of all; `None` where the file does not read as it did when it was sent before, or changed
    /// underway: under one key and vector no two texts may ever leave.
    fn send(
        &self,
        upload: &Upload,
        sealer: Sealer,
        state: State,
        mut first: Option<Vec<u8>>,
        parts: &mut Parts,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<Option<Vec<String>>, Failure> {
        let state = Mutex::new(state);
        let locked = || state.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = AtomicBool::new(false);
        let (offer, queue) = sync_channel::<(usize, Vec<u8>)>(0);
        let queue = Mutex::new(queue);
        let unchanged = std::thread::scope(|scope| {
            let (locked, queue, failed) = (&locked, &queue, &failed);
            // Takes parts until there are no more: whoever offers one would wait for ever for the last of those that
            // failed.
            let work = move || -> Result<(), Failure> {
                let mut result = Ok(());
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((index, content)) = next else {
                        return result;
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
                    if sent.is_err() {
                        failed.store(true, Ordering::Relaxed);
                        result = sent;
                    }
                }
            };
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            // `false`: it is not what was sent before under the same key and vector.
            let hand_over = |index: usize, buffer: Vec<u8>| -> Result<bool, Failure> {
                let ciphertext = match self.put.resume {
                    Some(_) => hex::encode(sha256(&buffer)),
                    None => String::new(), // nobody will go on with it
                };
                let mut state = locked();
                match state.parts.get(index) {
                    Some(part) if part.ciphertext != ciphertext => return Ok(false),
                    Some(part) if part.etag.is_some() => return Ok(true),
                    Some(_) => {}
                    None => {
                        state.parts.push(PartState {
                            ciphertext,
                            etag: None,
                        });
                        self.write_state(&state)?;
                    }
                }
                drop(state);
                // Workers take it as long as there are any.
                let _ = offer.send((index, buffer));
                Ok(true)
            };
            let encrypt = || -> Result<bool, Failure> {
                let mut sealer = sealer;
                let mut total = 0;
                for index in 0.. {
                    let mut buffer = match first.take() {
                        Some(first) => first,
                        None => parts.next()?,
                    };
                    let length = buffer.len();
                    total += length as u64;
                    sealer.update(&mut buffer)?;
                    if length < PART {
                        if self.length.is_some_and(|length| length != total) {
                            return Ok(false); // its length is in the metadata already
                        }
                        buffer.extend_from_slice(&sealer.finish()?);
                        let unchanged = hand_over(index, buffer)?;
                        read(length)?;
                        return Ok(unchanged);
                    }
                    if !hand_over(index, buffer)? {
                        return Ok(false);
                    }
                    if failed.load(Ordering::Relaxed) {
                        break;
                    }
                    read(length)?;
                }
                Ok(true)
            };
            let encrypted = encrypt();
            if !matches!(encrypted, Ok(true)) {
                failed.store(true, Ordering::Relaxed);
            }
            drop(offer);
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
            let unchanged = encrypted?;
            sent.map(|()| unchanged)
        })?;
        let state = locked();
        Ok(unchanged.then(|| state.parts.iter().filter_map(|part| part.etag.clone()).collect()))
    }

    fn read_state(&self) -> Result<Option<State>, Failure> {
        let Some(path) = self.put.resume.as_ref().filter(|path| path.exists()) else {
            return Ok(None);
        };
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

    fn forget_state(&self) -> Result<(), Failure> {
        match &self.put.resume {
            Some(path) => fs::remove_file(path).map_err(at(path)),
            None => Ok(()),
        }
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
