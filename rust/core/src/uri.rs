//! Locations of S3 objects as Hadoop's connectors write them.
//!
//! `s3:`, `s3n:` and `s3a:` name the same object. Connectors disagree about percent signs: Hadoop's `Path` holds
//! the key as it is, a `java.net.URI` holds it percent-encoded, and which of the two reaches a provider is not
//! documented. So one policy serves for rules and for requests alike: every `%XX` with two hexadecimal digits is
//! decoded once, any other `%` stands for itself, `+` is a plus, and then bytes are compared. Nothing else is
//! normalised: S3 keys may hold `//`, `.`, `?`, `#` and leading slashes, and mean them.

use crate::error::excerpt;

/// The longest key that S3 allows, in bytes of UTF-8.
/// Source: Amazon S3 User Guide, "Object key naming guidelines".
pub(crate) const MAX_KEY: usize = 1024;

/// The bucket and the decoded key (or key prefix) of an S3 URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct S3Location {
    pub(crate) bucket: String,
    /// The key, decoded; empty where the URI names a bucket alone. Not always UTF-8.
    pub(crate) key: Vec<u8>,
}

/// Why a text is not the location of an S3 object. Never quotes a user-info part, which may hold credentials.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UriError {
    #[error("{0} is not an s3:, s3n: or s3a: URI")]
    Scheme(String),
    #[error("the URI has no bucket")]
    NoBucket,
    #[error("the URI holds credentials or a port before the bucket's name")]
    Authority,
    #[error("{0} is not the name of a bucket (3 to 63 lower-case letters, digits, '-', '.', '_')")]
    Bucket(String),
    #[error("the key is longer than the 1024 bytes that S3 allows")]
    TooLong,
}

impl S3Location {
    pub(crate) fn parse(text: &str) -> Result<Self, UriError> {
        let rest = strip_scheme(text).ok_or_else(|| UriError::Scheme(excerpt(text)))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(UriError::NoBucket);
        }
        if bucket.contains(['@', ':']) {
            return Err(UriError::Authority);
        }
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-._".contains(&c);
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(allowed) {
            return Err(UriError::Bucket(excerpt(bucket)));
        }
        // Three characters for a byte is the most that percent-encoding needs.
        if key.len() > 3 * MAX_KEY {
            return Err(UriError::TooLong);
        }
        let key = percent_decode(key);
        if key.len() > MAX_KEY {
            return Err(UriError::TooLong);
        }
        Ok(S3Location {
            bucket: bucket.to_owned(),
            key,
        })
    }
}

/// The text after `s3://` (or `s3n://`, `s3a://`), schemes in any case.
pub(crate) fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    ["s3", "s3a", "s3n"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
        .then_some(rest)
}

/// Decodes every `%XX` once and leaves any other `%` as it is.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(hex_pair);
        decoded.push(pair.unwrap_or(bytes[at]));
        at += if pair.is_some() { 3 } else { 1 };
    }
    decoded
}

/// Encodes every byte but letters, digits, `-`, `.`, `_` and `~` (RFC 3986, 2.3).
pub(crate) fn percent_encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(digits[at]).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> (String, Vec<u8>) {
        let location = S3Location::parse(text).unwrap();
        (location.bucket, location.key)
    }

    #[test]
    fn the_three_schemes_name_the_same_object() {
        for scheme in ["s3", "s3a", "s3n", "S3", "S3A"] {
            assert_eq!(
                parsed(&format!("{scheme}://bucket/a/b")),
                ("bucket".into(), b"a/b".to_vec())
            );
        }
    }

    #[test]
    fn keys_keep_their_bytes_but_for_one_percent_decoding() {
        for (written, key) in [
            ("a%20b", "a b"),
            ("a b", "a b"),
            ("a+b", "a+b"),
            ("100%", "100%"),
            ("100%zz", "100%zz"),
            ("a%2520b", "a%20b"),
            ("a%2Cb", "a,b"),
            ("ü/日本", "ü/日本"),
            ("%C3%BC", "ü"),
            ("/a//b/./..?x#y", "/a//b/./..?x#y"),
            ("", ""),
        ] {
            assert_eq!(
                parsed(&format!("s3://bucket/{written}")).1,
                key.as_bytes(),
                "{written}"
            );
        }
        assert_eq!(parsed("s3://bucket").1, b"");
        assert_eq!(parsed("s3://bucket/%FF").1, [0xff]);
    }

    #[test]
    fn what_is_not_an_object_of_s3_is_refused_by_its_reason() {
        let error = |text: &str| S3Location::parse(text).unwrap_err();
        assert!(matches!(error("hdfs://bucket/a"), UriError::Scheme(_)));
        assert!(matches!(error("/a"), UriError::Scheme(_)));
        assert!(matches!(error("s3:/bucket/a"), UriError::Scheme(_)));
        assert_eq!(error("s3://"), UriError::NoBucket);
        assert_eq!(error("s3:///a"), UriError::NoBucket);
        assert!(matches!(error("s3://Bucket/a"), UriError::Bucket(_)));
        assert!(matches!(error("s3://ab/a"), UriError::Bucket(_)));
        assert!(matches!(
            error(&format!("s3://{}/a", "b".repeat(64))),
            UriError::Bucket(_)
        ));
        assert_eq!(
            error(&format!("s3://bucket/{}", "k".repeat(1025))),
            UriError::TooLong
        );
        assert_eq!(
            error(&format!("s3://bucket/{}", "k".repeat(4000))),
            UriError::TooLong
        );
    }

    #[test]
    fn credentials_in_a_location_are_never_repeated() {
        let error = S3Location::parse("s3://AKIDCANARY:CANARYSECRET@bucket/a").unwrap_err();
        assert_eq!(error, UriError::Authority);
        assert!(!error.to_string().contains("CANARY"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,64}", tail in any::<String>()) {
            let _ = S3Location::parse(&text);
            let _ = S3Location::parse(&format!("s3://bucket/{tail}"));
        }

        #[test]
        fn decoding_undoes_percent_encoding(text in any::<String>()) {
            let encoded = percent_encode(&text);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(percent_decode(&encoded), text.into_bytes());
        }

        #[test]
        fn decoding_undoes_an_encoding_of_every_byte(key in proptest::collection::vec(any::<u8>(), 0..64)) {
            let encoded: String = key.iter().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(percent_decode(&encoded), key);
        }
    }
}
