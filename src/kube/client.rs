//! Client of the API server of one cluster: each request carries a valid token, and each error gets a kind.

use super::{
    cluster_token::{ClusterToken, token},
    errors::{call_error, unreachable},
};
use crate::{
    aws::{Clients, ClusterEndpoint, MAX_ANSWER_BYTES},
    model::{CallError, ErrorKind},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, Request, header};
use http_body_util::Limited;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::client::ClientBuilder;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tower::util::MapResponseLayer;

/// Name of the field manager under which this program owns fields.
pub const MANAGER: &str = "provisioner";

/// Timeouts for connecting, and for the answer to a request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The API version, kind, namespace and name that identify an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// API version, such as `apps/v1`.
    pub api_version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace; `None` for a kind without namespaces, or if the object does not name one.
    pub namespace: Option<String>,
    /// Name of the object.
    pub name: String,
}

impl ObjectRef {
    /// Returns the reference to a Secret.
    pub fn secret(namespace: &str, name: &str) -> ObjectRef {
        let (api_version, kind) = ("v1".to_owned(), "Secret".to_owned());
        ObjectRef { api_version, kind, namespace: Some(namespace.to_owned()), name: name.to_owned() }
    }

    /// Returns the reference to an object by its own metadata, or `None` if that is incomplete.
    pub fn of(object: &Value) -> Option<ObjectRef> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        Some(ObjectRef {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name")?,
        })
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// Whether an apply changes the object, and what happens to fields that another manager owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// A dry run: nothing is changed, and the server returns what the object would be.
    Dry,
    /// A dry run of [`Apply::Forced`].
    DryForced,
    /// The object is created or updated, unless another manager set a field of it to another value.
    Now,
    /// The object is created or updated, and the other managers lose the fields that it changes.
    Forced,
}

impl Apply {
    /// Returns the query parameters. Source: <https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#PatchOptions>
    fn query(self) -> &'static str {
        match self {
            Apply::Dry => "&dryRun=All",
            Apply::DryForced => "&dryRun=All&force=true",
            Apply::Now => "",
            Apply::Forced => "&force=true",
        }
    }
}

/// The kinds that the cluster serves, by API version, as far as they were read.
type Kinds = Arc<Mutex<BTreeMap<String, Arc<Vec<APIResource>>>>>;

/// A client of one API server.
#[derive(Clone)]
pub struct KubeClient {
    pub(super) client: kube::Client,
    clients: Clients,
    name: String,
    region: String,
    pub(super) endpoint: String,
    token: Arc<Mutex<Option<ClusterToken>>>,
    kinds: Kinds,
}

impl KubeClient {
    /// Returns a client of the cluster `name` in `region`, whose API server is at `cluster_endpoint`. Makes
    /// no call.
    ///
    /// # Errors
    /// Fails if the endpoint or the certificate is invalid.
    pub fn new(
        clients: &Clients,
        cluster_endpoint: &ClusterEndpoint,
        name: &str,
        region: &str,
    ) -> Result<Self, CallError> {
        let unusable = |what: &str, why: String| {
            CallError::new(ErrorKind::Other, format!("cluster {name}: invalid {what}: {why}"))
        };
        let uri = cluster_endpoint
            .endpoint
            .parse::<http::Uri>()
            .map_err(|error| unusable("endpoint", error.to_string()))?;
        let pem = STANDARD
            .decode(&cluster_endpoint.ca)
            .map_err(|error| unusable("certificate", error.to_string()))?;
        let roots: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&pem)
            .map(|root| root.map(|root| root.as_ref().to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|error| unusable("certificate", error.to_string()))?;
        let mut config = kube::Config::new(uri);
        config.root_cert = Some(roots);
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // Only the engine retries.
        config.default_retry = false;
        let builder =
            ClientBuilder::try_from(config).map_err(|error| unusable("endpoint", error.to_string()))?;
        let limited = |answer: http::Response<_>| answer.map(|body| Limited::new(body, MAX_ANSWER_BYTES));
        let client = builder.with_layer(&MapResponseLayer::new(limited)).build();
        Ok(KubeClient {
            client,
            clients: clients.clone(),
            name: name.to_owned(),
            region: region.to_owned(),
            endpoint: cluster_endpoint.endpoint.clone(),
            token: Arc::default(),
            kinds: Arc::default(),
        })
    }

    pub(super) async fn bearer(&self) -> Result<String, CallError> {
        let now = SystemTime::now();
        let kept = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = kept.filter(|token| token.until > now) {
            return Ok(token.text);
        }
        let credentials = self.clients.credentials().await?;
        let fresh = token(&credentials, &self.region, &self.name, now)?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        Ok(fresh.text)
    }

    async fn text(
        &self,
        what: &str,
        method: Method,
        path: &str,
        (content, body): (&str, Vec<u8>),
    ) -> Result<String, CallError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.bearer().await?))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, content)
            .body(body)
            .map_err(|error| CallError::bug(format!("{what}: {error}")))?;
        match tokio::time::timeout(REQUEST_TIMEOUT, self.client.request_text(request)).await {
            Ok(answer) => answer.map_err(|error| {
                let error = call_error(what, &self.endpoint, &error);
                if error.code == "Unauthorized" {
                    *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                error
            }),
            Err(_) => Err(unreachable(
                what,
                &self.endpoint,
                &format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
            )),
        }
    }

    pub(super) async fn call(
        &self,
        what: &str,
        method: Method,
        path: &str,
        body: (&str, Vec<u8>),
    ) -> Result<Value, CallError> {
        let text = self.text(what, method, path, body).await?;
        serde_json::from_str(&text).map_err(|error| {
            CallError::new(ErrorKind::Other, format!("{what}: the answer is not valid JSON: {error}"))
        })
    }

    /// Returns the kinds of an API version; empty if the cluster does not serve it (a CRD may add it later).
    async fn kinds(&self, api_version: &str) -> Result<Arc<Vec<APIResource>>, CallError> {
        if let Some(kinds) = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(api_version) {
            return Ok(Arc::clone(kinds));
        }
        let path = match api_version.contains('/') {
            true => format!("/apis/{api_version}"),
            false => format!("/api/{api_version}"),
        };
        let answer = match self.call(&format!("discover {api_version}"), Method::GET, &path, NO_BODY).await {
            Err(error) if error.class == ErrorKind::Gone => return Ok(Arc::default()),
            answer => answer?,
        };
        let list: Vec<APIResource> =
            serde_json::from_value(answer.get("resources").cloned().unwrap_or_default()).unwrap_or_default();
        let kinds = Arc::new(list);
        let mut known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(api_version.to_owned(), Arc::clone(&kinds));
        Ok(kinds)
    }

    /// Returns the path of an object, or `None` if the cluster does not serve its kind.
    pub(super) async fn path(&self, object_ref: &ObjectRef) -> Result<Option<String>, CallError> {
        let named = |kinds: &[APIResource]| {
            let of = |it: &&APIResource| it.kind == object_ref.kind && !it.name.contains('/');
            kinds.iter().find(of).map(|it| (it.name.clone(), it.namespaced))
        };
        let mut found = named(&self.kinds(&object_ref.api_version).await?);
        if found.is_none() {
            // A CRD may have added the kind to an API version that was read before.
            self.kinds.lock().unwrap_or_else(PoisonError::into_inner).remove(&object_ref.api_version);
            found = named(&self.kinds(&object_ref.api_version).await?);
        }
        let Some((plural, namespaced)) = found else { return Ok(None) };
        let base = match object_ref.api_version.contains('/') {
            true => format!("/apis/{}", object_ref.api_version),
            false => format!("/api/{}", object_ref.api_version),
        };
        let name = &object_ref.name;
        Ok(Some(match (namespaced, &object_ref.namespace) {
            (true, Some(namespace)) => format!("{base}/namespaces/{namespace}/{plural}/{name}"),
            (true, None) => {
                let message = format!("{} {name}: metadata.namespace is missing", object_ref.kind);
                return Err(CallError::new(ErrorKind::Refused, message)
                    .hint("add `metadata.namespace` to its manifest"));
            }
            (false, _) => format!("{base}/{plural}/{name}"),
        }))
    }

    /// Returns the version of the API server, which every authenticated caller may read.
    pub async fn version(&self) -> Result<Value, CallError> {
        let what = "get version";
        self.call(what, Method::GET, "/version", NO_BODY).await
    }

    /// Returns the live object, or `None` if the object or its kind does not exist.
    pub async fn get(&self, object_ref: &ObjectRef) -> Result<Option<Value>, CallError> {
        let Some(path) = self.path(object_ref).await? else { return Ok(None) };
        match self.call(&format!("get {object_ref}"), Method::GET, &path, NO_BODY).await {
            Err(error) if error.class == ErrorKind::Gone => Ok(None),
            object => Ok(Some(object?)),
        }
    }

    /// Applies `object` on the server as [`MANAGER`], for real or as a dry run, and returns the result.
    ///
    /// # Errors
    /// Fails with the code [`FIELD_CONFLICT`](super::FIELD_CONFLICT) if another manager set a field to another value,
    /// and if a field does not exist or the server rejects a value.
    pub async fn apply(&self, object: &Value, how: Apply) -> Result<Value, CallError> {
        let object_ref =
            ObjectRef::of(object).ok_or_else(|| CallError::bug("object without apiVersion, kind or name"))?;
        let Some(path) = self.path(&object_ref).await? else {
            let message =
                format!("{}: kind not found in the cluster ({})", object_ref.kind, object_ref.api_version);
            return Err(CallError {
                code: "UnknownKind".to_owned(),
                ..CallError::new(ErrorKind::Eventual, message)
            }
            .hint("add its CustomResourceDefinition to the manifests, or install it in the cluster"));
        };
        let query = how.query();
        let path = format!("{path}?fieldManager={MANAGER}&fieldValidation=Strict{query}");
        let body = ("application/apply-patch+yaml", object.to_string().into_bytes());
        self.call(&format!("apply {object_ref}"), Method::PATCH, &path, body).await
    }

    /// Requests the deletion of the object with this `uid`, after that of its dependents. Not found is
    /// success.
    pub async fn delete(&self, object_ref: &ObjectRef, uid: &str) -> Result<(), CallError> {
        let Some(path) = self.path(object_ref).await? else { return Ok(()) };
        let body = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground",
            "preconditions": {"uid": uid},
        });
        let body = ("application/json", body.to_string().into_bytes());
        match self.text(&format!("delete {object_ref}"), Method::DELETE, &path, body).await {
            Err(error) if error.class != ErrorKind::Gone => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the pods of a namespace that have all of these labels.
    pub async fn pods(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Value>, CallError> {
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={}", selector(labels));
        self.items("list pods", &path).await
    }

    /// Returns the pods of a workload's newest revision, or all of its pods if it is not a Deployment.
    pub async fn newest_pods(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        workload: &Value,
    ) -> Result<Vec<Value>, CallError> {
        const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";
        let mut labels = labels.clone();
        if let Some(revision) = workload.pointer(REVISION) {
            let path = format!(
                "/apis/apps/v1/namespaces/{namespace}/replicasets?labelSelector={}",
                selector(&labels)
            );
            let sets = self.items("list replica sets", &path).await?;
            let newest = sets.iter().find(|set| set.pointer(REVISION) == Some(revision));
            let hash = newest.and_then(|set| set.pointer("/metadata/labels/pod-template-hash")?.as_str());
            labels.extend(hash.map(|hash| ("pod-template-hash".to_owned(), hash.to_owned())));
        }
        self.pods(namespace, &labels).await
    }

    /// Returns the warning events of a namespace.
    pub async fn warnings(&self, namespace: &str) -> Result<Vec<Value>, CallError> {
        let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector=type%3DWarning");
        self.items("list events", &path).await
    }

    /// Returns the PodDisruptionBudgets of all namespaces.
    pub async fn disruption_budgets(&self) -> Result<Vec<Value>, CallError> {
        self.items("list PodDisruptionBudgets", "/apis/policy/v1/poddisruptionbudgets?limit=500").await
    }

    /// Returns the last log lines of a container, or of its previous run if `previous` is set.
    pub async fn log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Result<String, CallError> {
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&tailLines=5&limitBytes=4096&previous={previous}"
        );
        self.text("read log", Method::GET, &path, NO_BODY).await
    }

    pub(super) async fn items(&self, what: &str, path: &str) -> Result<Vec<Value>, CallError> {
        let mut answer = self.call(what, Method::GET, path, NO_BODY).await?;
        match answer.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }
}

/// Content type and body of a request without a body.
const NO_BODY: (&str, Vec<u8>) = ("application/json", Vec::new());

/// Returns labels as a URL-encoded selector. They consist of letters, digits, `-`, `_` and `.`; keys may have
/// a `/`.
fn selector(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("{}%3D{value}", key.replace('/', "%2F"))).collect();
    pairs.join("%2C")
}
