//! Entrances for the targets of `rust/fuzz`, which pass hostile input: messages of Java's without a JVM, and ciphers
//! over memory of the caller's. Nothing else calls them.

use std::ops::Range;

use emrkeys_core::{Error, InputRef, InputValue};
use secrecy::ExposeSecret;

use crate::cipher::{Answer, Object, Sides};
use crate::wire::{self, Writer};
use crate::{cipher, objects};

/// The kinds of messages that [`message`] reads.
pub const MESSAGES: u8 = 9;

/// Reads a message of Java's, of kind 0 to [`MESSAGES`] − 1, and writes what it says as Java would. `None`: a kind of
/// which nothing is written.
///
/// # Errors
/// `INTERNAL` for a message that Java never sends, and the codes of its values.
pub fn message(kind: u8, bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let out = Writer::success(bytes.len());
    let written = match kind {
        0 => {
            let settings = wire::settings(bytes)?;
            pairs(out, settings.iter())
        }
        1 => match wire::description(bytes)? {
            Some(entries) => pairs(out, entries.iter()),
            None => out.null(),
        },
        2 => {
            let (bucket, key) = wire::object(bytes)?;
            out.text(bucket).text(key)
        }
        3 => {
            let table = wire::table_key(bytes)?;
            out.text(table.kind.name()).text(table.under).bytes(table.key)
        }
        4 => {
            let envelope = wire::envelope(bytes)?;
            let (bucket, key) = envelope.object.unwrap_or_default();
            let out = out.text(envelope.wrap).text(envelope.content);
            pairs(out, envelope.stored.iter()).text(bucket).text(key)
        }
        5 => {
            let inputs = wire::inputs(bytes)?;
            let count = out.number(inputs.len());
            inputs
                .iter()
                .fold(count, |out, (name, value)| input(out, name, value))
        }
        6 => {
            let stored = wire::stored(bytes)?;
            let out = pairs(out.text(stored.bucket).text(stored.key), stored.metadata.iter());
            match stored.instruction {
                Some(content) => out.bytes(content),
                None => out.null(),
            }
        }
        7 => return objects::rewrap_order(bytes).map(|_| None),
        8 => return objects::convert_order(bytes).map(|_| None),
        _ => return Ok(None),
    };
    // Behind the byte for success is what the message says.
    Ok(written.finish().get(1..).map(<[u8]>::to_vec))
}

fn pairs<T: AsRef<str>>(out: Writer, pairs: impl ExactSizeIterator<Item = (T, T)>) -> Writer {
    let count = out.number(pairs.len());
    pairs.fold(count, |out, (name, value)| {
        out.text(name.as_ref()).text(value.as_ref())
    })
}

fn input(out: Writer, name: &InputRef, value: &InputValue) -> Writer {
    let none = |out: Writer| out.byte(0).null();
    let out = match name {
        InputRef::Uri(uri) => out.byte(0).text(uri),
        InputRef::Credential(alias) => out.byte(1).text(alias),
    };
    match value {
        InputValue::Found {
            bytes,
            plaintext,
            mode,
        } => {
            let out = out.byte(0).byte(u8::from(*plaintext));
            let out = match mode.and_then(|mode| usize::try_from(mode).ok()) {
                Some(mode) => out.number(mode),
                None => out.null(),
            };
            out.bytes(bytes.expose_secret())
        }
        InputValue::Missing => none(out.byte(1)).null(),
        InputValue::Failed(why) => none(out.byte(2)).text(why),
    }
}

/// The direction of a [`Message`], and its cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Encryption by AES-GCM.
    Seal,
    /// Decryption by AES-GCM that releases plaintext before the tag is verified.
    Stream,
    /// Decryption by AES-GCM that holds plaintext back.
    Verified,
    /// AES-CTR.
    Counter,
}

/// A message under way in a cipher of the JCE provider, without a JVM.
pub struct Message(Object);

impl Message {
    /// Begins a message. `key` has 16, 24 or 32 bytes; `tag` are bytes of the tag.
    ///
    /// # Errors
    /// The negative codes of `CipherNatives`.
    pub fn start(mode: Mode, key: &[u8], iv: &[u8], tag: usize, aad: &[u8]) -> Result<Message, i32> {
        let (kind, number) = match mode {
            Mode::Seal => (cipher::GCM, cipher::ENCRYPT),
            Mode::Stream => (cipher::GCM, cipher::DECRYPT_STREAMING),
            Mode::Verified => (cipher::GCM, cipher::DECRYPT_VERIFIED),
            Mode::Counter => (cipher::CTR, cipher::ENCRYPT),
        };
        let mut object = Object::new(kind, key, 1 << 24)?;
        object.start(number, iv, tag).map_err(cipher::code)?;
        if !aad.is_empty() {
            object.aad(aad).map_err(cipher::code)?;
        }
        Ok(Message(object))
    }

    /// One call of `update` or, if `last`, of `doFinal`, whose input and output lie in one memory. Returns how many
    /// bytes were written at `to`.
    ///
    /// # Errors
    /// The negative codes of `CipherNatives`.
    pub fn call(&mut self, memory: &mut [u8], from: Range<usize>, to: usize, last: bool) -> Answer {
        let sides = Sides::of_slice(memory, from, to)?;
        cipher::run(&mut self.0, &sides, last)
    }
}
