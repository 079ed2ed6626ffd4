//! Content as it is stored, turned into content as it is to be stored.

use emrkeys_core::envelope::Envelope;
use emrkeys_core::{Code, Error, Problem};

use crate::content::{Opener, Sealer, TAG_BYTES};
use crate::data_key::DataKey;

/// Decrypts and encrypts content, piece by piece and in place. **All of it is worthless until the last piece went
/// through without an error.**
pub(super) struct Turner {
    opener: Option<Opener>,
    sealer: Option<Sealer>,
    /// Bytes of plaintext so far.
    pub(super) plaintext: u64,
}

impl Turner {
    /// From an envelope, or from content in the clear, to what `sealer` makes, or to content in the clear.
    ///
    /// # Errors
    /// As [`Opener::new`].
    pub(super) fn new(from: Option<(&DataKey, &Envelope)>, sealer: Option<Sealer>) -> Result<Turner, Error> {
        Ok(Turner {
            opener: from
                .map(|(key, envelope)| Opener::new(key, envelope))
                .transpose()?,
            sealer,
            plaintext: 0,
        })
    }

    /// Turns the next piece, at most three times [`TAG_BYTES`] longer after it than before.
    ///
    /// # Errors
    /// `OBJECT_DAMAGED`: all of the content is worthless; `CONTENT_UNSUPPORTED` above 64 GiB.
    pub(super) fn turn(&mut self, mut piece: Vec<u8>, is_last: bool) -> Result<Vec<u8>, Error> {
        if let Some(opener) = &mut self.opener {
            let length = piece.len();
            piece.resize(length + TAG_BYTES, 0);
            let length = opener.update(&mut piece, length)?;
            piece.truncate(length);
            if is_last {
                let mut rest = [0; TAG_BYTES];
                let length = opener.finish(&mut rest)?;
                piece.extend_from_slice(&rest[..length]);
            }
        }
        self.plaintext += piece.len() as u64;
        if let Some(mut sealer) = self.sealer.take() {
            sealer.update(&mut piece)?;
            if is_last {
                piece.extend_from_slice(&sealer.finish()?);
            } else {
                self.sealer = Some(sealer);
            }
        }
        Ok(piece)
    }

    /// Whether as much went through as there should.
    ///
    /// # Errors
    /// `OBJECT_DAMAGED`
    pub(super) fn expect(&self, plaintext: u64) -> Result<(), Error> {
        if self.plaintext == plaintext {
            return Ok(());
        }
        Err(Problem::new(
            Code::ObjectDamaged,
            format!(
                "the object has {} bytes of content, and {plaintext} were expected",
                self.plaintext
            ),
            "Restore the object from an older version or a copy.",
        )
        .into())
    }
}
