//! RSA keys in every form that OpenSSL writes, and everything that is not one.

// Clippy's leave for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use der::asn1::UintRef;
use der::{Decode, Encode};
use emrkeys_crypto::key_store::KeyStore;
use emrkeys_crypto::rsa::{PrivateKey, PublicKey};
use emrkeys_crypto::{fingerprint, KeyError};
use pkcs1::{RsaPrivateKeyRef, RsaPublicKeyRef};
use proptest::prelude::*;
use secrecy::ExposeSecret;

const PASSWORD: Option<&[u8]> = Some(b"correct");

fn data(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data")
            .join(name),
    )
    .unwrap()
}

fn private(name: &str) -> Result<PrivateKey, KeyError> {
    PrivateKey::parse(&data(name), PASSWORD)
}

fn public(name: &str) -> Result<PublicKey, KeyError> {
    PublicKey::parse(&data(name))
}

const PLAIN: [&str; 4] = ["pkcs8.pem", "pkcs8.der", "pkcs1.pem", "pkcs1.der"];
const ENCRYPTED: [&str; 7] = [
    "enc-aes256-sha256.pem",
    "enc-aes256-sha256.der",
    "enc-aes128-sha1.pem",
    "enc-aes192-sha512.pem",
    "enc-des3.pem",
    "enc-scrypt.pem",
    "enc-scrypt.der",
];
const PUBLIC: [&str; 4] = ["spki.pem", "spki.der", "pkcs1-public.pem", "pkcs1-public.der"];

#[test]
fn every_form_gives_the_same_key() {
    let pkcs8 = data("pkcs8.der");
    let spki = data("spki.der");
    for name in PUBLIC {
        let key = public(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.spki_der(), spki, "{name}");
        assert_eq!(key.bits(), 2048);
    }
    for name in PLAIN.iter().chain(&ENCRYPTED) {
        let key = private(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.pkcs8_der().expose_secret(), pkcs8, "{name}");
        assert_eq!(key.public().spki_der(), spki, "{name}");
    }
    for name in PLAIN {
        assert!(PrivateKey::parse(&data(name), None).is_ok(), "{name}");
    }
}

#[test]
fn pairs_are_told_apart() {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let own = PublicKey::parse(spki.as_ref()).unwrap();
    let key = PrivateKey::parse(pkcs8.as_ref(), None).unwrap();
    assert_eq!(*key.public(), own);
    assert_ne!(*key.public(), public("spki.pem").unwrap());
    assert_ne!(
        fingerprint::rsa(own.spki_der()),
        fingerprint::rsa(&data("spki.der"))
    );
}

#[test]
fn what_surrounds_a_key_does_not_matter() {
    let pem = String::from_utf8(data("pkcs8.pem")).unwrap();
    let certificate = String::from_utf8(data("bad-certificate.pem")).unwrap();
    for text in [
        format!("Bag Attributes\n    friendlyName: k\n{pem}"),
        format!("\u{feff}\n\n{pem}\n\n"),
        format!("{certificate}{pem}"),
        format!("{pem}{certificate}"),
        pem.replace('\n', "\r\n"),
        pem.trim_end().to_owned(),
        // Base64 in lines of another width.
        pem.replace("\n", "")
            .replace("KEY-----M", "KEY-----\nM")
            .replace("-----END", "\n-----END"),
    ] {
        assert!(PrivateKey::parse(text.as_bytes(), None).is_ok(), "{text}");
    }
    let with_newline = [data("pkcs8.der"), b"\n".to_vec()].concat();
    assert!(PrivateKey::parse(&with_newline, None).is_ok());
    let with_rubbish = [data("pkcs8.der"), b"x".to_vec()].concat();
    assert!(matches!(
        PrivateKey::parse(&with_rubbish, None),
        Err(KeyError::Malformed(_))
    ));
    let two = format!("{pem}{pem}");
    assert!(matches!(
        PrivateKey::parse(two.as_bytes(), None),
        Err(KeyError::Malformed(_))
    ));
    // One file may serve for both halves.
    let both = [data("spki.pem"), data("pkcs8.pem")].concat();
    assert_eq!(
        PrivateKey::parse(&both, None).unwrap().public(),
        &PublicKey::parse(&both).unwrap()
    );
}

#[test]
fn passwords_are_needed_and_checked() {
    for name in ENCRYPTED {
        let bytes = data(name);
        assert_eq!(
            PrivateKey::parse(&bytes, None).unwrap_err(),
            KeyError::PasswordMissing,
            "{name}"
        );
        let error = PrivateKey::parse(&bytes, Some(b"wrong")).unwrap_err();
        assert_eq!(error, KeyError::PasswordWrong, "{name}");
    }
    let bytes = data("enc-one-iteration.der");
    assert!(PrivateKey::parse(&bytes, PASSWORD).is_ok());
    for wrong in [&b""[..], b"correct\n", b"Correct"] {
        assert_eq!(
            PrivateKey::parse(&bytes, Some(wrong)).unwrap_err(),
            KeyError::PasswordWrong
        );
    }
}

#[test]
fn wrong_passwords_that_happen_to_pad_well_are_still_wrong() {
    // One in 256 passes the padding check; among a thousand some do.
    let bytes = data("enc-one-iteration.der");
    for n in 0..1000u32 {
        let error = PrivateKey::parse(&bytes, Some(&n.to_be_bytes())).unwrap_err();
        assert_eq!(error, KeyError::PasswordWrong);
    }
}

#[test]
fn one_half_is_not_taken_for_the_other() {
    for name in PUBLIC {
        assert!(matches!(private(name), Err(KeyError::WrongKind(_))), "{name}");
    }
    for name in PLAIN.iter().chain(&ENCRYPTED) {
        assert!(matches!(public(name), Err(KeyError::WrongKind(_))), "{name}");
    }
}

#[test]
fn what_is_no_rsa_key_is_named() {
    let kind = |error: KeyError, expected: &str| match error {
        KeyError::WrongKind(text) => assert!(text.contains(expected), "{text}"),
        other => panic!("{other:?}"),
    };
    for name in ["bad-certificate.pem", "bad-certificate.der"] {
        kind(public(name).unwrap_err(), "certificate");
        kind(private(name).unwrap_err(), "certificate");
    }
    kind(private("bad-store.p12").unwrap_err(), "PKCS#12");
    kind(private("bad-ec.pem").unwrap_err(), "elliptic");
    kind(private("bad-ec-sec1.pem").unwrap_err(), "elliptic");
    kind(public("bad-ec-public.pem").unwrap_err(), "elliptic");
    kind(private("bad-pss.pem").unwrap_err(), "PSS");
    // The label says one half, the content is the other.
    let relabelled = relabelled("pkcs8.pem", "PRIVATE KEY", "PUBLIC KEY");
    kind(
        PublicKey::parse(relabelled.as_bytes()).unwrap_err(),
        "something else",
    );
}

fn relabelled(name: &str, label: &str, other: &str) -> String {
    let text = String::from_utf8(data(name)).unwrap();
    assert!(text.contains(&format!("BEGIN {label}-----")));
    text.replace(label, other)
}

#[test]
fn either_label_of_a_half_holds_either_form_of_it() {
    let expected = private("pkcs8.pem").unwrap();
    for (name, label, other) in [
        ("pkcs8.pem", "PRIVATE KEY", "RSA PRIVATE KEY"),
        ("pkcs1.pem", "RSA PRIVATE KEY", "PRIVATE KEY"),
    ] {
        let text = relabelled(name, label, other);
        let found = PrivateKey::parse(text.as_bytes(), None).unwrap();
        assert_eq!(found.public(), expected.public(), "{name}");
        assert_eq!(
            KeyStore::parse(text.as_bytes(), None)
                .unwrap()
                .key()
                .map(|key| key.expose_secret()),
            Some(expected.pkcs8_der().expose_secret()),
            "{name}"
        );
    }
    for (name, label, other) in [
        ("spki.pem", "PUBLIC KEY", "RSA PUBLIC KEY"),
        ("pkcs1-public.pem", "RSA PUBLIC KEY", "PUBLIC KEY"),
    ] {
        let found = PublicKey::parse(relabelled(name, label, other).as_bytes()).unwrap();
        assert_eq!(&found, expected.public(), "{name}");
    }
}

#[test]
fn keys_of_other_software_are_refused_with_the_remedy() {
    let utf16 = |text: &[u8]| text.iter().flat_map(|byte| [*byte, 0]).collect::<Vec<u8>>();
    let pem = data("spki.pem");
    let cases: [(Vec<u8>, &str); 7] = [
        (
            b"ssh-rsa AAAAB3NzaC1yc2E user@host\n".to_vec(),
            "ssh-keygen -e -m PKCS8",
        ),
        (b"ecdsa-sha2-nistp256 AAAA\n".to_vec(), "ssh-keygen -e -m PKCS8"),
        (b"---- BEGIN SSH2 PUBLIC KEY ----\n".to_vec(), "ssh-keygen -i"),
        (b"PuTTY-User-Key-File-3: ssh-rsa\n".to_vec(), "puttygen"),
        ([&[0xff, 0xfe][..], &utf16(&pem)].concat(), "iconv -f UTF-16"),
        (utf16(&pem), "iconv -f UTF-16"),
        ([&[0][..], &utf16(&pem)].concat(), "iconv -f UTF-16"),
    ];
    for (bytes, remedy) in cases {
        for error in [
            PublicKey::parse(&bytes).unwrap_err(),
            PrivateKey::parse(&bytes, None).unwrap_err(),
            KeyStore::parse(&bytes, None).map(drop).unwrap_err(),
        ] {
            assert!(
                matches!(&error, KeyError::Malformed(text) if text.contains(remedy)),
                "{error:?}"
            );
        }
    }
}

#[test]
fn unsupported_forms_say_what_to_do() {
    let malformed = |bytes: &[u8], expected: &str| match PrivateKey::parse(bytes, PASSWORD).unwrap_err() {
        KeyError::Malformed(text) => assert!(text.contains(expected), "{text}"),
        other => panic!("{other:?}"),
    };
    malformed(&data("bad-traditional.pem"), "openssl pkcs8 -topk8");
    malformed(&data("bad-pbes1.pem"), "openssl pkcs8 -topk8");
    malformed(&data("bad-three-primes.pem"), "primes");
    malformed(
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        "ssh-keygen",
    );
    malformed(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2], "keytool");
    malformed(b"", "empty");
    malformed(b" \n\t", "empty");
    malformed(b"hello", "neither DER nor PEM");
    malformed(
        b"-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----",
        "base64",
    );
    malformed(b"-----BEGIN PRIVATE KEY-----\nMIIE", "cut off");
    malformed(
        b"-----BEGIN PRIVATE KEY-----\n-----END PUBLIC KEY-----",
        "cut off",
    );
}

#[test]
fn sizes_are_bounded() {
    assert_eq!(
        private("bad-1024.pem").unwrap_err(),
        KeyError::TooSmall { bits: 1024 }
    );
    assert_eq!(
        public("bad-1024-public.pem").unwrap_err(),
        KeyError::TooSmall { bits: 1024 }
    );
    let of = |modulus: &[u8], exponent: &[u8]| {
        let key = RsaPublicKeyRef {
            modulus: UintRef::new(modulus).unwrap(),
            public_exponent: UintRef::new(exponent).unwrap(),
        };
        PublicKey::parse(&key.to_der().unwrap()).map(|key| key.bits())
    };
    let f4 = [1, 0, 1];
    assert_eq!(of(&[0xff; 1024], &f4), Ok(8192));
    assert_eq!(of(&[0x7f; 256], &f4), Err(KeyError::TooSmall { bits: 2047 }));
    assert_eq!(of(&[0xff; 1025], &f4), Err(KeyError::TooLarge { bits: 8200 }));
    assert_eq!(of(&[0xff; 2048], &f4), Err(KeyError::TooLarge { bits: 16384 }));
    assert_eq!(of(&[0], &f4), Err(KeyError::TooSmall { bits: 0 }));
    for exponent in [&[0][..], &[1], &[2], &[0xff; 256]] {
        assert_eq!(
            of(&[0xff; 256], exponent),
            Err(KeyError::Inconsistent),
            "{exponent:?}"
        );
    }
    let even = [&[0xff; 255][..], &[0xfe]].concat();
    assert_eq!(of(&even, &f4), Err(KeyError::Inconsistent));
}

#[test]
fn damaged_numbers_are_noticed() {
    let good = data("pkcs1.der");
    // The members of RSAPrivateKey one after the other: n, e, d, p, q, and the three values derived from them.
    for at in [40, 300, 700, 800, 950, 1080, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 4;
        assert_eq!(
            PrivateKey::parse(&bad, None).unwrap_err(),
            KeyError::Inconsistent,
            "{at}"
        );
    }
}

#[test]
fn hostile_costs_are_refused_at_once() {
    let start = std::time::Instant::now();
    assert!(matches!(
        private("bad-iterations.pem"),
        Err(KeyError::Malformed(_))
    ));
    // The scrypt parameters are N = 0x4000, r = 8, p = 1.
    let good = data("enc-scrypt.der");
    let parameters = [0x02, 0x02, 0x40, 0x00, 0x02, 0x01, 0x08, 0x02, 0x01, 0x01];
    let at = good
        .windows(parameters.len())
        .position(|window| window == parameters)
        .unwrap();
    for hostile in [
        [0x02, 0x02, 0x40, 0x00, 0x02, 0x01, 0x7f, 0x02, 0x01, 0x01],
        [0x02, 0x02, 0x40, 0x00, 0x02, 0x01, 0x08, 0x02, 0x01, 0x7f],
        [0x02, 0x02, 0x7f, 0xff, 0x02, 0x01, 0x08, 0x02, 0x01, 0x01],
        [0x02, 0x02, 0x40, 0x00, 0x02, 0x01, 0x00, 0x02, 0x01, 0x01],
        [0x02, 0x02, 0x40, 0x00, 0x02, 0x01, 0x08, 0x02, 0x01, 0x00],
        [0x02, 0x02, 0x00, 0x00, 0x02, 0x01, 0x08, 0x02, 0x01, 0x01],
    ] {
        let mut bad = good.clone();
        bad[at..at + hostile.len()].copy_from_slice(&hostile);
        assert!(
            matches!(PrivateKey::parse(&bad, PASSWORD), Err(KeyError::Malformed(_))),
            "{hostile:?}"
        );
    }
    assert!(start.elapsed().as_secs() < 5);
}

#[test]
fn nothing_secret_is_shown() {
    let key = private("pkcs8.pem").unwrap();
    let shown = format!("{key:?} {:?} {:?}", key.pkcs8_der(), key.public());
    assert!(shown.contains("2048") && shown.contains("REDACTED"));
    assert!(shown.len() < 200, "{shown}");
}

#[test]
fn every_truncation_is_an_error() {
    for name in PLAIN
        .iter()
        .chain(&ENCRYPTED)
        .chain(&["bad-traditional.pem", "bad-store.p12"])
    {
        let bytes = data(name);
        // Only the newline after the last dashes ends a PEM file.
        let whole = bytes.trim_ascii_end().len();
        for length in 0..whole {
            assert!(
                PrivateKey::parse(&bytes[..length], None).is_err(),
                "{name} {length}"
            );
        }
    }
    for name in PUBLIC {
        let bytes = data(name);
        for length in 0..bytes.trim_ascii_end().len() {
            assert!(PublicKey::parse(&bytes[..length]).is_err(), "{name} {length}");
        }
    }
}

fn any_vector() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&str> = [
        &PLAIN[..],
        &ENCRYPTED,
        &PUBLIC,
        &["bad-certificate.der", "bad-ec.pem", "bad-pbes1.pem"],
    ]
    .concat();
    prop::sample::select(names).prop_map(data)
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(PrivateKey::parse(&bytes, PASSWORD).is_err());
        prop_assert!(PublicKey::parse(&bytes).is_err());
    }

    #[test]
    fn random_text_in_pem_never_panics(
        label in "(RSA |ENCRYPTED )?(PUBLIC|PRIVATE) KEY",
        body in "[A-Za-z0-9+/=\n -]{0,300}",
        close in any::<bool>()
    ) {
        let end = if close { format!("-----END {label}-----") } else { String::new() };
        let text = format!("-----BEGIN {label}-----\n{body}\n{end}");
        prop_assert!(PrivateKey::parse(text.as_bytes(), None).is_err());
        prop_assert!(PublicKey::parse(text.as_bytes()).is_err());
    }

    // Without a password, so that the costs that damage may ask for are judged and not paid.
    #[test]
    fn damaged_keys_never_panic(
        mut bytes in any_vector(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = PrivateKey::parse(&bytes, None);
        let _ = PublicKey::parse(&bytes);
    }

    #[test]
    fn damaged_headers_never_panic(mut bytes in any_vector(), at in 0usize..100, value in any::<u8>()) {
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        let _ = PrivateKey::parse(&bytes, None);
        let _ = PublicKey::parse(&bytes);
    }
}

/// Its public half, which writes, cannot be known of it; aws-lc would not blind its operations.
#[test]
fn a_key_without_its_primes_and_public_exponent_is_refused() {
    let whole = data("pkcs1.der");
    let whole = RsaPrivateKeyRef::from_der(&whole).unwrap();
    let zero = UintRef::new(&[0]).unwrap();
    let of_two_numbers = RsaPrivateKeyRef {
        public_exponent: zero,
        prime1: zero,
        prime2: zero,
        exponent1: zero,
        exponent2: zero,
        coefficient: zero,
        ..whole
    };
    assert!(matches!(
        PrivateKey::parse(&of_two_numbers.to_der().unwrap(), None),
        Err(KeyError::Inconsistent)
    ));
}
