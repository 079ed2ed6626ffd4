//! Envelopes, descriptions, keyrings, inventories, wrapped keys of tables.

use std::sync::OnceLock;

use emrkeys_core::envelope::{noted_length, Envelope, Metadata};
use emrkeys_core::keyring::{inspect, State, MAX_DOCUMENT, MAX_VERSIONS};
use emrkeys_core::table_key::{TableKind, WrappedTableKey, KEY_SIZES};
use emrkeys_core::{
    Client, Code, Config, InputRef, InputValue, Inputs, MaterialKey, Provider, Request, Settings,
    StoredDescription,
};
use emrkeys_objects::Manifest;
use secrecy::{ExposeSecret, SecretSlice};

/// The longest message of an error, in bytes.
const LONGEST: usize = 4096;

fn entries(text: &[u8]) -> Metadata {
    serde_json::from_slice(text).unwrap_or_default()
}

/// Envelopes from outside, in metadata and in instruction files: what is read is written again as it was, or there is
/// an error.
///
/// Input: metadata as a JSON object of strings, a zero byte, an instruction file.
pub(crate) fn envelope(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let metadata = entries(parts.next().unwrap_or_default());
    let instruction = parts.next().unwrap_or_default();
    let _ = noted_length(&metadata);
    let found = [
        Envelope::parse(&metadata).transpose(),
        Some(Envelope::parse_instruction(instruction, &metadata)),
    ];
    for found in found.into_iter().flatten() {
        match found {
            Ok(envelope) => {
                let again = Envelope::parse(&envelope.to_metadata());
                assert_eq!(again.ok().flatten(), Some(envelope));
            }
            Err(problem) => {
                assert_eq!(problem.code, Code::InvalidEnvelope);
                assert!(problem.to_string().len() < LONGEST);
            }
        }
    }
}

/// Keyrings from outside: a summary within its bounds or an error.
pub(crate) fn keyring(data: &[u8]) {
    match inspect(data) {
        Ok(summary) => {
            assert!(data.len() <= MAX_DOCUMENT && !summary.authentic && summary.generation > 0);
            assert!((1..=MAX_VERSIONS).contains(&summary.versions.len()));
            let active = summary
                .versions
                .iter()
                .filter(|version| version.state == State::Active);
            assert_eq!(active.count(), 1);
        }
        Err(error) => {
            assert_eq!(error.code(), Code::KeyringInvalid);
            assert!(error.to_string().len() < LONGEST);
        }
    }
}

/// Inventories from outside: objects with keys, or an error.
///
/// Input: a manifest, a zero byte, a file of the inventory, unzipped.
pub(crate) fn inventory(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let Ok(manifest) = Manifest::parse(parts.next().unwrap_or_default(), "lake") else {
        return;
    };
    let mut rows = manifest.rows(parts.next().unwrap_or_default());
    while let Ok(true) = rows.read() {
        match rows.object() {
            Ok(_) => {}
            Err(what) => assert!(!what.is_empty() && what.len() < LONGEST),
        }
    }
}

/// A provider of two AES keys, each of one byte, of which `new` encrypts.
fn provider() -> &'static Provider {
    static PROVIDER: OnceLock<Provider> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let settings = [
            ("emrkeys.key.old.type", "aes"),
            ("emrkeys.key.old.file", "hdfs:///old"),
            ("emrkeys.key.old.aliases", "older"),
            ("emrkeys.key.old.match.owner", "payroll"),
            ("emrkeys.key.new.type", "aes"),
            ("emrkeys.key.new.file", "hdfs:///new"),
            ("emrkeys.default.key", "new"),
        ];
        let settings: Settings = settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let input = |name: &str, byte| {
            let value = InputValue::Found {
                bytes: SecretSlice::from(vec![byte; 32]),
                plaintext: false,
                mode: Some(0o600),
            };
            (InputRef::Uri(format!("hdfs:///{name}")), value)
        };
        let inputs = Inputs::from([input("old", 1), input("new", 2)]);
        let config = Config::parse(Client::S3, &settings).expect("the configuration is good");
        Provider::open(config, &inputs).expect("the keys are good").0
    })
}

/// Stored descriptions from outside: the key that they name and no other, or an error. A description without any name
/// of a key describes a write, which gets the current key and nothing of the description.
///
/// Input: a JSON object of strings.
pub(crate) fn description(data: &[u8]) {
    let entries = entries(data);
    let description: StoredDescription = entries.iter().collect();
    match provider().materials(Request::Description(description)) {
        Ok(materials) => {
            let materials = materials.expect("a description was given");
            let MaterialKey::Symmetric { bytes, .. } = &materials.key else {
                panic!("the keys are AES keys")
            };
            let named = entries.get("emrkeys.key").map(String::as_str);
            let owned = entries.get("owner").is_some_and(|owner| owner == "payroll");
            let wanted = match named {
                Some("old" | "older") => 1,
                Some("new") => 2,
                Some(other) => panic!("{other:?} is no key"),
                None if owned => 1,
                None => 2,
            };
            assert_eq!(bytes.expose_secret(), [wanted; 32]);
        }
        Err(error) => {
            assert!(error.code() != Code::Internal, "{error}");
            assert!(error.to_string().len() < LONGEST);
        }
    }
}

/// A provider for tables, whose two AES keys are one byte each, as in [`provider`].
fn tables() -> &'static Provider {
    static PROVIDER: OnceLock<Provider> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // Lost with the process: keys are read when a table names them.
        let folder = tempfile::tempdir().expect("a folder").keep();
        let settings: Settings = [("old", 1), ("new", 2)]
            .into_iter()
            .flat_map(|(name, byte)| {
                let path = folder.join(name);
                let mut file = tempfile::NamedTempFile::new_in(&folder).expect("a file");
                std::io::Write::write_all(&mut file, &[byte; 32]).expect("32 bytes");
                file.persist(&path).expect("the name is free");
                [
                    (format!("emrkeys.key.{name}.type"), "aes".to_owned()),
                    (
                        format!("emrkeys.key.{name}.file"),
                        format!("file://{}", path.display()),
                    ),
                ]
            })
            .collect();
        let config = Config::parse(Client::Tables, &settings).expect("the configuration is good");
        let provider = Provider::open(config, &Inputs::new())
            .expect("the keys are good")
            .0;
        for name in ["old", "new"] {
            provider
                .wrap_table_key(TableKind::Parquet, name, &[0; 16])
                .expect("the keys are good");
        }
        std::fs::remove_dir_all(&folder).expect("our own folder");
        provider
    })
}

/// Wrapped keys of tables: those from outside are taken apart within bounds or refused; our own come back, and not
/// after a change.
///
/// Input: the kind of table and the key's name in one byte, a place to change in two, and a wrapped key from outside,
/// or if it has the size of one, a key to wrap.
pub(crate) fn table_key(data: &[u8]) {
    let Some(([choice, high, low], rest)) = data.split_first_chunk::<3>() else {
        return;
    };
    let [kind, other] = if choice & 1 == 0 {
        [TableKind::Parquet, TableKind::Iceberg]
    } else {
        [TableKind::Iceberg, TableKind::Parquet]
    };
    let (under, another) = if choice & 2 == 0 {
        ("new", "old")
    } else {
        ("old", "new")
    };
    let provider = tables();
    if let Ok(parsed) = WrappedTableKey::parse(rest) {
        assert!(KEY_SIZES.contains(&parsed.key_size()) && parsed.description.len() <= 255);
    }
    match provider.unwrap_table_key(kind, under, rest) {
        Ok(key) => {
            let parsed = WrappedTableKey::parse(rest).expect("it was unwrapped");
            assert!(parsed.kind == kind && parsed.key_size() == key.len());
        }
        Err(error) => {
            assert!(error.code() != Code::Internal, "{error}");
            assert!(error.to_string().len() < LONGEST);
        }
    }
    if !KEY_SIZES.contains(&rest.len()) {
        return;
    }
    let mut wrapped = provider
        .wrap_table_key(kind, under, rest)
        .expect("a key of a good size");
    let unwrapped = |kind, under, wrapped: &[u8]| provider.unwrap_table_key(kind, under, wrapped).ok();
    assert!(unwrapped(kind, under, &wrapped).is_some_and(|key| key[..] == *rest));
    assert!(unwrapped(other, under, &wrapped).is_none());
    assert!(unwrapped(kind, another, &wrapped).is_none());
    let bit = usize::from(u16::from_be_bytes([*high, *low])) % (8 * wrapped.len());
    wrapped[bit / 8] ^= 1 << (bit % 8);
    assert!(unwrapped(kind, under, &wrapped).is_none(), "bit {bit}");
}
