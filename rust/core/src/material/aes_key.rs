//! AES keys as people keep them: raw bytes, hexadecimal or base64.
//!
//! A key that is misread is worse than one that is refused: every object would be encrypted under a key that nobody
//! else can derive from the file. So whatever could be two keys is an error until the configuration says which.

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding as _};
use secrecy::SecretSlice;
use zeroize::Zeroizing;

use crate::error::{Code, Problem};

/// How the bytes of a file or credential spell the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Found out from the content, where it leaves no doubt.
    #[default]
    Auto,
    /// The bytes are the key.
    Raw,
    /// Two hexadecimal digits for a byte, in either case.
    Hex,
    /// Base64 (RFC 4648), standard or URL-safe alphabet, padded or not.
    Base64,
}

/// Lengths of AES keys in bytes.
const SIZES: [usize; 3] = [16, 24, 32];

/// The key that `bytes` spell; `property` is the one that named them, `emrkeys.key.<n>.file` or `.credential`.
///
/// Text may have white space around it, as `echo` and editors leave it; a raw key may not.
pub(crate) fn parse_aes_key(
    property: &str,
    bytes: &[u8],
    encoding: Encoding,
) -> Result<SecretSlice<u8>, Problem> {
    if bytes.is_empty() {
        let remedy = "Write the key to it again; the copy was probably cut off.";
        return Err(Problem::at(
            property,
            Code::KeyFileEmpty,
            "the key is empty",
            remedy,
        ));
    }
    match encoding {
        Encoding::Raw => sized(property, bytes, "raw bytes"),
        Encoding::Hex => match decode_hex(bytes.trim_ascii()) {
            Some(key) => sized(property, &key, "hexadecimal"),
            None => Err(invalid(property, "hexadecimal digits, two for a byte")),
        },
        Encoding::Base64 => match decode_base64(bytes.trim_ascii()) {
            Some(key) => sized(property, &key, "base64"),
            None => Err(invalid(property, "base64")),
        },
        Encoding::Auto => detect(property, bytes),
    }
}

fn detect(property: &str, bytes: &[u8]) -> Result<SecretSlice<u8>, Problem> {
    let text = bytes.trim_ascii();
    // 32 hexadecimal digits are the base64 of 24 bytes as well, but nobody's base64 keeps to sixteen of its letters
    // by chance (odds of 1 in 10^19), so hexadecimal goes first.
    let decoded = decode_hex(text)
        .filter(|key| is_size(key.len()))
        .or_else(|| decode_base64(text).filter(|key| is_size(key.len())));
    if !is_size(bytes.len()) {
        return match decoded {
            Some(key) => sized(property, &key, "text"),
            None => Err(neither(property, bytes, text)),
        };
    }
    // Text of 24 or 32 characters may be a shorter key in base64 or hexadecimal, or a key that was typed. Sixteen
    // characters spell at most twelve bytes, which is no key.
    let text_throughout = bytes.len() > SIZES[0] && decode_base64(bytes).is_some();
    if decoded.is_some() || text_throughout {
        return Err(ambiguous(property, bytes.len()));
    }
    sized(property, bytes, "raw bytes")
}

fn is_size(length: usize) -> bool {
    SIZES.contains(&length)
}

fn sized(property: &str, key: &[u8], form: &str) -> Result<SecretSlice<u8>, Problem> {
    if is_size(key.len()) {
        return Ok(SecretSlice::from(Box::<[u8]>::from(key)));
    }
    Err(size(property, key.len(), form))
}

fn size(property: &str, length: usize, form: &str) -> Problem {
    Problem::at(
        property,
        Code::KeySize,
        format!("the key has {length} bytes ({form}); an AES key has 16, 24 or 32"),
        "Make one with: `openssl rand 32 > KEY`.",
    )
}

fn invalid(property: &str, expected: &str) -> Problem {
    Problem::at(
        property,
        Code::KeyMaterialInvalid,
        format!(
            "the key is not {expected}, as {} says",
            encoding_property(property)
        ),
        "Correct that property, or write the key again.",
    )
}

/// Neither text that spells a key nor as long as a key: what it was most likely meant to be decides what is said.
fn neither(property: &str, bytes: &[u8], text: &[u8]) -> Problem {
    if let Some(key) = decode_hex(text) {
        return size(property, key.len(), "hexadecimal");
    }
    if let Some(key) = decode_base64(text) {
        return size(property, key.len(), "base64");
    }
    // Raw keys are random: that none of 20 bytes or more is outside printable ASCII happens once in 10^8.
    let printable = text
        .iter()
        .all(|&b| b.is_ascii_graphic() || b.is_ascii_whitespace());
    if printable && text.len() >= 20 {
        return Problem::at(
            property,
            Code::KeyMaterialInvalid,
            "the key looks like text and is neither hexadecimal nor base64",
            "Write it as 16, 24 or 32 raw bytes, in hexadecimal or in base64.",
        );
    }
    size(property, bytes.len(), "raw bytes")
}

fn ambiguous(property: &str, length: usize) -> Problem {
    Problem::at(
        property,
        Code::KeyMaterialAmbiguous,
        format!("the {length} bytes of the key are text that may spell a shorter key, or be the key as they stand"),
        format!("Set {} to hex, base64 or raw.", encoding_property(property)),
    )
}

/// `emrkeys.key.<n>.encoding` beside `emrkeys.key.<n>.file`.
fn encoding_property(property: &str) -> String {
    let key = property.rsplit_once('.').map_or(property, |(key, _)| key);
    format!("{key}.encoding")
}

fn decode_hex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if text.is_empty() {
        return None;
    }
    // Constant-time in the content; one buffer, sized once, wiped.
    let mut key = Zeroizing::new(vec![0; text.len() / 2]);
    base16ct::mixed::decode(text, &mut key).ok()?;
    Some(key)
}

fn decode_base64(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if text.is_empty() {
        return None;
    }
    let url_safe = text.iter().any(|b| b"-_".contains(b));
    let padded = text.ends_with(b"=");
    // Constant-time in the content; one buffer, sized once, wiped.
    let mut key = Zeroizing::new(vec![0; text.len() / 4 * 3 + 3]);
    let length = match (url_safe, padded) {
        (false, true) => Base64::decode(text, &mut key),
        (false, false) => Base64Unpadded::decode(text, &mut key),
        (true, true) => Base64Url::decode(text, &mut key),
        (true, false) => Base64UrlUnpadded::decode(text, &mut key),
    }
    .ok()?
    .len();
    key.truncate(length);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    const PROPERTY: &str = "emrkeys.key.main.file";

    fn parse(bytes: &[u8], encoding: Encoding) -> Result<Vec<u8>, Code> {
        parse_aes_key(PROPERTY, bytes, encoding)
            .map(|key| key.expose_secret().to_vec())
            .map_err(|problem| problem.code)
    }

    fn auto(bytes: impl AsRef<[u8]>) -> Result<Vec<u8>, Code> {
        parse(bytes.as_ref(), Encoding::Auto)
    }

    /// Bytes that are no text.
    fn key(size: u8) -> Vec<u8> {
        (0..size).map(|n| n.wrapping_mul(37) ^ 0xc3).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn every_size_in_every_form() {
        for size in [16, 24, 32] {
            let key = key(size);
            assert_eq!(auto(&key), Ok(key.clone()));
            assert_eq!(parse(&key, Encoding::Raw), Ok(key.clone()));
            let hex = hex(&key);
            for text in [hex.clone(), hex.to_uppercase()] {
                assert_eq!(parse(text.as_bytes(), Encoding::Hex), Ok(key.clone()));
                assert_eq!(auto(format!(" {text}\r\n")), Ok(key.clone()));
            }
            for text in [
                Base64::encode_string(&key),
                Base64Unpadded::encode_string(&key),
                Base64Url::encode_string(&key),
                Base64UrlUnpadded::encode_string(&key),
            ] {
                assert_eq!(
                    parse(text.as_bytes(), Encoding::Base64),
                    Ok(key.clone()),
                    "{text}"
                );
                assert_eq!(auto(format!("{text}\n")), Ok(key.clone()), "{text}");
            }
        }
    }

    #[test]
    fn text_as_long_as_a_key_is_ambiguous() {
        let hex = hex(&key(16));
        let padded = Base64::encode_string(&key(16));
        let base64 = Base64::encode_string(&key(24));
        for text in [
            hex.as_str(),
            &padded,
            &base64,
            "typed-by-hand-0123456789",
            "22222222222222222222Aw\r\n",
        ] {
            assert_eq!(auto(text), Err(Code::KeyMaterialAmbiguous), "{text}");
            assert_eq!(
                parse(text.as_bytes(), Encoding::Raw),
                Ok(text.as_bytes().to_vec())
            );
            let problem = parse_aes_key(PROPERTY, text.as_bytes(), Encoding::Auto).unwrap_err();
            assert!(problem.remedy.contains("emrkeys.key.main.encoding"));
        }
        // Without doubt, since nobody's raw key has 33 bytes.
        assert_eq!(auto(format!("{hex}\n")), Ok(key(16)));
        assert_eq!(parse(hex.as_bytes(), Encoding::Hex), Ok(key(16)));
        assert_eq!(parse(padded.as_bytes(), Encoding::Base64), Ok(key(16)));
        // Sixteen characters spell at most twelve bytes, which is no key.
        assert_eq!(auto("0123456789abcdef"), Ok(b"0123456789abcdef".to_vec()));
    }

    #[test]
    fn other_sizes_are_refused() {
        for size in [1, 8, 15, 17, 31, 33, 64] {
            assert_eq!(auto(key(size)), Err(Code::KeySize), "{size}");
            assert_eq!(parse(&key(size), Encoding::Raw), Err(Code::KeySize));
            assert_eq!(
                parse(hex(&key(size)).as_bytes(), Encoding::Hex),
                Err(Code::KeySize)
            );
            assert_eq!(
                auto(format!("{}\n", Base64::encode_string(&key(size)))),
                Err(Code::KeySize),
                "{size}"
            );
        }
    }

    #[test]
    fn bad_text_is_refused() {
        assert_eq!(auto(""), Err(Code::KeyFileEmpty));
        assert_eq!(parse(b" \n", Encoding::Hex), Err(Code::KeyMaterialInvalid));
        assert_eq!(parse(b"abc", Encoding::Hex), Err(Code::KeyMaterialInvalid));
        assert_eq!(parse(b"zz", Encoding::Hex), Err(Code::KeyMaterialInvalid));
        let good = Base64::encode_string(&key(32));
        for bad in [
            format!("{good}!"),
            format!("{good}="),
            good.replace('=', "=="),
            good.replacen(&good[4..5], "*", 1),
        ] {
            assert_eq!(
                parse(bad.as_bytes(), Encoding::Base64),
                Err(Code::KeyMaterialInvalid),
                "{bad}"
            );
            assert_eq!(auto(&bad), Err(Code::KeyMaterialInvalid), "{bad}");
        }
        // A raw key is not text: white space belongs to it.
        assert_eq!(
            parse(&[key(32), vec![b'\n']].concat(), Encoding::Raw),
            Err(Code::KeySize)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_key_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            for encoding in [Encoding::Auto, Encoding::Raw, Encoding::Hex, Encoding::Base64] {
                if let Ok(key) = parse(&bytes, encoding) {
                    prop_assert!(is_size(key.len()));
                }
            }
        }

        #[test]
        fn any_text_is_a_key_or_an_error(text in "[ \n]?[0-9a-fA-F]{0,70}[=+/_-]{0,3}\n?") {
            for encoding in [Encoding::Auto, Encoding::Hex, Encoding::Base64] {
                if let Ok(key) = parse(text.as_bytes(), encoding) {
                    prop_assert!(is_size(key.len()));
                }
            }
        }

        #[test]
        fn what_was_written_as_text_comes_back(
            key in prop::sample::select(SIZES.to_vec()).prop_flat_map(|n| prop::collection::vec(any::<u8>(), n))
        ) {
            prop_assert_eq!(auto(format!("{}\n", hex(&key))), Ok(key.clone()));
            // 24 bytes whose base64 is all hexadecimal digits would read as hexadecimal; chance never makes them.
            prop_assert_eq!(auto(format!("{}\n", Base64::encode_string(&key))), Ok(key.clone()));
            prop_assert_eq!(parse(&key, Encoding::Raw), Ok(key));
        }
    }
}
