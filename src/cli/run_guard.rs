//! What surrounds a run on the command line: signals, the timeout and progress output.

use super::{exit::CommandError, terminal::Terminal};
use crate::{
    model::{CallError, Event},
    operations::RunControl,
    ui::follow,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::unbounded_channel,
    task::JoinHandle,
};

/// Handles signals, the timeout and events while a run lasts.
pub struct RunGuard {
    /// The control of the run.
    pub control: RunControl,
    printer: JoinHandle<()>,
    signals: JoinHandle<()>,
}

impl RunGuard {
    /// Starts listening for signals and showing events.
    pub fn open(terminal: &Arc<Terminal>, timeout: Option<Duration>) -> Result<Self, CommandError> {
        let (events, receiver) = unbounded_channel();
        let control = RunControl::new(events);
        let printer = tokio::spawn(follow(terminal.ui, receiver));
        let bug = |error: std::io::Error| {
            CommandError::from(CallError::bug(format!("cannot listen for signals: {error}")))
        };
        let mut interrupt = signal(SignalKind::interrupt()).map_err(bug)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(bug)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(bug)?;
        if let Some(time) = timeout {
            control.shutdown.after(time, control.events.clone());
        }
        let (heard, run) = (Arc::clone(terminal), control.clone());
        let signals = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                heard.signal();
                run.shutdown.escalate();
                let _ = run.events.send(Event::Stopping);
            }
        });
        Ok(RunGuard { control, printer, signals })
    }

    /// Stops listening for signals, and shows the remaining events.
    pub async fn close(self) {
        self.signals.abort();
        let RunGuard { control, printer, signals } = self;
        // The task for signals holds a sender, too.
        let _ = signals.await;
        drop(control);
        let _ = tokio::time::timeout(Duration::from_secs(1), printer).await;
    }
}
