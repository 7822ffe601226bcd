//! Addresses that somebody took out of the state by hand, and whose things are to stay.

use super::{Address, Snapshot};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The state's name for them.
const FORGOTTEN: &str = "forgotten";

impl Snapshot {
    /// Remembers that what is at `address` is to stay though no record names it.
    pub fn forget(&mut self, address: Address) {
        let mut all = self.forgotten();
        all.insert(address);
        self.outputs.insert(FORGOTTEN.to_owned(), json!(all));
    }

    /// What [`forget`](Self::forget) was told of. A record at such an address counts as any other.
    pub fn forgotten(&self) -> BTreeSet<Address> {
        let all = self.outputs.get(FORGOTTEN).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).map(Address::from).collect()
    }
}
