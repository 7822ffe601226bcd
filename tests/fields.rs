//! Every field of the file does something: its change shows in the plan, and its value reaches AWS, where boto3 looks.
//!
//! Each group of fields has a stack of its own. Its fields are changed one at a time and planned, each plan compared with
//! what this change alone should show; then all at once are made so, and AWS is asked for each value.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod common;

#[path = "fields/case.rs"]
mod case;
#[path = "fields/cluster.rs"]
mod cluster;
#[path = "fields/delivery.rs"]
mod delivery;
#[path = "fields/existing.rs"]
mod existing;
#[path = "fields/fargate.rs"]
mod fargate;
#[path = "fields/network.rs"]
mod network;
#[path = "fields/nodes.rs"]
mod nodes;
#[path = "fields/schema.rs"]
mod schema;

#[test]
fn network_key_and_tags() {
    network::group().go();
}

#[test]
fn control_plane_people_and_addons() {
    cluster::group().go();
}

#[test]
fn node_groups() {
    nodes::group().go();
}

#[test]
fn fargate_profiles() {
    fargate::group().go();
}

#[test]
fn delivery() {
    delivery::group().go();
}

#[test]
fn a_network_that_is_there() {
    existing::group().go();
}
