//! The types of keys: for each, its properties, how they are read, and what the rest of the core asks of it.
//!
//! A new type is an entry of [`TYPES`], a variant of [`KeyKind`] and a struct that implements [`KeyDetails`].

use std::collections::BTreeMap;
use std::ops::Deref;

use super::key_details::{KekKind, KeyDetails};
use super::key_reader::{file, CredentialRef, FileRef, KeyReader, CONTEXT, PREVIOUS_KMS};
use super::properties::KEY_PREFIX;
use super::property_names;
use super::reader::{list, Reader};
use crate::aws::arn::is_kms_alias;
use crate::aws::kms::{Context, KmsAccess, KmsTarget};
use crate::description;
use crate::error::{excerpt, Code, Problem};
use crate::http::ServiceUrl;
use crate::material::aes_key::Encoding;
use crate::material::Permissions;

/// One value of `emrkeys.key.<name>.type`.
struct KeyType {
    name: &'static str,
    /// The properties of the type, below the key's name; an entry that ends in a dot stands for all that begin with it.
    fields: &'static [&'static str],
    read: fn(&mut KeyReader) -> Option<KeyKind>,
}

const TYPES: &[KeyType] = &[
    KeyType {
        name: "aes",
        fields: &["file", "credential", "encoding", "previous"],
        read: |reader| AesKey::read(reader).map(KeyKind::Aes),
    },
    KeyType {
        name: "rsa",
        fields: &[
            "public",
            "private",
            "password-credential",
            "legacy-name",
            "previous",
        ],
        read: |reader| RsaKey::read(reader).map(KeyKind::Rsa),
    },
    KeyType {
        name: "kms",
        fields: &["kms-key-id", PREVIOUS_KMS],
        read: |reader| KmsKey::read(reader).map(KeyKind::Kms),
    },
    KeyType {
        name: "kms-cached",
        fields: &[
            "kms-key-id",
            PREVIOUS_KMS,
            "region",
            "endpoint",
            "role-arn",
            "external-id",
            "previous",
            CONTEXT,
        ],
        read: |reader| KmsCachedKey::read(reader).map(KeyKind::KmsCached),
    },
    KeyType {
        name: "keyring",
        fields: &[
            "uri",
            "kms-key-id",
            "region",
            "endpoint",
            "role-arn",
            "external-id",
            "protector-key",
            "protector-file",
            "min-generation",
        ],
        read: |reader| KeyringKey::read(reader).map(KeyKind::Keyring),
    },
    KeyType {
        name: "data-key-service",
        fields: &["url", "identity", "trust", "password-credential"],
        read: |reader| DataKeyServiceKey::read(reader).map(KeyKind::DataKeyService),
    },
];

/// One configured key.
#[derive(Debug)]
pub(crate) struct KeyConfig {
    pub(crate) kind: KeyKind,
    /// Names of older versions, newest first, those that older versions name included.
    pub(crate) previous: Vec<String>,
    pub(crate) aliases: Vec<String>,
    /// Fields and values of other providers' descriptions.
    pub(crate) matches: Vec<(String, String)>,
}

/// The properties of a key by its type.
#[derive(Debug)]
pub(crate) enum KeyKind {
    Aes(AesKey),
    Rsa(RsaKey),
    Kms(KmsKey),
    KmsCached(KmsCachedKey),
    Keyring(KeyringKey),
    DataKeyService(DataKeyServiceKey),
}

impl Deref for KeyKind {
    type Target = dyn KeyDetails;

    fn deref(&self) -> &Self::Target {
        match self {
            KeyKind::Aes(key) => key,
            KeyKind::Rsa(key) => key,
            KeyKind::Kms(key) => key,
            KeyKind::KmsCached(key) => key,
            KeyKind::Keyring(key) => key,
            KeyKind::DataKeyService(key) => key,
        }
    }
}

/// Where an AES key comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    File(FileRef),
    Credential(CredentialRef),
}

/// Reads all keys that `emrkeys.key.<name>.…` configures.
pub(super) fn read_all(reader: &mut Reader) -> BTreeMap<String, KeyConfig> {
    let groups = reader.grouped(KEY_PREFIX);
    groups
        .into_iter()
        .filter(|(_, fields)| !fields.is_empty())
        .filter_map(|(name, fields)| {
            let mut key = KeyReader {
                reader,
                name,
                fields: &fields,
            };
            Some((name.to_owned(), read(&mut key)?))
        })
        .collect()
}

fn read(key: &mut KeyReader) -> Option<KeyConfig> {
    let key_type = key_type(key)?;
    refuse_fields_of_other_types(key, key_type);
    let kind = (key_type.read)(key);
    let matches = key.matches();
    Some(KeyConfig {
        kind: kind?,
        previous: list(key.get("previous")),
        aliases: list(key.get("aliases")),
        matches,
    })
}

fn key_type(key: &mut KeyReader) -> Option<&'static KeyType> {
    let name = key.get("type");
    let found = TYPES.iter().find(|known| Some(known.name) == name);
    if found.is_none() {
        let (code, message) = match name {
            Some(other) => (
                Code::InvalidValue,
                format!("{} is not a type of key", excerpt(other)),
            ),
            None => (Code::MissingProperty, format!("key {} has no type", key.name)),
        };
        key.refuse("type", code, message, &type_names());
    }
    found
}

fn refuse_fields_of_other_types(key: &mut KeyReader, key_type: &KeyType) {
    let allowed = |field: &str| {
        matches!(field, "type" | "aliases")
            || field.starts_with("match.")
            || key_type
                .fields
                .iter()
                .any(|known| *known == field || (known.ends_with('.') && field.starts_with(known)))
    };
    let fields = key.fields;
    for field in fields.keys().filter(|field| !allowed(field)) {
        if property_names::is_known(&key.property(field)) {
            let message = format!("keys of type {} have no such property", key_type.name);
            let remedy = format!("Remove it, or change {}.", key.property("type"));
            key.refuse(field, Code::Conflict, message, &remedy);
        }
    }
}

/// The remedy for a type that is missing or unknown.
fn type_names() -> String {
    let names: Vec<&str> = TYPES.iter().map(|known| known.name).collect();
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    format!("Set it to {} or {last}.", others.join(", "))
}

/// Type `aes`: an AES key in a file or in a Hadoop credential.
#[derive(Debug)]
pub(crate) struct AesKey {
    pub(crate) origin: Origin,
    pub(crate) encoding: Encoding,
}

impl AesKey {
    fn read(key: &mut KeyReader) -> Option<AesKey> {
        let encoding = match key.get("encoding") {
            None | Some("auto") => Encoding::Auto,
            Some("raw") => Encoding::Raw,
            Some("hex") => Encoding::Hex,
            Some("base64") => Encoding::Base64,
            Some(other) => {
                let message = format!("{} is not an encoding", excerpt(other));
                let remedy = "Set it to auto, raw, hex or base64.";
                key.refuse("encoding", Code::InvalidValue, message, remedy);
                return None;
            }
        };
        let origin = match (key.get("file"), key.credential("credential")) {
            (Some(uri), None) => Origin::File(file(key.reader, key.property("file"), uri)?),
            (None, Some(credential)) => Origin::Credential(credential),
            (None, None) => {
                let remedy = "Set it to the URI of the key file, or set .credential to a credential alias.";
                key.reader.missing(key.property("file"), remedy);
                return None;
            }
            (Some(_), Some(_)) => {
                let message = "the key is given as a file and as a credential";
                key.refuse(
                    "credential",
                    Code::Conflict,
                    message,
                    "Remove one of .file and .credential.",
                );
                return None;
            }
        };
        Some(AesKey { origin, encoding })
    }
}

impl KeyDetails for AesKey {
    fn type_name(&self) -> &'static str {
        "aes"
    }

    fn material_files(&self) -> Vec<&FileRef> {
        match &self.origin {
            Origin::File(file) => vec![file],
            Origin::Credential(_) => Vec::new(),
        }
    }

    fn credentials(&self) -> Vec<&CredentialRef> {
        match &self.origin {
            Origin::Credential(credential) => vec![credential],
            Origin::File(_) => Vec::new(),
        }
    }
}

/// Type `rsa`: an RSA pair, or its public half alone.
#[derive(Debug)]
pub(crate) struct RsaKey {
    pub(crate) public: FileRef,
    pub(crate) private: Option<FileRef>,
    pub(crate) password: Option<CredentialRef>,
    pub(crate) legacy_name: Option<String>,
    pub(crate) permissions: Permissions,
}

impl RsaKey {
    fn read(key: &mut KeyReader) -> Option<RsaKey> {
        let private = key.optional_file("private");
        let public = key
            .required("public", "Set it to the URI of the public key.")
            .and_then(|uri| file(key.reader, key.property("public"), uri));
        Some(RsaKey {
            public: public?,
            private: private?,
            password: key.credential("password-credential"),
            legacy_name: key.text("legacy-name"),
            permissions: Permissions::Enforce,
        })
    }
}

impl KeyDetails for RsaKey {
    fn type_name(&self) -> &'static str {
        "rsa"
    }

    fn kek(&self) -> KekKind {
        KekKind::Rsa
    }

    fn material_files(&self) -> Vec<&FileRef> {
        std::iter::once(&self.public).chain(&self.private).collect()
    }

    fn credentials(&self) -> Vec<&CredentialRef> {
        self.password.iter().collect()
    }

    fn peer_names(&self) -> Vec<(&'static str, &str)> {
        let name = self.legacy_name.as_deref();
        name.map(|name| (description::RSA_NAME, name))
            .into_iter()
            .collect()
    }
}

/// Type `kms`: a KMS key that the S3 client uses by itself.
#[derive(Debug)]
pub(crate) struct KmsKey {
    pub(crate) target: KmsTarget,
    /// ARNs or key ids of the KMS keys that decrypt, too.
    pub(crate) previous: Vec<String>,
}

const KMS_KEY_ID_REMEDY: &str = "Set it to the ARN, id or alias of the KMS key.";

impl KmsKey {
    fn read(key: &mut KeyReader) -> Option<KmsKey> {
        let key_id = key.required("kms-key-id", KMS_KEY_ID_REMEDY)?;
        let target = key.kms_target(key_id, KmsAccess::default())?;
        let previous = key.previous_kms_keys();
        Some(KmsKey { target, previous })
    }
}

impl KeyDetails for KmsKey {
    fn type_name(&self) -> &'static str {
        "kms"
    }

    fn kek(&self) -> KekKind {
        KekKind::Kms
    }

    fn kms_targets(&self) -> &[KmsTarget] {
        std::slice::from_ref(&self.target)
    }

    fn peer_names(&self) -> Vec<(&'static str, &str)> {
        let ids = std::iter::once(&self.target.key_id).chain(&self.previous);
        ids.map(|id| (description::KMS_KEY_ID, id.as_str())).collect()
    }
}

/// Type `kms-cached`: data keys of a KMS key, cached.
#[derive(Debug)]
pub(crate) struct KmsCachedKey {
    pub(crate) target: KmsTarget,
    /// The KMS keys that unwrap, too; none of them is an alias.
    pub(crate) previous: Vec<KmsTarget>,
    /// The user's entries of the encryption context.
    pub(crate) context: Context,
}

impl KmsCachedKey {
    fn read(key: &mut KeyReader) -> Option<KmsCachedKey> {
        let key_id = key.required("kms-key-id", KMS_KEY_ID_REMEDY)?;
        let access = key.kms_access();
        let context = key.context();
        let previous = key.previous_kms_keys().into_iter();
        let previous = previous.map(|key_id| KmsTarget {
            property: key.property(PREVIOUS_KMS),
            key_id,
            access: access.clone(),
        });
        let previous = previous.collect();
        Some(KmsCachedKey {
            target: key.kms_target(key_id, access)?,
            previous,
            context,
        })
    }

    /// All KMS keys that unwrap, the one that wraps first.
    pub(crate) fn all_targets(&self) -> impl Iterator<Item = &KmsTarget> {
        std::iter::once(&self.target).chain(&self.previous)
    }
}

impl KeyDetails for KmsCachedKey {
    fn type_name(&self) -> &'static str {
        "kms-cached"
    }

    fn kms_targets(&self) -> &[KmsTarget] {
        std::slice::from_ref(&self.target)
    }

    fn encryption_context(&self) -> Option<&Context> {
        Some(&self.context)
    }
}

/// Type `keyring`: versions of a key in a document that KMS or an AES key protects.
#[derive(Debug)]
pub(crate) struct KeyringKey {
    pub(crate) document: FileRef,
    /// The KMS keys that may protect it.
    pub(crate) kms: Vec<KmsTarget>,
    /// The files with AES keys that may.
    pub(crate) files: Vec<FileRef>,
    /// The property that names a key of type `aes` that may, and the name.
    pub(crate) key: Option<(String, String)>,
    /// The least value of its counter.
    pub(crate) min_generation: u64,
}

impl KeyringKey {
    fn read(key: &mut KeyReader) -> Option<KeyringKey> {
        let document = key
            .required("uri", "Set it to the URI of the keyring.")
            .and_then(|uri| file(key.reader, key.property("uri"), uri));
        let access = key.kms_access();
        let ids = list(key.get("kms-key-id"));
        if ids.len() > 1 && ids.iter().any(|id| is_kms_alias(id)) {
            let message =
                "among several KMS keys there is an alias, and only KMS knows which key it stands for";
            key.refuse("kms-key-id", Code::InvalidValue, message, "Name them by ARN.");
        }
        let kms = ids
            .iter()
            .filter_map(|id| key.kms_target(id, access.clone()))
            .collect();
        let files = list(key.get("protector-file"));
        let files = files
            .iter()
            .filter_map(|uri| file(key.reader, key.property("protector-file"), uri))
            .collect();
        let protector = key
            .text("protector-key")
            .map(|name| (key.property("protector-key"), name));
        if ids.is_empty() && protector.is_none() && key.get("protector-file").is_none() {
            key.reader.missing(
                key.property("kms-key-id"),
                "Say what may protect the keyring: set it to the ARN of a KMS key, or set .protector-key or \
                 .protector-file.",
            );
        }
        let property = key.property("min-generation");
        // The largest integer that every JSON parser keeps exact (RFC 8259, section 6).
        let min_generation = key.reader.number(&property, 1, 1..=(1 << 53) - 1);
        Some(KeyringKey {
            document: document?,
            kms,
            files,
            key: protector,
            min_generation,
        })
    }
}

impl KeyDetails for KeyringKey {
    fn type_name(&self) -> &'static str {
        "keyring"
    }

    fn material_files(&self) -> Vec<&FileRef> {
        vec![&self.document]
    }

    fn other_files(&self) -> Vec<&FileRef> {
        self.files.iter().collect()
    }

    fn kms_targets(&self) -> &[KmsTarget] {
        &self.kms
    }
}

/// Type `data-key-service`: keys of a data key service over HTTPS.
#[derive(Debug)]
pub(crate) struct DataKeyServiceKey {
    pub(crate) url: ServiceUrl,
    /// The client's certificate and key.
    pub(crate) identity: Option<FileRef>,
    /// The certificates that the client trusts; the machine's own authorities if not set.
    pub(crate) trust: Option<FileRef>,
    /// The password of either file, if it is encrypted.
    pub(crate) password: Option<CredentialRef>,
}

impl DataKeyServiceKey {
    fn read(key: &mut KeyReader) -> Option<DataKeyServiceKey> {
        const URL_REMEDY: &str =
            "Set it to the address of the data key service: what stands before /datakey.";
        let url = key.required("url", URL_REMEDY).and_then(|url| {
            let url = ServiceUrl::parse(url).map_err(|why| {
                Problem::at(
                    key.property("url"),
                    Code::InvalidUri,
                    why,
                    "Write it as https://host:port/path; http: is for services on this machine (localhost) alone.",
                )
            });
            key.reader.problems.keep(url)
        });
        let identity = key.optional_file("identity");
        let trust = key.optional_file("trust");
        if url.as_ref().is_some_and(ServiceUrl::is_tls) && key.get("identity").is_none() {
            key.reader.missing(
                key.property("identity"),
                "Set it to the URI of a file with the client's certificate and private key: the service \
                 gives keys to clients that it knows.",
            );
        }
        if url.as_ref().is_some_and(|url| !url.is_tls()) {
            for field in ["identity", "trust"] {
                if key.get(field).is_some() {
                    let message = "over http no certificate is shown or asked for";
                    key.refuse(
                        field,
                        Code::Conflict,
                        message,
                        "Write .url with https:, or remove it.",
                    );
                }
            }
        }
        Some(DataKeyServiceKey {
            url: url?,
            identity: identity?,
            trust: trust?,
            password: key.credential("password-credential"),
        })
    }
}

impl KeyDetails for DataKeyServiceKey {
    fn type_name(&self) -> &'static str {
        "data-key-service"
    }

    fn other_files(&self) -> Vec<&FileRef> {
        self.identity.iter().chain(&self.trust).collect()
    }

    fn credentials(&self) -> Vec<&CredentialRef> {
        self.password.iter().collect()
    }

    fn service_url(&self) -> Option<&str> {
        Some(self.url.as_str())
    }
}
