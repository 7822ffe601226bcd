//! Finding out what became of a create whose result is unknown: its answer was lost, or its process died.

use super::{
    budget::{self, Backoff},
    create_state::CreateEvent,
    step::{Retry, Task},
};
use crate::model::{CallError, ErrorKind, Identity, Intent, Record};
use std::time::Duration;
use tokio::time::Instant;

impl Task<'_> {
    /// Looks for what the open intent created, as long as it may still come. With `repeat`, a call that took a token may
    /// be sent again under it.
    pub(super) async fn search(&self, repeat: bool) -> Result<CreateEvent, CallError> {
        let (kind, intent) = (self.kind()?, self.open_intent()?);
        let age = self.shared.settings.host.epoch_seconds().saturating_sub(intent.signed_at);
        let age = Duration::from_secs(u64::try_from(age).unwrap_or_default());
        let token = repeat && kind.identity == Identity::Token;
        let mut deadline = Instant::now() + self.search_time(intent, age, token);
        let mut alive = !self.shared.is_dead(&intent.process);
        let mut backoff = Backoff::default();
        loop {
            // The clock first: a slow look that began before the deadline may miss what shows at it.
            let last = Instant::now() >= deadline;
            if let Some(live) = self.look().await?.filter(|live| self.is_own(kind, live)) {
                return Ok(CreateEvent::Seen(live));
            }
            // The process that could still send the call may die while this run waits.
            if alive && !token && self.shared.is_dead(&intent.process) {
                alive = false;
                deadline = deadline.min(Instant::now() + self.shared.settings.pace.of(budget::SETTLE));
                continue;
            }
            if last {
                return Ok(CreateEvent::NotSeen { repeatable: token && age < budget::TOKEN_LIFE });
            }
            let time = backoff.next().unwrap_or_default();
            self.pause(time, "looking for what an unanswered create may have made").await?;
        }
    }

    /// How long what `intent` made may stay unseen.
    fn search_time(&self, intent: &Intent, age: Duration, token: bool) -> Duration {
        let pace = self.shared.settings.pace;
        if token {
            // Its token keeps a twin from being made, and the intent stays open, so a short look is enough. A name does
            // so only while the thing is there: what comes after a removal would be recorded nowhere.
            return pace.of(Duration::from_secs(15)).saturating_sub(age);
        }
        // No process can send the call once its signature has expired. If the one that could is this run, or dead,
        // none will from now on; but it may have gone out only just, so the intent's age tells nothing.
        let alive = pace.of(budget::SETTLE_ALIVE).saturating_sub(age);
        let ours = intent.owner == self.shared.settings.run || self.shared.is_dead(&intent.process);
        if ours { alive.min(pace.of(budget::SETTLE)) } else { alive }
    }

    /// Sends the call of the open intent again, to the letter: AWS hands back what the first one made, or makes it now.
    pub(super) async fn repeat(&mut self) -> Result<CreateEvent, CallError> {
        let mut intent = self.open_intent()?.clone();
        // The run that began it may only be paused, and would give it up. Once this is written, it writes no more.
        intent.owner.clone_from(&self.shared.settings.run);
        intent.process = self.shared.settings.process.clone();
        let mut retry = Retry::default();
        loop {
            self.turn().await?;
            // Written before each sending: a run that was overtaken learns it here. The run that took over may have removed
            // what the token made, and the same call would make it once more. Its time is the one that this call is signed
            // with: a run that finds the intent knows until when AWS accepts it.
            intent.signed_at = self.shared.settings.host.epoch_seconds();
            let claim = Record::CreateIntended(self.address().clone(), Box::new(intent.clone()));
            self.shared.journal.commit(claim).await?;
            match self.send(self.shared.provider.create(&self.step.kind, &intent.request, &intent)).await {
                Ok(()) => {
                    self.intent = Some(intent);
                    return Ok(CreateEvent::Accepted);
                }
                // Unanswered once more, or not now: the token must not be given up while it may have worked.
                Err(error) if budget::patience(error.class).is_some() => {
                    self.again(&mut retry, error).await?;
                }
                // Nothing is said about the call itself, only about who asks.
                Err(error)
                    if matches!(
                        error.class,
                        ErrorKind::Interrupted | ErrorKind::Denied | ErrorKind::Credentials
                    ) =>
                {
                    return Err(error);
                }
                // Refused for good, so the first call was, too: a new attempt may start.
                Err(_) => return Ok(CreateEvent::NotAccepted),
            }
        }
    }
}
