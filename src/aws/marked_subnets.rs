//! The markers of role tags that a stack left on subnets of others. The tagging API lists only what has the stack's own tags.

use super::{Call, Clients, filter};
use crate::model::CallError;
use aws_sdk_ec2::types::Subnet;

/// Returns the ids of the subnets that carry a tag with this key.
pub async fn marked_subnets(clients: &Clients, marker: &str) -> Result<Vec<String>, CallError> {
    let call = clients.ec2.describe_subnets().filters(filter("tag-key", vec![marker.to_owned()]));
    let pages = call.into_paginator().page_size(1000).items().send();
    let subnets: Vec<Subnet> = pages.try_collect().await.call()?;
    Ok(subnets.into_iter().filter_map(|subnet| subnet.subnet_id).collect())
}
