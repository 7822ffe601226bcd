//! An image's way to ECR, by ECR's own calls: what is there is not sent, what breaks off goes on where it stopped.
//! Source: <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html>

use super::{Blob, Built, Document, context::hex};
use crate::{
    aws::{Call, tell},
    model::{Class, Fault},
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

/// How many layers are asked after in one call, and how many images.
const ASKED: usize = 100;
/// How many layers go at once.
const AT_ONCE: usize = 3;
/// How often a layer's upload goes on after parts that did not arrive as they were sent.
const RESUMED: u32 = 20;
/// The size of a part where ECR names none, in bytes.
const PART: i64 = 10 << 20;
/// How long one part may take: ten minutes are 140 kbit/s.
const PATIENCE: Duration = Duration::from_mins(10);

/// A repository.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// ECR.
    pub ecr: &'a Client,
    /// The repository's name.
    pub repository: &'a str,
}

/// How much was sent of how much.
struct Progress {
    sent: AtomicU64,
    whole: u64,
}

impl Progress {
    fn more(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or_default();
        let sent = self.sent.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        tell(&format!("pushing: {} of {}", size(sent), size(self.whole)));
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// Sends an image and gives it its tags. May be repeated.
pub async fn push(remote: Remote<'_>, built: &Built, tags: &[String]) -> Result<(), Fault> {
    let there = available(remote, &built.blobs).await?;
    let missing: Vec<&Blob> = built.blobs.iter().filter(|blob| !there.contains(&blob.digest)).collect();
    let whole = missing.iter().map(|blob| blob.size).sum();
    let progress = Progress { sent: AtomicU64::new(0), whole };
    let mut uploads = Vec::new();
    for blob in missing {
        uploads.push(upload(remote, blob, &progress));
    }
    stream::iter(uploads).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let root = built.root()?;
    for document in built.documents.iter().filter(|document| document.digest != root.digest) {
        put(remote, document, None).await?;
    }
    for tag in tags {
        put(remote, root, Some(tag)).await?;
    }
    Ok(())
}

/// Gives tags to an image that is there.
pub async fn give_tags(remote: Remote<'_>, digest: &str, tags: &[String]) -> Result<(), Fault> {
    let id = ImageIdentifier::builder().image_digest(digest).build();
    let call = remote.ecr.batch_get_image().repository_name(remote.repository).image_ids(id);
    let call = call.set_accepted_media_types(Some(ACCEPTED.map(str::to_owned).into()));
    let answer = call.send().await.call("ecr", "BatchGetImage")?;
    let image = answer.images.unwrap_or_default().into_iter().next();
    let (text, media_type) =
        image.map(|image| (image.image_manifest, image.image_manifest_media_type)).unzip();
    let (Some(text), Some(media_type)) = (text.flatten(), media_type.flatten()) else {
        return Err(Fault::new(
            Class::Eventual,
            format!("there is no image {digest} in {}", remote.repository),
        ));
    };
    let document = Document { digest: digest.to_owned(), media_type, text };
    for tag in tags {
        put(remote, &document, Some(tag)).await?;
    }
    Ok(())
}

/// The manifests that are asked for as they are.
pub const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

async fn available(remote: Remote<'_>, blobs: &[Blob]) -> Result<BTreeSet<String>, Fault> {
    let mut found = BTreeSet::new();
    for some in blobs.chunks(ASKED) {
        let digests = some.iter().map(|blob| blob.digest.clone()).collect();
        let call = remote.ecr.batch_check_layer_availability().repository_name(remote.repository);
        let answer = call.set_layer_digests(Some(digests)).send().await;
        let layers = answer.call("ecr", "BatchCheckLayerAvailability")?.layers.unwrap_or_default();
        let there =
            layers.into_iter().filter(|it| it.layer_availability == Some(LayerAvailability::Available));
        found.extend(there.filter_map(|it| it.layer_digest));
    }
    Ok(found)
}

async fn upload(remote: Remote<'_>, blob: &Blob, progress: &Progress) -> Result<(), Fault> {
    let call = remote.ecr.initiate_layer_upload().repository_name(remote.repository);
    let begun = call.send().await.call("ecr", "InitiateLayerUpload")?;
    let id = begun.upload_id.unwrap_or_default();
    let part = u64::try_from(begun.part_size.filter(|size| *size > 0).unwrap_or(PART)).unwrap_or_default();
    let (mut next, mut resumed) = (0, 0_u32);
    let mut hash = Sha256::new();
    let mut hashed = 0;
    while next < blob.size {
        let bytes = blob.part(next, part)?;
        let length = u64::try_from(bytes.len()).unwrap_or_default();
        if length == 0 {
            return Err(blob.spoiled());
        }
        // A part that goes again is counted once.
        if next == hashed {
            hash.update(&bytes);
            hashed = next.saturating_add(length);
        }
        let count = bytes.len();
        match send(remote, &id, next, bytes).await? {
            None => {
                next = next.saturating_add(length);
                progress.more(count);
            }
            Some(received) if resumed < RESUMED => {
                resumed = resumed.saturating_add(1);
                next = received.min(hashed);
            }
            Some(_) => {
                let text = format!("the parts of {} do not arrive as they were sent", blob.digest);
                return Err(Fault::new(Class::Ambiguous, text));
            }
        }
    }
    if format!("sha256:{}", hex(&hash.finalize())) != blob.digest {
        return Err(blob.spoiled());
    }
    let call = remote.ecr.complete_layer_upload().repository_name(remote.repository);
    let answer = call.upload_id(id).layer_digests(&blob.digest).send().await;
    match answer.call("ecr", "CompleteLayerUpload") {
        // Somebody else was faster, or an answer was lost.
        Err(fault) if fault.class == Class::Exists => Ok(()),
        answer => answer.map(drop),
    }
}

/// Sends a part. The place from which ECR wants it to go on, where that is another.
async fn send(remote: Remote<'_>, upload: &str, from: u64, bytes: Vec<u8>) -> Result<Option<u64>, Fault> {
    let place = |at: u64| i64::try_from(at).map_err(|error| Fault::bug(error.to_string()));
    let last = from.saturating_add(u64::try_from(bytes.len()).unwrap_or_default()).saturating_sub(1);
    let call = remote.ecr.upload_layer_part().repository_name(remote.repository).upload_id(upload);
    let call =
        call.part_first_byte(place(from)?).part_last_byte(place(last)?).layer_part_blob(Bytes::new(bytes));
    let patience =
        TimeoutConfig::builder().operation_attempt_timeout(PATIENCE).operation_timeout(PATIENCE * 3).build();
    let config = aws_sdk_ecr::config::Config::builder().timeout_config(patience);
    let answer = call.customize().config_override(config).send().await;
    if let Err(SdkError::ServiceError(error)) = &answer
        && let UploadLayerPartError::InvalidLayerPartException(refused) = error.err()
        && let Some(valid) = refused.last_valid_byte_received()
    {
        // Of nothing received the last byte is 0 as well; a part has more than one.
        let next = if valid == 0 { 0 } else { valid.saturating_add(1) };
        return Ok(Some(u64::try_from(next).unwrap_or_default()));
    }
    answer.call("ecr", "UploadLayerPart").map(|_| None)
}

async fn put(remote: Remote<'_>, document: &Document, tag: Option<&String>) -> Result<(), Fault> {
    let call = remote.ecr.put_image().repository_name(remote.repository);
    let call = call.image_manifest(&document.text).image_manifest_media_type(&document.media_type);
    let call = call.image_digest(&document.digest).set_image_tag(tag.cloned());
    match call.send().await.call("ecr", "PutImage") {
        Err(fault) if fault.class == Class::Exists => Ok(()),
        Err(fault) if fault.class == Class::Refused => Err(fault.hint(
            "a tag of this repository stays with its image (`immutableTags`): take another tag, or allow it to move",
        )),
        answer => answer.map(drop),
    }
}
