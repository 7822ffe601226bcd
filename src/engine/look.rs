//! One look at the resource of a step, and what it is recognised by.

use super::{
    observe::choose,
    step::{Retry, Task},
};
use crate::{
    model::{CallError, ErrorKind, Kind, tag},
    plan::Ownership,
    resources::Lookup,
};
use serde_json::Value;

impl Task<'_> {
    /// Returns the live form of the resource, asking again while AWS does not answer.
    pub(super) async fn look(&self) -> Result<Option<Value>, CallError> {
        let last = match (&self.entry, &self.step.live) {
            (Some(entry), _) => entry.live.clone(),
            (None, live) => live.clone(),
        };
        let recorded = last.get("id").cloned();
        let lookup =
            Lookup { address: self.address().clone(), want: self.want.clone(), recorded: last, name: None };
        let mut retry = Retry::default();
        loop {
            match self.shared.batcher.find(&self.step.kind, lookup.clone()).await {
                Ok(mut lives) => {
                    // What this attempt created comes before what was recorded of an earlier one.
                    let attempt = lives.iter().position(|live| self.is_of_attempt(live));
                    let chosen = attempt.or_else(|| choose(&lives, recorded.as_ref(), None));
                    return Ok(chosen.map(|index| lives.swap_remove(index)));
                }
                // What does not exist is left out of the answer. A "not found" comes from a second read, about
                // something that a list has just shown, or that this run created: the read lags.
                Err(error) if error.class == ErrorKind::Gone => self.lagging(&mut retry, error).await?,
                Err(error) => self.again(&mut retry, error).await?,
            }
        }
    }

    /// Whether `live` carries the nonce of the open intent.
    fn is_of_attempt(&self, live: &Value) -> bool {
        let nonce = live.get("tags").and_then(|tags| tags.get(tag::INTENT)?.as_str());
        self.intent.as_ref().is_some_and(|intent| nonce == Some(&intent.nonce))
    }

    /// Whether `live` may be what the open intent created, or what is recorded: others at its address are not.
    pub(super) fn is_own(&self, kind: Kind, live: &Value) -> bool {
        self.is_part_of_parent(kind, live)
            || self.shared.is_approved(self.address())
            || matches!(self.own(kind, live), Ownership::Ours | Ownership::TagsLost)
    }

    /// Whether `live` is what this resource replaces.
    pub(super) fn is_former(&self, live: &Value) -> bool {
        let mark = |form: &Value| {
            let field = self.kind().ok().and_then(|kind| kind.birth_mark)?;
            form.get(field).filter(|value| !value.is_null()).cloned()
        };
        self.former.as_ref().is_some_and(|entry| mark(&entry.live).is_some_and(|it| Some(it) == mark(live)))
    }
}
