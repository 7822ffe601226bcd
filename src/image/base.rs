//! Fetches the base image of an application.

use super::{Blob, ImagePlatform, layer::GZIPPED, registry::ImageError, source::ImageSource};
use serde::Deserialize;
use serde_json::Value;

/// A base image for one platform.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// Digest of the manifest; `None` for an empty base.
    pub digest: Option<String>,
    /// The `config` object of its configuration.
    pub config: Value,
    /// Variant of the CPU architecture (`v8`).
    pub variant: Option<String>,
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<String>,
    /// Layers, lowest first.
    pub layers: Vec<Blob>,
}

#[derive(Deserialize)]
struct Config {
    variant: Option<String>,
    #[serde(default, rename = "config")]
    settings: Value,
    rootfs: Rootfs,
}

#[derive(Deserialize)]
struct Rootfs {
    diff_ids: Vec<String>,
}

/// Fetches the image `reference` (`REGISTRY/NAME:TAG@sha256:...`) for one platform.
///
/// # Errors
/// Those of [`super::source::Opened::find`]; also if ECR does not accept the media type of a layer.
pub async fn base(
    source: &ImageSource,
    reference: &str,
    platform: ImagePlatform,
) -> Result<Base, ImageError> {
    let image = source.open(reference).await?;
    let found = image.find(platform).await?;
    let config: Config = serde_json::from_slice(&found.settings).map_err(|error| image.refused(&error))?;
    if config.rootfs.diff_ids.len() != found.layers.len() {
        return Err(image
            .refused(&"the configuration and the manifest list different numbers of layers")
            .into());
    }
    let mut layers = Vec::new();
    for layer in &found.layers {
        let media_type = media_type(&layer.media_type)
            .ok_or_else(|| image.refused(&format!("unsupported layer type {:?}", layer.media_type)))?;
        layers.push(image.layer(layer, media_type).await?);
    }
    Ok(Base {
        digest: Some(found.digest),
        config: config.settings,
        variant: config.variant,
        diff_ids: config.rootfs.diff_ids,
        layers,
    })
}

/// Returns the media type of a layer in an OCI manifest, or `None` if ECR does not accept the layer.
fn media_type(given: &str) -> Option<&'static str> {
    match given {
        GZIPPED | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(GZIPPED),
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
            Some("application/vnd.oci.image.layer.v1.tar")
        }
        "application/vnd.oci.image.layer.v1.tar+zstd" => Some("application/vnd.oci.image.layer.v1.tar+zstd"),
        _ => None,
    }
}
