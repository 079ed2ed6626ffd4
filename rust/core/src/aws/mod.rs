//! AWS: clients that are configured alike, the runtime to call them on, and their errors.

pub(crate) mod arn;
pub(crate) mod clients;
pub(crate) mod connect;
pub(crate) mod error;
pub(crate) mod kms;
pub mod runtime;
pub(crate) mod s3;

pub use aws_config::profile::ProfileSet;
pub use aws_config::SdkConfig;

pub use arn::{is_kms_alias, same_kms_key, Arn};
pub use clients::Clients;
pub use connect::{block_on, config, profiles, Patience};
pub use error::{answer, causes, request};
pub use kms::{Context, KmsAccess, KmsTarget, Role};
pub use s3::{classify, is_under_kms, tagging, S3Access, S3Failure};
