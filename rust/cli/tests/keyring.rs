//! `emrkeys keyring` as its binary, on local files. The end-to-end tests show it in S3.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Desk {
            folder: TempDir::new().unwrap(),
        };
        desk.key("master", &[7; 32]);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self, name: &str, bytes: &[u8]) {
        use std::io::Write;
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.path(name))
            .unwrap();
        file.write_all(bytes).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_emrkeys"))
            .arg("keyring")
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("XDG_STATE_HOME", self.path("state"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a command on `lake.keyring` with its protector.
    fn on_lake(&self, command: &str, more: &[&str]) -> Output {
        let mut arguments = vec![command, "lake.keyring", "--protector-file", "master"];
        arguments.extend(more);
        self.run(&arguments)
    }

    fn create(&self) {
        succeeds(&self.on_lake("create", &["--name", "lake"]));
    }

    fn document(&self) -> Vec<u8> {
        fs::read(self.path("lake.keyring")).unwrap()
    }

    fn states(&self) -> Vec<String> {
        let shown = json(&self.on_lake("list", &["--output", "json"]));
        assert_eq!(shown["authentic"], true);
        let versions = shown["versions"].as_array().unwrap();
        versions
            .iter()
            .map(|v| v["state"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_str(&succeeds(output)).unwrap()
}

#[track_caller]
fn fails(output: &Output, code: i32, text: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(told.contains(text), "{told}");
    assert!(
        output.stdout.is_empty(),
        "nothing on standard output of a failure"
    );
}

#[test]
fn a_keyring_goes_through_its_life() {
    let desk = Desk::new();
    desk.create();
    assert_eq!(desk.states(), ["active"]);
    succeeds(&desk.on_lake("rotate", &[]));
    succeeds(&desk.on_lake("rotate", &[]));
    assert_eq!(desk.states(), ["decrypt-only", "decrypt-only", "active"]);
    succeeds(&desk.on_lake("disable", &["1"]));
    succeeds(&desk.on_lake("disable", &["2"]));
    assert_eq!(desk.states(), ["disabled", "disabled", "active"]);
    succeeds(&desk.on_lake("enable", &["2"]));
    succeeds(&desk.on_lake("destroy", &["1", "--yes"]));
    assert_eq!(desk.states(), ["destroyed", "decrypt-only", "active"]);
    let shown = succeeds(&desk.on_lake("show", &[]));
    for expected in [
        "key         lake",
        "generation  7",
        "authentic   yes",
        "1 decrypt-only, 0 disabled, 1 destroyed",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
    assert_eq!(
        fs::metadata(desk.path("lake.keyring"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
}

#[test]
fn what_is_not_verified_is_said_to_be() {
    let desk = Desk::new();
    desk.create();
    let output = desk.run(&["show", "lake.keyring"]);
    assert!(succeeds(&output).contains("not verified"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--protector-file"));
    assert_eq!(
        json(&desk.run(&["list", "lake.keyring", "--output", "json"]))["authentic"],
        false
    );
}

#[test]
fn a_dry_run_writes_nothing() {
    let desk = Desk::new();
    succeeds(&desk.on_lake("create", &["--name", "lake", "--dry-run"]));
    assert!(!desk.path("lake.keyring").exists());
    desk.create();
    succeeds(&desk.on_lake("rotate", &[]));
    desk.key("second", &[8; 32]);
    let before = desk.document();
    for (command, more) in [
        ("rotate", &[][..]),
        ("disable", &["1"]),
        ("rewrap", &["--to-protector-file", "second"]),
    ] {
        let shown = json(&desk.on_lake(command, &[more, &["--dry-run", "--output", "json"]].concat()));
        assert_eq!(shown["written"], false);
        assert_eq!(shown["keyring"]["generation"], 3);
        assert!(!shown["changes"].as_array().unwrap().is_empty(), "{shown}");
    }
    succeeds(&desk.on_lake("disable", &["1"]));
    let disabled = desk.document();
    succeeds(&desk.on_lake("destroy", &["1", "--dry-run"]));
    succeeds(&desk.on_lake("enable", &["1", "--dry-run"]));
    assert_eq!(desk.document(), disabled);
    assert_ne!(before, disabled);
}

#[test]
fn destruction_is_confirmed() {
    let desk = Desk::new();
    desk.create();
    succeeds(&desk.on_lake("rotate", &[]));
    fails(&desk.on_lake("destroy", &["1", "--yes"]), 1, "KEY_VERSION_STATE");
    succeeds(&desk.on_lake("disable", &["1"]));
    let before = desk.document();
    fails(&desk.on_lake("destroy", &["1"]), 2, "--yes");
    assert_eq!(desk.document(), before);
}

#[test]
fn failures_have_their_exit_codes() {
    let desk = Desk::new();
    desk.create();
    desk.key("other", &[8; 32]);
    desk.key("short", &[8; 16]);
    fails(&desk.run(&["rotate"]), 2, "Usage");
    fails(&desk.run(&["rotate", "lake.keyring"]), 2, "--kms-key-id");
    fails(&desk.on_lake("create", &["--name", "lake"]), 3, "KEYRING_CHANGED");
    fails(&desk.on_lake("create", &["--name", "la ke"]), 1, "INVALID_VALUE");
    fails(&desk.on_lake("disable", &["9"]), 1, "KEY_VERSION_UNKNOWN");
    fails(&desk.on_lake("disable", &["1"]), 1, "keyring rotate");
    fails(
        &desk.run(&["rotate", "absent", "--protector-file", "master"]),
        1,
        "KEY_FILE_NOT_FOUND",
    );
    fails(&desk.run(&["show", "hdfs:///keys/lake"]), 1, "hdfs dfs -get");
    fails(
        &desk.run(&["rotate", "lake.keyring", "--protector-file", "other"]),
        4,
        "KEYRING_PROTECTOR",
    );
    fails(
        &desk.run(&["rotate", "lake.keyring", "--protector-file", "short"]),
        1,
        "KEY_SIZE",
    );
    fails(
        &desk.on_lake("rewrap", &["--to-protector-file", "short"]),
        1,
        "KEY_SIZE",
    );
    let text = String::from_utf8(desk.document()).unwrap();
    fs::write(
        desk.path("lake.keyring"),
        text.replace("\"generation\": 1", "\"generation\": 2"),
    )
    .unwrap();
    fails(&desk.on_lake("rotate", &[]), 4, "KEYRING_NOT_AUTHENTIC");
    fs::write(desk.path("lake.keyring"), &text[..100]).unwrap();
    fails(&desk.on_lake("show", &[]), 4, "KEYRING_INVALID");
    fs::set_permissions(desk.path("master"), fs::Permissions::from_mode(0o644)).unwrap();
    fails(&desk.on_lake("rotate", &[]), 5, "chmod 600");
}

#[test]
fn a_keyring_moves_to_another_protector() {
    let desk = Desk::new();
    desk.create();
    succeeds(&desk.on_lake("rotate", &[]));
    desk.key("second", &[8; 32]);
    let ids = || -> Vec<Value> {
        let shown = json(&desk.run(&["list", "lake.keyring", "--output", "json"]));
        shown["versions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["id"].clone())
            .collect()
    };
    let before = ids();
    succeeds(&desk.on_lake("rewrap", &["--to-protector-file", "second"]));
    assert_eq!(ids(), before);
    fails(&desk.on_lake("show", &[]), 4, "KEYRING_PROTECTOR");
    assert!(succeeds(&desk.run(&["show", "lake.keyring", "--protector-file", "second"])).contains("yes"));
}

#[test]
fn an_older_keyring_that_is_put_back_is_refused_by_every_change() {
    let desk = Desk::new();
    desk.create();
    succeeds(&desk.on_lake("rotate", &[]));
    let older = desk.document();
    succeeds(&desk.on_lake("rotate", &[]));
    let newest = desk.document();
    fs::write(desk.path("lake.keyring"), &older).unwrap();
    for (command, more) in [
        ("rotate", &[][..]),
        ("disable", &["1"]),
        ("rewrap", &["--to-protector-file", "master"]),
        ("rotate", &["--dry-run"]),
        ("rotate", &["--expect-generation", "3"]),
    ] {
        fails(&desk.on_lake(command, more), 4, "KEYRING_ROLLED_BACK");
    }
    assert_eq!(desk.document(), older);
    // It is shown, with the verdict.
    let shown = desk.on_lake("show", &[]);
    assert_eq!(shown.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("generation  2"));
    // Nobody can take it for the newest, but for the one whose generation is named.
    succeeds(&desk.on_lake("rotate", &["--expect-generation", "2"]));
    fs::write(desk.path("lake.keyring"), &newest).unwrap();
    // Of the same generation, and without the version that came in its place.
    fails(&desk.on_lake("rotate", &[]), 4, "KEYRING_ROLLED_BACK");
    fails(
        &desk.on_lake("rotate", &["--expect-generation", "2"]),
        3,
        "KEYRING_CHANGED",
    );
    fs::remove_file(desk.path("lake.keyring")).unwrap();
    fails(
        &desk.on_lake("create", &["--name", "lake"]),
        4,
        "KEYRING_ROLLED_BACK",
    );
    succeeds(&desk.on_lake("create", &["--name", "lake", "--expect-generation", "0"]));
}

#[test]
fn a_machine_that_saw_nothing_names_the_generation() {
    let desk = Desk::new();
    desk.create();
    succeeds(&desk.on_lake("rotate", &[]));
    fs::remove_dir_all(desk.path("state")).unwrap();
    fails(
        &desk.on_lake("rotate", &["--expect-generation", "3"]),
        4,
        "KEYRING_ROLLED_BACK",
    );
    succeeds(&desk.on_lake("rotate", &["--expect-generation", "2"]));
}

#[test]
fn a_keyring_is_named_by_its_key_in_the_configuration() {
    let desk = Desk::new();
    let conf = [
        "emrkeys.key.lake.type=keyring".to_owned(),
        format!(
            "emrkeys.key.lake.uri=file://{}",
            desk.path("lake.keyring").display()
        ),
        format!(
            "emrkeys.key.lake.protector-file=file://{}",
            desk.path("master").display()
        ),
        "emrkeys.default.key=lake".to_owned(),
        "emrkeys.key.plain.type=aes".to_owned(),
        "emrkeys.key.plain.file=file:///etc/plain".to_owned(),
    ];
    fs::write(desk.path("keys.conf"), conf.join("\n")).unwrap();
    succeeds(&desk.run(&["create", "lake", "--conf", "keys.conf"]));
    succeeds(&desk.run(&["rotate", "lake", "--conf", "keys.conf"]));
    let shown = succeeds(&desk.run(&["show", "lake", "--conf", "keys.conf"]));
    assert!(
        shown.contains("key         lake") && shown.contains("authentic   yes"),
        "{shown}"
    );
    // By its location, too.
    let uri = format!("file://{}", desk.path("lake.keyring").display());
    succeeds(&desk.run(&["rotate", &uri, "--conf", "keys.conf"]));
    fails(
        &desk.run(&["rotate", "plain", "--conf", "keys.conf"]),
        2,
        "not a keyring",
    );
    fails(
        &desk.run(&["rotate", "absent", "--conf", "keys.conf"]),
        2,
        "it has lake",
    );
    // Options win.
    desk.key("other", &[8; 32]);
    let other = [
        "rotate",
        "lake",
        "--conf",
        "keys.conf",
        "--protector-file",
        "other",
    ];
    fails(&desk.run(&other), 4, "KEYRING_PROTECTOR");
}

#[test]
fn no_key_is_printed() {
    let desk = Desk::new();
    let key: Vec<u8> = (1..=32).map(|n| n * 7).collect();
    desk.key("canary", &key);
    let run = |command: &str, more: &[&str]| {
        let mut arguments = vec![
            command,
            "lake.keyring",
            "--protector-file",
            "canary",
            "--output",
            "json",
        ];
        arguments.extend(more);
        let output = desk.run(&arguments);
        [
            succeeds(&output),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ]
        .concat()
    };
    let printed = [
        run("create", &["--name", "lake"]),
        run("rotate", &[]),
        run("list", &[]),
        run("show", &[]),
        run("disable", &["1"]),
    ]
    .concat();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!printed.to_lowercase().contains(&hex[..16]));
    assert!(!printed.contains("wrapped"), "not even a wrapped key");
}

#[test]
fn help_teaches_by_example() {
    let desk = Desk::new();
    for command in [
        "create", "rotate", "list", "show", "disable", "enable", "destroy", "retire", "rewrap",
    ] {
        let text = succeeds(&desk.run(&[command, "--help"]));
        assert!(text.contains(&format!("emrkeys keyring {command} ")), "{text}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_emrkeys"))
        .arg("--help")
        .output()
        .unwrap();
    assert!(succeeds(&output).contains("Exit codes"));
}
