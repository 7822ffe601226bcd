//! Whether this machine can reach the cluster's API server, predicted from the plan and tested with a call.

use super::{OperationError, Workspace};
use crate::{
    aws::cluster_endpoint,
    graph::cluster_name,
    kube::{KubeClient, access_denied},
    model::{ErrorKind, Graph, Plan},
    stack::Stack,
};
use ipnet::IpNet;
use serde_json::Value;
use std::net::{IpAddr, UdpSocket};

/// The hint for an API server that this machine cannot reach.
pub const TO_DO: &str =
    "run from inside the VPC or over a VPN, or set `cluster.endpoint.public` for this address";

/// From where the API server can be reached.
pub enum ApiAccess {
    /// From these CIDR blocks.
    Public(Vec<String>),
    /// Only from inside the VPC, where this machine is.
    FromVpc,
    /// Only from inside the VPC, where this machine is not. Holds the consequence, as text.
    OutsideVpc(String),
}

/// Returns from where the API server of the cluster in `graph` can be reached.
pub fn of(stack: &Stack, graph: &Graph) -> ApiAccess {
    let spec = graph.nodes.values().find(|node| node.kind == "eks_cluster").map(|node| &node.spec);
    let public = spec.and_then(|spec| spec.get("endpointPublic")).and_then(Value::as_bool).unwrap_or(false);
    if public {
        let blocks = spec.and_then(|spec| spec.get("publicCidrs")).and_then(Value::as_array);
        let blocks = blocks.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        return ApiAccess::Public(blocks.collect());
    }
    // The file does not say the CIDR block of an existing network.
    let made = stack.network.as_ref().filter(|network| network.existing.is_none());
    if made.is_some_and(|network| is_inside(&network.cidr.to_string())) {
        return ApiAccess::FromVpc;
    }
    ApiAccess::OutsideVpc(format!(
        "private, and this machine is not in the VPC: cluster {} is created, \
         but nothing can be deployed from here",
        cluster_name(stack)
    ))
}

/// Warns if the plan deploys to a cluster that this machine cannot reach, and returns whether it does.
pub fn warn(workspace: &Workspace, graph: &Graph, plan: &Plan) -> bool {
    let deploys = plan.changes.iter().any(|change| change.kind == "manifest");
    match of(&workspace.stack, graph) {
        ApiAccess::OutsideVpc(why) if deploys => {
            workspace.warn(format!("the API server is {why}; {TO_DO}"));
            true
        }
        _ => false,
    }
}

/// Returns why this machine cannot use the cluster. `None` if it can, or if the cluster does not exist.
pub async fn unreachable(workspace: &Workspace) -> Result<Option<Unreachable>, OperationError> {
    let name = cluster_name(&workspace.stack);
    let clients = &workspace.target.clients;
    let Some(there) = cluster_endpoint(clients, &name).await? else { return Ok(None) };
    let cluster = KubeClient::new(clients, &there, &name, &workspace.stack.region)?;
    // A single lost answer does not make the cluster unreachable.
    let answer = match cluster.version().await {
        Err(error) if error.class == ErrorKind::Ambiguous => cluster.version().await,
        answer => answer,
    };
    match answer {
        Ok(_) => Ok(None),
        Err(error) => match access_denied(&error) {
            Some(why) => Ok(Some(Unreachable::UnknownCaller(why))),
            None if error.class == ErrorKind::Ambiguous => Ok(Some(Unreachable::NoAnswer(error.message))),
            None => Err(error.into()),
        },
    }
}

/// Why this machine cannot use the cluster.
pub enum Unreachable {
    /// The cluster grants the caller no access.
    UnknownCaller(String),
    /// The API server does not answer.
    NoAnswer(String),
}

/// Returns whether the route to `block` starts at an address in it. Connecting a UDP socket sends nothing.
fn is_inside(block: &str) -> bool {
    let Ok(block) = block.parse::<IpNet>() else { return false };
    let local = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect((block.network(), 9))?;
        Ok(socket.local_addr()?.ip())
    };
    local().is_ok_and(|address| block.contains(&address))
}
