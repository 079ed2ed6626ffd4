//! How values cross the boundary. `org.emrkeys.bridge.Wire` is the other half.
//!
//! Numbers are big-endian. Bytes and text are a 32-bit length and the bytes; text is UTF-8, and −1 in place of a
//! length is `null`. A list is a 32-bit count and its elements. A response is one byte, 0 for success, 1 for a
//! failure or 2 for a call to wait for, and then the payload, the failure's code and text, or the number of the call.

mod stored;

use std::time::Duration;

use emrkeys_core::inspect::Finding;
use emrkeys_core::table_key::TableKind;
use emrkeys_core::{
    Client, Code, Counts, Error, InputRef, InputValue, Inputs, JceInstall, JceMgf1, JceRelease, JceSettings,
    KeyStats, MaterialKey, Materials, Problem, Report, Settings, StoredDescription,
};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::defect::internal;
pub(crate) use stored::{content_key, stored, Stored};

/// The version of this format and of the native methods; the loader compares it with `Natives.ABI`.
pub(crate) const ABI: i32 = 14;

/// The result of a native method. Wiped when it is dropped, because it may hold keys.
pub(crate) type Response = Zeroizing<Vec<u8>>;

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;
/// The number of a call follows, which Java waits for.
const WAITING: u8 = 2;

/// Reads arguments. Lengths are checked against what there is before anything is made of them.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        self.take(1)?.first().copied().ok_or_else(malformed)
    }

    pub(crate) fn number(&mut self) -> Result<i32, Error> {
        let bytes = self.take(4)?.try_into().map_err(|_| malformed())?;
        Ok(i32::from_be_bytes(bytes))
    }

    /// A count of elements of which each takes at least `least` bytes.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize, Error> {
        let count = usize::try_from(self.number()?).map_err(|_| malformed())?;
        if count > self.rest.len() / least {
            return Err(malformed());
        }
        Ok(count)
    }

    fn bytes(&mut self) -> Result<Option<&'a [u8]>, Error> {
        match self.number()? {
            -1 => Ok(None),
            length => self
                .take(usize::try_from(length).map_err(|_| malformed())?)
                .map(Some),
        }
    }

    /// Text that must be there. Java strings may hold half a character (a lone surrogate), which no UTF-8 does.
    pub(crate) fn text(&mut self, code: Code, what: &str) -> Result<&'a str, Error> {
        let bytes = self.bytes()?.ok_or_else(|| bad_text(code, what, "is null"))?;
        std::str::from_utf8(bytes).map_err(|_| bad_text(code, what, "is not valid Unicode text"))
    }

    pub(crate) fn end(self) -> Result<(), Error> {
        self.rest.is_empty().then_some(()).ok_or_else(malformed)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn malformed() -> Error {
    internal("the Java half of emrkeys sent what the native half cannot read".to_owned())
}

fn bad_text(code: Code, what: &str, why: &str) -> Error {
    Problem::new(
        code,
        format!("{what} {why}"),
        "Remove the entry, or write it as text.",
    )
    .into()
}

/// The client that asks: 0 is S3, 1 local disks, 2 S3A, 3 tables.
pub(crate) fn client(number: i32) -> Result<Client, Error> {
    match number {
        0 => Ok(Client::S3),
        1 => Ok(Client::LocalDisk),
        2 => Ok(Client::S3a),
        3 => Ok(Client::Tables),
        _ => Err(malformed()),
    }
}

/// A list of names and values of Hadoop properties.
pub(crate) fn settings(bytes: &[u8]) -> Result<Settings, Error> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(8)?;
    let mut settings = Settings::new();
    for _ in 0..count {
        let name = reader
            .text(Code::InvalidValue, "the name of a property")?
            .to_owned();
        let value = reader
            .text(Code::InvalidValue, &format!("the value of {name}"))?
            .to_owned();
        settings.insert(name, value);
    }
    reader.end()?;
    Ok(settings)
}

/// A list of entries of a materials description; `None` where −1 stands in place of the count: a description that is
/// `null`.
pub(crate) fn description(bytes: &[u8]) -> Result<Option<StoredDescription>, Error> {
    if bytes == (-1i32).to_be_bytes() {
        return Ok(None);
    }
    let mut reader = Reader::new(bytes);
    let entries = entries(&mut reader)?;
    reader.end()?;
    Ok(Some(entries))
}

/// A bucket and the key of an object in it.
pub(crate) fn object(bytes: &[u8]) -> Result<(&str, &str), Error> {
    let mut reader = Reader::new(bytes);
    let bucket = reader.text(Code::InvalidUri, "the name of the bucket")?;
    let key = reader.text(Code::InvalidUri, "the key of the object")?;
    reader.end()?;
    Ok((bucket, key))
}

/// A key of a table that is to be wrapped or unwrapped.
pub(crate) struct TableKey<'a> {
    pub(crate) kind: TableKind,
    /// The name of the configured key, or `rule:` and a path.
    pub(crate) under: &'a str,
    /// In the clear or wrapped.
    pub(crate) key: &'a [u8],
}

/// The kind of table, the name of the key, and the key.
pub(crate) fn table_key(bytes: &[u8]) -> Result<TableKey<'_>, Error> {
    let mut reader = Reader::new(bytes);
    let kind = reader.text(Code::InvalidValue, "the kind of table")?;
    let table_key = TableKey {
        kind: TableKind::from_name(kind).ok_or_else(malformed)?,
        under: reader.text(Code::UnknownKey, "the key that the table names")?,
        key: reader.bytes()?.ok_or_else(malformed)?,
    };
    reader.end()?;
    Ok(table_key)
}

/// The response for a key of a table, wrapped or in the clear.
pub(crate) fn key_of_table(key: &[u8]) -> Response {
    Writer::success(key.len() + 4).bytes(key).finish()
}

/// The content of an object's envelope, in borrowed pieces.
pub(crate) struct Envelope<'a> {
    pub(crate) wrap: &'a str,
    pub(crate) content: &'a str,
    pub(crate) stored: StoredDescription,
    pub(crate) object: Option<(&'a str, &'a str)>,
}

/// The wrap of the data key, the cipher of the content, the stored description, and bucket and key, which are empty
/// where unknown.
pub(crate) fn envelope(bytes: &[u8]) -> Result<Envelope<'_>, Error> {
    let mut reader = Reader::new(bytes);
    let envelope = Envelope {
        wrap: reader.text(Code::InvalidDescription, "the wrap of the data key")?,
        content: reader.text(Code::InvalidDescription, "the cipher of the content")?,
        stored: entries(&mut reader)?,
        object: Some((
            reader.text(Code::InvalidUri, "the name of the bucket")?,
            reader.text(Code::InvalidUri, "the key of the object")?,
        ))
        .filter(|(bucket, _)| !bucket.is_empty()),
    };
    reader.end()?;
    Ok(envelope)
}

fn entries(reader: &mut Reader) -> Result<StoredDescription, Error> {
    let count = reader.count(8)?;
    let mut entries = StoredDescription::with_capacity(count, reader.rest.len());
    for _ in 0..count {
        let name = reader.text(Code::InvalidDescription, "a name in the materials description")?;
        let value = reader.text(Code::InvalidDescription, "a value in the materials description")?;
        entries.push(name, value);
    }
    Ok(entries)
}

/// The content that Java found behind the [`InputRef`]s.
pub(crate) fn inputs(bytes: &[u8]) -> Result<Inputs, Error> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(15)?;
    let mut inputs = Inputs::new();
    for _ in 0..count {
        let kind = reader.byte()?;
        let name = reader
            .text(Code::InvalidValue, "the name of an input")?
            .to_owned();
        let status = reader.byte()?;
        let plaintext = reader.byte()? != 0;
        let mode = u32::try_from(reader.number()?).ok(); // -1: none
        let value = reader.bytes()?;
        let reference = match kind {
            0 => InputRef::Uri(name),
            1 => InputRef::Credential(name),
            _ => return Err(malformed()),
        };
        let value = match (status, value) {
            (0, Some(bytes)) => InputValue::Found {
                bytes: bytes.to_vec().into(),
                plaintext,
                mode,
            },
            (1, None) => InputValue::Missing,
            (2, Some(why)) => InputValue::Failed(String::from_utf8_lossy(why).into_owned()),
            _ => return Err(malformed()),
        };
        inputs.insert(reference, value);
    }
    reader.end()?;
    Ok(inputs)
}

/// Writes a response.
pub(crate) struct Writer(Response);

impl Writer {
    /// A successful response of about `capacity` bytes: with a key in it, it must not grow, because what it grew out
    /// of would not be wiped.
    pub(crate) fn success(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity + 1);
        bytes.push(SUCCESS);
        Writer(Zeroizing::new(bytes))
    }

    pub(crate) fn finish(self) -> Response {
        self.0
    }

    pub(crate) fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn number(mut self, value: usize) -> Self {
        // Nothing here comes near 2 GiB.
        self.0
            .extend_from_slice(&i32::try_from(value).unwrap_or(i32::MAX).to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, value: i64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn bytes(self, value: &[u8]) -> Self {
        let mut this = self.number(value.len());
        this.0.extend_from_slice(value);
        this
    }

    pub(crate) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn null(mut self) -> Self {
        self.0.extend_from_slice(&(-1i32).to_be_bytes());
        self
    }

    pub(crate) fn report(self, report: &Report) -> Self {
        let head = self.text(&report.summary).number(report.warnings.len());
        report
            .warnings
            .iter()
            .fold(head, |writer, warning| writer.text(warning))
            .jce(&report.jce)
            .byte(u8::from(report.audit_to_log))
            .long(millis(report.stats_interval))
    }

    pub(crate) fn stats(self, keys: &[KeyStats]) -> Self {
        keys.iter().fold(self.number(keys.len()), |writer, key| {
            let values = key.counts.values();
            let head = writer
                .text(&key.key)
                .long(key.age.map_or(-1, millis))
                .number(values.len());
            Counts::NAMES
                .iter()
                .zip(values)
                .fold(head, |writer, (name, value)| {
                    writer.text(name).long(i64::try_from(value).unwrap_or(i64::MAX))
                })
        })
    }

    pub(crate) fn lines(self, lines: &[String]) -> Self {
        lines
            .iter()
            .fold(self.number(lines.len()), |writer, line| writer.text(line))
    }

    pub(crate) fn findings(self, findings: &[Finding]) -> Self {
        findings
            .iter()
            .fold(self.number(findings.len()), |writer, found| {
                let writer = writer
                    .text(found.check)
                    .text(found.level.word())
                    .text(&found.message);
                match &found.remedy {
                    Some(remedy) => writer.text(remedy),
                    None => writer.null(),
                }
            })
    }

    fn jce(self, jce: &JceSettings) -> Self {
        let install = match jce.install {
            JceInstall::First => 0,
            JceInstall::Last => 1,
            JceInstall::Off => 2,
        };
        let release = match jce.release {
            JceRelease::Never => 0,
            JceRelease::Sdk => 1,
            JceRelease::Always => 2,
        };
        let mgf1 = match jce.oaep_mgf1 {
            JceMgf1::Sha1 => 0,
            JceMgf1::Sha256 => 1,
            JceMgf1::Both => 2,
        };
        self.byte(install)
            .byte(release)
            .long(i64::try_from(jce.max_buffered_bytes).unwrap_or(i64::MAX))
            .byte(mgf1)
            .byte(u8::from(jce.stand_in_for_bc))
    }
}

/// The response for a call that has to wait.
pub(crate) fn waiting(call: i64) -> Response {
    Writer(Zeroizing::new(vec![WAITING])).long(call).finish()
}

/// The response for an error: its code and what users see.
pub(crate) fn failure(error: &Error) -> Response {
    let mut writer = Writer(Zeroizing::new(vec![FAILURE]));
    writer = writer.text(error.code().as_str()).text(&error.to_string());
    writer.finish()
}

/// The response for a configuration: its handle, and the inputs that only Java can open.
pub(crate) fn configuration(handle: i64, inputs: &[InputRef]) -> Response {
    let head = Writer::success(256).long(handle).number(inputs.len());
    let writer = inputs.iter().fold(head, |writer, input| match input {
        InputRef::Uri(uri) => writer.byte(0).text(uri),
        InputRef::Credential(alias) => writer.byte(1).text(alias),
    });
    writer.finish()
}

/// The response for a request: the key, then what is stored; a 0 where there are no materials.
pub(crate) fn materials(materials: Option<&Materials>) -> Response {
    let Some(materials) = materials else {
        return Writer::success(1).byte(0).finish();
    };
    let described: usize = materials
        .description
        .iter()
        .map(|(name, value)| name.len() + value.len() + 8)
        .sum();
    let key = match &materials.key {
        MaterialKey::Symmetric { algorithm, bytes } => algorithm.len() + bytes.expose_secret().len(),
        MaterialKey::KeyPair { public, private } => {
            public.len()
                + private
                    .as_ref()
                    .map_or(0, |private| private.expose_secret().len())
        }
        MaterialKey::Kms { key_id } => key_id.len(),
    };
    let writer = Writer::success(described + key + 16);
    let writer = match &materials.key {
        MaterialKey::Symmetric { algorithm, bytes } => {
            writer.byte(1).text(algorithm).bytes(bytes.expose_secret())
        }
        MaterialKey::KeyPair { public, private } => {
            let writer = writer.byte(2).bytes(public);
            match private {
                Some(private) => writer.bytes(private.expose_secret()),
                None => writer.null(),
            }
        }
        MaterialKey::Kms { key_id } => writer.byte(3).text(key_id),
    };
    let head = writer.number(materials.description.len());
    materials
        .description
        .iter()
        .fold(head, |writer, (name, value)| writer.text(name).text(value))
        .finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn list(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut bytes = (entries.len() as i32).to_be_bytes().to_vec();
        for part in entries.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend((part.len() as i32).to_be_bytes());
            bytes.extend(*part);
        }
        bytes
    }

    #[test]
    fn entries_come_through_as_they_were_sent() {
        let bytes = list(&[(b"a", "ü".as_bytes()), (b"", b"")]);
        let expected = StoredDescription::from_iter([("a", "ü"), ("", "")]);
        assert_eq!(description(&bytes).unwrap(), Some(expected));
        assert_eq!(description(&(-1i32).to_be_bytes()).unwrap(), None);
        assert_eq!(settings(&bytes).unwrap()["a"], "ü");
    }

    #[test]
    fn half_a_character_and_null_are_refused_by_what_they_stand_in() {
        let surrogate = list(&[(b"a", &[0xed, 0xa0, 0x80])]);
        assert_eq!(
            description(&surrogate).unwrap_err().code(),
            Code::InvalidDescription
        );
        assert_eq!(settings(&surrogate).unwrap_err().code(), Code::InvalidValue);
        let null = [
            &1i32.to_be_bytes()[..],
            &1i32.to_be_bytes(),
            b"a",
            &(-1i32).to_be_bytes(),
        ]
        .concat();
        assert_eq!(description(&null).unwrap_err().code(), Code::InvalidDescription);
    }

    #[test]
    fn a_response_with_a_key_never_grows() {
        for (key, private) in [(32, Some(2400)), (16, None)] {
            for key in [
                MaterialKey::Symmetric {
                    algorithm: "AES/GCM/NoPadding",
                    bytes: Arc::new(vec![1; key].into()),
                },
                MaterialKey::KeyPair {
                    public: vec![2; 294],
                    private: private.map(|length| Arc::new(vec![3; length].into())),
                },
                MaterialKey::Kms {
                    key_id: "alias/k".into(),
                },
            ] {
                let description = StoredDescription::from_iter([("emrkeys.key", "main")]);
                let response = materials(Some(&Materials { key, description }));
                assert!(
                    response.capacity() <= response.len() + 16,
                    "{} {}",
                    response.capacity(),
                    response.len()
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = description(&bytes);
            let _ = settings(&bytes);
            let _ = inputs(&bytes);
        }

        #[test]
        fn a_hostile_count_makes_nothing(count in any::<i32>(), rest in proptest::collection::vec(any::<u8>(), 0..32)) {
            let bytes = [&count.to_be_bytes()[..], &rest].concat();
            let _ = description(&bytes);
            let _ = inputs(&bytes);
        }
    }
}
