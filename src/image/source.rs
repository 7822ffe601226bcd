//! Images of other registries, each part by its digest: from the cache folder, from a local OCI layout, or from its registry.

use super::{
    Blob, Platform, Store, Temp,
    blob::{at, digest},
    context::hex,
    registry::{Registry, Trouble},
};
use crate::{
    aws::tell,
    model::{Class, Fault},
};
use oci_client::Reference;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Names a folder with an OCI layout in which images are looked for before their registry is asked.
pub const LAYOUT: &str = "PROVISIONER_BASE_LAYOUT";

/// The annotation by which a layout's index names an image.
/// Source: <https://github.com/opencontainers/image-spec/blob/main/annotations.md>
const NAMED: &str = "org.opencontainers.image.ref.name";

/// How many bytes a manifest or configuration may have.
const MOST_TEXT: u64 = 4 << 20;
/// How many bytes a layer.
const MOST_LAYER: u64 = 8 << 30;

/// What a manifest says of one of its parts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    platform: Option<Target>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Target {
    os: String,
    architecture: String,
}

/// A manifest or an index.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    media_type: String,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

/// The image of one platform.
pub struct Found {
    /// The digest of its manifest.
    pub digest: String,
    /// What its manifest is.
    pub media_type: String,
    /// Its manifest, to the byte.
    pub text: Vec<u8>,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers.
    pub layers: Vec<Descriptor>,
    /// Its configuration's text.
    pub settings: Vec<u8>,
}

/// Where images come from.
pub struct Source {
    store: Store,
    layout: Option<PathBuf>,
}

impl Source {
    /// From the cache, the folder that [`LAYOUT`] names, and registries.
    pub fn new(store: &Store) -> Self {
        Source { store: store.clone(), layout: std::env::var_os(LAYOUT).map(PathBuf::from) }
    }

    /// An image, by its digest or its tag.
    pub async fn open(&self, reference: &str) -> Result<Opened<'_>, Trouble> {
        let parsed = Reference::try_from(reference)
            .map_err(|error| refused(reference, &error).hint("NAME:TAG@sha256:..."))?;
        let digest = parsed.digest().map(str::to_owned);
        let registry = Registry::new(parsed);
        let digest = match digest {
            Some(digest) => digest,
            None => self.tagged(&registry, reference).await?,
        };
        Ok(Opened { source: self, registry, reference: reference.to_owned(), digest })
    }

    /// The digest of the image that has the tag: by the layout's index, else the registry.
    async fn tagged(&self, registry: &Registry, reference: &str) -> Result<String, Trouble> {
        if let Some(layout) = &self.layout
            && let Some(digest) = named(layout, reference)?
        {
            return Ok(digest);
        }
        let text = registry.tagged().await?;
        let digest = digest(&text);
        Ok(self.checked(text, &digest).map(|_| digest)?)
    }

    async fn manifest(
        &self,
        registry: &Registry,
        wanted: &str,
        reference: &str,
    ) -> Result<(Manifest, Vec<u8>), Trouble> {
        let text = if let Some(text) = self.near(wanted)? {
            text
        } else {
            let text = registry.manifest(wanted).await?;
            self.checked(text, wanted)?
        };
        let manifest = serde_json::from_slice(&text).map_err(|error| refused(reference, &error))?;
        Ok((manifest, text))
    }

    async fn text(&self, registry: &Registry, wanted: &str) -> Result<Vec<u8>, Trouble> {
        if let Some(text) = self.near(wanted)? {
            return Ok(text);
        }
        let mut text = Vec::new();
        registry.blob(wanted, MOST_TEXT, &mut text).await?;
        Ok(self.checked(text, wanted)?)
    }

    /// What is in the cache or in the local layout.
    fn near(&self, wanted: &str) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(text) = self.store.read(wanted)? {
            return Ok(Some(text));
        }
        let Some(path) = self.in_layout(wanted)? else { return Ok(None) };
        let text = fs::read(&path).map_err(|error| at(&path, &error))?;
        self.checked(text, wanted).map(Some)
    }

    fn in_layout(&self, wanted: &str) -> Result<Option<PathBuf>, Fault> {
        let Some(layout) = &self.layout else { return Ok(None) };
        let path = Store::new(layout).path(wanted)?;
        Ok(path.is_file().then_some(path))
    }

    fn checked(&self, text: Vec<u8>, wanted: &str) -> Result<Vec<u8>, Fault> {
        if digest(&text) != wanted {
            return Err(wrong(wanted));
        }
        self.store.put(&text, "")?;
        Ok(text)
    }
}

/// The digest of the image that a layout's index names by this reference.
fn named(layout: &Path, reference: &str) -> Result<Option<String>, Fault> {
    let path = layout.join("index.json");
    let Ok(text) = fs::read(&path) else { return Ok(None) };
    let index: Manifest = serde_json::from_slice(&text)
        .map_err(|error| Fault::new(Class::Refused, format!("{}: {error}", path.display())))?;
    let images = index.manifests.unwrap_or_default();
    let is_it = |image: &Descriptor| image.annotations.get(NAMED).is_some_and(|name| name == reference);
    Ok(images.into_iter().find(is_it).map(|image| image.digest))
}

/// An image whose digest is known.
pub struct Opened<'a> {
    source: &'a Source,
    registry: Registry,
    reference: String,
    digest: String,
}

impl Opened<'_> {
    /// What is wrong with it.
    pub fn refused(&self, what: &dyn std::fmt::Display) -> Fault {
        refused(&self.reference, what)
    }

    /// It for one platform.
    ///
    /// # Errors
    /// Its registry is out of reach or refuses; it is not for this platform; its bytes are not what its digests say.
    pub async fn find(&self, platform: Platform) -> Result<Found, Trouble> {
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
                return Err(self.not_for(platform, &"it is not").into());
            };
            digest.clone_from(&found.digest);
            (manifest, text) = source.manifest(registry, &digest, reference).await?;
            // Neither form must name its type in itself; who lists it must.
            if manifest.media_type.is_empty() {
                manifest.media_type.clone_from(&found.media_type);
            }
        }
        let (Some(config), Some(layers)) = (manifest.config, manifest.layers) else {
            return Err(self.refused(&"its manifest is none of an image").into());
        };
        let settings = source.text(registry, &config.digest).await?;
        let target: Target = serde_json::from_slice(&settings).map_err(|error| refused(reference, &error))?;
        if target.os != "linux" || target.architecture != platform.architecture() {
            let what = format!("it is for {}/{}, not", target.os, target.architecture);
            return Err(self.not_for(platform, &what).into());
        }
        Ok(Found { digest, media_type: manifest.media_type, text, config, layers, settings })
    }

    fn not_for(&self, platform: Platform, what: &dyn std::fmt::Display) -> Fault {
        self.refused(&format!("{what} for {platform}")).hint("take another image, or other platforms")
    }

    /// One of its layers, as `media_type` where it is pushed.
    pub async fn layer(&self, layer: &Descriptor, media_type: &str) -> Result<Blob, Trouble> {
        let store = &self.source.store;
        if let Some(blob) = store.get(&layer.digest, layer.size, media_type)? {
            return Ok(blob);
        }
        let temp = Temp::new(&store.work(), "layer")?;
        let mut file = fs::File::create(temp.path()).map_err(|error| temp.fault(&error))?;
        if let Some(path) = self.source.in_layout(&layer.digest)? {
            let copied = fs::File::open(&path).and_then(|mut from| std::io::copy(&mut from, &mut file));
            copied.map_err(|error| at(&path, &error))?;
        } else {
            tell(&format!("fetching {}: {} MiB", self.registry.name(), layer.size >> 20));
            self.registry.blob(&layer.digest, layer.size.min(MOST_LAYER), &mut file).await?;
        }
        file.flush().map_err(|error| temp.fault(&error))?;
        let mut hash = Hashed(Sha256::new());
        let mut read = fs::File::open(temp.path()).map_err(|error| temp.fault(&error))?;
        let size = std::io::copy(&mut read, &mut hash).map_err(|error| temp.fault(&error))?;
        if size != layer.size || format!("sha256:{}", hex(&hash.0.finalize())) != layer.digest {
            return Err(wrong(&layer.digest).into());
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

fn refused(reference: &str, what: &dyn std::fmt::Display) -> Fault {
    Fault::new(Class::Refused, format!("the image {reference}: {what}"))
}

/// What came is not what was asked for.
pub(super) fn wrong(wanted: &str) -> Fault {
    Fault::new(Class::Other, format!("what was fetched as {wanted} has another digest"))
        .hint("run again; if it stays so, the registry or something on the way is not to be trusted")
}
