//! The base image: by its digest from the cache folder, from a local OCI layout, or from its registry.

use super::{
    Blob, Platform, Store, Temp,
    blob::{at, digest},
    context::hex,
    layer::GZIPPED,
};
use crate::{
    aws::tell,
    model::{Class, Fault},
};
use futures_util::StreamExt as _;
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    manifest::OciDescriptor,
    secrets::RegistryAuth,
};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{fs, io::Write as _, path::PathBuf, time::Duration};

/// Names a folder with an OCI layout in which base images are looked for before their registry is asked.
pub const LAYOUT: &str = "PROVISIONER_BASE_LAYOUT";

/// How many bytes a manifest or configuration may have.
const MOST_TEXT: u64 = 4 << 20;
/// How many bytes a layer.
const MOST_LAYER: u64 = 8 << 30;

const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

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

/// Why there is none.
#[derive(Debug)]
pub enum Trouble {
    /// Its registry is out of reach.
    OutOfReach(Fault),
    /// Something else.
    Other(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Trouble::Other(fault)
    }
}

impl Trouble {
    /// In words.
    pub fn fault(self) -> Fault {
        match self {
            Trouble::OutOfReach(fault) | Trouble::Other(fault) => fault,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    os: String,
    architecture: String,
}

#[derive(Deserialize)]
struct Manifest {
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Config {
    os: String,
    architecture: String,
    variant: Option<String>,
    #[serde(default, rename = "config")]
    settings: Value,
    rootfs: Rootfs,
}

#[derive(Deserialize)]
struct Rootfs {
    diff_ids: Vec<String>,
}

/// Where base images come from.
pub struct Source {
    store: Store,
    layout: Option<PathBuf>,
}

impl Source {
    /// From the cache, the folder that [`LAYOUT`] names, and registries.
    pub fn new(store: &Store) -> Self {
        Source { store: store.clone(), layout: std::env::var_os(LAYOUT).map(PathBuf::from) }
    }

    /// The image `reference` (`REGISTRY/NAME:TAG@sha256:...`) for a platform.
    ///
    /// # Errors
    /// Its registry is out of reach or refuses; it is not for this platform; its bytes are not what its digests say.
    pub async fn base(&self, reference: &str, platform: Platform) -> Result<Base, Trouble> {
        let parsed = Reference::try_from(reference)
            .map_err(|error| refused(reference, &error).hint("NAME:TAG@sha256:..."))?;
        let wanted = parsed.digest().ok_or_else(|| refused(reference, &"it has no digest"))?.to_owned();
        let registry = Registry::new(parsed);
        let mut digest = wanted.clone();
        let mut manifest = self.manifest(&registry, &digest, reference).await?;
        if let Some(list) = manifest.manifests.take() {
            let fits = |one: &&Descriptor| {
                one.platform
                    .as_ref()
                    .is_some_and(|it| it.os == "linux" && it.architecture == platform.architecture())
            };
            let Some(found) = list.iter().find(fits) else {
                return Err(refused(reference, &format!("it is not for {platform}"))
                    .hint("take another base, or other `app.platforms`")
                    .into());
            };
            digest.clone_from(&found.digest);
            manifest = self.manifest(&registry, &digest, reference).await?;
        }
        let (Some(config), Some(layers)) = (manifest.config, manifest.layers) else {
            return Err(refused(reference, &"its manifest is none of an image").into());
        };
        let text = self.text(&registry, &config.digest).await?;
        let config: Config = serde_json::from_slice(&text).map_err(|error| refused(reference, &error))?;
        if config.os != "linux" || config.architecture != platform.architecture() {
            let what = format!("it is for {}/{}, not {platform}", config.os, config.architecture);
            return Err(refused(reference, &what).hint("take another base, or other `app.platforms`").into());
        }
        if config.rootfs.diff_ids.len() != layers.len() {
            return Err(refused(reference, &"its configuration is of another image").into());
        }
        let mut blobs = Vec::new();
        for layer in &layers {
            blobs.push(self.layer(&registry, layer, reference).await?);
        }
        Ok(Base {
            digest: Some(digest),
            config: config.settings,
            variant: config.variant,
            diff_ids: config.rootfs.diff_ids,
            layers: blobs,
        })
    }

    async fn manifest(
        &self,
        registry: &Registry,
        wanted: &str,
        reference: &str,
    ) -> Result<Manifest, Trouble> {
        let text = if let Some(text) = self.near(wanted)? {
            text
        } else {
            let text = registry.manifest(wanted).await?;
            self.checked(text, wanted)?
        };
        Ok(serde_json::from_slice(&text).map_err(|error| refused(reference, &error))?)
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

    async fn layer(&self, registry: &Registry, layer: &Descriptor, reference: &str) -> Result<Blob, Trouble> {
        let media_type = media_type(&layer.media_type).ok_or_else(|| {
            refused(reference, &format!("a layer is `{}`, which cannot be pushed", layer.media_type))
        })?;
        if let Some(blob) = self.store.get(&layer.digest, layer.size, media_type)? {
            return Ok(blob);
        }
        let temp = Temp::new(&self.store.work(), "base")?;
        let mut file = fs::File::create(temp.path()).map_err(|error| temp.fault(&error))?;
        if let Some(path) = self.in_layout(&layer.digest)? {
            let copied = fs::File::open(&path).and_then(|mut from| std::io::copy(&mut from, &mut file));
            copied.map_err(|error| at(&path, &error))?;
        } else {
            tell(&format!("fetching the base image: {} MiB", layer.size >> 20));
            registry.blob(&layer.digest, layer.size.min(MOST_LAYER), &mut file).await?;
        }
        file.flush().map_err(|error| temp.fault(&error))?;
        let mut hash = Hashed(Sha256::new());
        let mut read = fs::File::open(temp.path()).map_err(|error| temp.fault(&error))?;
        let size = std::io::copy(&mut read, &mut hash).map_err(|error| temp.fault(&error))?;
        if size != layer.size || format!("sha256:{}", hex(&hash.0.finalize())) != layer.digest {
            return Err(wrong(&layer.digest).into());
        }
        Ok(self.store.keep(&temp, &layer.digest, size, media_type)?)
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

fn refused(reference: &str, what: &dyn std::fmt::Display) -> Fault {
    Fault::new(Class::Refused, format!("the base image {reference}: {what}"))
}

fn wrong(wanted: &str) -> Fault {
    Fault::new(Class::Other, format!("what was fetched as {wanted} has another digest"))
        .hint("run again; if it stays so, the registry or something on the way is not to be trusted")
}

/// One image's registry. Asked without credentials.
struct Registry {
    reference: Reference,
    client: std::sync::OnceLock<Client>,
}

impl Registry {
    fn new(reference: Reference) -> Self {
        Registry { reference, client: std::sync::OnceLock::new() }
    }

    /// Made when it is first needed: what is in the cache needs no certificates.
    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let registry = self.reference.resolve_registry();
            let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
            // Such a registry is a person's or a test's own, and has no certificate; docker and skopeo ask it likewise.
            let loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
            let config = ClientConfig {
                protocol: if loopback { ClientProtocol::Http } else { ClientProtocol::Https },
                connect_timeout: Some(Duration::from_secs(10)),
                read_timeout: Some(Duration::from_secs(60)),
                user_agent: concat!("provisioner/", env!("CARGO_PKG_VERSION")),
                ..ClientConfig::default()
            };
            Client::new(config)
        })
    }

    fn at(&self, digest: &str) -> Reference {
        let (registry, name) = (self.reference.registry(), self.reference.repository());
        Reference::with_digest(registry.to_owned(), name.to_owned(), digest.to_owned())
    }

    async fn manifest(&self, digest: &str) -> Result<Vec<u8>, Trouble> {
        let answer =
            self.client().pull_manifest_raw(&self.at(digest), &RegistryAuth::Anonymous, &MANIFESTS).await;
        answer.map(|(bytes, _)| bytes.to_vec()).map_err(|error| self.trouble(&error))
    }

    async fn blob(
        &self,
        digest: &str,
        most: u64,
        to: &mut (dyn std::io::Write + Send),
    ) -> Result<(), Trouble> {
        let wanted = OciDescriptor { digest: digest.to_owned(), ..OciDescriptor::default() };
        // A manifest from the cache needed no login yet.
        self.client().store_auth_if_needed(self.reference.resolve_registry(), &RegistryAuth::Anonymous).await;
        let mut stream = self
            .client()
            .pull_blob_stream(&self.at(digest), &wanted)
            .await
            .map_err(|error| self.trouble(&error))?;
        let mut left = most;
        while let Some(part) = stream.stream.next().await {
            let part = part.map_err(|error| self.trouble(&OciDistributionError::IoError(error)))?;
            let size = u64::try_from(part.len()).unwrap_or(u64::MAX);
            left = left.checked_sub(size).ok_or_else(|| wrong(digest))?;
            to.write_all(&part)
                .map_err(|error| Fault::new(Class::Other, format!("the base image: {error}")))?;
        }
        Ok(())
    }

    fn trouble(&self, error: &OciDistributionError) -> Trouble {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        let away = match error {
            OciDistributionError::RequestError(error) => !error.is_decode() && !error.is_builder(),
            OciDistributionError::IoError(_) => true,
            OciDistributionError::ServerError { code, .. } => *code >= 500,
            _ => false,
        };
        let registry = self.reference.resolve_registry();
        let fault = Fault::new(Class::Other, format!("the base image {}: {text}", self.reference));
        if away {
            Trouble::OutOfReach(fault.hint(format!(
                "{registry} must be reachable from here (a proxy goes into HTTPS_PROXY), or {LAYOUT} name a folder with an \
                 OCI layout that has the image"
            )))
        } else {
            Trouble::Other(
                fault.hint(format!("{registry} is asked without a login: the base must be public")),
            )
        }
    }
}
