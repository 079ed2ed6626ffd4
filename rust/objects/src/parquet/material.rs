//! Key material of parquet-java's key tools: JSON that says how a data key is wrapped.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use emrkeys_core::table_key::{TableKind, WrappedTableKey};
use emrkeys_core::{excerpt, Code, Error, Problem, Provider, StoredDescription};
use emrkeys_crypto::gcm_wrap;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Source: `KeyMaterial.KEY_MATERIAL_TYPE1`.
pub(super) const TYPE: &str = "PKMT1";

/// How a data key of a Parquet file is wrapped. Nothing of it is authentic before the key was unwrapped.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyMaterial {
    /// The name of the configured key, or `rule:` and a path, as the writer gave it.
    pub master_key: String,
    /// The description in the wrapped key, with its key and version; `None`: another KMS client wrapped it.
    pub description: Option<StoredDescription>,
    /// The key that is wrapped by emrkeys: the data key, or with double wrapping the key-encryption key above it.
    wrapped: Vec<u8>,
    /// With double wrapping: the data key under the key-encryption key, and the id of that, which is its additional
    /// data.
    inner: Option<(Vec<u8>, Vec<u8>)>,
}

impl KeyMaterial {
    /// Whether a key-encryption key stands between the data key and the configured key.
    pub fn is_double(&self) -> bool {
        self.inner.is_some()
    }

    /// The data key.
    ///
    /// # Errors
    /// As [`Provider::unwrap_table_key`].
    pub(super) fn unwrap(&self, provider: &Provider) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.unwrap_all(provider).map(|keys| keys.data)
    }

    /// The data key, and the key that emrkeys wrapped, which is the same without double wrapping.
    ///
    /// # Errors
    /// As [`Provider::unwrap_table_key`].
    pub(super) fn unwrap_all(&self, provider: &Provider) -> Result<Keys, Error> {
        let outer = provider.unwrap_table_key(TableKind::Parquet, &self.master_key, &self.wrapped)?;
        let data = match &self.inner {
            None => outer.clone(),
            Some((data_key, id)) => {
                gcm_wrap::unwrap(&outer, data_key, id).map_err(|_| malformed("its data key was changed"))?
            }
        };
        Ok(Keys { outer, data })
    }

    /// The key that emrkeys wrapped, wrapped.
    pub(super) fn wrapped(&self) -> &[u8] {
        &self.wrapped
    }
}

/// The keys that a key material leads to.
pub(super) struct Keys {
    /// The key that emrkeys wrapped.
    pub(super) outer: Zeroizing<Vec<u8>>,
    /// The data key.
    pub(super) data: Zeroizing<Vec<u8>>,
}

/// Where key material is, by the metadata of a key.
pub(super) enum Metadata {
    Inside(Box<KeyMaterial>),
    /// In the file beside the Parquet file, under this reference.
    Outside(String),
}

/// The fields of both `KeyMetadata` and `KeyMaterial`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    key_material_type: String,
    internal_storage: Option<bool>,
    key_reference: Option<String>,
    #[serde(rename = "masterKeyID")]
    master_key: Option<String>,
    #[serde(rename = "wrappedDEK")]
    wrapped_data_key: Option<String>,
    double_wrapping: Option<bool>,
    #[serde(rename = "keyEncryptionKeyID")]
    kek_id: Option<String>,
    #[serde(rename = "wrappedKEK")]
    wrapped_kek: Option<String>,
}

fn fields(json: &[u8]) -> Result<Fields, Problem> {
    let fields: Fields = serde_json::from_slice(json).map_err(|_| foreign())?;
    (fields.key_material_type == TYPE)
        .then_some(fields)
        .ok_or_else(foreign)
}

/// The metadata of a key in a footer.
///
/// # Errors
/// `INVALID_ENVELOPE`
pub(super) fn parse_metadata(json: &[u8]) -> Result<Metadata, Problem> {
    let fields = fields(json)?;
    match (fields.internal_storage, fields.key_reference.clone()) {
        (Some(false), Some(reference)) => Ok(Metadata::Outside(reference)),
        _ => Ok(Metadata::Inside(Box::new(material(fields)?))),
    }
}

/// The material under a reference in a file of key material.
///
/// # Errors
/// `INVALID_ENVELOPE`
pub(super) fn find(file: Option<&[u8]>, reference: &str) -> Result<KeyMaterial, Problem> {
    let file = file.ok_or_else(|| malformed("the file of key material beside it is missing"))?;
    let all = read_file(file)?;
    let json = all
        .get(reference)
        .ok_or_else(|| malformed(&format!("the file of key material has no {}", excerpt(reference))))?;
    parse_material(json.as_bytes())
}

/// The entries of a file of key material: texts in JSON, by their references.
///
/// # Errors
/// `INVALID_ENVELOPE`
pub(super) fn read_file(file: &[u8]) -> Result<BTreeMap<String, String>, Problem> {
    serde_json::from_slice(file).map_err(|_| malformed("the file of key material beside it is malformed"))
}

/// One entry of a file of key material.
///
/// # Errors
/// `INVALID_ENVELOPE`
pub(super) fn parse_material(json: &[u8]) -> Result<KeyMaterial, Problem> {
    material(fields(json)?)
}

fn material(fields: Fields) -> Result<KeyMaterial, Problem> {
    let missing = || malformed("a field is missing");
    let data_key = fields.wrapped_data_key.ok_or_else(missing)?;
    let (wrapped, inner) = match fields.double_wrapping {
        Some(true) => {
            let kek = fields.wrapped_kek.ok_or_else(missing)?;
            let id = decoded(&fields.kek_id.ok_or_else(missing)?)?;
            (kek, Some((decoded(&data_key)?, id)))
        }
        _ => (data_key, None),
    };
    let wrapped = Base64::decode_vec(&wrapped).unwrap_or_default();
    let description = WrappedTableKey::parse(&wrapped)
        .ok()
        .map(|wrapped| wrapped.description);
    Ok(KeyMaterial {
        master_key: fields.master_key.ok_or_else(missing)?,
        description,
        wrapped,
        inner,
    })
}

fn decoded(text: &str) -> Result<Vec<u8>, Problem> {
    Base64::decode_vec(text).map_err(|_| malformed("a field is not in Base64"))
}

fn foreign() -> Problem {
    Problem::new(
        Code::InvalidEnvelope,
        format!("the key metadata in the Parquet file is not of type {TYPE}"),
        "Another crypto factory than Parquet's PropertiesDrivenCryptoFactory wrote it.",
    )
}

pub(super) fn malformed(why: &str) -> Problem {
    Problem::new(
        Code::InvalidEnvelope,
        format!("the key material of the Parquet file cannot be read: {why}"),
        "Restore the file, and the file of key material beside it. If KeyToolkit.rotateMasterKeys was interrupted, its \
         file _TMP_KEY_MATERIAL_FOR_* is the newer one: rename it.",
    )
}
