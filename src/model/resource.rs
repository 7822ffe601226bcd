//! The pure half of a resource kind.

use super::{Ahead, Blockable, CallError, Changes, Field, IamGrant, NotApplied, ServiceMade};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::time::Duration;

/// How a resource is found again if its id was not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// AWS keeps the name (or another natural key) unique: a second create is refused.
    Name,
    /// The create call takes our own client token: the same call again returns the same resource.
    Token,
    /// Neither: the create goes out exactly once, and the owner tags inside it are the only trace.
    OwnerTag,
}

/// How a resource goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletePolicy {
    /// By its own delete call; the engine looks until it is gone.
    Deleted,
    /// With the resource that it belongs to; removing it only drops the record.
    WithParent,
}

/// What one look at a live resource says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can be used.
    Ready,
    /// Not yet, and why.
    Waiting(String),
    /// It does not work, and why. It may recover within minutes, but not later.
    Degraded(String),
    /// A person stopped it and can start it again: it is reported and never replaced, and neither is what depends on it.
    Suspended {
        /// What it is: `the key is disabled`.
        why: String,
        /// The command that undoes it.
        remedy: String,
    },
    /// It will never work, and why.
    Failed(String),
}

/// In which order a replacement happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacementOrder {
    /// The old one is deleted before the new one is created: both cannot exist at once.
    DeleteFirst,
    /// The new one is created under another name and becomes ready before the old one is deleted. The name in the file is
    /// the last segment of the address, and the field `name` of both forms.
    CreateFirst,
}

/// Everything that the program knows about a kind beside its forms and its verbs. The registry gathers these; nothing
/// about a single kind is written anywhere else.
#[derive(Clone, Copy, Debug)]
pub struct KindInfo {
    /// The kind's name in addresses, tags, plans and state. Never renamed.
    pub name: &'static str,
    /// How it is found again.
    pub identity: Identity,
    /// Whether the live form has a `tags` field that holds the owner tags.
    pub tagged: bool,
    /// How it is deleted.
    pub delete_policy: DeletePolicy,
    /// In which order it is replaced.
    pub replacement: ReplacementOrder,
    /// Maximum length of a name, in characters; kinds that are replaced by creation first have one.
    pub max_name_len: usize,
    /// Fields of the spec of which no two resources of the kind can have the same values at once. One that takes over the
    /// values of another is created after the other is deleted.
    pub exclusive: &'static [&'static str],
    /// Kinds whose resources need it to be deleted, although they do not depend on it: it is deleted after them.
    pub outlives: &'static [&'static str],
    /// Whether AWS creates and deletes only one of the kind at a time.
    pub serial: bool,
    /// Whether it is updated also while it is not ready: the update may be what it waits for.
    pub update_while_unready: bool,
    /// Fields of the live form that other resources refer to.
    pub supplies: &'static [Field],
    /// Fields of the live form that change with an update: what refers to them changes, too.
    pub computed_on_update: &'static [&'static str],
    /// The kind that it belongs to only by a name, and the field with that name: when the parent is replaced, so is this,
    /// though no field of it differs.
    pub parent: Option<(&'static str, &'static str)>,
    /// The kind that it is part of, if it cannot carry tags or AWS creates it together with that: whose the parent is, it
    /// is. With the field that holds the parent's id or name.
    pub part_of: Option<(&'static str, &'static str)>,
    /// What precedes the name in its ARN (`:log-group:`), if the tagging API lists the kind and the name is enough to
    /// find it.
    pub arn_prefix: Option<&'static str>,
    /// Whether something that the same plan changes may keep it from being described. The plan then continues with
    /// [`Resource::assume_recorded`] of what is recorded, and with nothing of the rest.
    pub may_be_unreachable: bool,
    /// Whether `protect: true` refuses to delete or replace it.
    pub protected: bool,
    /// What a deletion or a replacement loses, for people ("the container images in it"). None: nothing that `up` does
    /// not create again.
    pub holds: Option<&'static str>,
    /// The text field of the live form that AWS never gives twice (an id, a time of creation), so that a resource that
    /// was deleted and created again under the same name is told apart. None: the kind has no such field.
    pub birth_mark: Option<&'static str>,
    /// A number in the live form that AWS only increases during one life: a lower one than recorded is another
    /// resource under the same name. For kinds without a birth mark.
    pub birth_counter: Option<&'static str>,
    /// What keeps it from being deleted.
    pub blockable: Blockable,
    /// The text field of the live form with the time at which `birth_counter` got its value: the same count with another
    /// time is another resource under the same name.
    pub counted_at: Option<&'static str>,
    /// Whether `find` checks a mark of the stack on it, although it is not tagged as a resource of the stack.
    pub self_marked: bool,
    /// The field of the stack file that names another one, for a kind whose name all stacks share (`state.bucket`).
    pub setting: Option<&'static str>,
    /// How long it may take to become ready.
    pub ready_within: Duration,
    /// How long it may take to be deleted, once AWS accepted the delete call.
    pub deleted_within: Duration,
    /// What a step takes if no duration has been learned yet; only the order of starts depends on it.
    pub typical: Duration,
    /// The IAM actions that its verbs need, and those that AWS checks beside them (`iam:PassRole`), each with its scope.
    pub iam: &'static [IamGrant],
}

impl KindInfo {
    /// What holds for most kinds. `name` and `iam` are each kind's own.
    pub const DEFAULT: KindInfo = KindInfo {
        name: "",
        identity: Identity::OwnerTag,
        tagged: true,
        delete_policy: DeletePolicy::Deleted,
        replacement: ReplacementOrder::DeleteFirst,
        max_name_len: 63,
        exclusive: &[],
        outlives: &[],
        serial: false,
        update_while_unready: false,
        supplies: &[],
        computed_on_update: &[],
        parent: None,
        part_of: None,
        arn_prefix: None,
        may_be_unreachable: false,
        protected: false,
        holds: None,
        birth_mark: None,
        birth_counter: None,
        blockable: Blockable::Never,
        counted_at: None,
        self_marked: false,
        setting: None,
        ready_within: minutes(5),
        deleted_within: minutes(10),
        typical: Duration::from_secs(1),
        iam: &[],
    };

    /// Returns whether it declares this IAM action.
    pub fn declares(&self, action: &str) -> bool {
        self.iam.iter().any(|(_, actions)| actions.contains(&action))
    }

    /// The service that it belongs to, as in IAM actions: that of the first action it declares.
    pub fn service(&self) -> &'static str {
        match self.iam {
            [(_, [action, ..]), ..] => action.split(':').next().unwrap_or_default(),
            _ => "",
        }
    }
}

/// A duration of whole minutes.
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// What is asked for of one kind: the form in which the graph names a resource.
pub trait Desired: Serialize {
    /// [`Resource::KIND`] of its kind.
    const KIND: &'static str;
}

/// The pure half of a resource kind: what it is, and how a wanted one compares with a live one.
pub trait Resource: Send + Sync + Sized + 'static {
    /// What the program knows about the kind.
    const INFO: KindInfo;
    /// The same, for a kind without its types.
    const INFO_REF: &'static KindInfo = &Self::INFO;
    /// The kind's name.
    const KIND: &'static str = Self::INFO.name;
    /// What is asked for. Fields fed by other resources are [`In`](super::In).
    type Spec: Serialize + DeserializeOwned + Send + Sync;
    /// What AWS reports, reduced to what the spec says, ids and status.
    type Live: Serialize + DeserializeOwned + Send + Sync;

    /// What must change for `live` to be as wanted. Empty when nothing must.
    fn diff(want: &Self::Spec, live: &Self::Live) -> Changes;
    /// Whether it can be used. Most resources can as soon as they exist.
    fn ready(_live: &Self::Live) -> Readiness {
        Readiness::Ready
    }
    /// Why `live` cannot become as wanted by any means, in words for the file's author.
    fn validate_change(_want: &Self::Spec, _live: &Self::Live) -> Option<String> {
        None
    }
    /// What of `live` is ahead of `want` and is kept, since AWS cannot go back or the file leaves it open. `recorded` is
    /// what the state holds.
    fn ahead(
        _want: &Self::Spec,
        _live: &Self::Live,
        _recorded: Option<(&Self::Spec, &Self::Live)>,
    ) -> Option<Ahead<Self::Spec>> {
        None
    }
    /// What of `want` is not applied to `live`, since another owner set it. `recorded` is the spec in the state.
    fn not_applied(
        _want: &Self::Spec,
        _live: &Self::Live,
        _recorded: Option<&Self::Spec>,
    ) -> Option<NotApplied<Self::Spec>> {
        None
    }
    /// Why AWS gave up on deleting it. It then stays until the delete call is repeated.
    fn delete_failed(_live: &Self::Live) -> Option<String> {
        None
    }
    /// For which resource an AWS service creates it, if one does.
    fn service_made(_live: &Self::Live) -> Option<ServiceMade> {
        None
    }
    /// What its deletion does beside deleting it, if a reader of the plan should know.
    fn deletion_note(_live: &Self::Live) -> Option<String> {
        None
    }
    /// What a deletion or replacement of this one loses.
    fn holds(_live: &Self::Live) -> Option<&'static str> {
        Self::INFO.holds
    }
    /// The field of the stack file that protects this one from deletion, if it does.
    fn deletion_guard(_live: &Self::Live) -> Option<&'static str> {
        None
    }
    /// Whether its deletion is irrevocably under way, also if it was begun outside provisioner.
    fn deleting(_live: &Self::Live) -> bool {
        false
    }
    /// Whether it counts as deleted although AWS still describes it.
    fn deleted(_live: &Self::Live) -> bool {
        false
    }
    /// The recorded form, marked as not described for this reason, so that it differs from what is asked for.
    fn assume_recorded(recorded: Self::Live, _why: &str) -> Self::Live {
        recorded
    }
}

/// A kind without its types, so that plan and engine can hold a list of them. Reads as its [`KindInfo`].
#[derive(Clone, Copy)]
pub struct Kind {
    /// What is known about it.
    pub info: &'static KindInfo,
    /// [`Resource::diff`], over serialised forms. Errors when a form is not of this kind.
    pub diff: fn(&Value, &Value) -> Result<Changes, CallError>,
    /// [`Resource::ready`], over a serialised live form.
    pub ready: fn(&Value) -> Result<Readiness, CallError>,
    /// [`Resource::validate_change`], over serialised forms.
    pub validate_change: fn(&Value, &Value) -> Result<Option<String>, CallError>,
    /// [`Resource::ahead`], over serialised forms; a recorded form that cannot be read counts as none.
    pub ahead: fn(&Value, &Value, Option<(&Value, &Value)>) -> Result<Option<Ahead<Value>>, CallError>,
    /// [`Resource::not_applied`], over serialised forms; a recorded form that cannot be read counts as none.
    pub not_applied: fn(&Value, &Value, Option<&Value>) -> Result<Option<NotApplied<Value>>, CallError>,
    /// [`Resource::delete_failed`], over a serialised live form.
    pub delete_failed: fn(&Value) -> Result<Option<String>, CallError>,
    /// [`Resource::service_made`], over a serialised live form.
    pub service_made: fn(&Value) -> Result<Option<ServiceMade>, CallError>,
    /// [`Resource::deletion_note`], over a serialised live form.
    pub deletion_note: fn(&Value) -> Result<Option<String>, CallError>,
    /// [`Resource::holds`], over a serialised live form.
    pub holds: fn(&Value) -> Result<Option<&'static str>, CallError>,
    /// [`Resource::deletion_guard`], over a serialised live form.
    pub deletion_guard: fn(&Value) -> Result<Option<&'static str>, CallError>,
    /// [`Resource::deleting`], over a serialised live form.
    pub deleting: fn(&Value) -> Result<bool, CallError>,
    /// [`Resource::deleted`], over a serialised live form.
    pub deleted: fn(&Value) -> Result<bool, CallError>,
    /// [`Resource::assume_recorded`], over a serialised live form.
    pub assume_recorded: fn(&Value, &str) -> Result<Value, CallError>,
}

impl Kind {
    /// The kind `R` without its types.
    pub const fn of<R: Resource>() -> Kind {
        Kind {
            info: R::INFO_REF,
            diff: |want, live| {
                Ok(R::diff(&CallError::decode(R::KIND, want)?, &CallError::decode(R::KIND, live)?))
            },
            ready: |live| Ok(R::ready(&CallError::decode(R::KIND, live)?)),
            ahead: |want, live, recorded| {
                let (want, live) = (CallError::decode(R::KIND, want)?, CallError::decode(R::KIND, live)?);
                let recorded: Option<(R::Spec, R::Live)> = recorded.and_then(|(spec, live)| {
                    Some((CallError::decode(R::KIND, spec).ok()?, CallError::decode(R::KIND, live).ok()?))
                });
                let recorded = recorded.as_ref().map(|(spec, live)| (spec, live));
                let Some(ahead) = R::ahead(&want, &live, recorded) else { return Ok(None) };
                let Ahead { spec, note, hint } = ahead;
                Ok(Some(Ahead { spec: CallError::encode(R::KIND, &spec)?, note, hint }))
            },
            not_applied: |want, live, recorded| {
                let (want, live) = (CallError::decode(R::KIND, want)?, CallError::decode(R::KIND, live)?);
                let recorded: Option<R::Spec> =
                    recorded.and_then(|spec| CallError::decode(R::KIND, spec).ok());
                let Some(found) = R::not_applied(&want, &live, recorded.as_ref()) else { return Ok(None) };
                let NotApplied { spec, message, hint, pending } = found;
                Ok(Some(NotApplied { spec: CallError::encode(R::KIND, &spec)?, message, hint, pending }))
            },
            delete_failed: |live| Ok(R::delete_failed(&CallError::decode(R::KIND, live)?)),
            service_made: |live| Ok(R::service_made(&CallError::decode(R::KIND, live)?)),
            deletion_note: |live| Ok(R::deletion_note(&CallError::decode(R::KIND, live)?)),
            holds: |live| Ok(R::holds(&CallError::decode(R::KIND, live)?)),
            deletion_guard: |live| Ok(R::deletion_guard(&CallError::decode(R::KIND, live)?)),
            deleting: |live| Ok(R::deleting(&CallError::decode(R::KIND, live)?)),
            deleted: |live| Ok(R::deleted(&CallError::decode(R::KIND, live)?)),
            assume_recorded: |live, why| {
                let live = R::assume_recorded(CallError::decode(R::KIND, live)?, why);
                serde_json::to_value(live).map_err(|error| CallError::bug(error.to_string()))
            },
            validate_change: |want, live| {
                Ok(R::validate_change(&CallError::decode(R::KIND, want)?, &CallError::decode(R::KIND, live)?))
            },
        }
    }
}

impl std::ops::Deref for Kind {
    type Target = KindInfo;

    fn deref(&self) -> &KindInfo {
        self.info
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kind")
            .field("name", &self.name)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
