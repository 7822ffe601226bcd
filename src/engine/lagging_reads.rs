//! Looking again for what a read that lags does not show yet.

use super::{
    budget::{self, Backoff},
    step::{Retry, Task},
};
use crate::model::{CallError, ErrorKind};
use serde_json::Value;
use tokio::time::Instant;

impl Task<'_> {
    /// Waits as [`again`](Self::again) does for what AWS has not propagated yet, whatever class `error` has.
    pub(super) async fn lagging(&self, retry: &mut Retry, error: CallError) -> Result<(), CallError> {
        let class = error.class;
        self.again(retry, error.class(ErrorKind::Eventual)).await.map_err(|error| match error.class {
            ErrorKind::Eventual => error.class(class),
            _ => error,
        })
    }

    /// Looks for what AWS says exists already, as long as a read may lag.
    pub(super) async fn look_settled(&self) -> Result<Option<Value>, CallError> {
        let deadline = Instant::now() + self.shared.settings.pace.of(budget::SETTLE);
        let mut backoff = Backoff::polling(self.shared.settings.pace);
        loop {
            let last = Instant::now() >= deadline;
            let live = self.look().await?;
            if live.is_some() || last {
                return Ok(live);
            }
            self.pause(backoff.next().unwrap_or_default(), "exists already, not visible yet").await?;
        }
    }
}
