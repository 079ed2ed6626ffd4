//! What a document key is wrapped under: a KMS key, or an AES key of the user's.

use std::sync::Arc;
use std::time::Duration;

use emrkeys_crypto::{gcm_wrap, hmac};
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use super::document::{Canonical, Document, Protector, FORMAT};
use super::{crypto_failed, Root};
use crate::description::{self, Description};
use crate::error::{excerpt, Code, Problem};
use crate::kms::{Context, KmsTarget};
use crate::source::service::{Answer, KeyService, NewKey, WrappedKey};

/// So that no data key of another use opens as a document key, and a policy of KMS can tell them apart.
const CONTEXT_USE: &str = "emrkeys.use";
const USE: &str = "keyring";

/// The keys that may protect a keyring. What the document says counts only where one of these agrees: who can replace
/// the document must not choose the key.
pub(crate) struct Protectors {
    /// The property or option that names them, for messages.
    pub(crate) property: String,
    pub(crate) kms: Vec<KmsTarget>,
    pub(crate) aes: Vec<AesProtector>,
}

/// An AES key that may protect, of 256 bits.
pub(crate) struct AesProtector {
    fingerprint: String,
    key: Arc<SecretSlice<u8>>,
}

impl AesProtector {
    /// `property` names the key.
    ///
    /// # Errors
    /// `KEY_SIZE`: what protects 256-bit keys has 256 bits.
    pub(crate) fn new(property: &str, key: Arc<SecretSlice<u8>>) -> Result<Self, Problem> {
        let bytes = key.expose_secret();
        if bytes.len() != 32 {
            return Err(Problem::at(
                property,
                Code::KeySize,
                format!("the key has {} bits, and what protects a keyring has 256", 8 * bytes.len()),
                "Make one with: openssl rand 32 > KEY.",
            ));
        }
        Ok(AesProtector {
            fingerprint: emrkeys_crypto::fingerprint::aes(bytes),
            key,
        })
    }

    /// The user's key may serve for other things, so what wraps here is derived from it.
    fn wrapping_key(&self) -> Result<Zeroizing<[u8; 32]>, Problem> {
        let mut info = Canonical(Vec::new());
        info.text("protector");
        hmac::derive(self.key.expose_secret(), FORMAT.as_bytes(), &info.0).map_err(|_| crypto_failed())
    }
}

/// What the wrapped document key is bound to.
fn binding(name: &str) -> Vec<u8> {
    let mut out = Canonical(Vec::new());
    out.text(FORMAT);
    out.text("document key");
    out.text(name);
    out.0
}

fn context(name: &str) -> Context {
    Context::from([
        (description::KEY.to_owned(), name.to_owned()),
        (CONTEXT_USE.to_owned(), USE.to_owned()),
    ])
}

impl Protectors {
    /// The document key of a document, which nothing vouches for yet.
    ///
    /// # Errors
    /// `KEYRING_PROTECTOR` where it is under a key that is none of these, or was not wrapped for this keyring; what
    /// KMS says.
    pub(crate) fn unlock(&self, document: &Document) -> Result<Root, Problem> {
        match &document.protector {
            Protector::Aes { fingerprint, wrapped } => {
                let known = self.aes.iter().find(|key| &key.fingerprint == fingerprint);
                let key = known.ok_or_else(|| self.unknown(&format!("the AES key {fingerprint}")))?;
                let root = gcm_wrap::unwrap(&key.wrapping_key()?[..], wrapped, &binding(&document.name))
                    .map_err(|_| self.not_opened("it was changed, or belongs to a keyring of another name"))?;
                Root::new(&root).ok_or_else(|| self.not_opened("it is no key of 256 bits"))
            }
            Protector::Kms { key, wrapped } => {
                let key_id = self
                    .kms_for(key)
                    .ok_or_else(|| self.unknown(&format!("the KMS key {}", excerpt(key))))?;
                let wrapped = WrappedKey {
                    key_id: key_id.to_owned(),
                    ciphertext: wrapped.clone(),
                    context: context(&document.name),
                };
                let root = self.open_by_kms(&wrapped).map_err(|problem| match problem.code {
                    Code::WrappedKeyInvalid => self.not_opened(&problem.message),
                    _ => problem,
                })?;
                Root::new(root.expose_secret()).ok_or_else(|| self.not_opened("it is no key of 256 bits"))
            }
        }
    }

    /// A new document key for a keyring of that name, under the first of these.
    ///
    /// # Errors
    /// What KMS says.
    pub(crate) fn protect(&self, name: &str) -> Result<(Protector, Root), Problem> {
        if let Some(key) = self.aes.first() {
            let root = Root::random()?;
            let wrapped = gcm_wrap::wrap(&key.wrapping_key()?[..], root.expose(), &binding(name))
                .map_err(|_| crypto_failed())?;
            let fingerprint = key.fingerprint.clone();
            return Ok((Protector::Aes { fingerprint, wrapped }, root));
        }
        let made = self.generate_by_kms(name)?;
        let root = Root::new(made.plaintext.expose_secret()).ok_or_else(crypto_failed)?;
        let protector = Protector::Kms {
            key: made.wrapped.key_id,
            wrapped: made.wrapped.ciphertext,
        };
        Ok((protector, root))
    }

    /// The id by which to ask KMS for a document key that is under `arn`. It is always one that was configured, and
    /// KMS refuses what is not under it: what the document says only chooses among these.
    fn kms_for(&self, arn: &str) -> Option<&str> {
        let ids = || self.kms.iter().map(|target| target.key_id.as_str());
        ids()
            .find(|id| *id == arn || same_multi_region_key(id, arn) || arn.ends_with(&format!(":key/{id}")))
            .or_else(|| ids().find(|id| is_alias(id)))
    }

    fn unknown(&self, what: &str) -> Problem {
        Problem::at(
            &self.property,
            Code::KeyringProtector,
            format!("the keyring is protected by {what}, which is not configured for it"),
            "If the keyring was moved to that key on purpose, configure the key; if not, somebody replaced the keyring.",
        )
    }

    fn not_opened(&self, why: &str) -> Problem {
        Problem::at(
            &self.property,
            Code::KeyringProtector,
            format!("the document key of the keyring does not open: {why}"),
            "Restore the keyring, and find out who wrote it; where a KMS alias was moved, run emrkeys keyring rewrap.",
        )
    }
}

/// Whether a configured id is an alias, by its name or ARN: KMS alone knows which key it stands for.
pub(crate) fn is_alias(id: &str) -> bool {
    id.starts_with("alias/") || id.contains(":alias/")
}

/// A multi-region key is one key with an ARN in each region.
fn same_multi_region_key(one: &str, other: &str) -> bool {
    let parts = |arn: &str| -> Option<(String, String, String)> {
        let mut parts = arn.splitn(6, ':');
        let (head, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (_region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        (head == "arn" && service == "kms" && resource.starts_with("key/mrk-"))
            .then(|| (partition.to_owned(), account.to_owned(), resource.to_owned()))
    };
    parts(one).is_some_and(|one| parts(other) == Some(one))
}
