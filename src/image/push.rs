//! Pushes an image to ECR with the calls of the ECR API. Layers that exist are not sent, and an interrupted
//! upload resumes where it stopped.
//! Source: <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html>

use super::{ACCEPTED, Blob, Built, Document, hashing::hex};
use crate::{
    aws::{Call, report_progress, required},
    model::{CallError, ErrorKind},
};
use aws_sdk_ecr::config::timeout::TimeoutConfig;
use aws_sdk_ecr::{
    Client,
    error::SdkError,
    operation::upload_layer_part::UploadLayerPartError,
    primitives::Blob as Bytes,
    types::{ImageIdentifier, LayerAvailability},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Maximum number of layers in a call of `BatchCheckLayerAvailability`.
const MAX_LAYERS_PER_CALL: usize = 100;
/// How many layers are uploaded at once.
const PARALLEL_UPLOADS: usize = 3;
/// How often the upload of a layer resumes after a rejected part.
const MAX_RESUMES: u32 = 20;
/// Size of a part if ECR does not name one, in bytes.
const DEFAULT_PART_SIZE: i64 = 10 << 20;
/// Timeout for sending one part: ten minutes for 10 MiB are 140 kbit/s.
const PART_TIMEOUT: Duration = Duration::from_mins(10);

/// A repository of ECR.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// Client of ECR.
    pub ecr: &'a Client,
    /// Name of the repository.
    pub repository: &'a str,
}

/// How many bytes of all missing layers were sent.
struct PushProgress {
    sent: AtomicU64,
    whole: u64,
}

impl PushProgress {
    fn add(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or_default();
        let sent = self.sent.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        report_progress(&format!("pushing: {} of {}", size(sent), size(self.whole)));
    }
}

/// Returns a size with its unit, such as `12 MB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// Pushes an image with its tags. It is safe to repeat.
pub async fn push(remote: Remote<'_>, built: &Built, tags: &[String]) -> Result<(), CallError> {
    let there = available(remote, &built.blobs).await?;
    let missing: Vec<&Blob> = built.blobs.iter().filter(|blob| !there.contains(&blob.digest)).collect();
    let whole = missing.iter().map(|blob| blob.size).sum();
    let progress = PushProgress { sent: AtomicU64::new(0), whole };
    let mut uploads = Vec::new();
    for blob in missing {
        uploads.push(upload(remote, blob, &progress));
    }
    stream::iter(uploads).buffer_unordered(PARALLEL_UPLOADS).try_collect::<()>().await?;
    let root = built.root()?;
    for document in built.documents.iter().filter(|document| document.digest != root.digest) {
        put_image(remote, document, None).await?;
    }
    for tag in tags {
        put_image(remote, root, Some(tag)).await?;
    }
    Ok(())
}

/// Adds tags to an image that exists in the repository.
///
/// # Errors
/// Fails if the image does not exist, or if a tag belongs to another image and cannot move.
pub async fn give_tags(remote: Remote<'_>, digest: &str, tags: &[String]) -> Result<(), CallError> {
    let id = ImageIdentifier::builder().image_digest(digest).build();
    let call = remote.ecr.batch_get_image().repository_name(remote.repository).image_ids(id);
    let call = call.set_accepted_media_types(Some(ACCEPTED.map(str::to_owned).into()));
    let answer = call.send().await.call()?;
    let image = answer.images.unwrap_or_default().into_iter().next();
    let (text, media_type) =
        image.map(|image| (image.image_manifest, image.image_manifest_media_type)).unzip();
    let (Some(text), Some(media_type)) = (text.flatten(), media_type.flatten()) else {
        return Err(CallError::new(
            ErrorKind::Eventual,
            format!("{}: image not found ({digest})", remote.repository),
        ));
    };
    let document = Document { digest: digest.to_owned(), media_type, text };
    for tag in tags {
        put_image(remote, &document, Some(tag)).await?;
    }
    Ok(())
}

async fn available(remote: Remote<'_>, blobs: &[Blob]) -> Result<BTreeSet<String>, CallError> {
    let mut found = BTreeSet::new();
    for some in blobs.chunks(MAX_LAYERS_PER_CALL) {
        let digests = some.iter().map(|blob| blob.digest.clone()).collect();
        let call = remote.ecr.batch_check_layer_availability().repository_name(remote.repository);
        let answer = call.set_layer_digests(Some(digests)).send().await;
        let layers = answer.call()?.layers.unwrap_or_default();
        let there =
            layers.into_iter().filter(|it| it.layer_availability == Some(LayerAvailability::Available));
        found.extend(there.filter_map(|it| it.layer_digest));
    }
    Ok(found)
}

async fn upload(remote: Remote<'_>, blob: &Blob, progress: &PushProgress) -> Result<(), CallError> {
    let call = remote.ecr.initiate_layer_upload().repository_name(remote.repository);
    let (id, part) = call.send().await.read(|begun| {
        let part = begun.part_size.filter(|size| *size > 0).unwrap_or(DEFAULT_PART_SIZE);
        Ok((required(begun.upload_id, "uploadId")?, u64::try_from(part).unwrap_or_default()))
    })?;
    let (mut next, mut resumed) = (0, 0_u32);
    let mut hash = Sha256::new();
    let mut hashed = 0;
    while next < blob.size {
        let bytes = blob.part(next, part)?;
        let length = u64::try_from(bytes.len()).unwrap_or_default();
        if length == 0 {
            return Err(blob.damaged());
        }
        // A part that is sent again is hashed once.
        if next == hashed {
            hash.update(&bytes);
            hashed = next.saturating_add(length);
        }
        let count = bytes.len();
        match send(remote, &id, next, bytes).await? {
            None => {
                next = next.saturating_add(length);
                progress.add(count);
            }
            Some(received) if resumed < MAX_RESUMES => {
                resumed = resumed.saturating_add(1);
                next = received.min(hashed);
            }
            Some(_) => {
                let text = format!(
                    "{}: upload failed: ECR still rejects parts after {resumed} retries",
                    blob.digest
                );
                return Err(CallError::new(ErrorKind::Ambiguous, text));
            }
        }
    }
    if format!("sha256:{}", hex(&hash.finalize())) != blob.digest {
        return Err(blob.damaged());
    }
    let call = remote.ecr.complete_layer_upload().repository_name(remote.repository);
    let answer = call.upload_id(id).layer_digests(&blob.digest).send().await;
    match answer.call() {
        // Another push was faster, or the answer to an earlier call was lost.
        Err(error) if error.class == ErrorKind::Exists => Ok(()),
        answer => answer.map(drop),
    }
}

/// Sends a part. If ECR rejects it, returns the offset from which the upload must resume.
async fn send(remote: Remote<'_>, upload: &str, from: u64, bytes: Vec<u8>) -> Result<Option<u64>, CallError> {
    let offset = |at: u64| i64::try_from(at).map_err(|error| CallError::bug(error.to_string()));
    let last = from.saturating_add(u64::try_from(bytes.len()).unwrap_or_default()).saturating_sub(1);
    let call = remote.ecr.upload_layer_part().repository_name(remote.repository).upload_id(upload);
    let call =
        call.part_first_byte(offset(from)?).part_last_byte(offset(last)?).layer_part_blob(Bytes::new(bytes));
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(PART_TIMEOUT)
        .operation_timeout(PART_TIMEOUT * 3)
        .build();
    let config = aws_sdk_ecr::config::Config::builder().timeout_config(timeouts);
    let answer = call.customize().config_override(config).send().await;
    if let Err(SdkError::ServiceError(error)) = &answer
        && let UploadLayerPartError::InvalidLayerPartException(refused) = error.err()
        && let Some(valid) = refused.last_valid_byte_received()
    {
        // The last byte is also 0 if nothing was received; a part has more than one byte.
        let next = if valid == 0 { 0 } else { valid.saturating_add(1) };
        return Ok(Some(u64::try_from(next).unwrap_or_default()));
    }
    answer.call().map(|_| None)
}

async fn put_image(remote: Remote<'_>, document: &Document, tag: Option<&String>) -> Result<(), CallError> {
    let call = remote.ecr.put_image().repository_name(remote.repository);
    let call = call.image_manifest(&document.text).image_manifest_media_type(&document.media_type);
    let call = call.image_digest(&document.digest).set_image_tag(tag.cloned());
    match call.send().await.call() {
        Err(error) if error.class == ErrorKind::Exists => Ok(()),
        Err(error) if error.class == ErrorKind::Refused => Err(error.hint(
            "choose another tag, or set `immutableTags: false` so that a tag can move to another image",
        )),
        answer => answer.map(drop),
    }
}
