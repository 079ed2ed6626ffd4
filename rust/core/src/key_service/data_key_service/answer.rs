//! The JSON of an answer, read where it lies. It holds a key, of which no copy is to stay in memory.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value of JSON, as far as it matters. Texts are slices of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Json<'a> {
    Text(&'a str),
    Null,
    Object(BTreeMap<&'a str, Json<'a>>),
    /// A number, a truth value or a list.
    Other,
}

/// Parses an answer.
///
/// The parser would copy a text with escapes into memory that is not wiped. So escapes are resolved in `body` itself
/// before: those of visible ASCII become the character, as some encoders escape characters of base64, and all others a
/// space, which no field that counts may hold.
///
/// # Errors
/// Of the parser. Their texts may quote the answer.
pub(super) fn parse(body: &mut [u8]) -> Result<Json<'_>, serde_json::Error> {
    let length = resolve_escapes(body).ok_or_else(|| Error::custom("an escape is not valid"))?;
    serde_json::from_slice(&body[..length])
}

/// Gives the length of what is left; `None` for what is no escape.
fn resolve_escapes(body: &mut [u8]) -> Option<usize> {
    let (mut read, mut written, mut in_text) = (0, 0, false);
    while let Some(&byte) = body.get(read) {
        let (byte, length) = match byte {
            b'\\' if in_text => escape(&body[read + 1..])?,
            b'"' => {
                in_text = !in_text;
                (byte, 1)
            }
            _ => (byte, 1),
        };
        body[written] = byte;
        written += 1;
        read += length;
    }
    Some(written)
}

/// The character that stands for an escape, and the length of the escape with its backslash. RFC 8259, section 7.
fn escape(after: &[u8]) -> Option<(u8, usize)> {
    match after.first()? {
        b'/' => Some((b'/', 2)),
        b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => Some((b' ', 2)),
        b'u' => {
            let digits = std::str::from_utf8(after.get(1..5)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            let code = u32::from_str_radix(digits, 16).ok()?;
            let visible = u8::try_from(code).ok();
            let visible = visible.filter(|code| code.is_ascii_graphic() && !b"\"\\".contains(code));
            Some((visible.unwrap_or(b' '), 6))
        }
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(text))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Json::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<Json>()?.is_some() {}
        Ok(Json::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            fields.insert(name, value);
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Option<String> {
        let mut body = json.as_bytes().to_vec();
        parse(&mut body).ok().map(|json| format!("{json:?}"))
    }

    #[test]
    fn escapes_become_the_character_or_a_space() {
        for (json, wanted) in [
            (r#""a+/=""#, Some(r#"Text("a+/=")"#)),
            (r#""a\/\u002b\u003D""#, Some(r#"Text("a/+=")"#)),
            (
                r#""\n\"x\\\u0022\u00e4\ud83d\ude00""#,
                Some(r#"Text("  x     ")"#),
            ),
            (
                r#"{"\u0061":null,"b":[1,{"c":"d"}]}"#,
                Some(r#"Object({"a": Null, "b": Other})"#),
            ),
            (r#""\x""#, None),
            (r#""\u00""#, None),
            (r#""\u+123""#, None),
            (r#""\"#, None),
            (r#"\u0022"#, None),
            ("1e999", None),
            ("", None),
        ] {
            assert_eq!(parsed(json).as_deref(), wanted, "{json}");
        }
    }
}
