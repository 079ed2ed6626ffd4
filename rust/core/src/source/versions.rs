//! Keys whose material is at hand, in several versions: the first encrypts, all decrypt.

use crate::description::{self, invalid, StoredDescription};
use crate::error::{excerpt, Code, Error, Problem, Problems};
use crate::model::{MaterialKey, Materials};
use crate::source::Source;

/// One version of a key.
pub(crate) struct Version {
    /// The fingerprint of its material.
    pub(crate) id: String,
    pub(crate) key: MaterialKey,
    /// The entries that are stored besides the key's name and version.
    pub(crate) also_stored: Vec<(String, String)>,
}

/// A key with its current version and older ones.
pub(crate) struct VersionedKey {
    name: String,
    type_name: &'static str,
    current: Version,
    /// The description of everything that the current version encrypts.
    description: StoredDescription,
    older: Vec<Version>,
}

impl VersionedKey {
    /// Loads the current version and the older ones by `load`, which takes the name of the key that configures it.
    pub(crate) fn load(
        name: &str,
        type_name: &'static str,
        older: &[String],
        mut load: impl FnMut(&str) -> Result<Version, Error>,
    ) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let current = problems.keep(load(name));
        let older = older
            .iter()
            .filter_map(|older| problems.keep(load(older)))
            .collect();
        let current = problems.finish(current)?;
        let mut description =
            StoredDescription::from_iter([(description::KEY, name), (description::VERSION, &current.id)]);
        description.extend(current.also_stored.iter().cloned());
        Ok(VersionedKey {
            name: name.to_owned(),
            type_name,
            current,
            description,
            older,
        })
    }

    fn decrypting(&self, version: &Version, stored: StoredDescription) -> Result<Materials, Problem> {
        if let MaterialKey::KeyPair { private: None, .. } = version.key {
            return Err(Problem::at(
                format!("emrkeys.key.{}.private", self.name),
                Code::KeyCannotDecrypt,
                format!(
                    "key {} has no private key, so it encrypts and cannot decrypt",
                    self.name
                ),
                "Set the property where objects are read.",
            ));
        }
        Ok(Materials {
            key: version.key.clone(),
            description: stored,
        })
    }
}

impl Source for VersionedKey {
    fn for_encryption(&self) -> Result<Materials, Problem> {
        Ok(Materials {
            key: self.current.key.clone(),
            description: self.description.clone(),
        })
    }

    fn for_decryption(&self, stored: StoredDescription) -> Result<Materials, Problem> {
        let Some(id) = stored.get(description::VERSION) else {
            return Err(invalid(format!(
                "it has {} and no {}",
                description::KEY,
                description::VERSION
            )));
        };
        let mut versions = std::iter::once(&self.current).chain(&self.older);
        let version = versions.find(|version| version.id == id).ok_or_else(|| {
            Problem::at(
                format!("emrkeys.key.{}.previous", self.name),
                Code::KeyVersionUnknown,
                format!(
                    "the object was written with version {} of key {}, which is none of the {} configured",
                    excerpt(id),
                    self.name,
                    1 + self.older.len()
                ),
                "Configure the older key material and name it here; or the object's description was changed.",
            )
        })?;
        self.decrypting(version, stored)
    }

    fn for_decryption_of_foreign(&self, stored: StoredDescription) -> Result<Materials, Problem> {
        self.decrypting(&self.current, stored)
    }

    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn summary(&self) -> String {
        let encrypt_only = match self.current.key {
            MaterialKey::KeyPair { private: None, .. } => ", encrypts only",
            _ => "",
        };
        match self.older.len() {
            0 => format!("{}{encrypt_only}", self.type_name),
            older => format!("{}{encrypt_only}, {} versions", self.type_name, older + 1),
        }
    }
}
