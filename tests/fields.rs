//! Every field of the file does something: its change shows in the plan, and its value reaches AWS, where boto3 looks.
//!
//! Each group of fields has a stack of its own. Its fields are changed one at a time and planned, each plan compared with
//! what this change alone should show; then all at once are made so, and AWS is asked for each value.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod common;

#[path = "fields/case.rs"]
mod case;
#[path = "fields/network.rs"]
mod network;
#[path = "fields/schema.rs"]
mod schema;

#[test]
fn network_key_and_tags() {
    network::group().go();
}
