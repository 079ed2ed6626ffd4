//! Keyrings: versions of one key in a small document that authenticates itself.
//!
//! The document holds a *document key*, wrapped under a KMS key or an AES key. From it come the key of the tag over all
//! that the document says, and the keys that wrap the versions. So one unwrapping, one call of KMS, opens a
//! keyring with all its versions, and nobody without the protecting key can change a word of it. `docs/formats.md` is
//! the specification; what operators do with keyrings is in [`Editor`].

mod command;
mod document;
mod editor;
mod protector;
mod store;

pub use command::command_options;
pub use document::{State, MAX_DOCUMENT, MAX_VERSIONS};
pub use editor::{inspect, Access, Change, Edit, Editor, Protection, Summary, VersionSummary};

pub(crate) use document::{Canonical, Document, Malformed, Protector, Version, VersionId};
pub(crate) use protector::{AesProtector, Protectors};
pub(crate) use store::parse;

use document::{Timestamp, FORMAT};
use emrkeys_crypto::{cipher, gcm_wrap, hmac};
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use crate::error::{excerpt, Code, Problem};

/// A document key: 32 bytes.
pub(crate) struct Root(SecretSlice<u8>);

impl Root {
    fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 32).then(|| Root(SecretSlice::from(bytes.to_vec())))
    }

    fn random() -> Result<Self, Problem> {
        random_key().map(Root)
    }

    fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    fn derive(&self, info: Canonical) -> Result<Zeroizing<[u8; 32]>, Problem> {
        hmac::derive(self.expose(), FORMAT.as_bytes(), &info.0).map_err(|_| crypto_failed())
    }

    fn mac_key(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, Problem> {
        let mut info = Canonical(Vec::new());
        info.text("mac");
        info.text(name);
        self.derive(info)
    }

    fn version_key(&self, name: &str, id: &VersionId) -> Result<Zeroizing<[u8; 32]>, Problem> {
        let mut info = Canonical(Vec::new());
        info.text("version");
        info.text(name);
        info.text(id.as_str());
        self.derive(info)
    }
}

/// A document that its document key vouches for.
pub(crate) struct Keyring {
    document: Document,
    root: Root,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Keyring({}, generation {})",
            self.document.name, self.document.generation
        )
    }
}

impl Keyring {
    /// Checks the tag.
    ///
    /// # Errors
    /// `KEYRING_NOT_AUTHENTIC`, at `property`.
    pub(crate) fn open(property: &str, document: Document, root: Root) -> Result<Self, Problem> {
        let key = root.mac_key(&document.name)?;
        if !hmac::verify(&key[..], &document.canonical(), &document.tag) {
            return Err(not_authentic(property, "its tag is wrong"));
        }
        Ok(Keyring { document, root })
    }

    /// A new keyring with one version.
    pub(crate) fn create(name: &str, protectors: &Protectors) -> Result<Self, Problem> {
        let (protector, root) = protectors.protect(name)?;
        let now = now()?;
        let document = Document {
            name: name.to_owned(),
            generation: 0,
            updated: now.clone(),
            protector,
            versions: vec![new_version(&root, name, 1, &now)?],
            tag: [0; 32],
        };
        Keyring { document, root }.signed(now)
    }

    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// The same root for a document that names the same wrapped one; `None` where it does not.
    pub(crate) fn root_for(&self, other: &Document) -> Option<Root> {
        let same = self.document.protector == other.protector && self.document.name == other.name;
        same.then(|| Root::new(self.root.expose())).flatten()
    }

    /// The key of a version of this keyring that is not destroyed.
    ///
    /// # Errors
    /// `KEYRING_NOT_AUTHENTIC`, at `property`.
    pub(crate) fn key(&self, property: &str, version: &Version) -> Result<SecretSlice<u8>, Problem> {
        let broken = || {
            not_authentic(
                property,
                &format!("version {} does not open", version.id.as_str()),
            )
        };
        let Document { name, .. } = &self.document;
        let wrapped = version.wrapped.as_ref().ok_or_else(broken)?;
        let kek = self.root.version_key(name, &version.id)?;
        let key = gcm_wrap::unwrap(
            &kek[..],
            wrapped,
            &version_binding(name, &version.id, &version.created),
        )
        .map_err(|_| broken())?;
        if VersionId::of(version.id.number(), &key) != version.id {
            return Err(broken());
        }
        Ok(SecretSlice::from(Box::<[u8]>::from(&key[..])))
    }

    /// A new active version; the one that was active decrypts from now on.
    pub(crate) fn rotated(self) -> Result<Self, Problem> {
        let now = now()?;
        let versions = &self.document.versions;
        if versions.len() >= MAX_VERSIONS {
            return Err(Problem::new(
                Code::KeyVersionState,
                format!("the keyring has {MAX_VERSIONS} versions, and no keyring has more"),
                "Create another keyring, and let new objects use that.",
            ));
        }
        let number = versions.last().map_or(0, |last| last.id.number()) + 1;
        let version = new_version(&self.root, &self.document.name, number, &now)?;
        self.changed(|document| {
            for old in document.versions.iter_mut().filter(|v| v.state == State::Active) {
                old.state = State::DecryptOnly;
            }
            document.versions.push(version);
        })
    }

    /// Puts a version, given by its id or its number, into another state.
    ///
    /// # Errors
    /// `KEY_VERSION_UNKNOWN`; `KEY_VERSION_STATE` where the way is not one of: decrypt-only to disabled and back,
    /// disabled to destroyed.
    pub(crate) fn with_state(self, version: &str, to: State) -> Result<Self, Problem> {
        let found = self
            .document
            .versions
            .iter()
            .position(|v| v.id.as_str() == version || v.id.number().to_string() == version);
        let Some(at) = found else {
            return Err(Problem::new(
                Code::KeyVersionUnknown,
                format!("the keyring has no version {}", excerpt(version)),
                "See `emrkeys keyring list KEYRING`; give the whole id, or the number before its dash.",
            ));
        };
        let id = self.document.versions[at].id.as_str();
        let from = self.document.versions[at].state;
        let remedy = match (from, to) {
            (State::DecryptOnly, State::Disabled)
            | (State::Disabled, State::DecryptOnly | State::Destroyed) => {
                return self.changed(|document| {
                    let version = &mut document.versions[at];
                    version.state = to;
                    if to == State::Destroyed {
                        version.wrapped = None;
                    }
                });
            }
            _ if from == to => "There is nothing to do.",
            (State::Active, _) => {
                "It encrypts: run `emrkeys keyring rotate KEYRING` first, and wait until every process has the \
                 new version."
            }
            (State::Destroyed, _) => {
                "Its key is gone. If an older copy of the keyring has it, restore that under another name."
            }
            (_, State::Destroyed) => "Disable it first, and wait until you are sure that nobody misses it.",
            _ => "It can be decrypted with as it is.",
        };
        Err(Problem::new(
            Code::KeyVersionState,
            format!("version {id} is {from} and cannot become {to}"),
            remedy,
        ))
    }

    /// The same versions under a new document key, which `protectors` protect.
    pub(crate) fn rewrapped(self, protectors: &Protectors) -> Result<Self, Problem> {
        let name = self.document.name.clone();
        let (protector, root) = protectors.protect(&name)?;
        let mut versions = self.document.versions.clone();
        for version in versions.iter_mut().filter(|version| version.wrapped.is_some()) {
            let key = self.key("keyring", version)?;
            version.wrapped = Some(wrap(
                &root,
                &name,
                &version.id,
                &version.created,
                key.expose_secret(),
            )?);
        }
        let document = Document {
            protector,
            versions,
            ..self.document
        };
        Keyring { document, root }.signed(now()?)
    }

    fn changed(mut self, change: impl FnOnce(&mut Document)) -> Result<Self, Problem> {
        change(&mut self.document);
        self.signed(now()?)
    }

    /// The next generation, with its tag.
    fn signed(mut self, now: Timestamp) -> Result<Self, Problem> {
        self.document.generation += 1;
        self.document.updated = now;
        let mut document = self.document.check().map_err(|Malformed(what)| {
            Problem::new(
                Code::Internal,
                format!("the keyring to write is malformed: {what}"),
                "Report this defect; nothing was written.",
            )
        })?;
        let key = self.root.mac_key(&document.name)?;
        document.tag = hmac::sign(&key[..], &document.canonical());
        Ok(Keyring {
            document,
            root: self.root,
        })
    }
}

fn new_version(root: &Root, name: &str, number: u32, created: &Timestamp) -> Result<Version, Problem> {
    let key = random_key()?;
    let id = VersionId::of(number, key.expose_secret());
    Ok(Version {
        wrapped: Some(wrap(root, name, &id, created, key.expose_secret())?),
        id,
        created: created.clone(),
        state: State::Active,
    })
}

fn wrap(
    root: &Root,
    name: &str,
    id: &VersionId,
    created: &Timestamp,
    key: &[u8],
) -> Result<Vec<u8>, Problem> {
    let kek = root.version_key(name, id)?;
    gcm_wrap::wrap(&kek[..], key, &version_binding(name, id, created)).map_err(|_| crypto_failed())
}

/// The associated data of a wrapped version. Its state is not in it: that changes, and the tag is over it.
fn version_binding(name: &str, id: &VersionId, created: &Timestamp) -> Vec<u8> {
    let mut out = Canonical(Vec::new());
    out.text(FORMAT);
    out.text("version");
    out.text(name);
    out.text(id.as_str());
    out.text(created.as_str());
    out.0
}

fn random_key() -> Result<SecretSlice<u8>, Problem> {
    let mut key = Zeroizing::new([0; 32]);
    cipher::random(&mut key[..]).map_err(|_| crypto_failed())?;
    Ok(SecretSlice::from(key.to_vec()))
}

fn now() -> Result<Timestamp, Problem> {
    Timestamp::now().ok_or_else(|| {
        Problem::new(
            Code::InvalidValue,
            "the clock of this machine is beyond the year 9999",
            "Set it.",
        )
    })
}

fn not_authentic(property: &str, why: &str) -> Problem {
    Problem::at(
        property,
        Code::KeyringNotAuthentic,
        format!("the keyring was changed by somebody who does not hold its key: {why}"),
        "Restore the keyring, and find out who wrote it.",
    )
}

pub(crate) fn crypto_failed() -> Problem {
    Problem::new(
        Code::Internal,
        "the random generator or the memory of this machine failed",
        "Try again; if it stays, report it.",
    )
}

#[cfg(test)]
mod tests;
