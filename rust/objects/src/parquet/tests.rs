use std::fs;
use std::os::unix::fs::PermissionsExt;

use emrkeys_core::{Client, Config, Inputs, Settings, StoredDescription};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Files that PyArrow 26 wrote under two AES keys, 32 bytes `07` for `lake` and `08` for `cards`, with a key of `cards`
/// for column `card`, a key of `lake` for column `name`, and column `id` in the clear.
const ENCRYPTED: &[u8] = include_bytes!("../../tests/data/encrypted-footer.parquet");
const SIGNED: &[u8] = include_bytes!("../../tests/data/signed-footer.parquet");

struct File<'a>(&'a [u8]);

impl ParquetSource for File<'_> {
    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        Ok(self.0[offset as usize..][..length as usize].to_vec())
    }

    fn key_material(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }
}

fn look(file: &[u8], provider: Option<&Provider>) -> Result<Option<EncryptedParquet>, Error> {
    encrypted_parquet(&File(file), file.len() as u64, provider)
}

/// A provider with these keys.
fn provider(folder: &TempDir, keys: &[(&str, u8)]) -> Provider {
    let mut settings = Settings::new();
    for (name, byte) in keys {
        let path = folder.path().join(name);
        fs::write(&path, [*byte; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        settings.insert(format!("emrkeys.key.{name}.type"), "aes".to_owned());
        settings.insert(
            format!("emrkeys.key.{name}.file"),
            format!("file://{}", path.display()),
        );
    }
    let config = Config::parse(Client::Tables, &settings).unwrap();
    Provider::open(config, &Inputs::new()).unwrap().0
}

/// For each key: whether it protects the footer, its columns, its name, and whether it unwraps.
type Summary = (bool, String, String, Option<bool>);

fn summary(found: &EncryptedParquet) -> Vec<Summary> {
    let summary = |key: &ParquetKey| {
        let material = key.material.as_ref().unwrap();
        let version = material.description.as_ref().and_then(StoredDescription::version);
        assert!(version.unwrap().starts_with("fp1-"));
        let readable = key.readable.as_ref().map(Result::is_ok);
        (
            key.footer,
            key.columns.join(","),
            material.master_key.clone(),
            readable,
        )
    };
    found.keys.iter().map(summary).collect()
}

fn of(footer: bool, columns: &str, key: &str, readable: Option<bool>) -> Summary {
    (footer, columns.to_owned(), key.to_owned(), readable)
}

#[test]
fn an_encrypted_footer_names_its_key_and_shows_the_columns_to_those_who_have_it() {
    let found = look(ENCRYPTED, None).unwrap().unwrap();
    assert_eq!(
        (found.footer, found.algorithm),
        (FooterKind::Encrypted, "AES_GCM_V1")
    );
    assert_eq!(summary(&found), [of(true, "", "lake", None)]);
    assert!(matches!(found.columns_unknown, Some(None)));
    assert!(found.keys[0].material.as_ref().unwrap().is_double());

    let folder = TempDir::new().unwrap();
    let found = look(ENCRYPTED, Some(&provider(&folder, &[("lake", 7)])))
        .unwrap()
        .unwrap();
    let mut keys = summary(&found);
    keys.sort();
    assert_eq!(
        keys,
        [
            of(false, "card", "cards", Some(false)),
            of(false, "name", "lake", Some(true)),
            of(true, "", "lake", Some(true)),
        ]
    );
    assert!(found.columns_unknown.is_none());

    let other = provider(&TempDir::new().unwrap(), &[("cards", 8)]);
    let found = look(ENCRYPTED, Some(&other)).unwrap().unwrap();
    let Some(Some(why)) = &found.columns_unknown else {
        panic!("{found:?}")
    };
    assert_eq!(why.code(), Code::KeyNotConfigured);
}

#[test]
fn a_signed_footer_shows_everything() {
    let found = look(SIGNED, None).unwrap().unwrap();
    assert_eq!(
        (found.footer, found.algorithm),
        (FooterKind::Signed, "AES_GCM_CTR_V1")
    );
    assert_eq!(found.keys.len(), 3);
    assert!(!found.keys[0].material.as_ref().unwrap().is_double());
    let folder = TempDir::new().unwrap();
    let both = provider(&folder, &[("lake", 7), ("cards", 8)]);
    let found = look(SIGNED, Some(&both)).unwrap().unwrap();
    assert!(summary(&found).iter().all(|key| key.3 == Some(true)), "{found:?}");
}

#[test]
fn other_files_are_no_encrypted_ones() {
    for other in [
        &b""[..],
        b"PAR1",
        b"PAR1\x00\x00\x00\x00PAR2",
        b"\x00\x00\x01\x00\x00\x00PAR1",
    ] {
        assert!(look(other, None).unwrap().is_none(), "{other:?}");
    }
}

#[test]
fn a_footer_cut_short_is_malformed() {
    let mut long = ENCRYPTED.to_vec();
    let at = long.len() - 8;
    long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut short = ENCRYPTED.to_vec();
    short[at..at + 4].copy_from_slice(&9_u32.to_le_bytes());
    for file in [long, short] {
        assert_eq!(look(&file, None).unwrap_err().code(), Code::InvalidEnvelope);
    }
}

proptest! {
    #[test]
    fn a_changed_footer_is_read_or_refused(at in 0_usize..1800, byte in any::<u8>(), signed in any::<bool>()) {
        let mut file = if signed { SIGNED } else { ENCRYPTED }.to_vec();
        let at = file.len() - 9 - at;
        file[at] = byte;
        let folder = TempDir::new().unwrap();
        let _ = look(&file, Some(&provider(&folder, &[("lake", 7), ("cards", 8)])));
    }
}
