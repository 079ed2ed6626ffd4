//! AWS KMS: one call at a time, with an error that says who refused what and what to do.
//!
//! Nothing is retried and nothing remembered here but the clients themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_sdk_kms::config::Builder;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use aws_sdk_kms::Client;
use secrecy::SecretSlice;
use zeroize::Zeroize;

use crate::aws::arn::{is_kms_alias, Arn};
use crate::aws::clients::Clients;
use crate::aws::connect::{self, Patience};
use crate::aws::error::{self as aws_error, causes};
use crate::error::{excerpt, shell_word, Code, Failure, Problem};

/// An attempt that hangs leaves time for another, which the caller makes.
const PATIENCE: Patience = Patience {
    attempts: 1,
    attempt: Some(Duration::from_secs(6)),
    read: None,
};

/// Settings differ by key.
static CLIENTS: Clients<KmsAccess, Client> = Clients::new(64);

/// Drops the clients that are kept, with their credentials, and gives their number.
pub(crate) fn forget_clients() -> usize {
    CLIENTS.forget()
}

/// The length of a key-encryption key, in bytes.
pub(crate) const KEY_BYTES: usize = 32;

/// The errors by which AWS asks for fewer calls.
const THROTTLED: [&str; 6] = [
    "ThrottlingException",
    "Throttling",
    "LimitExceededException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
];

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
    /// The external id that the role's trust policy may require.
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
        let plaintext = call.key(answer.plaintext, &[KEY_BYTES])?;
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

    /// `Decrypt` of a key-encryption key of 32 bytes that `key_arn` wrapped.
    pub async fn decrypt(
        &self,
        key_arn: &str,
        ciphertext: &[u8],
        context: &Context,
    ) -> Result<SecretSlice<u8>, Failure> {
        let opened = self.decrypt_sized(key_arn, ciphertext, context, &[KEY_BYTES]);
        opened.await.map(|(key, _)| key)
    }

    /// `Decrypt` of an object's data key of 16, 24 or 32 bytes (clients let their users choose) that `key_id` wrapped,
    /// and the ARN of the key that did, whatever names it.
    pub async fn decrypt_data_key(
        &self,
        key_id: &str,
        ciphertext: &[u8],
        context: &Context,
    ) -> Result<(SecretSlice<u8>, Option<String>), Failure> {
        self.decrypt_sized(key_id, ciphertext, context, &[16, 24, KEY_BYTES])
            .await
    }

    async fn decrypt_sized(
        &self,
        key_arn: &str,
        ciphertext: &[u8],
        context: &Context,
        sizes: &[usize],
    ) -> Result<(SecretSlice<u8>, Option<String>), Failure> {
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
        Ok((call.key(answer.plaintext, sizes)?, answer.key_id))
    }

    /// `Encrypt` of a data key that was made elsewhere; the ciphertext, and the ARN of the key, whatever names it.
    pub async fn encrypt(
        &self,
        plaintext: &[u8],
        context: &Context,
    ) -> Result<(Vec<u8>, Option<String>), Failure> {
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
            Some(ciphertext) if !ciphertext.is_empty() => Ok((ciphertext, answer.key_id)),
            _ => Err(call.malformed("no wrapped key")),
        }
    }

    /// A client for calls that [`Provider`](crate::Provider) does not make, in the key's own region. It retries
    /// nothing.
    pub async fn client(&self) -> Client {
        self.call("", &self.key_id).client().await
    }

    /// The meaning of a failed `operation` (such as `DescribeKey`) with this key, and the remedy.
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
        match CLIENTS.get(&access) {
            Some(client) => client,
            None => {
                let client = connect(&access).await;
                CLIENTS.keep(access, client)
            }
        }
    }

    /// The plaintext of an answer, which has one of `sizes`. The SDK's own copies of it, in its buffers, are out of
    /// reach.
    fn key(&self, plaintext: Option<Blob>, sizes: &[usize]) -> Result<SecretSlice<u8>, Failure> {
        let mut bytes = plaintext.map(Blob::into_inner).unwrap_or_default();
        // A boxed copy of its exact size: to shrink the vector would leave its bytes behind.
        let key = Box::<[u8]>::from(bytes.as_slice());
        let length = bytes.len();
        bytes.zeroize();
        let key = SecretSlice::from(key);
        if sizes.contains(&length) {
            return Ok(key);
        }
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

    /// How a key that is disabled, or is to be deleted, is brought back.
    fn brought_back(&self, is_disabled: bool) -> String {
        // KMS takes no alias for these operations.
        let id = if is_kms_alias(self.key_id) {
            "ID".to_owned()
        } else {
            shell_word(self.key_id)
        };
        if is_disabled {
            format!("Enable the KMS key (`aws kms enable-key --key-id {id}`), or name another.")
        } else {
            format!(
                "Cancel the KMS key's deletion (`aws kms cancel-key-deletion --key-id {id}`) or bring it into service, \
                 or name another."
            )
        }
    }

    /// Source of the names: the AWS KMS API reference, "Errors" of `Decrypt`, `GenerateDataKey` and `PutKeyPolicy`, and
    /// "Common errors".
    fn classify(&self, status: u16, name: &str, told: &str, id: Option<&str>) -> Failure {
        let (code, remedy) = match name {
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" => (
                Code::SourceDenied,
                format!(
                    "Allow the role kms:{} on the key, in its IAM policy and in the key's policy (make it a \
                     key user); an encryption context in the policy must match.",
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
            "DisabledException" | "KMSInvalidStateException" => {
                (Code::KeyUnusable, self.brought_back(name == "DisabledException"))
            }
            "NotFoundException" => (
                Code::KeyUnusable,
                "Correct the key's id, or its region: KMS knows a key in its own region only, so name it by \
                 ARN."
                    .to_owned(),
            ),
            "InvalidKeyUsageException" => (
                Code::KeyUnusable,
                "Use a symmetric KMS key for encryption and decryption.".to_owned(),
            ),
            "MalformedPolicyDocumentException" => (
                Code::InvalidValue,
                "See that every principal in the policy exists: KMS refuses a role that was deleted, or \
                 whose name is misspelt."
                    .to_owned(),
            ),
            "InvalidCiphertextException" | "IncorrectKeyException" => (
                Code::WrappedKeyInvalid,
                "The wrapped key in the object's description was changed, or belongs to another key or \
                 encryption context: check who wrote the object's metadata."
                    .to_owned(),
            ),
            name if THROTTLED.contains(&name) => return Failure::Throttled(self.throttled(told, id)),
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
                    "Try again later; the AWS Health Dashboard shows whether KMS has a fault.",
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
            "Ask for a higher KMS request quota, or call KMS less: keys of type keyring need one call per \
             process, and a longer emrkeys.cache.max-age means fewer.",
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
    let settings = connect::service(&shared, access.endpoint.as_deref(), PATIENCE);
    let mut builder = Builder::from(&settings);
    if let Some(role) = &access.role {
        let mut provider = AssumeRoleProvider::builder(&role.arn).session_name("emrkeys");
        if let Some(external_id) = &role.external_id {
            provider = provider.external_id(external_id);
        }
        builder = builder.credentials_provider(provider.configure(&shared).build().await);
    }
    Client::from_conf(builder.build())
}

#[cfg(test)]
mod tests;
