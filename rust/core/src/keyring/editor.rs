//! The operations on keyrings: the logic of `emrkeys keyring`.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::document::{Document, Protector, State};
use super::protector::{AesProtector, Protectors};
use super::store::{self, Store, Stored};
use super::{Keyring, Root};
use crate::aws::arn::is_kms_alias;
use crate::aws::kms::{KmsAccess, KmsTarget, Role};
use crate::aws::S3Access;
use crate::config::Limits;
use crate::error::{excerpt, Code, Error, Problem};
use crate::inputs::Inputs;
use crate::material::aes_key::{parse_aes_key, Encoding};
use crate::material::{self, Location, Permissions, Secrecy};
use crate::names::is_name;

/// How to reach S3 and KMS; what is not set comes from the AWS environment or profile.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The endpoint of S3, for one that is not AWS's; buckets then stand in the path.
    pub s3_endpoint: Option<String>,
    /// The endpoint of KMS.
    pub kms_endpoint: Option<String>,
    /// The region of both; that in the ARN of a KMS key comes first.
    pub region: Option<String>,
    /// A role to assume for KMS.
    pub role_arn: Option<String>,
    /// The external id that the role asks for.
    pub external_id: Option<String>,
}

/// The keys that protect a keyring, or may: KMS keys, and files with AES keys. Without one, nothing can be verified or
/// changed.
#[derive(Clone, Debug, Default)]
pub struct Protection {
    /// ARNs, key ids or aliases. Where there are several, no aliases.
    pub kms_key_ids: Vec<String>,
    /// URIs of AES keys of 256 bits: raw, in hex or in base64.
    pub files: Vec<String>,
}

/// A change of a keyring.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new active version; the active one becomes decrypt-only.
    Rotate,
    /// A decrypt-only version, by its id or number, is refused from now on.
    Disable(String),
    /// A disabled version decrypts again.
    Enable(String),
    /// The key of a disabled version is removed for good.
    Destroy(String),
    /// The same versions under a new document key, under the one key named.
    Rewrap(Protection),
}

/// The content of a keyring without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The key's name.
    pub name: String,
    /// Counts the changes.
    pub generation: u64,
    /// The time of the last change, RFC 3339 in UTC.
    pub updated: String,
    /// `kms` or `aes`.
    pub protector: &'static str,
    /// The ARN of the KMS key, or the fingerprint of the AES key.
    pub protector_key: String,
    /// Oldest first.
    pub versions: Vec<VersionSummary>,
    /// Whether the tag was checked; otherwise all of this may be anybody's.
    pub authentic: bool,
}

/// One version in a [`Summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSummary {
    /// The id that is stored with objects.
    pub id: String,
    /// RFC 3339 in UTC.
    pub created: String,
    /// The state, which decides what may be done with it.
    pub state: State,
}

/// A keyring at one place.
pub struct Editor {
    store: Store,
    access: Access,
    protectors: Protectors,
}

/// A change that is worked out and verified, and not yet written.
pub struct Edit<'a> {
    editor: &'a Editor,
    old: Option<Stored>,
    bytes: Vec<u8>,
    /// The keyring before; `None` for a new one.
    pub before: Option<Summary>,
    /// The keyring after.
    pub after: Summary,
}

impl std::fmt::Debug for Edit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Edit({:?} -> {:?})", self.before, self.after)
    }
}

/// The content of a keyring without its secrets, unverified.
///
/// # Errors
/// `KEYRING_INVALID`
pub fn inspect(bytes: &[u8]) -> Result<Summary, Error> {
    Ok(summary(&store::parse("keyring", "the document", bytes)?, false))
}

impl Editor {
    /// For the keyring at `uri`: `file:`, `s3:`, or a local path.
    ///
    /// # Errors
    /// `INVALID_URI`, `INVALID_VALUE`; what is wrong with the files of `protection`.
    pub fn new(uri: &str, access: &Access, protection: &Protection) -> Result<Editor, Error> {
        Ok(Editor {
            store: Store::new(uri, &s3_access(access))?,
            access: access.clone(),
            protectors: protectors(protection, access)?,
        })
    }

    /// Where the keyring is, as a URI.
    pub fn uri(&self) -> &str {
        self.store.uri()
    }

    /// Reads the keyring, and verifies it where the protection names a key.
    ///
    /// # Errors
    /// The fault of the keyring.
    pub fn read(&self) -> Result<Summary, Error> {
        let stored = self.store.read()?;
        let document = self.parse(&stored.bytes)?;
        if self.protectors.count() == 0 {
            return Ok(summary(&document, false));
        }
        Ok(summary(self.unlock(document)?.document(), true))
    }

    /// A new keyring.
    ///
    /// # Errors
    /// `KEYRING_CHANGED` where there is something already; `INVALID_VALUE` for the name; what KMS says.
    pub fn create(&self, name: &str) -> Result<Edit<'_>, Error> {
        if !is_name(name) {
            return Err(Problem::new(
                Code::InvalidValue,
                format!("{} is not the name of a key", excerpt(name)),
                "Names are 1 to 64 letters, digits, '-' and '_'.",
            )
            .into());
        }
        one_protector(&self.protectors)?;
        if !self.store.is_vacant()? {
            return Err(self.store.changed(false).into());
        }
        self.edit(None, None, Keyring::create(name, &self.protectors)?)
    }

    /// Works out a change.
    ///
    /// # Errors
    /// The fault of the keyring; `KEY_VERSION_UNKNOWN`, `KEY_VERSION_STATE`; the refusal of KMS.
    pub fn change(&self, change: &Change) -> Result<Edit<'_>, Error> {
        let old = self.store.read()?;
        let keyring = self.unlock(self.parse(&old.bytes)?)?;
        let before = summary(keyring.document(), true);
        let changed = match change {
            Change::Rotate => keyring.rotated()?,
            Change::Disable(version) => keyring.with_state(version, State::Disabled)?,
            Change::Enable(version) => keyring.with_state(version, State::DecryptOnly)?,
            Change::Destroy(version) => keyring.with_state(version, State::Destroyed)?,
            Change::Rewrap(protection) => {
                let protectors = protectors(protection, &self.access)?;
                one_protector(&protectors)?;
                keyring.rewrapped(&protectors)?
            }
        };
        self.edit(Some(old), Some(before), changed)
    }

    fn edit(
        &self,
        old: Option<Stored>,
        before: Option<Summary>,
        keyring: Keyring,
    ) -> Result<Edit<'_>, Error> {
        let bytes = keyring.document().to_json();
        // A reader must accept the new document, with all its versions; a defect must not cost the keys.
        let root = keyring.root_for(keyring.document());
        let read_back = match (self.parse(&bytes)?, root) {
            (document, Some(root)) => Keyring::open("keyring", document, root)?,
            (_, None) => return Err(defect().into()),
        };
        let document = read_back.document();
        for version in document.versions.iter().filter(|v| v.state != State::Destroyed) {
            read_back.key("keyring", version)?;
        }
        Ok(Edit {
            editor: self,
            old,
            before,
            after: summary(document, true),
            bytes,
        })
    }

    fn parse(&self, bytes: &[u8]) -> Result<Document, Problem> {
        store::parse("keyring", self.store.uri(), bytes)
    }

    fn unlock(&self, document: Document) -> Result<Keyring, Problem> {
        let root: Root = self.protectors.unlock(&document)?;
        Keyring::open("keyring", document, root)
    }
}

impl Edit<'_> {
    /// Writes the keyring, if it is still as it was read, and reads it back. One in S3 keeps its properties; the result
    /// is [`ACL_UNREADABLE`](crate::aws::ACL_UNREADABLE) if its access control list may not be read and is lost.
    ///
    /// # Errors
    /// `KEYRING_CHANGED`, and nothing was written; what the store says, such as `SOURCE_DENIED` for a lock that may not
    /// be read.
    pub fn write(&self) -> Result<Option<&'static str>, Error> {
        Ok(self.editor.store.write(self.old.as_ref(), &self.bytes)?)
    }
}

fn summary(document: &Document, authentic: bool) -> Summary {
    let (protector, protector_key) = match &document.protector {
        Protector::Kms { key, .. } => ("kms", key),
        Protector::Aes { fingerprint, .. } => ("aes", fingerprint),
    };
    Summary {
        name: document.name.clone(),
        generation: document.generation,
        updated: document.updated.as_str().to_owned(),
        protector,
        protector_key: protector_key.clone(),
        versions: document
            .versions
            .iter()
            .map(|version| VersionSummary {
                id: version.id.as_str().to_owned(),
                created: version.created.as_str().to_owned(),
                state: version.state,
            })
            .collect(),
        authentic,
    }
}

fn s3_access(access: &Access) -> S3Access {
    S3Access {
        endpoint: access.s3_endpoint.clone(),
        region: access.region.clone(),
        path_style: access.s3_endpoint.is_some(),
    }
}

fn protectors(protection: &Protection, access: &Access) -> Result<Protectors, Error> {
    let kms_access = KmsAccess {
        endpoint: access.kms_endpoint.clone(),
        region: access.region.clone(),
        role: access.role_arn.clone().map(|arn| Role {
            arn,
            external_id: access.external_id.clone(),
        }),
    };
    let ids = &protection.kms_key_ids;
    if ids.len() > 1 && ids.iter().any(|id| is_kms_alias(id)) {
        return Err(Problem::new(
            Code::InvalidValue,
            "among several KMS keys there is an alias, and only KMS knows which key it stands for",
            "Name them by ARN.",
        )
        .into());
    }
    let kms = ids.iter().map(|id| KmsTarget {
        property: "keyring".to_owned(),
        key_id: id.clone(),
        access: kms_access.clone(),
    });
    let mut aes = Vec::new();
    for file in &protection.files {
        const WHAT: &str = "protector";
        let location = if file.contains(':') {
            Location::literal(WHAT, file)?
        } else {
            let path = std::path::absolute(file).map_err(|error| {
                let what = format!("{} is no path: {error}", excerpt(file));
                Problem::at(WHAT, Code::InvalidUri, what, "Write it as file:///path.")
            })?;
            Location::File(path)
        };
        if let Location::External(_) = location {
            let what = format!("{} is neither a local file nor an object in S3", excerpt(file));
            let remedy = "Copy the key to a file that only you can read.";
            return Err(Problem::at(WHAT, Code::InvalidUri, what, remedy).into());
        }
        let (inputs, s3) = (Inputs::new(), s3_access(access));
        let read = material::read(
            WHAT,
            &location,
            material::MAX_MATERIAL,
            Secrecy::Secret,
            Permissions::Enforce,
            &inputs,
            &s3,
        )?;
        let key = parse_aes_key(WHAT, read.bytes.expose_secret(), Encoding::Auto)?;
        aes.push(AesProtector::new(WHAT, Arc::new(key))?);
    }
    let deadline = Limits::default().deadline;
    Ok(Protectors::new("keyring", kms.collect(), aes, deadline))
}

fn one_protector(protectors: &Protectors) -> Result<(), Problem> {
    if protectors.count() == 1 {
        return Ok(());
    }
    Err(Problem::new(
        Code::InvalidValue,
        "a keyring is protected by one key",
        "Name one KMS key, or one file with an AES key.",
    ))
}

fn defect() -> Problem {
    Problem::new(
        Code::Internal,
        "the keyring to write does not open",
        "Report this defect; nothing was written.",
    )
}
