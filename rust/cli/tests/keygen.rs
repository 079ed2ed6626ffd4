//! `emrkeys keygen` as its binary.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn run<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_emrkeys"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

/// The answer of `explain` for the key that the printed properties configure.
fn explained(folder: &Path, made: &Output) -> Value {
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::write(folder.join("made.conf"), &made.stdout).unwrap();
    let arguments = [
        "explain",
        "s3://lake/x",
        "--conf",
        "made.conf",
        "-D",
        "emrkeys.default.key=audit",
        "--output",
        "json",
    ];
    let output = run(folder, &arguments);
    serde_json::from_slice::<Value>(&output.stdout).unwrap()[0].take()
}

#[test]
fn a_new_key_is_its_owners_alone_and_loads_with_the_properties_that_are_printed() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    for (number, options) in [
        &["--bits", "128"][..],
        &["--encoding", "hex"],
        &["--encoding", "base64"],
    ]
    .iter()
    .enumerate()
    {
        let file = format!("k{number}");
        let made = run(
            folder,
            &[&["keygen", "aes", &file, "--name", "audit"], *options].concat(),
        );
        assert_eq!(explained(folder, &made)["version"]["verified"], true);
        assert_eq!(
            fs::metadata(folder.join(&file)).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let made = run(
        folder,
        &["keygen", "rsa", "pair", "--bits", "2048", "--name", "audit"],
    );
    assert_eq!(explained(folder, &made)["version"]["verified"], true);
    assert_eq!(
        fs::metadata(folder.join("pair.pk8"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
}

#[test]
fn no_key_is_ever_overwritten() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    fs::write(folder.join("a"), "precious").unwrap();
    fs::write(folder.join("b.pub"), "precious").unwrap();
    for arguments in [["keygen", "aes", "a"], ["keygen", "rsa", "b"]] {
        let output = run(folder, &arguments);
        assert!(String::from_utf8_lossy(&output.stderr).contains("[KEY_FILE_EXISTS]"));
        assert_eq!(output.status.code(), Some(3));
    }
    assert_eq!(fs::read(folder.join("a")).unwrap(), b"precious");
    assert_eq!(fs::read(folder.join("b.pub")).unwrap(), b"precious");
    assert!(!folder.join("b.pk8").exists());
    let output = run(folder, &["keygen", "aes", "none/a"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("[KEY_FILE_UNWRITABLE]"));
}

#[test]
fn every_path_can_be_read_back_from_the_properties_that_are_printed() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    for file in [
        &b"a\\b"[..],
        b"${env.HOME}",
        b"new\nline",
        b"\xff\xfe",
        b"100%25 ",
        "schlüssel".as_bytes(),
    ] {
        let mut arguments = ["keygen", "aes", "--name", "audit", "--"]
            .map(OsStr::new)
            .to_vec();
        arguments.push(OsStr::from_bytes(file));
        let made = run(folder, &arguments);
        let found = explained(folder, &made);
        assert_eq!(found["version"]["verified"], true, "{file:?}: {found}");
    }
}

#[test]
fn a_name_that_the_configuration_would_refuse_makes_no_key() {
    let folder = TempDir::new().unwrap();
    for name in ["a.b", "", "a=b"] {
        let output = run(folder.path(), &["keygen", "aes", "k", "--name", name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
    assert!(!folder.path().join("k").exists());
}

#[test]
fn a_key_is_named_after_its_file() {
    let folder = TempDir::new().unwrap();
    for (arguments, name) in [
        (&["keygen", "aes", "disk.key"][..], "disk"),
        (&["keygen", "rsa", "main", "--bits", "2048"], "main"),
        (&["keygen", "rsa", "v1.2", "--bits", "2048"], "v1-2"),
        (&["keygen", "aes", "lake raw.key"], "lake-raw"),
    ] {
        let made = run(folder.path(), arguments);
        let printed = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(
            printed.starts_with(&format!("emrkeys.key.{name}.type=")),
            "{printed}"
        );
    }
    let output = run(folder.path(), &["keygen", "aes", &"k".repeat(70)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--name"));
}
