//! AWS KMS: one call at a time, with an error that says who refused what and what to do.
//!
//! Nothing is retried and nothing remembered here but the clients themselves.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::Region;
use aws_sdk_kms::config::Builder;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use aws_sdk_kms::Client;
use secrecy::SecretSlice;
use zeroize::Zeroize;

use crate::aws::arn::Arn;
use crate::aws::connect;
use crate::aws::error::{self as aws_error, causes};
use crate::error::{excerpt, Code, Problem};
use crate::key_service::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For one attempt, so that one that hangs leaves time for another.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);

/// Settings differ by key, and a process has a few: more are not remembered.
const MAX_CLIENTS: usize = 64;

/// Clients are kept because a new one would ask the instance for credentials again, key by key.
static CLIENTS: Mutex<Option<HashMap<KmsAccess, Client>>> = Mutex::new(None);

/// The length of a key-encryption key, in bytes.
pub(crate) const KEY_BYTES: usize = 32;

/// How to reach KMS; what is not set comes from the AWS environment, profile or instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KmsAccess {
    /// A URL, such as that of a VPC endpoint.
    pub endpoint: Option<String>,
    /// The region of keys whose id does not say.
    pub region: Option<String>,
    /// The role to assume for the calls.
    pub role: Option<Role>,
}

/// A role to assume for the calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What its trust policy may ask for.
    pub external_id: Option<String>,
}

/// A KMS key, as configured: ARN, key id or alias.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KmsTarget {
    /// The property that names it, for messages.
    pub property: String,
    /// ARN, key id or alias.
    pub key_id: String,
    /// How to reach it.
    pub access: KmsAccess,
}

/// The encryption context of a call.
pub type Context = BTreeMap<String, String>;

/// A data key fresh from KMS.
pub struct DataKey {
    /// 32 bytes.
    pub plaintext: SecretSlice<u8>,
    pub ciphertext: Vec<u8>,
    /// The ARN of the key that wrapped it, whatever named it.
    pub key_arn: String,
}

/// The region in an ARN of a KMS key or alias.
pub(crate) fn region_of(key_id: &str) -> Option<&str> {
    Arn::parse(key_id).map(|arn| arn.region)
}

impl KmsTarget {
    /// `GenerateDataKey` for a 256-bit key.
    pub async fn generate(&self, context: &Context) -> Result<DataKey, Failure> {
        let call = self.call("GenerateDataKey", &self.key_id);
        let answer = call
            .client()
            .await
            .generate_data_key()
            .key_id(&self.key_id)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .send()
            .await
            .map_err(|error| call.failure(&error))?;
        let plaintext = call.key(answer.plaintext)?;
        match (answer.ciphertext_blob, answer.key_id) {
            (Some(ciphertext), Some(key_arn)) if !ciphertext.as_ref().is_empty() => Ok(DataKey {
                plaintext,
                ciphertext: ciphertext.into_inner(),
                key_arn,
            }),
            _ => Err(call.malformed("no wrapped key")),
        }
    }

    /// `DescribeKey`: the ARN of the key, whatever names it.
    pub(crate) async fn describe(&self) -> Result<String, Failure> {
        let call = self.call("DescribeKey", &self.key_id);
        let request = call.client().await.describe_key().key_id(&self.key_id);
        let answer = request.send().await.map_err(|error| call.failure(&error))?;
        let arn = answer.key_metadata.and_then(|key| key.arn);
        arn.ok_or_else(|| call.malformed("no ARN"))
    }

    /// `Decrypt` of a data key that `key_arn` wrapped.
    pub async fn decrypt(
        &self,
        key_arn: &str,
        ciphertext: &[u8],
        context: &Context,
    ) -> Result<SecretSlice<u8>, Failure> {
        let call = self.call("Decrypt", key_arn);
        let answer = call
            .client()
            .await
            .decrypt()
            .key_id(key_arn)
            .ciphertext_blob(Blob::new(ciphertext))
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .send()
            .await
            .map_err(|error| call.failure(&error))?;
        call.key(answer.plaintext)
    }

    /// `Encrypt` of a data key that was made elsewhere.
    pub async fn encrypt(&self, plaintext: &[u8], context: &Context) -> Result<Vec<u8>, Failure> {
        let call = self.call("Encrypt", &self.key_id);
        let answer = call
            .client()
            .await
            .encrypt()
            .key_id(&self.key_id)
            .plaintext(Blob::new(plaintext))
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .send()
            .await
            .map_err(|error| call.failure(&error))?;
        match answer.ciphertext_blob.map(Blob::into_inner) {
            Some(ciphertext) if !ciphertext.is_empty() => Ok(ciphertext),
            _ => Err(call.malformed("no wrapped key")),
        }
    }

    /// A client for calls that [`Provider`](crate::Provider) does not make, in the key's own region. It retries nothing.
    pub async fn client(&self) -> Client {
        self.call("", &self.key_id).client().await
    }

    /// What a failed `operation` (such as `DescribeKey`) with this key means, and what to do.
    pub fn problem<E>(&self, operation: &'static str, error: &SdkError<E>) -> Problem
    where
        E: ProvideErrorMetadata + std::error::Error + RequestId + 'static,
        SdkError<E>: RequestId,
    {
        self.call(operation, &self.key_id).failure(error).into_problem()
    }

    fn call<'a>(&'a self, operation: &'static str, key_id: &'a str) -> Call<'a> {
        Call {
            target: self,
            operation,
            key_id,
        }
    }
}

/// One call, for its messages.
struct Call<'a> {
    target: &'a KmsTarget,
    operation: &'static str,
    key_id: &'a str,
}

impl Call<'_> {
    /// The key's own region comes before what is configured for all: KMS knows a key in its region alone.
    async fn client(&self) -> Client {
        let mut access = self.target.access.clone();
        if let Some(region) = region_of(self.key_id).filter(|region| !region.is_empty()) {
            access.region = Some(region.to_owned());
        }
        let known = |clients: &Option<HashMap<KmsAccess, Client>>| clients.as_ref()?.get(&access).cloned();
        if let Some(client) = known(&CLIENTS.lock().unwrap_or_else(PoisonError::into_inner)) {
            return client;
        }
        let client = connect(&access).await;
        let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = known(&clients) {
            return other;
        }
        let clients = clients.get_or_insert_with(HashMap::new);
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(access, client.clone());
        client
    }

    /// The plaintext of an answer. The SDK's own copies of it, in its buffers, are out of reach.
    fn key(&self, plaintext: Option<Blob>) -> Result<SecretSlice<u8>, Failure> {
        let mut bytes = plaintext.map(Blob::into_inner).unwrap_or_default();
        if bytes.len() == KEY_BYTES {
            return Ok(SecretSlice::from(bytes));
        }
        let length = bytes.len();
        bytes.zeroize();
        Err(self.malformed(&format!("a key of {length} bytes instead of {KEY_BYTES}")))
    }

    fn malformed(&self, what: &str) -> Failure {
        Failure::Refused(self.problem(
            Code::SourceUnavailable,
            &format!("the answer has {what}"),
            None,
            "Check that the endpoint is KMS.",
        ))
    }

    fn failure<E>(&self, error: &SdkError<E>) -> Failure
    where
        E: ProvideErrorMetadata + std::error::Error + RequestId + 'static,
        SdkError<E>: RequestId,
    {
        let id = error.request_id();
        let Some((status, name, told)) = aws_error::answer(error) else {
            let remedy = "See that this node reaches KMS (endpoint, VPC endpoint, proxy) and has credentials (instance \
                          profile, environment, profile) and a region.";
            let problem = self.problem(Code::SourceUnavailable, &causes(error), id, remedy);
            return match error {
                // Nothing was sent, and nothing will be until the configuration changes.
                SdkError::ConstructionFailure(_) => Failure::Refused(problem),
                _ => Failure::Unavailable(problem),
            };
        };
        self.classify(status, name, &told, id)
    }

    /// Source of the names: the AWS KMS API reference, "Errors" of `Decrypt`, `GenerateDataKey` and `PutKeyPolicy`, and "Common errors".
    fn classify(&self, status: u16, name: &str, told: &str, id: Option<&str>) -> Failure {
        let (code, remedy) = match name {
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" => (
                Code::SourceDenied,
                format!(
                    "Allow the role kms:{} on the key, in its IAM policy and in the key's policy (make it a key user); an encryption context in the policy must match.",
                    self.operation
                ),
            ),
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken" => (
                Code::SourceDenied,
                "Check the credentials of this node, its clock, and the region.".to_owned(),
            ),
            "DisabledException" => (
                Code::KeyUnusable,
                "Enable the KMS key (aws kms enable-key), or name another.".to_owned(),
            ),
            "KMSInvalidStateException" => (
                Code::KeyUnusable,
                "Cancel the KMS key's deletion (aws kms cancel-key-deletion) or bring it into service, or name another.".to_owned(),
            ),
            "NotFoundException" => (
                Code::KeyUnusable,
                "Correct the key's id, or its region: KMS knows a key in its own region only, so name it by ARN.".to_owned(),
            ),
            "InvalidKeyUsageException" => (
                Code::KeyUnusable,
                "Use a symmetric KMS key for encryption and decryption.".to_owned(),
            ),
            "MalformedPolicyDocumentException" => (
                Code::InvalidValue,
                "See that every principal in the policy exists: KMS refuses a role that was deleted, or whose name is misspelt.".to_owned(),
            ),
            "InvalidCiphertextException" | "IncorrectKeyException" => (
                Code::WrappedKeyInvalid,
                "The wrapped key in the object's description was changed, or belongs to another key or encryption context: check who wrote the object's metadata.".to_owned(),
            ),
            "ThrottlingException" | "Throttling" | "LimitExceededException" | "RequestLimitExceeded" | "TooManyRequestsException" | "SlowDown" => {
                return Failure::Throttled(self.throttled(told, id));
            }
            _ if status == 429 => return Failure::Throttled(self.throttled(told, id)),
            // The credentials are renewed in the background: later they may be good.
            "ExpiredTokenException" | "ExpiredToken" => {
                return Failure::Unavailable(self.problem(
                    Code::SourceDenied,
                    told,
                    id,
                    "Renew the credentials of this node; those of an instance profile renew themselves.",
                ));
            }
            _ if status >= 500 => {
                return Failure::Unavailable(self.problem(
                    Code::SourceUnavailable,
                    told,
                    id,
                    "Try again later; the AWS Health Dashboard tells whether KMS has a fault.",
                ));
            }
            _ => (
                Code::SourceDenied,
                "See the AWS KMS API reference for this error.".to_owned(),
            ),
        };
        Failure::Refused(self.problem(code, told, id, &remedy))
    }

    fn throttled(&self, told: &str, id: Option<&str>) -> Problem {
        self.problem(
            Code::SourceThrottled,
            told,
            id,
            "Ask for a higher KMS request quota, or call KMS less: keys of type keyring need one call per process, and a longer emrkeys.cache.max-age means fewer.",
        )
    }

    fn problem(&self, code: Code, told: &str, request_id: Option<&str>, remedy: &str) -> Problem {
        let region = region_of(self.key_id).or(self.target.access.region.as_deref());
        let region = region.map(|region| format!(" in {region}")).unwrap_or_default();
        let id = aws_error::request(request_id);
        Problem::at(
            &self.target.property,
            code,
            format!(
                "KMS {} with key {}{region} failed: {told}{id}",
                self.operation,
                excerpt(self.key_id)
            ),
            remedy,
        )
    }
}

async fn connect(access: &KmsAccess) -> Client {
    let shared = connect::load(access.region.as_deref()).await;
    let mut builder = Builder::from(&shared);
    if let Some(endpoint) = &access.endpoint {
        builder = builder.endpoint_url(endpoint);
        if shared.region().is_none() {
            // Stands for a KMS that is not AWS's: it wants a region in the signature and cares little which.
            builder = builder.region(Region::from_static("us-east-1"));
        }
    }
    if let Some(role) = &access.role {
        let mut provider = AssumeRoleProvider::builder(&role.arn).session_name("emrkeys");
        if let Some(external_id) = &role.external_id {
            provider = provider.external_id(external_id);
        }
        builder = builder.credentials_provider(provider.configure(&shared).build().await);
    }
    Client::from_conf(settings(builder).build())
}

fn settings(builder: Builder) -> Builder {
    builder.retry_config(RetryConfig::disabled()).timeout_config(
        TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build(),
    )
}

#[cfg(test)]
mod tests {
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
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nx-amzn-requestid: REQ1\r\nConnection: close\r\n\r\n{body}",
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
            asked.contains("AKIDNODE")
                && asked.contains("role%2Fkeys")
                && asked.contains("ExternalId=cluster-7"),
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
}
