//! Buckets whose owner has the caller pay.

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::Client;

use super::store::Store;

/// Says with every request that the caller knows of the cost. Source: Amazon S3 User Guide, "Requester Pays buckets".
#[derive(Debug)]
struct Payer;

impl Intercept for Payer {
    fn name(&self) -> &'static str {
        "Payer"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context
            .request_mut()
            .headers_mut()
            .insert("x-amz-request-payer", "requester");
        Ok(())
    }
}

impl Store {
    /// The same store, where the caller agrees to pay for requests and transfer.
    pub fn paid_by_requester(mut self) -> Store {
        let settings = self.client.config().to_builder().interceptor(Payer);
        self.client = Client::from_conf(settings.build());
        self
    }
}
