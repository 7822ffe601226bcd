//! Region, zones and versions; and whether this machine will reach the API server.

use super::{Check, Patient, State};
use crate::graph::cluster_name;
use ipnet::IpNet;
use serde_json::Value;
use std::net::{IpAddr, UdpSocket};

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
    let stack = &patient.session.stack;
    let node = patient.graph.nodes.values().find(|node| node.kind == "eks_cluster");
    let spec = node.map(|node| &node.spec);
    let public = spec.and_then(|spec| spec.get("endpointPublic")).and_then(Value::as_bool).unwrap_or(false);
    if public {
        let blocks = spec.and_then(|spec| spec.get("publicCidrs")).and_then(Value::as_array);
        let blocks: Vec<&str> = blocks.into_iter().flatten().filter_map(Value::as_str).collect();
        return Check::new(NAME, State::Ok, format!("open to {}", blocks.join(", ")));
    }
    // The block of a network that is there already is not in the file.
    let made = stack.network.as_ref().filter(|network| network.existing.is_none());
    let inside = made.is_some_and(|network| is_inside(&network.cidr.to_string()));
    if inside {
        return Check::new(NAME, State::Ok, "private; this machine has an address in the VPC's block");
    }
    let text = format!(
        "private, and this machine is not in the VPC: cluster {} is made, and nothing can be deployed from here",
        cluster_name(stack)
    );
    Check::new(NAME, State::Warn, text)
        .then("run from inside the VPC or over a VPN, or open `cluster.endpoint.public` to this address")
}

/// Whether the way to `block` leaves from an address in it. Connecting a UDP socket sends nothing.
fn is_inside(block: &str) -> bool {
    let Ok(block) = block.parse::<IpNet>() else { return false };
    let local = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect((block.network(), 9))?;
        Ok(socket.local_addr()?.ip())
    };
    local().is_ok_and(|address| block.contains(&address))
}
