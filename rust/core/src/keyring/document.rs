//! The document `emrkeys-keyring/1`: its JSON, its rules, and the bytes that are authenticated. `docs/formats.md` is
//! the specification.
//!
//! A document that is parsed here is well-formed and nothing more: until [`Keyring::open`](super::Keyring::open) has
//! checked its tag it may be anybody's.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::aws::arn::Arn;
use crate::names::is_name;

/// The value of the field `format`.
pub(crate) const FORMAT: &str = "emrkeys-keyring/1";
/// The largest document, in bytes.
pub const MAX_DOCUMENT: usize = 1 << 20;
/// The most versions, destroyed ones included.
pub const MAX_VERSIONS: usize = 1000;
/// Counters stay in the range in which every JSON library is exact.
const MAX_GENERATION: u64 = (1 << 53) - 1;
/// The most bytes of a key that KMS wrapped. Source: AWS KMS API reference, `Decrypt`, `CiphertextBlob`.
const MAX_KMS_CIPHERTEXT: usize = 6144;
/// A key of 32 bytes, wrapped.
const WRAPPED_KEY: usize = 32 + emrkeys_crypto::gcm_wrap::OVERHEAD;

const TIME: StaticFormatDescription = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

/// The state of a version of a key: the operations that it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It encrypts and decrypts; exactly one version does.
    Active,
    /// It decrypts.
    DecryptOnly,
    /// It is refused, and can be enabled again.
    Disabled,
    /// Its key is gone for good.
    Destroyed,
}

impl State {
    /// As it stands in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Active => "active",
            State::DecryptOnly => "decrypt-only",
            State::Disabled => "disabled",
            State::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A well-formed document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) generation: u64,
    pub(crate) updated: Timestamp,
    pub(crate) protector: Protector,
    pub(crate) versions: Vec<Version>,
    pub(crate) tag: [u8; 32],
}

/// The key under which the document key is wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Protector {
    Kms { key: String, wrapped: Vec<u8> },
    Aes { fingerprint: String, wrapped: Vec<u8> },
}

/// One version of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) id: VersionId,
    pub(crate) created: Timestamp,
    pub(crate) state: State,
    /// There unless destroyed.
    pub(crate) wrapped: Option<Vec<u8>>,
}

/// `<number>-<16 hexadecimal digits of the key's fingerprint>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionId {
    text: String,
    number: u32,
}

impl VersionId {
    /// The id of `key` as version `number`.
    pub(crate) fn of(number: u32, key: &[u8]) -> Self {
        let fingerprint = emrkeys_crypto::fingerprint::aes(key);
        let digits: String = fingerprint.trim_start_matches("fp1-").chars().take(16).collect();
        VersionId {
            text: format!("{number}-{digits}"),
            number,
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, digits) = text.split_once('-')?;
        let parsed: u32 = number.parse().ok()?;
        let plain = parsed > 0 && parsed.to_string() == number;
        (plain && digits.len() == 16 && is_lower_hex(digits)).then(|| VersionId {
            text: text.to_owned(),
            number: parsed,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }
}

/// A second of UTC, as RFC 3339 writes it: `2026-01-31T23:59:59Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp(String);

impl Timestamp {
    /// The time of the clock. `None` if it is beyond the year 9999.
    pub(crate) fn now() -> Option<Self> {
        OffsetDateTime::now_utc()
            .format(TIME)
            .ok()
            .and_then(|text| Timestamp::parse(&text))
    }

    fn parse(text: &str) -> Option<Self> {
        let parsed = PrimitiveDateTime::parse(text, TIME).ok()?;
        // One spelling for one time.
        (parsed.format(TIME).ok()? == text && text.len() == 20).then(|| Timestamp(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// How long ago that was by the machine's clock; nothing where it lies ahead.
    pub(crate) fn age(&self) -> Duration {
        let then = PrimitiveDateTime::parse(&self.0, TIME).map(PrimitiveDateTime::assume_utc);
        let age = then.ok().map(|then| OffsetDateTime::now_utc() - then);
        age.and_then(|age| Duration::try_from(age).ok())
            .unwrap_or_default()
    }
}

/// Why bytes are no document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

fn malformed<T>(what: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(what.into()))
}

impl Document {
    /// Reads the JSON. Refuses unknown, repeated and missing fields, and everything that a writer would not write but
    /// white space.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_DOCUMENT {
            return malformed(format!("it is larger than {} KiB", MAX_DOCUMENT / 1024));
        }
        let json = |error: serde_json::Error| {
            // The text may quote the document, which may be anybody's.
            let text: String = error.to_string().chars().take(200).collect();
            Malformed(text.escape_debug().to_string())
        };
        let Probe { format } = serde_json::from_slice(bytes).map_err(json)?;
        if format != FORMAT {
            let shown = crate::error::excerpt(&format);
            return malformed(format!("its format is {shown}, and this release knows {FORMAT}"));
        }
        let Object(raw): Object<RawDocument> = serde_json::from_slice(bytes).map_err(json)?;
        raw.check()
    }

    /// The JSON, with line breaks for people and for `diff`.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let base64 = |bytes: &Vec<u8>| Base64::encode_string(bytes);
        let protector = match &self.protector {
            Protector::Kms { key, wrapped } => RawProtector {
                kind: "kms".to_owned(),
                key: Some(key.clone()),
                fingerprint: None,
                wrapped: base64(wrapped),
            },
            Protector::Aes { fingerprint, wrapped } => RawProtector {
                kind: "aes".to_owned(),
                key: None,
                fingerprint: Some(fingerprint.clone()),
                wrapped: base64(wrapped),
            },
        };
        let version = |version: &Version| {
            Object(RawVersion {
                id: version.id.as_str().to_owned(),
                created: version.created.0.clone(),
                state: version.state,
                wrapped: version.wrapped.as_ref().map(base64),
            })
        };
        let raw = RawDocument {
            format: FORMAT.to_owned(),
            name: self.name.clone(),
            generation: self.generation,
            updated: self.updated.0.clone(),
            protector: Object(protector),
            versions: self.versions.iter().map(version).collect(),
            mac: Base64::encode_string(&self.tag),
        };
        // Strings and numbers in memory: nothing in it can fail.
        let mut json = serde_json::to_vec_pretty(&raw).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// The bytes that the tag is over: all that the document says, in one way. Every text and byte string has its
    /// length before it, so that no two documents give the same bytes.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut out = Canonical(Vec::with_capacity(512 + 160 * self.versions.len()));
        out.text(FORMAT);
        out.text(&self.name);
        out.0.extend_from_slice(&self.generation.to_be_bytes());
        out.text(&self.updated.0);
        match &self.protector {
            Protector::Kms { key, wrapped } => {
                out.text("kms");
                out.text(key);
                out.bytes(wrapped);
            }
            Protector::Aes { fingerprint, wrapped } => {
                out.text("aes");
                out.text(fingerprint);
                out.bytes(wrapped);
            }
        }
        out.count(self.versions.len());
        for version in &self.versions {
            out.text(version.id.as_str());
            out.text(&version.created.0);
            out.text(version.state.as_str());
            match &version.wrapped {
                None => out.0.push(0),
                Some(wrapped) => {
                    out.0.push(1);
                    out.bytes(wrapped);
                }
            }
        }
        out.0
    }

    /// The rules that the types do not enforce.
    pub(crate) fn check(self) -> Result<Self, Malformed> {
        if !(1..=MAX_GENERATION).contains(&self.generation) {
            return malformed("its generation is not a number from 1 to 2^53 - 1");
        }
        if self.versions.len() > MAX_VERSIONS {
            return malformed(format!("it has more than {MAX_VERSIONS} versions"));
        }
        let ascending = self
            .versions
            .windows(2)
            .all(|pair| pair[0].id.number < pair[1].id.number);
        if !ascending {
            return malformed("the numbers of its versions do not ascend");
        }
        let active = self.versions.iter().filter(|v| v.state == State::Active).count();
        if active != 1 {
            return malformed(format!("it has {active} active versions instead of one"));
        }
        for version in &self.versions {
            if version.wrapped.is_none() != (version.state == State::Destroyed) {
                return malformed(format!(
                    "version {} is {} and has {} key",
                    version.id.as_str(),
                    version.state,
                    if version.wrapped.is_some() { "a" } else { "no" },
                ));
            }
        }
        Ok(self)
    }
}

/// Texts and bytes with their lengths before them: four bytes, the highest first.
pub(crate) struct Canonical(pub(crate) Vec<u8>);

impl Canonical {
    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Nothing here comes near four gibibytes.
    fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u32).to_be_bytes());
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

// ---- The JSON -----------------------------------------------------------------------------------------------------

/// Read first, so that the error of a document of a later format names the format and not its new fields.
#[derive(Deserialize)]
struct Probe {
    format: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDocument {
    format: String,
    name: String,
    generation: u64,
    updated: String,
    protector: Object<RawProtector>,
    versions: Vec<Object<RawVersion>>,
    mac: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProtector {
    #[serde(rename = "type")]
    kind: String,
    #[serde(
        default,
        deserialize_with = "not_null",
        skip_serializing_if = "Option::is_none"
    )]
    key: Option<String>,
    #[serde(
        default,
        deserialize_with = "not_null",
        skip_serializing_if = "Option::is_none"
    )]
    fingerprint: Option<String>,
    wrapped: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVersion {
    id: String,
    created: String,
    state: State,
    #[serde(
        default,
        deserialize_with = "not_null",
        skip_serializing_if = "Option::is_none"
    )]
    wrapped: Option<String>,
}

/// A field that may be absent, and otherwise has a value.
fn not_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// A struct from a JSON object; serde would take an array of its fields as well.
#[derive(Serialize)]
#[serde(transparent)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(OfMap(PhantomData)).map(Object)
    }
}

impl RawDocument {
    fn check(self) -> Result<Document, Malformed> {
        if !is_name(&self.name) {
            return malformed("its name is not 1 to 64 letters, digits, '-' and '_'");
        }
        let mac = bytes("mac", &self.mac, 32..=32)?;
        let mut tag = [0; 32];
        tag.copy_from_slice(&mac);
        Document {
            name: self.name,
            generation: self.generation,
            updated: timestamp("updated", &self.updated)?,
            protector: self.protector.0.check()?,
            versions: self
                .versions
                .into_iter()
                .map(|version| version.0.check())
                .collect::<Result<_, _>>()?,
            tag,
        }
        .check()
    }
}

impl RawProtector {
    fn check(self) -> Result<Protector, Malformed> {
        match (self.kind.as_str(), self.key, self.fingerprint) {
            ("kms", Some(key), None) => {
                let plain = key.bytes().all(|c| c.is_ascii_graphic());
                let names_key = Arn::parse(&key).is_some_and(|arn| arn.kms_key_id().is_some());
                if key.len() > 2048 || !plain || !names_key {
                    return malformed("its protector's key is not the ARN of a KMS key");
                }
                Ok(Protector::Kms {
                    key,
                    wrapped: bytes("protector.wrapped", &self.wrapped, 1..=MAX_KMS_CIPHERTEXT)?,
                })
            }
            ("aes", None, Some(fingerprint)) => {
                let digits = fingerprint.strip_prefix("fp1-").unwrap_or_default();
                if digits.len() != 32 || !is_lower_hex(digits) {
                    return malformed("its protector's fingerprint is none");
                }
                Ok(Protector::Aes {
                    fingerprint,
                    wrapped: bytes("protector.wrapped", &self.wrapped, WRAPPED_KEY..=WRAPPED_KEY)?,
                })
            }
            _ => malformed(
                "its protector is neither of type kms with a key nor of type aes with a fingerprint",
            ),
        }
    }
}

impl RawVersion {
    fn check(self) -> Result<Version, Malformed> {
        let Some(id) = VersionId::parse(&self.id) else {
            let shown = crate::error::excerpt(&self.id);
            return malformed(format!("{shown} is not the id of a version"));
        };
        Ok(Version {
            id,
            created: timestamp("created", &self.created)?,
            state: self.state,
            wrapped: self
                .wrapped
                .map(|text| bytes("wrapped", &text, WRAPPED_KEY..=WRAPPED_KEY))
                .transpose()?,
        })
    }
}

fn timestamp(field: &str, text: &str) -> Result<Timestamp, Malformed> {
    Timestamp::parse(text).ok_or_else(|| {
        Malformed(format!(
            "its field {field} is not a time such as 2026-01-31T23:59:59Z"
        ))
    })
}

/// Base64 with padding and in its one spelling.
fn bytes(field: &str, text: &str, length: std::ops::RangeInclusive<usize>) -> Result<Vec<u8>, Malformed> {
    Base64::decode_vec(text)
        .ok()
        .filter(|bytes| length.contains(&bytes.len()))
        .ok_or_else(|| {
            let (least, most) = length.into_inner();
            let many = if least == most {
                least.to_string()
            } else {
                format!("{least} to {most}")
            };
            Malformed(format!("its field {field} is not {many} bytes in base64"))
        })
}
