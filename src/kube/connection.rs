//! The way to a stack's cluster, kept from look to look.

use super::{client::Cluster, errors::SERVICE};
use crate::{
    aws::{Cx, reach},
    model::{Change, Changes, Class, Fault},
};
use serde_json::json;

/// The way that was found last, and to which cluster.
#[derive(Clone)]
struct Known(String, Option<Cluster>);

/// The way to the cluster `name`. None where there is no such cluster, or it has no endpoint yet.
pub async fn cluster(cx: &Cx, name: &str) -> Result<Option<Cluster>, Fault> {
    if let Some(Known(of, Some(cluster))) = cx.kept::<Known>()
        && of == name
    {
        return Ok(Some(cluster));
    }
    let Some(there) = reach(cx, name).await? else { return Ok(None) };
    let cluster = Cluster::new(cx, &there, name, &cx.region)?;
    cx.keep(Known(name.to_owned(), Some(cluster.clone())));
    Ok(Some(cluster))
}

/// Looks for the way anew next time, where `result` says that it may lead nowhere: a cluster that was made anew has another
/// endpoint and another certificate.
pub fn forget_on_silence<T>(cx: &Cx, result: Result<T, Fault>) -> Result<T, Fault> {
    if result.as_ref().is_err_and(|fault| fault.class == Class::Ambiguous) {
        cx.keep(Known(String::new(), None));
    }
    result
}

/// What a plan shows of an object that nobody could look at: the step that follows looks, and changes what differs.
pub fn not_compared(why: &str) -> Changes {
    let old = json!(format!("not looked at: {why}"));
    Changes(vec![Change {
        path: "object".to_owned(),
        old,
        new: json!("as the manifest says"),
        forces_replace: false,
    }])
}

/// Whether the cluster does not know the caller, or lets it do nothing: so it is until its access entry is made.
pub fn shut_out(fault: &Fault) -> bool {
    fault.service == SERVICE && ["Unauthorized", "Forbidden"].contains(&fault.code.as_str())
}
