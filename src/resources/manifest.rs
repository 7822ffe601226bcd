//! An object of the cluster that a manifest describes, applied server-side under this program's own name.

use super::{Asked, Found, Lifecycle};
use crate::{
    aws::{Cx, Tags},
    kube::{self, Apply, Cluster, Later, Place, State},
    model::{Change, Changes, Class, Desired, Fault, Identity, Intent, Ready, Resource, object, tag},
};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind.
pub struct Manifest;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The cluster's name.
    pub cluster: String,
    /// The object, with the owner's annotations.
    pub object: Value,
    /// The folder that it comes from.
    pub part: String,
    /// Whether the live number of replicas stands, since something in the cluster scales it.
    pub scaled: bool,
    /// Whether nodes come for pods that find no place.
    pub grows: bool,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// See [`Spec::cluster`].
    pub cluster: String,
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What the cluster tells it by from another of the same name.
    pub id: String,
    /// Whose it is.
    pub tags: Tags,
    /// What an apply would change.
    pub pending: Changes,
    /// What was compared before all of the manifest was known.
    pub later: Vec<Later>,
    /// Fields that somebody else owns and this manifest sets otherwise.
    pub conflict: Option<String>,
    /// What it waits for.
    pub waiting: Option<String>,
    /// What is wrong with it.
    pub trouble: Option<String>,
    /// Why nobody could look, where this is what was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
}

impl Desired for Spec {
    const KIND: &'static str = Manifest::KIND;
}

impl Resource for Manifest {
    const KIND: &'static str = "manifest";
    const IAM: &'static [&'static str] = &["eks:DescribeCluster"];
    const IDENTITY: Identity = Identity::Name;
    const MENDS: bool = true;
    const HIDES: bool = true;
    const WITHIN: Option<(&'static str, &'static str)> = Some(("eks_cluster", "cluster"));
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        if let Some(why) = &live.unseen {
            return kube::not_compared(why);
        }
        let later = live.later.iter().filter_map(|later| later.change(&want.object));
        Changes(live.pending.0.iter().cloned().chain(later).collect())
    }

    fn ready(live: &Live) -> Ready {
        match (&live.trouble, &live.waiting) {
            (Some(trouble), _) => Ready::Troubled(trouble.clone()),
            (None, Some(waiting)) => Ready::Wait(waiting.clone()),
            (None, None) => Ready::Yes,
        }
    }

    fn refuse(_: &Spec, live: &Live) -> Option<String> {
        live.conflict.as_ref().map(|conflict| {
            format!("{conflict}: take the field out of the manifest, or let its owner give it up")
        })
    }

    fn unseen(recorded: Live, why: &str) -> Live {
        Live {
            pending: Changes::default(),
            later: Vec::new(),
            waiting: Some(format!("nobody could look: {why}")),
            trouble: None,
            unseen: Some(why.to_owned()),
            ..recorded
        }
    }
}

impl Lifecycle for Manifest {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let looks = asked.iter().filter_map(|asked| {
            let place = match (&asked.want, &asked.last) {
                (Some(want), _) => Place::of(&want.object)?,
                (None, last) => place(last.as_ref()?),
            };
            Some(async move {
                let of = asked.want.as_ref().map(|want| &want.cluster);
                let Some(name) = of.or(asked.last.as_ref().map(|last| &last.cluster)) else {
                    return Ok(None);
                };
                let Some(cluster) = kube::cluster(cx, name).await? else { return Ok(None) };
                let live = look(&cluster, name, &place, asked.want.as_ref()).await;
                let found = match kube::forget_on_silence(cx, live) {
                    // What is to let the caller in may be part of the same plan: what was recorded stands until then.
                    Err(fault) if kube::shut_out(&fault) => {
                        let why = format!("the cluster does not let the caller look: {}", fault.message);
                        asked.last.clone().map(|last| Manifest::unseen(last, &why))
                    }
                    live => live?,
                };
                Ok::<_, Fault>(found.map(|live| Found { address: asked.address.clone(), live }))
            })
        });
        Ok(try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, _: &Intent) -> Result<(), Fault> {
        let cluster = reached(cx, &want.cluster).await?;
        let place = Place::of(&want.object).ok_or_else(|| Fault::bug("an object without a name"))?;
        // An apply would take over what somebody else made since, or before anybody could look.
        if let Some(there) = cluster.get(&place).await?
            && object::marks(&there).get(tag::LINEAGE) != Some(&cx.owner.lineage)
        {
            return Err(Fault::new(Class::Exists, format!("there is a {place} already")));
        }
        apply(cx, want, None).await
    }

    async fn sync(cx: &Cx, want: &Spec, _: &Live) -> Result<(), Fault> {
        let cluster = reached(cx, &want.cluster).await?;
        let place = Place::of(&want.object).ok_or_else(|| Fault::bug("an object without a name"))?;
        let live = cluster.get(&place).await?;
        apply(cx, want, live.as_ref()).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        match kube::cluster(cx, &live.cluster).await? {
            Some(cluster) => cluster.delete(&place(live), &live.id).await,
            // With the cluster went all that was in it.
            None => Ok(()),
        }
    }
}

fn place(live: &Live) -> Place {
    Place {
        api_version: live.api_version.clone(),
        kind: live.kind.clone(),
        namespace: live.namespace.clone(),
        name: live.name.clone(),
    }
}

async fn reached(cx: &Cx, name: &str) -> Result<Cluster, Fault> {
    let missing = || Fault::new(Class::Eventual, format!("cluster {name} has no API server yet"));
    kube::cluster(cx, name).await?.ok_or_else(missing)
}

async fn apply(cx: &Cx, want: &Spec, live: Option<&Value>) -> Result<(), Fault> {
    let cluster = reached(cx, &want.cluster).await?;
    let object = sent(want, live);
    kube::forget_on_silence(cx, cluster.apply(&object, Apply::Now).await).map(drop)
}

/// The object as it is sent: a number of replicas that something in the cluster sets goes back as it is there. Left out, the
/// API server would set it to its default.
fn sent(want: &Spec, live: Option<&Value>) -> Value {
    let mut object = want.object.clone();
    let there = live.filter(|_| want.scaled).and_then(|live| live.pointer("/spec/replicas"));
    // An autoscaler leaves a Deployment without pods as it is.
    let there = there.filter(|there| there.as_u64() != Some(0));
    if let (Some(there), Some(replicas)) = (there, object.pointer_mut("/spec/replicas")) {
        *replicas = there.clone();
    }
    object
}

async fn look(
    cluster: &Cluster,
    name: &str,
    place: &Place,
    want: Option<&Spec>,
) -> Result<Option<Live>, Fault> {
    let Some(object) = cluster.get(place).await? else { return Ok(None) };
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let mut live = Live {
        cluster: name.to_owned(),
        api_version: place.api_version.clone(),
        kind: place.kind.clone(),
        namespace: text("/metadata/namespace"),
        name: place.name.clone(),
        id: text("/metadata/uid").unwrap_or_default(),
        tags: object::marks(&object),
        pending: Changes::default(),
        later: Vec::new(),
        conflict: None,
        waiting: None,
        trouble: None,
        unseen: None,
    };
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        live.waiting = Some("it is being removed".to_owned());
        return Ok(Some(live));
    }
    if let Some(want) = want {
        compare(cluster, want, &object, &mut live).await?;
    }
    match kube::judge(cluster, &object).await? {
        State::Ready => {}
        State::Waiting(why) => live.waiting = Some(why),
        // Nodes come for it.
        State::Troubled(why) if why.starts_with("Unschedulable") && want.is_some_and(|want| want.grows) => {
            live.waiting = Some(why);
        }
        State::Troubled(why) => live.trouble = Some(why),
    }
    Ok(Some(live))
}

/// Asks the server what an apply would change. What other resources supply only later is compared without it.
async fn compare(cluster: &Cluster, want: &Spec, object: &Value, live: &mut Live) -> Result<(), Fault> {
    let (known, later) = kube::filled(&sent(want, Some(object)), object);
    live.later = later;
    match cluster.apply(&known, Apply::Dry).await {
        Ok(would) => live.pending = Changes(kube::changes(object, &would)),
        Err(fault) if fault.class == Class::Refused => {
            live.pending = Changes(vec![change(head(&fault.message), object, &known, false)]);
            live.conflict = Some(fault.message);
        }
        Err(fault) if fault.class == Class::Invalid && fault.message.contains("immutable") => {
            live.pending = Changes(vec![change(head(&fault.message), object, &known, true)]);
        }
        // A webhook that does not answer tells nothing about the object: what the manifest names is compared here.
        Err(fault) if fault.class == Class::Eventual && fault.message.contains("webhook") => {
            let mut found = Vec::new();
            kube::named(object, &known, "", &mut found);
            live.pending = Changes(found);
        }
        Err(fault) => return Err(fault),
    }
    Ok(())
}

/// The field at the head of a message such as `spec.selector: Invalid value: ...`.
fn head(message: &str) -> &str {
    message.split(':').next().unwrap_or_default().trim()
}

fn change(path: &str, live: &Value, want: &Value, forces_replace: bool) -> Change {
    let at = |value: &Value| {
        let pointer = format!("/{}", path.replace('.', "/"));
        value.pointer(&pointer).cloned().unwrap_or_default()
    };
    Change { path: path.to_owned(), old: at(live), new: at(want), forces_replace }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn live_replicas_stand_where_something_scales() {
        let spec = |scaled| Spec {
            cluster: "c".to_owned(),
            part: "app".to_owned(),
            object: json!({"spec": {"replicas": 3}}),
            scaled,
            grows: false,
        };
        let live = json!({"spec": {"replicas": 7}});
        assert_eq!(sent(&spec(true), Some(&live))["spec"]["replicas"], 7);
        assert_eq!(sent(&spec(true), None)["spec"]["replicas"], 3);
        assert_eq!(sent(&spec(true), Some(&json!({"spec": {"replicas": 0}})))["spec"]["replicas"], 3);
        assert_eq!(sent(&spec(false), Some(&live))["spec"]["replicas"], 3);
    }
}
