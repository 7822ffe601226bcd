//! An object of the cluster that a manifest describes, applied server-side under this program's own name.

use super::{
    manifest_compare::{compare, is_custom, is_fixed_in_jobs},
    prelude::*,
};
use crate::{
    kube::{self, Apply, DeferredField, KubeClient, ObjectRef, RolloutState, TakenField},
    model::{Change, NotApplied, object, tag},
};
use futures_util::future::try_join_all;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

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
    pub later: Vec<DeferredField>,
    /// Fields that another manager set to another value. An apply leaves them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<TakenField>,
    /// The server's words for a conflict in fields that are not in `taken`. The object is not applied then.
    pub conflict: Option<String>,
    /// What it waits for.
    pub waiting: Option<String>,
    /// What is wrong with it.
    pub trouble: Option<String>,
    /// Why the object could not be read, if this is what was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
    /// Why the server does not accept the manifest, in its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Desired for Spec {
    const KIND: &'static str = Manifest::KIND;
}

impl Resource for Manifest {
    const INFO: KindInfo = KindInfo {
        name: "manifest",
        identity: Identity::Name,
        update_while_unready: true,
        parent: Some(("eks_cluster", "cluster")),
        may_be_unreachable: true,
        ready_within: minutes(20),
        birth_mark: Some("id"),
        iam: &[(IamScope::EKS, &["eks:DescribeCluster"])],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        if let Some(why) = &live.unseen {
            return kube::not_compared(why);
        }
        // The server compared a placeholder for what was not known yet.
        let known = |change: &&Change| !live.later.iter().any(|later| later.path == change.path);
        let later = live.later.iter().filter_map(|later| later.change(&want.object));
        let all = live.pending.0.iter().filter(known).cloned().chain(later);
        let fixed = |change: &Change| live.kind == "Job" && is_fixed_in_jobs(&change.path);
        Changes(all.map(|it| Change { forces_replace: it.forces_replace || fixed(&it), ..it }).collect())
    }

    fn validate_change(_: &Spec, live: &Live) -> Option<String> {
        live.refused.as_ref().map(|why| format!("the API server does not accept the manifest: {why}"))
    }

    fn holds(live: &Live) -> Option<&'static str> {
        match live.kind.as_str() {
            "PersistentVolumeClaim" => Some("the data of its volume"),
            "CustomResourceDefinition" => Some("every custom resource of its kind"),
            "StatefulSet" => Some("the identity of its pods, and with it their data"),
            // What its controller made of it, such as a database, may go with it. The load balancer controller's own
            // kinds hold settings.
            _ if is_custom(&live.api_version) => Some("what its controller keeps for it"),
            _ => None,
        }
    }

    fn ready(live: &Live) -> Readiness {
        match (&live.trouble, &live.waiting) {
            (Some(trouble), _) => Readiness::Degraded(trouble.clone()),
            (None, Some(waiting)) => Readiness::Waiting(waiting.clone()),
            (None, None) => Readiness::Ready,
        }
    }

    fn not_applied(want: &Spec, live: &Live, recorded: Option<&Spec>) -> Option<NotApplied<Spec>> {
        let address = object::address(&want.object)?;
        let (mut spec, mut pending) = (want.clone(), live.conflict.is_some());
        let mut fields: Vec<String> = live.conflict.iter().cloned().collect();
        for field in &live.taken {
            // What is known only later may be equal.
            let Some(wanted) = field.value(&want.object).filter(|wanted| **wanted != field.live) else {
                continue;
            };
            let last = recorded.and_then(|recorded| field.value(&recorded.object)).unwrap_or(wanted);
            let is = if last == wanted { "the manifest's value is" } else { "not applied:" };
            fields.push(format!("{}; {is} {}", field.told(), kube::shown(wanted)));
            pending |= last != wanted;
            field.set(&mut spec.object, last);
        }
        let (message, which) = (fields.join(", and "), if fields.len() > 1 { "them" } else { "it" });
        let hint = format!("apply {which} with `provisioner up --take-fields {address}`");
        (!fields.is_empty()).then_some(NotApplied { spec, message, hint, pending })
    }

    fn assume_recorded(recorded: Live, why: &str) -> Live {
        Live {
            pending: Changes::default(),
            later: Vec::new(),
            taken: Vec::new(),
            conflict: None,
            waiting: Some(format!("not read: {why}")),
            trouble: None,
            refused: None,
            unseen: Some(why.to_owned()),
            ..recorded
        }
    }
}

impl Lifecycle for Manifest {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let names: BTreeSet<&String> = asked.iter().filter_map(cluster_of).collect();
        let mut clusters = BTreeMap::new();
        for name in names {
            // Once for all objects.
            clusters.insert(name, kube::cluster(cx, name).await?);
        }
        let clusters = &clusters;
        let looks = asked.iter().filter_map(|asked| {
            let place = match (&asked.want, &asked.recorded) {
                (Some(want), _) => ObjectRef::of(&want.object)?,
                (None, last) => place(last.as_ref()?),
            };
            Some(async move {
                let Some(name) = cluster_of(asked) else { return Ok(None) };
                let Some(cluster) = clusters.get(name).and_then(Option::as_ref) else { return Ok(None) };
                let forced = cx.takes_fields(&asked.address);
                // The values of a Secret that is only to be removed are not known, and not needed.
                let want = asked.want.clone().and_then(|want| revealed(cx, want));
                let live = look(cluster, name, &place, want.as_ref(), forced).await;
                let found = match kube::forget_connection_on_silence(cx, live) {
                    // What is to let the caller in may be part of the same plan: what was recorded stands until then.
                    Err(error) => match kube::access_denied(&error) {
                        Some(why) => asked.recorded.clone().map(|last| Manifest::assume_recorded(last, &why)),
                        None => return Err(error),
                    },
                    Ok(live) => live,
                };
                Ok::<_, CallError>(found.map(|live| FoundResource { address: asked.address.clone(), live }))
            })
        });
        Ok(try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let cluster = reached(cx, &want.cluster).await?;
        let place = ObjectRef::of(&want.object).ok_or_else(|| CallError::bug("an object without a name"))?;
        // An apply would take over an object that was created outside provisioner since the last look.
        if let Some(there) = cluster.get(&place).await?
            && object::marks(&there).get(tag::LINEAGE) != Some(&cx.owner.lineage)
        {
            return Err(CallError::new(ErrorKind::Exists, format!("there is a {place} already")));
        }
        let object = object::with_nonce(want.object.clone(), &intent.nonce);
        apply(cx, Spec { object, ..want.clone() }, None).await
    }

    async fn sync(cx: &Cx, want: &Spec, _: &Live) -> Result<Option<UpdateId>, CallError> {
        let cluster = reached(cx, &want.cluster).await?;
        let place = ObjectRef::of(&want.object).ok_or_else(|| CallError::bug("an object without a name"))?;
        let live = cluster.get(&place).await?;
        apply(cx, want.clone(), live.as_ref()).await.map(|()| None)
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        match kube::cluster(cx, &live.cluster).await? {
            Some(cluster) => cluster.delete(&place(live), &live.id).await,
            // With the cluster went all that was in it.
            None => Ok(()),
        }
    }
}

/// Returns the name of the cluster that an object is in.
fn cluster_of(asked: &TypedLookup<Manifest>) -> Option<&String> {
    let wanted = asked.want.as_ref().map(|want| &want.cluster);
    wanted.or(asked.recorded.as_ref().map(|last| &last.cluster))
}

fn place(live: &Live) -> ObjectRef {
    ObjectRef {
        api_version: live.api_version.clone(),
        kind: live.kind.clone(),
        namespace: live.namespace.clone(),
        name: live.name.clone(),
    }
}

async fn reached(cx: &Cx, name: &str) -> Result<KubeClient, CallError> {
    let missing = || CallError::new(ErrorKind::Eventual, format!("cluster {name} has no API server yet"));
    kube::cluster(cx, name).await?.ok_or_else(missing)
}

/// Returns the spec with the values of a Secret; `None` if they are not known.
fn revealed(cx: &Cx, mut want: Spec) -> Option<Spec> {
    let address = object::address(&want.object)?;
    cx.secrets().reveal(&address, &mut want.object).then_some(want)
}

async fn apply(cx: &Cx, want: Spec, live: Option<&Value>) -> Result<(), CallError> {
    let cluster = reached(cx, &want.cluster).await?;
    let want = revealed(cx, want).ok_or_else(|| CallError::bug("a Secret whose values are not known"))?;
    let mut object = sent(&want, live);
    let forced = object::address(&object).is_some_and(|address| cx.takes_fields(&address));
    if let Some(patch) = live.and_then(|live| kube::strategy_patch(&object, live))
        && let Some(place) = ObjectRef::of(&object)
    {
        cluster.merge(&place, &patch).await?;
    }
    if let (Some(live), false) = (live, forced) {
        object = kube::with_live_values(&object, &kube::taken_fields(&object, live));
    }
    let how = if forced { Apply::Forced } else { Apply::Now };
    let applied = kube::forget_connection_on_silence(cx, cluster.apply(&object, how).await);
    applied.map(drop).map_err(|error| kube::without_values(error, &object))
}

/// The object as it is sent: a number of replicas that something in the cluster sets goes back as it is there. Left out, the
/// API server would set it to its default.
fn sent(want: &Spec, live: Option<&Value>) -> Value {
    let mut object = want.object.clone();
    // The nonce stays as long as the object.
    if let Some(nonce) = live.and_then(|live| object::marks(live).remove(tag::INTENT)) {
        object = object::with_nonce(object, &nonce);
    }
    let there = live.filter(|_| want.scaled).and_then(|live| live.pointer("/spec/replicas"));
    // An autoscaler leaves a Deployment without pods as it is.
    let there = there.filter(|there| there.as_u64() != Some(0));
    if let (Some(there), Some(replicas)) = (there, object.pointer_mut("/spec/replicas")) {
        *replicas = there.clone();
    }
    object
}

/// Returns the live form of an object, compared with `want`; `None` if it does not exist.
async fn look(
    cluster: &KubeClient,
    name: &str,
    place: &ObjectRef,
    want: Option<&Spec>,
    forced: bool,
) -> Result<Option<Live>, CallError> {
    let Some(object) = cluster.get(place).await? else { return Ok(None) };
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let mut live = Live {
        cluster: name.to_owned(),
        api_version: place.api_version.clone(),
        kind: place.kind.clone(),
        namespace: text("/metadata/namespace"),
        name: place.name.clone(),
        id: kube::uid(&object)?,
        tags: object::marks(&object),
        pending: Changes::default(),
        later: Vec::new(),
        taken: Vec::new(),
        conflict: None,
        waiting: None,
        trouble: None,
        unseen: None,
        refused: None,
    };
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        live.waiting = Some("it is being removed".to_owned());
        return Ok(Some(live));
    }
    if let Some(want) = want {
        let found = compare(cluster, &sent(want, Some(&object)), &object, forced).await?;
        (live.pending, live.later, live.taken) = (found.pending, found.later, found.taken);
        (live.conflict, live.refused) = (found.conflict, found.refused);
    }
    match kube::health(cluster, &object).await? {
        RolloutState::Ready => {}
        RolloutState::Waiting(why) => live.waiting = Some(why),
        // Nodes come for it.
        RolloutState::Degraded(why)
            if why.starts_with("Unschedulable") && want.is_some_and(|want| want.grows) =>
        {
            live.waiting = Some(why);
        }
        RolloutState::Degraded(why) => live.trouble = Some(why),
    }
    Ok(Some(live))
}

#[cfg(test)]
mod tests;
