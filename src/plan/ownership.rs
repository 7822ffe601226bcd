//! Whose a resource is. Plan and engine ask the same function, the engine immediately before each call that changes or
//! deletes: names, aliases and tags can be reused by others between two looks.

use crate::model::{Address, DeletePolicy, Entry, Identity, Intent, Kind, Owner, tag};
use serde_json::Value;
use std::collections::BTreeMap;

/// Whose a live resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The stack's: its tags name stack and lineage, and its birth mark is the recorded one.
    Ours,
    /// The recorded one by its birth mark, without the stack's tags: they were removed outside provisioner, or the record is
    /// forged, which can name any resource. Not enough to change or delete it.
    TagsLost,
    /// Of another stack, of another tool, or created again by another caller.
    Foreign {
        /// What follows the resource's name in a sentence: `belongs to stack "other"`.
        who: String,
    },
    /// An AWS service created it for a resource of this name that existed before, and it is unchanged since. Enough to
    /// adopt it if no resource of that name exists, not to delete it.
    Leftover,
    /// It carries the stack's tags, which anyone with tagging rights can write, and the state does not record it.
    Unproven,
}

impl Ownership {
    /// Returns why it is another owner's, as what follows its name in a sentence.
    pub fn foreign(&self) -> Option<&str> {
        match self {
            Ownership::Foreign { who } => Some(who),
            Ownership::Leftover => Some("was not created by provisioner"),
            _ => None,
        }
    }
}

/// How the live birth mark compares with the recorded one.
enum Birth {
    Same,
    Other(String),
    /// The kind has none, or it was not recorded.
    Unknown,
}

/// Returns whose `live` is, by its own tags and birth mark. `intent` is the open create at its address.
pub fn judge(
    kind: Kind,
    owner: &Owner,
    entry: Option<&Entry>,
    intent: Option<&Intent>,
    live: &Value,
) -> Ownership {
    let birth = birth(kind, entry, live);
    // A state can be forged, so that its intent proves nothing of what carries no tags.
    let accepted = kind.identity == Identity::Name && intent.is_some_and(|intent| intent.made);
    if owner.is_backend() {
        return match (tag_of(live, tag::BACKEND), birth) {
            (Some(_), _) => Ownership::Ours,
            (None, Birth::Same) => Ownership::TagsLost,
            (None, _) => foreign("does not carry the tag provisioner:backend"),
        };
    }
    if kind.self_marked {
        // Its mark names the stack, not the lineage, and anyone can write it.
        return if entry.is_some() || intent.is_some() { Ownership::Ours } else { Ownership::Unproven };
    }
    let (stack, lineage) = (tag_of(live, tag::STACK), tag_of(live, tag::LINEAGE));
    match (stack, lineage) {
        (Some(stack), _) if stack != owner.stack => foreign(format!("belongs to stack \"{stack}\"")),
        (_, Some(lineage)) if lineage != owner.lineage => {
            foreign(format!("belongs to another stack named \"{}\" (lineage {lineage})", owner.stack))
        }
        (Some(_), Some(_)) => match (entry, birth) {
            _ if created_by(intent, live) => Ownership::Ours,
            (Some(_), Birth::Other(mark)) => {
                foreign(format!("was created again outside provisioner ({mark}), with copied tags"))
            }
            (Some(_), _) => Ownership::Ours,
            (None, _) if accepted => Ownership::Ours,
            (None, _) => Ownership::Unproven,
        },
        _ => match birth {
            Birth::Same => Ownership::TagsLost,
            Birth::Other(mark) => foreign(format!("was created again outside provisioner ({mark})")),
            Birth::Unknown if entry.is_none() && is_untouched(kind, live) => Ownership::Leftover,
            Birth::Unknown => foreign("was not created by provisioner"),
        },
    }
}

/// Whether `live` is as an AWS service creates it. A form that cannot be read is not.
fn is_untouched(kind: Kind, live: &Value) -> bool {
    (kind.service_made)(live).is_ok_and(|made| made.is_some_and(|made| made.untouched))
}

fn foreign(who: impl Into<String>) -> Ownership {
    Ownership::Foreign { who: who.into() }
}

/// Whether `live` carries the nonce of `intent`.
pub fn created_by(intent: Option<&Intent>, live: &Value) -> bool {
    intent.is_some_and(|intent| tag_of(live, tag::INTENT) == Some(&intent.nonce))
}

/// Whether the state knows that it sent the create of `live` and gave up waiting for it: its tags are the owner's, and the
/// nonce in them is remembered under `address`, or under the address that `live` is another one of.
pub fn is_abandoned_create(
    abandoned: &BTreeMap<String, Address>,
    owner: &Owner,
    address: &Address,
    live: &Value,
) -> bool {
    let owned =
        tag_of(live, tag::STACK) == Some(&owner.stack) && tag_of(live, tag::LINEAGE) == Some(&owner.lineage);
    let of = tag_of(live, tag::INTENT).filter(|_| owned).and_then(|nonce| abandoned.get(nonce));
    let twin =
        |of: &Address| address.as_str().strip_prefix(of.as_str()).is_some_and(|rest| rest.starts_with('#'));
    of.is_some_and(|of| of == address || twin(of))
}

/// Whether the ownership of `live` is that of the resource that it is part of: it cannot carry tags, or AWS creates it
/// together with its parent. Such a one has no tags at first, and none but the stack's if a run ended between tagging and
/// recording it.
pub fn is_part_of_parent(kind: Kind, owner: &Owner, entry: Option<&Entry>, live: &Value) -> bool {
    let names = |key: &str, own: &str| tag_of(live, key).is_none_or(|name| name == own);
    let owned = entry.is_none() && names(tag::STACK, &owner.stack) && names(tag::LINEAGE, &owner.lineage);
    let comes_with_it =
        kind.delete_policy == DeletePolicy::WithParent && (owned || tag_of(live, tag::STACK).is_none());
    (!kind.tagged && !kind.self_marked) || comes_with_it
}

/// Whether `live`, of `kind`, is part of `parent`: it has a field for one of the kind `of`, which names that. Only this
/// field counts, since others may come from the state.
pub fn names_parent(kind: Kind, live: &Value, of: &str, parent: &Value) -> bool {
    let Some((_, field)) = kind.part_of.filter(|(part_of, _)| *part_of == of) else { return false };
    let Some(named) = live.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()) else {
        return false;
    };
    ["id", "name", "arn"].iter().any(|field| parent.get(field).and_then(Value::as_str) == Some(named))
}

/// The owner of a part that names no resource that the state records.
pub fn of_no_parent() -> Ownership {
    foreign("is not part of any resource that this stack records")
}

/// The value of a live resource's tag.
pub fn tag_of<'a>(live: &'a Value, key: &str) -> Option<&'a str> {
    live.get("tags")?.get(key)?.as_str()
}

/// What AWS calls the resource: its id, else its name, else its ARN.
pub fn aws_name(live: &Value) -> Option<&str> {
    ["id", "name", "arn"].iter().find_map(|field| live.get(field)?.as_str().filter(|text| !text.is_empty()))
}

fn birth(kind: Kind, entry: Option<&Entry>, live: &Value) -> Birth {
    let Some(entry) = entry else { return Birth::Unknown };
    let text = |form: &Value, field: &str| {
        form.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    if let Some(counter) = kind.birth_counter {
        let number = |form: &Value| form.get(counter).and_then(Value::as_i64);
        let (recorded, now) = (number(&entry.live), number(live));
        if let (Some(recorded), Some(now)) = (recorded, now)
            && now < recorded
        {
            return Birth::Other(format!("{counter} {now}, recorded {recorded}"));
        }
        let time = |form: &Value| kind.counted_at.and_then(|field| text(form, field));
        return match (time(&entry.live), time(live)) {
            (Some(then), Some(at)) if recorded == now && then != at => {
                Birth::Other(format!("{counter} of {at}, recorded {then}"))
            }
            _ => Birth::Unknown,
        };
    }
    let Some(mark) = kind.birth_mark else { return Birth::Unknown };
    match (text(&entry.live, mark), text(live, mark)) {
        (Some(recorded), Some(now)) if recorded == now => Birth::Same,
        (Some(_), Some(now)) => Birth::Other(now),
        _ => Birth::Unknown,
    }
}
