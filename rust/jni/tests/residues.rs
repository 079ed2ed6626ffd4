//! Memory that is given back holds nothing of a key: an allocator looks at every block that is freed.
//!
//! The stack and the memory of C code are out of its sight; AWS-LC wipes what it frees.
#![allow(missing_docs, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use base64ct::{Base64, Encoding};
use emrkeys_core::keyring::{Access, Editor, Protection};
use emrkeys_core::{
    Client, Code, Config, InputRef, InputValue, Inputs, MaterialKey, Provider, Request, Settings,
};
use secrecy::{ExposeSecret, SecretSlice};

/// The buffer into which hyper reads an answer: known to hold it, and out of our reach (docs/security.md).
const OF_HYPER: usize = 8192;

struct Watching;

static WATCHES: AtomicBool = AtomicBool::new(false);
static SECRETS: OnceLock<Mutex<Vec<&'static [u8]>>> = OnceLock::new();
/// The size of the last block that held a secret.
static FOUND: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every request goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that a block never shows what an earlier one held there.
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WATCHES.load(Ordering::SeqCst) && layout.size() != OF_HYPER {
            // SAFETY: the block is still whole, and all of it was written when it was made.
            look(unsafe { std::slice::from_raw_parts(block, layout.size()) });
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }

    // `realloc` is the default, which allocates, copies and frees: so a block that moves is looked at, too.
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

fn look(block: &[u8]) {
    let Some(secrets) = SECRETS.get() else { return };
    // The thread that changes the list frees nothing with the watch on.
    let Ok(secrets) = secrets.lock() else { return };
    for secret in secrets.iter() {
        if block.windows(secret.len()).any(|part| part == *secret) {
            FOUND.store(block.len(), Ordering::SeqCst);
        }
    }
}

/// The search is process-wide: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` and says whether a block that was freed held one of the secrets, or eight bytes from their middle.
fn leaves(secrets: &[&[u8]], work: impl FnOnce()) -> bool {
    let parts = secrets.iter().map(|secret| {
        let middle = secret.len() / 2;
        let part: &'static [u8] = secret[middle - 4..middle + 4].to_vec().leak();
        part
    });
    let parts = parts.collect();
    let list = SECRETS.get_or_init(Mutex::default);
    let old = std::mem::replace(&mut *list.lock().unwrap(), parts);
    drop(old);
    FOUND.store(0, Ordering::SeqCst);
    WATCHES.store(true, Ordering::SeqCst);
    work();
    WATCHES.store(false, Ordering::SeqCst);
    let found = FOUND.load(Ordering::SeqCst);
    if found > 0 {
        eprintln!("a block of {found} bytes");
    }
    found > 0
}

/// A secret in the forms in which it may lie about.
fn forms(key: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        key.to_vec(),
        Base64::encode_string(key).into_bytes(),
        hex.into_bytes(),
    ]
}

fn leaves_any(key: &[u8], work: impl FnOnce()) -> bool {
    let forms = forms(key);
    let forms: Vec<&[u8]> = forms.iter().map(Vec::as_slice).collect();
    leaves(&forms, work)
}

/// No byte twice, so that no part of it stands anywhere by chance.
fn key() -> Vec<u8> {
    (0..32u8).map(|byte| byte.wrapping_mul(37) ^ 0xa5).collect()
}

fn settings(entries: &[(&str, &str)]) -> Settings {
    let entries = entries.iter();
    entries
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn write(path: &Path, content: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(content).unwrap();
}

fn use_key(settings: &Settings, inputs: &Inputs) -> Result<(), Code> {
    let failed = |error: emrkeys_core::Error| error.code();
    let config = Config::parse(Client::S3, settings).map_err(failed)?;
    let (provider, _) = Provider::open(config, inputs).map_err(failed)?;
    let written = provider.materials(Request::NoArgument).map_err(failed)?.unwrap();
    provider
        .materials(Request::Description(written.description))
        .map_err(failed)?
        .unwrap();
    Ok(())
}

#[test]
fn the_watch_sees_what_is_not_wiped() {
    let _alone = alone();
    assert!(leaves_any(&key(), || drop(key())));
    assert!(leaves_any(&key(), || {
        let mut grows = key();
        grows.reserve(1 << 16);
        secrecy::zeroize::Zeroize::zeroize(&mut grows);
    }));
    assert!(!leaves_any(&key(), || drop(SecretSlice::from(Vec::<u8>::new()))));
}

#[test]
fn an_aes_key_leaves_nothing_however_it_is_spelled() {
    let _alone = alone();
    let folder = tempfile::TempDir::new().unwrap();
    for (form, text) in ["raw", "base64", "hex"].iter().zip(forms(&key())) {
        let path = folder.path().join(form);
        write(&path, &text);
        let file = format!("file://{}", path.display());
        let of_file = settings(&[
            ("emrkeys.key.k.type", "aes"),
            ("emrkeys.key.k.file", &file),
            ("emrkeys.default.key", "k"),
        ]);
        assert!(
            !leaves_any(&key(), || use_key(&of_file, &Inputs::new()).unwrap()),
            "{form}"
        );
        let of_credential = settings(&[
            ("emrkeys.key.k.type", "aes"),
            ("emrkeys.key.k.credential", "alias"),
            ("emrkeys.default.key", "k"),
        ]);
        if *form == "raw" {
            continue; // a credential is text
        }
        let credential = InputValue::Found {
            bytes: SecretSlice::from(text.into_boxed_slice()),
            plaintext: false,
            mode: None,
        };
        let inputs = Inputs::from([(InputRef::Credential("alias".to_owned()), credential)]);
        assert!(!leaves_any(&key(), || {
            use_key(&of_credential, &inputs).unwrap();
            drop(inputs);
        }));
    }
}

#[test]
fn an_rsa_key_leaves_nothing() {
    let _alone = alone();
    let pair = emrkeys_crypto::generate::rsa(2048).unwrap();
    // A line from the middle of the private half, and the bytes that it spells.
    let lines: Vec<&str> = pair.private.lines().collect();
    let line = lines[lines.len() / 2];
    let bytes = Base64::decode_vec(line).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let (private, public) = (folder.path().join("private"), folder.path().join("public"));
    write(&private, pair.private.as_bytes());
    write(&public, pair.public.as_bytes());
    let settings = settings(&[
        ("emrkeys.key.k.type", "rsa"),
        ("emrkeys.key.k.private", &format!("file://{}", private.display())),
        ("emrkeys.key.k.public", &format!("file://{}", public.display())),
        ("emrkeys.default.key", "k"),
    ]);
    assert!(!leaves(&[line.as_bytes(), &bytes], || {
        use_key(&settings, &Inputs::new()).unwrap();
    }));
}

#[test]
fn a_keyring_leaves_nothing_of_its_protector_nor_of_its_versions() {
    let _alone = alone();
    let folder = tempfile::TempDir::new().unwrap();
    let master = folder.path().join("master");
    write(&master, &key());
    let master = format!("file://{}", master.display());
    let document = format!("file://{}", folder.path().join("lake.keyring").display());
    let protection = Protection {
        files: vec![master.clone()],
        ..Protection::default()
    };
    assert!(!leaves_any(&key(), || {
        let editor = Editor::new(&document, &Access::default(), &protection).unwrap();
        editor.create("lake").unwrap().write().unwrap();
    }));
    let settings = settings(&[
        ("emrkeys.key.lake.type", "keyring"),
        ("emrkeys.key.lake.uri", &document),
        ("emrkeys.key.lake.protector-file", &master),
        ("emrkeys.default.key", "lake"),
    ]);
    let config = Config::parse(Client::S3, &settings).unwrap();
    let (provider, _) = Provider::open(config, &Inputs::new()).unwrap();
    let materials = provider.materials(Request::NoArgument).unwrap().unwrap();
    let MaterialKey::Symmetric { bytes, .. } = &materials.key else {
        unreachable!("a keyring has AES keys")
    };
    let version = bytes.expose_secret().to_vec();
    drop((materials, provider));
    assert!(!leaves_any(&version, || use_key(&settings, &Inputs::new()).unwrap()));
    assert!(!leaves_any(&key(), || use_key(&settings, &Inputs::new()).unwrap()));
}

/// A data key service that gives one answer, which it never frees.
fn service(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/dks", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 4096];
            let mut length = 0;
            while !request[..length].windows(4).any(|end| end == b"\r\n\r\n") {
                match connection.read(&mut request[length..]) {
                    Ok(read) if read > 0 => length += read,
                    _ => break,
                }
            }
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn answers_of_a_data_key_service_leave_nothing_whether_they_serve_or_not() {
    let _alone = alone();
    let text = Base64::encode_string(&key());
    let escaped = text
        .replace('/', "\\/")
        .replace('+', "\\u002b")
        .replace('=', "\\u003d");
    assert_ne!(text, escaped);
    let whole = |text: &str| {
        format!(r#"{{"dataKeyEncryptionKeyId":"i","plaintextDataKey":"{text}","ciphertextDataKey":"c"}}"#)
    };
    for (body, outcome) in [
        (whole(&text), Ok(())),
        (whole(&escaped), Ok(())),
        // No key, as the text goes on; fields that are missing; another name; what breaks off behind the key.
        (whole(&format!("{text}\\n{text}")), Err(Code::SourceUnavailable)),
        (whole(&format!("{text}{text}")), Err(Code::SourceUnavailable)),
        (
            format!(r#"{{"plaintextDataKey":"{text}"}}"#),
            Err(Code::SourceUnavailable),
        ),
        (
            format!(r#"{{"plaintext":"{escaped}"}}"#),
            Err(Code::SourceUnavailable),
        ),
        (
            format!(r#"{{"plaintextDataKey":["{text}"]}}"#),
            Err(Code::SourceUnavailable),
        ),
        (
            format!(r#"{{"plaintextDataKey":"{escaped}\x"}}"#),
            Err(Code::SourceUnavailable),
        ),
        (
            format!(r#"{{"plaintextDataKey":"{text}","#),
            Err(Code::SourceUnavailable),
        ),
    ] {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 201 Created\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        let settings = settings(&[
            ("emrkeys.key.k.type", "data-key-service"),
            ("emrkeys.key.k.url", &service(answer.leak())),
            ("emrkeys.default.key", "k"),
        ]);
        let used = std::cell::Cell::new(Ok(()));
        assert!(
            !leaves_any(&key(), || used.set(use_key(&settings, &Inputs::new()))),
            "{body}"
        );
        assert_eq!(used.get(), outcome, "{body}");
    }
}
