//! `emrkeys explain` and the configuration files it reads, as its binary and without a network.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const SITE: &str = "\
<configuration>
  <property><name>fs.s3.cse.materialsDescription.enabled</name><value>true</value><final>true</final></property>
  <property><name>lake</name><value>s3://lake</value></property>
  <property><name>emrkeys.key.main.type</name><value>kms-cached</value></property>
  <property><name>emrkeys.key.main.kms-key-id</name><value>alias/main</value></property>
  <property><name>emrkeys.default.key</name><value>main</value></property>
</configuration>";

const EMR: &str = r#"[{"Classification": "emrfs-site", "Properties": {
  "emrkeys.key.audit.type": "aes", "emrkeys.key.audit.file": "s3://keys/audit.key",
  "emrkeys.rule.audit.prefix": "${lake}/audit/", "emrkeys.rule.audit.key": "audit"}}]"#;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_emrkeys"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn explained(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn files_of_all_kinds_give_one_configuration_in_which_later_ones_win() {
    let spark = "spark.hadoop.emrkeys.key.main.kms-key-id alias/spark\n";
    let folder = folder(&[
        ("conf/core-site.xml", SITE),
        ("emr.json", EMR),
        ("spark-defaults.conf", spark),
    ]);
    let arguments = [
        "explain",
        "s3a://lake/audit/x",
        "s3://lake/raw/x",
        "--conf",
        "conf",
        "--conf",
        "emr.json",
        "--conf",
        "spark-defaults.conf",
        "--output",
        "json",
    ];
    let found = explained(&run(folder.path(), &arguments));
    assert_eq!(found[0]["key"], "audit");
    assert_eq!(found[0]["version"]["elsewhere"], "s3://keys/audit.key");
    assert_eq!(found[0]["rules"][0]["prefix"], "s3://lake/audit/");
    assert_eq!(found[1]["key"], "main");
    assert_eq!(found[1]["version"]["kmsKey"], "alias/spark");
    assert_eq!(found[1]["otherPrefixes"], 1);
}

#[test]
fn people_are_told_why() {
    let folder = folder(&[("core-site.xml", SITE), ("emr.json", EMR)]);
    let output = run(
        folder.path(),
        &[
            "explain",
            "s3://lake/audit/x",
            "--conf",
            ".",
            "--conf",
            "emr.json",
        ],
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "\
s3://lake/audit/x
  key         audit (aes)
  version     not looked at: s3://keys/audit.key is not on this machine
  because     rule audit has the longest prefix that matches
  rules       audit (s3://lake/audit/ -> audit): wins
";
    assert_eq!(text, expected);
}

#[test]
fn a_value_that_a_file_made_final_is_not_changed_by_a_later_one_and_somebody_says_so() {
    let later = "fs.s3.cse.materialsDescription.enabled=false\nspark.hadoop.fs.s3.cse.materialsDescription.enabled=false\n";
    let folder = folder(&[("core-site.xml", SITE), ("emr.json", EMR), ("later.conf", later)]);
    let arguments = [
        "explain",
        "s3://lake/x",
        "--conf",
        ".",
        "--conf",
        "emr.json",
        "--conf",
        "later.conf",
    ];
    let output = run(folder.path(), &arguments);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("later.conf:2"));
    let output = run(
        folder.path(),
        &[
            &arguments[..],
            &["-D", "fs.s3.cse.materialsDescription.enabled=false"],
        ]
        .concat(),
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("[DESCRIPTION_DISABLED]"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn bad_configurations_are_refused_by_file_and_line() {
    let huge = format!("<configuration>{}</configuration>", " ".repeat(17 << 20));
    let folder = folder(&[
        ("bad.xml", "<configuration>\n<property>\n</configuration>"),
        ("bad.json", "[{\"Classification\": 1}]"),
        ("huge.xml", &huge),
        ("empty", " \n"),
        ("unknown.conf", "emrkeys.key.main.tpye=aes\n"),
        ("none/x", ""),
    ]);
    for (file, told) in [
        ("bad.xml", "bad.xml, line 3: "),
        ("bad.json", "bad.json, line 1: "),
        ("huge.xml", "huge.xml: it has more than"),
        ("empty", "empty: the file is empty"),
        ("missing", "missing: it cannot be read"),
        ("none", "none: the folder has none of"),
        ("unknown.conf", "[UNKNOWN_PROPERTY]"),
    ] {
        let output = run(folder.path(), &["explain", "s3://lake/x", "--conf", file]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(told), "{file}: {error}");
        assert_eq!(output.status.code(), Some(1), "{file}");
        assert!(output.stdout.is_empty());
    }
    let output = run(folder.path(), &["explain", "s3://lake/x", "-D", "x"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn local_disks_have_one_key() {
    let folder = folder(&[]);
    let conf = [
        "-D",
        "emrkeys.key.disk.type=aes",
        "-D",
        "emrkeys.key.disk.file=hdfs:///disk",
        "-D",
        "emrkeys.local-disk.key=disk",
        "--for",
        "local-disk",
    ];
    let found = explained(&run(
        folder.path(),
        &[&["explain", "--output", "json"], &conf[..]].concat(),
    ));
    assert_eq!(found[0]["key"], "disk");
    let output = run(folder.path(), &[&["explain", "s3://lake/x"], &conf[..]].concat());
    assert_eq!(output.status.code(), Some(2));
}
