//! A cloud in memory, and a state whose writes fail once the power is off.

use super::super::Provider;
use crate::{
    aws::classify,
    model::{
        Address, CallError, Changes, ErrorKind, Identity, Intent, Kind, KindInfo, Readiness,
        ReplacementOrder, UpdateId, UpdateOutcome, tag,
    },
    resources::{FoundResource, Lookup},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// Resource in the cloud.
#[derive(Clone)]
pub(super) struct Thing {
    pub(super) kind: String,
    pub(super) body: Value,
    pub(super) made: Instant,
    /// When it was deleted. Lists contain it for a while after that.
    pub(super) gone: Option<Instant>,
    pub(super) token: String,
}

impl Thing {
    /// Returns the address in its tags.
    pub(super) fn address(&self) -> Option<&str> {
        self.body["tags"][tag::RESOURCE].as_str()
    }
}

/// Longest age of a signature.
pub(super) const SIGNATURE: Duration = Duration::from_mins(15);

/// Faults of the cloud, and when the power fails.
#[derive(Clone, Copy, Default)]
pub(super) struct CloudFaults {
    /// How long lists lag behind creates and deletes.
    pub(super) lag: Duration,
    /// Every n-th create succeeds, and its answer is lost.
    pub(super) lose_every: usize,
    /// After so many effects, nothing has an effect any more.
    pub(super) fuse: Option<usize>,
    /// The kind whose creates are refused.
    pub(super) refuse: Option<&'static str>,
    /// The code with which the next updates fail, and how many of them.
    pub(super) failing_updates: Option<(&'static str, usize)>,
    /// How many of the next deletions of the kind `slow` fail.
    pub(super) failing_deletes: usize,
    /// Whether the answer to the next call that starts an update is lost.
    pub(super) lose_update: bool,
    /// How long reads of the kind `slow` show what was before an update.
    pub(super) update_lag: Duration,
}

/// How long an update of the kind `slow` takes.
pub(super) const UPDATE_TIME: Duration = Duration::from_mins(5);

/// An update that the cloud carries out after its answer.
#[derive(Clone)]
pub(super) struct CloudUpdate {
    id: UpdateId,
    of: Value,
    size: Value,
    ends: Instant,
    error: Option<&'static str>,
}

/// A cloud with kinds that take neither token nor name (`plain`), a token (`tokened`, `single`) or a name (`named`;
/// `grouped`, which is replaced by creation first; `slow`, whose updates take their time).
#[derive(Clone)]
pub(super) struct Cloud {
    pub(super) things: Arc<Mutex<Vec<Thing>>>,
    pub(super) trouble: Arc<Mutex<CloudFaults>>,
    pub(super) creates: Arc<Mutex<usize>>,
    /// When its clock started, which all processes share.
    pub(super) born: Instant,
    /// Creates of the kind `single` that are under way, and the most there were at once.
    pub(super) busy: Arc<Mutex<(usize, usize)>>,
    /// How often nothing of the kind `grouped` was left.
    pub(super) gaps: Arc<Mutex<usize>>,
    /// Every update that was ever accepted, oldest first.
    pub(super) updates: Arc<Mutex<Vec<CloudUpdate>>>,
    /// How many delete calls were accepted.
    pub(super) deletes: Arc<Mutex<usize>>,
}

fn kind_name(kind: &str) -> &'static str {
    let all = ["plain", "tokened", "single", "named", "grouped", "slow"];
    all.into_iter().find(|name| *name == kind).unwrap()
}

pub(super) fn dead() -> CallError {
    CallError::new(ErrorKind::Interrupted, "the power is off")
}

impl Cloud {
    pub(super) fn new(trouble: CloudFaults) -> Self {
        Cloud {
            things: Arc::default(),
            trouble: Arc::new(Mutex::new(trouble)),
            creates: Arc::default(),
            born: Instant::now(),
            busy: Arc::default(),
            gaps: Arc::default(),
            updates: Arc::default(),
            deletes: Arc::default(),
        }
    }

    /// Counts one effect; the power may fail before it.
    pub(super) fn spend(&self) -> Result<(), CallError> {
        match &mut self.trouble.lock().unwrap().fuse {
            None => Ok(()),
            Some(0) => Err(dead()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.things.lock().unwrap().iter().filter(|thing| thing.gone.is_none()).count()
    }

    /// Sets the tags of the resource that an attempt created, as a separate call.
    pub(super) fn tag(&self, intent: &Intent, tags: &Value) {
        let mut things = self.things.lock().unwrap();
        if let Some(thing) = things.iter_mut().find(|thing| thing.token == intent.token) {
            thing.body["tags"] = tags.clone();
            thing.body["tags"][tag::INTENT] = json!(intent.nonce);
        }
    }

    /// Seconds since its time began.
    pub(super) fn now(&self) -> i64 {
        i64::try_from(self.born.elapsed().as_secs()).unwrap()
    }

    /// Brings each thing to what the updates that have ended made of it.
    fn end_updates(&self) {
        let lag = self.trouble.lock().unwrap().update_lag;
        let mut things = self.things.lock().unwrap();
        for update in self.updates.lock().unwrap().iter() {
            let Some(thing) = things.iter_mut().find(|thing| thing.body["id"] == update.of) else { continue };
            if update.ends <= Instant::now() {
                thing.body["status"] = json!("ACTIVE");
            }
            if update.ends + lag <= Instant::now() && update.error.is_none() {
                thing.body["size"] = update.size.clone();
            }
        }
    }

    fn start_update(&self, of: &Value, size: &Value) -> Result<Option<UpdateId>, CallError> {
        let mut trouble = self.trouble.lock().unwrap();
        let error = match &mut trouble.failing_updates {
            Some((_, 0)) | None => None,
            Some((code, left)) => {
                *left -= 1;
                Some(*code)
            }
        };
        let mut updates = self.updates.lock().unwrap();
        let id = format!("update-{}", updates.len());
        let ends = Instant::now() + UPDATE_TIME;
        updates.push(CloudUpdate { id: id.clone(), of: of.clone(), size: size.clone(), ends, error });
        match std::mem::take(&mut trouble.lose_update) {
            true => Err(CallError::new(ErrorKind::Ambiguous, "no answer")),
            false => Ok(Some(id)),
        }
    }

    /// Every cloud's refusals are classed as AWS's are.
    fn refusal(operation: &str, code: &str) -> CallError {
        let class = classify("ec2", operation, code, Some(400), "");
        CallError { code: code.to_owned(), ..CallError::new(class, code) }
    }
}

pub(super) fn changes(want: &Value, live: &Value) -> Result<Changes, CallError> {
    Ok(Changes::default()
        .fixed("parent", &want["parent"], &live["parent"])
        .fixed("name", &want["name"], &live["name"])
        .fixed("type", &want["type"], &live["type"])
        .mutable("size", &want["size"], &live["size"])
        .mutable("tags", &want["tags"], &live["tags"]))
}

const GROUPED: KindInfo = KindInfo { replacement: ReplacementOrder::CreateFirst, ..KindInfo::DEFAULT };

/// What is known about the kinds of the cloud.
static INFOS: LazyLock<Vec<KindInfo>> = LazyLock::new(|| {
    let kinds = [
        ("plain", Identity::OwnerTag),
        ("tokened", Identity::Token),
        ("single", Identity::Token),
        ("named", Identity::Name),
        ("grouped", Identity::Name),
        ("slow", Identity::Name),
    ];
    let info = |(name, identity)| KindInfo {
        name,
        identity,
        serial: name == "single",
        birth_mark: Some("id"),
        ..if name == "grouped" { GROUPED } else { KindInfo::DEFAULT }
    };
    kinds.map(info).into()
});

pub(super) fn kind_of(info: &'static KindInfo) -> Kind {
    Kind {
        info,
        diff: changes,
        ready: |live| {
            Ok(match (live["trouble"].as_str(), live["status"].as_str()) {
                (Some(trouble), _) => Readiness::Degraded(trouble.to_owned()),
                (None, Some("UPDATING")) => Readiness::Waiting("updating".to_owned()),
                (None, _) => Readiness::Ready,
            })
        },
        ahead: |_, _, _| Ok(None),
        not_applied: |_, _, _| Ok(None),
        service_made: |_| Ok(None),
        delete_failed: |live| {
            let failed = live["status"] == "DELETE_FAILED";
            Ok(failed.then(|| "DependencyViolation: sg-1 is in use".to_owned()))
        },
        validate_change: |_, _| Ok(None),
        deletion_note: |_| Ok(None),
        holds: |_| Ok(None),
        deletion_guard: |_| Ok(None),
        deleting: |_| Ok(false),
        deleted: |_| Ok(false),
        assume_recorded: |live, _| Ok(live.clone()),
    }
}

#[async_trait]
impl Provider for Cloud {
    fn kind(&self, name: &str) -> Option<Kind> {
        INFOS.iter().find(|info| info.name == name).map(kind_of)
    }

    fn kinds(&self) -> Vec<&'static str> {
        vec!["plain", "tokened", "single", "named", "grouped", "slow"]
    }

    async fn find(&self, kind: &str, lookups: &[Lookup]) -> Result<Vec<FoundResource<Value>>, CallError> {
        if kind == "grouped" {
            return Ok(lookups.iter().filter_map(|lookup| self.group(lookup)).collect());
        }
        // What has a name is not listed, but asked for.
        self.end_updates();
        let lag =
            if matches!(kind, "named" | "slow") { Duration::ZERO } else { self.trouble.lock().unwrap().lag };
        let things = self.things.lock().unwrap();
        let listed = |thing: &&Thing| {
            thing.kind == kind
                && thing.made.elapsed() >= lag
                && thing.gone.is_none_or(|gone| gone.elapsed() < lag)
        };
        let found = |thing: &Thing| {
            Some(FoundResource { address: Address::from(thing.address()?), live: thing.body.clone() })
        };
        Ok(things.iter().filter(listed).filter_map(found).collect())
    }

    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), CallError> {
        self.spend()?;
        if kind == "single" {
            let busy = |more: bool| {
                let mut busy = self.busy.lock().unwrap();
                busy.0 = if more { busy.0 + 1 } else { busy.0 - 1 };
                busy.1 = busy.1.max(busy.0);
            };
            busy(true);
            tokio::time::sleep(Duration::from_secs(30)).await;
            busy(false);
        }
        if u64::try_from(self.now() - intent.signed_at).unwrap_or_default() > SIGNATURE.as_secs() {
            return Err(Cloud::refusal("CreateVpc", "RequestExpired"));
        }
        if self.trouble.lock().unwrap().refuse == Some(kind_name(kind)) {
            return Err(Cloud::refusal("CreateVpc", "InvalidParameterValue"));
        }
        let mut creates = self.creates.lock().unwrap();
        *creates += 1;
        let lose_every = self.trouble.lock().unwrap().lose_every;
        let mut things = self.things.lock().unwrap();
        let name = want["tags"][tag::RESOURCE].as_str();
        let mut there = things.iter().filter(|thing| thing.kind == kind && thing.gone.is_none());
        if kind == "grouped" && there.clone().any(|thing| thing.body["name"] == want["name"])
            || matches!(kind, "named" | "slow") && there.any(|thing| thing.address() == name)
        {
            return Err(Cloud::refusal("CreateKeyPair", "InvalidKeyPair.Duplicate"));
        }
        // A token is remembered also where what it made is gone by now.
        let again =
            matches!(kind, "tokened" | "single") && things.iter().any(|thing| thing.token == intent.token);
        if !again {
            let mut body = want.clone();
            body["id"] = json!(format!("{kind}-{creates}"));
            body["tags"][tag::INTENT] = json!(intent.nonce);
            things.push(Thing {
                kind: kind.to_owned(),
                body,
                made: Instant::now(),
                gone: None,
                token: intent.token.clone(),
            });
        }
        if lose_every > 0 && creates.is_multiple_of(lose_every) {
            return Err(CallError::new(ErrorKind::Ambiguous, "no answer"));
        }
        Ok(())
    }

    async fn sync(&self, kind: &str, want: &Value, live: &Value) -> Result<Option<UpdateId>, CallError> {
        self.spend()?;
        self.end_updates();
        let mut things = self.things.lock().unwrap();
        let mut there = things.iter_mut().filter(|thing| thing.gone.is_none());
        match there.find(|thing| thing.body["id"] == live["id"]) {
            Some(thing) if kind == "slow" => {
                if thing.body["status"] == "UPDATING" {
                    return Err(CallError::new(ErrorKind::Conflict, "an update is in progress"));
                }
                thing.body["status"] = json!("UPDATING");
                return self.start_update(&live["id"], &want["size"]);
            }
            Some(thing) => thing.body["size"] = want["size"].clone(),
            None => return Err(CallError::new(ErrorKind::Gone, "not found")),
        }
        Ok(None)
    }

    async fn outcome(&self, _: &str, _: &Value, id: &str) -> Result<UpdateOutcome, CallError> {
        let updates = self.updates.lock().unwrap();
        let Some(update) = updates.iter().find(|update| update.id == id) else {
            return Err(CallError::new(ErrorKind::Gone, "no such update"));
        };
        Ok(match update.error {
            _ if update.ends > Instant::now() => UpdateOutcome::InProgress,
            None => UpdateOutcome::Successful,
            Some(code) => UpdateOutcome::Failed {
                code: code.to_owned(),
                message: "max retries".to_owned(),
                resources: vec!["node-1".to_owned()],
            },
        })
    }

    async fn running_update(&self, _: &str, live: &Value) -> Result<Option<UpdateId>, CallError> {
        let updates = self.updates.lock().unwrap();
        let mut running =
            updates.iter().filter(|update| update.of == live["id"] && update.ends > Instant::now());
        Ok(running.next().map(|update| update.id.clone()))
    }

    async fn delete(&self, _: &str, live: &Value) -> Result<(), CallError> {
        self.spend()?;
        let mut things = self.things.lock().unwrap();
        if things.iter().any(|thing| thing.gone.is_none() && thing.body["parent"] == live["id"]) {
            return Err(CallError::new(ErrorKind::Conflict, "something depends on it"));
        }
        *self.deletes.lock().unwrap() += 1;
        let mut trouble = self.trouble.lock().unwrap();
        let mut there = things.iter_mut().filter(|thing| thing.gone.is_none());
        if let Some(thing) = there.find(|thing| thing.body["id"] == live["id"]) {
            if trouble.failing_deletes > 0 {
                trouble.failing_deletes -= 1;
                thing.body["status"] = json!("DELETE_FAILED");
            } else {
                thing.gone = Some(Instant::now());
            }
        }
        let is_group = things.iter().any(|thing| thing.kind == "grouped" && thing.body["id"] == live["id"]);
        if is_group && !things.iter().any(|thing| thing.kind == "grouped" && thing.gone.is_none()) {
            *self.gaps.lock().unwrap() += 1;
        }
        Ok(())
    }

    fn fresh(&self) -> Box<dyn Provider> {
        Box::new(self.clone())
    }
}
