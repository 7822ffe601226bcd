//! What a long call says while it lasts: heard by whoever awaits it, and by nobody where none listens.

use std::{future::Future, sync::Arc};

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// How far it is.
    Progress(String),
    /// What whoever reads should know when it is over, too.
    Notice(String),
}

/// Who hears it.
pub type Listener = Arc<dyn Fn(Said) + Send + Sync>;

tokio::task_local! {
    static LISTENER: Listener;
}

/// Awaits `work`, with `listener` hearing what it says. What `work` spawns is not heard.
pub async fn heard<T>(listener: Listener, work: impl Future<Output = T>) -> T {
    LISTENER.scope(listener, work).await
}

/// Says how far it is.
pub fn tell(text: &str) {
    let _ = LISTENER.try_with(|listener| listener(Said::Progress(text.to_owned())));
}

/// Says what is to be known.
pub fn notice(text: &str) {
    let _ = LISTENER.try_with(|listener| listener(Said::Notice(text.to_owned())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[tokio::test]
    async fn what_is_said_is_heard_by_whoever_awaits() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let listener: Listener = {
            let said = Arc::clone(&said);
            Arc::new(move |text| said.lock().unwrap().push(text))
        };
        tell("nobody listens");
        heard(listener, async {
            tell("half");
            notice("whole");
        })
        .await;
        let said = said.lock().unwrap().clone();
        assert_eq!(said, [Said::Progress("half".to_owned()), Said::Notice("whole".to_owned())]);
    }
}
