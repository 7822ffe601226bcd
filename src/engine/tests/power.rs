//! A state whose writes end with the power.

use super::cloud::Cloud;
use crate::{
    model::CallError,
    store::{MemoryState, StateStore, Stored},
};
use async_trait::async_trait;
use std::sync::Arc;

/// State whose writes fail once the power is off.
pub(super) struct Powered {
    pub(super) state: Arc<MemoryState>,
    pub(super) cloud: Cloud,
}

#[async_trait]
impl StateStore for Powered {
    async fn read(&self) -> Result<Option<Stored>, CallError> {
        self.state.read().await
    }

    async fn write(&self, bytes: &[u8], expected: Option<&str>) -> Result<String, CallError> {
        self.cloud.spend()?;
        self.state.write(bytes, expected).await
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}
