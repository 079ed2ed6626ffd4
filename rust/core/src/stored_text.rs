//! The texts of envelopes as S3 and other clients give them back: JSON whose values are not all strings, and metadata
//! that S3 encoded because it is not ASCII.
//!
//! Specification: awslabs/aws-encryption-sdk-specification, `s3-encryption/data-format`: `content-metadata.md`,
//! "US-ASCII Preferred String"; `metadata-strategy.md`, "Object Metadata", on double encoding.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use serde::Deserialize;

/// A value of a JSON object as text. The client for PHP writes lengths as numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Number(serde_json::Number),
}

/// The fields of a JSON object of texts and numbers, as instruction files are; numbers become texts.
///
/// # Errors
/// Where it is something else.
pub fn json_fields(text: &[u8]) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let fields: BTreeMap<String, Value> = serde_json::from_slice(text)?;
    let as_text = |value| match value {
        Value::Text(text) => text,
        Value::Number(number) => number.to_string(),
    };
    Ok(fields
        .into_iter()
        .map(|(name, value)| (name, as_text(value)))
        .collect())
}

/// The entries of a materials description in user metadata. Clients take `null` for an empty one.
///
/// # Errors
/// As [`json_fields`].
pub(crate) fn description(text: &str) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let text = unmangled(text);
    if text.trim() == "null" {
        return Ok(BTreeMap::new());
    }
    json_fields(text.as_bytes())
}

/// A JSON object of texts in ASCII alone, which S3 gives back as it was.
pub(crate) fn ascii_json(entries: &BTreeMap<&str, &str>) -> String {
    let json = serde_json::to_string(entries).unwrap_or_default(); // strings always can be written
    if json.is_ascii() {
        return json;
    }
    let mut ascii = String::with_capacity(2 * json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii
}

/// User metadata as its writer gave it to S3.
///
/// S3 gives text that is not ASCII back as encoded words (RFC 2047), and took each byte of its UTF-8 for a character of
/// Latin-1 before. Source: Amazon S3 user guide, "Working with object metadata"; `decodeS3CustomEncoding` of the S3
/// Encryption Client.
fn unmangled(text: &str) -> Cow<'_, str> {
    if !text.contains("=?") {
        return Cow::Borrowed(text);
    }
    let decoded = decoded_words(text);
    let latin: Option<Vec<u8>> = decoded.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    match latin.map(String::from_utf8) {
        Some(Ok(twice)) => Cow::Owned(twice),
        _ => Cow::Owned(decoded),
    }
}

/// Replaces the encoded words of RFC 2047; white space between two of them goes, too (section 6.2).
fn decoded_words(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, from) = rest.split_at(start);
        let Some((word, behind)) = encoded_word(from) else {
            decoded.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            after_word = false;
            continue;
        };
        if !(after_word && before.chars().all(char::is_whitespace)) {
            decoded.push_str(before);
        }
        decoded.push_str(&word);
        rest = behind;
        after_word = true;
    }
    decoded.push_str(rest);
    decoded
}

/// The encoded word at the start of `text`, and what follows it.
fn encoded_word(text: &str) -> Option<(String, &str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (content, behind) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => Base64::decode_vec(content).ok()?,
        "Q" | "q" => quoted(content)?,
        _ => return None,
    };
    // A language may stand behind the name (RFC 2231, section 5).
    let charset = charset.split('*').next().unwrap_or_default().to_ascii_uppercase();
    let word = match charset.as_str() {
        "UTF-8" | "US-ASCII" => String::from_utf8(bytes).ok()?,
        "ISO-8859-1" => bytes.into_iter().map(char::from).collect(),
        _ => return None,
    };
    Some((word, behind))
}

/// The "Q" encoding (RFC 2047, section 4.2).
fn quoted(content: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut rest = content.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'_' => b' ',
            b'=' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(16 * high + low).ok()?
            }
            plain => plain,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encoded_words_are_decoded_and_the_rest_stays() {
        for (text, expected) in [
            (r#"{"team":"red"}"#, r#"{"team":"red"}"#),
            ("=?UTF-8?Q?{\"team\":\"r=C3=B6t\"}?=", "{\"team\":\"röt\"}"),
            ("=?utf-8?b?eyJ0ZWFtIjoicsO2dCJ9?=", "{\"team\":\"röt\"}"),
            // Each byte of UTF-8 taken for a character before, as S3 does.
            ("=?UTF-8?Q?r=C3=83=C2=B6t?=", "röt"),
            ("=?UTF-8?Q?=E9=8D=B5?=", "鍵"),
            ("=?ISO-8859-1?Q?r=F6t?=", "röt"),
            ("=?UTF-8?Q?a_b?=\r\n =?UTF-8?Q?c?= d", "a bc d"),
            ("=?UTF-8?X?a?=", "=?UTF-8?X?a?="),
            ("=?UTF-8?Q?=C3?=", "=?UTF-8?Q?=C3?="),
            ("a =?", "a =?"),
        ] {
            assert_eq!(unmangled(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_texts_and_nothing_else_is() {
        let fields = json_fields(br#"{"x-amz-tag-len":128,"a":"b"}"#).unwrap();
        assert_eq!(fields["x-amz-tag-len"], "128");
        assert_eq!(fields["a"], "b");
        for other in [
            "[]",
            "{\"a\":null}",
            "{\"a\":{}}",
            "{\"a\":[1]}",
            "{\"a\":true}",
            "1",
            "",
        ] {
            assert!(json_fields(other.as_bytes()).is_err(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_description_is_written_in_ascii_and_read_back(
            entries in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4)
        ) {
            let borrowed = entries.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let json = ascii_json(&borrowed);
            prop_assert!(json.is_ascii());
            prop_assert_eq!(json_fields(json.as_bytes()).unwrap(), entries);
        }

        #[test]
        fn any_text_is_decoded_or_left(text in "[=?QBqb_ a-zA-Z0-9-]{0,40}", any in any::<String>()) {
            let _ = unmangled(&text);
            let _ = unmangled(&any);
        }
    }
}
