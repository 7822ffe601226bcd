//! Keeps the client of a stack's cluster from call to call.

use super::{client::KubeClient, errors::SERVICE};
use crate::{
    aws::{Cx, cluster_endpoint},
    model::{CallError, Change, Changes, ErrorKind},
};
use serde_json::json;

/// Name of the cluster that was connected last, and its client.
#[derive(Clone)]
struct KeptClient(String, Option<KubeClient>);

/// Returns a client of the cluster `name`, or `None` if the cluster does not exist or has no endpoint yet.
pub async fn cluster(cx: &Cx, name: &str) -> Result<Option<KubeClient>, CallError> {
    if let Some(KeptClient(of, Some(cluster))) = cx.kept::<KeptClient>()
        && of == name
    {
        return Ok(Some(cluster));
    }
    let Some(there) = cluster_endpoint(cx, name).await? else { return Ok(None) };
    let cluster = KubeClient::new(cx, &there, name, &cx.region)?;
    cx.keep(KeptClient(name.to_owned(), Some(cluster.clone())));
    Ok(Some(cluster))
}

/// Drops the kept client if the call behind `result` may not have reached the cluster: a cluster that was
/// created again has another endpoint and another certificate.
pub fn forget_connection_on_silence<T>(cx: &Cx, result: Result<T, CallError>) -> Result<T, CallError> {
    if result.as_ref().is_err_and(|error| error.class == ErrorKind::Ambiguous) {
        cx.keep(KeptClient(String::new(), None));
    }
    result
}

/// Returns what a plan shows of an object that could not be read. The step reads it, and changes what
/// differs.
pub fn not_compared(why: &str) -> Changes {
    let old = json!(format!("not compared: {why}"));
    Changes(vec![Change {
        path: "object".to_owned(),
        old,
        new: json!("as in the manifest"),
        forces_replace: false,
    }])
}

/// Returns why the caller cannot read the cluster, if the cluster does not know the caller or denies it
/// everything. That is so until its access entry is created.
pub fn access_denied(error: &CallError) -> Option<String> {
    let denied = error.service == SERVICE && ["Unauthorized", "Forbidden"].contains(&error.code.as_str());
    denied.then(|| format!("the cluster denies access to the caller: {}", error.message))
}
