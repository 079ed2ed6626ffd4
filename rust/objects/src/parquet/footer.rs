//! The footer of a Parquet file.

use std::collections::{BTreeMap, BTreeSet};

use emrkeys_crypto::gcm_wrap;

use super::thrift::{Compact, Malformed, Type};

/// How a footer is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FooterKind {
    /// Nothing of it is visible without its key.
    Encrypted,
    /// It is in the clear, with a signature; columns are encrypted.
    Signed,
}

/// The number of the footer among the modules of a file, part of its additional data. Source: `ModuleCipherFactory`.
const FOOTER_MODULE: u8 = 0;

/// The length of the footer and its kind, by the last eight bytes of a file; `None`: it is no Parquet file.
pub(super) fn tail(bytes: &[u8]) -> Option<(u64, FooterKind)> {
    let (size, magic) = bytes.split_first_chunk::<4>()?;
    let kind = match magic {
        b"PARE" => FooterKind::Encrypted,
        b"PAR1" => FooterKind::Signed,
        _ => return None,
    };
    Some((u32::from_le_bytes(*size).into(), kind))
}

/// A footer, taken apart.
pub(super) struct Footer<'a> {
    pub(super) algorithm: &'static str,
    /// Of the key of the footer.
    pub(super) key_metadata: Vec<u8>,
    /// Before the number of a module, in its additional data.
    aad: Vec<u8>,
    /// The metadata of the file: encrypted or not.
    metadata: &'a [u8],
}

impl<'a> Footer<'a> {
    /// `None` for the footer of a file that is not encrypted.
    pub(super) fn parse(bytes: &'a [u8], kind: FooterKind) -> Result<Option<Self>, Malformed> {
        // FileCryptoMetaData has fields 1 and 2 for what are fields 8 and 9 of FileMetaData.
        let (algorithm_field, key_field) = match kind {
            FooterKind::Encrypted => (1, 2),
            FooterKind::Signed => (8, 9),
        };
        let mut algorithm = None;
        let mut key_metadata = Vec::new();
        let mut reader = Compact::new(bytes);
        reader.fields(|reader, id, kind| match (id, kind) {
            (id, Type::STRUCT) if id == algorithm_field => {
                algorithm = Some(Algorithm::read(reader)?);
                Ok(())
            }
            (id, Type::BINARY) if id == key_field => {
                key_metadata = reader.binary()?.to_vec();
                Ok(())
            }
            _ => reader.skip(kind),
        })?;
        let metadata = match kind {
            FooterKind::Encrypted => reader.rest(),
            FooterKind::Signed => bytes,
        };
        Ok(algorithm.map(|Algorithm { name, aad }| Footer {
            algorithm: name,
            key_metadata,
            aad,
            metadata,
        }))
    }

    /// The paths of the encrypted columns, by the metadata of their keys; empty metadata: the key is the footer's.
    /// `key` is the footer's, where that is encrypted.
    pub(super) fn columns(&self, key: Option<&[u8]>) -> Result<BTreeMap<Vec<u8>, Vec<String>>, Malformed> {
        let Some(key) = key else {
            return columns(self.metadata);
        };
        let (length, module) = self.metadata.split_first_chunk::<4>().ok_or(Malformed)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Malformed)?;
        let module = module.get(..length).ok_or(Malformed)?;
        let aad = [self.aad.as_slice(), &[FOOTER_MODULE]].concat();
        let metadata = gcm_wrap::unwrap(key, module, &aad).map_err(|_| Malformed)?;
        columns(&metadata)
    }
}

struct Algorithm {
    name: &'static str,
    aad: Vec<u8>,
}

impl Algorithm {
    /// A union of two structures with the same fields: 1 prefix of the additional data, 2 its part for the file.
    fn read(reader: &mut Compact) -> Result<Self, Malformed> {
        let mut name = None;
        let (mut prefix, mut unique) = (Vec::new(), Vec::new());
        reader.fields(|reader, id, kind| {
            name = match id {
                1 => Some("AES_GCM_V1"),
                2 => Some("AES_GCM_CTR_V1"),
                _ => None,
            };
            if kind != Type::STRUCT {
                return Err(Malformed);
            }
            reader.fields(|reader, id, kind| match (id, kind) {
                (1, Type::BINARY) => {
                    prefix = reader.binary()?.to_vec();
                    Ok(())
                }
                (2, Type::BINARY) => {
                    unique = reader.binary()?.to_vec();
                    Ok(())
                }
                _ => reader.skip(kind),
            })
        })?;
        prefix.extend(unique);
        Ok(Algorithm {
            name: name.ok_or(Malformed)?,
            aad: prefix,
        })
    }
}

/// Of FileMetaData: field 4 the row groups, of those field 1 the columns.
fn columns(metadata: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<String>>, Malformed> {
    let mut found: BTreeMap<Vec<u8>, BTreeSet<String>> = BTreeMap::new();
    Compact::new(metadata).fields(|reader, id, kind| match (id, kind) {
        (4, Type::LIST) => reader.elements(|reader, _| {
            reader.fields(|reader, id, kind| match (id, kind) {
                (1, Type::LIST) => reader.elements(|reader, _| {
                    if let Some((key, path)) = column(reader)? {
                        found.entry(key).or_default().insert(path);
                    }
                    Ok(())
                }),
                _ => reader.skip(kind),
            })
        }),
        _ => reader.skip(kind),
    })?;
    let listed = |(key, paths): (_, BTreeSet<String>)| (key, paths.into_iter().collect());
    Ok(found.into_iter().map(listed).collect())
}

/// Of ColumnChunk: field 3 its metadata, with the path as field 3 of that; field 8 a union, 1 for the footer's key and
/// 2 for one of its own, with the path and the metadata of the key. `None`: the column is in the clear.
fn column(reader: &mut Compact) -> Result<Option<(Vec<u8>, String)>, Malformed> {
    let mut path = Vec::new();
    let mut key = None;
    reader.fields(|reader, id, kind| match (id, kind) {
        (3, Type::STRUCT) => reader.fields(|reader, id, kind| match (id, kind) {
            (3, Type::LIST) => {
                path = reader.texts()?;
                Ok(())
            }
            _ => reader.skip(kind),
        }),
        (8, Type::STRUCT) => reader.fields(|reader, id, kind| match (id, kind) {
            (1, Type::STRUCT) => {
                key = Some(Vec::new());
                reader.skip(kind)
            }
            (2, Type::STRUCT) => reader.fields(|reader, id, kind| match (id, kind) {
                (1, Type::LIST) => {
                    path = reader.texts()?;
                    Ok(())
                }
                (2, Type::BINARY) => {
                    key = Some(reader.binary()?.to_vec());
                    Ok(())
                }
                _ => reader.skip(kind),
            }),
            _ => reader.skip(kind),
        }),
        _ => reader.skip(kind),
    })?;
    Ok(key.map(|key| (key, path.join("."))))
}
