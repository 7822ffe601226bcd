//! The range of the numbers in a state: a forged or damaged document must not make one overflow, or a loop endless.

use super::{Intent, Snapshot, SnapshotError, one_line, shortened};

/// Maximum of a count of writes or fences; a program reaches a tiny part of it.
const MAX_COUNT: u64 = 1 << 53;

/// Maximum distance of a recorded time from 1970, in seconds: the end of the year 9999.
const MAX_SECONDS: u64 = 253_402_300_799;

impl Snapshot {
    /// Refuses numbers that no program writes.
    pub(super) fn check_numbers(&self) -> Result<(), SnapshotError> {
        let refused =
            |field: String, value: &dyn ToString| Err(SnapshotError::OutOfRange(field, value.to_string()));
        if self.epoch > MAX_COUNT {
            return refused("epoch".to_owned(), &self.epoch);
        }
        if self.version > MAX_COUNT {
            return refused("version".to_owned(), &self.version);
        }
        let late = |intent: &&Intent| intent.signed_at.unsigned_abs() > MAX_SECONDS;
        match self.intents.iter().find(|(_, intent)| late(intent)) {
            Some((at, intent)) => refused(
                format!("intents.{}.signedAt", shortened(&one_line(at.as_str()), 300)),
                &intent.signed_at,
            ),
            None => Ok(()),
        }
    }
}
