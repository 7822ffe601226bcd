//! What an AWS service creates in addition, and again after its deletion, such as the log group of a cluster.

use super::{budget, provider::Provider, step::Task};
use crate::{
    model::{
        Action, Address, CallError, ErrorKind, Event, Kind, Observation, Record, ServiceMade, Snapshot, tag,
    },
    plan::{Ownership, tag_of},
    resources::Lookup,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
    time::Duration,
};
use tokio::time::Instant;

/// Returns where a service left what it created for a resource that no longer exists. What cannot be looked at is not
/// among them.
pub(super) async fn leftovers(
    provider: &dyn Provider,
    snapshot: &Snapshot,
    found: &BTreeMap<Address, Observation>,
) -> BTreeSet<Address> {
    let mut all = BTreeSet::new();
    for (address, found) in found.iter().filter(|(address, _)| !snapshot.resources.contains_key(*address)) {
        let Some(kind) = provider.kind(&found.kind) else { continue };
        let Ok(Some(made)) = (kind.service_made)(&found.live) else { continue };
        if made.untouched
            && matches!(provider.find(made.by, &[maker(address, &made)]).await, Ok(makers) if makers.is_empty())
        {
            all.insert(address.clone());
        }
    }
    all
}

/// The lookup of the resource for which the service creates it.
fn maker(address: &Address, made: &ServiceMade) -> Lookup {
    let name = Some(made.name.clone());
    Lookup { address: address.clone(), want: Value::Null, recorded: Value::Null, name }
}

impl Task<'_> {
    /// Records a leftover that the plan adopts, before anything of it is changed, so that it stays the stack's if the run
    /// ends in between.
    ///
    /// # Errors
    /// A resource of that name exists meanwhile, which uses it.
    pub(super) async fn adopt_leftover(&mut self, live: &Value) -> Result<(), CallError> {
        let kind = self.kind()?;
        let Some(made) = (kind.service_made)(live)?.filter(|made| made.untouched) else { return Ok(()) };
        let is_leftover = self.own(kind, live) == Ownership::Leftover;
        if self.step.action != Action::Adopt || !is_leftover || self.shared.is_approved(self.address()) {
            return Ok(());
        }
        if self.maker_exists(&made).await? {
            return Err(self.refused(&Ownership::Leftover, live));
        }
        let entry = self.entry_of(live);
        let record = Record::Applied(self.address().clone(), Box::new(entry.clone()));
        self.shared.journal.commit(record).await?;
        self.entry = Some(entry);
        Ok(())
    }

    async fn maker_exists(&self, made: &ServiceMade) -> Result<bool, CallError> {
        let found = self.shared.batcher.find(made.by, maker(self.address(), made)).await?;
        Ok(!found.is_empty())
    }

    /// Returns what follows the resource's name in a sentence if a service creates it for a resource of another owner, who has
    /// taken its name: the service writes into what was there.
    pub(super) async fn used_by_another(
        &self,
        kind: Kind,
        live: &Value,
    ) -> Result<Option<String>, CallError> {
        let Some(made) = (kind.service_made)(live)? else { return Ok(None) };
        let found = self.shared.batcher.find(made.by, maker(self.address(), &made)).await?;
        let is_own = |live: &Value| tag_of(live, tag::LINEAGE) == Some(&self.shared.owner.lineage);
        let another = !found.iter().all(is_own);
        Ok(another.then(|| format!("is used by {} of another owner", made.name)))
    }

    /// Whether the service may create it again: what it was created for existed, and was configured so.
    fn may_come_late(&self, made: &ServiceMade) -> bool {
        let entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut makers = entries.values().filter(|entry| {
            entry.kind == made.by && entry.live.get("name").and_then(Value::as_str) == Some(&made.name)
        });
        // One that an earlier run deleted is recorded no longer.
        makers.next().is_none_or(|entry| {
            entry.live.get(made.while_set).and_then(Value::as_array).is_some_and(|set| !set.is_empty())
        })
    }

    /// Deletes what the service creates again after the deletion, for as long as it may do so. The name alone proves nothing:
    /// it did not exist after this run deleted it, nothing uses it, and it is unchanged since.
    pub(super) async fn delete_late_ones(
        &self,
        kind: Kind,
        made: &ServiceMade,
        deleted: &Value,
    ) -> Result<(), CallError> {
        let wanted = self.step.action == Action::Delete && self.may_come_late(made);
        if !wanted || self.maker_exists(made).await? {
            return Ok(());
        }
        let pace = self.shared.settings.pace;
        let deadline = Instant::now() + pace.of(budget::LATE_CREATION);
        let interval = pace.of(budget::LATE_CREATION_INTERVAL).max(Duration::from_millis(100));
        loop {
            let over = Instant::now() >= deadline;
            match self.delete_late_one(kind, made, deleted).await {
                Ok(()) if over => return Ok(()),
                Ok(()) => {}
                // The deletion itself is complete.
                Err(error) if error.class == ErrorKind::Interrupted => return self.left_to_next(made),
                Err(error) => return Err(error),
            }
            let why = format!("deleted; looking for what arrives late of {}", made.name);
            if self.pause(interval, &why).await.is_err() {
                return self.left_to_next(made);
            }
        }
    }

    async fn delete_late_one(
        &self,
        kind: Kind,
        made: &ServiceMade,
        deleted: &Value,
    ) -> Result<(), CallError> {
        let Some(live) = self.look().await? else { return Ok(()) };
        let untouched = (kind.service_made)(&live)?.is_some_and(|made| made.untouched);
        let birth = |form: &Value| kind.birth_mark.and_then(|field| form.get(field).cloned());
        let again = birth(&live).is_some_and(|born| !born.is_null() && Some(born) != birth(deleted));
        if !untouched || !again || self.maker_exists(made).await? {
            return Ok(());
        }
        self.turn().await?;
        self.send(self.shared.provider.delete(&self.step.kind, &live)).await
    }

    fn left_to_next(&self, made: &ServiceMade) -> Result<(), CallError> {
        let text = format!(
            "{}: AWS may create it again for {}; the next `provisioner up` adopts it then",
            self.address(),
            made.name
        );
        let _ = self.shared.events.send(Event::Notice(text));
        Ok(())
    }
}
