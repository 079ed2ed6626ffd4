//! AWS: clients that are configured alike, the runtime to call them on, and their errors.

mod acl;
pub(crate) mod arn;
pub(crate) mod clients;
pub(crate) mod connect;
pub(crate) mod error;
mod kept;
pub(crate) mod kms;
pub mod runtime;
pub(crate) mod s3;

pub use aws_config::profile::ProfileSet;
pub use aws_config::SdkConfig;

pub use acl::{Acl, ACL_UNREADABLE};
pub use arn::{is_kms_alias, same_kms_key, Arn};
pub use clients::Clients;
pub use connect::{block_on, config, profiles, Patience};
pub use error::{answer, causes, request};
pub use kept::{kept_of, BucketSettings, Hidden, Kept, S3Object, S3Refusal};
pub use kms::{Context, KmsAccess, KmsTarget, Role};
pub use s3::{classify, S3Access, S3Failure};
