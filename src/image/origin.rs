//! Where an image is fetched from: a public registry, or a repository of ECR that the caller may read.

use super::{
    media_types::ACCEPTED,
    registry::{ImageError, Registry, fetch_url},
};
use crate::{
    aws::{Call, required},
    model::{CallError, EcrHome, ErrorKind, ImageReference},
};
use aws_sdk_ecr::{
    Client,
    config::Region,
    types::{ImageFailure, ImageFailureCode, ImageIdentifier},
};

/// The registry of one image.
pub enum ImageOrigin {
    /// One that anyone can read.
    Public(Box<Registry>),
    /// A private one of ECR.
    Ecr(EcrOrigin),
}

/// A repository of ECR, of any account and region, which is read through ECR's API: it needs no password, only the
/// caller's permissions and, in another account, a repository policy.
/// Source: <https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policy-examples.html>
pub struct EcrOrigin {
    ecr: Client,
    account: String,
    repository: String,
    reference: String,
    version: ImageIdentifier,
}

impl EcrOrigin {
    /// Returns the repository of `reference`. Makes no call.
    pub fn new(client: &Client, home: EcrHome, parsed: &ImageReference, reference: &str) -> Self {
        let config = client.config().to_builder().region(Region::new(home.region)).build();
        EcrOrigin {
            ecr: Client::from_conf(config),
            account: home.account,
            repository: parsed.name().to_owned(),
            reference: reference.to_owned(),
            version: identifier(parsed.version()),
        }
    }

    async fn manifest(&self, id: ImageIdentifier) -> Result<Vec<u8>, CallError> {
        let call = self.ecr.batch_get_image().registry_id(&self.account).repository_name(&self.repository);
        let call = call.image_ids(id).set_accepted_media_types(Some(ACCEPTED.map(str::to_owned).into()));
        let answer = call.send().await.read(|answer| {
            let found = answer.images.unwrap_or_default().into_iter().next();
            let text = found.map(|image| required(image.image_manifest, "imageManifest")).transpose()?;
            Ok((text, answer.failures.unwrap_or_default()))
        });
        let (text, failures) = answer.map_err(|error| self.explained(error))?;
        if let Some(text) = text {
            return Ok(text.into_bytes());
        }
        let failure = failures.first();
        let code = failure.and_then(|it| it.failure_code.as_ref()).map(ImageFailureCode::as_str);
        let said = failure.and_then(ImageFailure::failure_reason).unwrap_or("no image returned");
        let message = format!("image {}: ECR: {}: {said}", self.reference, code.unwrap_or("no code"));
        let hint = format!(
            "check the tag or digest with `aws ecr list-images --repository-name {}`",
            self.repository
        );
        Err(CallError::new(ErrorKind::Refused, message).hint(hint))
    }

    async fn layer_url(&self, digest: &str) -> Result<String, CallError> {
        let call = self.ecr.get_download_url_for_layer().registry_id(&self.account);
        let answer = call.repository_name(&self.repository).layer_digest(digest).send().await;
        let url = answer.read(|answer| required(answer.download_url, "downloadUrl"));
        url.map_err(|error| self.explained(error))
    }

    fn explained(&self, error: CallError) -> CallError {
        error.hint(format!(
            "check the name {}; the caller needs `ecr:BatchGetImage` and `ecr:GetDownloadUrlForLayer` for it, and a \
             repository of another account needs a repository policy that allows them",
            self.reference
        ))
    }
}

/// Returns the identifier of an image: by digest, or by tag.
fn identifier(version: &str) -> ImageIdentifier {
    let id = ImageIdentifier::builder();
    if version.contains(':') { id.image_digest(version) } else { id.image_tag(version) }.build()
}

impl ImageOrigin {
    /// Returns the name of the image, without registry and tag.
    pub fn name(&self) -> &str {
        match self {
            ImageOrigin::Public(registry) => registry.name(),
            ImageOrigin::Ecr(ecr) => &ecr.repository,
        }
    }

    /// Fetches the manifest or index with this digest.
    pub async fn manifest(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        match self {
            ImageOrigin::Public(registry) => registry.manifest(digest).await,
            ImageOrigin::Ecr(ecr) => Ok(ecr.manifest(identifier(digest)).await?),
        }
    }

    /// Fetches the manifest or index that the tag points to now.
    pub async fn manifest_by_tag(&self) -> Result<Vec<u8>, ImageError> {
        match self {
            ImageOrigin::Public(registry) => registry.manifest_by_tag().await,
            ImageOrigin::Ecr(ecr) => Ok(ecr.manifest(ecr.version.clone()).await?),
        }
    }

    /// Downloads a blob of at most `max_bytes` into `to`.
    pub async fn blob(
        &self,
        digest: &str,
        max_bytes: u64,
        to: &mut (dyn std::io::Write + Send),
    ) -> Result<(), ImageError> {
        match self {
            ImageOrigin::Public(registry) => registry.blob(digest, max_bytes, to).await,
            ImageOrigin::Ecr(ecr) => {
                let url = ecr.layer_url(digest).await?;
                fetch_url(&url, &ecr.reference, max_bytes, to).await
            }
        }
    }
}
