//! Addresses that were removed from the state by command, and whose resources are kept.

use super::{Address, Snapshot};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Key of the list among the outputs of the state.
const FORGOTTEN_KEY: &str = "forgotten";

impl Snapshot {
    /// Keeps the resource at `address` though the state no longer records it.
    pub fn forget(&mut self, address: Address) {
        let mut all = self.forgotten();
        all.insert(address);
        self.outputs.insert(FORGOTTEN_KEY.to_owned(), json!(all));
    }

    /// Returns the addresses given to [`forget`](Self::forget). A record at such an address counts as any
    /// other.
    pub fn forgotten(&self) -> BTreeSet<Address> {
        let all = self.outputs.get(FORGOTTEN_KEY).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).map(Address::from).collect()
    }
}
