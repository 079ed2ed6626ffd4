//! What an object's envelope says of its ciphers, and which of them a read may rely on.

use crate::error::{excerpt, Code, Problem};

/// The property that lets older wraps in.
pub(crate) const ALLOW_LEGACY: &str = "emrkeys.s3a.allow-legacy";

/// How the S3 encryption clients name the wraps that authenticate the data key together with its purpose.
/// Source: `AesKeyring`, `RsaKeyring`, `KmsKeyring` of the S3 Encryption Client.
const CURRENT_WRAPS: [&str; 3] = ["AES/GCM", "RSA-OAEP-SHA1", "kms+context"];
/// Those of the SDK v1's first client, which do not. Source: the same classes.
const LEGACY_WRAPS: [&str; 5] = [
    "AESWrap",
    "AES",
    "RSA/ECB/OAEPWithSHA-256AndMGF1Padding",
    "RSA",
    "kms",
];

/// Whether S3A can read an object with this wrap and content cipher.
///
/// # Errors
/// `CONTENT_UNSUPPORTED` for AES-CBC: S3A takes the length of the content for that of GCM, so that it would return less than
/// was written. `LEGACY_WRAP` for an older wrap that is not allowed, `INVALID_DESCRIPTION` for one that nobody wrote.
pub(crate) fn check_for_s3a(wrap: &str, content: &str, allow_legacy: bool) -> Result<(), Problem> {
    if content.contains("/CBC/") {
        return Err(Problem::new(
            Code::ContentUnsupported,
            format!("the object is encrypted with {content} (EncryptionOnly mode of the SDK v1), which S3A would return truncated and unverified"),
            "Read it with EMRFS or with the SDK v1 client that wrote it and write it again, in AuthenticatedEncryption mode or through S3A.",
        ));
    }
    if CURRENT_WRAPS.contains(&wrap) {
        return Ok(());
    }
    if !LEGACY_WRAPS.contains(&wrap) {
        return Err(Problem::new(
            Code::InvalidDescription,
            format!("the object's data key is wrapped by {}, which is unknown", excerpt(wrap)),
            "The object's metadata was changed after it was written, or was written by other software: restore it.",
        ));
    }
    if allow_legacy {
        return Ok(());
    }
    Err(Problem::at(
        ALLOW_LEGACY,
        Code::LegacyWrap,
        format!("the object's data key is wrapped by {wrap}, as the first client of the SDK v1 (and EMRFS) wrote it"),
        "Set the property to true while such objects are read, or re-wrap them.",
    ))
}

/// Whether KMS itself wrapped the data key.
pub(crate) fn is_kms(wrap: &str) -> bool {
    wrap == "kms" || wrap == "kms+context"
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCM: &str = "AES/GCM/NoPadding";

    fn code(wrap: &str, content: &str, allow_legacy: bool) -> Option<Code> {
        check_for_s3a(wrap, content, allow_legacy)
            .err()
            .map(|problem| problem.code)
    }

    #[test]
    fn legacy_wraps_need_a_word_of_the_user() {
        for wrap in CURRENT_WRAPS {
            assert_eq!(code(wrap, GCM, false), None, "{wrap}");
        }
        for wrap in LEGACY_WRAPS {
            assert_eq!(code(wrap, GCM, false), Some(Code::LegacyWrap), "{wrap}");
            assert_eq!(code(wrap, "AES/CTR/NoPadding", true), None, "{wrap}");
        }
        assert_eq!(code("ROT13", GCM, true), Some(Code::InvalidDescription));
    }

    #[test]
    fn cbc_is_refused_whatever_is_allowed() {
        assert_eq!(
            code("AES", "AES/CBC/PKCS5Padding", true),
            Some(Code::ContentUnsupported)
        );
    }
}
