//! Pure: the states of one create, from the intent to a resource that is visible.
//!
//! | state | event | next | recorded |
//! |---|---|---|---|
//! | `Due` | `Written` | `Intended` | |
//! | | `Written`, too late | `Due` | without effect |
//! | | `Seen` | `Visible` | |
//! | `Intended` | `Accepted` | `Accepted` | accepted |
//! | | `Refused` | `Due` | without effect |
//! | | `NoAnswer` | `Unanswered` | |
//! | | `NameTaken` | `NameTaken` | |
//! | `Unanswered` | `Seen` | `Visible` | |
//! | | `NotSeen`, its token is valid | `Repeated` | |
//! | | `NotSeen` | `Due` | unresolved: the nonce is remembered |
//! | `Repeated` | `Accepted` | `Accepted` | accepted |
//! | | `NotAccepted` | `Due` | unresolved: the nonce is remembered |
//! | `NameTaken` | `Seen` | `Visible` | |
//! | | `HeldByFormer` | `Due` | without effect |
//! | | `HeldByOther` | `Failed` | without effect |
//!
//! A run that finds an open intent in the state begins in `Unanswered`, every other step in `Due`.

use crate::model::{CallError, LeftBehind};
use serde_json::Value;

/// State of a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CreateState {
    /// No call is on its way: the next intent is to be written.
    Due,
    /// The intent is written, and the call is to be sent.
    Intended,
    /// The call may have been accepted: what it created is looked for.
    Unanswered,
    /// Nothing is visible, and the same call under the same token cannot create a second one: it is sent again.
    Repeated,
    /// AWS says that the name is taken: it may be by what an earlier call created.
    NameTaken,
    /// AWS accepted the call; the resource is not visible yet.
    Accepted,
    /// What was created is visible.
    Visible,
    /// Another resource has its name.
    Failed,
}

/// What happened to a create.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CreateEvent {
    /// The intent was written; too late for the call if its signing time is past by then.
    Written {
        /// Whether it was too late.
        late: bool,
    },
    /// AWS accepted the call.
    Accepted,
    /// AWS refused the call, so that it created nothing.
    Refused(CallError),
    /// AWS did not answer.
    NoAnswer(CallError),
    /// AWS says that the resource exists already.
    NameTaken(CallError),
    /// The resource is visible, and the stack's.
    Seen(Value),
    /// It stayed invisible for as long as it may.
    NotSeen {
        /// Whether the call can be sent again under its token.
        repeatable: bool,
    },
    /// AWS refused the repeated call, so that it never accepted the first.
    NotAccepted,
    /// The resource that this one replaces still has the name.
    HeldByFormer(CallError),
    /// Another resource has the name.
    HeldByOther(CallError),
}

/// What the state is to record of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CreateRecord {
    /// The call was accepted.
    Accepted,
    /// The call created nothing: its intent is closed.
    WithoutEffect,
    /// The call may have created something that stayed invisible: its intent is closed, its nonce remembered.
    Unresolved,
}

impl CreateState {
    /// Returns the next state, and what is recorded; `None` if `event` cannot happen in this state.
    pub(super) fn next(self, event: &CreateEvent) -> Option<(Self, Option<CreateRecord>)> {
        use CreateEvent as On;
        use CreateRecord::{Unresolved, WithoutEffect};
        Some(match (self, event) {
            (Self::Due, On::Written { late: false }) => (Self::Intended, None),
            (Self::Due, On::Written { late: true }) | (Self::Intended, On::Refused(_)) => {
                (Self::Due, Some(WithoutEffect))
            }
            // In `Due`: the plan saw it, as in every update. Otherwise an earlier call created it.
            (Self::Due | Self::Unanswered | Self::NameTaken, On::Seen(_)) => (Self::Visible, None),
            (Self::Intended | Self::Repeated, On::Accepted) => (Self::Accepted, Some(CreateRecord::Accepted)),
            (Self::Intended, On::NoAnswer(_)) => (Self::Unanswered, None),
            (Self::Intended, On::NameTaken(_)) => (Self::NameTaken, None),
            (Self::Unanswered, On::NotSeen { repeatable: true }) => (Self::Repeated, None),
            (Self::Unanswered, On::NotSeen { repeatable: false }) | (Self::Repeated, On::NotAccepted) => {
                (Self::Due, Some(Unresolved))
            }
            (Self::NameTaken, On::HeldByFormer(_)) => (Self::Due, Some(WithoutEffect)),
            (Self::NameTaken, On::HeldByOther(_)) => (Self::Failed, Some(WithoutEffect)),
            _ => return None,
        })
    }

    /// Returns what a failure in this state leaves behind.
    pub(super) fn leaves(self) -> LeftBehind {
        match self {
            Self::Due | Self::Intended | Self::Failed => LeftBehind::Nothing,
            Self::Unanswered | Self::Repeated | Self::NameTaken => LeftBehind::Unknown,
            Self::Accepted | Self::Visible => LeftBehind::Recorded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorKind;
    use std::collections::BTreeMap;

    const STATES: [CreateState; 8] = [
        CreateState::Due,
        CreateState::Intended,
        CreateState::Unanswered,
        CreateState::Repeated,
        CreateState::NameTaken,
        CreateState::Accepted,
        CreateState::Visible,
        CreateState::Failed,
    ];

    fn events() -> Vec<CreateEvent> {
        let error = || CallError::new(ErrorKind::Other, "no");
        vec![
            CreateEvent::Written { late: false },
            CreateEvent::Written { late: true },
            CreateEvent::Accepted,
            CreateEvent::Refused(error()),
            CreateEvent::NoAnswer(error()),
            CreateEvent::NameTaken(error()),
            CreateEvent::Seen(Value::Null),
            CreateEvent::NotSeen { repeatable: true },
            CreateEvent::NotSeen { repeatable: false },
            CreateEvent::NotAccepted,
            CreateEvent::HeldByFormer(error()),
            CreateEvent::HeldByOther(error()),
        ]
    }

    /// Every transition that exists: from, to, what is recorded.
    fn transitions() -> Vec<(CreateState, CreateState, Option<CreateRecord>)> {
        let pairs =
            STATES.into_iter().flat_map(|state| events().into_iter().map(move |event| (state, event)));
        pairs
            .filter_map(|(state, event)| state.next(&event).map(|(to, record)| (state, to, record)))
            .collect()
    }

    #[test]
    fn a_new_intent_is_written_only_after_the_one_before_is_closed() {
        for (from, to, record) in transitions() {
            let closed = matches!(record, Some(CreateRecord::WithoutEffect | CreateRecord::Unresolved));
            assert_eq!(closed, matches!(to, CreateState::Due | CreateState::Failed), "{from:?} to {to:?}");
        }
    }

    #[test]
    fn what_may_have_been_accepted_is_never_forgotten() {
        for (from, to, record) in transitions() {
            let open = matches!(from, CreateState::Unanswered | CreateState::Repeated);
            assert!(!open || record != Some(CreateRecord::WithoutEffect), "{from:?} to {to:?}");
        }
    }

    #[test]
    fn every_state_but_the_last_ones_leads_on_and_all_are_reached() {
        let mut next: BTreeMap<String, usize> = BTreeMap::new();
        for (from, to, _) in transitions() {
            *next.entry(format!("{from:?}")).or_default() += 1;
            next.entry(format!("{to:?}")).or_default();
        }
        assert_eq!(next.len(), STATES.len());
        let last: Vec<&str> =
            next.iter().filter(|(_, ways)| **ways == 0).map(|(state, _)| state.as_str()).collect();
        assert_eq!(last, ["Accepted", "Failed", "Visible"]);
    }
}
