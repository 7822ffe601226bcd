//! The zones of a region, as this account sees them.

use super::{Call, Clients, filter};
use crate::model::Fault;

/// One availability zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The name, `eu-central-1a`.
    pub name: String,
    /// Whether EKS puts a control plane there.
    pub takes_clusters: bool,
}

/// Zones, by id, whose subnets EKS refuses.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html>
const WITHOUT_EKS: &[&str] = &["use1-az3", "usw1-az2", "cac1-az3"];

/// The zones that are there and open to the account, by name.
pub async fn zones(clients: &Clients) -> Result<Vec<Zone>, Fault> {
    let usual = filter("zone-type", vec!["availability-zone".to_owned()]);
    let state = filter("state", vec!["available".to_owned()]);
    let call = clients.ec2.describe_availability_zones().filters(usual).filters(state);
    let zones =
        call.send().await.call("ec2", "DescribeAvailabilityZones")?.availability_zones.unwrap_or_default();
    let mut zones: Vec<Zone> = zones
        .into_iter()
        .filter_map(|zone| {
            let takes_clusters = !WITHOUT_EKS.contains(&zone.zone_id.as_deref().unwrap_or_default());
            Some(Zone { name: zone.zone_name?, takes_clusters })
        })
        .collect();
    zones.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(zones)
}
