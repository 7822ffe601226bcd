//! What the cloud in memory replaces by creation first: resources that are found by a name of their own.

use super::cloud::Cloud;
use crate::resources::{FoundResource, Lookup};
use serde_json::Value;

impl Cloud {
    /// What has its own name is found by that, whatever address its tags name.
    pub(super) fn group(&self, lookup: &Lookup) -> Option<FoundResource<Value>> {
        let name = [&lookup.recorded, &lookup.want].into_iter().find_map(|form| form["name"].as_str())?;
        let things = self.things.lock().unwrap();
        let mut there = things.iter().filter(|thing| thing.kind == "grouped" && thing.gone.is_none());
        let thing = there.find(|thing| thing.body["name"] == name)?;
        Some(FoundResource { address: lookup.address.clone(), live: thing.body.clone() })
    }

    /// The names of what is replaced by creation first and exists.
    pub(super) fn groups(&self) -> Vec<String> {
        let things = self.things.lock().unwrap();
        let there = things.iter().filter(|thing| thing.kind == "grouped" && thing.gone.is_none());
        there.map(|thing| thing.body["name"].as_str().unwrap().to_owned()).collect()
    }
}
