//! The record of the last run, which `graph --timeline` shows. It stays in the folder of local records.

use super::Workspace;
use crate::{
    engine::{Run, StateWriter},
    model::{Outcome, Plan, Timeline},
    os::write_private,
    stack::Stack,
};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::Instant,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::mpsc::unbounded_channel;

/// Records the runs of one operation.
pub struct RunRecorder {
    /// When the first run began.
    began: OnceLock<Instant>,
    timeline: Mutex<Timeline>,
}

impl RunRecorder {
    /// Returns the recorder of an operation.
    pub fn new(workspace: &Workspace) -> Self {
        let timeline = Mutex::new(Timeline::new(&workspace.state.command, String::new()));
        RunRecorder { began: OnceLock::new(), timeline }
    }

    /// Returns the milliseconds since the first run of the operation began.
    fn now(&self) -> u64 {
        let began = self.began.get_or_init(Instant::now);
        u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Carries out a plan, and replaces the record of the operation before this one.
    pub async fn execute(
        &self,
        workspace: &Workspace,
        run: Run,
        plan: &Plan,
        writer: &mut StateWriter,
    ) -> Outcome {
        let (sender, mut events) = unbounded_channel();
        let listener = run.events.clone();
        let run = Run { events: sender, ..run };
        let began = self.now();
        {
            let mut timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
            if timeline.began.is_empty() {
                timeline.began = seconds_of(OffsetDateTime::now_utc());
            }
        }
        let pass = |event| {
            let now = self.now();
            self.timeline.lock().unwrap_or_else(PoisonError::into_inner).note(plan, &event, began, now);
            // There may be no listener.
            let _ = listener.send(event);
        };
        let mut work = Box::pin(run.execute(plan, writer));
        let outcome = loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => pass(event),
                outcome = &mut work => break outcome,
            }
        };
        while let Ok(event) = events.try_recv() {
            pass(event);
        }
        let timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        if !timeline.steps.is_empty()
            && let Ok(bytes) = serde_json::to_vec(&*timeline)
        {
            let (stack, account) = (&workspace.stack, &workspace.target.identity.account);
            let name = format!("{}{account}.json", prefix(stack));
            // Nothing depends on the record, so that nothing fails for it.
            let _ = write_private(&workspace.folders.state.join(name), &bytes);
        }
        outcome
    }
}

/// Returns a time in the format of RFC 3339, without fractions of a second.
fn seconds_of(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}

fn prefix(stack: &Stack) -> String {
    format!("run-{}-{}-", stack.name, stack.region)
}

/// Returns the record of the last run of a stack, in whichever account that was, if the folder has one.
pub fn last_run(folder: &Path, stack: &Stack) -> Option<Timeline> {
    let prefix = prefix(stack);
    let is_record = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let account = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".json"));
        account.is_some_and(|account| account.chars().all(|char| char.is_ascii_digit()))
    };
    let read = |path: PathBuf| serde_json::from_slice::<Timeline>(&std::fs::read(path).ok()?).ok();
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let records = paths.filter(is_record).filter_map(read).filter(Timeline::is_known);
    records.max_by(|one, other| one.began.cmp(&other.began))
}
