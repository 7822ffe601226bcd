//! The state in S3, changed only by conditional writes.

use super::{StateStore, Stored};
use crate::{
    aws::{Call, Clients, required},
    model::{CallError, ErrorKind},
};
use async_trait::async_trait;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_smithy_types::DateTime;

/// The key of the object in which the first runs of an account and region agree on who creates the backend's key. No
/// stack's state has such a key.
pub const BACKEND_RECORD: &str = "backend.json";

/// The state object of one stack.
#[derive(Clone, Debug)]
pub struct S3State {
    clients: Clients,
    account: String,
    bucket: String,
    key: String,
}

impl S3State {
    /// Returns the object `<stack>/state.json` in `bucket`, which must belong to `account`. Makes no call.
    pub fn new(clients: Clients, account: &str, bucket: &str, stack: &str) -> Self {
        let (account, bucket) = (account.to_owned(), bucket.to_owned());
        S3State { clients, account, bucket, key: format!("{stack}/state.json") }
    }

    /// Returns the object [`BACKEND_RECORD`] in `bucket`: what the first runs agreed on. Makes no call.
    pub fn backend(clients: Clients, account: &str, bucket: &str) -> Self {
        S3State { key: BACKEND_RECORD.to_owned(), ..S3State::new(clients, account, bucket, "") }
    }
}

/// One version of the state object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The version id that S3 assigned.
    pub id: String,
    /// The time at which S3 stored it, RFC 3339.
    pub at: String,
    /// Whether it is the current version.
    pub newest: bool,
    /// Whether it is a delete marker.
    pub deleted: bool,
}

impl S3State {
    /// Lists the newest versions, at most `limit`, newest first.
    pub async fn versions(&self, limit: usize) -> Result<Vec<Version>, CallError> {
        let mut found = Vec::new();
        let (mut key, mut id) = (None, None);
        loop {
            let call = self.clients.s3.list_object_versions().bucket(&self.bucket).prefix(&self.key);
            let call =
                call.set_key_marker(key).set_version_id_marker(id).expected_bucket_owner(&self.account);
            let page = call.send().await.call()?;
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
        // S3 lists the versions of a key newest first, and delete markers separately.
        found.sort_by(|a, b| (b.newest, &b.at).cmp(&(a.newest, &a.at)));
        found.truncate(limit);
        Ok(found)
    }

    /// Reads the document of one version by its id.
    pub async fn read_version(&self, id: &str) -> Result<Vec<u8>, CallError> {
        let call = self
            .clients
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .version_id(id)
            .expected_bucket_owner(&self.account);
        let body = call.send().await.call()?.body.collect().await;
        let body = body
            .map_err(|error| CallError::new(ErrorKind::Ambiguous, format!("{}: {error}", self.location())))?;
        Ok(body.to_vec())
    }
}

#[async_trait]
impl StateStore for S3State {
    async fn read(&self) -> Result<Option<Stored>, CallError> {
        let call = self
            .clients
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .expected_bucket_owner(&self.account);
        let found = call.send().await.read_if_found(|mut answer| {
            let etag = required(answer.e_tag.take(), "ETag")?;
            Ok((etag, answer.body))
        });
        let Some((etag, body)) = found? else { return Ok(None) };
        let body = body.collect().await;
        let body = body
            .map_err(|error| CallError::new(ErrorKind::Ambiguous, format!("{}: {error}", self.location())))?;
        Ok(Some(Stored { bytes: body.to_vec(), etag }))
    }

    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, CallError> {
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
        let etag = required(call.send().await.call()?.e_tag, "ETag");
        // The document was written: it is read back.
        etag.map_err(|missing| missing.in_answer_of::<PutObjectError>().class(ErrorKind::Ambiguous))
    }

    fn location(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}
