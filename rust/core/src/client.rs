//! The clients that ask for keys.

/// A client that asks for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// An S3 client that encrypts on the client's side: all keys, chosen by rules.
    S3,
    /// Hadoop's S3A connector, by the keyring of its S3 encryption client: all keys, chosen by rules.
    S3a,
    /// EMR's local disks: the one key of `emrkeys.local-disk.key`.
    LocalDisk,
    /// Tables (Parquet, Iceberg), which name the key of each file or column: all keys, each opened when it is named.
    Tables,
}
