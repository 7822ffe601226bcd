//! Pulls public images from registries other than ECR, by digest or by tag.

use super::blob::digest_mismatch;
use crate::model::{CallError, ErrorKind};
use futures_util::StreamExt as _;
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    manifest::OciDescriptor,
    secrets::RegistryAuth,
};
use std::time::Duration;

/// Environment variable that names a folder with an OCI layout. Images are read from it before their registry
/// is called.
pub const LAYOUT: &str = "PROVISIONER_BASE_LAYOUT";

/// Media types of manifests and indexes that a pull accepts.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Why an image could not be fetched.
#[derive(Debug)]
pub enum ImageError {
    /// The registry does not respond, or responds with a server error.
    Unreachable(CallError),
    /// Any other error, such as an image that does not exist.
    Other(CallError),
}

impl From<CallError> for ImageError {
    fn from(error: CallError) -> Self {
        ImageError::Other(error)
    }
}

impl ImageError {
    /// Returns the error, whatever the reason.
    pub fn into_call_error(self) -> CallError {
        match self {
            ImageError::Unreachable(error) | ImageError::Other(error) => error,
        }
    }
}

/// Access to the registry of one image, without credentials.
pub struct Registry {
    reference: Reference,
    client: std::sync::OnceLock<Client>,
}

impl Registry {
    /// Returns the registry of `reference`. Makes no call.
    pub fn new(reference: Reference) -> Self {
        Registry { reference, client: std::sync::OnceLock::new() }
    }

    /// Returns the HTTP client, created on first use: an image in the cache needs no certificates.
    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let registry = self.reference.resolve_registry();
            let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
            // A registry on loopback has no certificate; docker and skopeo use HTTP for it, too.
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

    /// Returns the name of the image, without registry and tag.
    pub fn name(&self) -> &str {
        self.reference.repository()
    }

    /// Fetches the manifest or index with this digest.
    pub async fn manifest(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        self.pull(&self.at(digest)).await
    }

    /// Fetches the manifest or index that the tag points to now.
    pub async fn manifest_by_tag(&self) -> Result<Vec<u8>, ImageError> {
        self.pull(&self.reference).await
    }

    async fn pull(&self, reference: &Reference) -> Result<Vec<u8>, ImageError> {
        let answer = self.client().pull_manifest_raw(reference, &RegistryAuth::Anonymous, &MANIFESTS).await;
        answer.map(|(bytes, _)| bytes.to_vec()).map_err(|error| self.trouble(&error))
    }

    /// Downloads a blob of at most `max_bytes` into `to`.
    pub async fn blob(
        &self,
        digest: &str,
        max_bytes: u64,
        to: &mut (dyn std::io::Write + Send),
    ) -> Result<(), ImageError> {
        let wanted = OciDescriptor { digest: digest.to_owned(), ..OciDescriptor::default() };
        // No token was requested yet if the manifest came from the cache.
        self.client().store_auth_if_needed(self.reference.resolve_registry(), &RegistryAuth::Anonymous).await;
        let mut stream = self
            .client()
            .pull_blob_stream(&self.at(digest), &wanted)
            .await
            .map_err(|error| self.trouble(&error))?;
        let mut left = max_bytes;
        while let Some(part) = stream.stream.next().await {
            let part = part.map_err(|error| self.trouble(&OciDistributionError::IoError(error)))?;
            let size = u64::try_from(part.len()).unwrap_or(u64::MAX);
            left = left.checked_sub(size).ok_or_else(|| digest_mismatch(digest))?;
            to.write_all(&part).map_err(|error| {
                CallError::new(ErrorKind::Other, format!("image {}: {error}", self.reference))
            })?;
        }
        Ok(())
    }

    fn trouble(&self, error: &OciDistributionError) -> ImageError {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        let unreachable = match error {
            OciDistributionError::RequestError(error) => !error.is_decode() && !error.is_builder(),
            OciDistributionError::IoError(_) => true,
            OciDistributionError::ServerError { code, .. } => *code >= 500,
            _ => false,
        };
        let registry = self.reference.resolve_registry();
        let error = CallError::new(ErrorKind::Other, format!("image {}: {text}", self.reference));
        if unreachable {
            ImageError::Unreachable(error.hint(format!(
                "make {registry} reachable from here (set `HTTPS_PROXY` for a proxy), or set `{LAYOUT}` to a \
                folder with an OCI layout that has the image"
            )))
        } else {
            ImageError::Other(
                error.hint(format!("use a public image: {registry} is accessed without credentials")),
            )
        }
    }
}
