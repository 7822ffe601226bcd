//! Checks of the cluster's sections, and of what runs on it.

use super::{
    cluster::{Arch, NodeGroup, Ssh},
    types::File,
    validate::{Findings, is_arn, made_of, retention},
    validate_bottlerocket,
};
use ipnet::IpNet;

/// Kubernetes minors that EKS has had and this program knows of.
const MINORS: std::ops::RangeInclusive<u16> = 30..=36;

/// All that is wrong with these sections.
pub fn check(file: &File, found: &mut Findings<'_>) {
    cluster(file, found);
    nodes(file, found);
}

fn cluster(file: &File, found: &mut Findings<'_>) {
    let Some(cluster) = &file.cluster else { return };
    if let Some(version) = &cluster.version {
        let minor = version.strip_prefix("1.").and_then(|minor| minor.parse::<u16>().ok());
        let help = format!("such as \"1.{}\"", MINORS.end());
        found.check(
            minor.is_some_and(|minor| MINORS.contains(&minor)),
            "cluster.version",
            format!("EKS has no version `{version}` that is known here"),
            help,
        );
    }
    let endpoint = &cluster.endpoint;
    let cidrs = endpoint.public_cidrs.as_deref().unwrap_or_default();
    let mut blocks: Vec<IpNet> = Vec::new();
    for (index, text) in cidrs.iter().enumerate() {
        let path = format!("cluster.endpoint.publicCidrs[{index}]");
        match text.parse::<IpNet>() {
            _ if text == "myip" => {}
            Ok(block) if block.trunc() != block => found.add(
                &path,
                "the block has bits set behind its prefix",
                format!("did you mean `{}`?", block.trunc()),
            ),
            Ok(block) => blocks.push(block),
            Err(_) => found.add(
                &path,
                format!("`{text}` is no block of addresses"),
                "such as `203.0.113.0/24`, or `myip`",
            ),
        }
    }
    // Two halves are the world as well.
    let whole = IpNet::aggregate(&blocks).into_iter().any(|block| block.prefix_len() == 0);
    if whole && !endpoint.allow_world {
        let help = "name the blocks that need it, or say `allowWorld: true`";
        found.add(
            "cluster.endpoint.publicCidrs",
            "these blocks let the whole world reach the API server",
            help,
        );
    }
    if !endpoint.public && endpoint.public_cidrs.is_some() {
        found.add(
            "cluster.endpoint.publicCidrs",
            "`publicCidrs` are for a public endpoint, and `public` is false",
            "remove one of the two",
        );
    }
    found.check(
        endpoint.public_cidrs.is_none() || !cidrs.is_empty(),
        "cluster.endpoint.publicCidrs",
        "an empty list lets nobody in",
        "say `public: false` instead",
    );
    if let Some(service) = &cluster.service_cidr {
        let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
        let inside = private
            .iter()
            .filter_map(|block| block.parse::<ipnet::Ipv4Net>().ok())
            .any(|block| block.contains(&service.0));
        let fits = inside && (12..=24).contains(&service.prefix_len());
        found.check(
            fits,
            "cluster.serviceCidr",
            "EKS takes a private block from /12 to /24 here",
            "such as `172.20.0.0/16`",
        );
        let vpc = file.network.as_ref().map_or_else(super::Cidr::vpc, |network| network.cidr);
        let apart = !vpc.contains(&service.0) && !service.contains(&vpc.0);
        found.check(
            apart,
            "cluster.serviceCidr",
            format!("{service} overlaps the VPC's {vpc}"),
            "use a block outside the VPC",
        );
    }
    retention(found, "cluster.logging.retentionDays", cluster.logging.retention_days);
    for (index, access) in cluster.access.iter().enumerate() {
        let path = format!("cluster.access[{index}]");
        let arn = &access.principal_arn;
        found.check(
            is_arn(arn, "iam"),
            &format!("{path}.principalArn"),
            "this is no ARN of an IAM role or user",
            "such as `arn:aws:iam::123456789012:role/developers`",
        );
        let twice = cluster.access.iter().take(index).any(|other| other.principal_arn == *arn);
        found.check(
            !twice,
            &format!("{path}.principalArn"),
            "this principal has an entry already",
            "put both into one entry",
        );
        found.check(
            access.policy.is_some() || !access.groups.is_empty(),
            &path,
            "this entry allows nothing",
            "give it a `policy`, or `groups`",
        );
        let wide = access.policy == Some(super::cluster::AccessPolicy::ClusterAdmin)
            && !access.namespaces.is_empty();
        found.check(
            !wide,
            &format!("{path}.namespaces"),
            "a cluster-admin is one of the whole cluster",
            "use `policy: admin` for namespaces",
        );
    }
    for (index, addon) in cluster.addons.iter().enumerate() {
        let twice = cluster.addons.iter().take(index).any(|other| other.name == addon.name);
        let path = format!("cluster.addons[{index}].name");
        found.check(!twice, &path, format!("`{}` is named twice", addon.name), "put both into one entry");
        found.check(
            made_of(&addon.name, "_-") && !addon.name.is_empty(),
            &path,
            "this is no name of an add-on",
            "such as `aws-ebs-csi-driver`",
        );
    }
}

/// Graviton families have a `g` behind the generation's digit: t4g, m7gd, c6gn, x2gd. The g4dn and g5 of the graphics
/// family have it in front.
fn is_graviton(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    let behind = family
        .trim_start_matches(|c: char| c.is_ascii_alphabetic())
        .trim_start_matches(|c: char| c.is_ascii_digit());
    behind.contains('g')
}

fn nodes(file: &File, found: &mut Findings<'_>) {
    let groups = file.node_groups.as_deref().unwrap_or_default();
    for (index, group) in groups.iter().enumerate() {
        let path = format!("nodeGroups[{index}]");
        let named = group.name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric())
            && made_of(&group.name, "_-")
            && group.name.len() <= 63;
        found.check(
            named,
            &format!("{path}.name"),
            "this is no name of a node group",
            "a letter or digit, then letters, digits, `_` and `-`; 63 at most",
        );
        let twice = groups.iter().take(index).any(|other| other.name == group.name);
        found.check(
            !twice,
            &format!("{path}.name"),
            format!("there are two node groups `{}`", group.name),
            "rename one",
        );
        node_group(group, &path, found);
    }
    let only = file.fargate_only == Some(true);
    found.check(
        !only || groups.is_empty(),
        "fargateOnly",
        "`fargateOnly` means no node group, and there are some",
        "remove one of the two",
    );
    for (index, account) in file.service_accounts.iter().flatten().enumerate() {
        found.check(
            !(only && account.pod_identity),
            &format!("serviceAccounts[{index}].podIdentity"),
            "EKS Pod Identity needs nodes: its agent does not run on Fargate",
            "leave it out: the role is then given through the cluster's tokens (IRSA)",
        );
    }
    let profiles = file.fargate_profiles.as_deref().unwrap_or_default();
    let homeless = file.fargate_profiles.is_some() && groups.is_empty() && !only;
    found.check(
        !homeless,
        "fargateProfiles",
        "without a node group CoreDNS has no place to run",
        "add `nodeGroups`, or `fargateOnly: true`",
    );
    for (index, profile) in profiles.iter().enumerate() {
        let path = format!("fargateProfiles[{index}]");
        found.check(
            !profile.name.is_empty() && made_of(&profile.name, "_-"),
            &format!("{path}.name"),
            "this is no name of a Fargate profile",
            "letters, digits, `_` and `-`",
        );
        found.check(
            !profile.name.starts_with("eks-"),
            &format!("{path}.name"),
            "EKS keeps names that begin with `eks-` for itself",
            "rename it",
        );
        let twice = profiles.iter().take(index).any(|other| other.name == profile.name);
        found.check(
            !twice,
            &format!("{path}.name"),
            format!("there are two profiles `{}`", profile.name),
            "rename one",
        );
        let count = profile.selectors.len();
        found.check(
            (1..=5).contains(&count),
            &format!("{path}.selectors"),
            format!("a profile has 1 to 5 selectors, not {count}"),
            "",
        );
    }
}

fn node_group(group: &NodeGroup, path: &str, found: &mut Findings<'_>) {
    let (min, max, desired) = (group.min, group.max, group.desired.unwrap_or(group.min));
    found.check(max >= 1, &format!("{path}.max"), "a node group must be able to have a node", "1 or more");
    found.check(min <= max, &format!("{path}.min"), format!("min ({min}) is more than max ({max})"), "");
    found.check(
        min > max || (min..=max).contains(&desired),
        &format!("{path}.desired"),
        format!("desired ({desired}) is not between min ({min}) and max ({max})"),
        "",
    );
    found.check(
        (8..=16384).contains(&group.disk_gib),
        &format!("{path}.diskGiB"),
        "a node's disk has 8 to 16384 GiB",
        "",
    );
    for (index, instance_type) in group.instance_types.iter().flatten().enumerate() {
        let path = format!("{path}.instanceTypes[{index}]");
        let shaped = instance_type.split_once('.').is_some_and(|(family, size)| {
            !family.is_empty() && !size.is_empty() && made_of(instance_type, ".-")
        });
        found.check(shaped, &path, format!("`{instance_type}` is no instance type"), "such as `m7i.large`");
        let arm = group.arch == Arch::Arm;
        if shaped && is_graviton(instance_type) != arm {
            let (is, wants) = if arm { ("x86_64", "arm64") } else { ("arm64", "x86_64") };
            found.add(
                &path,
                format!("{instance_type} is {is}, and the group is {wants}"),
                format!("say `arch: {is}`, or take another type"),
            );
        }
    }
    for key in group.labels.keys() {
        let name = key.rsplit('/').next().unwrap_or_default();
        let sound = (1..=63).contains(&name.len()) && made_of(name, "-_.");
        found.check(
            sound,
            &format!("{path}.labels.{key}"),
            format!("`{key}` is no label"),
            "see the Kubernetes documentation on labels",
        );
        let reserved = key.contains("kubernetes.io/") || key.contains("k8s.io/");
        found.check(
            !reserved,
            &format!("{path}.labels.{key}"),
            format!("`{key}` is Kubernetes' own"),
            "use a prefix of your own",
        );
    }
    if let Some(Ssh { public_key, key_name, generate }) = &group.ssh {
        let count = [public_key.is_some(), key_name.is_some(), *generate == Some(true)]
            .into_iter()
            .filter(|given| *given)
            .count();
        found.check(
            count == 1,
            &format!("{path}.ssh"),
            "one of `publicKey`, `keyName` and `generate: true` is needed",
            "keep one",
        );
    }
    validate_bottlerocket::check(group, path, found);
}
