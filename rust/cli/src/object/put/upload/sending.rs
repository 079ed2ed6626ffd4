//! The parts of an object on their way: encrypted by one thread, sent by several.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};

use emrkeys_crypto::digest::sha256;
use emrkeys_objects::{Sealer, Upload};

use super::{PartState, Parts, S3Object, State, PART};
use crate::output::Failure;

/// The number of a part, from 0 on, and its ciphertext.
type Part = (usize, Vec<u8>);

/// One upload. Shared by the threads that send.
pub(super) struct Sending<'a> {
    object: &'a S3Object<'a>,
    upload: &'a Upload,
    state: Mutex<State>,
    queue: Mutex<Receiver<Part>>,
    failed: AtomicBool,
}

impl<'a> Sending<'a> {
    /// The parts come by `queue`, whose other end [`Sending::encrypt`] gets.
    pub(super) fn new(
        object: &'a S3Object<'a>,
        upload: &'a Upload,
        state: State,
        queue: Receiver<Part>,
    ) -> Sending<'a> {
        Sending {
            object,
            upload,
            state: Mutex::new(state),
            queue: Mutex::new(queue),
            failed: AtomicBool::new(false),
        }
    }

    /// Takes parts until there are no more: whoever offers one would wait for ever for the last of those that failed.
    pub(super) fn work(&self) -> Result<(), Failure> {
        let mut result = Ok(());
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((index, content)) = next else {
                return result;
            };
            if self.failed.load(Ordering::Relaxed) {
                continue;
            }
            let number = i32::try_from(index + 1).unwrap_or(i32::MAX); // S3 refuses more than 10,000
            let sent = self
                .object
                .store
                .part(self.upload, number, content)
                .map_err(Failure::from)
                .and_then(|etag| {
                    let mut state = self.state();
                    state.parts[index].etag = Some(etag);
                    self.object.write_state(&state)
                });
            if sent.is_err() {
                self.failed.store(true, Ordering::Relaxed);
                result = sent;
            }
        }
    }

    /// Encrypts all parts and offers them. `false`: the file is not what was sent before under the same key and vector.
    /// Then, and where it fails, no more is sent.
    pub(super) fn encrypt(
        &self,
        offer: &SyncSender<Part>,
        sealer: Sealer,
        first: Option<Vec<u8>>,
        parts: &mut Parts,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let encrypted = self.encrypt_all(offer, sealer, first, parts, read);
        if !matches!(encrypted, Ok(true)) {
            self.failed.store(true, Ordering::Relaxed);
        }
        encrypted
    }

    fn encrypt_all(
        &self,
        offer: &SyncSender<Part>,
        mut sealer: Sealer,
        mut first: Option<Vec<u8>>,
        parts: &mut Parts,
        read: &mut impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
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
                if self.object.input.length.is_some_and(|length| length != total) {
                    return Ok(false); // its length is in the metadata already
                }
                buffer.extend_from_slice(&sealer.finish()?);
                let unchanged = self.hand_over(offer, index, buffer)?;
                read(length)?;
                return Ok(unchanged);
            }
            if !self.hand_over(offer, index, buffer)? {
                return Ok(false);
            }
            if self.failed.load(Ordering::Relaxed) {
                break;
            }
            read(length)?;
        }
        Ok(true)
    }

    /// `false`: it is not what was sent before under the same key and vector.
    fn hand_over(&self, offer: &SyncSender<Part>, index: usize, buffer: Vec<u8>) -> Result<bool, Failure> {
        let ciphertext = match self.object.put.resume {
            Some(_) => hex::encode(sha256(&buffer)),
            None => String::new(), // nobody will go on with it
        };
        let mut state = self.state();
        match state.parts.get(index) {
            Some(part) if part.ciphertext != ciphertext => return Ok(false),
            Some(part) if part.etag.is_some() => return Ok(true),
            Some(_) => {}
            None => {
                state.parts.push(PartState {
                    ciphertext,
                    etag: None,
                });
                self.object.write_state(&state)?;
            }
        }
        drop(state);
        // Workers take it as long as there are any.
        let _ = offer.send((index, buffer));
        Ok(true)
    }

    /// The ETags of the parts that S3 has.
    pub(super) fn etags(&self) -> Vec<String> {
        let state = self.state();
        state.parts.iter().filter_map(|part| part.etag.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
