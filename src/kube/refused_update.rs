//! Tells why the API server refuses an apply: because of the object, or because of the object that exists.

use super::{Apply, KubeClient, MANAGER, ObjectRef};
use crate::model::{CallError, ErrorKind};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Maximum length of a name that every kind accepts.
const MAX_NAME: usize = 63;

/// Returns whether the server accepts the object under a name that does not exist: then it refused the change of the object
/// that does. It also says so itself of a field that is immutable.
///
/// # Errors
/// The server does not answer.
pub async fn is_refused_update(
    cluster: &KubeClient,
    object: &Value,
    refusal: &CallError,
) -> Result<bool, CallError> {
    if refusal.message.contains("immutable") {
        return Ok(true);
    }
    let Some(other) = with_free_name(object) else { return Ok(false) };
    match cluster.apply(&other, Apply::Dry).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.class, ErrorKind::Invalid | ErrorKind::Refused | ErrorKind::Denied) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Returns the object under a name that no other object has; `None` for a kind whose name is a part of its meaning.
fn with_free_name(object: &Value) -> Option<Value> {
    let mut other = object.clone();
    let metadata = other.get_mut("metadata")?.as_object_mut()?;
    let name = metadata.get("name")?.as_str()?.to_owned();
    if name.contains(['.', ':']) {
        return None;
    }
    let digest: String =
        Sha256::digest(object.to_string()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let end = MAX_NAME.saturating_sub(digest.len()).saturating_sub(1);
    let head = name.get(..end).unwrap_or(&name).trim_end_matches('-');
    metadata.insert("name".to_owned(), json!(format!("{head}-{digest}")));
    Some(other)
}

/// Returns the patch that changes the strategy of a workload, if the live one has settings that only the old type allows. A
/// server-side apply does not remove them: the server set them as defaults, so no manager owns them.
/// Source: <https://github.com/argoproj/argo-cd/issues/1068>
pub fn strategy_patch(want: &Value, live: &Value) -> Option<Value> {
    let field = match want.get("kind")?.as_str()? {
        "Deployment" => "strategy",
        "StatefulSet" | "DaemonSet" => "updateStrategy",
        _ => return None,
    };
    let (wanted, there) = (want.get("spec")?.get(field)?, live.get("spec")?.get(field)?);
    let kept = wanted.get("rollingUpdate").is_some_and(|it| !it.is_null());
    let left = there.get("rollingUpdate").is_some_and(|it| !it.is_null());
    let kind = wanted.get("type")?;
    (there.get("type") != Some(kind) && left && !kept)
        .then(|| json!({"spec": {field: {"type": kind, "rollingUpdate": null}}}))
}

impl KubeClient {
    /// Changes the live object by a JSON merge patch, in which null removes a field.
    /// Source: <https://www.rfc-editor.org/rfc/rfc7386>
    pub async fn merge(&self, object_ref: &ObjectRef, patch: &Value) -> Result<(), CallError> {
        let Some(path) = self.path(object_ref).await? else { return Ok(()) };
        let body = ("application/merge-patch+json", patch.to_string().into_bytes());
        let path = format!("{path}?fieldManager={MANAGER}");
        self.call(&format!("patch {object_ref}"), Method::PATCH, &path, body).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_name_is_valid_and_another() {
        let named = |name: &str| with_free_name(&json!({"metadata": {"name": name}}));
        let other = named("web").unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(other.starts_with("web-") && other.len() == 12, "{other}");
        let long = named(&"x".repeat(63)).unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        assert_eq!(long.len(), 63);
        assert_eq!(named("ingressclassparams.elbv2.k8s.aws"), None);
        assert_eq!(named("system:node"), None);
    }

    #[test]
    fn settings_of_the_old_strategy_are_removed() {
        let rolling =
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
        let want = |strategy: Value| json!({"kind": "Deployment", "spec": {"strategy": strategy}});
        let patch = json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}});
        assert_eq!(strategy_patch(&want(json!({"type": "Recreate"})), &rolling), Some(patch.clone()));
        assert_eq!(
            strategy_patch(&want(json!({"type": "Recreate", "rollingUpdate": null})), &rolling),
            Some(patch)
        );
        assert_eq!(strategy_patch(&want(json!({"type": "RollingUpdate"})), &rolling), None);
        let set = json!({"kind": "StatefulSet", "spec": {"updateStrategy": {"type": "OnDelete"}}});
        let live =
            json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}});
        assert!(strategy_patch(&set, &live).is_some());
        assert_eq!(strategy_patch(&json!({"kind": "Service", "spec": {}}), &live), None);
    }
}
