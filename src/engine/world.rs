//! What the engine acts on.

use crate::{
    aws::Cx,
    model::{Fault, Intent, Kind},
    resources::{Ask, Found, Handler, REGISTRY, handler},
};
use async_trait::async_trait;
use serde_json::Value;

/// A world of resources: AWS, or a test's.
#[async_trait]
pub trait World: Send + Sync {
    /// The kind of this name.
    fn kind(&self, name: &str) -> Option<Kind>;
    /// The names of all kinds.
    fn kinds(&self) -> Vec<&'static str>;
    /// See [`Lifecycle::find`](crate::resources::Lifecycle::find).
    async fn find(&self, kind: &str, asks: &[Ask]) -> Result<Vec<Found<Value>>, Fault>;
    /// See [`Lifecycle::create`](crate::resources::Lifecycle::create).
    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), Fault>;
    /// See [`Lifecycle::sync`](crate::resources::Lifecycle::sync).
    async fn sync(&self, kind: &str, want: &Value, live: &Value) -> Result<(), Fault>;
    /// See [`Lifecycle::delete`](crate::resources::Lifecycle::delete).
    async fn delete(&self, kind: &str, live: &Value) -> Result<(), Fault>;
    /// What stands in the way of a delete that AWS refused, in words.
    async fn blockers(&self, kind: &str, live: &Value) -> Vec<String>;
    /// The same world, with nothing remembered of earlier looks.
    fn fresh(&self) -> Box<dyn World>;
}

/// AWS, through the registered kinds.
#[derive(Clone)]
pub struct AwsWorld {
    cx: Cx,
}

impl AwsWorld {
    /// The world that `cx` reaches.
    pub fn new(cx: Cx) -> Self {
        AwsWorld { cx }
    }
}

fn known(kind: &str) -> Result<&'static Handler, Fault> {
    handler(kind).ok_or_else(|| Fault::bug(format!("no such kind: {kind}")))
}

#[async_trait]
impl World for AwsWorld {
    fn kind(&self, name: &str) -> Option<Kind> {
        handler(name).map(|handler| handler.kind)
    }

    fn kinds(&self) -> Vec<&'static str> {
        REGISTRY.iter().map(|handler| handler.kind.name).collect()
    }

    async fn find(&self, kind: &str, asks: &[Ask]) -> Result<Vec<Found<Value>>, Fault> {
        (known(kind)?.find)(&self.cx, asks).await
    }

    async fn create(&self, kind: &str, want: &Value, intent: &Intent) -> Result<(), Fault> {
        (known(kind)?.create)(&self.cx, want, intent).await
    }

    async fn sync(&self, kind: &str, want: &Value, live: &Value) -> Result<(), Fault> {
        (known(kind)?.sync)(&self.cx, want, live).await
    }

    async fn delete(&self, kind: &str, live: &Value) -> Result<(), Fault> {
        (known(kind)?.delete)(&self.cx, live).await
    }

    async fn blockers(&self, kind: &str, live: &Value) -> Vec<String> {
        let id = live.get("id").and_then(Value::as_str).unwrap_or_default();
        crate::aws::blockers(&self.cx, kind, id).await
    }

    fn fresh(&self) -> Box<dyn World> {
        Box::new(AwsWorld { cx: self.cx.fresh() })
    }
}
