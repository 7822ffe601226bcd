//! Progress messages of long calls, delivered to the task that awaits them; without a listener they are
//! dropped.

use std::{future::Future, sync::Arc};

/// One progress message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressEvent {
    /// The progress of the current call.
    Progress(String),
    /// A notice that stays visible after the call has ended.
    Notice(String),
    /// A call that writes was accepted; a verb may send several.
    Accepted,
}

/// The function that receives the messages.
pub type ProgressSink = Arc<dyn Fn(ProgressEvent) + Send + Sync>;

tokio::task_local! {
    static SINK: ProgressSink;
}

/// Awaits `work` and sends its messages to `progress_sink`. Messages of tasks that `work` spawns are dropped.
pub async fn with_progress<T>(progress_sink: ProgressSink, work: impl Future<Output = T>) -> T {
    SINK.scope(progress_sink, work).await
}

/// Reports that a call that writes was accepted.
pub fn report_accepted() {
    let _ = SINK.try_with(|progress_sink| progress_sink(ProgressEvent::Accepted));
}

/// Reports progress.
pub fn report_progress(text: &str) {
    let _ = SINK.try_with(|progress_sink| progress_sink(ProgressEvent::Progress(text.to_owned())));
}

/// Reports a notice that stays visible after the call has ended.
pub fn notice(text: &str) {
    let _ = SINK.try_with(|progress_sink| progress_sink(ProgressEvent::Notice(text.to_owned())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[tokio::test]
    async fn the_awaiting_task_receives_the_messages() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let progress_sink: ProgressSink = {
            let said = Arc::clone(&said);
            Arc::new(move |text| said.lock().unwrap().push(text))
        };
        report_progress("dropped");
        with_progress(progress_sink, async {
            report_progress("half");
            notice("whole");
        })
        .await;
        let said = said.lock().unwrap().clone();
        assert_eq!(
            said,
            [ProgressEvent::Progress("half".to_owned()), ProgressEvent::Notice("whole".to_owned())]
        );
    }
}
