//! The I/O half of a kind, and a kind with its types rubbed out.

use crate::{
    aws::Cx,
    model::{Address, CallError, In, Intent, Kind, Resource, Undrained, UpdateId, UpdateOutcome},
};
use serde_json::Value;
use std::{future::Future, pin::Pin};

/// One resource that is looked for.
pub struct TypedLookup<R: Resource> {
    /// Its address.
    pub address: Address,
    /// What is wanted, or was recorded as wanted; references may be unresolved.
    pub want: Option<R::Spec>,
    /// What was seen of it last.
    pub recorded: Option<R::Live>,
    /// Its name, where only its tags brought it up.
    pub name: Option<String>,
}

/// One resource that was found. Resources of the stack that were not asked for are found, too, if one call lists
/// them all.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundResource<L> {
    /// Its address.
    pub address: Address,
    /// What is there.
    pub live: L,
}

/// The I/O half of a resource kind: short verbs without a loop, a sleep or a print.
pub trait Lifecycle: Resource {
    /// Looks for all of `asked` in as few calls as the API allows. What is gone, or past saving as a name, is not
    /// found.
    fn find(
        cx: &Cx,
        asked: &[TypedLookup<Self>],
    ) -> impl Future<Output = Result<Vec<FoundResource<Self::Live>>, CallError>> + Send;

    /// Sends the create call, tags in it, exactly once or with the intent's token. References are resolved.
    fn create(
        cx: &Cx,
        want: &Self::Spec,
        intent: &Intent,
    ) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Corrects what [`Resource::diff`] says is mutable. May be repeated. `live` holds managed tags only. Returns the id
    /// of the update that AWS carries out after the answer, if it is one.
    fn sync(
        cx: &Cx,
        want: &Self::Spec,
        live: &Self::Live,
    ) -> impl Future<Output = Result<Option<UpdateId>, CallError>> + Send;

    /// Returns the state of an update that [`sync`](Self::sync) started.
    fn outcome(
        _cx: &Cx,
        _live: &Self::Live,
        _id: &str,
    ) -> impl Future<Output = Result<UpdateOutcome, CallError>> + Send {
        std::future::ready(Ok(UpdateOutcome::Successful))
    }

    /// Returns the id of the update that AWS is working on, also if it was started outside provisioner.
    fn running_update(
        _cx: &Cx,
        _live: &Self::Live,
    ) -> impl Future<Output = Result<Option<UpdateId>, CallError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Moves a part of what runs on it elsewhere, before it is deleted. May be repeated. `None`: it can be deleted now.
    fn before_delete(
        _cx: &Cx,
        _live: &Self::Live,
    ) -> impl Future<Output = Result<Option<Undrained>, CallError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Asks AWS to delete it. May be repeated; not found is success.
    fn delete(cx: &Cx, live: &Self::Live) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// [`TypedLookup`] with its types rubbed out; `null` where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// The address.
    pub address: Address,
    /// What is wanted, or was recorded as wanted.
    pub want: Value,
    /// What was seen of it last.
    pub recorded: Value,
    /// See [`TypedLookup::name`].
    pub name: Option<String>,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send + 'a>>;

/// A kind with its types rubbed out.
#[derive(Clone, Copy)]
pub struct Handler {
    /// The pure half.
    pub kind: Kind,
    /// [`Lifecycle::find`].
    pub find: for<'a> fn(&'a Cx, &'a [Lookup]) -> Answer<'a, Vec<FoundResource<Value>>>,
    /// [`Lifecycle::create`].
    pub create: for<'a> fn(&'a Cx, &'a Value, &'a Intent) -> Answer<'a, ()>,
    /// [`Lifecycle::sync`].
    pub sync: for<'a> fn(&'a Cx, &'a Value, &'a Value) -> Answer<'a, Option<UpdateId>>,
    /// [`Lifecycle::outcome`].
    pub outcome: for<'a> fn(&'a Cx, &'a Value, &'a str) -> Answer<'a, UpdateOutcome>,
    /// [`Lifecycle::running_update`].
    pub running_update: for<'a> fn(&'a Cx, &'a Value) -> Answer<'a, Option<UpdateId>>,
    /// [`Lifecycle::before_delete`].
    pub before_delete: for<'a> fn(&'a Cx, &'a Value) -> Answer<'a, Option<Undrained>>,
    /// [`Lifecycle::delete`].
    pub delete: for<'a> fn(&'a Cx, &'a Value) -> Answer<'a, ()>,
}

impl Handler {
    /// The erased form of `R`.
    pub const fn of<R: Lifecycle>() -> Self {
        Handler {
            kind: Kind::of::<R>(),
            find: |cx, lookups| {
                Box::pin(async move {
                    let asked: Vec<TypedLookup<R>> = lookups.iter().map(typed).collect();
                    let found = R::find(cx, &asked).await?;
                    found
                        .into_iter()
                        .map(|f| {
                            Ok(FoundResource {
                                address: f.address,
                                live: CallError::encode(R::KIND, &f.live)?,
                            })
                        })
                        .collect()
                })
            },
            create: |cx, want, intent| {
                Box::pin(async move { R::create(cx, &CallError::decode(R::KIND, want)?, intent).await })
            },
            sync: |cx, want, live| {
                Box::pin(async move {
                    R::sync(cx, &CallError::decode(R::KIND, want)?, &CallError::decode(R::KIND, live)?).await
                })
            },
            outcome: |cx, live, id| {
                Box::pin(async move { R::outcome(cx, &CallError::decode(R::KIND, live)?, id).await })
            },
            running_update: |cx, live| {
                Box::pin(async move { R::running_update(cx, &CallError::decode(R::KIND, live)?).await })
            },
            before_delete: |cx, live| {
                Box::pin(async move { R::before_delete(cx, &CallError::decode(R::KIND, live)?).await })
            },
            delete: |cx, live| {
                Box::pin(async move { R::delete(cx, &CallError::decode(R::KIND, live)?).await })
            },
        }
    }
}

/// A recorded form that an older program wrote may miss a field; then the search goes by tags alone.
fn typed<R: Resource>(lookup: &Lookup) -> TypedLookup<R> {
    let (want, recorded) =
        (CallError::decode(R::KIND, &lookup.want).ok(), CallError::decode(R::KIND, &lookup.recorded).ok());
    TypedLookup { address: lookup.address.clone(), want, recorded, name: lookup.name.clone() }
}

/// The value of an input that the engine has resolved by now.
pub(super) fn resolved<'a, T>(input: &'a In<T>, field: &str) -> Result<&'a T, CallError> {
    input.known().ok_or_else(|| CallError::bug(format!("the input `{field}` was not resolved")))
}

/// [`resolved`] for an input that may be left out.
pub(super) fn if_resolved(input: Option<&In<String>>, field: &str) -> Result<Option<String>, CallError> {
    input.map(|input| resolved(input, field).cloned()).transpose()
}

/// [`resolved`] for a list.
pub(super) fn all_resolved(inputs: &[In<String>], field: &str) -> Result<Vec<String>, CallError> {
    inputs.iter().map(|input| resolved(input, field).cloned()).collect()
}
