//! Encrypted Parquet files: which keys protect the footer and the columns.
//!
//! Source of the formats: `Encryption.md` and `parquet.thrift` of apache/parquet-format (Parquet Modular Encryption),
//! and `KeyMaterial`, `KeyMetadata` and `KeyToolkit` of parquet-java's `org.apache.parquet.crypto.keytools`.

mod footer;
mod material;
mod rewrap;
mod thrift;

pub use footer::FooterKind;
pub use material::KeyMaterial;
pub use rewrap::{
    key_material, material_report_line, MaterialEntry, MaterialFile, MaterialInS3, MaterialOutcome,
    RewrapMaterial, MAX_KEY_MATERIAL,
};

use std::collections::BTreeMap;

use emrkeys_core::{Code, Error, Problem, Provider};

use footer::Footer;

/// Length and magic bytes at the end of a file.
const TAIL: u64 = 8;
/// The end of a footer in the clear, which shows whether it is signed.
const LAST: u64 = 8 << 10;
/// The longest footer that is read: far beyond that of wide tables.
const MAX_FOOTER: u64 = 64 << 20;

/// An encrypted Parquet file, as far as it says how it is encrypted.
#[derive(Debug)]
pub struct EncryptedParquet {
    /// Whether the footer is encrypted or only signed.
    pub footer: FooterKind,
    /// `AES_GCM_V1` or `AES_GCM_CTR_V1`. The latter does not authenticate pages.
    pub algorithm: &'static str,
    /// The keys, that of the footer first.
    pub keys: Vec<ParquetKey>,
    /// Why the columns of an encrypted footer are not known: there is no configuration, or the footer's key does not
    /// unwrap.
    pub columns_unknown: Option<Option<Error>>,
}

/// One key of a file, and what it protects.
#[derive(Debug)]
pub struct ParquetKey {
    /// The footer.
    pub footer: bool,
    /// Paths of columns.
    pub columns: Vec<String>,
    /// How the key is wrapped; the error says what is wrong with that.
    pub material: Result<KeyMaterial, Error>,
    /// Whether the configuration unwraps it.
    pub readable: Option<Result<(), Error>>,
}

/// The file that a question is about.
pub trait ParquetSource {
    /// `length` bytes from `offset` on.
    ///
    /// # Errors
    /// Those of the store.
    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, Error>;

    /// The file of key material beside it, if there is one.
    ///
    /// # Errors
    /// Those of the store.
    fn key_material(&self) -> Result<Option<Vec<u8>>, Error>;
}

/// The name of a file of key material is that of the Parquet file between these. Source: `FileKeyMaterialStore`,
/// `HadoopFSKeyMaterialStore`.
const KEY_MATERIAL: (&str, &str) = ("_KEY_MATERIAL_FOR_", ".json");

/// The name of the file of key material of a Parquet file.
pub fn key_material_name(file: &str) -> String {
    let (before, after) = KEY_MATERIAL;
    format!("{before}{file}{after}")
}

/// Whether a file with this name, or the object with this key, holds key material of a Parquet file.
pub fn is_key_material(key: &str) -> bool {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    let (before, after) = KEY_MATERIAL;
    name.len() > before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
}

/// Which keys protect a Parquet file of `length` bytes; `None` if it is not a Parquet file or is not encrypted. With a
/// provider every key is unwrapped, which may ask a key service.
///
/// # Errors
/// `INVALID_ENVELOPE` for a malformed footer; those of the source.
pub fn encrypted_parquet(
    source: &dyn ParquetSource,
    length: u64,
    provider: Option<&Provider>,
) -> Result<Option<EncryptedParquet>, Error> {
    let Some(before_tail) = length.checked_sub(TAIL) else {
        return Ok(None);
    };
    let tail = source.read(before_tail, TAIL)?;
    let Some((size, kind)) = footer::tail(&tail) else {
        return Ok(None);
    };
    if size > MAX_FOOTER || size > before_tail {
        return Err(malformed("its length is not that of a footer").into());
    }
    if kind == FooterKind::Signed && size > LAST {
        // Footers of wide tables are large, and most files in the clear are not encrypted at all. The metadata of the
        // key is the last field before the signature.
        let last = source.read(before_tail - LAST, LAST)?;
        if !last
            .windows(material::TYPE.len())
            .any(|window| window == material::TYPE.as_bytes())
        {
            return Ok(None);
        }
    }
    let bytes = source.read(before_tail - size, size)?;
    let Some(footer) =
        Footer::parse(&bytes, kind).map_err(|_| malformed("it is cut short or was changed"))?
    else {
        return Ok(None);
    };
    let external = External::default();
    let mut found = EncryptedParquet {
        footer: kind,
        algorithm: footer.algorithm,
        keys: Vec::new(),
        columns_unknown: None,
    };
    let footer_key = external.material(source, &footer.key_metadata)?;
    let opened = match (&footer_key, provider) {
        (Ok(material), Some(provider)) => Some(material.unwrap(provider)),
        _ => None,
    };
    let columns = match (kind, &opened) {
        (FooterKind::Signed, _) => footer.columns(None),
        (FooterKind::Encrypted, Some(Ok(key))) => footer.columns(Some(key)),
        (FooterKind::Encrypted, Some(Err(error))) => {
            found.columns_unknown = Some(Some(error.clone()));
            Ok(BTreeMap::new())
        }
        (FooterKind::Encrypted, None) => {
            found.columns_unknown = Some(footer_key.as_ref().err().cloned());
            Ok(BTreeMap::new())
        }
    };
    let mut columns = columns.map_err(|_| malformed("it does not decrypt under its key, or was changed"))?;
    found.keys.push(ParquetKey {
        footer: true,
        columns: columns.remove(&Vec::new()).unwrap_or_default(),
        material: footer_key,
        readable: opened.map(|opened| opened.map(drop)),
    });
    for (metadata, columns) in columns {
        let material = external.material(source, &metadata)?;
        let readable = match (&material, provider) {
            (Ok(material), Some(provider)) => Some(material.unwrap(provider).map(drop)),
            _ => None,
        };
        found.keys.push(ParquetKey {
            footer: false,
            columns,
            material,
            readable,
        });
    }
    Ok(Some(found))
}

/// Key material outside the file, read when the first key needs it.
#[derive(Default)]
struct External(std::cell::OnceCell<Option<Vec<u8>>>);

impl External {
    /// The inner error is that of the material.
    fn material(
        &self,
        source: &dyn ParquetSource,
        metadata: &[u8],
    ) -> Result<Result<KeyMaterial, Error>, Error> {
        let reference = match material::parse_metadata(metadata) {
            Ok(material::Metadata::Inside(material)) => return Ok(Ok(*material)),
            Ok(material::Metadata::Outside(reference)) => reference,
            Err(problem) => return Ok(Err(problem.into())),
        };
        if self.0.get().is_none() {
            let _ = self.0.set(source.key_material()?);
        }
        let file = self.0.get().and_then(Option::as_deref);
        Ok(material::find(file, &reference).map_err(Error::from))
    }
}

fn malformed(why: &str) -> Problem {
    Problem::new(
        Code::InvalidEnvelope,
        format!("the footer of the Parquet file cannot be read: {why}"),
        "Restore the file.",
    )
}

#[cfg(test)]
mod tests;
