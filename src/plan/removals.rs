//! The removals: what is recorded, begun or tagged as the stack's, and no longer wanted.

use super::{
    claims::{foreign_parent, ownership_of},
    ownership::{Ownership, aws_name, is_abandoned_create, judge},
    plan_input::{Input, Strays},
    refusals::{not_ours, refusal, tags_lost},
};
use crate::model::{
    Action, Address, CallError, Changes, DeletePolicy, Dropped, Entry, ErrorKind, Kind, Observation, Origin,
    Plan, PlannedChange, Stage, Stray,
};

/// Plans the removal of what is recorded, begun or tagged as the stack's and no longer wanted.
///
/// # Errors
/// A kind that does not exist, or that could not be looked at.
pub(super) fn removals(input: &Input<'_>, plan: &mut Plan) -> Result<(), CallError> {
    let unwanted = |address: &Address, stage: Stage| {
        let selected = |target: &String| address.is_within(target) || stage.name() == target;
        !input.graph.nodes.contains_key(address)
            && (input.targets.is_empty() || input.targets.iter().any(selected))
    };
    for (address, entry) in &input.snapshot.resources {
        if unwanted(address, entry.stage) {
            let kind = known(input, address, &entry.kind)?;
            recorded(input, address, entry, kind, plan)?;
        }
    }
    for (address, intent) in &input.snapshot.intents {
        if !input.snapshot.resources.contains_key(address) && unwanted(address, intent.stage) {
            known(input, address, &intent.kind)?;
            let note = Some("an earlier run began to create it".to_owned());
            plan.changes.push(delete(address, &intent.kind, intent.stage, Origin::File, note));
        }
    }
    if input.strays != Strays::Keep {
        for (address, found) in &input.observed.found {
            let known = input.snapshot.resources.contains_key(address)
                || input.snapshot.intents.contains_key(address);
            // What ends with its parent is no leftover of its own.
            let of_parent =
                (input.kinds)(&found.kind).is_some_and(|kind| kind.delete_policy == DeletePolicy::WithParent);
            if !known && !of_parent && unwanted(address, Stage::Network) {
                stray(input, address, found, plan);
            }
        }
    }
    Ok(())
}

fn known(input: &Input<'_>, address: &Address, kind: &str) -> Result<Kind, CallError> {
    (input.kinds)(kind).ok_or_else(|| {
        let kind: String = kind.chars().take(60).collect();
        let message = format!("{address}: the state records an unknown kind ({kind:?})");
        let hint = "use the version of provisioner that wrote the state, or restore an older one with \
                    `provisioner state rollback`";
        CallError::new(ErrorKind::Refused, message).hint(hint)
    })
}

fn delete(
    address: &Address,
    kind: &str,
    stage: Stage,
    origin: Origin,
    note: Option<String>,
) -> PlannedChange {
    PlannedChange {
        address: address.clone(),
        kind: kind.to_owned(),
        stage,
        action: Action::Delete,
        origin,
        fields: Changes::default(),
        note,
        loses: None,
    }
}

/// Plans what is recorded: its deletion, a refusal, or that only its record is dropped.
fn recorded(
    input: &Input<'_>,
    address: &Address,
    entry: &Entry,
    kind: Kind,
    plan: &mut Plan,
) -> Result<(), CallError> {
    let stage = entry.stage;
    let dropped =
        |reason: String| Dropped { address: address.clone(), kind: kind.name.to_owned(), stage, reason };
    let Some(found) = input.observed.found.get(address) else {
        if let Some(error) = input.observed.failed.get(kind.name) {
            match foreign_parent(input, address, kind) {
                Some(who) => plan.dropped.push(dropped(format!("it {who}"))),
                // The deletion looks at it again before its call, and fails there alone.
                None if input.consent.removal && error.class == ErrorKind::Denied => {
                    let note = Some(format!("could not be looked at: {error}"));
                    plan.changes.push(delete(address, kind.name, stage, Origin::File, note));
                }
                None => return Err(error.clone()),
            }
            return Ok(());
        }
        // A deletion that an earlier run began was not done by others.
        let (origin, note) = match entry.leaving {
            true => (Origin::File, "an earlier run deleted it; only its record is dropped"),
            false => (Origin::Drift, "already deleted; only its record is dropped"),
        };
        plan.changes.push(delete(address, kind.name, stage, origin, Some(note.to_owned())));
        return Ok(());
    };
    let refused = match ownership_of(input, address, found) {
        Ownership::Ours => match (kind.deleted)(&found.live)? {
            true => {
                let begun = || Some("its deletion has begun already".to_owned());
                let note = (kind.deletion_note)(&found.live)?.or_else(begun);
                let origin = if entry.leaving { Origin::File } else { Origin::Drift };
                plan.changes.push(delete(address, kind.name, stage, origin, note));
                return Ok(());
            }
            false => may_delete(input, address, entry, kind, found)?,
        },
        Ownership::TagsLost => Some(tags_lost(&input.snapshot.owner(), address, kind.info, &found.live)),
        own @ (Ownership::Foreign { .. } | Ownership::Leftover) => {
            let name = aws_name(&found.live).unwrap_or("it");
            let who = own.foreign().unwrap_or_default();
            plan.dropped.push(dropped(format!("{name} {who}")));
            return Ok(());
        }
        own @ Ownership::Unproven => {
            Some(not_ours(&own, &input.snapshot.owner(), address, kind.info, &found.live))
        }
    };
    if let Some((reason, hint)) = refused {
        plan.refusals.push(refusal(address, kind.name, stage, reason, hint));
        return Ok(());
    }
    let loses = if input.consent.removal { None } else { (kind.holds)(&found.live)?.map(str::to_owned) };
    let note = match input.snapshot.is_retired(address) {
        true => Some(format!("replaced by {}", address.base())),
        false => (kind.deletion_note)(&found.live)?,
    };
    let change = delete(address, kind.name, stage, Origin::File, note);
    plan.changes.push(PlannedChange { loses, ..change });
    Ok(())
}

/// Reason and hint if `up` must not delete it.
fn may_delete(
    input: &Input<'_>,
    address: &Address,
    entry: &Entry,
    kind: Kind,
    found: &Observation,
) -> Result<Option<(String, String)>, CallError> {
    if input.consent.removal {
        return Ok(None);
    }
    if kind.protected && input.consent.protect {
        let reason = format!("the stack is protected, and {address} would be deleted");
        return Ok(Some((reason, "undo that change, or set `protect: false`".to_owned())));
    }
    // An earlier run that was allowed to delete it has begun.
    if entry.leaving {
        return Ok(None);
    }
    Ok((kind.deletion_guard)(&found.live)?.map(|field| {
        let reason = format!("would be deleted, but `{field}` is enabled");
        (reason, format!("undo that change, or set `{field}: false`, run `provisioner up`, and try again"))
    }))
}

/// Plans what carries the stack's tags and is not recorded: the deletion only of what the state knows to have created.
fn stray(input: &Input<'_>, address: &Address, found: &Observation, plan: &mut Plan) {
    let Some(kind) = (input.kinds)(&found.kind) else { return };
    let (snapshot, owner) = (input.snapshot, input.snapshot.owner());
    let proven = is_abandoned_create(&snapshot.abandoned, &owner, address, &found.live);
    if !kind.tagged || judge(kind, &owner, None, None, &found.live) != Ownership::Unproven {
        return;
    }
    let forgotten = snapshot.forgotten().contains(address);
    let chosen = match input.strays {
        Strays::Keep => false,
        Strays::Remove => proven && !forgotten,
        Strays::RemoveProven => proven,
        Strays::RemoveAll => true,
    };
    if chosen {
        let note = match proven {
            true => "created by an earlier run that did not learn of it",
            false => "carries this stack's tags; not in its state",
        };
        plan.changes.push(delete(address, &found.kind, Stage::Network, Origin::Drift, Some(note.to_owned())));
        return;
    }
    let id = aws_name(&found.live).unwrap_or_default().to_owned();
    plan.strays.push(Stray { address: address.clone(), kind: found.kind.clone(), id, forgotten });
}
