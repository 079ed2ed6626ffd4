//! New objects in S3: small ones by one request, large ones in parts that can be gone on with.

mod sending;

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::mpsc::sync_channel;

use emrkeys_core::{Code, Error, Provider};
use emrkeys_objects::{
    note_length, seal, unwrap_data_key, Content, Envelope, Metadata, ObjectUri, Sealer, Store, Upload,
    INSTRUCTION_MARK, TAG_BYTES,
};
use serde::{Deserialize, Serialize};

use self::sending::Sending;
use super::{exists, Input, Put};
use crate::files::{read_state, NewFile};
use crate::output::{at, note, problem, Failure};

/// Bytes of a part. 8192 of them are the 64 GiB that AES-GCM encrypts under one key, and S3 takes 10,000.
const PART: usize = 8 * 1024 * 1024;
/// Parts on their way at once; with the one that is being encrypted they are what memory is needed for.
const AT_ONCE: usize = 3;

/// An upload that can be gone on with. It holds no secret: the data key is wrapped, the digests are of ciphertext.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    uri: String,
    upload: String,
    metadata: Metadata,
    length: Option<u64>,
    parts: Vec<PartState>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartState {
    /// SHA-256 of the ciphertext, in hex: what was sent once under this key and vector, and may not be sent otherwise.
    ciphertext: String,
    /// `None`: it was about to be sent.
    etag: Option<String>,
}

impl State {
    /// The content of a file, and the envelope in it; `None` for content that no upload to `uri` wrote. More parts than
    /// the file has would become part of the object without being sent.
    fn parse(content: &[u8], uri: &str) -> Option<(Self, Envelope)> {
        let state: State = serde_json::from_slice(content).ok()?;
        let most = state.length? / PART as u64 + 1;
        let sound = |part: &PartState| part.ciphertext.len() == 64 && hex::decode(&part.ciphertext).is_ok();
        if state.uri != uri || state.parts.len() as u64 > most || !state.parts.iter().all(sound) {
            return None;
        }
        let envelope = Envelope::parse(&state.metadata).ok()??;
        Some((state, envelope))
    }
}

/// The content of a file, read part by part.
struct Parts<'a> {
    path: &'a Path,
    file: &'a File,
}

impl Parts<'_> {
    /// The next part, with room for a tag; shorter than [`PART`] only at the end.
    fn next(&mut self) -> Result<Vec<u8>, Failure> {
        let mut buffer = Vec::with_capacity(PART + TAG_BYTES);
        let mut part = self.file.take(PART as u64);
        part.read_to_end(&mut buffer).map_err(at(self.path))?;
        Ok(buffer)
    }
}

/// A new object in S3.
pub(super) struct S3Object<'a> {
    pub(super) put: &'a Put,
    pub(super) input: &'a Input,
    pub(super) store: &'a Store,
    pub(super) provider: &'a Provider,
    pub(super) uri: &'a ObjectUri,
}

impl S3Object<'_> {
    /// In one piece or in many, by what is there to be read and not by what its length is said to be.
    pub(super) fn write(
        &self,
        content: Content,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<Envelope, Failure> {
        if self.put.resume.is_some() && self.input.length.is_none() {
            return Err(Failure::Usage(format!(
                "--resume needs a file that can be read again, and {} is none",
                self.input.path.display()
            )));
        }
        // Before all of it is sent; one who may not look sees it at the end.
        let begun = self.put.resume.as_ref().is_some_and(|state| state.exists());
        if self.put.no_overwrite && !begun && matches!(self.store.head(self.uri), Ok(Some(_))) {
            return Err(self.kept());
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
            path: &self.input.path,
            file: &self.input.file,
        };
        let first = parts.next()?;
        if first.len() < PART {
            read(first.len())?;
            return self.whole(content, first);
        }
        self.in_parts(content, first, &mut parts, read)
    }

    fn whole(&self, content: Content, mut bytes: Vec<u8>) -> Result<Envelope, Failure> {
        let (mut sealer, envelope) = seal(self.provider, self.uri, content)?;
        let length = bytes.len() as u64;
        sealer.update(&mut bytes)?;
        bytes.extend_from_slice(&sealer.finish()?);
        let (metadata, instruction) = self.envelope(&envelope, Some(length));
        self.appear(instruction, |new| self.store.put(self.uri, bytes, &metadata, new))?;
        Ok(envelope)
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
            return make(self.put.no_overwrite).map_err(|error| self.unless_kept(error));
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

    /// The failure for an error of the last step: with `--no-overwrite` the reason is known.
    fn unless_kept(&self, error: Error) -> Failure {
        if self.put.no_overwrite && error.code() == Code::ObjectChanged {
            return self.kept();
        }
        error.into()
    }

    fn kept(&self) -> Failure {
        problem(
            Code::ObjectChanged,
            format!("{} exists, and --no-overwrite keeps it", self.uri),
            "Name another place, or leave --no-overwrite out to replace it.",
        )
    }

    fn in_parts(
        &self,
        content: Content,
        first: Vec<u8>,
        parts: &mut Parts,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<Envelope, Failure> {
        let (sealer, envelope) = seal(self.provider, self.uri, content)?;
        let mut first = Some(first);
        if let Some((state, begun)) = self.read_state()? {
            let Some(obstacle) = self.go_on(state, &begun, &envelope, first.take(), parts, read)? else {
                return Ok(envelope);
            };
            note(format!("note: {obstacle}: a new upload begins"));
            parts.file.rewind().map_err(at(parts.path))?;
        }
        let (metadata, instruction) = self.envelope(&envelope, self.input.length);
        let upload = self.store.begin(self.uri, &metadata)?;
        let state = State {
            uri: self.uri.to_string(),
            upload: upload.id.clone(),
            metadata,
            length: self.input.length,
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
        done.map(|()| envelope)
    }

    /// Goes on with an upload. `Some`: why that cannot be, and a new one, with a data key of its own, has to begin.
    fn go_on(
        &self,
        state: State,
        envelope: &Envelope,
        fresh: &Envelope,
        first: Option<Vec<u8>>,
        parts: &mut Parts,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<Option<&'static str>, Failure> {
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
        if state.length != self.input.length {
            return give_up(CHANGED);
        }
        let metadata = state.metadata.clone();
        let sealer = Sealer::again(&unwrap_data_key(self.provider, envelope)?, envelope)?;
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
                        return Err(self.unless_kept(error));
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
        first: Option<Vec<u8>>,
        parts: &mut Parts,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<Option<Vec<String>>, Failure> {
        let (offer, queue) = sync_channel(0);
        let sending = Sending::new(self, upload, state, queue);
        let unchanged = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| sending.work())).collect();
            let encrypted = sending.encrypt(&offer, sealer, first, parts, read);
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
        Ok(unchanged.then(|| sending.etags()))
    }

    fn read_state(&self) -> Result<Option<(State, Envelope)>, Failure> {
        let Some(path) = self.put.resume.as_ref().filter(|path| path.exists()) else {
            return Ok(None);
        };
        let found = State::parse(&read_state(path)?, &self.uri.to_string());
        found.map(Some).ok_or_else(|| self.foreign_state())
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
            format!("{} was changed while it was uploaded", self.input.path.display()),
            "Upload it again once it stays as it is.",
        )
    }
}

/// For [`hostile`](crate::hostile).
pub(crate) fn read_back(content: &[u8], uri: &str) -> Option<bool> {
    let (state, envelope) = State::parse(content, uri)?;
    let written = serde_json::to_vec(&state).ok()?;
    Some(State::parse(&written, uri) == Some((state, envelope)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_state_with_more_parts_than_the_file_has_is_refused() {
        let state = |length: u64, digest: &str| {
            let metadata = json!({
                "x-amz-key-v2": "A".repeat(80), "x-amz-iv": "A".repeat(16), "x-amz-cek-alg": "AES/GCM/NoPadding",
                "x-amz-wrap-alg": "AES/GCM", "x-amz-tag-len": "128", "x-amz-matdesc": "{}",
            });
            let part = json!({ "ciphertext": digest, "etag": "e" });
            let state = json!({
                "uri": "s3://lake/x", "upload": "u", "metadata": metadata, "length": length, "parts": [part, part],
            });
            State::parse(state.to_string().as_bytes(), "s3://lake/x").is_some()
        };
        let digest = "ab".repeat(32);
        assert!(state(PART as u64, &digest)); // the second part is the tag alone
        assert!(!state(PART as u64 - 1, &digest));
        assert!(!state(PART as u64, "none"));
    }
}
