//! Pulls public images from registries other than ECR, by digest or by tag.

use super::{blob::digest_mismatch, media_types::ACCEPTED};
use crate::model::{CallError, ErrorKind};
use oci_spec::distribution::Reference;
use reqwest::{Client, Response, StatusCode, header};
use serde::Deserialize;
use std::{
    sync::{OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Environment variable that names a folder with an OCI layout. Images are read from it before their registry
/// is called.
pub const LAYOUT: &str = "PROVISIONER_BASE_LAYOUT";

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

/// Maximum size of a manifest or index, in bytes: what registries take.
/// Source: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests>
const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// Maximum size of the answer with a token, in bytes.
const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// How long a connection, a read, and a whole manifest or token may take.
const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(60);
const SMALL: Duration = Duration::from_secs(120);

/// A download that brings less than this many bytes in this time has stalled, however often a byte arrives.
const PROGRESS_BYTES: u64 = 64 << 10;
const PROGRESS: Duration = Duration::from_secs(60);

/// Access to the registry of one image, without credentials.
///
/// Clients of registries in crates collect manifests, tokens and errors whole, however large they are. Here each answer has
/// a limit, since a registry belongs to another party.
pub struct Registry {
    reference: Reference,
    client: OnceLock<Client>,
    token: RwLock<Option<String>>,
}

/// What a registry answers to a request for a token.
/// Source: <https://distribution.github.io/distribution/spec/auth/token/#token-response-fields>
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Why a download ended early.
enum Cut {
    /// The connection failed.
    Connection(reqwest::Error),
    /// More came than is allowed.
    TooLarge,
    /// Too little came.
    Stalled,
    /// It could not be written.
    File(std::io::Error),
}

impl Registry {
    /// Returns the registry of `reference`. Makes no call.
    pub fn new(reference: Reference) -> Self {
        Registry { reference, client: OnceLock::new(), token: RwLock::default() }
    }

    /// Returns the HTTP client, created on first use: an image in the cache needs no certificates.
    fn client(&self) -> Result<&Client, ImageError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = http_client().map_err(|error| self.trouble(&error))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Returns whether the registry is on loopback. Such a one has no certificate; docker and skopeo use HTTP for it, too.
    fn is_local(&self) -> bool {
        let registry = self.reference.resolve_registry();
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    }

    /// Returns the name of the image, without registry and tag.
    pub fn name(&self) -> &str {
        self.reference.repository()
    }

    /// Fetches the manifest or index with this digest.
    pub async fn manifest(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        self.small(&format!("manifests/{digest}")).await
    }

    /// Fetches the manifest or index that the tag points to now.
    pub async fn manifest_by_tag(&self) -> Result<Vec<u8>, ImageError> {
        let tag = self.reference.digest().or(self.reference.tag()).unwrap_or("latest");
        self.small(&format!("manifests/{tag}")).await
    }

    /// Downloads a blob of at most `max_bytes` into `to`.
    pub async fn blob(
        &self,
        digest: &str,
        max_bytes: u64,
        to: &mut (dyn std::io::Write + Send),
    ) -> Result<(), ImageError> {
        let answer = self.get(&format!("blobs/{digest}")).await?;
        download(answer, max_bytes, to).await.map_err(|cut| match cut {
            Cut::TooLarge => digest_mismatch(digest).into(),
            cut => self.cut(&cut, max_bytes),
        })
    }

    async fn small(&self, path: &str) -> Result<Vec<u8>, ImageError> {
        let mut text = Vec::new();
        let whole = async {
            let answer = self.get(path).await?;
            let cut = download(answer, MAX_MANIFEST_BYTES, &mut text).await;
            cut.map_err(|cut| self.cut(&cut, MAX_MANIFEST_BYTES))
        };
        tokio::time::timeout(SMALL, whole).await.unwrap_or_else(|_| Err(self.cut(&Cut::Stalled, 0)))?;
        Ok(text)
    }

    /// Gets a part of the image, with a token if the registry wants one.
    async fn get(&self, path: &str) -> Result<Response, ImageError> {
        let scheme = if self.is_local() { "http" } else { "https" };
        let (registry, name) = (self.reference.resolve_registry(), self.name());
        let url = format!("{scheme}://{registry}/v2/{name}/{path}");
        let ask = async || {
            let mut request = self.client()?.get(&url).header(header::ACCEPT, ACCEPTED.join(", "));
            if let Some(token) = &*self.token.read().unwrap_or_else(PoisonError::into_inner) {
                request = request.bearer_auth(token);
            }
            request.send().await.map_err(|error| self.trouble(&error))
        };
        let mut answer = ask().await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(token) = self.fetch_token(&answer).await?
        {
            *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
            answer = ask().await?;
        }
        let status = answer.status();
        match status.is_success() {
            true => Ok(answer),
            false => Err(self.refusal(status, answer).await),
        }
    }

    /// Returns a token for a pull from where the registry says that it is given; `None` if it does not say.
    async fn fetch_token(&self, answer: &Response) -> Result<Option<String>, ImageError> {
        let challenge = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let challenges =
            challenge.and_then(|text| http_auth::parse_challenges(text).ok()).unwrap_or_default();
        let bearer = challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"));
        let Some(bearer) = bearer else { return Ok(None) };
        let parameter = |name: &str| {
            let found = bearer.params.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let Some(realm) = parameter("realm") else { return Ok(None) };
        if !realm.starts_with("https://") && !self.is_local() {
            return Err(self.other(format!("its registry gives tokens at {realm}, which is not HTTPS")));
        }
        let mut query = vec![("scope", format!("repository:{}:pull", self.name()))];
        query.extend(parameter("service").map(|service| ("service", service)));
        let request = self.client()?.get(&realm).query(&query).timeout(SMALL);
        let answer = request.send().await.map_err(|error| self.trouble(&error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(self.refusal(status, answer).await);
        }
        let mut text = Vec::new();
        let cut = download(answer, MAX_TOKEN_BYTES, &mut text).await;
        cut.map_err(|cut| self.cut(&cut, MAX_TOKEN_BYTES))?;
        let token: Token = serde_json::from_slice(&text)
            .map_err(|error| self.other(format!("{realm} gave no token: {error}")))?;
        Ok(token.token.or(token.access_token))
    }

    /// Returns the error of an answer that is none, with the beginning of what the registry says.
    async fn refusal(&self, status: StatusCode, mut answer: Response) -> ImageError {
        // The first part says why; the rest, which may be without end, is not read.
        let said = answer.chunk().await.ok().flatten().unwrap_or_default();
        let said = String::from_utf8_lossy(said.get(..said.len().min(400)).unwrap_or_default()).into_owned();
        let text = format!("its registry answered {status}: {}", said.trim());
        match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            true => self.unreachable(text),
            false => self.other(text),
        }
    }

    fn cut(&self, cut: &Cut, limit: u64) -> ImageError {
        match cut {
            Cut::Connection(error) => self.trouble(error),
            Cut::TooLarge => {
                self.other(format!("its registry sent more than {limit} bytes, the limit of such an answer"))
            }
            Cut::Stalled => self.unreachable(format!(
                "its registry sent less than {} KiB in {} s",
                PROGRESS_BYTES >> 10,
                PROGRESS.as_secs()
            )),
            Cut::File(error) => self.other(error.to_string()),
        }
    }

    fn trouble(&self, error: &reqwest::Error) -> ImageError {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        match error.is_builder() || error.is_redirect() {
            true => self.other(text),
            false => self.unreachable(text),
        }
    }

    fn unreachable(&self, text: String) -> ImageError {
        let registry = self.reference.resolve_registry();
        let error = CallError::new(ErrorKind::Other, format!("image {}: {text}", self.reference));
        ImageError::Unreachable(error.hint(format!(
            "make {registry} reachable from here (set `HTTPS_PROXY` for a proxy), or set `{LAYOUT}` to a folder with an \
             OCI layout that has the image"
        )))
    }

    fn other(&self, text: String) -> ImageError {
        let registry = self.reference.resolve_registry();
        let error = CallError::new(ErrorKind::Other, format!("image {}: {text}", self.reference));
        ImageError::Other(
            error.hint(format!("use a public image: {registry} is accessed without credentials")),
        )
    }
}

fn http_client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        .user_agent(concat!("provisioner/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Downloads at most `max_bytes` of the image `reference` from a URL that holds its own permission into `to`.
///
/// # Errors
/// Fails if the server is unreachable, refuses, or sends more. The message does not show the URL, which grants access.
pub async fn fetch_url(
    url: &str,
    reference: &str,
    max_bytes: u64,
    to: &mut (dyn std::io::Write + Send),
) -> Result<(), ImageError> {
    let failed = |what: String| {
        let message = format!("image {reference}: a layer cannot be downloaded from ECR: {what}");
        ImageError::Other(CallError::new(ErrorKind::Other, message).hint("run again"))
    };
    let said = |error: reqwest::Error| failed(error.without_url().to_string());
    let answer = http_client().map_err(said)?.get(url).send().await.map_err(said)?;
    if !answer.status().is_success() {
        return Err(failed(format!("it answered {}", answer.status())));
    }
    download(answer, max_bytes, to).await.map_err(|cut| match cut {
        Cut::Connection(error) => said(error),
        Cut::TooLarge => failed(format!("it is larger than {max_bytes} bytes")),
        Cut::Stalled => failed("it stalled".to_owned()),
        Cut::File(error) => failed(error.to_string()),
    })
}

/// Writes at most `max_bytes` of an answer's body into `to`, as they arrive.
async fn download(
    mut answer: Response,
    max_bytes: u64,
    to: &mut (dyn std::io::Write + Send),
) -> Result<(), Cut> {
    let (mut left, mut since, mut came) = (max_bytes, Instant::now(), 0_u64);
    while let Some(part) = answer.chunk().await.map_err(Cut::Connection)? {
        let size = u64::try_from(part.len()).unwrap_or(u64::MAX);
        left = left.checked_sub(size).ok_or(Cut::TooLarge)?;
        to.write_all(&part).map_err(Cut::File)?;
        came = came.saturating_add(size);
        if since.elapsed() >= PROGRESS {
            if came < PROGRESS_BYTES {
                return Err(Cut::Stalled);
            }
            (since, came) = (Instant::now(), 0);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
