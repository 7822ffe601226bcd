//! Region, zones and versions; and whether this machine will reach the API server.

use super::{Check, Patient, State};
use crate::cli::door::{self, Door};
use serde_json::Value;

/// What the region offers, as the plan took it.
pub fn offers(patient: &Patient<'_>) -> Check {
    let (stack, outputs) = (&patient.session.stack, &patient.snapshot.outputs);
    let list = |name: &str| -> Vec<&str> {
        outputs.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let mut parts = vec![stack.region.clone()];
    let zones = list("zones");
    if !zones.is_empty() {
        parts.push(format!("zones {}", zones.join(", ")));
    }
    if let Some(version) = outputs.get("kubernetesVersion").and_then(Value::as_str) {
        parts.push(format!("Kubernetes {version}"));
        let addons = patient.graph.nodes.values().filter(|node| node.kind == "addon").count();
        parts.push(format!("{addons} add-ons that fit it"));
    }
    Check::new("region", State::Ok, parts.join("; "))
}

/// Whether the API server will answer this machine.
pub fn door(patient: &Patient<'_>) -> Check {
    const NAME: &str = "API server";
    match door::of(&patient.session.stack, patient.graph) {
        Door::Open(blocks) => Check::new(NAME, State::Ok, format!("open to {}", blocks.join(", "))),
        Door::Inside => {
            Check::new(NAME, State::Ok, "private; this machine has an address in the VPC's block")
        }
        Door::Shut(why) => Check::new(NAME, State::Warn, why).then(door::TO_DO),
    }
}
