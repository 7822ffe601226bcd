//! Whose a resource is, asked immediately before each call that changes or deletes it.

use super::{
    observe::choose,
    step::{Retry, Task},
};
use crate::{
    model::{Address, CallError, Entry, ErrorKind, Kind, KindInfo},
    plan::{Ownership, is_abandoned_create, is_part_of_parent, judge, names_parent, not_ours, tags_lost},
    resources::Lookup,
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::PoisonError};

impl Task<'_> {
    /// Returns whose `live` is. What is part of another resource is its parent's; when `removing`, it must name a recorded
    /// one.
    pub(super) async fn ownership(&self, live: &Value, removing: bool) -> Result<Ownership, CallError> {
        let kind = self.kind()?;
        match self.is_part_of_parent(kind, live) {
            true => self.ownership_of_parent(live, removing).await,
            false => Ok(self.own(kind, live)),
        }
    }

    /// Whether the ownership of `live` is that of the resource that it is part of.
    pub(super) fn is_part_of_parent(&self, kind: Kind, live: &Value) -> bool {
        is_part_of_parent(kind, &self.shared.owner, self.entry.as_ref(), live)
    }

    /// Returns whose `live` is by its own tags and birth mark.
    pub(super) fn own(&self, kind: Kind, live: &Value) -> Ownership {
        let owner = &self.shared.owner;
        let abandoned = self.shared.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        match is_abandoned_create(&abandoned, owner, self.address(), live) {
            true => Ownership::Ours,
            false => judge(kind, owner, self.entry.as_ref(), self.intent.as_ref(), live),
        }
    }

    /// Refuses to change what is not the stack's.
    pub(super) async fn check_owner(&self, live: &Value) -> Result<(), CallError> {
        if self.shared.is_approved(self.address()) {
            return Ok(());
        }
        match self.ownership(live, false).await? {
            Ownership::Ours | Ownership::TagsLost => Ok(()),
            own => Err(self.refused(&own, live)),
        }
    }

    /// The refusal of what is not the stack's, or cannot be shown to be.
    pub(super) fn refused(&self, own: &Ownership, live: &Value) -> CallError {
        let address = self.address();
        let kind = self.kind().map_or(&KindInfo::DEFAULT, |kind| kind.info);
        let (reason, hint) = match own {
            Ownership::TagsLost => tags_lost(address, kind.name, live),
            own => not_ours(own, &self.shared.owner, address, kind, live),
        };
        CallError { code: "NotOurs".to_owned(), ..CallError::new(ErrorKind::Refused, reason).hint(hint) }
    }

    async fn ownership_of_parent(&self, live: &Value, removing: bool) -> Result<Ownership, CallError> {
        let (mut first, mut missing) = (None, false);
        for (address, entry, kind) in self.parents(live) {
            let recorded = entry.live.get("id").cloned();
            let lookup = Lookup {
                address: address.clone(),
                want: entry.spec.clone(),
                recorded: entry.live.clone(),
                name: None,
            };
            let mut retry = Retry::default();
            let mut lives = loop {
                match self.shared.batcher.find(kind.name, lookup.clone()).await {
                    Ok(lives) => break lives,
                    Err(error) => self.again(&mut retry, error).await?,
                }
            };
            let Some(index) = choose(&lives, recorded.as_ref(), None) else {
                missing = true;
                continue;
            };
            let parent = lives.swap_remove(index);
            let own = match judge(kind, &self.shared.owner, Some(&entry), None, &parent) {
                Ownership::Foreign { who } => {
                    Ownership::Foreign { who: format!("is part of {address}, which {who}") }
                }
                own => own,
            };
            if names_parent(live, &parent) {
                return Ok(own);
            }
            first.get_or_insert(own);
        }
        Ok(match first {
            Some(own) if !removing => own,
            _ if removing && !missing => {
                Ownership::Foreign { who: "is not part of any resource that this stack records".to_owned() }
            }
            _ => Ownership::Ours,
        })
    }

    /// The recorded resources with tags that this one depends on, first those that `live` names.
    fn parents(&self, live: &Value) -> Vec<(Address, Entry, Kind)> {
        let mut all: BTreeSet<&Address> = self.step.dependencies.iter().collect();
        all.extend(self.entry.iter().flat_map(|entry| &entry.dependencies));
        all.extend(self.intent.iter().flat_map(|intent| &intent.dependencies));
        let entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parents: Vec<(Address, Entry, Kind)> = all
            .into_iter()
            .filter_map(|at| {
                let entry = entries.get(at)?;
                let kind = self.shared.provider.kind(&entry.kind).filter(|kind| kind.tagged)?;
                Some((at.clone(), entry.clone(), kind))
            })
            .collect();
        parents.sort_by_key(|(_, entry, _)| !names_parent(live, &entry.live));
        parents
    }
}
