//! What an application's image stands on.

use super::{Blob, Platform, layer::GZIPPED, registry::Trouble, source::Source};
use serde::Deserialize;
use serde_json::Value;

/// What an image stands on.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// The digest of its manifest; none: it stands on nothing.
    pub digest: Option<String>,
    /// Its `config` object.
    pub config: Value,
    /// Its variant of the architecture (`v8`).
    pub variant: Option<String>,
    /// Its layers' digests before compression.
    pub diff_ids: Vec<String>,
    /// Its layers.
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

/// The image `reference` (`REGISTRY/NAME:TAG@sha256:...`) for a platform.
///
/// # Errors
/// Those of [`super::source::Opened::find`]; a layer of a type that ECR does not take.
pub async fn base(source: &Source, reference: &str, platform: Platform) -> Result<Base, Trouble> {
    let image = source.open(reference).await?;
    let found = image.find(platform).await?;
    let config: Config = serde_json::from_slice(&found.settings).map_err(|error| image.refused(&error))?;
    if config.rootfs.diff_ids.len() != found.layers.len() {
        return Err(image.refused(&"its configuration is of another image").into());
    }
    let mut layers = Vec::new();
    for layer in &found.layers {
        let media_type = media_type(&layer.media_type).ok_or_else(|| {
            image.refused(&format!("a layer is `{}`, which cannot be pushed", layer.media_type))
        })?;
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

/// What a layer is called in an OCI manifest.
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
