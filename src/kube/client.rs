//! One cluster's API server: plain requests, each with a fresh enough token, every error classed.

use super::{
    errors::{fault, unreachable},
    token::{Token, token},
};
use crate::{
    aws::{Clients, Reach},
    model::{Class, Fault},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, Request, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// The name under which this program owns fields.
pub const MANAGER: &str = "provisioner";

/// How long a connection, and an answer, is waited for.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);

/// Where an object is: what it is of, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its namespace; none where it has none, or the object does not say it.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Place {
    /// The place that an object itself names.
    pub fn of(object: &Value) -> Option<Place> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        Some(Place {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name")?,
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// What an apply asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// What would come of it.
    Dry,
    /// That it be so.
    Now,
}

/// What this program knows of a group and version: its kinds, and when that was asked.
type Kinds = Arc<Mutex<BTreeMap<String, Arc<Vec<APIResource>>>>>;

/// A way to one API server.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    clients: Clients,
    name: String,
    region: String,
    endpoint: String,
    token: Arc<Mutex<Option<Token>>>,
    kinds: Kinds,
}

impl Cluster {
    /// The API server at `reach`, of the cluster `name` in `region`. Makes no call.
    ///
    /// # Errors
    /// An endpoint or a certificate that cannot be used.
    pub fn new(clients: &Clients, reach: &Reach, name: &str, region: &str) -> Result<Self, Fault> {
        let unusable = |what: &str, why: String| {
            Fault::new(Class::Other, format!("the cluster's {what} cannot be used: {why}"))
        };
        let uri =
            reach.endpoint.parse::<http::Uri>().map_err(|error| unusable("endpoint", error.to_string()))?;
        let pem = STANDARD.decode(&reach.ca).map_err(|error| unusable("certificate", error.to_string()))?;
        let roots: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&pem)
            .map(|root| root.map(|root| root.as_ref().to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|error| unusable("certificate", error.to_string()))?;
        let mut config = kube::Config::new(uri);
        config.root_cert = Some(roots);
        config.connect_timeout = Some(CONNECT);
        // The engine alone tries again.
        config.default_retry = false;
        let client =
            kube::Client::try_from(config).map_err(|error| unusable("endpoint", error.to_string()))?;
        Ok(Cluster {
            client,
            clients: clients.clone(),
            name: name.to_owned(),
            region: region.to_owned(),
            endpoint: reach.endpoint.clone(),
            token: Arc::default(),
            kinds: Arc::default(),
        })
    }

    async fn bearer(&self) -> Result<String, Fault> {
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
    ) -> Result<String, Fault> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.bearer().await?))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, content)
            .body(body)
            .map_err(|error| Fault::bug(format!("{what}: {error}")))?;
        match tokio::time::timeout(ANSWER, self.client.request_text(request)).await {
            Ok(answer) => answer.map_err(|error| {
                let fault = fault(what, &self.endpoint, &error);
                if fault.code == "Unauthorized" {
                    *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                fault
            }),
            Err(_) => {
                Err(unreachable(what, &self.endpoint, &format!("no answer within {} s", ANSWER.as_secs())))
            }
        }
    }

    async fn call(
        &self,
        what: &str,
        method: Method,
        path: &str,
        body: (&str, Vec<u8>),
    ) -> Result<Value, Fault> {
        let text = self.text(what, method, path, body).await?;
        serde_json::from_str(&text)
            .map_err(|error| Fault::new(Class::Other, format!("{what}: the answer is no JSON: {error}")))
    }

    /// The kinds of a group and version; none where the cluster does not know it (its CRD may come later).
    async fn kinds(&self, api_version: &str) -> Result<Arc<Vec<APIResource>>, Fault> {
        if let Some(kinds) = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(api_version) {
            return Ok(Arc::clone(kinds));
        }
        let path = match api_version.contains('/') {
            true => format!("/apis/{api_version}"),
            false => format!("/api/{api_version}"),
        };
        let answer = match self.call(&format!("discover {api_version}"), Method::GET, &path, NOTHING).await {
            Err(fault) if fault.class == Class::Gone => return Ok(Arc::default()),
            answer => answer?,
        };
        let list: Vec<APIResource> =
            serde_json::from_value(answer.get("resources").cloned().unwrap_or_default()).unwrap_or_default();
        let kinds = Arc::new(list);
        let mut known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(api_version.to_owned(), Arc::clone(&kinds));
        Ok(kinds)
    }

    /// The path of an object. None where the cluster does not know its kind.
    async fn path(&self, place: &Place) -> Result<Option<String>, Fault> {
        let named = |kinds: &[APIResource]| {
            let of = |it: &&APIResource| it.kind == place.kind && !it.name.contains('/');
            kinds.iter().find(of).map(|it| (it.name.clone(), it.namespaced))
        };
        let mut found = named(&self.kinds(&place.api_version).await?);
        if found.is_none() {
            // A definition that came since brings kinds into a group that was asked for before.
            self.kinds.lock().unwrap_or_else(PoisonError::into_inner).remove(&place.api_version);
            found = named(&self.kinds(&place.api_version).await?);
        }
        let Some((plural, namespaced)) = found else { return Ok(None) };
        let base = match place.api_version.contains('/') {
            true => format!("/apis/{}", place.api_version),
            false => format!("/api/{}", place.api_version),
        };
        let name = &place.name;
        Ok(Some(match (namespaced, &place.namespace) {
            (true, Some(namespace)) => format!("{base}/namespaces/{namespace}/{plural}/{name}"),
            (true, None) => {
                let message =
                    format!("{} {name} names no namespace, and is of a kind that is in one", place.kind);
                return Err(
                    Fault::new(Class::Refused, message).hint("write metadata.namespace into its manifest")
                );
            }
            (false, _) => format!("{base}/{plural}/{name}"),
        }))
    }

    /// Asks what everybody may ask whom the cluster knows: its version.
    pub async fn version(&self) -> Result<Value, Fault> {
        let what = "get version";
        self.call(what, Method::GET, "/version", NOTHING).await
    }

    /// The object as it is. None where there is none, or no such kind.
    pub async fn get(&self, place: &Place) -> Result<Option<Value>, Fault> {
        let Some(path) = self.path(place).await? else { return Ok(None) };
        match self.call(&format!("get {place}"), Method::GET, &path, NOTHING).await {
            Err(fault) if fault.class == Class::Gone => Ok(None),
            object => Ok(Some(object?)),
        }
    }

    /// Applies `object` under this program's name, or asks what would come of it; the object as it is then.
    ///
    /// # Errors
    /// A field that somebody else owns, a field that there is not, a value that is refused.
    pub async fn apply(&self, object: &Value, how: Apply) -> Result<Value, Fault> {
        let place = Place::of(object).ok_or_else(|| Fault::bug("an object without a name"))?;
        let Some(path) = self.path(&place).await? else {
            let message = format!("the cluster knows no {} in {}", place.kind, place.api_version);
            return Err(Fault { code: "UnknownKind".to_owned(), ..Fault::new(Class::Eventual, message) }
                .hint("its CustomResourceDefinition must be among the manifests, or in the cluster"));
        };
        let dry = if how == Apply::Dry { "&dryRun=All" } else { "" };
        let path = format!("{path}?fieldManager={MANAGER}&fieldValidation=Strict{dry}");
        let body = ("application/apply-patch+yaml", object.to_string().into_bytes());
        self.call(&format!("apply {place}"), Method::PATCH, &path, body).await
    }

    /// Asks for the removal of an object, and of what it owns before it. Not found is success.
    pub async fn delete(&self, place: &Place, uid: &str) -> Result<(), Fault> {
        let Some(path) = self.path(place).await? else { return Ok(()) };
        let body = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground",
            "preconditions": {"uid": uid},
        });
        let body = ("application/json", body.to_string().into_bytes());
        match self.text(&format!("delete {place}"), Method::DELETE, &path, body).await {
            Err(fault) if fault.class != Class::Gone => Err(fault),
            _ => Ok(()),
        }
    }

    /// The pods of a namespace that carry all of these labels.
    pub async fn pods(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Value>, Fault> {
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={}", selector(labels));
        self.items("list pods", &path).await
    }

    /// The pods of a workload's newest revision; all of its pods where revisions are not told apart.
    pub async fn newest_pods(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        workload: &Value,
    ) -> Result<Vec<Value>, Fault> {
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

    /// The warnings of a namespace.
    pub async fn warnings(&self, namespace: &str) -> Result<Vec<Value>, Fault> {
        let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector=type%3DWarning");
        self.items("list events", &path).await
    }

    /// The last lines that a container wrote; of its last run where `previous` says so.
    pub async fn log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Result<String, Fault> {
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&tailLines=5&limitBytes=4096&previous={previous}"
        );
        self.text("read log", Method::GET, &path, NOTHING).await
    }

    async fn items(&self, what: &str, path: &str) -> Result<Vec<Value>, Fault> {
        let mut answer = self.call(what, Method::GET, path, NOTHING).await?;
        match answer.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }
}

const NOTHING: (&str, Vec<u8>) = ("application/json", Vec::new());

/// Labels as a query asks for them: they hold letters, digits, `-`, `_` and `.`, and keys a `/` beside them.
fn selector(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("{}%3D{value}", key.replace('/', "%2F"))).collect();
    pairs.join("%2C")
}
