//! Compare-and-swap that survives lost answers: every write carries its own id, and after a refusal or a
//! missing answer the object is read back. Otherwise a retry would meet the refusal that its own first attempt
//! caused.

use super::StateStore;
use crate::model::{CallError, ErrorKind, Snapshot, SnapshotError, Writer};
use std::{sync::Arc, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The number of attempts for a write whose outcome is unknown.
const ATTEMPTS: u32 = 6;

/// The state object as one process sees it.
pub struct Register {
    store: Arc<dyn StateStore>,
    etag: Option<String>,
    hash: String,
    version: u64,
    owner: String,
    by: String,
    fence: u64,
}

impl Register {
    /// Returns a register that writes for the run `owner`, under the lease's `fence`.
    pub fn new(store: Arc<dyn StateStore>, owner: &str, fence: u64) -> Self {
        let (owner, by) = (owner.to_owned(), String::new());
        Register { store, etag: None, hash: String::new(), version: 0, owner, by, fence }
    }

    /// Adds the text that names the writer for people: user, host and command.
    #[must_use]
    pub fn by(self, by: String) -> Self {
        Register { by, ..self }
    }

    /// Reads the newest version and checks it; `None` if none was ever written.
    ///
    /// # Errors
    /// Refuses a state that cannot be trusted, with a hint on how to recover.
    pub async fn read(&mut self) -> Result<Option<Snapshot>, CallError> {
        let Some(stored) = self.store.read().await? else { return Ok(None) };
        let snapshot =
            Snapshot::decode(&stored.bytes).map_err(|error| unusable(&error, &self.store.location()))?;
        self.hash = Snapshot::hash(&stored.bytes);
        self.etag = Some(stored.etag);
        self.version = snapshot.version;
        Ok(Some(snapshot))
    }

    /// Reads the newest version in order to overwrite it, even if it cannot be trusted; `None` if none was ever
    /// written.
    pub async fn over(&mut self) -> Result<Option<Result<Snapshot, SnapshotError>>, CallError> {
        let Some(stored) = self.store.read().await? else { return Ok(None) };
        let snapshot = Snapshot::decode(&stored.bytes);
        self.hash = Snapshot::hash(&stored.bytes);
        self.etag = Some(stored.etag);
        self.version = snapshot.as_ref().map_or(0, |snapshot| snapshot.version);
        Ok(Some(snapshot))
    }

    /// Sets the version number to continue from, if the version to overwrite could not be read.
    pub fn count_from(&mut self, version: u64) {
        if self.version == 0 {
            self.version = version;
        }
    }

    /// Writes `snapshot` as the next version, retrying writes whose outcome is unknown.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when another run wrote since, or holds a later fence: this run must stop. Any other
    /// class means that the store could not be reached.
    pub async fn write(&mut self, snapshot: &mut Snapshot) -> Result<(), CallError> {
        if snapshot.epoch > self.fence {
            return Err(lost(
                &self.store.location(),
                &format!("a run with fence {} wrote it", snapshot.epoch),
            ));
        }
        let (mut write_id, mut bytes) = self.seal(snapshot)?;
        let mut pause = Duration::from_millis(200);
        for attempt in 1..=ATTEMPTS {
            let error = match self.store.write(&bytes, self.etag.as_deref()).await {
                Ok(etag) => {
                    self.landed(etag, &bytes, snapshot.version);
                    return Ok(());
                }
                Err(error) => error,
            };
            if !matches!(
                error.class,
                ErrorKind::Lost | ErrorKind::Ambiguous | ErrorKind::Throttled | ErrorKind::Gone
            ) {
                return Err(error);
            }
            if let Ok(stored) = self.store.read().await {
                let there = stored.as_ref().map(|stored| stored.etag.as_str());
                let seen =
                    stored.as_ref().and_then(|stored| Some((Snapshot::decode(&stored.bytes).ok()?, stored)));
                match seen {
                    Some((seen, stored)) if seen.writer.write_id == write_id => {
                        self.landed(stored.etag.clone(), &bytes, snapshot.version);
                        return Ok(());
                    }
                    // An earlier unanswered write of this run that arrived late: `snapshot` continues from it.
                    Some((seen, stored))
                        if there != self.etag.as_deref()
                            && seen.writer.owner == self.owner
                            && seen.epoch == self.fence =>
                    {
                        self.landed(stored.etag.clone(), &stored.bytes, seen.version);
                        (write_id, bytes) = self.seal(snapshot)?;
                    }
                    Some((seen, _)) if there != self.etag.as_deref() => {
                        let who = format!("run {} wrote version {}", seen.writer.owner, seen.version);
                        return Err(lost(&self.store.location(), &who));
                    }
                    None if self.etag.is_some() => {
                        return Err(lost(
                            &self.store.location(),
                            "the state object was deleted or is corrupt",
                        ));
                    }
                    _ => {}
                }
            }
            if attempt == ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        Err(CallError::bug("a state write ended without an attempt"))
    }

    /// Numbers and signs `snapshot` as the next version. Returns the id of the write and the encoded document.
    fn seal(&self, snapshot: &mut Snapshot) -> Result<(String, Vec<u8>), CallError> {
        let write_id = uuid::Uuid::new_v4().to_string();
        snapshot.version = self.version.saturating_add(1);
        snapshot.epoch = self.fence;
        snapshot.previous.clone_from(&self.hash);
        let tool = concat!("provisioner ", env!("CARGO_PKG_VERSION")).to_owned();
        let now = OffsetDateTime::now_utc();
        let at = now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default();
        let (owner, by) = (self.owner.clone(), self.by.clone());
        snapshot.writer = Writer { owner, write_id: write_id.clone(), tool, by, at };
        let bytes = snapshot.encode().map_err(|error| CallError::bug(error.to_string()))?;
        Ok((write_id, bytes))
    }

    /// Returns the location of the state, for messages.
    pub fn location(&self) -> String {
        self.store.location()
    }

    fn landed(&mut self, etag: String, bytes: &[u8], version: u64) {
        self.etag = Some(etag);
        self.hash = Snapshot::hash(bytes);
        self.version = version;
    }
}

fn lost(place: &str, why: &str) -> CallError {
    CallError::new(ErrorKind::Lost, format!("{place}: this run may no longer write the state: {why}"))
        .hint("wait for the other run to finish, then run again")
}

fn unusable(error: &SnapshotError, place: &str) -> CallError {
    let hint = match error {
        SnapshotError::Newer(..) => "upgrade provisioner to that version or a newer one",
        SnapshotError::Foreign(..) => "check the account, the region and the stack's name",
        _ => {
            "nothing was changed; list older versions with `provisioner state history`, restore one with `provisioner state rollback`"
        }
    };
    CallError::new(ErrorKind::Refused, format!("{place}: {error}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Owner,
        store::{MemoryState, memory::Mishap},
    };

    fn snapshot() -> Snapshot {
        Snapshot::new(&Owner { stack: "s".into(), lineage: "l".into() }, "1", "r")
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_whose_answer_was_lost_counts_once() {
        let store = Arc::new(MemoryState::default());
        let mut register = Register::new(store.clone(), "run", 1);
        register.write(&mut snapshot()).await.unwrap();
        store.next(Mishap::LostAnswer);
        let mut second = snapshot();
        register.write(&mut second).await.unwrap();
        assert_eq!((second.version, store.versions()), (2, 2));
        store.next(Mishap::LostRequest);
        register.write(&mut second).await.unwrap();
        assert_eq!((second.version, store.versions()), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_write_that_arrives_late_is_not_taken_for_another_run() {
        let store = Arc::new(MemoryState::default());
        let mut register = Register::new(store.clone(), "run", 1);
        let mut state = snapshot();
        register.write(&mut state).await.unwrap();
        let base = store.read().await.unwrap().unwrap().etag;
        (0..ATTEMPTS).for_each(|_| store.next(Mishap::LostRequest));
        assert_eq!(register.write(&mut state).await.unwrap_err().class, ErrorKind::Ambiguous);
        store.write(&state.encode().unwrap(), Some(&base)).await.unwrap();
        register.write(&mut state).await.unwrap();
        let stored = Snapshot::decode(&store.read().await.unwrap().unwrap().bytes).unwrap();
        assert_eq!((stored.version, store.versions()), (3, 3));
        assert_eq!(stored, state);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_was_overtaken_writes_nothing() {
        let store = Arc::new(MemoryState::default());
        let (mut one, mut two) =
            (Register::new(store.clone(), "one", 1), Register::new(store.clone(), "two", 2));
        one.write(&mut snapshot()).await.unwrap();
        let mut seen = two.read().await.unwrap().unwrap();
        two.write(&mut seen).await.unwrap();
        assert_eq!(one.write(&mut snapshot()).await.unwrap_err().class, ErrorKind::Lost);
        assert_eq!(
            one.write(&mut seen).await.unwrap_err().class,
            ErrorKind::Lost,
            "a later fence is seen before writing"
        );
        assert_eq!(store.versions(), 2);
    }
}
