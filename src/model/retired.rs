//! What the state records of a resource that is being replaced by creation first, as long as old and new exist.

use super::{Address, Entry, Snapshot, is_name_of};
use serde_json::Value;

/// Maximum lengths of the names that the program makes, in characters: of node groups and of Fargate profiles.
const NAME_LENGTHS: [usize; 2] = [63, 100];

fn name(entry: &Entry) -> Option<&str> {
    entry.live.get("name").and_then(Value::as_str)
}

impl Snapshot {
    /// Returns whether `address` is that of a recorded resource that is being replaced.
    pub fn is_retired(&self, address: &Address) -> bool {
        let recorded = self.resources.get(address).and_then(name);
        recorded.is_some_and(|name| *address == Address::from(address.base()).retired(name))
    }

    /// Records `entry`, the resource at `address`, as the one that is being replaced there.
    pub(super) fn retire(&mut self, address: &Address, retired: Address, entry: Entry) {
        self.resources.remove(address);
        self.intents.remove(address);
        self.resources.insert(retired, entry);
    }

    /// Records what was retired at `address` again, unless something else is recorded there.
    pub(super) fn restore(&mut self, address: Address, retired: &Address) {
        if !self.resources.contains_key(&address)
            && !self.intents.contains_key(&address)
            && let Some(entry) = self.resources.remove(retired)
        {
            self.resources.insert(address, entry);
        }
    }

    /// Restores what was retired for replacements of which nothing is recorded, as after a run that was killed between the two.
    /// What is already being deleted stays retired.
    pub fn restore_retired(&mut self) {
        let kept = |address: &&Address| {
            self.is_retired(address) && self.resources.get(*address).is_some_and(|entry| !entry.leaving)
        };
        let retired: Vec<Address> = self.resources.keys().filter(kept).cloned().collect();
        for address in retired {
            self.restore(Address::from(address.base()), &address);
        }
    }

    /// Records what was retired at `address` there again, although what was to replace it, named `new`, was begun: that is
    /// recorded as retired instead.
    pub fn take_back(&mut self, address: &Address, retired: &Address, new: &str) {
        let Some(old) = self.resources.remove(retired) else { return };
        let new = address.retired(new);
        if let Some(entry) = self.resources.insert(address.clone(), old) {
            self.resources.insert(new.clone(), entry);
        }
        if let Some(intent) = self.intents.remove(address) {
            self.intents.insert(new, intent);
        }
    }

    /// Returns whether a resource has a name that a replacement gave it. A program that reads only schema 1 would replace it
    /// again.
    pub(super) fn has_own_names(&self) -> bool {
        let renamed = |(address, entry): (&Address, &Entry)| {
            let base = address.last_segment();
            let made = |name: &str| NAME_LENGTHS.iter().any(|limit| is_name_of(base, name, *limit));
            name(entry).is_some_and(|name| name != base && made(name))
        };
        let retired = self.resources.keys().any(|address| self.is_retired(address));
        retired || self.resources.iter().any(renamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Owner, Record, Stage};
    use serde_json::json;
    use std::collections::BTreeSet;

    fn entry(name: &str) -> Entry {
        Entry {
            kind: "node_group".into(),
            stage: Stage::Cluster,
            spec: json!({"name": name}),
            live: json!({"name": name}),
            dependencies: BTreeSet::new(),
            leaving: false,
            update: None,
        }
    }

    #[test]
    fn a_replacement_is_recorded_beside_what_it_replaces() {
        let address = Address::from("cluster/node-group/main");
        let old = address.retired("main");
        let owner = Owner { stack: "shop".into(), lineage: "l".into() };
        let mut snapshot = Snapshot::new(&owner, "1", "r");
        snapshot.apply(Record::Applied(address.clone(), Box::new(entry("main"))));
        snapshot.encode().unwrap();
        assert_eq!((snapshot.schema, snapshot.is_retired(&address)), (1, false));

        snapshot.apply(Record::Retired(address.clone(), old.clone(), Box::new(entry("main"))));
        let bytes = snapshot.encode().unwrap();
        assert_eq!((snapshot.schema, snapshot.is_retired(&old)), (2, true));
        assert_eq!(Snapshot::decode(&bytes).unwrap(), snapshot);

        // Nothing came of the replacement.
        let mut failed = snapshot.clone();
        failed.apply(Record::Restored(address.clone(), old.clone()));
        assert!(failed.resources.contains_key(&address) && failed.resources.len() == 1);
        let mut killed = snapshot.clone();
        killed.restore_retired();
        assert_eq!(killed.resources, failed.resources);

        snapshot.apply(Record::Applied(address.clone(), Box::new(entry("main-0a1b2"))));
        let both = snapshot.resources.clone();
        snapshot.restore_retired();
        assert_eq!(snapshot.resources, both);
        snapshot.apply(Record::Deleted(old));
        snapshot.encode().unwrap();
        assert_eq!(snapshot.schema, 2, "an older program would replace it again");

        let mut leaving = Snapshot::new(&owner, "1", "r");
        leaving.resources.insert(address.retired("main"), Entry { leaving: true, ..entry("main") });
        leaving.restore_retired();
        assert!(leaving.is_retired(&address.retired("main")));
    }
}
