//! The pure half of a resource kind.

use super::{Changes, Fault};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// How a resource is found again when nobody wrote down its id.
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
pub enum Departure {
    /// By its own delete call; the engine looks until it is gone.
    Deleted,
    /// With the resource that it belongs to; removing it only drops the record.
    WithParent,
}

/// What one look at a live resource says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It can be used.
    Yes,
    /// Not yet, and why.
    Wait(String),
    /// It does not work, and why. Minutes may mend that; time without end will not.
    Troubled(String),
    /// It will never be, and why.
    Failed(String),
}

/// What is asked for of one kind: the form in which the graph names a resource.
pub trait Desired: Serialize {
    /// [`Resource::KIND`] of its kind.
    const KIND: &'static str;
}

/// The pure half of a resource kind: what it is, and how a wanted one compares with a live one.
pub trait Resource: Send + Sync + Sized + 'static {
    /// The kind's name in addresses, tags, plans and state. Never renamed.
    const KIND: &'static str;
    /// The IAM actions that its verbs need, and those that AWS checks beside them (`iam:PassRole`).
    const IAM: &'static [&'static str];
    /// How it is found again.
    const IDENTITY: Identity;
    /// Whether the live form has a `tags` field that holds the owner tags. A resource found under its name without
    /// them is somebody else's.
    const TAGGED: bool = true;
    /// How it goes.
    const DEPARTURE: Departure = Departure::Deleted;
    /// Whether AWS makes and removes only one of the kind at a time.
    const ONE_AT_A_TIME: bool = false;
    /// Whether it is corrected also while it is not ready: the correction may be what it waits for.
    const MENDS: bool = false;
    /// Fields of the live form that are others after an update: who refers to them changes, too.
    const MOVES: &'static [&'static str] = &[];
    /// The kind that it lives in by a name alone, and the field with that name: when that one is made anew, so is this,
    /// though no field of it differs.
    const WITHIN: Option<(&'static str, &'static str)> = None;
    /// What stands in its ARN before its name (`:log-group:`), where the tagging API lists the kind and its name alone
    /// finds it.
    const NAMED: Option<&'static str> = None;
    /// Whether something that the same plan changes may keep everybody from looking at it. Then a plan goes on where nobody
    /// answers for the kind: with [`Resource::unseen`] of what is recorded, and nothing of the rest.
    const HIDES: bool = false;
    /// What is asked for. Fields fed by other resources are [`In`](super::In).
    type Spec: Serialize + DeserializeOwned + Send + Sync;
    /// What AWS reports, reduced to what the spec says, ids and status.
    type Live: Serialize + DeserializeOwned + Send + Sync;

    /// What must change for `live` to be as wanted. Empty when nothing must.
    fn diff(want: &Self::Spec, live: &Self::Live) -> Changes;
    /// Whether it can be used.
    fn ready(live: &Self::Live) -> Ready;
    /// Why `live` cannot become as wanted by any means, in words for the file's author.
    fn refuse(_want: &Self::Spec, _live: &Self::Live) -> Option<String> {
        None
    }
    /// What its removal does beside removing it, where a reader of the plan should know.
    fn farewell(_live: &Self::Live) -> Option<String> {
        None
    }
    /// The recorded form, marked as not looked at for this reason, so that it differs from what is asked for.
    fn unseen(recorded: Self::Live, _why: &str) -> Self::Live {
        recorded
    }
}

/// A kind with its types rubbed out, so that plan and engine can hold a list of them.
#[derive(Clone, Copy)]
pub struct Kind {
    /// [`Resource::KIND`].
    pub name: &'static str,
    /// [`Resource::IDENTITY`].
    pub identity: Identity,
    /// [`Resource::TAGGED`].
    pub tagged: bool,
    /// [`Resource::DEPARTURE`].
    pub departure: Departure,
    /// [`Resource::IAM`].
    pub iam: &'static [&'static str],
    /// [`Resource::ONE_AT_A_TIME`].
    pub one_at_a_time: bool,
    /// [`Resource::MENDS`].
    pub mends: bool,
    /// [`Resource::MOVES`].
    pub moves: &'static [&'static str],
    /// [`Resource::WITHIN`].
    pub within: Option<(&'static str, &'static str)>,
    /// [`Resource::NAMED`].
    pub named: Option<&'static str>,
    /// [`Resource::diff`], over serialised forms. Errors when a form is not of this kind.
    pub diff: fn(&Value, &Value) -> Result<Changes, Fault>,
    /// [`Resource::ready`], over a serialised live form.
    pub ready: fn(&Value) -> Result<Ready, Fault>,
    /// [`Resource::refuse`], over serialised forms.
    pub refuse: fn(&Value, &Value) -> Result<Option<String>, Fault>,
    /// [`Resource::farewell`], over a serialised live form.
    pub farewell: fn(&Value) -> Result<Option<String>, Fault>,
    /// [`Resource::HIDES`].
    pub hides: bool,
    /// [`Resource::unseen`], over a serialised live form.
    pub unseen: fn(&Value, &str) -> Result<Value, Fault>,
}

impl Kind {
    /// The service that it belongs to, as in IAM actions: that of the first action it declares.
    pub fn service(&self) -> &'static str {
        self.iam.first().and_then(|action| action.split(':').next()).unwrap_or_default()
    }

    /// The erased form of `R`.
    pub const fn of<R: Resource>() -> Kind {
        Kind {
            name: R::KIND,
            identity: R::IDENTITY,
            tagged: R::TAGGED,
            departure: R::DEPARTURE,
            iam: R::IAM,
            one_at_a_time: R::ONE_AT_A_TIME,
            mends: R::MENDS,
            moves: R::MOVES,
            within: R::WITHIN,
            named: R::NAMED,
            diff: |want, live| Ok(R::diff(&Fault::decode(R::KIND, want)?, &Fault::decode(R::KIND, live)?)),
            ready: |live| Ok(R::ready(&Fault::decode(R::KIND, live)?)),
            farewell: |live| Ok(R::farewell(&Fault::decode(R::KIND, live)?)),
            hides: R::HIDES,
            unseen: |live, why| {
                let live = R::unseen(Fault::decode(R::KIND, live)?, why);
                serde_json::to_value(live).map_err(|error| Fault::bug(error.to_string()))
            },
            refuse: |want, live| {
                Ok(R::refuse(&Fault::decode(R::KIND, want)?, &Fault::decode(R::KIND, live)?))
            },
        }
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
