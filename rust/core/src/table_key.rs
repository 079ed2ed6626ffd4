//! The wrapped form of a key of a table: `docs/formats.md`, `emrkeys-table-key/1`.
//!
//! Parquet and Iceberg encrypt by keys of their own, and hand those over to be wrapped: data keys of files and columns,
//! and the key-encryption keys above them. The wrapped form holds the description that is stored with objects too, so
//! that it leads back to a key and its version in the same way.

use emrkeys_crypto::{cipher, gcm_wrap, hmac};
use zeroize::Zeroizing;

use crate::description::StoredDescription;
use crate::error::{Code, Problem};
use crate::keyring::{crypto_failed, Canonical};

const FORMAT: &str = "emrkeys-table-key/1";
/// The first bytes: letters that neither JSON nor Parquet nor Iceberg begins with, and the version of the format.
const MAGIC: [u8; 5] = *b"EKTK\x01";
/// Bytes of the salt.
const SALT: usize = 16;
/// The most bytes of a wrapped form: more than the largest description has.
const MAX_WRAPPED: usize = 72 * 1024;
/// In place of a key's name: the rules choose the key for the path that follows.
pub const RULE: &str = "rule:";
/// The fewest and the most bytes of a key that is wrapped.
pub const KEY_SIZES: std::ops::RangeInclusive<usize> = 16..=32;

/// The kind of table that a key is of. No key of the one passes for one of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Parquet Modular Encryption.
    Parquet,
    /// Encryption of Iceberg tables.
    Iceberg,
}

impl TableKind {
    /// Every kind.
    pub const ALL: [TableKind; 2] = [TableKind::Parquet, TableKind::Iceberg];

    /// `parquet` or `iceberg`.
    pub fn name(self) -> &'static str {
        match self {
            TableKind::Parquet => "parquet",
            TableKind::Iceberg => "iceberg",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<TableKind> {
        TableKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn number(self) -> u8 {
        match self {
            TableKind::Parquet => 1,
            TableKind::Iceberg => 2,
        }
    }
}

/// A wrapped key, taken apart. Nothing of it is authentic before the key was unwrapped.
#[derive(Debug, PartialEq, Eq)]
pub struct WrappedTableKey<'a> {
    /// The kind of table.
    pub kind: TableKind,
    /// The description: which key wrapped it, in which version.
    pub description: StoredDescription,
    salt: &'a [u8],
    /// Everything before the ciphertext, which authenticates it.
    header: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> WrappedTableKey<'a> {
    /// Takes a wrapped form apart. Opens nothing.
    ///
    /// # Errors
    /// `WRAPPED_KEY_INVALID`
    pub fn parse(wrapped: &'a [u8]) -> Result<Self, Problem> {
        if wrapped.len() > MAX_WRAPPED {
            return Err(invalid("it is longer than any that emrkeys wrote"));
        }
        let mut rest = wrapped;
        if take(&mut rest, MAGIC.len())? != MAGIC {
            return Err(invalid("emrkeys did not write it, or a later release did"));
        }
        let number = take(&mut rest, 1)?[0];
        let kind = TableKind::ALL.into_iter().find(|kind| kind.number() == number);
        let kind = kind.ok_or_else(|| invalid("it is of no kind of table that this release knows"))?;
        let count = take(&mut rest, 1)?[0];
        let mut description = StoredDescription::default();
        for _ in 0..count {
            description.push(text(&mut rest)?, text(&mut rest)?);
        }
        let salt = take(&mut rest, SALT)?;
        let key = rest.len().checked_sub(gcm_wrap::OVERHEAD);
        if !key.is_some_and(|length| KEY_SIZES.contains(&length)) {
            return Err(invalid("it is cut short or too long"));
        }
        Ok(WrappedTableKey {
            kind,
            description,
            salt,
            header: &wrapped[..wrapped.len() - rest.len()],
            sealed: rest,
        })
    }

    /// Bytes of the key that is wrapped.
    pub fn key_size(&self) -> usize {
        self.sealed.len() - gcm_wrap::OVERHEAD
    }

    /// The key, under the material that the description leads to.
    ///
    /// # Errors
    /// `WRAPPED_KEY_INVALID`
    pub(crate) fn open(&self, material: &[u8]) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let kek = wrapping_key(material, self.kind, self.salt)?;
        gcm_wrap::unwrap(&kek[..], self.sealed, self.header)
            .map_err(|_| invalid("it was changed, or another key of the same name and version wrapped it"))
    }
}

/// Wraps `key`, of [`KEY_SIZES`] bytes, under `material`, whose description is stored with it.
///
/// # Errors
/// `KEY_SIZE`; `DESCRIPTION_TOO_LARGE`.
pub(crate) fn seal(
    kind: TableKind,
    description: &StoredDescription,
    material: &[u8],
    key: &[u8],
) -> Result<Vec<u8>, Problem> {
    if !KEY_SIZES.contains(&key.len()) {
        return Err(Problem::new(
            Code::KeySize,
            format!("the key to wrap has {} bytes", key.len()),
            "Keys of tables have 16 to 32 bytes: see parquet.encryption.data.key.length.bits or \
             encryption.data-key-length.",
        ));
    }
    let mut salt = [0; SALT];
    cipher::random(&mut salt).map_err(|_| crypto_failed())?;
    let mut header = Canonical(Vec::with_capacity(256));
    header.0.extend_from_slice(&MAGIC);
    header.0.push(kind.number());
    header
        .0
        .push(u8::try_from(description.len()).map_err(|_| too_large(description.len()))?);
    for (name, value) in description.iter() {
        header.text(name);
        header.text(value);
    }
    header.0.extend_from_slice(&salt);
    let mut out = header.0;
    let kek = wrapping_key(material, kind, &salt)?;
    let sealed = gcm_wrap::wrap(&kek[..], key, &out).map_err(|_| crypto_failed())?;
    if out.len() + sealed.len() > MAX_WRAPPED {
        return Err(too_large(description.len()));
    }
    out.extend_from_slice(&sealed);
    Ok(out)
}

/// A key for this one wrap, so that no number of wraps comes near the limit of random vectors under one key
/// (SP 800-38D, section 8.3), and so that the material, which S3 clients use for other things, encrypts nothing here.
fn wrapping_key(material: &[u8], kind: TableKind, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, Problem> {
    let mut info = Canonical(Vec::with_capacity(48));
    info.text("wrap");
    info.text(kind.name());
    info.bytes(salt);
    hmac::derive(material, FORMAT.as_bytes(), &info.0).map_err(|_| crypto_failed())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Problem> {
    let (taken, after) = rest
        .split_at_checked(length)
        .ok_or_else(|| invalid("it is cut short"))?;
    *rest = after;
    Ok(taken)
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Problem> {
    let length = take(rest, 4)?;
    let length = length
        .iter()
        .fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte));
    std::str::from_utf8(take(rest, length)?).map_err(|_| invalid("it holds bytes that are not text"))
}

pub(crate) fn invalid(why: &str) -> Problem {
    Problem::new(
        Code::WrappedKeyInvalid,
        format!("the wrapped key in the table's file or metadata cannot be unwrapped: {why}"),
        "The file was changed or is of another table, or its key was wrapped by other software; restore it.",
    )
}

fn too_large(entries: usize) -> Problem {
    Problem::new(
        Code::DescriptionTooLarge,
        format!("the description of the key has {entries} entries and does not fit into a wrapped key"),
        "Shorten the key's encryption context (emrkeys.key.<name>.encryption-context.<field>).",
    )
}

#[cfg(test)]
mod tests;
