//! Whether the region has the instance types of the node groups, and the quotas room for what is created. Shared by
//! `doctor`, which reports all of it, and `up`, which refuses to begin what it could not finish.

use crate::{
    aws::{InUse, Machine},
    model::{Address, Graph, Node},
    resources::node_group,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a desired node group needs of the region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its address.
    pub address: Address,
    /// Its name in the file.
    pub name: String,
    /// The architecture of its nodes, in AWS's names.
    pub architecture: &'static str,
    /// Its instance types, the first tried first.
    pub types: Vec<String>,
    /// Whether its nodes are Spot instances.
    pub spot: bool,
    /// How many nodes it starts with.
    pub desired: u32,
}

/// Returns the desired node groups.
pub fn groups(graph: &Graph) -> Vec<Group> {
    let nodes = graph.nodes.values().filter(|node| node.kind == "node_group");
    let group = |node: &Node| {
        let spec: node_group::Spec = serde_json::from_value(node.spec.clone()).ok()?;
        Some(Group {
            address: node.address.clone(),
            architecture: if spec.ami_type.ends_with("ARM_64") { "arm64" } else { "x86_64" },
            name: spec.name,
            types: spec.instance_types,
            spot: spec.capacity == "SPOT",
            desired: u32::try_from(spec.desired).unwrap_or_default(),
        })
    };
    nodes.filter_map(group).collect()
}

/// Returns the instance types that the groups name.
pub fn types(groups: &[Group]) -> BTreeSet<&str> {
    groups.iter().flat_map(|group| &group.types).map(String::as_str).collect()
}

/// What is wrong with the instance types of node groups: the group's address, and the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeProblems {
    /// Types that no node of the group can have.
    pub wrong: Vec<(Address, String)>,
    /// Types that some zones do not offer.
    pub partly: Vec<(Address, String)>,
}

/// Compares the groups' instance types with those that the region and its zones offer.
pub fn type_problems(
    groups: &[Group],
    region: &str,
    zones: &[&str],
    known: &BTreeMap<String, Machine>,
) -> TypeProblems {
    let mut problems = TypeProblems::default();
    for group in groups {
        let (address, arch) = (&group.address, group.architecture);
        for name in &group.types {
            let of_group = format!("{name} (group {})", group.name);
            let Some(machine) = known.get(name) else {
                problems.wrong.push((address.clone(), format!("{of_group} is not offered in {region}")));
                continue;
            };
            if !machine.architectures.contains(arch) {
                let text = format!("{of_group} does not have the architecture {arch}");
                problems.wrong.push((address.clone(), text));
            }
            let missing: Vec<&str> =
                zones.iter().copied().filter(|zone| !machine.zones.contains(*zone)).collect();
            if !missing.is_empty() && missing.len() == zones.len() {
                let text = format!("{of_group} is not offered in any of {}", zones.join(", "));
                problems.wrong.push((address.clone(), text));
            } else if !missing.is_empty() {
                let text = format!("{of_group} is not offered in {}", missing.join(", "));
                problems.partly.push((address.clone(), text));
            }
        }
    }
    problems
}

/// The hint for types that the region or its zones do not offer.
pub const LIST_TYPES: &str =
    "list the types: `aws ec2 describe-instance-type-offerings --location-type availability-zone`";

/// One quota: its service and code, how much of it is in use, and how much `up` adds.
pub struct Room {
    /// What it limits, in plural.
    pub what: &'static str,
    /// The service, as Service Quotas names it.
    pub service: &'static str,
    /// The quota's code.
    pub code: &'static str,
    /// How much is in use.
    pub used: u32,
    /// How much more is needed.
    pub more: u32,
}

/// The quotas on resources that the program creates: kind, plural, service and code.
///
/// Source: <https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html>
pub const RESOURCE_QUOTAS: &[(&str, &str, &str, &str)] = &[
    ("vpc", "VPCs", "vpc", "L-F678F1CE"),
    ("internet_gateway", "internet gateways", "vpc", "L-A4707A72"),
    ("elastic_ip", "elastic IPs", "ec2", "L-0263D0A3"),
    ("eks_cluster", "clusters", "eks", "L-1194D53C"),
];

impl Room {
    /// Returns whether `most` leaves room for what is added.
    pub fn fits(&self, most: f64) -> bool {
        f64::from(self.used.saturating_add(self.more)) <= most
    }

    /// Returns how much is in use and how much more is needed, for people.
    pub fn text(&self, most: f64) -> String {
        format!("{} of {most} {} in use, {} more needed", self.used, self.what, self.more)
    }

    /// Returns the command that asks for more.
    pub fn request(&self) -> String {
        format!(
            "delete some, or request an increase: `aws service-quotas request-service-quota-increase \
             --service-code {} --quota-code {} --desired-value {}`",
            self.service,
            self.code,
            self.used.saturating_add(self.more)
        )
    }
}

/// Returns all quotas. `more` says how many resources of a kind are added, `cpus` how many vCPUs on demand and Spot.
pub fn rooms(used: InUse, more: &dyn Fn(&str) -> usize, (on_demand, spot): (u32, u32)) -> Vec<Room> {
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let in_use = |kind: &str| match kind {
        "vpc" => used.vpcs,
        "internet_gateway" => used.gateways,
        "elastic_ip" => used.addresses,
        _ => used.clusters,
    };
    let cpus = |what, code, used, more| Room { what, service: "ec2", code, used, more };
    let counted = RESOURCE_QUOTAS.iter().map(|(kind, what, service, code)| Room {
        what,
        service,
        code,
        used: small(in_use(kind)),
        more: small(more(kind)),
    });
    let of_cpus = [
        cpus("on-demand vCPUs", "L-1216C47A", used.on_demand, on_demand),
        cpus("Spot vCPUs", "L-34B43A08", used.spot, spot),
    ];
    counted.chain(of_cpus).collect()
}

impl Group {
    /// Returns the first instance type, by which the group's vCPUs are counted.
    pub fn first_type(&self) -> &str {
        self.types.first().map(String::as_str).unwrap_or_default()
    }
}

/// Returns the vCPUs of the groups, on demand and Spot: those of the first instance type, times the desired nodes.
pub fn cpus(groups: &[Group], known: &BTreeMap<String, Machine>) -> (u32, u32) {
    let (mut on_demand, mut spot) = (0_u32, 0_u32);
    for group in groups {
        let each = known.get(group.first_type()).map_or(0, |machine| machine.cpus);
        let sum = if group.spot { &mut spot } else { &mut on_demand };
        *sum = sum.saturating_add(each.saturating_mul(group.desired));
    }
    (on_demand, spot)
}

/// Returns whether an instance type counts against the quota of the standard families (A, C, D, H, I, M, R,
/// T, Z).
///
/// Source: <https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html>
pub fn is_standard(name: &str) -> bool {
    let family: String = name.chars().take_while(char::is_ascii_alphabetic).collect();
    ["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"].contains(&family.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_families_are_told_from_those_with_quotas_of_their_own() {
        assert!(["t3.large", "m7g.large", "c5.xlarge", "im4gn.large"].iter().all(|name| is_standard(name)));
        assert!(
            ["g5.xlarge", "p5.48xlarge", "inf2.xlarge", "trn1.2xlarge", "x2idn.16xlarge"]
                .iter()
                .all(|name| !is_standard(name))
        );
    }

    fn machine(arch: &str, zones: &[&str]) -> Machine {
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Machine { cpus: 2, architectures: all(&[arch]), zones: all(zones) }
    }

    #[test]
    fn a_type_is_wrong_by_its_name_its_architecture_or_its_zones() {
        let known = BTreeMap::from([
            ("t3.large".to_owned(), machine("x86_64", &["a", "b"])),
            ("m5.large".to_owned(), machine("x86_64", &["a"])),
            ("m7i.large".to_owned(), machine("x86_64", &["c"])),
            ("t4g.large".to_owned(), machine("arm64", &["a", "b"])),
        ]);
        let zones = ["a", "b"];
        let problems = |name: &str| {
            let group = Group {
                address: "g".into(),
                name: "main".to_owned(),
                architecture: "x86_64",
                types: vec![name.to_owned()],
                spot: false,
                desired: 1,
            };
            let found = type_problems(&[group], "r", &zones, &known);
            (found.wrong.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), found.partly.len())
        };
        assert_eq!(problems("t3.large"), (vec![], 0));
        assert_eq!(problems("t3.larg"), (vec!["t3.larg (group main) is not offered in r".to_owned()], 0));
        assert_eq!(problems("m5.large"), (vec![], 1));
        assert!(problems("m7i.large").0[0].contains("not offered in any of a, b"));
        assert!(problems("t4g.large").0[0].contains("architecture x86_64"));
    }

    #[test]
    fn a_quota_that_is_met_exactly_still_fits() {
        let used = InUse { vpcs: 4, ..InUse::default() };
        let rooms = rooms(used, &|kind| usize::from(kind == "vpc"), (0, 0));
        let vpcs = rooms.iter().find(|room| room.code == "L-F678F1CE").unwrap();
        assert!(vpcs.fits(5.0) && !vpcs.fits(4.0), "{}", vpcs.text(5.0));
    }
}
