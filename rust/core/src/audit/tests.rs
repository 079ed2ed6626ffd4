use super::*;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;

fn record() -> AuditRecord {
    AuditRecord {
        purpose: Purpose::Encrypt,
        uri: Some("s3://lake/a\n\"b".to_owned()),
        key: Some("audit".to_owned()),
        source: None,
        version: None,
        table: None,
    }
}

fn open(path: &Path) -> Result<Audit, Problem> {
    Audit::open(&AuditTarget::File(path.to_owned()), &Arc::default())
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("torn: {line}")))
        .collect()
}

#[test]
fn a_line_is_one_json_object_whatever_is_in_it() {
    let text = line(&record(), "ok");
    assert!(!text.contains('\n'));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["uri"], "s3://lake/a\n\"b");
    assert_eq!(value["version"], serde_json::Value::Null);
    assert_eq!(value["outcome"], "ok");
}

#[test]
fn lines_are_appended_to_a_file_of_the_owners() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    for _ in 0..2 {
        open(&path).unwrap().write(&record(), "NO_RULE").unwrap();
    }
    assert_eq!(lines(&path).len(), 2);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_log_that_is_no_file_of_the_owners_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    std::fs::write(&target, "").unwrap();
    let link = folder.path().join("link");
    symlink(&target, &link).unwrap();
    let shared = folder.path().join("shared");
    std::fs::write(&shared, "").unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o666)).unwrap();
    let fifo = folder.path().join("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [
        &*link,
        &*shared,
        &*fifo,
        folder.path(),
        Path::new("/nonexistent/audit.log"),
    ] {
        assert_eq!(
            open(path).map(drop).unwrap_err().code,
            Code::AuditUnavailable,
            "{path:?}"
        );
    }
    assert_eq!(std::fs::read(&target).unwrap(), b"");
    if rustix::process::geteuid().is_root() {
        let stranger = rustix::fs::Uid::from_raw(12345);
        let foreign = folder.path().join("foreign");
        std::fs::write(&foreign, "").unwrap();
        rustix::fs::chown(&foreign, Some(stranger), None).unwrap();
        assert_eq!(open(&foreign).map(drop).unwrap_err().code, Code::AuditUnavailable);
    }
}

/// A file that may not grow stands for a full disk: the process starts itself anew under a limit of 1 KiB, with the
/// signal that the limit sends ignored.
#[test]
fn a_full_disk_leaves_no_part_of_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let itself = std::env::current_exe().unwrap();
    let done = std::process::Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 1; exec \"$0\" \"$@\""])
        .arg(itself)
        .args([
            "--exact",
            "audit::tests::under_a_limit",
            "--ignored",
            "--nocapture",
        ])
        .env("EMRKEYS_TEST_FOLDER", folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
#[ignore = "a part of the test above"]
fn under_a_limit() {
    use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
    let folder = std::env::var_os("EMRKEYS_TEST_FOLDER").unwrap();
    let path = Path::new(&folder).join("audit.log");
    let (one, other) = (open(&path).unwrap(), open(&path).unwrap());
    let mut written = 0;
    while one.write(&record(), "ok").is_ok() {
        written += 1;
        assert!(written < 100, "there is no limit");
    }
    assert_eq!(lines(&path).len(), written);
    assert_eq!(
        other.write(&record(), "ok").unwrap_err().code,
        Code::AuditUnavailable
    );
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    let roomy = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Fsize, roomy).unwrap();
    for audit in [&one, &other] {
        audit.write(&record(), "ok").unwrap();
    }
    assert_eq!(lines(&path).len(), written + 2);
}

#[test]
fn many_writers_mix_no_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let audit = open(&path).unwrap();
                for _ in 0..200 {
                    audit.write(&record(), "ok").unwrap();
                }
            });
        }
    });
    assert_eq!(lines(&path).len(), 1600);
}
