//! The availability zones of a region, as this account sees them.

use super::{Call, Clients, MissingField, filter, required};
use crate::model::CallError;

/// One availability zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The zone name, `eu-central-1a`.
    pub name: String,
    /// Whether EKS accepts subnets in this zone for a control plane.
    pub takes_clusters: bool,
}

/// The ids of the zones whose subnets EKS refuses.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html>
const WITHOUT_EKS: &[&str] = &["use1-az3", "usw1-az2", "cac1-az3"];

/// Lists the zones that are available to the account, sorted by name.
pub async fn zones(clients: &Clients) -> Result<Vec<Zone>, CallError> {
    let usual = filter("zone-type", vec!["availability-zone".to_owned()]);
    let state = filter("state", vec!["available".to_owned()]);
    let call = clients.ec2.describe_availability_zones().filters(usual).filters(state);
    let mut zones = call.send().await.read(|answer| {
        let zones = answer.availability_zones.unwrap_or_default().into_iter();
        let read = zones.map(|zone| {
            let id = required(zone.zone_id, "zoneId")?;
            let name = required(zone.zone_name, "zoneName")?;
            Ok(Zone { name, takes_clusters: !WITHOUT_EKS.contains(&id.as_str()) })
        });
        read.collect::<Result<Vec<Zone>, MissingField>>()
    })?;
    zones.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(zones)
}
