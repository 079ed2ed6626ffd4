//! Blocks of PEM, as people and other software write them.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::KeyError;

/// The command that rewrites a private key in a form that is read.
pub(crate) const PKCS8_REMEDY: &str =
    "convert it with: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW`";

/// The beginning of a block.
pub(crate) const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";

/// One block of PEM (RFC 7468), with OpenSSL's tolerance for what surrounds it.
///
/// No library reads it: `rustls-pki-types` knows neither `ENCRYPTED PRIVATE KEY` nor `RSA PUBLIC KEY`, and passes over
/// labels that it does not know, for which an operator needs the conversion; `der::pem` takes no text around a block.
pub(crate) struct Pem<'a> {
    pub(crate) label: &'a str,
    body: &'a [u8],
}

impl<'a> Pem<'a> {
    /// The next block of `rest`, which then begins after it.
    pub(crate) fn next(rest: &mut &'a [u8]) -> Result<Option<Self>, KeyError> {
        let Some(begin) = find(rest, BEGIN) else {
            return Ok(None);
        };
        let after = &rest[begin + BEGIN.len()..];
        let malformed =
            || KeyError::Malformed("the PEM is cut off or its BEGIN and END lines do not match".into());
        let label_end = find(after, DASHES).ok_or_else(malformed)?;
        // The longest label in use has 21 characters; more is no label.
        let label = std::str::from_utf8(&after[..label_end])
            .ok()
            .filter(|label| label.len() <= 64 && label.bytes().all(|b| (b' '..=b'~').contains(&b)))
            .ok_or_else(malformed)?;
        let content = &after[label_end + DASHES.len()..];
        let end_line = format!("-----END {label}-----");
        let end = find(content, end_line.as_bytes()).ok_or_else(malformed)?;
        *rest = &content[end + end_line.len()..];
        Ok(Some(Pem {
            label,
            body: &content[..end],
        }))
    }

    /// The bytes inside.
    pub(crate) fn decode(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if find(self.body, b"Proc-Type:").is_some() {
            return Err(KeyError::Malformed(format!(
                "the key is encrypted in OpenSSL's traditional PEM form, which is weak and not supported; \
                 {PKCS8_REMEDY}"
            )));
        }
        let mut text = Zeroizing::new(Vec::with_capacity(self.body.len()));
        text.extend(self.body.iter().copied().filter(|b| !b.is_ascii_whitespace()));
        let mut der = Zeroizing::new(vec![0; text.len() / 4 * 3 + 3]);
        let length = Base64::decode(text.as_slice(), &mut der)
            .map_err(|_| KeyError::Malformed(format!("the base64 inside BEGIN {} is not valid", self.label)))?
            .len();
        der.truncate(length);
        Ok(der)
    }
}

/// Where `needle` begins.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
