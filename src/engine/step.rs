//! One step: making a resource be as wanted, or taking it away.

use super::{budget::Backoff, rates::Use, shared::Shared, shutdown::ShutdownPhase};
use crate::{
    aws::{ProgressEvent, ProgressSink, with_progress},
    model::{Address, CallError, Entry, ErrorKind, Event, Intent, Kind, LeftBehind, Sent, Step, StepState},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// A step on its way.
pub struct Task<'a> {
    pub shared: &'a Shared,
    pub step: &'a Step,
    /// The wanted spec with every reference resolved; for a removal, the recorded one.
    pub want: Value,
    /// What was recorded before the run.
    pub entry: Option<Entry>,
    /// A create whose end an earlier run did not learn.
    pub intent: Option<Intent>,
    /// What was recorded of the resource that this one replaces.
    pub former: Option<Entry>,
}

/// Error of a failed step, and what the step leaves behind.
pub type Failed = (CallError, LeftBehind);

impl Task<'_> {
    pub(super) fn address(&self) -> &Address {
        &self.step.id.address
    }

    pub(super) fn kind(&self) -> Result<Kind, CallError> {
        self.shared
            .provider
            .kind(&self.step.kind)
            .ok_or_else(|| CallError::bug(format!("unknown kind: {}", self.step.kind)))
    }

    pub(super) fn tell(&self, state: StepState) {
        if let StepState::Waiting(why) = &state {
            self.shared.sent.waits(&self.step.id, why);
        }
        // There may be no listener.
        let _ = self.shared.events.send(Event::Step {
            address: self.address().clone(),
            kind: self.step.kind.clone(),
            stage: self.step.stage,
            action: self.step.action,
            verb: self.step.id.verb,
            state,
        });
    }

    /// What a long call says goes where the step's own events go.
    pub(super) fn progress_sink(&self) -> ProgressSink {
        let events = self.shared.events.clone();
        let (address, kind) = (self.address().clone(), self.step.kind.clone());
        let (stage, action, id) = (self.step.stage, self.step.action, self.step.id.clone());
        let (sent, verb) = (Arc::clone(&self.shared.sent), id.verb);
        Arc::new(move |said| {
            let event = match said {
                ProgressEvent::Accepted => return sent.accepted(&id),
                ProgressEvent::Notice(text) => Event::Notice(format!("{address}: {text}")),
                ProgressEvent::Progress(text) => {
                    let state = StepState::Waiting(text);
                    Event::Step { address: address.clone(), kind: kind.clone(), stage, action, verb, state }
                }
            };
            let _ = events.send(event);
        })
    }

    /// Waits, and says for what.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupted`] when the run is to end: nothing is waited for then.
    pub(super) async fn pause(&self, time: Duration, why: &str) -> Result<(), CallError> {
        self.tell(StepState::Waiting(why.to_owned()));
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.shared.shutdown.reached(ShutdownPhase::Draining) => {
                Err(CallError::new(ErrorKind::Interrupted, format!("interrupted while waiting: {why}")))
            }
        }
    }

    /// Waits until its service takes another call that writes.
    pub(super) async fn turn(&self) -> Result<(), CallError> {
        let service = self.kind()?.service();
        let time = self.shared.rates.take(service, Use::Write);
        if time.is_zero() {
            return Ok(());
        }
        self.pause(time, &format!("rate limited by {service}")).await
    }

    /// Sends a write call, and records its outcome for the rate limits.
    pub(super) async fn send<T>(
        &self,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        self.shared.sent.open(&self.step.id);
        let answer = with_progress(self.progress_sink(), call).await;
        self.shared.sent.close(
            &self.step.id,
            match &answer {
                Ok(_) => Sent::Accepted,
                Err(error) if error.class == ErrorKind::Ambiguous => Sent::Unanswered,
                Err(_) => Sent::Refused,
            },
        );
        let throttled = answer.as_ref().is_err_and(|error| error.class == ErrorKind::Throttled);
        self.shared.rates.record_answer(self.kind()?.service(), Use::Write, throttled);
        answer
    }

    /// Waits before another try of what failed with `error`, or gives the error back when its class or its budget says so.
    pub(super) async fn again(&self, retry: &mut Retry, error: CallError) -> Result<(), CallError> {
        let since = *retry.since.get_or_insert_with(Instant::now);
        match self.patience(&error) {
            Some(patience) if since.elapsed() < patience => {
                let time = retry.backoff.next().unwrap_or_default();
                self.pause(time, &format!("{}: {}", error.class.name(), reason(&error))).await
            }
            _ => Err(self.explained(error)),
        }
    }
}

/// Returns the error of a wait that exceeded its deadline.
pub(super) fn late(what: &str) -> CallError {
    CallError::new(ErrorKind::Deadline, what).hint("run `provisioner up` again to continue waiting")
}

/// Returns the message of an error, or its code if it has none, for the line of a step. It is not cut: what blocks a step
/// often stands at its end.
pub(super) fn reason(error: &CallError) -> &str {
    if error.message.is_empty() { &error.code } else { &error.message }
}

/// Retry state of one call.
#[derive(Default)]
pub(super) struct Retry {
    since: Option<Instant>,
    pub(super) backoff: Backoff,
}
