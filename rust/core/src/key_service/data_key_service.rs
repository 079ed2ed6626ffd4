//! An HTTP data key service over mutual TLS: what stands behind keys of type `data-key-service`.
//!
//! `GET <url>/datakey` gives a new key, `POST <url>/datakey/actions/decrypt?keyId=…` with the wrapped key as text opens
//! one; both answer with JSON. Objects store the `keyid` and `encryptedkey` of the service's own provider, so that each
//! reads what the other wrote. Source: github.com/dwp/data-key-service, `DataKeyController`.

mod answer;

use std::collections::hash_map::DefaultHasher;
use std::collections::BTreeMap;
use std::hash::Hasher;

use base64ct::{Base64, Encoding};
use emrkeys_crypto::key_store::KeyStore;
use emrkeys_crypto::KeyError;
use http::Method;
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use answer::Json;

use crate::config::loader::Loader;
use crate::config::{DataKeyServiceKey, FileRef};
use crate::description::{self, invalid, StoredDescription};
use crate::error::{excerpt, Code, Problem};
use crate::http::{Answered, Fault, HttpClient, ServiceUrl, Tls, TlsProblem, MAX_ANSWER};
use crate::key_service::{Answer, DescriptionCodec, Failure, KeyService, NewKey, WrappedKey};
use crate::material::{Permissions, Secrecy};
use crate::uri::percent_encode;

/// The most bytes of a key id and a wrapped key. All that is stored with an object may have 1 KiB, the names and the
/// key's own name included.
const MAX_STORED: usize = 900;
/// The most bytes of either part that is taken from an object: more than S3 stores, as instruction files can hold.
const MAX_READ: usize = 4096;

const NEW_KEY: &str = "GET /datakey";
const DECRYPT: &str = "POST /datakey/actions/decrypt";

/// A service, and who asks it.
pub(crate) struct DataKeyService {
    /// Of the key in the configuration, for messages.
    name: String,
    url: ServiceUrl,
    client: HttpClient,
}

/// Reads the inputs that the key's configuration names. The text beside the service identifies it and holds everything
/// that decides what it answers: a renewed certificate makes another service.
pub(crate) fn load(
    name: &str,
    config: &DataKeyServiceKey,
    loader: &mut Loader,
) -> Result<(DataKeyService, String), Problem> {
    let mut content = DefaultHasher::new();
    let mut store = |file: &Option<FileRef>, secrecy| match file {
        None => Ok(None),
        Some(file) => read_store(file, secrecy, config, loader, &mut content).map(Some),
    };
    let identity = store(&config.identity, Secrecy::Secret)?;
    let trust = store(&config.trust, Secrecy::Public)?;
    let tls = match config.url.is_tls() {
        true => Tls::new(identity.as_ref(), trust.as_ref()),
        // The client wants a configuration all the same; it trusts nobody.
        false => Tls::none(),
    };
    let service = DataKeyService {
        name: name.to_owned(),
        url: config.url.clone(),
        client: HttpClient::new(tls.map_err(|problem| tls_problem(name, problem))?),
    };
    let identity = format!(
        "data-key-service {name} {} {:x}",
        config.url.as_str(),
        content.finish()
    );
    Ok((service, identity))
}

fn read_store(
    file: &FileRef,
    secrecy: Secrecy,
    config: &DataKeyServiceKey,
    loader: &mut Loader,
    content: &mut DefaultHasher,
) -> Result<KeyStore, Problem> {
    let bytes = loader.file(file, secrecy, Permissions::Enforce)?;
    content.write(bytes.expose_secret());
    content.write_u8(u8::from(secrecy == Secrecy::Secret));
    let password = match &config.password {
        None => None,
        Some(credential) => Some(loader.credential(credential)?.expose_secret()),
    };
    KeyStore::parse(bytes.expose_secret(), password).map_err(|error| {
        let (code, remedy) = match &error {
            KeyError::PasswordMissing => (
                Code::KeyPassword,
                "Put the password into a Hadoop credential and name its alias in .password-credential.",
            ),
            KeyError::PasswordWrong => (
                Code::KeyPassword,
                "Check the credential that .password-credential names; it opens the identity and the trust \
                 store alike.",
            ),
            _ => (
                Code::KeyMaterialInvalid,
                "Certificates and keys are PEM (PKCS#8 keys) or PKCS#12.",
            ),
        };
        Problem::at(&file.property, code, error.to_string(), remedy)
    })
}

fn tls_problem(name: &str, problem: TlsProblem) -> Problem {
    let property = |field: &str| format!("emrkeys.key.{name}.{field}");
    match problem {
        TlsProblem::Identity(why) => Problem::at(
            property("identity"),
            Code::KeyMaterialInvalid,
            why,
            "Put the client's certificate, those of its intermediate authorities, and its private key into one file.",
        ),
        TlsProblem::Trust(why) => Problem::at(
            property("trust"),
            Code::KeyMaterialInvalid,
            why,
            "Set it to a PEM bundle or PKCS#12 store with the certificate of the authority that issued the service's.",
        ),
        TlsProblem::Mismatch => Problem::at(
            property("identity"),
            Code::KeyPairMismatch,
            "none of the certificates belongs to the private key",
            "Put a key and its own certificate into the file.",
        ),
    }
}

impl KeyService for DataKeyService {
    fn generate(&self) -> Answer<'_, NewKey> {
        Box::pin(async {
            let call = self.call(NEW_KEY);
            let url = format!("{}/datakey?correlationId={}", self.url.as_str(), call.id);
            let mut body = call.body(self.client.send(Method::GET, &url, None).await)?;
            let answer = call.json(&mut body)?;
            let plaintext = call.key(&answer)?;
            let key_id = call.text(&answer, "dataKeyEncryptionKeyId")?;
            let ciphertext = call.text(&answer, "ciphertextDataKey")?;
            let length = key_id.len() + ciphertext.len();
            if length > MAX_STORED {
                return Err(call.malformed(&format!(
                    "has a key id and a wrapped key of {length} bytes together, and at most {MAX_STORED} \
                     can be stored with an object"
                )));
            }
            if !key_id
                .chars()
                .chain(ciphertext.chars())
                .all(|c| c.is_ascii_graphic())
            {
                return Err(call
                    .malformed("has a key id or a wrapped key with spaces or other than ASCII characters"));
            }
            Ok(NewKey {
                plaintext,
                wrapped: WrappedKey {
                    key_id: key_id.to_string(),
                    ciphertext: ciphertext.as_bytes().to_vec(),
                    context: BTreeMap::new(),
                },
            })
        })
    }

    fn open<'a>(&'a self, wrapped: &'a WrappedKey) -> Answer<'a, SecretSlice<u8>> {
        Box::pin(async {
            let call = self.call(DECRYPT);
            let url = format!(
                "{}/datakey/actions/decrypt?keyId={}&correlationId={}",
                self.url.as_str(),
                percent_encode(&wrapped.key_id),
                call.id
            );
            let sent = self
                .client
                .send(Method::POST, &url, Some(&wrapped.ciphertext))
                .await;
            call.key(&call.json(&mut call.body(sent)?)?)
        })
    }
}

impl DescriptionCodec for DataKeyService {
    fn description(&self, wrapped: &WrappedKey) -> Vec<(String, String)> {
        vec![
            (
                description::DATA_KEY_SERVICE_ID.to_owned(),
                wrapped.key_id.clone(),
            ),
            (
                description::DATA_KEY_SERVICE_WRAPPED.to_owned(),
                String::from_utf8_lossy(&wrapped.ciphertext).into_owned(),
            ),
        ]
    }

    /// Only the service knows which keys exist: any id is passed on to it.
    fn wrapped(&self, stored: &StoredDescription) -> Result<WrappedKey, Problem> {
        let field = |name: &str| match stored.get(name) {
            None => Err(invalid(format!(
                "it belongs to key {} and has no {name}",
                excerpt(&self.name)
            ))),
            Some(value) if value.is_empty() || value.len() > MAX_READ => {
                Err(invalid(format!("{name} does not have 1 to {MAX_READ} bytes")))
            }
            Some(value) => Ok(value),
        };
        Ok(WrappedKey {
            key_id: field(description::DATA_KEY_SERVICE_ID)?.to_owned(),
            ciphertext: field(description::DATA_KEY_SERVICE_WRAPPED)?.as_bytes().to_vec(),
            context: BTreeMap::new(),
        })
    }
}

impl DataKeyService {
    fn call(&self, operation: &'static str) -> Call<'_> {
        Call {
            service: self,
            operation,
            id: format!("emrkeys-{:016x}", fastrand::u64(..)),
        }
    }
}

/// One call, for its messages. They hold neither what was sent nor what was received.
struct Call<'a> {
    service: &'a DataKeyService,
    operation: &'static str,
    /// The correlation id, by which the service's log can be searched.
    id: String,
}

impl Call<'_> {
    /// The body of a successful answer, which may hold a key.
    fn body(&self, sent: Result<Answered, Fault>) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let answer = sent.map_err(|fault| self.fault(fault))?;
        if !matches!(answer.status, 200 | 201) {
            return Err(self.refusal(answer.status));
        }
        Ok(answer.body)
    }

    fn json<'a>(&self, body: &'a mut [u8]) -> Result<BTreeMap<&'a str, Json<'a>>, Failure> {
        // The answer holds a key, so that the message gives the place alone and not the text of the parser.
        match answer::parse(body) {
            Ok(Json::Object(fields)) => Ok(fields),
            Ok(_) => Err(self.malformed("is JSON, but no object")),
            Err(error) if error.is_eof() => Err(self.malformed("is empty or cut off")),
            Err(error) => Err(self.malformed(&format!(
                "is not JSON (line {}, column {})",
                error.line(),
                error.column()
            ))),
        }
    }

    fn text<'a>(&self, answer: &BTreeMap<&str, Json<'a>>, field: &str) -> Result<&'a str, Failure> {
        let found = match answer.get(field) {
            Some(Json::Text(text)) if !text.is_empty() => return Ok(text),
            Some(Json::Text(_)) => "an empty",
            Some(Json::Null) | None => "no",
            Some(_) => "something else than text for",
        };
        Err(self.malformed(&format!("has {found} {field}")))
    }

    fn key(&self, answer: &BTreeMap<&str, Json>) -> Result<SecretSlice<u8>, Failure> {
        const FIELD: &str = "plaintextDataKey";
        const LONGEST: usize = 32;
        let text = self.text(answer, FIELD)?;
        let mut buffer = Zeroizing::new([0; LONGEST]);
        match Base64::decode(text, buffer.as_mut_slice()) {
            Ok(key) if matches!(key.len(), 16 | 24 | 32) => Ok(SecretSlice::from(Box::<[u8]>::from(key))),
            _ => Err(self.malformed(&format!("has a {FIELD} that is not 16, 24 or 32 bytes in base64"))),
        }
    }

    fn malformed(&self, what: &str) -> Failure {
        Failure::Refused(self.at_url(
            Code::SourceUnavailable,
            &format!("the answer {what}"),
            "Check that .url is the address of a data key service: what stands before /datakey.",
        ))
    }

    /// Source: the responses that `DataKeyController` declares (201, 200, 400, 403, 503), and HTTP for the rest.
    fn refusal(&self, status: u16) -> Failure {
        let told = format!("HTTP {status}");
        let refused = |code, remedy: &str| Failure::Refused(self.at_url(code, &told, remedy));
        match status {
            400 if self.operation == DECRYPT => refused(
                Code::WrappedKeyInvalid,
                "The service did not make the wrapped key in the object's description, or it was changed: \
                 check who wrote the object's metadata, and with which service.",
            ),
            401 | 403 => Failure::Refused(self.denied(&told)),
            404 | 410 => refused(
                Code::SourceUnavailable,
                "Check that .url is the address of a data key service: what stands before /datakey.",
            ),
            300..=399 => refused(
                Code::SourceUnavailable,
                "Redirects are not followed: set .url to the address of the service itself.",
            ),
            429 => Failure::Throttled(self.at_url(
                Code::SourceThrottled,
                &told,
                "Let the service take more requests, or ask it less: a longer emrkeys.cache.max-age means fewer.",
            )),
            408 | 500.. => Failure::Unavailable(self.at_url(
                Code::SourceUnavailable,
                &told,
                "Try again later; the service's log says why, under the correlation id.",
            )),
            _ => refused(
                Code::SourceDenied,
                "The service's log says why, under the correlation id.",
            ),
        }
    }

    fn denied(&self, told: &str) -> Problem {
        self.problem(
            "identity",
            Code::SourceDenied,
            told,
            "Set it to a client certificate, and its key, that the service accepts: not expired, not \
             revoked, of an authority that it trusts.",
        )
    }

    fn fault(&self, fault: Fault) -> Failure {
        match fault {
            Fault::Untrusted(why) => Failure::Refused(self.problem(
                "trust",
                Code::SourceUntrusted,
                &format!("the service's certificate does not verify: {why}"),
                "Set it to the certificate of the authority that issued the service's; that must name the \
                 URL's host (subject alternative name) and not be expired.",
            )),
            Fault::NotAccepted(why) => Failure::Refused(self.denied(&why)),
            Fault::TooLarge => self.malformed(&format!("has more than {} KiB", MAX_ANSWER / 1024)),
            Fault::Lost(why) => Failure::Unavailable(self.at_url(
                Code::SourceUnavailable,
                &why,
                "See that this node reaches the service (address, security group) and that the service runs.",
            )),
        }
    }

    fn at_url(&self, code: Code, told: &str, remedy: &str) -> Problem {
        self.problem("url", code, told, remedy)
    }

    fn problem(&self, field: &str, code: Code, told: &str, remedy: &str) -> Problem {
        Problem::at(
            format!("emrkeys.key.{}.{field}", self.service.name),
            code,
            format!(
                "{} of the data key service at {} failed: {told} (correlation id {})",
                self.operation,
                self.service.url.host(),
                self.id
            ),
            remedy,
        )
    }
}

#[cfg(test)]
mod tests;
