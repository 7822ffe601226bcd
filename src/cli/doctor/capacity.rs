//! Instance types, and the room that quotas leave.

use super::{Check, Patient, State};
use crate::{
    aws::{InUse, in_use, machines, quota},
    model::{Address, Class, Fault},
    resources::node_group,
};
use std::collections::BTreeSet;

/// The wanted node groups.
fn groups<'a>(patient: &Patient<'a>) -> Vec<(&'a Address, node_group::Spec)> {
    let nodes = patient.graph.nodes.values().filter(|node| node.kind == "node_group");
    nodes.filter_map(|node| Some((&node.address, serde_json::from_value(node.spec.clone()).ok()?))).collect()
}

/// Whether each group's types are of its architecture and offered in the stack's zones.
pub async fn types(patient: &Patient<'_>) -> Result<Check, Fault> {
    const NAME: &str = "instance types";
    let session = patient.session;
    let groups = groups(patient);
    let wanted: BTreeSet<&str> =
        groups.iter().flat_map(|(_, group)| &group.instance_types).map(String::as_str).collect();
    let known = machines(&session.target.clients, &wanted).await?;
    let zones = patient.snapshot.outputs.get("zones").and_then(serde_json::Value::as_array);
    let zones: Vec<&str> = zones.into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
    let (mut wrong, mut partly) = (Vec::new(), Vec::new());
    for (_, group) in &groups {
        let arch = if group.ami_type.ends_with("ARM_64") { "arm64" } else { "x86_64" };
        for name in &group.instance_types {
            let Some(machine) = known.get(name) else {
                wrong.push(format!(
                    "{name} (group {}) is not offered in {}",
                    group.name, session.stack.region
                ));
                continue;
            };
            if !machine.architectures.contains(arch) {
                wrong.push(format!("{name} (group {}) is no {arch} machine", group.name));
            }
            let missing: Vec<&str> =
                zones.iter().copied().filter(|zone| !machine.zones.contains(*zone)).collect();
            if !missing.is_empty() && missing.len() == zones.len() {
                wrong.push(format!("{name} (group {}) is in none of {}", group.name, zones.join(", ")));
            } else if !missing.is_empty() {
                partly.push(format!("{name} (group {}) is not in {}", group.name, missing.join(", ")));
            }
        }
    }
    let all: Vec<&str> = wanted.into_iter().collect();
    Ok(match (wrong.is_empty(), partly.is_empty()) {
        (true, true) => {
            let where_ = if zones.is_empty() { session.stack.region.clone() } else { "every zone".to_owned() };
            Check::new(NAME, State::Ok, format!("{} in {where_}", all.join(", ")))
        }
        (true, false) => Check::new(NAME, State::Warn, partly.join("; "))
            .then("nodes of these types come up in the other zones alone; add a type that all zones have"),
        (false, _) => Check::new(NAME, State::Fail, wrong.join("; "))
            .then("`aws ec2 describe-instance-type-offerings --location-type availability-zone` shows what there is"),
    })
}

/// One quota: what it is of, where it is kept, what is there and what `up` adds.
struct Room {
    what: &'static str,
    service: &'static str,
    code: &'static str,
    used: u32,
    more: u32,
}

/// Whether what `up` adds fits.
/// Source of the codes: <https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html>
pub async fn quotas(patient: &Patient<'_>) -> Vec<Check> {
    const NAME: &str = "quotas";
    let clients = &patient.session.target.clients;
    let asked = async {
        let used = in_use(clients).await?;
        let cpus = cpus(patient).await?;
        Ok::<_, Fault>((used, cpus))
    };
    let (used, cpus) = match asked.await {
        Ok(answer) => answer,
        Err(fault) => return vec![Check::of(NAME, Err(fault))],
    };
    let (mut checks, mut fine) = (Vec::new(), Vec::new());
    for room in rooms(patient, used, cpus).into_iter().filter(|room| room.more > 0) {
        let most = match quota(clients, room.service, room.code).await {
            Ok(most) => most,
            Err(fault) => {
                let denied = fault.class == Class::Denied;
                checks.push(Check::of(NAME, Err(fault)));
                if denied {
                    break;
                }
                continue;
            }
        };
        let text = format!("{} of {most} {}, {} more", room.used, room.what, room.more);
        if f64::from(room.used.saturating_add(room.more)) <= most {
            fine.push(text);
        } else {
            let ask = format!(
                "remove some, or ask for more: `aws service-quotas request-service-quota-increase --service-code {} \
                 --quota-code {} --desired-value {}`",
                room.service,
                room.code,
                room.used.saturating_add(room.more)
            );
            checks.push(Check::new(NAME, State::Fail, text).then(ask));
        }
    }
    if !fine.is_empty() {
        checks.push(Check::new(NAME, State::Ok, fine.join("; ")));
    }
    checks
}

fn rooms(patient: &Patient<'_>, used: InUse, (on_demand, spot): (u32, u32)) -> Vec<Room> {
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let more = |kind: &str| small(patient.new_ones(kind));
    let room = |what, service, code, used, more| Room { what, service, code, used, more };
    vec![
        room("VPCs", "vpc", "L-F678F1CE", small(used.vpcs), more("vpc")),
        room("internet gateways", "vpc", "L-A4707A72", small(used.gateways), more("internet_gateway")),
        room("elastic IPs", "ec2", "L-0263D0A3", small(used.addresses), more("elastic_ip")),
        room("clusters", "eks", "L-1194D53C", small(used.clusters), more("eks_cluster")),
        room("on-demand vCPUs", "ec2", "L-1216C47A", used.on_demand, on_demand),
        room("Spot vCPUs", "ec2", "L-34B43A08", used.spot, spot),
    ]
}

/// The vCPUs of the groups that are new, on demand and Spot: those of the first type, times the nodes to begin with.
async fn cpus(patient: &Patient<'_>) -> Result<(u32, u32), Fault> {
    let mut new = groups(patient);
    new.retain(|(address, _)| !patient.snapshot.resources.contains_key(*address));
    let first = |group: &node_group::Spec| group.instance_types.first().cloned().unwrap_or_default();
    new.retain(|(_, group)| is_standard(&first(group)));
    let names: Vec<String> = new.iter().map(|(_, group)| first(group)).collect();
    if names.is_empty() {
        return Ok((0, 0));
    }
    let clients = &patient.session.target.clients;
    let known = machines(clients, &names.iter().map(String::as_str).collect()).await?;
    let (mut on_demand, mut spot) = (0_u32, 0_u32);
    for (_, group) in new {
        let each = known.get(&first(&group)).map_or(0, |machine| machine.cpus);
        let sum = if group.capacity == "SPOT" { &mut spot } else { &mut on_demand };
        *sum = sum.saturating_add(each.saturating_mul(u32::try_from(group.desired).unwrap_or_default()));
    }
    Ok((on_demand, spot))
}

/// Whether the quota of the standard families (A, C, D, H, I, M, R, T, Z) counts it.
/// Source: <https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>
fn is_standard(name: &str) -> bool {
    let family: String = name.chars().take_while(char::is_ascii_alphabetic).collect();
    ["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"].contains(&family.as_str())
}

#[cfg(test)]
mod tests {
    use super::is_standard;

    #[test]
    fn the_standard_families_are_told_from_those_with_quotas_of_their_own() {
        assert!(["t3.large", "m7g.large", "c5.xlarge", "im4gn.large"].iter().all(|name| is_standard(name)));
        assert!(
            ["g5.xlarge", "p5.48xlarge", "inf2.xlarge", "trn1.2xlarge", "x2idn.16xlarge"]
                .iter()
                .all(|name| !is_standard(name))
        );
    }
}
