//! Whose a resource is, asked immediately before each call that changes or deletes it.

use super::{
    observe::choose,
    step::{Retry, Task},
};
use crate::{
    model::{Address, CallError, Entry, ErrorKind, Kind, KindInfo},
    plan::{
        Ownership, is_abandoned_create, is_part_of_parent, judge, names_parent, not_ours, of_no_parent,
        tags_lost,
    },
    resources::Lookup,
};
use serde_json::Value;
use std::{collections::BTreeSet, sync::PoisonError};

impl Task<'_> {
    /// Returns whose `live` is. What is part of another resource is its parent's, and must name a recorded one.
    pub(super) async fn ownership(&self, live: &Value) -> Result<Ownership, CallError> {
        let kind = self.kind()?;
        match self.is_part_of_parent(kind, live) {
            true => self.ownership_of_parent(kind, live).await,
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
        match self.ownership(live).await? {
            Ownership::Ours | Ownership::TagsLost => Ok(()),
            own => Err(self.refused(&own, live)),
        }
    }

    /// The refusal of what is not the stack's, or cannot be shown to be.
    pub(super) fn refused(&self, own: &Ownership, live: &Value) -> CallError {
        let address = self.address();
        let kind = self.kind().map_or(&KindInfo::DEFAULT, |kind| kind.info);
        let (reason, hint) = match own {
            Ownership::TagsLost => tags_lost(&self.shared.owner, address, kind, live),
            own => not_ours(own, &self.shared.owner, address, kind, live),
        };
        CallError { code: "NotOurs".to_owned(), ..CallError::new(ErrorKind::Refused, reason).hint(hint) }
    }

    async fn ownership_of_parent(&self, kind: Kind, live: &Value) -> Result<Ownership, CallError> {
        let mut lags = false;
        for (address, entry, of) in self.parents() {
            let recorded = entry.live.get("id").cloned();
            let lookup = Lookup {
                address: address.clone(),
                want: entry.spec.clone(),
                recorded: entry.live.clone(),
                name: None,
            };
            let mut retry = Retry::default();
            let mut lives = loop {
                match self.shared.batcher.find(of.name, lookup.clone()).await {
                    Ok(lives) => break lives,
                    Err(error) => self.again(&mut retry, error).await?,
                }
            };
            let Some(index) = choose(&lives, recorded.as_ref(), None) else {
                // A list that lags may leave the parent out.
                lags |= names_parent(kind, live, of.name, &entry.live);
                continue;
            };
            let parent = lives.swap_remove(index);
            if names_parent(kind, live, of.name, &parent) {
                return Ok(match judge(of, &self.shared.owner, Some(&entry), None, &parent) {
                    Ownership::Foreign { who } => {
                        Ownership::Foreign { who: format!("is part of {address}, which {who}") }
                    }
                    own => own,
                });
            }
        }
        Ok(if lags { Ownership::Ours } else { of_no_parent() })
    }

    /// The recorded resources that this one may be part of.
    fn parents(&self) -> Vec<(Address, Entry, Kind)> {
        let mut all: BTreeSet<&Address> = self.step.dependencies.iter().collect();
        all.extend(self.entry.iter().flat_map(|entry| &entry.dependencies));
        all.extend(self.intent.iter().flat_map(|intent| &intent.dependencies));
        let part_of = self.kind().ok().and_then(|kind| kind.part_of);
        let entries = self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let parent = |at: &Address| {
            let entry = entries.get(at).filter(|entry| part_of.is_some_and(|(of, _)| of == entry.kind))?;
            Some((at.clone(), entry.clone(), self.shared.provider.kind(&entry.kind)?))
        };
        all.into_iter().filter_map(parent).collect()
    }
}
