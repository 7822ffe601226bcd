//! The state in S3, changed only by conditional writes.

use super::{StateStore, Stored};
use crate::{
    aws::{Call, Clients},
    model::{Class, Fault},
};
use async_trait::async_trait;

/// The state object of one stack.
#[derive(Clone, Debug)]
pub struct S3State {
    clients: Clients,
    account: String,
    bucket: String,
    key: String,
}

impl S3State {
    /// The object `<stack>/state.json` in `bucket`, which must belong to `account`.
    pub fn new(clients: Clients, account: &str, bucket: &str, stack: &str) -> Self {
        let (account, bucket) = (account.to_owned(), bucket.to_owned());
        S3State { clients, account, bucket, key: format!("{stack}/state.json") }
    }
}

#[async_trait]
impl StateStore for S3State {
    async fn read(&self) -> Result<Option<Stored>, Fault> {
        let call = self
            .clients
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .expected_bucket_owner(&self.account);
        let answer = match call.send().await.call("s3", "GetObject") {
            Err(fault) if fault.class == Class::Gone => return Ok(None),
            answer => answer?,
        };
        let etag = answer.e_tag.unwrap_or_default();
        let body = answer.body.collect().await;
        let body =
            body.map_err(|error| Fault::new(Class::Ambiguous, format!("{}: {error}", self.place())))?;
        Ok(Some(Stored { bytes: body.to_vec(), etag }))
    }

    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, Fault> {
        let call = self
            .clients
            .s3
            .put_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .expected_bucket_owner(&self.account)
            .content_type("application/json")
            .body(bytes.to_vec().into());
        let call = match expected {
            Some(etag) => call.if_match(etag),
            None => call.if_none_match("*"),
        };
        let answer = call.send().await.call("s3", "PutObject")?;
        Ok(answer.e_tag.unwrap_or_default())
    }

    fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}
