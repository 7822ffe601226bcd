//! Secrets of the cluster that the program writes: how they are found, written and deleted. Their values pass through here
//! and are kept nowhere.

use crate::{
    aws::Cx,
    kube::{self, Apply, ObjectRef},
    model::{CallError, ErrorKind, object, tag},
};
use serde_json::Value;

/// What a cluster says about a Secret.
pub(super) enum SecretLook {
    /// It does not exist, or its cluster does not.
    Absent,
    /// The caller may not read it: why.
    Denied(String),
    /// The object, with its values.
    Found(Value),
}

/// Looks for a Secret.
pub(super) async fn find(cx: &Cx, cluster: &str, place: &ObjectRef) -> Result<SecretLook, CallError> {
    let Some(client) = kube::cluster(cx, cluster).await? else { return Ok(SecretLook::Absent) };
    match kube::forget_connection_on_silence(cx, client.get(place).await) {
        // As for manifests, a cluster that denies access leaves what is recorded.
        Err(error) => match kube::access_denied(&error) {
            Some(why) => Ok(SecretLook::Denied(why)),
            None => Err(error),
        },
        Ok(Some(object)) => Ok(SecretLook::Found(object)),
        Ok(None) => Ok(SecretLook::Absent),
    }
}

/// Refuses to create a Secret of a name that another owner's has.
pub(super) async fn refuse_foreign(cx: &Cx, cluster: &str, place: &ObjectRef) -> Result<(), CallError> {
    if let Some(client) = kube::cluster(cx, cluster).await?
        && let Some(there) = client.get(place).await?
        && object::marks(&there).get(tag::LINEAGE) != Some(&cx.owner.lineage)
    {
        return Err(CallError::new(ErrorKind::Exists, format!("{place} already exists")));
    }
    Ok(())
}

/// Writes a Secret, with the nonce of its creation.
pub(super) async fn write(
    cx: &Cx,
    cluster: &str,
    secret: Value,
    nonce: Option<&String>,
    how: Apply,
) -> Result<(), CallError> {
    let missing = || CallError::new(ErrorKind::Eventual, format!("cluster {cluster} has no API server yet"));
    let client = kube::cluster(cx, cluster).await?.ok_or_else(missing)?;
    let secret = match nonce {
        Some(nonce) => object::with_nonce(secret, nonce),
        None => secret,
    };
    kube::forget_connection_on_silence(cx, client.apply(&secret, how).await).map(drop)
}

/// Deletes a Secret by its UID.
pub(super) async fn delete(cx: &Cx, cluster: &str, place: &ObjectRef, id: &str) -> Result<(), CallError> {
    match kube::cluster(cx, cluster).await? {
        Some(client) => client.delete(place, id).await,
        // The Secret was deleted with the cluster.
        None => Ok(()),
    }
}
