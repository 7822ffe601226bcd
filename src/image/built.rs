//! A built image.

use super::{
    ImagePlatform,
    blob::Blob,
    image_manifest::{self, Document},
};
use crate::model::CallError;

/// A built image, ready to be pushed.
#[derive(Clone, Debug)]
pub struct Built {
    /// Manifests. With several platforms, the last one is the index of the others.
    pub documents: Vec<Document>,
    /// Layers and configurations, without duplicates.
    pub blobs: Vec<Blob>,
}

impl Built {
    /// Assembles an image from the configuration and layers of each platform.
    pub(super) fn of(images: Vec<(ImagePlatform, Blob, Vec<Blob>)>) -> Self {
        let (mut documents, mut blobs) = (Vec::new(), Vec::<Blob>::new());
        for (platform, config, layers) in images {
            documents.push((platform, image_manifest::manifest(&config, &layers)));
            for blob in layers.into_iter().chain([config]) {
                if !blobs.iter().any(|other| other.digest == blob.digest) {
                    blobs.push(blob);
                }
            }
        }
        Built::of_documents(documents, blobs)
    }

    /// Assembles an image from the manifest of each platform and the blobs that they reference.
    pub(super) fn of_documents(documents: Vec<(ImagePlatform, Document)>, blobs: Vec<Blob>) -> Self {
        let index = (documents.len() > 1).then(|| image_manifest::index(&documents));
        let documents = documents.into_iter().map(|(_, document)| document).chain(index).collect();
        Built { documents, blobs }
    }

    /// Returns the manifest or index that identifies the image.
    pub fn root(&self) -> Result<&Document, CallError> {
        self.documents.last().ok_or_else(|| CallError::bug("image without a manifest"))
    }
}
