use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::keyring::{Access, Change, Editor, Protection};
use crate::table_key::TableKind::{Iceberg, Parquet};
use crate::{Client, Code, Config, Error, Inputs, Provider, Settings};

const KEY: [u8; 16] = [42; 16];

/// A keyring `lake`, an AES key `footer` whose older version is `footer-old`, and an RSA pair and a KMS key.
struct Place {
    folder: TempDir,
    settings: Settings,
}

impl Place {
    fn new() -> Self {
        let mut place = Place {
            folder: TempDir::new().unwrap(),
            settings: Settings::new(),
        };
        for (name, byte) in [("master", 7), ("footer", 1), ("footer-old", 2)] {
            place.file(name, &[byte; 32]);
        }
        place.editor().create("lake").unwrap().write().unwrap();
        let uri = |name| place.uri(name);
        let pairs = [
            ("emrkeys.key.lake.type", "keyring".to_owned()),
            ("emrkeys.key.lake.uri", uri("lake.keyring")),
            ("emrkeys.key.lake.protector-file", uri("master")),
            ("emrkeys.key.footer.type", "aes".to_owned()),
            ("emrkeys.key.footer.file", uri("footer")),
            ("emrkeys.key.k.type", "kms".to_owned()),
            ("emrkeys.key.k.kms-key-id", "alias/k".to_owned()),
        ];
        place.settings = pairs.map(|(name, value)| (name.to_owned(), value)).into();
        place
    }

    fn file(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn uri(&self, name: &str) -> String {
        format!("file://{}", self.folder.path().join(name).display())
    }

    fn set(mut self, property: &str, value: &str) -> Self {
        self.settings.insert(property.to_owned(), value.to_owned());
        self
    }

    fn editor(&self) -> Editor {
        let protection = Protection {
            files: vec![self.uri("master")],
            ..Protection::default()
        };
        Editor::new(&self.uri("lake.keyring"), &Access::default(), &protection).unwrap()
    }

    fn change(&self, change: Change) {
        self.editor().change(&change).unwrap().write().unwrap();
    }

    fn open(&self) -> Provider {
        let config = Config::parse(Client::Tables, &self.settings).unwrap();
        Provider::open(config, &Inputs::new()).unwrap().0
    }
}

fn code<T>(result: Result<T, Error>) -> Code {
    result.map(drop).unwrap_err().code()
}

#[test]
fn a_key_comes_back_by_its_name_and_under_no_other() {
    let place = Place::new();
    let provider = place.open();
    for name in ["lake", "footer"] {
        for kind in [Parquet, Iceberg] {
            let wrapped = provider.wrap_table_key(kind, name, &KEY).unwrap();
            assert_eq!(*provider.unwrap_table_key(kind, name, &wrapped).unwrap(), KEY);
            // `rule:` says nothing of the key on a read.
            assert_eq!(
                *provider
                    .unwrap_table_key(kind, "rule:s3://b/x", &wrapped)
                    .unwrap(),
                KEY
            );
            let other = if kind == Parquet { Iceberg } else { Parquet };
            let refused = provider.unwrap_table_key(other, name, &wrapped);
            assert_eq!(code(refused), Code::WrappedKeyInvalid);
            for stranger in ["k", "nobody", ""] {
                let refused = provider.unwrap_table_key(kind, stranger, &wrapped);
                assert_eq!(code(refused), Code::WrappedKeyInvalid, "{stranger}");
            }
        }
    }
}

#[test]
fn keys_that_cannot_wrap_are_refused_by_what_they_are() {
    let place = Place::new();
    let provider = place.open();
    let refused = provider.wrap_table_key(Parquet, "k", &KEY).unwrap_err();
    assert_eq!(refused.code(), Code::KeyNotSymmetric);
    assert!(refused.to_string().contains("kms-cached"), "{refused}");
    let refused = provider.wrap_table_key(Parquet, "footr", &KEY).unwrap_err();
    assert_eq!(refused.code(), Code::UnknownKey);
    assert!(refused.to_string().contains("footer"), "{refused}");
    assert_eq!(
        code(provider.wrap_table_key(Parquet, "lake", &[1; 15])),
        Code::KeySize
    );
    assert_eq!(
        code(provider.wrap_table_key(Parquet, "lake", &[1; 33])),
        Code::KeySize
    );
}

#[test]
fn rules_choose_for_a_path_and_later_rules_change_nothing_that_was_written() {
    let place = Place::new()
        .set("emrkeys.rule.r.prefix", "s3://lake/sales/")
        .set("emrkeys.rule.r.key", "footer");
    let provider = place.open();
    let path = "rule:s3a://lake/sales/part-0.parquet";
    let wrapped = provider.wrap_table_key(Parquet, path, &KEY).unwrap();
    assert_eq!(
        *provider.unwrap_table_key(Parquet, "footer", &wrapped).unwrap(),
        KEY
    );
    let wrap = |path| code(provider.wrap_table_key(Parquet, path, &KEY));
    assert_eq!(wrap("rule:s3://lake/other/x"), Code::NoRule);
    assert_eq!(wrap("rule:hdfs://n/sales/x"), Code::InvalidUri);
    let place = place.set("emrkeys.rule.r.key", "lake");
    assert_eq!(
        *place.open().unwrap_table_key(Parquet, path, &wrapped).unwrap(),
        KEY
    );
}

#[test]
fn a_rotation_wraps_under_the_new_version_and_unwraps_both_until_one_is_disabled() {
    let place = Place::new();
    let first = place.open().wrap_table_key(Iceberg, "lake", &KEY).unwrap();
    place.change(Change::Rotate);
    let provider = place.open();
    let second = provider.wrap_table_key(Iceberg, "lake", &KEY).unwrap();
    let version = |wrapped: &[u8]| {
        let parsed = crate::table_key::WrappedTableKey::parse(wrapped).unwrap();
        parsed.description.version().unwrap().to_owned()
    };
    assert!(version(&first).starts_with("1-") && version(&second).starts_with("2-"));
    for wrapped in [&first, &second] {
        assert_eq!(*provider.unwrap_table_key(Iceberg, "lake", wrapped).unwrap(), KEY);
    }
    place.change(Change::Disable("1".to_owned()));
    let unwrap = |wrapped: &[u8]| place.open().unwrap_table_key(Iceberg, "lake", wrapped);
    assert_eq!(code(unwrap(&first)), Code::KeyVersionDisabled);
    assert!(unwrap(&second).is_ok());
    place.change(Change::Destroy("1".to_owned()));
    assert_eq!(code(unwrap(&first)), Code::KeyVersionDestroyed);
}

#[test]
fn an_older_aes_key_unwraps_while_it_is_configured_and_a_renamed_key_keeps_its_tables() {
    let place = Place::new();
    let wrapped = place.open().wrap_table_key(Parquet, "footer", &KEY).unwrap();
    let old = place.uri("footer");
    let new = place.uri("footer-old");
    let place = place.set("emrkeys.key.footer.file", &new);
    let unwrap = |place: &Place| place.open().unwrap_table_key(Parquet, "footer", &wrapped);
    assert_eq!(code(unwrap(&place)), Code::KeyVersionUnknown);
    let mut place = place
        .set("emrkeys.key.older.type", "aes")
        .set("emrkeys.key.older.file", &old)
        .set("emrkeys.key.footer.previous", "older");
    assert_eq!(*unwrap(&place).unwrap(), KEY);

    for field in ["type", "file", "previous"] {
        let value = place
            .settings
            .remove(&format!("emrkeys.key.footer.{field}"))
            .unwrap();
        place = place.set(&format!("emrkeys.key.feet.{field}"), &value);
    }
    assert_eq!(code(unwrap(&place)), Code::KeyNotConfigured);
    let place = place.set("emrkeys.key.feet.aliases", "footer");
    assert_eq!(*unwrap(&place).unwrap(), KEY);
    let provider = place.open();
    let again = provider.wrap_table_key(Parquet, "footer", &KEY).unwrap();
    assert_eq!(*provider.unwrap_table_key(Parquet, "feet", &again).unwrap(), KEY);
}

#[test]
fn a_key_out_of_reach_keeps_no_other_from_working_and_works_once_it_is_back() {
    let place = Place::new();
    let provider = place.open();
    let wrapped = provider.wrap_table_key(Parquet, "footer", &KEY).unwrap();
    fs::remove_file(place.folder.path().join("footer")).unwrap();
    let provider = place.open();
    let unwrap = || provider.unwrap_table_key(Parquet, "footer", &wrapped);
    assert_eq!(code(unwrap()), Code::KeyFileNotFound);
    assert!(provider.wrap_table_key(Parquet, "lake", &KEY).is_ok());
    place.file("footer", &[1; 32]);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while unwrap().is_err() {
        assert!(std::time::Instant::now() < end, "the key stays out of reach");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn the_audit_log_says_which_table_asked_for_which_version() {
    let place = Place::new();
    let log = place.folder.path().join("audit.log");
    let place = place.set("emrkeys.audit", &format!("file:{}", log.display()));
    let provider = place.open();
    let wrapped = provider.wrap_table_key(Parquet, "lake", &KEY).unwrap();
    provider.unwrap_table_key(Parquet, "lake", &wrapped).unwrap();
    provider.unwrap_table_key(Iceberg, "lake", &wrapped).unwrap_err();
    assert_eq!(
        lines(&log),
        [
            ("encrypt", "parquet", "lake", "keyring", "ok"),
            ("decrypt", "parquet", "lake", "keyring", "ok"),
            ("decrypt", "iceberg", "lake", "", "WRAPPED_KEY_INVALID"),
        ]
        .map(|line| <[&str; 5]>::from(line).map(str::to_owned))
    );
}

fn lines(log: &Path) -> Vec<[String; 5]> {
    let text = fs::read_to_string(log).unwrap();
    let line = |line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["version"].as_str().unwrap().starts_with("1-"));
        ["purpose", "table", "key", "source", "outcome"]
            .map(|field| line[field].as_str().unwrap_or_default().to_owned())
    };
    text.lines().map(line).collect()
}
