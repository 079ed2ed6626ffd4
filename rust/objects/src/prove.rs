//! Whether the data key of an envelope is the one of its content. Before an envelope is replaced this has to be
//! certain: the new one holds what was unwrapped, and the old one is gone.
//!
//! A wrap that a wrong key fails to open needs no content: AES-GCM (a tag of 128 bits), OAEP (a hash of 160 bits or
//! more), KMS, AESWrap (64 bits), and ECB by the block of padding that follows a data key (128 bits). PKCS#1 v1.5 has
//! 24 bits, the two bytes at its start and the zero before 32 bytes of message; it goes with AES-CBC alone, whose
//! padding is looked at as well, and whose length where the writer noted it. Content in AES-GCM shows its key by its
//! tag alone, for which all of it would have to be read; its wraps make that unnecessary.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::content::open_end;
use super::data_key::DataKey;
use super::store::{Head, ObjectUri, Store};
use emrkeys_core::envelope::{Content, Envelope, Wrap};
use emrkeys_core::{Code, Error, Problem};

/// The end of AES-CBC content that is looked at: two blocks.
const END: u64 = 32;

/// Proves that `key`, unwrapped from `envelope`, opens the content of the object: AES-CBC by its last two blocks and by
/// the length that its writer noted, AES-GCM that commits to its key by the commitment. Other AES-GCM by nothing, since
/// all its wraps prove the key. Gives the length of the plaintext, of AES-CBC by its padding.
///
/// # Errors
/// `OBJECT_DAMAGED` where the key does not open the content, `INVALID_ENVELOPE` for a noted length that cannot be;
/// those of [`Store::get`].
pub fn prove(
    store: &Store,
    uri: &ObjectUri,
    head: &Head,
    envelope: &Envelope,
    key: &DataKey,
) -> Result<u64, Error> {
    let mut end = Vec::new();
    if envelope.content == Content::Cbc {
        if head.length == 0 || !head.length.is_multiple_of(16) {
            return Err(not_opened(&format!("{} bytes are no blocks of AES-CBC", head.length)).into());
        }
        let first = head.length.saturating_sub(END);
        let mut body = store.get(uri, Some(&head.etag), Some((first, head.length - 1)))?;
        while let Some(piece) = body.next_piece()? {
            end.extend_from_slice(&piece);
        }
    }
    let last = open_end(key, envelope, &end).map_err(|problem| not_opened(&problem.message))?;
    let noted = envelope.noted_length(&head.metadata, head.length)?;
    let Some(last) = last else {
        let too_short = || not_opened("it is shorter than the tag of AES-GCM");
        return Ok(envelope
            .content
            .plaintext_length(head.length)
            .ok_or_else(too_short)?);
    };
    let length = head.length - 16 + last;
    match noted.filter(|noted| *noted != length) {
        None => Ok(length),
        Some(noted) => {
            let what = format!("it has {length} bytes by its padding, and its writer noted {noted}");
            Err(not_opened(&what).into())
        }
    }
}

fn not_opened(what: &str) -> Problem {
    Problem::new(
        Code::ObjectDamaged,
        format!("the data key does not open the object's content: {what}"),
        "Restore the object, or its metadata or instruction file, from an older version or a copy.",
    )
}

/// Keys whose wraps did not open, and how many did. Clones share it.
///
/// Of a key under which more objects fail than open none is re-wrapped, where the wrap alone would let a wrong key
/// through now and then: another key may have been configured under its name.
#[derive(Clone, Debug, Default)]
pub struct Doubts(Arc<Mutex<BTreeMap<String, Seen>>>);

#[derive(Debug, Default)]
struct Seen {
    opened: u64,
    failed: u64,
}

/// The most keys that are counted one by one: their names are outside input.
const MAX_KEYS: usize = 10_000;

impl Doubts {
    /// Notes whether the data key of an object could be unwrapped. `key` names the key that wrapped it.
    ///
    /// # Errors
    /// `DATA_KEY_NOT_PROVEN` for one that could, where more could not.
    pub(super) fn note(&self, key: &str, envelope: &Envelope, opened: bool) -> Result<(), Problem> {
        if envelope.wrap != Wrap::RsaPkcs1 {
            return Ok(());
        }
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if keys.len() < MAX_KEYS || keys.contains_key(key) {
            key
        } else {
            ""
        };
        let seen = keys.entry(key.to_owned()).or_default();
        if !opened {
            seen.failed += 1;
            return Ok(());
        }
        if seen.failed > seen.opened {
            return Err(Problem::new(
                Code::DataKeyNotProven,
                format!(
                    "the data keys of {} other objects under the same key ({key}) do not unwrap: the key may be \
                     another one by now, and what it makes of this one no data key",
                    seen.failed
                ),
                "Configure the pair that the objects were written with, or re-wrap this object alone.",
            ));
        }
        seen.opened += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emrkeys_core::envelope::Format;

    fn envelope(wrap: Wrap) -> Envelope {
        Envelope {
            format: Format::V1,
            content: Content::Cbc,
            wrap,
            wrapped_key: Vec::new(),
            nonce: Vec::new(),
            commitment: None,
            description: emrkeys_core::StoredDescription::default(),
        }
    }

    #[test]
    fn a_key_under_which_most_objects_fail_is_not_believed() {
        let (doubts, pkcs1) = (Doubts::default(), envelope(Wrap::RsaPkcs1));
        assert!(doubts.note("right", &pkcs1, true).is_ok());
        doubts.note("right", &pkcs1, false).unwrap();
        assert!(doubts.note("right", &pkcs1, true).is_ok());
        let shared = doubts.clone();
        shared.note("wrong", &pkcs1, false).unwrap();
        let refused = doubts.note("wrong", &pkcs1, true).unwrap_err();
        assert_eq!(refused.code, Code::DataKeyNotProven);
        // Other wraps prove by themselves.
        assert!(doubts.note("wrong", &envelope(Wrap::AesEcb), true).is_ok());
    }
}
