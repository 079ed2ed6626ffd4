use super::*;
use crate::aws::runtime;
use crate::client::Client;
use crate::config::{Config, KeyConfig, KeyKind};
use crate::inputs::{InputRef, InputValue, Inputs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// 24 bytes, "canary-canary-canary-24b".
const CANARY: &str = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktMjRi";
const CIPHERTEXT: &str = "c2VhbGVkLWNhbmFyeQ==";

/// A service that gives the same answer to every request, and remembers them.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Server {
    fn start(tls: Option<ServerConfig>, answer: impl Fn(&mut dyn Stream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/dks/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let tls = tls.map(Arc::new);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                let mut stream: Box<dyn Stream> = match &tls {
                    None => Box::new(connection),
                    Some(config) => Box::new(StreamOwned::new(
                        ServerConnection::new(Arc::clone(config)).unwrap(),
                        connection,
                    )),
                };
                if let Some(request) = request(&mut stream) {
                    seen.lock().unwrap().push(request);
                    answer(&mut stream);
                } else {
                    // Until the client closes: it is to read the alert before it hears of a reset.
                    let _ = stream.read(&mut [0; 1]);
                }
            }
        });
        Server { url, requests }
    }

    fn answering(status: u16, body: &str) -> Self {
        let answer = http_answer(status, body);
        Server::start(None, move |stream| {
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    fn service(&self) -> DataKeyService {
        configured(&[("url", &self.url)]).unwrap().0
    }

    fn generate(&self) -> Result<NewKey, Failure> {
        generate(&self.service())
    }

    fn open(&self) -> Result<SecretSlice<u8>, Failure> {
        open(&self.service())
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn http_answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Some\r\nContent-Length: {}\r\nLocation: http://127.0.0.1:1/\r\nConnection: \
         close\r\n\r\n{body}",
        body.len()
    )
}

/// The head and the body of a request; `None` for a client that went away.
fn request(stream: &mut dyn Stream) -> Option<String> {
    let mut text = String::new();
    let mut chunk = [0; 4096];
    loop {
        let length = stream.read(&mut chunk).ok().filter(|length| *length > 0)?;
        text.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let announced = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        if body.len() >= announced.unwrap_or(0) {
            return Some(text);
        }
    }
}

fn configured(fields: &[(&str, &str)]) -> Result<(DataKeyService, String), Problem> {
    let settings = [("type", "data-key-service")]
        .iter()
        .chain(fields)
        .map(|(field, value)| (format!("emrkeys.key.k.{field}"), (*value).to_owned()))
        .collect();
    let config = Config::parse(Client::S3, &settings).unwrap();
    let KeyConfig {
        kind: KeyKind::DataKeyService(own),
        ..
    } = &config.keys["k"]
    else {
        panic!("another type")
    };
    let password = InputValue::Found {
        bytes: SecretSlice::from(b"correct".to_vec()),
        plaintext: false,
        mode: None,
    };
    let mut loader = Loader {
        config: &config,
        inputs: &Inputs::from([(InputRef::Credential("password".to_owned()), password)]),
        warnings: Vec::new(),
    };
    load("k", own, &mut loader)
}

fn within<T>(answer: Answer<'_, T>) -> Result<T, Failure> {
    runtime::block_on(Duration::from_secs(20), answer)
        .unwrap()
        .unwrap()
}

fn generate(service: &DataKeyService) -> Result<NewKey, Failure> {
    within(service.generate())
}

fn open(service: &DataKeyService) -> Result<SecretSlice<u8>, Failure> {
    let wrapped = WrappedKey {
        key_id: "cloudhsm:7,8/ä".to_owned(),
        ciphertext: CIPHERTEXT.into(),
        context: BTreeMap::new(),
    };
    within(service.open(&wrapped))
}

fn good() -> String {
    body(CANARY, "cloudhsm:7,8", CIPHERTEXT)
}

fn body(plaintext: &str, id: &str, ciphertext: &str) -> String {
    format!(
        r#"{{"dataKeyEncryptionKeyId":"{id}","plaintextDataKey":"{plaintext}","ciphertextDataKey":"{ciphertext}"}}"#
    )
}

/// The problem, checked for what every one of them must and must not say.
fn problem<T>(result: Result<T, Failure>) -> Problem {
    let problem = result.err().unwrap().into_problem();
    let text = problem.to_string();
    for told in [
        "127.0.0.1:",
        "/datakey",
        "correlation id emrkeys-",
        "emrkeys.key.k.",
    ] {
        assert!(text.contains(told), "{text}");
    }
    for secret in [CANARY, CIPHERTEXT, "canary"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(!problem.remedy.is_empty());
    problem
}

#[test]
fn a_new_key_comes_in_the_clear_and_wrapped() {
    let server = Server::answering(201, &good());
    let service = server.service();
    let new = generate(&service).unwrap();
    assert_eq!(new.plaintext.expose_secret(), b"canary-canary-canary-24b");
    assert_eq!(new.wrapped.key_id, "cloudhsm:7,8");
    let request = &server.requests()[0];
    assert!(
        request.starts_with("GET /dks/datakey?correlationId=emrkeys-"),
        "{request}"
    );
    let stored = service.description(&new.wrapped);
    assert_eq!(
        stored,
        [
            ("keyid".to_owned(), "cloudhsm:7,8".to_owned()),
            ("encryptedkey".to_owned(), CIPHERTEXT.to_owned())
        ]
    );
    let entries: Vec<(&str, &str)> = stored.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let again = service.wrapped(&entries.iter().copied().collect()).unwrap();
    assert_eq!(again, new.wrapped);
}

#[test]
fn a_wrapped_key_is_sent_as_text_with_its_id_percent_encoded() {
    // As the original answers: without the ciphertext. Some encoders of JSON escape what stands in base64.
    let answer = format!(
        r#"{{"dataKeyEncryptionKeyId":"x","plaintextDataKey":"{}"}}"#,
        "AAECAwQFBgcICQoLDA0ODw==".replace('=', "\\u003d")
    );
    let server = Server::answering(200, &answer);
    assert_eq!(
        server.open().unwrap().expose_secret(),
        (0..16).collect::<Vec<u8>>()
    );
    let request = &server.requests()[0];
    assert!(
        request.starts_with(
            "POST /dks/datakey/actions/decrypt?keyId=cloudhsm%3A7%2C8%2F%C3%A4&correlationId=emrkeys-"
        ),
        "{request}"
    );
    assert!(
        request.to_lowercase().contains("content-type: text/plain"),
        "{request}"
    );
    assert!(request.ends_with(&format!("\r\n\r\n{CIPHERTEXT}")), "{request}");
}

#[test]
fn keys_have_16_24_or_32_bytes() {
    for length in [0usize, 1, 15, 17, 31, 33, 48, 64] {
        let text = Base64::encode_string(&vec![7; length]);
        let problem = problem(Server::answering(200, &body(&text, "i", "c")).open());
        assert_eq!(problem.code, Code::SourceUnavailable, "{length}");
        assert!(problem.message.contains("plaintextDataKey"), "{problem}");
    }
    for length in [16, 24, 32] {
        let text = Base64::encode_string(&vec![7; length]);
        assert!(Server::answering(200, &body(&text, "i", "c")).open().is_ok());
    }
}

#[test]
fn statuses_are_told_apart() {
    let failures = |status| {
        let server = Server::answering(status, &good());
        (server.generate().err().unwrap(), server.open().err().unwrap())
    };
    for (status, on_generate, on_decrypt) in [
        (400, Code::SourceDenied, Code::WrappedKeyInvalid),
        (401, Code::SourceDenied, Code::SourceDenied),
        (403, Code::SourceDenied, Code::SourceDenied),
        (404, Code::SourceUnavailable, Code::SourceUnavailable),
        (302, Code::SourceUnavailable, Code::SourceUnavailable),
        (204, Code::SourceDenied, Code::SourceDenied),
        (418, Code::SourceDenied, Code::SourceDenied),
    ] {
        let (generate, decrypt) = failures(status);
        assert!(
            matches!((&generate, &decrypt), (Failure::Refused(_), Failure::Refused(_))),
            "{status}"
        );
        let generate = problem::<()>(Err(generate));
        assert!(generate.message.contains(&format!("HTTP {status}")), "{generate}");
        assert_eq!(generate.code, on_generate, "{status}");
        assert_eq!(problem::<()>(Err(decrypt)).code, on_decrypt, "{status}");
    }
    let (generate, decrypt) = failures(429);
    assert!(matches!(
        (&generate, &decrypt),
        (Failure::Throttled(_), Failure::Throttled(_))
    ));
    assert_eq!(problem::<()>(Err(generate)).code, Code::SourceThrottled);
    for status in [408, 500, 502, 503, 599] {
        let (generate, decrypt) = failures(status);
        assert!(matches!(
            (&generate, &decrypt),
            (Failure::Unavailable(_), Failure::Unavailable(_))
        ));
        assert_eq!(problem::<()>(Err(decrypt)).code, Code::SourceUnavailable);
    }
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Server::answering(201, &good());
    let answer = format!(
        "HTTP/1.1 307 Moved\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        elsewhere.url
    );
    let server = Server::start(None, move |stream| {
        let _ = stream.write_all(answer.as_bytes());
    });
    assert!(problem(server.generate()).remedy.contains("Redirects"));
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn hostile_answers_get_a_precise_error() {
    let nested = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let long = "c".repeat(2000);
    for (answer, told) in [
        (String::new(), "empty or cut off"),
        ("<html>canary</html>".to_owned(), "not JSON (line 1"),
        (good()[..40].to_owned(), "empty or cut off"),
        ("[1]".to_owned(), "no object"),
        ("null".to_owned(), "no object"),
        ("{}".to_owned(), "no plaintextDataKey"),
        (nested.clone(), "not JSON"),
        (format!(r#"{{"plaintextDataKey":{nested}}}"#), "not JSON"),
        (
            r#"{"plaintextDataKey":-1}"#.to_owned(),
            "something else than text",
        ),
        (
            r#"{"plaintextDataKey":["canary"]}"#.to_owned(),
            "something else than text",
        ),
        (r#"{"plaintextDataKey":null}"#.to_owned(), "no plaintextDataKey"),
        (
            r#"{"plaintextDataKey":""}"#.to_owned(),
            "an empty plaintextDataKey",
        ),
        (body("not base64: canary", "i", "c"), "not 16, 24 or 32 bytes"),
        (body(CANARY, "", "c"), "an empty dataKeyEncryptionKeyId"),
        (body(CANARY, "i", ""), "an empty ciphertextDataKey"),
        (
            format!(r#"{{"plaintextDataKey":"{CANARY}","ciphertextDataKey":"c"}}"#),
            "no dataKeyEncryptionKeyId",
        ),
        (
            format!(r#"{{"plaintextDataKey":"{CANARY}","dataKeyEncryptionKeyId":7}}"#),
            "something else than text for dataKeyEncryptionKeyId",
        ),
        (body(CANARY, "i", &long), "2001 bytes together"),
        (body(CANARY, "i\\n", "c"), "other than ASCII"),
        (body(CANARY, "i", "ä"), "other than ASCII"),
        (
            format!("{}{}", good(), " ".repeat(MAX_ANSWER)),
            "more than 64 KiB",
        ),
    ] {
        let result = Server::answering(201, &answer).generate();
        assert!(matches!(result, Err(Failure::Refused(_))), "{told}");
        let problem = problem(result);
        assert!(problem.message.contains(told), "{told}: {problem}");
        assert_eq!(problem.code, Code::SourceUnavailable);
    }
}

#[test]
fn an_endless_answer_ends() {
    let server = Server::start(None, |stream| {
        let mut sent = stream.write_all(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n");
        while sent.is_ok() {
            sent = stream.write_all(b"400\r\n").and_then(|()| {
                stream.write_all(&[b' '; 1024])?;
                stream.write_all(b"\r\n")
            });
        }
    });
    assert!(problem(server.generate()).message.contains("more than 64 KiB"));
}

#[test]
fn what_breaks_off_or_does_not_answer_is_unavailable() {
    let broken = Server::start(None, |stream| {
        let _ = stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 200\r\n\r\n{\"plain");
    });
    let result = broken.generate();
    assert!(matches!(result, Err(Failure::Unavailable(_))));
    assert_eq!(problem(result).code, Code::SourceUnavailable);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let service = configured(&[("url", &format!("http://{nobody}"))]).unwrap().0;
    assert!(matches!(generate(&service), Err(Failure::Unavailable(_))));

    let slow = Server::start(None, |stream| {
        let _ = stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 200\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let start = Instant::now();
    let result = slow.generate();
    assert!(matches!(result, Err(Failure::Unavailable(_))));
    assert!(problem(result).message.contains("no answer within"));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_stored_with_an_object_must_be_whole() {
    let service = configured(&[("url", "http://localhost:1")]).unwrap().0;
    let long = "k".repeat(MAX_READ + 1);
    for entries in [
        vec![("keyid", "i")],
        vec![("encryptedkey", "c")],
        vec![("keyid", ""), ("encryptedkey", "c")],
        vec![("keyid", "i"), ("encryptedkey", "")],
        vec![("keyid", "i"), ("encryptedkey", &long)],
    ] {
        let problem = service.wrapped(&entries.iter().copied().collect()).unwrap_err();
        assert_eq!(problem.code, Code::InvalidDescription, "{entries:?}");
    }
}

// ---- TLS

fn stores() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crypto/tests/data/stores")
}

/// A copy that only its owner can read, whatever git made of the file.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    fn uri(&self, name: &str) -> String {
        let to = self.0.path().join(name);
        std::fs::copy(stores().join(name), &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
        format!("file://{}", to.display())
    }
}

fn pem_certificates(name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(stores().join(name))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// Demands a certificate of the CA in `trusted`.
fn tls_server(trusted: &str) -> Server {
    let mut roots = RootCertStore::empty();
    for certificate in pem_certificates(trusted) {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            pem_certificates("server.pem"),
            PrivateKeyDer::from_pem_file(stores().join("server.pem")).unwrap(),
        )
        .unwrap();
    let answer = http_answer(201, &good());
    Server::start(Some(config), move |stream| {
        let _ = stream.write_all(answer.as_bytes());
        let _ = stream.flush();
    })
}

#[test]
fn both_sides_show_who_they_are() {
    let files = Files::new();
    let server = tls_server("ca.pem");
    for (identity, trust) in [
        ("client.pem", "ca.pem"),
        ("client-shuffled.pem", "trust.p12"),
        ("client-encrypted.pem", "trust-legacy.p12"),
        ("client.p12", "ca.pem"),
        ("client-legacy.p12", "ca.pem"),
        ("client-ec.p12", "ca.pem"),
        ("client-pkcs1.pem", "ca.pem"),
    ] {
        let service = configured(&[
            ("url", &server.url),
            ("identity", &files.uri(identity)),
            ("trust", &files.uri(trust)),
            ("password-credential", "password"),
        ])
        .unwrap()
        .0;
        assert!(generate(&service).is_ok(), "{identity}, {trust}");
    }
}

#[test]
fn a_server_that_is_not_trusted_gets_no_request() {
    let files = Files::new();
    let server = tls_server("ca.pem");
    // The machine's own authorities, and another name than the certificate's.
    let elsewhere = server.url.replace("127.0.0.1", "localhost");
    let ca = files.uri("ca.pem");
    for (url, trust) in [(&server.url, None), (&elsewhere, Some(("trust", ca.as_str())))] {
        let identity = files.uri("client.pem");
        let mut fields = vec![("url", url.as_str()), ("identity", identity.as_str())];
        fields.extend(trust);
        let Ok((service, _)) = configured(&fields) else {
            // A machine without any authorities.
            continue;
        };
        let result = generate(&service);
        assert!(matches!(result, Err(Failure::Refused(_))));
        let problem = result.err().unwrap().into_problem();
        assert_eq!(problem.code, Code::SourceUntrusted, "{problem}");
        assert_eq!(problem.property.as_deref(), Some("emrkeys.key.k.trust"));
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_client_that_the_server_does_not_accept_is_told_so() {
    let files = Files::new();
    // The server trusts another CA: that of the shipped test certificate of the Java tests would do, so does its own.
    let server = tls_server("server.pem");
    let service = configured(&[
        ("url", &server.url),
        ("identity", &files.uri("client.pem")),
        ("trust", &files.uri("ca.pem")),
    ])
    .unwrap()
    .0;
    let result = generate(&service);
    assert!(matches!(result, Err(Failure::Refused(_))));
    let problem = problem(result);
    assert_eq!(problem.code, Code::SourceDenied, "{problem}");
    assert_eq!(problem.property.as_deref(), Some("emrkeys.key.k.identity"));
}

#[test]
fn files_that_do_not_serve_are_refused_at_start() {
    let files = Files::new();
    let code = |identity: &str, trust: &str, password: bool| {
        let (identity, trust) = (files.uri(identity), files.uri(trust));
        let mut fields = vec![
            ("url", "https://dks.example.org"),
            ("identity", identity.as_str()),
            ("trust", trust.as_str()),
        ];
        fields.extend(password.then_some(("password-credential", "password")));
        match configured(&fields) {
            Ok(_) => panic!("accepted"),
            Err(problem) => (problem.code, problem.property.unwrap_or_default()),
        }
    };
    let identity = || "emrkeys.key.k.identity".to_owned();
    let trust = || "emrkeys.key.k.trust".to_owned();
    assert_eq!(
        code("ca.pem", "ca.pem", true),
        (Code::KeyMaterialInvalid, identity())
    );
    assert_eq!(
        code("bad-pair.pem", "ca.pem", true),
        (Code::KeyPairMismatch, identity())
    );
    assert_eq!(
        code("bad-v1.pem", "ca.pem", true),
        (Code::KeyMaterialInvalid, identity())
    );
    assert_eq!(
        code("bad.jks", "ca.pem", true),
        (Code::KeyMaterialInvalid, identity())
    );
    assert_eq!(
        code("client.p12", "ca.pem", false),
        (Code::KeyPassword, identity())
    );
    assert_eq!(
        code("client.pem", "trust.p12", false),
        (Code::KeyPassword, trust())
    );
}

#[test]
fn a_renewed_certificate_makes_another_service() {
    let files = Files::new();
    let ca = files.uri("ca.pem");
    let identity = |name: &str| {
        let identity = files.uri(name);
        let fields = [
            ("url", "https://dks"),
            ("identity", identity.as_str()),
            ("trust", ca.as_str()),
        ];
        configured(&fields).unwrap().1
    };
    assert_eq!(identity("client.pem"), identity("client.pem"));
    assert_ne!(identity("client.pem"), identity("client-ec.pem"));
}
