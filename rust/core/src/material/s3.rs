//! Key material in S3, read with the core's own client: the S3 client that is about to ask for the key cannot be the
//! one that fetches it.
//!
//! Credentials come from the AWS default chain (environment, profile, web identity, container, instance), are never
//! held here, and never appear in a message.

mod kept;

use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::Client;
use secrecy::SecretSlice;
use zeroize::Zeroizing;

use super::{check_length, too_large};
use crate::aws::clients::Clients;
use crate::aws::connect::{self, Patience};
use crate::aws::error::{self as aws_error, causes};
use crate::aws::runtime;
use crate::aws::s3::{classify, S3Failure};
use crate::aws::S3Access;
use crate::error::{excerpt, Code, Problem};
use crate::waiting;

/// From the first look for credentials to the last byte, all attempts together.
const DEADLINE: Duration = Duration::from_secs(20);
/// An attempt that hangs leaves time for another. Throttles and faults are retried; a denial is final.
const PATIENCE: Patience = Patience {
    attempts: 4,
    attempt: Some(Duration::from_secs(6)),
    read: None,
};

/// Settings differ by configuration, and a process has one or two configurations.
static CLIENTS: Clients<S3Access, Client> = Clients::new(8);

/// The object's bytes, at most `limit`, and its ETag, which S3 always gives.
pub(crate) fn read(
    property: &str,
    bucket: &str,
    key: &str,
    limit: usize,
    access: &S3Access,
) -> Result<(SecretSlice<u8>, Option<String>), Problem> {
    let object = Object {
        property,
        bucket,
        key,
        limit,
    };
    object.within(DEADLINE, async { object.get(&client(access).await).await })
}

/// The condition that an object must meet for a write to happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition<'a> {
    Absent,
    /// As it was read, by its ETag.
    Unchanged(&'a str),
}

/// The answer to a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// `false`: the object is not as the condition says.
    pub(crate) happened: bool,
    /// A property that could not be kept: `acl-unreadable`.
    pub(crate) note: Option<&'static str>,
}

/// Replaces or makes the object if `condition` holds, which S3 decides atomically. A replaced object keeps the
/// headers of its content, its user metadata, storage class, encryption by S3, lock and tags, and its access control
/// list where that may be read.
pub(crate) fn write(
    property: &str,
    bucket: &str,
    key: &str,
    access: &S3Access,
    bytes: &[u8],
    condition: Condition<'_>,
) -> Result<Written, Problem> {
    let object = Object {
        property,
        bucket,
        key,
        limit: bytes.len(),
    };
    object.within(DEADLINE, async {
        object.put(&client(access).await, bytes, condition).await
    })
}

/// Drops the clients that are kept, with their credentials, and gives their number.
pub(crate) fn forget_clients() -> usize {
    CLIENTS.forget()
}

async fn client(access: &S3Access) -> Client {
    if let Some(client) = CLIENTS.get(access) {
        return client;
    }
    let shared = connect::load(access.region.as_deref()).await;
    CLIENTS.keep(access.clone(), access.client(&shared, PATIENCE))
}

/// One object that is to be read, and on whose behalf.
#[derive(Clone, Copy)]
struct Object<'a> {
    property: &'a str,
    bucket: &'a str,
    key: &'a str,
    /// The most bytes to read.
    limit: usize,
}

impl Object<'_> {
    fn within<T, F>(&self, deadline: Duration, work: F) -> Result<T, Problem>
    where
        F: std::future::Future<Output = Result<T, Problem>>,
    {
        let deadline = waiting::left(deadline);
        runtime::block_on(deadline, work)?.unwrap_or_else(|| {
            Err(self.unavailable(&format!("no answer within {} seconds", deadline.as_secs()), None))
        })
    }

    async fn get(&self, client: &Client) -> Result<(SecretSlice<u8>, Option<String>), Problem> {
        let request = client.get_object().bucket(self.bucket).key(self.key);
        let mut answer = request.send().await.map_err(|error| self.failure(&error))?;
        let shown = self.uri();
        let id = answer.request_id().map(str::to_owned);
        if answer
            .content_length()
            .is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > self.limit))
        {
            return Err(too_large(self.property, &shown, self.limit));
        }
        // As large as it may get at once: a reallocation would leave part of a key behind.
        let mut buffer = Zeroizing::new(Vec::with_capacity(self.limit));
        while let Some(chunk) = answer.body.try_next().await.map_err(|error| {
            self.unavailable(
                &format!("the answer broke off: {}", causes(&error)),
                id.as_deref(),
            )
        })? {
            if chunk.len() > self.limit - buffer.len() {
                return Err(too_large(self.property, &shown, self.limit));
            }
            buffer.extend_from_slice(&chunk);
        }
        check_length(self.property, &shown, buffer.len(), self.limit)?;
        let bytes = SecretSlice::from(Box::<[u8]>::from(buffer.as_slice()));
        Ok((bytes, answer.e_tag().map(str::to_owned)))
    }

    async fn put(&self, client: &Client, bytes: &[u8], condition: Condition<'_>) -> Result<Written, Problem> {
        let request = client
            .put_object()
            .bucket(self.bucket)
            .key(self.key)
            .content_type("application/json")
            .body(ByteStream::from(bytes.to_vec()));
        let (request, note) = match condition {
            Condition::Absent => (request.if_none_match("*"), None),
            Condition::Unchanged(tag) => match self.kept(client, tag).await? {
                Some(kept) => (kept.on(request).if_match(tag), kept.note),
                None => {
                    return Ok(Written {
                        happened: false,
                        note: None,
                    })
                }
            },
        };
        let Err(error) = request.send().await else {
            return Ok(Written { happened: true, note });
        };
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        match (status, error.code(), condition) {
            // 409: another conditional write of the object was under way. 404: the object to replace is gone.
            // Source: Amazon S3 user guide, "How to prevent object overwrites with conditional writes".
            (Some(409 | 412), _, _) | (Some(404), Some("NoSuchKey"), Condition::Unchanged(_)) => {
                Ok(Written {
                    happened: false,
                    note,
                })
            }
            _ => Err(self.failure(&error)),
        }
    }

    fn uri(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    fn failure<E>(&self, error: &SdkError<E>) -> Problem
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        SdkError<E>: RequestId,
    {
        let (failure, told) = classify(error);
        self.refused(failure, &told)
    }

    fn refused(&self, failure: S3Failure, told: &str) -> Problem {
        let (code, remedy) = match failure {
            S3Failure::NoBucket => (
                Code::KeyFileNotFound,
                "Correct the bucket's name, or create the bucket.",
            ),
            S3Failure::NoObject => (
                Code::KeyFileNotFound,
                "Put the key there, or correct the location.",
            ),
            S3Failure::Denied => (
                Code::SourceDenied,
                "Allow the role s3:GetObject on the object (to write it also s3:PutObject and s3:GetObjectTagging, \
                 s3:PutObjectTagging if it has tags, s3:PutObjectAcl, s3:PutObjectRetention and s3:PutObjectLegalHold \
                 if it has an access control list or a lock), and kms:Decrypt on the key that encrypts the bucket; S3 \
                 also answers so for an object that does not exist if s3:ListBucket is not allowed.",
            ),
            S3Failure::OtherRegion => (
                Code::SourceUnavailable,
                "The bucket is in another region: set emrkeys.s3.region to it.",
            ),
            S3Failure::Changed | S3Failure::Unsupported | S3Failure::Unavailable => {
                return self.unavailable(told, None)
            }
        };
        self.problem(code, told, None, remedy)
    }

    fn unavailable(&self, told: &str, request_id: Option<&str>) -> Problem {
        self.problem(
            Code::SourceUnavailable,
            told,
            request_id,
            "See that this node reaches S3 and has credentials (instance profile, environment, profile) and a region; \
             emrkeys.s3.endpoint and emrkeys.s3.region override what the environment says.",
        )
    }

    fn problem(&self, code: Code, told: &str, request_id: Option<&str>, remedy: &str) -> Problem {
        let id = aws_error::request(request_id);
        let message = format!(
            "{} could not be read or written: {told}{id}",
            excerpt(&self.uri())
        );
        Problem::at(self.property, code, message, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::material::MAX_MATERIAL;
    use aws_config::retry::RetryConfig;
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
    use aws_smithy_http_client::proxy::ProxyConfig;
    use secrecy::ExposeSecret;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    const SECRET_ACCESS_KEY: &str = "canary-secret-access-key";

    /// An S3 that gives the same answer to every request, and counts them.
    struct Server {
        address: SocketAddr,
        requests: Arc<AtomicUsize>,
    }

    impl Server {
        fn start(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let requests = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&requests);
            std::thread::spawn(move || {
                for connection in listener.incoming() {
                    let mut connection = connection.unwrap();
                    let mut request = Vec::new();
                    let mut chunk = [0; 4096];
                    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                        match connection.read(&mut chunk) {
                            Ok(length) if length > 0 => request.extend_from_slice(&chunk[..length]),
                            _ => break,
                        }
                    }
                    counter.fetch_add(1, Ordering::SeqCst);
                    answer(&String::from_utf8_lossy(&request), &mut connection);
                }
            });
            Server { address, requests }
        }

        fn answering(status: &'static str, body: Vec<u8>) -> Self {
            Server::start(move |request, connection| {
                assert!(request.starts_with("GET /bucket/some%20key"), "{request}");
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nx-amz-request-id: REQ1\r\nConnection: \
                     close\r\n\r\n"
                );
                let _ = connection
                    .write_all(head.as_bytes())
                    .and_then(|()| connection.write_all(&body));
            })
        }

        fn failing(status: &'static str, code: &str) -> Self {
            let body = format!(
                "<Error><Code>{code}</Code><Message>told so</Message><RequestId>REQ1</RequestId></Error>"
            );
            Server::answering(status, body.into_bytes())
        }

        fn client(&self) -> Client {
            client_for(self.address)
        }

        fn get(&self) -> Result<SecretSlice<u8>, Problem> {
            let client = self.client();
            OBJECT.within(DEADLINE, async {
                OBJECT.get(&client).await.map(|(bytes, _)| bytes)
            })
        }

        fn count(&self) -> usize {
            self.requests.load(Ordering::SeqCst)
        }
    }

    const OBJECT: Object<'static> = Object {
        property: "emrkeys.key.k.file",
        bucket: "bucket",
        key: "some key",
        limit: MAX_MATERIAL,
    };

    fn client_for(address: SocketAddr) -> Client {
        let access = S3Access {
            endpoint: Some(format!("http://{address}")),
            region: None,
            path_style: true,
        };
        let base = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .http_client(connect::http_client(ProxyConfig::disabled()))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "AKIDTEST",
                SECRET_ACCESS_KEY,
                None,
                None,
                "test",
            )))
            .build();
        let quick = RetryConfig::standard()
            .with_max_attempts(PATIENCE.attempts)
            .with_initial_backoff(Duration::from_millis(1));
        let client = access.client(&base, PATIENCE);
        Client::from_conf(client.config().to_builder().retry_config(quick).build())
    }

    fn code_of(result: Result<SecretSlice<u8>, Problem>) -> Code {
        let problem = result.unwrap_err();
        assert_eq!(problem.property.as_deref(), Some("emrkeys.key.k.file"));
        let text = problem.to_string();
        assert!(text.contains("s3://bucket/some key"), "{text}");
        assert!(
            !text.contains(SECRET_ACCESS_KEY) && !text.contains("AKIDTEST"),
            "{text}"
        );
        problem.code
    }

    #[test]
    fn an_object_is_read() {
        let server = Server::answering("200 OK", b"key material".to_vec());
        assert_eq!(server.get().unwrap().expose_secret(), b"key material");
        let server = Server::answering("200 OK", vec![7; MAX_MATERIAL]);
        assert_eq!(server.get().unwrap().expose_secret().len(), MAX_MATERIAL);
    }

    #[test]
    fn a_denial_is_final() {
        let server = Server::failing("403 Forbidden", "AccessDenied");
        let problem = server.get().unwrap_err();
        assert!(problem.message.contains("REQ1"), "{problem}");
        assert_eq!(code_of(Err(problem)), Code::SourceDenied);
        assert_eq!(server.count(), 1);
        assert_eq!(
            code_of(Server::failing("400 Bad Request", "InvalidToken").get()),
            Code::SourceDenied
        );
    }

    #[test]
    fn what_is_not_there_is_said_to_be_missing() {
        let server = Server::failing("404 Not Found", "NoSuchKey");
        assert_eq!(code_of(server.get()), Code::KeyFileNotFound);
        assert_eq!(server.count(), 1);
        assert_eq!(
            code_of(Server::failing("404 Not Found", "NoSuchBucket").get()),
            Code::KeyFileNotFound
        );
    }

    #[test]
    fn faults_are_retried_and_then_reported() {
        for (status, name) in [
            ("503 Slow Down", "SlowDown"),
            ("500 Internal Server Error", "InternalError"),
        ] {
            let server = Server::failing(status, name);
            assert_eq!(code_of(server.get()), Code::SourceUnavailable);
            assert_eq!(server.count(), PATIENCE.attempts as usize);
        }
        let server = Server::failing("301 Moved Permanently", "PermanentRedirect");
        let problem = server.get().unwrap_err();
        assert!(problem.remedy.contains("emrkeys.s3.region"));
        assert_eq!(code_of(Err(problem)), Code::SourceUnavailable);
    }

    #[test]
    fn empty_and_oversized_objects_are_refused() {
        assert_eq!(
            code_of(Server::answering("200 OK", Vec::new()).get()),
            Code::KeyFileEmpty
        );
        let large = Server::answering("200 OK", vec![7; MAX_MATERIAL + 1]);
        assert_eq!(code_of(large.get()), Code::KeyFileTooLarge);
        // One that does not say how long it is, and does not end.
        let endless = Server::start(|_, connection| {
            let mut sent = connection.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while sent.is_ok() {
                sent = connection.write_all(b"400\r\n").and_then(|()| {
                    connection.write_all(&[7; 1024])?;
                    connection.write_all(b"\r\n")
                });
            }
        });
        assert_eq!(code_of(endless.get()), Code::KeyFileTooLarge);
    }

    #[test]
    fn an_answer_that_breaks_off_is_no_key() {
        let server = Server::start(|_, connection| {
            let _ = connection
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\nConnection: close\r\n\r\nhalf");
        });
        assert_eq!(code_of(server.get()), Code::SourceUnavailable);
    }

    #[test]
    fn clients_are_kept_until_they_are_forgotten() {
        let access = S3Access {
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            region: Some("eu-west-1".to_owned()),
            ..S3Access::default()
        };
        let kept = || CLIENTS.get(&access).is_some();
        runtime::block_on(DEADLINE, client(&access)).unwrap().unwrap();
        assert!(kept());
        assert!(crate::forget_clients() > 0);
        assert!(!kept());
    }

    #[test]
    fn the_deadline_holds_against_a_server_that_trickles() {
        let server = Server::start(|_, connection| {
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n");
            while connection.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        let client = server.client();
        let start = std::time::Instant::now();
        let result = OBJECT.within(Duration::from_millis(500), async {
            OBJECT.get(&client).await.map(|(bytes, _)| bytes)
        });
        assert_eq!(code_of(result), Code::SourceUnavailable);
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn nobody_listening_is_unavailable() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = client_for(address);
        let result = OBJECT.within(DEADLINE, async {
            OBJECT.get(&client).await.map(|(bytes, _)| bytes)
        });
        assert_eq!(code_of(result), Code::SourceUnavailable);
    }

    /// Not a test of its own: what `the_default_chain_gives_credentials` runs in processes with other environments.
    #[test]
    #[ignore = "run by the_default_chain_gives_credentials"]
    fn read_through_the_default_chain() {
        let Ok(endpoint) = std::env::var("EMRKEYS_TEST_ENDPOINT") else {
            return;
        };
        let access = S3Access {
            endpoint: Some(endpoint),
            region: None,
            path_style: true,
        };
        for _ in 0..2 {
            match read(OBJECT.property, OBJECT.bucket, OBJECT.key, MAX_MATERIAL, &access) {
                Ok((bytes, _)) => println!("read {} bytes", bytes.expose_secret().len()),
                Err(problem) => println!("{problem}"),
            }
        }
        println!("{} clients", CLIENTS.len());
    }

    /// The credentials of an instance's role, as every node of EMR gets them (IMDSv2).
    fn instance_metadata() -> Server {
        Server::start(|request, connection| {
            let role = "/latest/meta-data/iam/security-credentials";
            let path = request
                .split(' ')
                .nth(1)
                .unwrap_or_default()
                .trim_end_matches('/');
            let body = match path {
                "/latest/api/token" => "token".to_owned(),
                "/latest/meta-data/placement/region" => "eu-west-1".to_owned(),
                path if path == role => "EMR_EC2_DefaultRole".to_owned(),
                path if path.starts_with(role) => format!(
                    r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"AKIDTEST","SecretAccessKey":"{SECRET_ACCESS_KEY}",
                    "Token":"session","LastUpdated":"2020-01-01T00:00:00Z","Expiration":"2999-01-01T00:00:00Z"}}"#
                ),
                _ => String::new(),
            };
            let status = if body.is_empty() {
                "404 Not Found"
            } else {
                "200 OK"
            };
            let _ = write!(
                connection,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nx-aws-ec2-metadata-token-ttl-seconds: \
                 21600\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        })
    }

    #[test]
    fn the_default_chain_gives_credentials() {
        let server = Server::answering("200 OK", b"key material".to_vec());
        let run = |credentials: &[(&str, &str)]| {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "material::s3::tests::read_through_the_default_chain",
                    "--ignored",
                    "--nocapture",
                ])
                .env_clear()
                .env("EMRKEYS_TEST_ENDPOINT", format!("http://{}", server.address))
                .env("AWS_EC2_METADATA_DISABLED", "true")
                .envs(credentials.iter().copied())
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let text = run(&[
            ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ]);
        assert_eq!(text.matches("read 12 bytes").count(), 2, "{text}");
        assert!(text.contains("1 clients"), "{text}");
        let metadata = instance_metadata();
        let text = run(&[
            ("AWS_EC2_METADATA_DISABLED", "false"),
            (
                "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                &format!("http://{}", metadata.address),
            ),
        ]);
        assert_eq!(text.matches("read 12 bytes").count(), 2, "{text}");
        assert!(metadata.count() > 0);
        let text = run(&[]);
        assert_eq!(text.matches("SOURCE_UNAVAILABLE").count(), 2, "{text}");
        assert!(text.contains("credentials"), "{text}");
    }
}
