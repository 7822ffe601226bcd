//! The words of refusals: what a rule forbids, and how to get on.

use super::ownership::{Ownership, aws_name, tag_of};
use crate::model::{Address, CallError, KindInfo, Owner, PlanRefusal, Stage, tag};
use serde_json::Value;

/// Why a resource gets no decision.
pub(super) enum Stop {
    /// A rule forbids it; the rest is planned.
    Refused(Box<PlanRefusal>),
    /// The plan cannot be made.
    Failed(CallError),
}

impl From<PlanRefusal> for Stop {
    fn from(refusal: PlanRefusal) -> Self {
        Stop::Refused(Box::new(refusal))
    }
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        Stop::Failed(error)
    }
}

/// Returns a refusal that blocks nothing yet.
pub(super) fn refusal(
    address: &Address,
    kind: &str,
    stage: Stage,
    reason: impl Into<String>,
    hint: impl Into<String>,
) -> PlanRefusal {
    PlanRefusal {
        address: address.clone(),
        kind: kind.to_owned(),
        stage,
        reason: reason.into(),
        hint: hint.into(),
        blocks: Vec::new(),
    }
}

/// Returns reason and hint for a wanted resource that exists and is not the stack's.
pub fn not_ours(
    own: &Ownership,
    owner: &Owner,
    address: &Address,
    kind: &KindInfo,
    live: &Value,
) -> (String, String) {
    let (name, setting) = (aws_name(live).unwrap_or("?"), kind.setting.unwrap_or("state.keyArn"));
    let kind = kind.name;
    let import = format!("`provisioner state import {address} {name}");
    let reason = match own.foreign() {
        Some(who) => format!("{kind} {name} exists already and {who}"),
        None => format!(
            "{kind} {name} carries this stack's tags, but the state does not record it, and anyone can write tags"
        ),
    };
    let hint = match own {
        _ if owner.is_backend() => {
            format!("set another name as `{setting}`, or delete `{name}` if nothing uses it")
        }
        // Adopted, it would be deleted with this stack.
        Ownership::Foreign { .. } if is_other_stacks(owner, live) => {
            "rename the stack or the resource; the other stack uses it".to_owned()
        }
        Ownership::Foreign { .. } | Ownership::Leftover => {
            format!("adopt it with {import} --take-over`, or rename the stack or the resource")
        }
        _ => format!("adopt it with {import}`, or remove its `provisioner:` tags"),
    };
    (reason, hint)
}

/// Returns whether the tags name another stack.
fn is_other_stacks(owner: &Owner, live: &Value) -> bool {
    tag_of(live, tag::STACK).is_some_and(|stack| stack != owner.stack)
}

/// Returns reason and hint for a recorded resource without the owner's tags.
pub fn tags_lost(owner: &Owner, address: &Address, kind: &KindInfo, live: &Value) -> (String, String) {
    let (name, kind) = (aws_name(live).unwrap_or("?"), kind.name);
    if owner.is_backend() {
        return (
            format!("{kind} {name} no longer carries the tag {}, so nothing shows whose it is", tag::BACKEND),
            format!("put the tag `{}={}` back if it is the backend's", tag::BACKEND, owner.lineage),
        );
    }
    (
        format!("{kind} {name} no longer carries the stack's tags, so it is neither changed nor deleted"),
        format!(
            "if it is this stack's, `provisioner state import {address} {name} --take-over` puts the tags back; \
             `provisioner state forget {address}` drops its record"
        ),
    )
}
