//! The key that wraps a document key: a KMS key, or an AES key of the user's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use emrkeys_crypto::{gcm_wrap, hmac};
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use super::document::{Canonical, Document, Protector, FORMAT};
use super::{crypto_failed, Root};
use crate::aws::arn::{is_kms_alias, same_kms_key};
use crate::aws::kms::{Context, KmsTarget};
use crate::config::Limits;
use crate::counters::Counts;
use crate::description;
use crate::error::{excerpt, Code, Problem};
use crate::key_service::cache::KeyCache;
use crate::key_service::{Answer, KeyService, NewKey, WrappedKey};

/// So that no data key of another use opens as a document key, and a policy of KMS can distinguish them.
const CONTEXT_USE: &str = "emrkeys.use";
const USE: &str = "keyring";

/// The keys that may protect a keyring. The document's own word counts only if one of these agrees: an attacker who can
/// replace the document must not choose the key.
pub(crate) struct Protectors {
    /// The property or option that names the keyring, for messages.
    property: String,
    kms: Vec<KmsTarget>,
    aes: Vec<AesProtector>,
    /// The document keys that KMS opened, for all of this process that is configured alike.
    opened: Option<Arc<KeyCache>>,
    deadline: Duration,
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
                format!(
                    "the key has {} bits, and what protects a keyring has 256",
                    8 * bytes.len()
                ),
                "Make one with: `openssl rand 32 > KEY`.",
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

/// The associated data of the wrapped document key.
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

/// KMS, asked for document keys.
struct DocumentKeys {
    targets: Vec<KmsTarget>,
    /// Of the keyring that is to be made; empty where keyrings are only opened.
    name: String,
}

impl KeyService for DocumentKeys {
    fn generate(&self) -> Answer<'_, NewKey> {
        Box::pin(async {
            let context = context(&self.name);
            let made = self.targets[0].generate(&context).await?;
            Ok(NewKey {
                plaintext: made.plaintext,
                wrapped: WrappedKey {
                    key_id: made.key_arn,
                    ciphertext: made.ciphertext,
                    context,
                },
            })
        })
    }

    /// `key_id` is that of a target.
    fn open<'a>(&'a self, wrapped: &'a WrappedKey) -> Answer<'a, SecretSlice<u8>> {
        Box::pin(async {
            let mut targets = self.targets.iter();
            let target = targets.find(|target| target.key_id == wrapped.key_id);
            let target = target.unwrap_or(&self.targets[0]);
            target
                .decrypt(&target.key_id, &wrapped.ciphertext, &wrapped.context)
                .await
        })
    }
}

impl Protectors {
    /// `deadline`: for KMS, all tries together.
    pub(crate) fn new(
        property: &str,
        kms: Vec<KmsTarget>,
        aes: Vec<AesProtector>,
        deadline: Duration,
    ) -> Self {
        let opened = (!kms.is_empty()).then(|| key_cache(&kms, "", deadline));
        Protectors {
            property: property.to_owned(),
            kms,
            aes,
            opened,
            deadline,
        }
    }

    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        self.kms.len() + self.aes.len()
    }

    /// The calls of KMS, counted.
    pub(crate) fn counts(&self) -> Option<Counts> {
        self.opened.as_ref().map(|cache| cache.counts())
    }

    /// The document key of a document, which nothing vouches for yet.
    ///
    /// # Errors
    /// `KEYRING_PROTECTOR` if it is under a key that is not one of these, or was not wrapped for this keyring; the
    /// refusal of KMS.
    pub(crate) fn unlock(&self, document: &Document) -> Result<Root, Problem> {
        match &document.protector {
            Protector::Aes { fingerprint, wrapped } => {
                let known = self.aes.iter().find(|key| &key.fingerprint == fingerprint);
                let key = known.ok_or_else(|| self.unknown(&format!("the AES key {fingerprint}")))?;
                let root = gcm_wrap::unwrap(&key.wrapping_key()?[..], wrapped, &binding(&document.name))
                    .map_err(|_| {
                        self.not_opened("it was changed, or belongs to a keyring of another name")
                    })?;
                Root::new(&root).ok_or_else(|| self.not_opened("it is no key of 256 bits"))
            }
            Protector::Kms { key, wrapped } => {
                let (Some(key_id), Some(opened)) = (self.kms_for(key), &self.opened) else {
                    return Err(self.unknown(&format!("the KMS key {}", excerpt(key))));
                };
                let wrapped = WrappedKey {
                    key_id: key_id.to_owned(),
                    ciphertext: wrapped.clone(),
                    context: context(&document.name),
                };
                let root = opened.open(&wrapped).map_err(|problem| match problem.code {
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
    /// The refusal of KMS.
    pub(crate) fn protect(&self, name: &str) -> Result<(Protector, Root), Problem> {
        if let Some(key) = self.aes.first() {
            let root = Root::random()?;
            let wrapped = gcm_wrap::wrap(&key.wrapping_key()?[..], root.expose(), &binding(name))
                .map_err(|_| crypto_failed())?;
            let fingerprint = key.fingerprint.clone();
            return Ok((Protector::Aes { fingerprint, wrapped }, root));
        }
        if self.kms.is_empty() {
            return Err(crypto_failed());
        }
        let made = key_cache(&self.kms, name, self.deadline).current()?;
        let root = Root::new(made.key.expose_secret()).ok_or_else(crypto_failed)?;
        let protector = Protector::Kms {
            key: made.wrapped.key_id.clone(),
            wrapped: made.wrapped.ciphertext.clone(),
        };
        Ok((protector, root))
    }

    /// The id by which to ask KMS for a document key that is under `arn`. It is always one that was configured, and
    /// KMS refuses what is not under it: what the document says only chooses among these.
    pub(super) fn kms_for(&self, arn: &str) -> Option<&str> {
        let ids = || self.kms.iter().map(|target| target.key_id.as_str());
        ids()
            .find(|id| same_kms_key(id, arn))
            .or_else(|| ids().find(|id| is_kms_alias(id)))
    }

    fn unknown(&self, what: &str) -> Problem {
        Problem::at(
            &self.property,
            Code::KeyringProtector,
            format!("the keyring is protected by {what}, which is not configured for it"),
            "If the keyring was moved to that key on purpose, configure the key; if not, somebody replaced \
             the keyring.",
        )
    }

    fn not_opened(&self, why: &str) -> Problem {
        Problem::at(
            &self.property,
            Code::KeyringProtector,
            format!("the document key of the keyring does not open: {why}"),
            "Restore the keyring, and find out who wrote it. If a KMS alias was moved: `emrkeys keyring rewrap KEYRING \
             --kms-key-id OLD --to-kms-key-id NEW`.",
        )
    }
}

/// Document keys are kept for as long as something in this process has the keyring open: the keyring says what may be
/// done with them, and no call of KMS would say more.
fn key_cache(targets: &[KmsTarget], name: &str, deadline: Duration) -> Arc<KeyCache> {
    const FOR_GOOD: Duration = Duration::from_secs(365 * 86_400);
    let limits = Limits {
        max_age: FOR_GOOD,
        max_entries: 64,
        deadline,
        ..Limits::default()
    };
    // Two keyrings never share a document key, so what is made is nobody else's.
    static MADE: AtomicU64 = AtomicU64::new(0);
    let made = if name.is_empty() {
        0
    } else {
        1 + MADE.fetch_add(1, Ordering::Relaxed)
    };
    KeyCache::shared(format!("keyring {made} {targets:?}"), limits, || {
        Arc::new(DocumentKeys {
            targets: targets.to_vec(),
            name: name.to_owned(),
        })
    })
}
