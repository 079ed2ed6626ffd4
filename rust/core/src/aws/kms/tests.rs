use super::*;
use crate::aws::runtime;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{channel, Receiver};

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const ROLE: &str = "arn:aws:iam::111122223333:role/keys";

/// Answers every request as `answer` says, and passes on what was asked.
fn server(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            loop {
                let text = String::from_utf8_lossy(&request).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head
                        .lines()
                        .filter_map(|line| line.split_once(": "))
                        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                        .map_or(0, |(_, length)| length.parse().unwrap());
                    if body.len() >= length {
                        break;
                    }
                }
                match connection.read(&mut chunk) {
                    Ok(length) if length > 0 => request.extend_from_slice(&chunk[..length]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let (status, body) = answer(&request);
            let _ = sender.send(request);
            let _ = write!(
                connection,
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nx-amzn-requestid: REQ1\r\nConnection: \
                 close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (address, requests)
}

fn target(endpoint: &str, role: Option<Role>) -> KmsTarget {
    KmsTarget {
        property: "emrkeys.key.k.kms-key-id".to_owned(),
        key_id: KEY.to_owned(),
        access: KmsAccess {
            endpoint: Some(endpoint.to_owned()),
            region: None,
            role,
        },
    }
}

fn generate(target: &KmsTarget) -> Result<DataKey, Failure> {
    runtime::block_on(Duration::from_secs(20), target.generate(&Context::new()))
        .unwrap()
        .unwrap()
}

fn data_key(length: usize) -> String {
    format!(
        r#"{{"KeyId": "{KEY}", "CiphertextBlob": "{}", "Plaintext": "{}"}}"#,
        <base64ct::Base64 as base64ct::Encoding>::encode_string(&[1; 184]),
        <base64ct::Base64 as base64ct::Encoding>::encode_string(&vec![2; length])
    )
}

/// Not a test of its own: what `a_role_is_assumed_for_the_call` runs in a process with its own environment.
#[test]
#[ignore = "run by a_role_is_assumed_for_the_call"]
fn generate_with_a_role() {
    let Ok(endpoint) = std::env::var("EMRKEYS_TEST_ENDPOINT") else {
        return;
    };
    let role = Role {
        arn: ROLE.to_owned(),
        external_id: Some("cluster-7".to_owned()),
    };
    let made = generate(&target(&endpoint, Some(role)));
    println!("made: {}", made.is_ok_and(|key| key.key_arn == KEY));
}

#[test]
fn a_role_is_assumed_for_the_call() {
    let (sts, of_sts) = server(|_| {
        let body = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIDASSUMED</AccessKeyId>\
                    <SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken>\
                    <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
        (200, body.to_owned())
    });
    let (kms, of_kms) = server(|_| (200, data_key(32)));
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "aws::kms::tests::generate_with_a_role",
            "--ignored",
            "--nocapture",
        ])
        .env_clear()
        .env("EMRKEYS_TEST_ENDPOINT", format!("http://{kms}"))
        .env("AWS_ENDPOINT_URL_STS", format!("http://{sts}"))
        .env("AWS_ACCESS_KEY_ID", "AKIDNODE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("made: true"), "{text}");
    let asked = of_sts.recv().unwrap();
    assert!(
        asked.contains("AKIDNODE") && asked.contains("role%2Fkeys") && asked.contains("ExternalId=cluster-7"),
        "{asked}"
    );
    let asked = of_kms.recv().unwrap();
    assert!(
        asked.contains("AKIDASSUMED/") && asked.contains("/eu-west-1/kms/"),
        "{asked}"
    );
}

#[test]
fn what_kms_says_decides_what_becomes_of_a_call() {
    let kind = |failure: &Failure| match failure {
        Failure::Refused(_) => "refused",
        Failure::Throttled(_) => "throttled",
        Failure::Unavailable(_) => "unavailable",
    };
    let target = target("http://127.0.0.1:1", None);
    let call = target.call("Decrypt", KEY);
    for (status, name, expected, code) in [
        (400, "AccessDeniedException", "refused", Code::SourceDenied),
        (400, "UnrecognizedClientException", "refused", Code::SourceDenied),
        (400, "DisabledException", "refused", Code::KeyUnusable),
        (400, "KMSInvalidStateException", "refused", Code::KeyUnusable),
        (400, "NotFoundException", "refused", Code::KeyUnusable),
        (400, "InvalidKeyUsageException", "refused", Code::KeyUnusable),
        (
            400,
            "InvalidCiphertextException",
            "refused",
            Code::WrappedKeyInvalid,
        ),
        (400, "IncorrectKeyException", "refused", Code::WrappedKeyInvalid),
        (400, "SomethingNew", "refused", Code::SourceDenied),
        (400, "ThrottlingException", "throttled", Code::SourceThrottled),
        (400, "LimitExceededException", "throttled", Code::SourceThrottled),
        (429, "SomethingNew", "throttled", Code::SourceThrottled),
        (400, "ExpiredTokenException", "unavailable", Code::SourceDenied),
        (
            500,
            "KMSInternalException",
            "unavailable",
            Code::SourceUnavailable,
        ),
        (503, "SomethingNew", "unavailable", Code::SourceUnavailable),
    ] {
        let failure = call.classify(status, name, "told so", Some("REQ1"));
        assert_eq!(kind(&failure), expected, "{name}");
        let problem = failure.into_problem();
        assert_eq!(problem.code, code, "{name}");
        for part in ["Decrypt", KEY, "eu-west-1", "told so", "REQ1"] {
            assert!(problem.message.contains(part), "{part} in {problem}");
        }
    }
}

/// Needs no credentials of its own: those of the process, or none, make no difference to a server that takes any.
#[test]
#[ignore = "run by an_answer_without_a_key_is_refused"]
fn generate_from_the_environment() {
    let Ok(endpoint) = std::env::var("EMRKEYS_TEST_ENDPOINT") else {
        return;
    };
    match generate(&target(&endpoint, None)) {
        Ok(_) => println!("made"),
        Err(failure) => println!("{}", failure.into_problem()),
    }
}

#[test]
fn an_answer_without_a_key_is_refused() {
    for (body, expected) in [
        (data_key(32), "made"),
        (data_key(16), "a key of 16 bytes instead of 32"),
        ("{}".to_owned(), "a key of 0 bytes instead of 32"),
    ] {
        let (kms, _requests) = server(move |_| (200, body.clone()));
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "aws::kms::tests::generate_from_the_environment",
                "--ignored",
                "--nocapture",
            ])
            .env_clear()
            .env("EMRKEYS_TEST_ENDPOINT", format!("http://{kms}"))
            .env("AWS_ACCESS_KEY_ID", "AKIDTEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(expected), "{text}");
    }
}
