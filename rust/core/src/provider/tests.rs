use std::fs;
use std::os::unix::fs::PermissionsExt;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::inputs::{InputRef, InputValue, Settings};
use crate::{Client, Code, MaterialKey, StoredDescription};

mod foreign;

fn open(client: Client, settings: &Settings, inputs: &Inputs) -> Result<(Provider, Report), Error> {
    Provider::open(Config::parse(client, settings)?, inputs)
}

/// A folder of key files and the properties that name them.
struct Fixture {
    folder: TempDir,
    settings: Settings,
    inputs: Inputs,
}

impl Fixture {
    fn new() -> Self {
        Fixture {
            folder: tempfile::tempdir().unwrap(),
            settings: Settings::new(),
            inputs: Inputs::new(),
        }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        format!("file://{}", path.display())
    }

    fn set(mut self, property: &str, value: &str) -> Self {
        self.settings.insert(property.to_owned(), value.to_owned());
        self
    }

    fn aes(self, name: &str, byte: u8) -> Self {
        let uri = self.file(name, &[byte; 32]);
        self.set(&format!("emrkeys.key.{name}.type"), "aes")
            .set(&format!("emrkeys.key.{name}.file"), &uri)
    }

    fn rsa(self, name: &str, private: bool) -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        use aws_lc_rs::encoding::AsDer;
        use aws_lc_rs::signature::KeyPair;
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der = pair.as_der().unwrap();
        let spki: aws_lc_rs::encoding::PublicKeyX509Der = pair.public_key().as_der().unwrap();
        let public = self.file(&format!("{name}.pub"), spki.as_ref());
        let private_uri = self.file(&format!("{name}.pk8"), pkcs8.as_ref());
        let this = self
            .set(&format!("emrkeys.key.{name}.type"), "rsa")
            .set(&format!("emrkeys.key.{name}.public"), &public);
        if private {
            this.set(&format!("emrkeys.key.{name}.private"), &private_uri)
        } else {
            this
        }
    }

    fn open(&self) -> Provider {
        open(Client::S3, &self.settings, &self.inputs).unwrap().0
    }

    fn open_error(&self) -> Code {
        open(Client::S3, &self.settings, &self.inputs).unwrap_err().code()
    }
}

/// The two calls that the tests make most.
trait Ask {
    fn ask(&self, description: Option<&[(&str, &str)]>) -> Result<Materials, Error>;
}

impl Ask for Provider {
    fn ask(&self, description: Option<&[(&str, &str)]>) -> Result<Materials, Error> {
        let request = description.map_or(Request::NoArgument, |entries| {
            Request::Description(entries.iter().copied().collect())
        });
        self.materials(request).map(|materials| materials.unwrap())
    }
}

fn two_keys() -> Fixture {
    Fixture::new()
        .aes("main", 1)
        .aes("audit", 2)
        .set("emrkeys.default.key", "main")
        .set("emrkeys.rule.audit.prefix", "s3://lake/audit/")
        .set("emrkeys.rule.audit.key", "audit")
        .set("fs.s3.cse.materialsDescription.enabled", "true")
}

fn symmetric(materials: &Materials) -> u8 {
    match &materials.key {
        MaterialKey::Symmetric { bytes, .. } => bytes.expose_secret()[0],
        other => panic!("{other:?}"),
    }
}

fn value<'a>(materials: &'a Materials, name: &str) -> Option<&'a str> {
    materials.description.get(name)
}

fn code(result: Result<Materials, Error>) -> Code {
    result.unwrap_err().code()
}

/// The materials on decryption of an object with the description of `written`.
fn read(provider: &Provider, written: &Materials) -> Result<Materials, Error> {
    let request = Request::Description(written.description.clone());
    provider.materials(request).map(|materials| materials.unwrap())
}

#[test]
fn a_write_gets_the_key_of_its_prefix_and_is_read_back_by_what_was_stored() {
    let provider = two_keys().open();
    for (path, key, byte) in [("s3://lake/audit/x", "audit", 2), ("s3a://lake/other", "main", 1)] {
        let written = provider
            .ask(Some(&[("Path", path), ("JobflowId", "j-1")]))
            .unwrap();
        assert_eq!(
            (value(&written, "emrkeys.key"), symmetric(&written)),
            (Some(key), byte)
        );
        let names: Vec<&str> = written.description.iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["emrkeys.key", "emrkeys.version"],
            "the location is not stored"
        );
        assert_eq!(symmetric(&read(&provider, &written).unwrap()), byte);
    }
    let copied = provider
        .ask(Some(&[("Path", "s3://lake/x"), ("DstPath", "s3://lake/audit/x")]))
        .unwrap();
    assert_eq!(symmetric(&copied), 2);
    assert_eq!(symmetric(&provider.ask(None).unwrap()), 1);
}

#[test]
fn decryption_never_depends_on_todays_rules() {
    let written = two_keys()
        .open()
        .ask(Some(&[("Path", "s3://lake/audit/x")]))
        .unwrap();
    let no_rules = Fixture::new()
        .aes("audit", 2)
        .aes("main", 1)
        .set("emrkeys.default.key", "main")
        .open();
    assert_eq!(symmetric(&read(&no_rules, &written).unwrap()), 2);
    // A stored description decides even where a location stands beside it.
    let mut stored: Vec<(&str, &str)> = written.description.iter().collect();
    stored.push(("Path", "s3://lake/elsewhere"));
    assert_eq!(symmetric(&no_rules.ask(Some(&stored)).unwrap()), 2);
}

#[test]
fn a_write_that_nothing_covers_is_refused() {
    let mut fixture = two_keys();
    fixture.settings.remove("emrkeys.default.key");
    let provider = fixture.open();
    assert_eq!(code(provider.ask(Some(&[("Path", "s3://lake/x")]))), Code::NoRule);
    assert_eq!(code(provider.ask(None)), Code::NoRule);
    assert_eq!(code(provider.ask(Some(&[("Path", "no uri")]))), Code::InvalidUri);
    assert_eq!(
        code(provider.ask(Some(&[("Path", "s3://LAKE/x")]))),
        Code::InvalidUri
    );
}

#[test]
fn an_object_of_an_unknown_key_or_version_is_refused_by_name() {
    let provider = two_keys().open();
    let unknown = provider.ask(Some(&[("emrkeys.key", "gone"), ("emrkeys.version", "fp1-0")]));
    assert_eq!(code(unknown), Code::KeyNotConfigured);
    let version = provider.ask(Some(&[("emrkeys.key", "main"), ("emrkeys.version", "fp1-0")]));
    assert_eq!(code(version), Code::KeyVersionUnknown);
    assert_eq!(
        code(provider.ask(Some(&[("emrkeys.key", "main")]))),
        Code::InvalidDescription
    );
    assert_eq!(
        code(provider.ask(Some(&[("emrkeys.version", "fp1-0")]))),
        Code::InvalidDescription
    );
}

#[test]
fn a_swapped_key_under_the_same_name_is_noticed() {
    let written = two_keys().open().ask(None).unwrap();
    let swapped = Fixture::new()
        .aes("main", 9)
        .set("emrkeys.default.key", "main")
        .open();
    assert_eq!(code(read(&swapped, &written)), Code::KeyVersionUnknown);
    // New objects are under the key that is there now: their version says so.
    let new = swapped.ask(None).unwrap();
    assert_ne!(new.description.version(), written.description.version());
    assert_eq!(symmetric(&new), 9);
}

#[test]
fn older_versions_decrypt_and_the_first_encrypts() {
    let old = Fixture::new()
        .aes("main", 1)
        .set("emrkeys.default.key", "main")
        .open();
    let written = old.ask(None).unwrap();
    let rotated = Fixture::new()
        .aes("main", 2)
        .aes("main-1", 1)
        .set("emrkeys.key.main.previous", "main-1")
        .set("emrkeys.default.key", "main")
        .open();
    assert_eq!(symmetric(&read(&rotated, &written).unwrap()), 1);
    let renewed = rotated.ask(None).unwrap();
    assert_eq!(symmetric(&renewed), 2);
    assert_eq!(symmetric(&read(&rotated, &renewed).unwrap()), 2);
    assert_eq!(code(read(&old, &renewed)), Code::KeyVersionUnknown);
}

#[test]
fn a_renamed_key_keeps_its_objects() {
    let written = Fixture::new()
        .aes("main", 1)
        .set("emrkeys.default.key", "main")
        .open()
        .ask(None)
        .unwrap();
    let renamed = Fixture::new()
        .aes("core", 1)
        .set("emrkeys.key.core.aliases", "main, other")
        .open();
    assert_eq!(symmetric(&read(&renamed, &written).unwrap()), 1);
}

#[test]
fn an_rsa_pair_gives_both_halves_and_a_public_key_only_encrypts() {
    let both = Fixture::new()
        .rsa("pair", true)
        .set("emrkeys.default.key", "pair");
    let written = both.open().ask(None).unwrap();
    assert!(matches!(
        &written.key,
        MaterialKey::KeyPair { private: Some(_), .. }
    ));
    assert!(value(&written, "emrkeys.version").unwrap().starts_with("fp1-"));

    let mut public_only = both;
    public_only.settings.remove("emrkeys.key.pair.private");
    let provider = public_only.open();
    let same = provider.ask(None).unwrap();
    assert!(matches!(&same.key, MaterialKey::KeyPair { private: None, .. }));
    assert_eq!(code(read(&provider, &written)), Code::KeyCannotDecrypt);
}

#[test]
fn halves_of_two_pairs_are_refused() {
    let fixture = Fixture::new()
        .rsa("a", true)
        .rsa("b", true)
        .set("emrkeys.default.key", "a");
    let other = fixture.settings["emrkeys.key.b.private"].clone();
    assert_eq!(
        fixture.set("emrkeys.key.a.private", &other).open_error(),
        Code::KeyPairMismatch
    );
}

#[test]
fn hostile_descriptions_are_refused() {
    let provider = two_keys().set("emrkeys.legacy.key", "main").open();
    let many = vec![("a", "b"); 10_000];
    assert_eq!(code(provider.ask(Some(&many))), Code::DescriptionTooLarge);
    let huge = "v".repeat(1 << 20);
    assert_eq!(
        code(provider.ask(Some(&[("emrkeys.key", huge.as_str())]))),
        Code::DescriptionTooLarge
    );
    assert_eq!(
        code(provider.ask(Some(&[("emrkeys.key", "main\u{7}")]))),
        Code::InvalidDescription
    );
}

#[test]
fn a_refresh_swaps_everything_or_nothing() {
    let fixture = two_keys();
    let provider = fixture.open();
    fixture.file("main", &[7; 32]);
    fixture.file("audit", &[8; 31]);
    let error = provider
        .refresh(
            Config::parse(Client::S3, &fixture.settings).unwrap(),
            &fixture.inputs,
        )
        .unwrap_err();
    assert_eq!(error.code(), Code::KeySize);
    assert_eq!(
        symmetric(&provider.ask(None).unwrap()),
        1,
        "the old key serves on"
    );
    fixture.file("audit", &[8; 32]);
    provider
        .refresh(
            Config::parse(Client::S3, &fixture.settings).unwrap(),
            &fixture.inputs,
        )
        .unwrap();
    assert_eq!(symmetric(&provider.ask(None).unwrap()), 7);
    assert_eq!(
        symmetric(&provider.ask(Some(&[("Path", "s3://lake/audit/x")])).unwrap()),
        8
    );
}

#[test]
fn every_key_that_does_not_load_is_reported() {
    let fixture = two_keys();
    fixture.file("main", &[7; 31]);
    fixture.file("audit", b"");
    let error = open(Client::S3, &fixture.settings, &fixture.inputs).unwrap_err();
    let codes: Vec<Code> = error.problems().map(|problem| problem.code).collect();
    assert_eq!(codes, [Code::KeyFileEmpty, Code::KeySize]);
}

#[test]
fn a_secret_comes_from_a_credential_and_not_from_a_site_file() {
    let with = |value: Option<InputValue>| {
        let mut fixture = Fixture::new()
            .set("emrkeys.key.main.type", "aes")
            .set("emrkeys.key.main.credential", "main.key")
            .set("emrkeys.default.key", "main");
        fixture
            .inputs
            .extend(value.map(|value| (InputRef::Credential("main.key".into()), value)));
        fixture
    };
    let found = |plaintext| {
        Some(InputValue::Found {
            bytes: hex::encode([5; 16]).into_bytes().into(),
            plaintext,
            mode: None,
        })
    };
    assert_eq!(
        Config::parse(Client::S3, &with(None).settings)
            .unwrap()
            .required_inputs(),
        [InputRef::Credential("main.key".into())]
    );
    assert_eq!(symmetric(&with(found(false)).open().ask(None).unwrap()), 5);
    assert_eq!(with(found(true)).open_error(), Code::PlaintextSecret);
    with(found(true))
        .set("emrkeys.allow-plaintext-secrets", "true")
        .open();
    assert_eq!(with(None).open_error(), Code::CredentialNotFound);
    assert_eq!(
        with(Some(InputValue::Missing)).open_error(),
        Code::CredentialNotFound
    );
    assert_eq!(
        with(Some(InputValue::Failed("broken".into()))).open_error(),
        Code::SourceUnavailable
    );
}

#[test]
fn local_disks_get_the_same_key_every_time_under_the_name_of_the_release() {
    let fixture = two_keys().aes("disk", 3).set("emrkeys.local-disk.key", "disk");
    for (release, algorithm) in [("emr-7.0.0", "AES/GCM/NoPadding"), ("emr-7.1.0", "AES")] {
        let mut settings = fixture.settings.clone();
        settings.insert("emrkeys.local-disk.emr-release".into(), release.into());
        let (provider, report) = open(Client::LocalDisk, &settings, &Inputs::new()).unwrap();
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        let written = provider.ask(None).unwrap();
        for materials in [
            &written,
            &read(&provider, &written).unwrap(),
            &provider.ask(Some(&[])).unwrap(),
        ] {
            assert!(matches!(&materials.key, MaterialKey::Symmetric { algorithm: a, .. } if *a == algorithm));
            assert_eq!(symmetric(materials), 3);
        }
        assert_eq!(
            code(provider.ask(Some(&[("who", "knows")]))),
            Code::DescriptionUnknown
        );
        let of_s3 = provider.ask(Some(&[("emrkeys.key", "main"), ("emrkeys.version", "fp1-0")]));
        assert_eq!(code(of_s3), Code::KeyNotConfigured);
    }
}

#[test]
fn nothing_secret_shows_in_debug_output_or_reports() {
    let canary = b"CANARYCANARYCANARYCANARYCANARY!!";
    let fixture = Fixture::new().aes("main", 0).set("emrkeys.default.key", "main");
    fixture.file("main", &[&canary[..], b"?"].concat());
    let error = open(Client::S3, &fixture.settings, &fixture.inputs).unwrap_err();
    fixture.file("main", canary);
    let fixture = fixture.set("emrkeys.key.main.encoding", "raw");
    let (provider, report) = open(Client::S3, &fixture.settings, &fixture.inputs).unwrap();
    let materials = provider.ask(None).unwrap();
    let shown = format!("{error} {error:?} {provider:?} {report:?} {materials:?}");
    let hex = hex::encode(canary);
    assert!(
        !shown.contains("CANARY") && !shown.contains(&hex[..16]) && !shown.contains("67, 65, 78"),
        "{shown}"
    );
}

#[test]
fn the_start_up_line_names_keys_and_rules() {
    let fixture = two_keys();
    let (_, report) = open(Client::S3, &fixture.settings, &fixture.inputs).unwrap();
    assert_eq!(
        report.summary,
        format!(
            "emrkeys {} for S3: keys audit (aes), main (aes); rules audit -> audit; default main",
            crate::VERSION
        )
    );
}

const GCM: &str = "AES/GCM/NoPadding";

#[test]
fn s3a_says_where_it_writes_and_nothing_of_the_key_is_decoded() {
    let fixture = two_keys();
    let (provider, _) = open(Client::S3a, &fixture.settings, &fixture.inputs).unwrap();
    let key_of = |key: &str| {
        let written = provider
            .materials(Request::Write { bucket: "lake", key })
            .unwrap()
            .unwrap();
        value(&written, "emrkeys.key").unwrap().to_owned()
    };
    assert_eq!(key_of("audit/a"), "audit");
    assert_eq!(key_of("%61udit/a"), "main");
    assert_eq!(key_of("_temporary/0/_temporary/attempt_1/audit/a"), "audit");
}

#[test]
fn a_read_of_s3a_is_never_taken_for_a_write() {
    let fixture = two_keys();
    let (provider, _) = open(Client::S3a, &fixture.settings, &fixture.inputs).unwrap();
    let read = |stored: &[(&str, &str)], wrap: &str| {
        provider
            .materials(Request::Read {
                stored: stored.iter().copied().collect(),
                wrap,
                content: GCM,
                object: None,
            })
            .map(Option::unwrap)
    };
    let path = [("Path", "s3://lake/audit/a")];
    assert_eq!(code(read(&path, "AES/GCM")), Code::DescriptionUnknown);
    let stored = [("emrkeys.key", "audit"), ("Path", "s3://lake/raw/a")];
    let version = provider
        .materials(Request::Write {
            bucket: "lake",
            key: "audit/a",
        })
        .unwrap()
        .unwrap();
    let version = value(&version, "emrkeys.version").unwrap();
    let stored = [&stored[..], &[("emrkeys.version", version)]].concat();
    assert!(read(&stored, "AES/GCM").is_ok());
    assert_eq!(code(read(&stored, "AESWrap")), Code::LegacyWrap);
}

#[test]
fn no_line_of_the_audit_log_is_lost_while_the_configuration_is_refreshed() {
    const THREADS: usize = 8;
    const REQUESTS: usize = 2000;
    let fixture = two_keys().set("emrkeys.audit", "log");
    let provider = fixture.open();
    let logged = std::sync::atomic::AtomicUsize::new(0);
    let count = |lines: Vec<String>| logged.fetch_add(lines.len(), std::sync::atomic::Ordering::Relaxed);
    let running = std::sync::atomic::AtomicUsize::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..REQUESTS {
                    assert!(provider.ask(None).is_ok());
                    count(provider.take_audit());
                }
                running.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            });
        }
        while running.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            provider
                .refresh(
                    Config::parse(Client::S3, &fixture.settings).unwrap(),
                    &fixture.inputs,
                )
                .unwrap();
        }
    });
    count(provider.take_audit());
    assert_eq!(logged.into_inner(), THREADS * REQUESTS);
}
