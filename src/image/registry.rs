//! Other registries than ECR: what is public is pulled by its digest, or by a tag.

use super::{LAYOUT, source::wrong};
use crate::model::{Class, Fault};
use futures_util::StreamExt as _;
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    manifest::OciDescriptor,
    secrets::RegistryAuth,
};
use std::time::Duration;

const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

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

/// One image's registry. Asked without credentials.
pub struct Registry {
    reference: Reference,
    client: std::sync::OnceLock<Client>,
}

impl Registry {
    /// The registry of `reference`.
    pub fn new(reference: Reference) -> Self {
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

    /// The image's name for people.
    pub fn name(&self) -> &str {
        self.reference.repository()
    }

    /// The manifest or index of this digest.
    pub async fn manifest(&self, digest: &str) -> Result<Vec<u8>, Trouble> {
        self.pull(&self.at(digest)).await
    }

    /// The manifest or index that has the tag now.
    pub async fn tagged(&self) -> Result<Vec<u8>, Trouble> {
        self.pull(&self.reference).await
    }

    async fn pull(&self, reference: &Reference) -> Result<Vec<u8>, Trouble> {
        let answer = self.client().pull_manifest_raw(reference, &RegistryAuth::Anonymous, &MANIFESTS).await;
        answer.map(|(bytes, _)| bytes.to_vec()).map_err(|error| self.trouble(&error))
    }

    /// Writes a blob, of `most` bytes at most.
    pub async fn blob(
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
            to.write_all(&part).map_err(|error| {
                Fault::new(Class::Other, format!("the image {}: {error}", self.reference))
            })?;
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
        let fault = Fault::new(Class::Other, format!("the image {}: {text}", self.reference));
        if away {
            Trouble::OutOfReach(fault.hint(format!(
                "{registry} must be reachable from here (a proxy goes into HTTPS_PROXY), or {LAYOUT} name a folder with an \
                 OCI layout that has the image"
            )))
        } else {
            Trouble::Other(
                fault.hint(format!("{registry} is asked without a login: the image must be public")),
            )
        }
    }
}
