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
    let later = SITE.replace("<value>true</value><final>true</final>", "<value>false</value>");
    let folder = folder(&[("core-site.xml", SITE), ("emr.json", EMR), ("later.xml", &later)]);
    let arguments = [
        "explain",
        "s3://lake/x",
        "--conf",
        ".",
        "--conf",
        "emr.json",
        "--conf",
        "later.xml",
    ];
    let output = run(folder.path(), &arguments);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("later.xml:2"));
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
fn what_spark_sets_wins_over_what_a_file_made_final_and_what_it_leaves_out_is_told() {
    let spark = "spark.hadoop.fs.s3.cse.materialsDescription.enabled=false\nemrkeys.default.key=none\n";
    let json = concat!(
        r#"[{"Classification": "spark-defaults", "#,
        r#""Properties": {"spark.hadoop.fs.s3.cse.materialsDescription.enabled": "false"}}]"#
    );
    let folder = folder(&[
        ("core-site.xml", SITE),
        ("emr.json", EMR),
        ("spark-defaults.conf", spark),
        ("spark.json", json),
    ]);
    for (file, warned) in [
        ("spark-defaults.conf", "spark-defaults.conf:2: Spark leaves"),
        ("spark.json", ""),
    ] {
        let arguments = [
            "explain",
            "s3://lake/x",
            "--conf",
            file,
            "--conf",
            ".",
            "--conf",
            "emr.json",
        ];
        let output = run(folder.path(), &arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("[DESCRIPTION_DISABLED]"), "{told}");
        assert!(told.contains(warned), "{told}");
        assert!(!told.contains("UNKNOWN_KEY"), "{told}");
    }
}

#[test]
fn what_hadoop_reads_is_read() {
    let site = b"<?xml version='1.0' encoding='ISO-8859-1'?><configuration>
        <property><name>yarn.a</name><value>${yarn.b}</value></property>
        <property><name>yarn.b</name><value>${yarn.a}</value></property>
        <property><name>emrkeys.key.a.type</name><value>aes</value></property>
        <property><name>emrkeys.key.a.file</name><value>hdfs:///${user.home}/\xe9</value></property>
        <property><name>emrkeys.default.key</name><value>a</value></property></configuration>";
    let folder = folder(&[]);
    fs::write(folder.path().join("core-site.xml"), site).unwrap();
    let found = Command::new(env!("CARGO_BIN_EXE_emrkeys"))
        .args(["explain", "s3://lake/x", "--conf", ".", "--output", "json"])
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", "home")
        .output()
        .unwrap();
    assert_eq!(explained(&found)[0]["version"]["elsewhere"], "hdfs:///home/é");
}

#[test]
fn a_file_of_ones_own_holds_hadoops_names_and_one_without_any_property_is_told() {
    let own = "emrkeys.key.a.type=aes\nemrkeys.key.a.file=hdfs:///a\n\
               emrkeys.rule.r.prefix=s3://lake/\nemrkeys.rule.r.key=a\n\
               fs.s3.cse.materialsDescription.enabled=true\n";
    let folder = folder(&[("own.conf", own), ("site.xml", "<configuration/>")]);
    let output = run(
        folder.path(),
        &[
            "explain",
            "s3://lake/x",
            "--conf",
            "own.conf",
            "--conf",
            "site.xml",
        ],
    );
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "warning: site.xml: it gives Hadoop no property\n"
    );
}

#[test]
fn a_version_that_cannot_be_told_is_no_failure() {
    let folder = folder(&[(
        "own.conf",
        "emrkeys.key.a.type=aes\n\nemrkeys.key.a.file=file:///none/a\nemrkeys.default.key=a\n",
    )]);
    let arguments = ["explain", "s3://lake/x", "--conf", "own.conf", "--output", "json"];
    let found = explained(&run(folder.path(), &arguments));
    let version = &found[0]["version"];
    assert_eq!(version["error"], "KEY_FILE_NOT_FOUND");
    assert!(
        version["message"].as_str().unwrap().contains("(own.conf:3)"),
        "{version}"
    );
}

#[test]
fn bad_configurations_are_refused_by_file_and_line() {
    let huge = format!("<configuration>{}</configuration>", " ".repeat(17 << 20));
    let folder = folder(&[
        ("bad.xml", "<configuration>\n<property>\n</configuration>"),
        ("bad.json", "[{\"Classification\": 1}]"),
        ("huge.xml", &huge),
        ("empty", " \n"),
        ("unknown.conf", "# mine\nemrkeys.key.main.tpye=aes\n"),
        ("passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("cluster.json", "{\"Clusters\": [{\"Id\": \"j-1\"}]}"),
        ("none/x", ""),
    ]);
    for (file, told) in [
        ("bad.xml", "bad.xml, line 3: "),
        ("bad.json", "bad.json, line 1: "),
        ("huge.xml", "huge.xml: it has more than"),
        ("empty", "empty: the file is empty"),
        ("missing", "missing: it cannot be read"),
        ("none", "none: the folder has none of"),
        ("unknown.conf", "(unknown.conf:2) [UNKNOWN_PROPERTY]"),
        ("passwd", "passwd: it is no site file"),
        ("cluster.json", "cluster.json: it is not an EMR configuration"),
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
    assert_eq!(found[0]["because"], "it is emrkeys.local-disk.key");
    let output = run(folder.path(), &[&["explain", "s3://lake/x"], &conf[..]].concat());
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_uri_without_an_answer_takes_none_from_the_others() {
    let folder = folder(&[("core-site.xml", SITE)]);
    let arguments = [
        "explain",
        "--conf",
        "core-site.xml",
        "s3://lake/a",
        "lake/b",
        "s3://lake/c",
    ];
    let output = run(folder.path(), &[&arguments[..], &["--output", "json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&found[0]["key"], &found[2]["key"]),
        (&"main".into(), &"main".into())
    );
    assert_eq!(found[1]["error"]["code"], "INVALID_URI");
    let printed = run(folder.path(), &arguments);
    assert!(String::from_utf8_lossy(&printed.stdout).contains("lake/b\n  error"));
    assert!(String::from_utf8_lossy(&printed.stderr).contains("[INVALID_URI]"));
}

#[test]
fn nothing_in_a_uri_reaches_the_terminal_as_a_command() {
    let folder = folder(&[("core-site.xml", SITE)]);
    let output = run(
        folder.path(),
        &[
            "explain",
            "--conf",
            "core-site.xml",
            "s3://lake/a\u{1b}[31m",
            "x\u{1b}[31m",
        ],
    );
    assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b));
}

#[test]
fn the_environment_names_the_configuration_where_the_command_line_does_not() {
    let folder = folder(&[("core-site.xml", SITE), ("emr.json", EMR)]);
    let with = |conf: &str, arguments: &[&str], input: Stdio| {
        Command::new(env!("CARGO_BIN_EXE_emrkeys"))
            .args(["explain", "s3://lake/audit/x", "--output", "json"])
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .env("EMRKEYS_CONF", conf)
            .stdin(input)
            .output()
            .unwrap()
    };
    let key = |output: &Output| explained(output)[0]["key"].clone();
    assert_eq!(key(&with("core-site.xml:emr.json", &[], Stdio::null())), "audit");
    assert_eq!(
        key(&with("no-such-file", &["--conf", "core-site.xml"], Stdio::null())),
        "main"
    );
    let site = fs::File::open(folder.path().join("core-site.xml")).unwrap();
    assert_eq!(key(&with("", &["--conf", "-"], site.into())), "main");
    let none = with("", &[], Stdio::null());
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("no configuration is given"));
}
