use super::document::Protector;
use super::*;
use crate::aws::kms::{KmsAccess, KmsTarget};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn protectors(byte: u8) -> Protectors {
    let key = Arc::new(SecretSlice::from(vec![byte; 32]));
    let aes = vec![AesProtector::new("protector", key).unwrap()];
    Protectors::new("keyring", Vec::new(), aes, Duration::from_secs(1))
}

/// Six versions: destroyed, disabled, three that decrypt, one active.
fn keyring() -> Keyring {
    let mut keyring = Keyring::create("lake", &protectors(1)).unwrap();
    for _ in 0..5 {
        keyring = keyring.rotated().unwrap();
    }
    keyring
        .with_state("1", State::Disabled)
        .unwrap()
        .with_state("1", State::Destroyed)
        .unwrap()
        .with_state("2", State::Disabled)
        .unwrap()
}

fn open(bytes: &[u8], protectors: &Protectors) -> Result<Keyring, Problem> {
    let document = parse("p", "file:///k", bytes)?;
    let root = protectors.unlock(&document)?;
    Keyring::open("p", document, root)
}

fn json() -> String {
    String::from_utf8(keyring().document().to_json()).unwrap()
}

fn code(text: &str) -> Code {
    open(text.as_bytes(), &protectors(1)).unwrap_err().code
}

#[test]
fn what_is_written_is_read_with_every_key() {
    let keyring = keyring();
    let read = open(&keyring.document().to_json(), &protectors(1)).unwrap();
    assert_eq!(read.document(), keyring.document());
    assert_eq!(read.document().generation, 9);
    let mut keys = std::collections::BTreeSet::new();
    for version in &read.document().versions[1..] {
        let key = read.key("p", version).unwrap();
        assert_eq!(
            key.expose_secret(),
            keyring.key("p", version).unwrap().expose_secret()
        );
        assert!(
            keys.insert(key.expose_secret().to_vec()),
            "every version has a key of its own"
        );
    }
    let destroyed = &read.document().versions[0];
    assert_eq!(
        read.key("p", destroyed).unwrap_err().code,
        Code::KeyringNotAuthentic
    );
}

#[test]
fn states_change_along_the_allowed_ways_only() {
    let states =
        |keyring: &Keyring| -> Vec<State> { keyring.document().versions.iter().map(|v| v.state).collect() };
    use State::{Active, DecryptOnly, Destroyed, Disabled};
    let start = || {
        Keyring::create("lake", &protectors(1))
            .unwrap()
            .rotated()
            .unwrap()
    };
    assert_eq!(states(&start()), [DecryptOnly, Active]);
    let code = |keyring: Keyring, version: &str, to| keyring.with_state(version, to).unwrap_err().code;
    for to in [Disabled, DecryptOnly, Destroyed] {
        assert_eq!(code(start(), "2", to), Code::KeyVersionState);
    }
    assert_eq!(code(start(), "1", Destroyed), Code::KeyVersionState);
    assert_eq!(code(start(), "1", DecryptOnly), Code::KeyVersionState);
    for absent in ["3", "", "1-", "01", "x"] {
        assert_eq!(code(start(), absent, Disabled), Code::KeyVersionUnknown);
    }
    let disabled = || start().with_state("1", Disabled).unwrap();
    assert_eq!(
        states(&disabled().with_state("1", DecryptOnly).unwrap()),
        [DecryptOnly, Active]
    );
    let destroyed = disabled().with_state("1", Destroyed).unwrap();
    assert_eq!(states(&destroyed), [Destroyed, Active]);
    for to in [Disabled, DecryptOnly, Destroyed] {
        let destroyed = disabled().with_state("1", Destroyed).unwrap();
        assert_eq!(code(destroyed, "1", to), Code::KeyVersionState);
    }
}

#[test]
fn a_version_is_named_by_its_whole_id_too() {
    let keyring = Keyring::create("lake", &protectors(1))
        .unwrap()
        .rotated()
        .unwrap();
    let id = keyring.document().versions[0].id.as_str().to_owned();
    assert!(id.starts_with("1-") && id.len() == 18, "{id}");
    assert_eq!(
        keyring
            .with_state(&id, State::Disabled)
            .unwrap()
            .document()
            .versions[0]
            .state,
        State::Disabled
    );
}

#[test]
fn rewrapping_keeps_the_keys_and_shuts_the_old_protector_out() {
    let before = keyring();
    let expected: Vec<Vec<u8>> = before.document().versions[1..]
        .iter()
        .map(|v| before.key("p", v).unwrap().expose_secret().to_vec())
        .collect();
    let generation = before.document().generation;
    let after = before.rewrapped(&protectors(2)).unwrap();
    let bytes = after.document().to_json();
    assert_eq!(
        open(&bytes, &protectors(1)).unwrap_err().code,
        Code::KeyringProtector
    );
    let read = open(&bytes, &protectors(2)).unwrap();
    assert_eq!(read.document().generation, generation + 1);
    let keys: Vec<Vec<u8>> = read.document().versions[1..]
        .iter()
        .map(|v| read.key("p", v).unwrap().expose_secret().to_vec())
        .collect();
    assert_eq!(keys, expected);
}

#[test]
fn a_protector_has_256_bits() {
    for size in [16, 24, 31, 33] {
        let key = Arc::new(SecretSlice::from(vec![1; size]));
        assert_eq!(AesProtector::new("p", key).err().unwrap().code, Code::KeySize);
    }
}

#[test]
fn a_document_key_is_of_one_name() {
    let text = json().replace("\"name\": \"lake\"", "\"name\": \"sea\"");
    assert_eq!(code(&text), Code::KeyringProtector);
}

#[test]
fn every_field_is_authenticated() {
    let text = json();
    let document = parse("p", "k", text.as_bytes()).unwrap();
    let root = || protectors(1).unlock(&document).unwrap();
    let refused = |change: &dyn Fn(&mut Document)| {
        let mut changed = document.clone();
        change(&mut changed);
        assert_ne!(changed, document);
        // Well-formed in itself, so that the tag alone stands against it.
        let changed = parse("p", "k", &changed.to_json()).unwrap();
        assert_eq!(
            Keyring::open("p", changed, root()).unwrap_err().code,
            Code::KeyringNotAuthentic
        );
    };
    refused(&|d| d.name = "sea".to_owned());
    refused(&|d| d.generation += 1);
    refused(&|d| d.generation -= 1);
    refused(&|d| d.tag[31] ^= 1);
    refused(&|d| d.versions[3].state = State::Disabled);
    refused(&|d| d.versions[1].state = State::DecryptOnly);
    refused(&|d| {
        d.versions[5].state = State::DecryptOnly;
        d.versions[4].state = State::Active;
    });
    refused(&|d| {
        d.versions[2].state = State::Destroyed;
        d.versions[2].wrapped = None;
    });
    refused(&|d| drop(d.versions.remove(0)));
    refused(&|d| drop(d.versions.remove(2)));
    refused(&|d| {
        let wrapped = d.versions[2].wrapped.clone();
        d.versions[2].wrapped = d.versions[3].wrapped.clone();
        d.versions[3].wrapped = wrapped;
    });
    refused(&|d| {
        d.versions[2].id = VersionId::of(3, &[9; 32]);
    });
    refused(&|d| d.versions[2].wrapped.as_mut().unwrap()[40] ^= 1);
    let earlier = text.replace(
        &format!("\"updated\": \"{}\"", document.updated.as_str()),
        "\"updated\": \"2020-01-01T00:00:00Z\"",
    );
    assert_eq!(code(&earlier), Code::KeyringNotAuthentic);
    let older = text.replace(
        &format!("\"created\": \"{}\"", document.versions[2].created.as_str()),
        "\"created\": \"2020-01-01T00:00:00Z\"",
    );
    assert_eq!(code(&older), Code::KeyringNotAuthentic);
}

#[test]
fn a_version_moved_into_an_authentic_keyring_does_not_open() {
    // Not what an attacker without the key could do; the second line of defence all the same.
    let mut keyring = keyring();
    let other = keyring.document().versions[3].wrapped.clone();
    keyring.document.versions[2].wrapped = other;
    let version = keyring.document().versions[2].clone();
    assert_eq!(
        keyring.key("p", &version).unwrap_err().code,
        Code::KeyringNotAuthentic
    );
}

#[test]
fn fields_are_known_and_stand_once() {
    let text = json();
    let add = |field: &str| text.replacen('{', &format!("{{{field}, "), 1);
    assert_eq!(code(&add("\"comment\": \"x\"")), Code::KeyringInvalid);
    assert_eq!(code(&add("\"generation\": 9")), Code::KeyringInvalid);
    assert_eq!(
        code(&add("\"format\": \"emrkeys-keyring/1\"")),
        Code::KeyringInvalid
    );
    let in_version = text.replacen("\"id\":", "\"owner\": \"x\", \"id\":", 1);
    assert_eq!(code(&in_version), Code::KeyringInvalid);
    let twice = text.replacen(
        "\"state\": \"disabled\"",
        "\"state\": \"disabled\", \"state\": \"decrypt-only\"",
        1,
    );
    assert_eq!(code(&twice), Code::KeyringInvalid);
    let in_protector = text.replacen("\"type\":", "\"region\": \"x\", \"type\":", 1);
    assert_eq!(code(&in_protector), Code::KeyringInvalid);
    let type_twice = text.replacen("\"type\": \"aes\"", "\"type\": \"aes\", \"type\": \"aes\"", 1);
    assert_eq!(code(&type_twice), Code::KeyringInvalid);
    for name in [
        "format",
        "name",
        "generation",
        "updated",
        "protector",
        "versions",
        "mac",
    ] {
        assert_eq!(
            code(&text.replacen(&format!("\"{name}\""), "\"gone\"", 1)),
            Code::KeyringInvalid,
            "{name}"
        );
    }
}

#[test]
fn what_a_writer_would_not_write_is_refused() {
    let text = json();
    let change = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        code(&text.replacen(from, to, 1))
    };
    for (from, to) in [
        ("emrkeys-keyring/1", "emrkeys-keyring/2"),
        ("\"generation\": 9", "\"generation\": 0"),
        ("\"generation\": 9", "\"generation\": -9"),
        ("\"generation\": 9", "\"generation\": 9.0"),
        ("\"generation\": 9", "\"generation\": \"9\""),
        ("\"generation\": 9", "\"generation\": 9007199254740992"),
        ("\"generation\": 9", "\"generation\": 09"),
        ("\"name\": \"lake\"", "\"name\": \"la ke\""),
        ("\"name\": \"lake\"", "\"name\": null"),
        ("\"state\": \"disabled\"", "\"state\": \"off\""),
        ("\"state\": \"disabled\"", "\"state\": \"destroyed\""),
        ("\"state\": \"disabled\"", "\"state\": \"active\""),
        ("\"state\": \"active\"", "\"state\": \"decrypt-only\""),
        (
            "\"state\": \"destroyed\"",
            "\"state\": \"destroyed\", \"wrapped\": null",
        ),
        ("\"type\": \"aes\"", "\"type\": \"kms\""),
        ("\"fingerprint\": \"fp1-", "\"fingerprint\": \"fp2-"),
        ("\"id\": \"1-", "\"id\": \"01-"),
        ("\"id\": \"1-", "\"id\": \"0-"),
        ("\"id\": \"1-", "\"id\": \"7-"),
        ("\"id\": \"2-", "\"id\": \"1-"),
        ("Z\",", "+00:00\","),
        ("Z\",", ".000Z\","),
        ("T", " "),
    ] {
        assert_eq!(change(from, to), Code::KeyringInvalid, "{to}");
    }
    assert_eq!(code(&format!("{text}x")), Code::KeyringInvalid);
    assert_eq!(code(&format!("{text}{text}")), Code::KeyringInvalid);
    assert_eq!(code(&format!("\u{feff}{text}")), Code::KeyringInvalid);
    assert_eq!(
        code(&format!("{text}{}", " ".repeat(MAX_DOCUMENT))),
        Code::KeyringInvalid
    );
    assert_eq!(code(&"[".repeat(100_000)), Code::KeyringInvalid);
    let array = "[\"emrkeys-keyring/1\", \"lake\", 1, \"2026-01-01T00:00:00Z\", [], [], \"\"]";
    assert_eq!(code(array), Code::KeyringInvalid);
}

#[test]
fn a_truncated_document_is_refused_wherever_it_is_cut() {
    let text = json();
    for length in 0..text.trim_end().len() {
        assert_eq!(code(&text[..length]), Code::KeyringInvalid, "{length}");
    }
}

#[test]
fn a_keyring_is_bounded() {
    let mut keyring = Keyring::create("lake", &protectors(1)).unwrap();
    for _ in 1..MAX_VERSIONS {
        keyring = keyring.rotated().unwrap();
    }
    let bytes = keyring.document().to_json();
    assert!(bytes.len() < MAX_DOCUMENT / 2, "{}", bytes.len());
    open(&bytes, &protectors(1)).unwrap();
    assert_eq!(keyring.rotated().unwrap_err().code, Code::KeyVersionState);
}

#[test]
fn nothing_secret_is_shown() {
    let keyring = keyring();
    let shown = format!("{keyring:?} {:?}", keyring.document());
    for version in &keyring.document().versions[1..] {
        let key = keyring.key("p", version).unwrap();
        assert!(!shown.contains(&hex::encode(key.expose_secret())));
        assert!(!shown.contains(&format!("{:?}", key.expose_secret())));
    }
}

/// The example of docs/formats.md, and what another implementation can test itself with.
#[test]
fn the_format_is_fixed_for_ever() {
    let text = include_str!("../../tests/data/example.keyring");
    let keyring = open(text.as_bytes(), &protectors(7)).unwrap();
    assert_eq!(keyring.document().to_json(), text.as_bytes());
    let key = keyring.key("p", &keyring.document().versions[1]).unwrap();
    assert_eq!(
        hex::encode(key.expose_secret()),
        include_str!("../../tests/data/example.key").trim()
    );
}

#[test]
fn kms_keys_are_those_configured_and_never_the_documents_word() {
    let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let multi = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
    let elsewhere = multi.replace("eu-west-1", "us-east-1");
    let asked = |configured: &[&str], stored: &str| {
        let target = |id: &&str| KmsTarget {
            property: "p".to_owned(),
            key_id: (*id).to_owned(),
            access: KmsAccess::default(),
        };
        let kms = configured.iter().map(target).collect();
        let protectors = Protectors::new("p", kms, Vec::new(), Duration::from_secs(1));
        protectors.kms_for(stored).map(str::to_owned)
    };
    assert_eq!(asked(&[arn], arn).as_deref(), Some(arn));
    assert_eq!(asked(&[arn], &arn.replace("111122223333", "444455556666")), None);
    assert_eq!(asked(&[arn, multi], &elsewhere).as_deref(), Some(multi));
    assert_eq!(
        asked(&[multi], &elsewhere.replace("111122223333", "444455556666")),
        None
    );
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    assert_eq!(asked(&[id], arn).as_deref(), Some(id));
    assert_eq!(asked(&["alias/main"], arn).as_deref(), Some("alias/main"));
    assert_eq!(asked(&[], arn), None);
    let document = Document {
        protector: Protector::Kms {
            key: arn.to_owned(),
            wrapped: vec![1; 100],
        },
        ..keyring().document().clone()
    };
    let refused = protectors(1).unlock(&document).err().unwrap();
    assert_eq!(refused.code, Code::KeyringProtector);
}

proptest! {
    #[test]
    fn any_bytes_are_a_document_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = Document::parse(&bytes);
    }

    /// No change of a byte passes, but for white space, which says nothing.
    #[test]
    fn any_change_of_a_byte_is_refused(at in 0usize..100_000, byte in any::<u8>()) {
        static TEXT: once_cell::sync::Lazy<String> = once_cell::sync::Lazy::new(json);
        let mut bytes = TEXT.clone().into_bytes();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != byte && !(bytes[at].is_ascii_whitespace()));
        bytes[at] = byte;
        prop_assert!(open(&bytes, &protectors(1)).is_err());
    }

    /// The bytes under the tag differ for any two documents.
    #[test]
    fn canonical_bytes_are_unambiguous(
        one in ("[a-z]{1,3}", 1u64..4, "fp1-[0-1]{32}", 1usize..3),
        other in ("[a-z]{1,3}", 1u64..4, "fp1-[0-1]{32}", 1usize..3),
    ) {
        let base = keyring_once();
        let make = |(name, generation, fingerprint, versions): (String, u64, String, usize)| Document {
            name,
            generation,
            protector: Protector::Aes { fingerprint, wrapped: vec![0; 60] },
            versions: base.versions[..versions].to_vec(),
            ..base.clone()
        };
        let (one, other) = (make(one), make(other));
        prop_assert_eq!(one.canonical() == other.canonical(), one == other);
    }
}

fn keyring_once() -> &'static Document {
    static DOCUMENT: once_cell::sync::Lazy<Document> =
        once_cell::sync::Lazy::new(|| keyring().document().clone());
    &DOCUMENT
}
