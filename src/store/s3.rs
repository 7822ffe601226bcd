//! The state in S3, changed only by conditional writes.

use super::{StateStore, Stored};
use crate::{
    aws::{Call, Clients},
    model::{Class, Fault},
};
use async_trait::async_trait;
use aws_smithy_types::DateTime;

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

/// One version of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// S3's id of it.
    pub id: String,
    /// When S3 took it, RFC 3339.
    pub at: String,
    /// Whether it is the one that counts.
    pub newest: bool,
    /// Whether it is the mark of a deletion.
    pub deleted: bool,
}

impl S3State {
    /// The newest versions, `limit` of them at most, newest first.
    pub async fn versions(&self, limit: usize) -> Result<Vec<Version>, Fault> {
        let mut found = Vec::new();
        let (mut key, mut id) = (None, None);
        loop {
            let call = self.clients.s3.list_object_versions().bucket(&self.bucket).prefix(&self.key);
            let call =
                call.set_key_marker(key).set_version_id_marker(id).expected_bucket_owner(&self.account);
            let page = call.send().await.call("s3", "ListObjectVersions")?;
            let mine = |key: Option<&str>| key == Some(self.key.as_str());
            let time = |at: Option<&DateTime>| at.map(ToString::to_string).unwrap_or_default();
            for version in page.versions().iter().filter(|it| mine(it.key())) {
                let (id, at) =
                    (version.version_id.clone().unwrap_or_default(), time(version.last_modified()));
                found.push(Version { id, at, newest: version.is_latest == Some(true), deleted: false });
            }
            for mark in page.delete_markers().iter().filter(|it| mine(it.key())) {
                let (id, at) = (mark.version_id.clone().unwrap_or_default(), time(mark.last_modified()));
                found.push(Version { id, at, newest: mark.is_latest == Some(true), deleted: true });
            }
            if found.len() >= limit || page.is_truncated != Some(true) {
                break;
            }
            (key, id) = (page.next_key_marker, page.next_version_id_marker);
        }
        // S3 lists versions of a key newest first, and deletions apart from them.
        found.sort_by(|a, b| (b.newest, &b.at).cmp(&(a.newest, &a.at)));
        found.truncate(limit);
        Ok(found)
    }

    /// The document of one version.
    pub async fn read_version(&self, id: &str) -> Result<Vec<u8>, Fault> {
        let call = self
            .clients
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .version_id(id)
            .expected_bucket_owner(&self.account);
        let body = call.send().await.call("s3", "GetObject")?.body.collect().await;
        let body =
            body.map_err(|error| Fault::new(Class::Ambiguous, format!("{}: {error}", self.place())))?;
        Ok(body.to_vec())
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
