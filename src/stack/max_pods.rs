//! How many pods a node can have when the VPC CNI gives its interfaces prefixes of addresses.
//!
//! Sources: <https://docs.aws.amazon.com/eks/latest/userguide/cni-increase-ip-addresses.html>, and the limits of interfaces and
//! addresses in <https://github.com/awslabs/amazon-eks-ami>, `eni-max-pods.txt`.

/// Families that are not on the Nitro System, whose interfaces take no prefixes.
/// Source: <https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-nitro-instances.html>
const WITHOUT_NITRO: &[&str] = &[
    "c1", "c3", "c4", "d2", "f1", "g2", "g3", "g3s", "h1", "i2", "i3", "m1", "m2", "m3", "m4", "p2", "p3",
    "r3", "r4", "t1", "t2", "x1", "x1e",
];

/// Kubernetes' recommended most for nodes with fewer than 30 virtual processors, and for larger ones.
const MOST: (u16, u16) = (110, 250);

/// Returns the instance types that take no prefixes.
pub fn without_prefixes(instance_types: &[String]) -> Vec<&String> {
    let lacks = |name: &&String| {
        let (family, size) = parts(name);
        WITHOUT_NITRO.contains(&family) && !size.starts_with("metal")
    };
    instance_types.iter().filter(lacks).collect()
}

/// Returns how many pods each node of a group can have: what the smallest of its instance types can.
pub fn max_pods(instance_types: &[String]) -> u16 {
    instance_types.iter().map(|name| of_type(name)).min().unwrap_or(MOST.0)
}

fn parts(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or((name, ""))
}

fn of_type(name: &str) -> u16 {
    let (family, size) = parts(name);
    let multiple = size.strip_suffix("xlarge").map(|number| number.parse::<u16>().unwrap_or(1));
    match (size, multiple) {
        // Two interfaces with one prefix each, and two pods on the host's network.
        ("nano" | "micro", _) => 34,
        // Two interfaces with three prefixes each.
        ("medium", _) if !family.starts_with('t') => 98,
        (size, _) if size.starts_with("metal") => MOST.1,
        (_, Some(multiple)) if multiple >= 8 => MOST.1,
        _ => MOST.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_what_its_interfaces_and_kubernetes_allow() {
        for (name, most) in [
            ("t3.micro", 34),
            ("m6g.medium", 98),
            ("t3.medium", 110),
            ("m6i.large", 110),
            ("m6i.xlarge", 110),
            ("c7g.4xlarge", 110),
            ("c7g.8xlarge", 250),
            ("m5.24xlarge", 250),
            ("m7i.metal-24xl", 250),
        ] {
            assert_eq!(of_type(name), most, "{name}");
        }
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(max_pods(&of(&["m5.8xlarge", "m6g.medium"])), 98);
        assert_eq!(
            without_prefixes(&of(&["m5.large", "t2.large", "i3.metal", "m4.xlarge"])),
            ["t2.large", "m4.xlarge"]
        );
    }
}
