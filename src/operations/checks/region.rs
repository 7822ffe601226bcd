//! The checks of the region, its zones and versions, and of the way to the API server.

use super::{
    super::api_access::{self, ApiAccess},
    check::{Check, CheckState, DoctorContext},
};
use serde_json::Value;

/// Returns the check of the zones and versions that the plan has chosen from what the region offers.
pub fn offers(context: &DoctorContext<'_>) -> Check {
    let (stack, outputs) = (&context.workspace.stack, &context.snapshot.outputs);
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
        let addons = context.graph.nodes.values().filter(|node| node.kind == "addon").count();
        parts.push(format!("{addons} compatible add-ons"));
    }
    Check::new("region", CheckState::Ok, parts.join("; "))
}

/// Checks that this machine can reach the API server.
pub fn api_access(context: &DoctorContext<'_>) -> Check {
    const CHECK: &str = "API server";
    match api_access::of(&context.workspace.stack, context.graph) {
        ApiAccess::Public(blocks) => {
            Check::new(CHECK, CheckState::Ok, format!("open to {}", blocks.join(", ")))
        }
        ApiAccess::FromVpc => {
            Check::new(CHECK, CheckState::Ok, "private; this machine has an address in the VPC's CIDR block")
        }
        ApiAccess::OutsideVpc(why) => Check::new(CHECK, CheckState::Warn, why).then(api_access::TO_DO),
    }
}
