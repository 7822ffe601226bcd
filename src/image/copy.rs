//! An image of another registry, as it is there: its manifests and layers to the byte.

use super::{
    Blob, Built, Document, Platform, Store, layer::Writer, manifest, registry::Trouble, source::Source,
};
use crate::model::Fault;

/// Fetches the image `reference` (`REGISTRY/NAME:TAG`, or with a digest) for these platforms.
///
/// # Errors
/// Its registry is out of reach or refuses; it is not for one of the platforms; its bytes are not what its digests say.
pub async fn copy(store: &Store, reference: &str, platforms: &[Platform]) -> Result<Built, Fault> {
    fetch(store, reference, platforms).await.map_err(Trouble::fault)
}

async fn fetch(store: &Store, reference: &str, platforms: &[Platform]) -> Result<Built, Trouble> {
    let source = Source::new(store);
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

/// An image without anything in it, for what the sandbox does in its place.
pub fn empty(store: &Store, platforms: &[Platform]) -> Result<Built, Fault> {
    let layer = Writer::new(&store.work())?.end()?;
    let images = platforms
        .iter()
        .map(|platform| (*platform, manifest::nothing(*platform, &layer), vec![layer.blob.clone()]));
    Ok(Built::of(images.collect()))
}
