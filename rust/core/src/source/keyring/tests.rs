use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::Source;
use crate::config::loader::Loader;
use crate::config::KeyKind;
use crate::keyring::{Access, Change, Editor, Protection};
use crate::{
    Client, Code, Config, Error, Inputs, MaterialKey, Materials, Provider, Report, Request, Settings,
    StoredDescription,
};

fn open(client: Client, settings: &Settings, inputs: &Inputs) -> Result<(Provider, Report), Error> {
    Provider::open(Config::parse(client, settings)?, inputs)
}

/// A folder with a keyring and the file that protects it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Place {
            folder: TempDir::new().unwrap(),
        };
        place.key_file("master", 7);
        place.editor().create("lake").unwrap().write().unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn document(&self) -> PathBuf {
        self.path("lake.keyring")
    }

    fn key_file(&self, name: &str, byte: u8) {
        use std::io::Write;
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.path(name))
            .unwrap();
        file.write_all(&[byte; 32]).unwrap();
    }

    fn protection(&self, name: &str) -> Protection {
        Protection {
            files: vec![uri(&self.path(name))],
            ..Protection::default()
        }
    }

    fn editor(&self) -> Editor {
        Editor::new(
            &uri(&self.document()),
            &Access::default(),
            &self.protection("master"),
        )
        .unwrap()
    }

    fn change(&self, change: Change) {
        self.editor().change(&change).unwrap().write().unwrap();
    }

    fn settings(&self, more: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::from(
            [
                ("emrkeys.key.lake.type", "keyring"),
                ("emrkeys.default.key", "lake"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        settings.insert("emrkeys.key.lake.uri".to_owned(), uri(&self.document()));
        settings.insert(
            "emrkeys.key.lake.protector-file".to_owned(),
            uri(&self.path("master")),
        );
        settings.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        settings
    }

    fn open(&self, more: &[(&str, &str)]) -> Result<Provider, Code> {
        open(Client::S3, &self.settings(more), &Inputs::new())
            .map(|(provider, _)| provider)
            .map_err(|error| error.code())
    }
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn write(provider: &Provider) -> Materials {
    provider.materials(Request::NoArgument).unwrap().unwrap()
}

fn read(provider: &Provider, stored: &Materials) -> Result<Vec<u8>, Code> {
    match provider.materials(Request::Description(stored.description.clone())) {
        Ok(found) => Ok(bytes(&found.unwrap())),
        Err(error) => Err(error.code()),
    }
}

fn bytes(materials: &Materials) -> Vec<u8> {
    match &materials.key {
        MaterialKey::Symmetric { bytes, .. } => bytes.expose_secret().to_vec(),
        other => panic!("{other:?}"),
    }
}

fn version(materials: &Materials) -> &str {
    materials.description.version().unwrap()
}

#[track_caller]
fn eventually(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(10), "it did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_active_version_encrypts_and_the_stored_one_decrypts() {
    let place = Place::new();
    let writer = place.open(&[]).unwrap();
    let first = write(&writer);
    assert_eq!(read(&writer, &first), Ok(bytes(&first)));
    place.change(Change::Rotate);
    let other = place.open(&[]).unwrap();
    let second = write(&other);
    assert_ne!(version(&first), version(&second));
    assert_ne!(bytes(&first), bytes(&second));
    assert_eq!(read(&other, &first), Ok(bytes(&first)));
    // The running process meets a version that it has not heard of, looks, and finds it.
    assert_eq!(read(&writer, &second), Ok(bytes(&second)));
    assert_eq!(version(&write(&writer)), version(&second));
}

#[test]
fn a_rotation_is_taken_over_by_age_alone() {
    let place = Place::new();
    let provider = place.open(&[("emrkeys.keyring.max-age", "1s")]).unwrap();
    let first = write(&provider);
    place.change(Change::Rotate);
    eventually(|| version(&write(&provider)) != version(&first));
    place.change(Change::Disable("1".to_owned()));
    eventually(|| read(&provider, &first) == Err(Code::KeyVersionDisabled));
}

#[test]
fn states_decide() {
    let place = Place::new();
    let first = write(&place.open(&[]).unwrap());
    place.change(Change::Rotate);
    let code = || read(&place.open(&[]).unwrap(), &first);
    assert_eq!(code(), Ok(bytes(&first)));
    place.change(Change::Disable("1".to_owned()));
    assert_eq!(code(), Err(Code::KeyVersionDisabled));
    place.change(Change::Enable("1".to_owned()));
    assert_eq!(code(), Ok(bytes(&first)));
    place.change(Change::Disable("1".to_owned()));
    place.change(Change::Destroy("1".to_owned()));
    assert_eq!(code(), Err(Code::KeyVersionDestroyed));
}

#[test]
fn an_unknown_version_is_looked_for_once_in_a_while() {
    let place = Place::new();
    let provider = place.open(&[]).unwrap();
    let mut stored = write(&provider);
    stored.description =
        StoredDescription::from_iter([("emrkeys.key", "lake"), ("emrkeys.version", "9-0123456789abcdef")]);
    assert_eq!(read(&provider, &stored), Err(Code::KeyVersionUnknown));
    let start = Instant::now();
    for _ in 0..1000 {
        assert_eq!(read(&provider, &stored), Err(Code::KeyVersionUnknown));
    }
    assert!(start.elapsed() < Duration::from_secs(1), "believed not to exist");
    stored.description = StoredDescription::from_iter([("emrkeys.key", "lake")]);
    assert_eq!(read(&provider, &stored), Err(Code::InvalidDescription));
}

#[test]
fn a_reading_that_failed_for_a_request_with_less_time_is_made_again() {
    let place = Place::new();
    let provider = place.open(&[]).unwrap();
    place.change(Change::Rotate);
    let written = write(&place.open(&[]).unwrap());
    let elsewhere = place.path("elsewhere");
    fs::rename(place.document(), &elsewhere).unwrap();
    let hasty = crate::waiting::within(Duration::from_secs(1), || read(&provider, &written));
    assert_eq!(hasty, Err(Code::KeyVersionUnknown));
    fs::rename(&elsewhere, place.document()).unwrap();
    assert_eq!(read(&provider, &written).unwrap(), bytes(&written));
}

#[test]
fn a_request_waits_for_the_reading_of_another_thread_no_longer_than_it_may_take() {
    let place = Place::new();
    let inputs = Inputs::new();
    let config = Config::parse(Client::S3, &place.settings(&[("emrkeys.kms.deadline", "1s")])).unwrap();
    let mut loader = Loader {
        config: &config,
        inputs: &inputs,
        warnings: Vec::new(),
    };
    let KeyKind::Keyring(own) = &config.keys["lake"].kind else {
        unreachable!()
    };
    let key = super::load("lake", own, &mut loader).unwrap();
    place.change(Change::Rotate);
    let stored = write(&place.open(&[]).unwrap()).description;
    let reading = key.shared.readings.lead(&(), Duration::from_secs(1)).unwrap();
    let refused = key.for_decryption(stored.clone()).unwrap_err();
    assert_eq!(refused.code, Code::KeyVersionUnknown);
    drop(reading);
    key.for_decryption(stored).unwrap();
}

#[test]
fn a_process_goes_on_with_what_it_has_and_a_new_one_refuses() {
    type Damage = fn(&Place, &[u8]);
    let damages: [(Damage, Code); 5] = [
        (
            |place, _| fs::remove_file(place.document()).unwrap(),
            Code::KeyFileNotFound,
        ),
        (
            |place, good| fs::write(place.document(), &good[..good.len() / 2]).unwrap(),
            Code::KeyringInvalid,
        ),
        (
            |place, _| fs::write(place.document(), b"").unwrap(),
            Code::KeyFileEmpty,
        ),
        (
            |place, good| {
                let text = String::from_utf8(good.to_vec()).unwrap();
                fs::write(
                    place.document(),
                    text.replace("\"generation\": 2", "\"generation\": 3"),
                )
                .unwrap();
            },
            Code::KeyringNotAuthentic,
        ),
        (
            |place, _| {
                let other = Place::new();
                fs::copy(other.document(), place.document()).unwrap();
            },
            Code::KeyringRolledBack,
        ),
    ];
    for (damage, code) in damages {
        let place = Place::new();
        place.change(Change::Rotate);
        let good = fs::read(place.document()).unwrap();
        let running = place.open(&[("emrkeys.keyring.max-age", "1s")]).unwrap();
        let stored = write(&running);
        damage(&place, &good);
        assert_eq!(place.open(&[]).unwrap_err(), code);
        std::thread::sleep(Duration::from_millis(1200));
        assert_eq!(read(&running, &stored), Ok(bytes(&stored)));
        let refreshed = running.refresh(
            Config::parse(Client::S3, &place.settings(&[])).unwrap(),
            &Inputs::new(),
        );
        assert_eq!(refreshed.unwrap_err().code(), code);
        assert_eq!(version(&write(&running)), version(&stored));
        // Repaired, it is taken over again.
        fs::write(place.document(), &good).unwrap();
        place.change(Change::Rotate);
        eventually(|| version(&write(&running)) != version(&stored));
    }
}

#[test]
fn a_rolled_back_keyring_is_refused_by_memory_and_by_configuration() {
    let place = Place::new();
    let old = fs::read(place.document()).unwrap();
    place.change(Change::Rotate);
    let running = place.open(&[]).unwrap();
    let stored = write(&running);
    fs::write(place.document(), &old).unwrap();
    assert_eq!(place.open(&[]).unwrap_err(), Code::KeyringRolledBack);
    assert_eq!(read(&running, &stored), Ok(bytes(&stored)));

    let other = Place::new();
    let minimum = ("emrkeys.key.lake.min-generation", "2");
    assert_eq!(other.open(&[minimum]).unwrap_err(), Code::KeyringRolledBack);
    other.change(Change::Rotate);
    other.open(&[minimum]).unwrap();
}

#[test]
fn another_content_with_the_same_counter_is_refused() {
    let place = Place::new();
    let start = fs::read(place.document()).unwrap();
    place.change(Change::Rotate);
    place.open(&[]).unwrap();
    fs::write(place.document(), &start).unwrap();
    place.change(Change::Rotate);
    assert_eq!(place.open(&[]).unwrap_err(), Code::KeyringRolledBack);
}

#[test]
fn a_rewrapped_keyring_needs_its_new_protector() {
    let place = Place::new();
    place.key_file("second", 8);
    let second = uri(&place.path("second"));
    let both = format!("{}, {second}", uri(&place.path("master")));
    let prepared = place.open(&[("emrkeys.key.lake.protector-file", &both)]).unwrap();
    let stored = write(&prepared);
    place.change(Change::Rewrap(place.protection("second")));
    assert_eq!(place.open(&[]).unwrap_err(), Code::KeyringProtector);
    let after = place
        .open(&[("emrkeys.key.lake.protector-file", &second)])
        .unwrap();
    assert_eq!(read(&after, &stored), Ok(bytes(&stored)));
    let settings = place.settings(&[("emrkeys.key.lake.protector-file", &both)]);
    prepared
        .refresh(Config::parse(Client::S3, &settings).unwrap(), &Inputs::new())
        .unwrap();
    assert_eq!(read(&prepared, &stored), Ok(bytes(&stored)));
}

#[test]
fn a_configured_key_protects_as_do_its_older_versions() {
    let place = Place::new();
    place.key_file("newer", 9);
    let (master, newer) = (uri(&place.path("master")), uri(&place.path("newer")));
    let by_key = |file: &str, more: &[(&str, &str)]| {
        let mut settings = place.settings(&[
            ("emrkeys.key.lake.protector-key", "master"),
            ("emrkeys.key.master.type", "aes"),
            ("emrkeys.key.master.file", file),
        ]);
        settings.remove("emrkeys.key.lake.protector-file");
        settings.extend(more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        open(Client::S3, &settings, &Inputs::new()).map_err(|error| error.code())
    };
    by_key(&master, &[]).unwrap();
    assert_eq!(by_key(&newer, &[]).unwrap_err(), Code::KeyringProtector);
    let older = [
        ("emrkeys.key.master.previous", "old"),
        ("emrkeys.key.old.type", "aes"),
        ("emrkeys.key.old.file", master.as_str()),
    ];
    by_key(&newer, &older).unwrap();
}

#[test]
fn the_name_is_that_of_the_key_or_an_older_one() {
    let place = Place::new();
    let mut settings = place.settings(&[("emrkeys.default.key", "sea")]);
    for field in ["type", "uri", "protector-file"] {
        let value = settings.remove(&format!("emrkeys.key.lake.{field}")).unwrap();
        settings.insert(format!("emrkeys.key.sea.{field}"), value);
    }
    let open = |settings: &Settings| open(Client::S3, settings, &Inputs::new()).map_err(|error| error.code());
    assert_eq!(open(&settings).unwrap_err(), Code::KeyringInvalid);
    settings.insert("emrkeys.key.sea.aliases".to_owned(), "lake".to_owned());
    open(&settings).unwrap();
}

#[test]
fn a_keyring_that_everybody_may_write_is_refused() {
    let place = Place::new();
    fs::set_permissions(place.document(), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(place.open(&[]).unwrap_err(), Code::KeyFilePermissions);
    fs::set_permissions(place.document(), fs::Permissions::from_mode(0o644)).unwrap();
    place.open(&[]).unwrap();
}

#[test]
fn objects_of_others_are_not_a_keyrings() {
    let place = Place::new();
    let provider = place.open(&[("emrkeys.key.lake.match.owner", "me")]).unwrap();
    let error = provider
        .materials(Request::Description(StoredDescription::from_iter([(
            "owner", "me",
        )])))
        .unwrap_err();
    assert_eq!(error.code(), Code::DescriptionUnknown);
}

#[test]
fn of_two_operators_one_is_told() {
    let place = Place::new();
    let (one, other) = (place.editor(), place.editor());
    let (first, second) = (
        one.change(&Change::Rotate).unwrap(),
        other.change(&Change::Rotate).unwrap(),
    );
    first.write().unwrap();
    assert_eq!(second.write().unwrap_err().code(), Code::KeyringChanged);
    assert_eq!(place.editor().read().unwrap().generation, 2);
    assert_eq!(
        place.editor().create("lake").unwrap_err().code(),
        Code::KeyringChanged
    );
}

#[test]
fn many_operators_at_once_lose_no_change() {
    let place = Place::new();
    let written: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let tries = (0..20).filter(|_| {
                        let editor = place.editor();
                        let edit = editor.change(&Change::Rotate).unwrap();
                        match edit.write() {
                            Ok(_) => true,
                            // Changed meanwhile; or, on a busy machine, the lock of the folder was not had in time.
                            Err(error)
                                if matches!(error.code(), Code::KeyringChanged | Code::SourceUnavailable) =>
                            {
                                false
                            }
                            Err(error) => panic!("{error}"),
                        }
                    });
                    tries.count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(written > 0);
    let summary = place.editor().read().unwrap();
    assert_eq!(summary.versions.len(), written + 1);
    assert!(summary.authentic);
    let left: Vec<_> = fs::read_dir(place.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn who_could_read_the_keyring_still_can_after_a_change() {
    let place = Place::new();
    let mode = || fs::metadata(place.document()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    fs::set_permissions(place.document(), fs::Permissions::from_mode(0o640)).unwrap();
    place.change(Change::Rotate);
    assert_eq!(mode(), 0o640);
}

#[test]
fn many_threads_write_and_read_while_the_keyring_rotates() {
    let place = Place::new();
    let provider = place.open(&[("emrkeys.keyring.max-age", "1s")]).unwrap();
    let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let count = || seen.lock().unwrap().len();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let start = Instant::now();
                while count() < 3 && start.elapsed() < Duration::from_secs(30) {
                    let stored = write(&provider);
                    assert_eq!(read(&provider, &stored), Ok(bytes(&stored)));
                    seen.lock().unwrap().insert(version(&stored).to_owned());
                }
            });
        }
        for rotations in 1..3 {
            eventually(|| count() == rotations);
            place.change(Change::Rotate);
        }
    });
    assert_eq!(count(), 3);
}
