//! One create, carried through its states.

use super::{
    budget,
    create_state::{CreateEvent, CreateRecord, CreateState},
    shutdown::ShutdownPhase,
    step::{Failed, Retry, Task, reason},
};
use crate::{
    model::{CallError, ErrorKind, Intent, LeftBehind, Record, StepState},
    plan::Ownership,
};
use serde_json::Value;
use std::sync::PoisonError;

/// What came of following a create.
pub(super) enum Created {
    /// The resource was there before this run sent a call.
    Found(Value),
    /// This run created it; none as long as it is not visible.
    New(Option<Value>),
    /// Nothing came of the intent that an earlier run left.
    Nothing,
}

/// What is remembered from one state of a create to the next.
struct Attempts {
    /// Whether calls are sent; otherwise an earlier run's call is only looked for.
    sends: bool,
    /// Whether a call was sent.
    sent: bool,
    /// Whether what the plan saw is looked for before the first call.
    look_first: bool,
    /// Why the last attempt failed.
    failed: Option<CallError>,
    retry: Retry,
}

impl Task<'_> {
    /// Finds what came of the create that an earlier run intended, without sending it again.
    pub(super) async fn find_created(&mut self) -> Result<Created, Failed> {
        self.follow_create(CreateState::Unanswered, false).await
    }

    /// Creates the resource, unless it is there, or comes of the create that an earlier run intended.
    pub(super) async fn create(&mut self) -> Result<Created, Failed> {
        let state = if self.intent.is_some() { CreateState::Unanswered } else { CreateState::Due };
        self.follow_create(state, true).await
    }

    async fn follow_create(&mut self, mut state: CreateState, sends: bool) -> Result<Created, Failed> {
        let look_first = !self.step.live.is_null();
        let mut attempts = Attempts { sends, sent: false, look_first, failed: None, retry: Retry::default() };
        while sends || state != CreateState::Due {
            let event = self.create_event(state, &mut attempts).await.map_err(|it| (it, state.leaves()))?;
            let bug = || CallError::bug(format!("a create cannot meet {event:?} when it is {state:?}"));
            let (next, record) = state.next(&event).ok_or_else(|| (bug(), LeftBehind::Unknown))?;
            self.record_create(record);
            state = next;
            match event {
                CreateEvent::Seen(live) if attempts.sent => return Ok(Created::New(Some(live))),
                CreateEvent::Seen(live) => return Ok(Created::Found(live)),
                CreateEvent::Accepted => return Ok(Created::New(None)),
                CreateEvent::HeldByOther(error) => return Err((error, state.leaves())),
                CreateEvent::Refused(error)
                | CreateEvent::NoAnswer(error)
                | CreateEvent::NameTaken(error)
                | CreateEvent::HeldByFormer(error) => attempts.failed = Some(error),
                CreateEvent::Written { .. } | CreateEvent::NotSeen { .. } | CreateEvent::NotAccepted => {}
            }
        }
        Ok(Created::Nothing)
    }

    /// Does what is due in `state`, and returns what happened.
    async fn create_event(
        &mut self,
        state: CreateState,
        attempts: &mut Attempts,
    ) -> Result<CreateEvent, CallError> {
        match state {
            CreateState::Due => {
                if let Some(error) = attempts.failed.take() {
                    self.again(&mut attempts.retry, error).await?;
                }
                if std::mem::take(&mut attempts.look_first)
                    && let Some(live) = self.look().await?
                {
                    return Ok(CreateEvent::Seen(live));
                }
                self.write_intent().await
            }
            CreateState::Intended => {
                attempts.sent = true;
                self.send_create().await
            }
            CreateState::Unanswered => self.search(attempts.sends).await,
            CreateState::Repeated => {
                attempts.sent = true;
                self.repeat().await
            }
            CreateState::NameTaken => {
                let error = attempts.failed.take();
                self.holder_of_name(error.unwrap_or_else(|| CallError::bug("no name is taken"))).await
            }
            CreateState::Accepted | CreateState::Visible | CreateState::Failed => {
                Err(CallError::bug(format!("a create does not end when it is {state:?}")))
            }
        }
    }

    /// Writes the intent of the next call.
    async fn write_intent(&mut self) -> Result<CreateEvent, CallError> {
        if self.shared.shutdown.state() > ShutdownPhase::Running {
            return Err(CallError::new(ErrorKind::Interrupted, "interrupted before it was created"));
        }
        // Before the intent, whose time the call is signed with.
        self.turn().await?;
        let intent = self.new_intent();
        let record = Record::CreateIntended(self.address().clone(), Box::new(intent.clone()));
        self.shared.journal.commit(record).await?;
        let age = self.shared.settings.host.epoch_seconds().saturating_sub(intent.signed_at);
        self.intent = Some(intent);
        let late = u64::try_from(age).unwrap_or_default() >= budget::SEND_WITHIN.as_secs();
        Ok(CreateEvent::Written { late })
    }

    fn new_intent(&self) -> Intent {
        let nonce = uuid::Uuid::new_v4().to_string();
        let settings = &self.shared.settings;
        Intent {
            kind: self.step.kind.clone(),
            stage: self.step.stage,
            token: Intent::token(&self.shared.owner.lineage, self.address(), &nonce),
            nonce,
            signed_at: settings.host.epoch_seconds(),
            request: self.want.clone(),
            dependencies: self.step.dependencies.iter().cloned().collect(),
            owner: settings.run.clone(),
            process: settings.process.clone(),
            made: false,
        }
    }

    /// Sends the call of the open intent.
    async fn send_create(&self) -> Result<CreateEvent, CallError> {
        let intent = self.open_intent()?;
        match self.send(self.shared.provider.create(&self.step.kind, &self.want, intent)).await {
            Ok(()) => Ok(CreateEvent::Accepted),
            Err(error) if error.class == ErrorKind::Ambiguous => {
                self.tell(StepState::Waiting(format!("no answer to the create call: {}", reason(&error))));
                Ok(CreateEvent::NoAnswer(error))
            }
            Err(error) if error.class == ErrorKind::Exists => Ok(CreateEvent::NameTaken(error)),
            Err(error) => Ok(CreateEvent::Refused(error)),
        }
    }

    /// Looks for the resource that has the name, and at whose it is.
    async fn holder_of_name(&self, error: CallError) -> Result<CreateEvent, CallError> {
        let Some(live) = self.look_settled().await? else {
            let hint = "another resource has its name: delete it, or rename this one";
            return Ok(CreateEvent::HeldByOther(error.hint(hint)));
        };
        let own = self.ownership(&live).await?;
        if own == Ownership::Ours || self.shared.is_approved(self.address()) {
            return Ok(CreateEvent::Seen(live));
        }
        // What it replaces may keep its name for a moment.
        match self.is_former(&live) {
            true => Ok(CreateEvent::HeldByFormer(error.class(ErrorKind::Eventual))),
            false => Ok(CreateEvent::HeldByOther(self.refused(&own, &live))),
        }
    }

    /// Returns the intent that is open.
    pub(super) fn open_intent(&self) -> Result<&Intent, CallError> {
        self.intent.as_ref().ok_or_else(|| CallError::bug("a create has no intent"))
    }

    /// Records what a transition asks for.
    fn record_create(&mut self, record: Option<CreateRecord>) {
        let address = self.address().clone();
        self.shared.journal.note(match record {
            None => return,
            Some(CreateRecord::Accepted) => {
                if let Some(intent) = &mut self.intent {
                    intent.made = true;
                }
                Record::CreateAccepted(address)
            }
            Some(CreateRecord::WithoutEffect) => {
                self.intent = None;
                Record::CreateWithoutEffect(address)
            }
            Some(CreateRecord::Unresolved) => {
                if let Some(intent) = self.intent.take() {
                    let abandoned = &self.shared.abandoned;
                    let mut abandoned = abandoned.lock().unwrap_or_else(PoisonError::into_inner);
                    abandoned.insert(intent.nonce, address.clone());
                }
                Record::CreateUnresolved(address)
            }
        });
    }
}
