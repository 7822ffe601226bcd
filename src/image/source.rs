//! Fetches images of other registries, every part by its digest: from the cache folder, a local OCI layout or
//! the registry of the image.

use super::{
    Blob, ImagePlatform, Store, Temp,
    blob::{at, digest, digest_mismatch},
    hashing::hex,
    origin::{EcrOrigin, ImageOrigin},
    registry::{ImageError, LAYOUT, Registry},
};
use crate::{
    aws::report_progress,
    model::{CallError, ErrorKind, ImageReference},
};
use oci_spec::distribution::Reference;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Annotation by which the index of a layout names an image.
/// Source: <https://github.com/opencontainers/image-spec/blob/main/annotations.md>
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Maximum size of a manifest or configuration, in bytes.
const MAX_TEXT_BYTES: u64 = 4 << 20;
/// Maximum size of a layer, in bytes.
const MAX_LAYER_BYTES: u64 = 8 << 30;

/// A reference from a manifest or index to its content.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content; empty if the manifest omits it.
    #[serde(default)]
    pub media_type: String,
    /// Digest of the content.
    pub digest: String,
    /// Size of the content, in bytes.
    pub size: u64,
    platform: Option<BlobTarget>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct BlobTarget {
    os: String,
    architecture: String,
}

/// A manifest, with `config` and `layers`, or an index, with `manifests`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceManifest {
    #[serde(default)]
    media_type: String,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

/// An image for one platform, whose manifest and configuration were fetched.
pub struct ResolvedImage {
    /// Digest of the manifest.
    pub digest: String,
    /// Media type of the manifest.
    pub media_type: String,
    /// The manifest, byte for byte.
    pub text: Vec<u8>,
    /// Reference to the configuration.
    pub config: Descriptor,
    /// References to the layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The configuration, as JSON.
    pub settings: Vec<u8>,
}

/// A manifest or index, byte for byte, and what it refers to.
pub struct ListedManifest {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its text.
    pub text: Vec<u8>,
    /// Configuration and layers; none for an index.
    pub blobs: Vec<Descriptor>,
}

impl ListedManifest {
    fn of(manifest: SourceManifest, text: Vec<u8>, digest: &str, listed: &str) -> Self {
        // A manifest may omit its own media type; the index that lists it may not.
        let known = if manifest.media_type.is_empty() { listed } else { &manifest.media_type };
        let media_type = match (known, &manifest.manifests) {
            ("", Some(_)) => "application/vnd.oci.image.index.v1+json",
            ("", None) => "application/vnd.oci.image.manifest.v1+json",
            (known, _) => known,
        };
        ListedManifest {
            digest: digest.to_owned(),
            media_type: media_type.to_owned(),
            text,
            blobs: manifest.config.into_iter().chain(manifest.layers.into_iter().flatten()).collect(),
        }
    }
}

/// The places that images are fetched from: the cache, an optional OCI layout, and registries.
pub struct ImageSource {
    store: Store,
    layout: Option<PathBuf>,
    ecr: Option<aws_sdk_ecr::Client>,
}

impl ImageSource {
    /// Returns a source over the cache in `store`, the folder that [`LAYOUT`] names, and registries.
    pub fn new(store: &Store) -> Self {
        let layout = std::env::var_os(LAYOUT).map(PathBuf::from);
        ImageSource { store: store.clone(), layout, ecr: None }
    }

    /// Returns a source that also reads private repositories of ECR.
    pub fn with_ecr(store: &Store, ecr: &aws_sdk_ecr::Client) -> Self {
        ImageSource { ecr: Some(ecr.clone()), ..ImageSource::new(store) }
    }

    /// Opens an image by its digest or, if the reference has none, by its tag.
    ///
    /// # Errors
    /// Fails if the reference is invalid or its tag cannot be resolved.
    pub async fn open(&self, reference: &str) -> Result<Opened<'_>, ImageError> {
        let parsed = Reference::try_from(reference).map_err(|error| {
            refused(reference, &error).hint("write the reference as `NAME:TAG@sha256:...`")
        })?;
        let digest = parsed.digest().map(str::to_owned);
        let home = ImageReference::parse(reference).and_then(|it| Some((it.ecr()?, it)));
        let registry = match (home, &self.ecr) {
            (Some((home, it)), Some(client)) => {
                ImageOrigin::Ecr(EcrOrigin::new(client, home, &it, reference))
            }
            _ => ImageOrigin::Public(Box::new(Registry::new(parsed))),
        };
        let digest = match digest {
            Some(digest) => digest,
            None => self.resolve_tag(&registry, reference).await?,
        };
        Ok(Opened { source: self, registry, reference: reference.to_owned(), digest })
    }

    /// Returns the digest that the tag points to: in the index of the layout or, if it lacks the image, in
    /// the registry.
    async fn resolve_tag(&self, registry: &ImageOrigin, reference: &str) -> Result<String, ImageError> {
        if let Some(layout) = &self.layout
            && let Some(digest) = digest_in_layout(layout, reference)?
        {
            return Ok(digest);
        }
        let text = registry.manifest_by_tag().await?;
        let digest = digest(&text);
        Ok(self.verify(text, &digest).map(|_| digest)?)
    }

    async fn manifest(
        &self,
        registry: &ImageOrigin,
        wanted: &str,
        reference: &str,
    ) -> Result<(SourceManifest, Vec<u8>), ImageError> {
        let text = if let Some(text) = self.read_local(wanted)? {
            text
        } else {
            let text = registry.manifest(wanted).await?;
            self.verify(text, wanted)?
        };
        let manifest = serde_json::from_slice(&text).map_err(|error| refused(reference, &error))?;
        Ok((manifest, text))
    }

    async fn text(&self, registry: &ImageOrigin, wanted: &str) -> Result<Vec<u8>, ImageError> {
        if let Some(text) = self.read_local(wanted)? {
            return Ok(text);
        }
        let mut text = Vec::new();
        registry.blob(wanted, MAX_TEXT_BYTES, &mut text).await?;
        Ok(self.verify(text, wanted)?)
    }

    /// Returns the content from the cache or the local layout, if one of them has it.
    fn read_local(&self, wanted: &str) -> Result<Option<Vec<u8>>, CallError> {
        if let Some(text) = self.store.read(wanted)? {
            return Ok(Some(text));
        }
        let Some(path) = self.path_in_layout(wanted)? else { return Ok(None) };
        let text = fs::read(&path).map_err(|error| at(&path, &error))?;
        self.verify(text, wanted).map(Some)
    }

    fn path_in_layout(&self, wanted: &str) -> Result<Option<PathBuf>, CallError> {
        let Some(layout) = &self.layout else { return Ok(None) };
        let path = Store::new(layout).path(wanted)?;
        Ok(path.is_file().then_some(path))
    }

    fn verify(&self, text: Vec<u8>, wanted: &str) -> Result<Vec<u8>, CallError> {
        if digest(&text) != wanted {
            return Err(digest_mismatch(wanted));
        }
        self.store.put(&text, "")?;
        Ok(text)
    }
}

/// Returns the digest of the image that the index of a layout lists under this reference.
fn digest_in_layout(layout: &Path, reference: &str) -> Result<Option<String>, CallError> {
    let path = layout.join("index.json");
    let Ok(text) = fs::read(&path) else { return Ok(None) };
    let index: SourceManifest = serde_json::from_slice(&text)
        .map_err(|error| CallError::new(ErrorKind::Refused, format!("{}: {error}", path.display())))?;
    let images = index.manifests.unwrap_or_default();
    let is_named = |image: &Descriptor| image.annotations.get(REF_NAME).is_some_and(|name| name == reference);
    Ok(images.into_iter().find(is_named).map(|image| image.digest))
}

/// An image whose digest is known and whose content is fetched per platform.
pub struct Opened<'a> {
    source: &'a ImageSource,
    registry: ImageOrigin,
    reference: String,
    digest: String,
}

impl Opened<'_> {
    /// Returns the digest of the manifest or index that the reference names.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns an error about this image.
    pub fn refused(&self, what: &dyn std::fmt::Display) -> CallError {
        refused(&self.reference, what)
    }

    /// Fetches the manifest and configuration of the image for one platform.
    ///
    /// # Errors
    /// Fails if the registry is unreachable or denies access, if the image does not support the platform, or
    /// if content does not match its digest.
    pub async fn find(&self, platform: ImagePlatform) -> Result<ResolvedImage, ImageError> {
        let (source, registry, reference) = (self.source, &self.registry, self.reference.as_str());
        let mut digest = self.digest.clone();
        let (mut manifest, mut text) = source.manifest(registry, &digest, reference).await?;
        if let Some(list) = manifest.manifests.take() {
            let fits = |one: &&Descriptor| {
                one.platform
                    .as_ref()
                    .is_some_and(|it| it.os == "linux" && it.architecture == platform.architecture())
            };
            let Some(found) = list.iter().find(fits) else {
                return Err(self.not_for(platform, &"not available").into());
            };
            digest.clone_from(&found.digest);
            (manifest, text) = source.manifest(registry, &digest, reference).await?;
            // A manifest may omit its own media type; the index that lists it may not.
            if manifest.media_type.is_empty() {
                manifest.media_type.clone_from(&found.media_type);
            }
        }
        let (Some(config), Some(layers)) = (manifest.config, manifest.layers) else {
            return Err(self.refused(&"the manifest has no `config` or no `layers`").into());
        };
        let settings = source.text(registry, &config.digest).await?;
        let target: BlobTarget =
            serde_json::from_slice(&settings).map_err(|error| refused(reference, &error))?;
        if target.os != "linux" || target.architecture != platform.architecture() {
            let what = format!("built for {}/{}, not", target.os, target.architecture);
            return Err(self.not_for(platform, &what).into());
        }
        Ok(ResolvedImage { digest, media_type: manifest.media_type, text, config, layers, settings })
    }

    /// Fetches the manifest of the image and, if it is an index, all that it lists, in the order in which they are pushed:
    /// the index is the last one.
    ///
    /// # Errors
    /// Those of [`find`](Self::find); also an index that lists other indexes.
    pub async fn listed(&self) -> Result<Vec<ListedManifest>, ImageError> {
        let (registry, reference) = (&self.registry, self.reference.as_str());
        let (root, text) = self.source.manifest(registry, &self.digest, reference).await?;
        let mut all = Vec::new();
        for one in root.manifests.iter().flatten() {
            let (manifest, text) = self.source.manifest(registry, &one.digest, reference).await?;
            if manifest.manifests.is_some() {
                return Err(self.refused(&"its index lists another index, which ECR does not accept").into());
            }
            all.push(ListedManifest::of(manifest, text, &one.digest, &one.media_type));
        }
        all.push(ListedManifest::of(root, text, &self.digest, ""));
        Ok(all)
    }

    fn not_for(&self, platform: ImagePlatform, what: &dyn std::fmt::Display) -> CallError {
        self.refused(&format!("{what} for {platform}"))
            .hint("choose an image that supports the platform, or change `platforms`")
    }

    /// Fetches a layer of the image. `media_type` is the type under which the layer is pushed.
    pub async fn layer(&self, layer: &Descriptor, media_type: &str) -> Result<Blob, ImageError> {
        let store = &self.source.store;
        if let Some(blob) = store.get(&layer.digest, layer.size, media_type)? {
            return Ok(blob);
        }
        let temp = Temp::new(&store.work(), "layer")?;
        let mut file = fs::File::create(temp.path()).map_err(|error| temp.io_error(&error))?;
        if let Some(path) = self.source.path_in_layout(&layer.digest)? {
            let copied = fs::File::open(&path).and_then(|mut from| std::io::copy(&mut from, &mut file));
            copied.map_err(|error| at(&path, &error))?;
        } else {
            report_progress(&format!("fetching {}: {} MiB", self.registry.name(), layer.size >> 20));
            self.registry.blob(&layer.digest, layer.size.min(MAX_LAYER_BYTES), &mut file).await?;
        }
        file.flush().map_err(|error| temp.io_error(&error))?;
        let mut hash = Hashed(Sha256::new());
        let mut read = fs::File::open(temp.path()).map_err(|error| temp.io_error(&error))?;
        let size = std::io::copy(&mut read, &mut hash).map_err(|error| temp.io_error(&error))?;
        if size != layer.size || format!("sha256:{}", hex(&hash.0.finalize())) != layer.digest {
            return Err(digest_mismatch(&layer.digest).into());
        }
        Ok(store.keep(&temp, &layer.digest, size, media_type)?)
    }
}

struct Hashed(Sha256);

impl std::io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn refused(reference: &str, what: &dyn std::fmt::Display) -> CallError {
    CallError::new(ErrorKind::Refused, format!("image {reference}: {what}"))
}
