//! Copies an image of another registry unchanged: its manifests and layers, byte for byte; and finds the digest that a tag
//! has.

use super::{
    Blob, Built, Document, ImagePlatform, Store, image_manifest, layer::LayerWriter, registry::ImageError,
    source::ImageSource,
};
use crate::model::CallError;

/// Fetches the image `reference` (`REGISTRY/NAME:TAG`, or with a digest) for these platforms.
///
/// # Errors
/// Fails if the registry is unreachable or denies access, if the image does not support one of the platforms,
/// or if content does not match its digest.
pub async fn copy(store: &Store, reference: &str, platforms: &[ImagePlatform]) -> Result<Built, CallError> {
    fetch(store, reference, platforms).await.map_err(ImageError::into_call_error)
}

async fn fetch(store: &Store, reference: &str, platforms: &[ImagePlatform]) -> Result<Built, ImageError> {
    let source = ImageSource::new(store);
    let image = source.open(reference).await?;
    let mut documents = Vec::new();
    let mut blobs = Vec::<Blob>::new();
    for platform in platforms {
        let found = image.find(*platform).await?;
        let config = store.put(&found.settings, &found.config.media_type)?;
        let mut own = vec![config];
        for layer in &found.layers {
            own.push(image.layer(layer, &layer.media_type).await?);
        }
        for blob in own {
            if !blobs.iter().any(|other| other.digest == blob.digest) {
                blobs.push(blob);
            }
        }
        let text = String::from_utf8(found.text).map_err(|error| image.refused(&error))?;
        documents.push((*platform, Document { digest: found.digest, media_type: found.media_type, text }));
    }
    Ok(Built::of_documents(documents, blobs))
}

/// Returns the digest of the image `reference`, and checks that it supports these platforms.
///
/// # Errors
/// Those of [`copy`].
pub async fn resolve(
    store: &Store,
    ecr: &aws_sdk_ecr::Client,
    reference: &str,
    platforms: &[ImagePlatform],
) -> Result<String, CallError> {
    let source = ImageSource::with_ecr(store, ecr);
    let found = async {
        let image = source.open(reference).await?;
        for platform in platforms {
            image.find(*platform).await?;
        }
        Ok(image.digest().to_owned())
    };
    found.await.map_err(ImageError::into_call_error)
}

/// Fetches the image `reference` with everything that its index lists, so that its digest stays the same.
///
/// # Errors
/// Those of [`copy`]; also an index that ECR does not accept.
pub async fn copy_whole(
    store: &Store,
    ecr: &aws_sdk_ecr::Client,
    reference: &str,
) -> Result<Built, CallError> {
    let source = ImageSource::with_ecr(store, ecr);
    let fetched = async {
        let image = source.open(reference).await?;
        let (mut documents, mut blobs) = (Vec::new(), Vec::<Blob>::new());
        for manifest in image.listed().await? {
            for blob in &manifest.blobs {
                if !blobs.iter().any(|other| other.digest == blob.digest) {
                    blobs.push(image.layer(blob, &blob.media_type).await?);
                }
            }
            let text = String::from_utf8(manifest.text).map_err(|error| image.refused(&error))?;
            documents.push(Document { digest: manifest.digest, media_type: manifest.media_type, text });
        }
        Ok(Built { documents, blobs })
    };
    fetched.await.map_err(ImageError::into_call_error)
}

/// Returns an image without files, for programs whose work the sandbox does.
pub fn empty(store: &Store, platforms: &[ImagePlatform]) -> Result<Built, CallError> {
    let layer = LayerWriter::new(&store.work())?.end()?;
    let images = platforms
        .iter()
        .map(|platform| (*platform, image_manifest::nothing(*platform, &layer), vec![layer.blob.clone()]));
    Ok(Built::of(images.collect()))
}
