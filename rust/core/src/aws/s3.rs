//! S3: how it is reached.

/// How to reach S3; what is not set here comes from the AWS environment, profile or instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Access {
    /// Of a store that is not AWS's.
    pub endpoint: Option<String>,
    /// Of the buckets.
    pub region: Option<String>,
    /// Whether buckets stand in the path of a URL and not in its host.
    pub path_style: bool,
}
