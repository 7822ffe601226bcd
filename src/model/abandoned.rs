//! Creates whose result is not recorded, but whose nonce is: the only proof that an unrecorded resource belongs to the
//! stack.

use super::{Address, Entry, Snapshot, tag};

/// Maximum number of abandoned creates that are remembered.
const MAX_ABANDONED: usize = 500;

impl Entry {
    /// The nonce in its recorded tags: that of the create call that it comes from.
    pub fn nonce(&self) -> Option<&str> {
        self.live.get("tags")?.get(tag::INTENT)?.as_str()
    }
}

impl Snapshot {
    /// Remembers that a resource with this nonce in its tags was created for this stack. Beyond `MAX_ABANDONED`,
    /// others are forgotten.
    pub fn abandon(&mut self, nonce: String, address: Address) {
        self.abandoned.insert(nonce.clone(), address);
        while self.abandoned.len() > MAX_ABANDONED {
            let Some(other) = self.abandoned.keys().find(|other| **other != nonce).cloned() else { return };
            self.abandoned.remove(&other);
        }
    }

    /// Remembers the creates that `before` records and this state does not, because its records were changed by hand.
    pub fn abandon_unrecorded(&mut self, before: &Snapshot) {
        if before.lineage != self.lineage {
            return;
        }
        let recorded = before.resources.iter().filter_map(|(at, entry)| Some((at, entry.nonce()?)));
        let begun = before.intents.iter().map(|(at, intent)| (at, intent.nonce.as_str()));
        let known = before.abandoned.iter().map(|(nonce, at)| (at, nonce.as_str()));
        let all: Vec<(Address, String)> =
            recorded.chain(begun).chain(known).map(|(at, nonce)| (at.clone(), nonce.to_owned())).collect();
        for (address, nonce) in all {
            let entry = self.resources.get(&address).and_then(Entry::nonce);
            let intent = self.intents.get(&address).map(|intent| intent.nonce.as_str());
            if entry != Some(nonce.as_str()) && intent != Some(nonce.as_str()) {
                self.abandon(nonce, address);
            }
        }
    }
}
