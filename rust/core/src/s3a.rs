//! The objects that S3A can read.

use crate::config::properties::ALLOW_LEGACY_WRAPS;
use crate::envelope::Wrap;
use crate::error::{excerpt, Code, Problem};

/// Whether S3A can read an object with this wrap and content cipher.
///
/// # Errors
/// `CONTENT_UNSUPPORTED` for AES-CBC: S3A takes the length of the content for that of GCM, so that it would return less
/// than was written. `LEGACY_WRAP` for an older wrap that is not allowed, `INVALID_DESCRIPTION` for one that nobody
/// wrote.
pub(crate) fn check_readable(wrap: &str, content: &str, allow_legacy: bool) -> Result<(), Problem> {
    if content.contains("/CBC/") {
        return Err(Problem::new(
            Code::ContentUnsupported,
            format!(
                "the object is encrypted with {content} (EncryptionOnly mode of the SDK v1), which S3A \
                 would return truncated and unverified"
            ),
            "Read it with EMRFS or with the SDK v1 client that wrote it and write it again, in \
             AuthenticatedEncryption mode or through S3A.",
        ));
    }
    let Some(known) = Wrap::from_name(wrap) else {
        return Err(Problem::new(
            Code::InvalidDescription,
            format!("the object's data key is wrapped by {}, which is unknown", excerpt(wrap)),
            "The object's metadata was changed after it was written, or was written by other software: restore it.",
        ));
    };
    if allow_legacy || !known.is_legacy() {
        return Ok(());
    }
    Err(Problem::at(
        ALLOW_LEGACY_WRAPS,
        Code::LegacyWrap,
        format!("the object's data key is wrapped by {wrap}, as the first client of the SDK v1 (and EMRFS) wrote it"),
        "Set the property to true while such objects are read, or re-wrap them.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Content;

    fn code(wrap: &str, content: &str, allow_legacy: bool) -> Option<Code> {
        check_readable(wrap, content, allow_legacy)
            .err()
            .map(|problem| problem.code)
    }

    #[test]
    fn legacy_wraps_need_a_word_of_the_user() {
        let gcm = Content::Gcm.name();
        for wrap in ["AES/GCM", "RSA-OAEP-SHA1", "kms+context"] {
            assert_eq!(code(wrap, gcm, false), None, "{wrap}");
        }
        for wrap in [
            "AESWrap",
            "AES",
            "RSA",
            "RSA/ECB/OAEPWithSHA-256AndMGF1Padding",
            "kms",
        ] {
            assert_eq!(code(wrap, gcm, false), Some(Code::LegacyWrap), "{wrap}");
            assert_eq!(code(wrap, "AES/CTR/NoPadding", true), None, "{wrap}");
        }
        assert_eq!(code("ROT13", gcm, true), Some(Code::InvalidDescription));
    }

    #[test]
    fn cbc_is_refused_whatever_is_allowed() {
        assert_eq!(
            code("AES", "AES/CBC/PKCS5Padding", true),
            Some(Code::ContentUnsupported)
        );
    }
}
