//! Whether this machine will reach the cluster's API server, told before anything is made.

use super::{exit::Failure, session::Session};
use crate::{
    aws::reach,
    graph::cluster_name,
    kube::{Cluster, shut_out},
    model::{Class, Graph, Plan},
    stack::Stack,
    ui::Ui,
};
use ipnet::IpNet;
use serde_json::Value;
use std::net::{IpAddr, UdpSocket};

/// What to do about a door that is shut.
pub const TO_DO: &str =
    "run from inside the VPC or over a VPN, or open `cluster.endpoint.public` to this address";

/// Who gets to the API server.
pub enum Door {
    /// These blocks.
    Open(Vec<String>),
    /// Only who is in the VPC, and this machine is.
    Inside,
    /// Only who is in the VPC, and this machine is not.
    Shut(String),
}

/// The door of the cluster that `graph` describes.
pub fn of(stack: &Stack, graph: &Graph) -> Door {
    let spec = graph.nodes.values().find(|node| node.kind == "eks_cluster").map(|node| &node.spec);
    let public = spec.and_then(|spec| spec.get("endpointPublic")).and_then(Value::as_bool).unwrap_or(false);
    if public {
        let blocks = spec.and_then(|spec| spec.get("publicCidrs")).and_then(Value::as_array);
        let blocks = blocks.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        return Door::Open(blocks.collect());
    }
    // The block of a network that is there already is not in the file.
    let made = stack.network.as_ref().filter(|network| network.existing.is_none());
    if made.is_some_and(|network| is_inside(&network.cidr.to_string())) {
        return Door::Inside;
    }
    Door::Shut(format!(
        "private, and this machine is not in the VPC: cluster {} is made, and nothing can be deployed from here",
        cluster_name(stack)
    ))
}

/// Warns where the plan deploys what will not get to the cluster; whether that is so.
pub fn warn(ui: Ui, stack: &Stack, graph: &Graph, plan: &Plan) -> bool {
    let deploys = plan.changes.iter().any(|change| change.kind == "manifest");
    match of(stack, graph) {
        Door::Shut(why) if deploys => {
            ui.warn(&format!("the API server is {why}: {TO_DO}"));
            true
        }
        _ => false,
    }
}

/// Why nothing in the cluster can be looked at from here. None: it can, or there is no cluster.
pub async fn barred(session: &Session) -> Result<Option<Barred>, Failure> {
    let name = cluster_name(&session.stack);
    let clients = &session.target.clients;
    let Some(there) = reach(clients, &name).await? else { return Ok(None) };
    let cluster = Cluster::new(clients, &there, &name, &session.stack.region)?;
    // Once more: a single lost answer bars nobody.
    let answer = match cluster.version().await {
        Err(fault) if fault.class == Class::Ambiguous => cluster.version().await,
        answer => answer,
    };
    match answer {
        Ok(_) => Ok(None),
        Err(fault) if shut_out(&fault) => Ok(Some(Barred::Unknown(fault.message))),
        Err(fault) if fault.class == Class::Ambiguous => Ok(Some(Barred::Silent(fault.message))),
        Err(fault) => Err(fault.into()),
    }
}

/// Why the cluster is of no use from here.
pub enum Barred {
    /// It does not know the caller.
    Unknown(String),
    /// It does not answer.
    Silent(String),
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
