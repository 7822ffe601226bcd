//! Finding out what became of a create whose end nobody knows: its answer was lost, or its process died.

use super::{
    budget::{self, Backoff},
    step::{Retry, Task},
};
use crate::model::{Class, Fault, Identity, Intent, Record};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

impl Task<'_> {
    /// Looks for what `intent` made, as long as it may still come. With `repeat`, a call that took a token is
    /// sent again under it. None: nothing came of it, and the intent is closed.
    pub(super) async fn recover(&mut self, intent: &Intent, repeat: bool) -> Result<Option<Value>, Fault> {
        let kind = self.kind()?;
        let age =
            Duration::from_secs(u64::try_from((self.shared.now)() - intent.signed_at).unwrap_or_default());
        let deadline =
            Instant::now() + self.patience(intent, age, repeat && kind.identity == Identity::Token);
        let mut backoff = Backoff::default();
        self.intent = Some(intent.clone());
        loop {
            // The clock first: a slow look that began before the deadline may miss what shows at it.
            let last = Instant::now() >= deadline;
            if let Some(live) = self.look().await? {
                return Ok(Some(live));
            }
            if last {
                break;
            }
            let time = backoff.next().unwrap_or_default();
            self.pause(time, "looking for what an unanswered create may have made").await?;
        }
        if repeat
            && kind.identity == Identity::Token
            && age < budget::TOKEN_LIFE
            && let Some(live) = self.repeat(intent).await?
        {
            return Ok(Some(live));
        }
        self.intent = None;
        self.shared.journal.note(Record::Void(self.address().clone()));
        Ok(None)
    }

    /// How long what `intent` made may stay unseen.
    fn patience(&self, intent: &Intent, age: Duration, token: bool) -> Duration {
        let pace = self.shared.pace;
        if token {
            // Its token keeps a twin from being made, and the intent stays open, so a short look is enough. A name does
            // so only while the thing is there: what comes after a removal would be in nobody's books.
            return pace.of(Duration::from_secs(15)).saturating_sub(age);
        }
        // Nobody can send the call once its signature has expired. Where whoever could is this run, or dead,
        // nobody will from now on; but it may have gone out only just, so the intent's age tells nothing.
        let alive = pace.of(budget::SETTLE_ALIVE).saturating_sub(age);
        let ours = intent.owner == self.shared.run || (self.shared.is_dead)(&intent.process);
        if ours { alive.min(pace.of(budget::SETTLE)) } else { alive }
    }

    /// The same call again, to the letter: AWS hands back what the first one made, or makes it now. None: it
    /// is refused.
    async fn repeat(&mut self, intent: &Intent) -> Result<Option<Value>, Fault> {
        let mut intent = intent.clone();
        // The run that began it may only be paused, and would give it up. Once this is written, it writes no more.
        intent.owner.clone_from(&self.shared.run);
        intent.process = self.shared.process.clone();
        let mut retry = Retry::default();
        loop {
            self.turn().await?;
            // Written before each sending: a run that was overtaken learns it here. Whoever took over may have removed
            // what the token made, and the same call would make it once more. Its time is the one that this call is signed
            // with: whoever finds the intent knows until when AWS takes it.
            intent.signed_at = (self.shared.now)();
            let claim = Record::Begin(self.address().clone(), Box::new(intent.clone()));
            self.shared.journal.commit(claim).await?;
            match self.send(self.shared.world.create(&self.step.kind, &intent.request, &intent)).await {
                Ok(()) => {
                    self.shared.journal.note(Record::Made(self.address().clone()));
                    return self.appear().await.map(Some);
                }
                // Unanswered once more, or not now: the token must not be given up while it may have worked.
                Err(fault) if budget::patience(fault.class).is_some() => {
                    self.again(&mut retry, fault).await?;
                }
                // Nothing is said about the call itself, only about who asks.
                Err(fault)
                    if matches!(fault.class, Class::Interrupted | Class::Denied | Class::Credentials) =>
                {
                    return Err(fault);
                }
                // Refused for good, so the first call was, too: a new attempt may start.
                Err(_) => return Ok(None),
            }
        }
    }
}
