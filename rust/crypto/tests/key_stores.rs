//! Certificates and keys in every store that OpenSSL and keytool write, and what is refused.

// Clippy's leave for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use emrkeys_crypto::key_store::KeyStore;
use emrkeys_crypto::KeyError;
use proptest::prelude::*;
use secrecy::ExposeSecret;

const PASSWORD: Option<&[u8]> = Some(b"correct");

fn data(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stores");
    fs::read(folder.join(name)).unwrap()
}

fn store(name: &str) -> KeyStore {
    KeyStore::parse(&data(name), PASSWORD).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn refused(name: &str, password: Option<&[u8]>) -> KeyError {
    match KeyStore::parse(&data(name), password) {
        Err(error) => error,
        Ok(_) => panic!("{name} was accepted"),
    }
}

fn key(store: &KeyStore) -> &[u8] {
    store.key().unwrap().expose_secret()
}

#[test]
fn every_form_gives_the_same_key_and_certificates() {
    let reference = store("client.pem");
    assert_eq!(reference.certificates().len(), 2);
    for name in ["client.p12", "client-legacy.p12"] {
        let other = store(name);
        assert_eq!(key(&other), key(&reference), "{name}");
        assert_eq!(other.certificates(), reference.certificates(), "{name}");
    }
    for name in ["client-pkcs1.pem", "client-encrypted.pem"] {
        let other = store(name);
        assert_eq!(key(&other), key(&reference), "{name}");
        assert_eq!(other.certificates(), &reference.certificates()[..1], "{name}");
    }
    let mut shuffled = store("client-shuffled.pem").certificates().to_vec();
    shuffled.reverse();
    assert_eq!(shuffled, reference.certificates());
    assert_eq!(
        key(&store("client-ec.pem")).len(),
        key(&store("client-ec.p12")).len()
    );
}

#[test]
fn a_trust_store_has_certificates_alone() {
    let ca = store("ca.pem");
    assert!(ca.key().is_none());
    for name in ["trust.p12", "trust-legacy.p12"] {
        let trust = store(name);
        assert!(trust.key().is_none());
        assert_eq!(trust.certificates(), ca.certificates(), "{name}");
    }
}

#[test]
fn a_password_is_needed_where_there_is_one() {
    for name in [
        "client.p12",
        "client-legacy.p12",
        "client-encrypted.pem",
        "trust.p12",
    ] {
        assert_eq!(refused(name, None), KeyError::PasswordMissing, "{name}");
        assert_eq!(refused(name, Some(b"wrong")), KeyError::PasswordWrong, "{name}");
    }
    assert_eq!(
        refused("client.p12", Some(b"with\0zero")),
        KeyError::PasswordWrong
    );
    for password in [None, Some(&b""[..])] {
        assert!(KeyStore::parse(&data("client-empty-password.p12"), password).is_ok());
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_the_way_out() {
    let says = |name: &str, what: &str| {
        let error = refused(name, PASSWORD).to_string();
        assert!(error.contains(what), "{name}: {error}");
    };
    says("bad.jks", "-deststoretype PKCS12");
    says("bad-two-keys.pem", "more than one private key");
    says("bad-sec1.pem", "openssl pkcs8 -topk8");
    says("bad-no-mac.p12", "no checksum");
    let other = |name: &str| {
        fs::read(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/data")
                .join(name),
        )
        .unwrap()
    };
    for name in ["pkcs8.der", "spki.der", "bad-certificate.der"] {
        let error = KeyStore::parse(&other(name), PASSWORD).err().unwrap();
        assert!(matches!(error, KeyError::WrongKind(_)), "{name}: {error}");
    }
    assert!(KeyStore::parse(b"", None).is_err());
    assert!(KeyStore::parse(b"text", None).is_err());
}

#[test]
fn a_store_that_is_cut_off_or_followed_by_something_is_refused() {
    let whole = data("client.p12");
    for length in (1..whole.len()).step_by(61) {
        assert!(KeyStore::parse(&whole[..length], PASSWORD).is_err(), "{length}");
    }
    let mut longer = whole;
    longer.push(7);
    assert!(KeyStore::parse(&longer, PASSWORD).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_store_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = KeyStore::parse(&bytes, PASSWORD);
        let mut sequence = vec![0x30];
        sequence.extend(bytes);
        let _ = KeyStore::parse(&sequence, PASSWORD);
    }

    #[test]
    fn a_flipped_byte_is_noticed(at in 0usize..4096, flip in 1u8..) {
        let mut bytes = data("client-empty-password.p12");
        // The iteration count of the checksum stands at the end, and any of up to 100 million is computed.
        let at = at % (bytes.len() - 16);
        bytes[at] ^= flip;
        if let Ok(store) = KeyStore::parse(&bytes, None) {
            prop_assert!(store.certificates().len() <= 1);
        }
    }
}
