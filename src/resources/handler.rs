//! The I/O half of a kind, and a kind with its types rubbed out.

use crate::{
    aws::{Cx, Tags, resource_of},
    model::{Address, Fault, In, Intent, Kind, Resource},
};
use serde_json::Value;
use std::{future::Future, pin::Pin};

/// One resource that is looked for.
pub struct Asked<R: Resource> {
    /// Its address.
    pub address: Address,
    /// What is wanted, or was recorded as wanted; references may be unresolved.
    pub want: Option<R::Spec>,
    /// What was seen of it last.
    pub last: Option<R::Live>,
    /// Its name, where only its tags brought it up.
    pub name: Option<String>,
}

/// One resource that was found. Resources of the stack that nobody asked for are found, too, where one call lists
/// them all.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<L> {
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
        asked: &[Asked<Self>],
    ) -> impl Future<Output = Result<Vec<Found<Self::Live>>, Fault>> + Send;

    /// Sends the create call, tags in it, exactly once or with the intent's token. References are resolved.
    fn create(cx: &Cx, want: &Self::Spec, intent: &Intent) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Corrects what [`Resource::diff`] says is mutable. May be repeated. `live` holds managed tags only.
    fn sync(cx: &Cx, want: &Self::Spec, live: &Self::Live) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Asks AWS to delete it. May be repeated; not found is success.
    fn delete(cx: &Cx, live: &Self::Live) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// The ids that `asked` recorded and that a search by tags did not bring up: somebody may have removed the tags.
pub trait Lost<R: Resource> {
    /// Those ids; `id` reads one off a live form.
    fn lost(&self, found: &[String], id: fn(&R::Live) -> &str) -> Vec<String>;
    /// The address of what was found: by its recorded id, else by its tags.
    fn place(&self, id: &str, tags: &Tags, of: fn(&R::Live) -> &str) -> Option<Address>;
}

impl<R: Resource> Lost<R> for [Asked<R>] {
    fn lost(&self, found: &[String], id: fn(&R::Live) -> &str) -> Vec<String> {
        let recorded = self.iter().filter_map(|asked| asked.last.as_ref()).map(id);
        recorded.filter(|id| !id.is_empty() && !found.iter().any(|f| f == id)).map(str::to_owned).collect()
    }

    fn place(&self, id: &str, tags: &Tags, of: fn(&R::Live) -> &str) -> Option<Address> {
        let recorded = self.iter().find(|asked| asked.last.as_ref().is_some_and(|last| of(last) == id));
        recorded.map(|asked| asked.address.clone()).or_else(|| resource_of(tags))
    }
}

/// [`Asked`] with its types rubbed out; `null` where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The address.
    pub address: Address,
    /// What is wanted, or was recorded as wanted.
    pub want: Value,
    /// What was seen of it last.
    pub last: Value,
    /// See [`Asked::name`].
    pub name: Option<String>,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// A kind with its types rubbed out.
#[derive(Clone, Copy)]
pub struct Handler {
    /// The pure half.
    pub kind: Kind,
    /// [`Lifecycle::find`].
    pub find: for<'a> fn(&'a Cx, &'a [Ask]) -> Answer<'a, Vec<Found<Value>>>,
    /// [`Lifecycle::create`].
    pub create: for<'a> fn(&'a Cx, &'a Value, &'a Intent) -> Answer<'a, ()>,
    /// [`Lifecycle::sync`].
    pub sync: for<'a> fn(&'a Cx, &'a Value, &'a Value) -> Answer<'a, ()>,
    /// [`Lifecycle::delete`].
    pub delete: for<'a> fn(&'a Cx, &'a Value) -> Answer<'a, ()>,
}

impl Handler {
    /// The erased form of `R`.
    pub const fn of<R: Lifecycle>() -> Self {
        Handler {
            kind: Kind::of::<R>(),
            find: |cx, asks| {
                Box::pin(async move {
                    let asked: Vec<Asked<R>> = asks.iter().map(typed).collect();
                    let found = R::find(cx, &asked).await?;
                    found
                        .into_iter()
                        .map(|f| Ok(Found { address: f.address, live: Fault::encode(R::KIND, &f.live)? }))
                        .collect()
                })
            },
            create: |cx, want, intent| {
                Box::pin(async move { R::create(cx, &Fault::decode(R::KIND, want)?, intent).await })
            },
            sync: |cx, want, live| {
                Box::pin(async move {
                    R::sync(cx, &Fault::decode(R::KIND, want)?, &Fault::decode(R::KIND, live)?).await
                })
            },
            delete: |cx, live| Box::pin(async move { R::delete(cx, &Fault::decode(R::KIND, live)?).await }),
        }
    }
}

/// A recorded form that an older program wrote may miss a field; then the search goes by tags alone.
fn typed<R: Resource>(ask: &Ask) -> Asked<R> {
    let (want, last) = (Fault::decode(R::KIND, &ask.want).ok(), Fault::decode(R::KIND, &ask.last).ok());
    Asked { address: ask.address.clone(), want, last, name: ask.name.clone() }
}

/// The value of an input that the engine has resolved by now.
pub(super) fn given<'a, T>(input: &'a In<T>, field: &str) -> Result<&'a T, Fault> {
    input.known().ok_or_else(|| Fault::bug(format!("the input `{field}` was not resolved")))
}

/// [`given`] for a list.
pub(super) fn all_given(inputs: &[In<String>], field: &str) -> Result<Vec<String>, Fault> {
    inputs.iter().map(|input| given(input, field).cloned()).collect()
}
