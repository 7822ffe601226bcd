//! Validates the sections `cluster`, `nodeGroups`, `fargateProfiles` and `fargateOnly`.

use super::{
    cluster::{Arch, AutoMode, ControlPlaneEgress, NodeGroup, Ssh},
    findings::{Findings, is_arn, made_of, retention},
    max_pods::without_prefixes,
    types::{File, Nat},
    validate_bottlerocket,
};
use crate::model::KubernetesMinor;
use ipnet::IpNet;

/// The minor versions of Kubernetes that this program supports.
const MINORS: std::ops::RangeInclusive<KubernetesMinor> = KubernetesMinor(30)..=KubernetesMinor(36);

/// Validates these sections.
pub fn check(file: &File, findings: &mut Findings<'_>) {
    cluster(file, findings);
    nodes(file, findings);
}

fn cluster(file: &File, findings: &mut Findings<'_>) {
    let Some(cluster) = &file.cluster else { return };
    if let Some(version) = &cluster.version {
        let message = format!(
            "must be between \"{}\" and \"{}\" (got {})",
            MINORS.start(),
            MINORS.end(),
            findings.quoted("cluster.version", version)
        );
        let hint = format!("such as `\"{}\"`", MINORS.end());
        let supported = KubernetesMinor::parse(version).is_some_and(|minor| MINORS.contains(&minor));
        findings.check(supported, "cluster.version", message, hint);
    }
    let endpoint = &cluster.endpoint;
    let cidrs = endpoint.public_cidrs.as_deref().unwrap_or_default();
    let mut blocks: Vec<IpNet> = Vec::new();
    for (index, text) in cidrs.iter().enumerate() {
        let path = format!("cluster.endpoint.publicCidrs[{index}]");
        match text.parse::<IpNet>() {
            _ if text == "myip" => {}
            Ok(block) if block.trunc() != block => findings.add(
                &path,
                format!("CIDR block has host bits set (got {})", findings.quoted(&path, text)),
                format!("did you mean `{}`?", block.trunc()),
            ),
            Ok(block) => blocks.push(block),
            Err(_) => {
                findings.valid(false, &path, "CIDR block", text, "such as `203.0.113.0/24`, or `myip`");
            }
        }
    }
    // Blocks that add up to the whole internet count as well, such as two halves.
    let whole = IpNet::aggregate(&blocks).into_iter().any(|block| block.prefix_len() == 0);
    if whole && !endpoint.allow_world {
        let hint = "list only the blocks that need access, or set `allowWorld: true`";
        findings.add(
            "cluster.endpoint.publicCidrs",
            "the API server would be reachable from the whole internet",
            hint,
        );
    }
    if !endpoint.public && endpoint.public_cidrs.is_some() {
        findings.add(
            "cluster.endpoint.publicCidrs",
            "conflicts with `public: false`: it applies only to a public endpoint",
            "remove `publicCidrs` or `public: false`",
        );
    }
    findings.check(
        endpoint.public_cidrs.is_none() || !cidrs.is_empty(),
        "cluster.endpoint.publicCidrs",
        "must not be empty: no address could reach the public endpoint",
        "set `public: false` instead",
    );
    let routed = cluster.egress == Some(ControlPlaneEgress::CustomerRouted);
    let closed = file.network.as_ref().is_some_and(|it| it.existing.is_none() && it.nat == Nat::None);
    findings.check(
        !(routed && closed),
        "cluster.egress",
        "`customer-routed` needs a way out of the VPC, and `network.nat` is `none`",
        "set `network.nat: single` or `per-zone`, or remove `egress`",
    );
    if let Some(service) = &cluster.service_cidr {
        let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
        let inside = private
            .iter()
            .filter_map(|block| block.parse::<ipnet::Ipv4Net>().ok())
            .any(|block| block.contains(&service.0));
        let fits = inside && (12..=24).contains(&service.prefix_len());
        let shown = findings.shown("cluster.serviceCidr", service);
        findings.check(
            fits,
            "cluster.serviceCidr",
            format!("must be a private CIDR block between /12 and /24 (got {shown})"),
            "such as `172.20.0.0/16`",
        );
        let vpc = file.network.as_ref().map_or_else(super::Cidr::vpc, |network| network.cidr);
        let apart = !vpc.contains(&service.0) && !service.contains(&vpc.0);
        findings.check(
            apart,
            "cluster.serviceCidr",
            format!("overlaps the VPC's CIDR block {} (got {shown})", findings.shown("network.cidr", vpc)),
            "use a block outside the VPC",
        );
    }
    retention(findings, "cluster.logging.retentionDays", cluster.logging.retention_days);
    for (index, access) in cluster.access.iter().enumerate() {
        let path = format!("cluster.access[{index}]");
        let arn = &access.principal_arn;
        let arn_path = format!("{path}.principalArn");
        let hint = "such as `arn:aws:iam::123456789012:role/developers`";
        findings.valid(is_arn(arn, "iam"), &arn_path, "IAM role or user ARN", arn, hint);
        let twice = cluster.access.iter().take(index).any(|other| other.principal_arn == *arn);
        let message = format!("duplicate access entry for {}", findings.quoted(&arn_path, arn));
        findings.check(!twice, &arn_path, message, "merge the two entries");
        findings.check(
            access.policy.is_some() || !access.groups.is_empty(),
            &path,
            "`policy` or `groups` is required: the entry would grant no permissions",
            "add one of the two",
        );
        let wide = access.policy == Some(super::cluster::AccessPolicy::ClusterAdmin)
            && !access.namespaces.is_empty();
        findings.check(
            !wide,
            &format!("{path}.namespaces"),
            "`cluster-admin` cannot be restricted to namespaces",
            "use `policy: admin`, or remove `namespaces`",
        );
    }
    for (index, addon) in cluster.addons.iter().enumerate() {
        let twice = cluster.addons.iter().take(index).any(|other| other.name == addon.name);
        let path = format!("cluster.addons[{index}].name");
        let message = format!("duplicate add-on {}", findings.quoted(&path, &addon.name));
        findings.check(!twice, &path, message, "merge the two entries");
        let sound = made_of(&addon.name, "_-") && !addon.name.is_empty();
        findings.valid(sound, &path, "add-on name", &addon.name, "such as `aws-ebs-csi-driver`");
    }
}

/// Returns whether an instance type has a Graviton processor. Graviton families have a `g` after the digit of
/// the generation, such as t4g, m7gd, c6gn and x2gd; graphics families such as g4dn and g5 have it before the
/// digit.
/// Source: <https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html>
fn is_graviton(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    let behind = family
        .trim_start_matches(|c: char| c.is_ascii_alphabetic())
        .trim_start_matches(|c: char| c.is_ascii_digit());
    behind.contains('g')
}

fn nodes(file: &File, findings: &mut Findings<'_>) {
    let groups = file.node_groups.as_deref().unwrap_or_default();
    for (index, group) in groups.iter().enumerate() {
        let path = format!("nodeGroups[{index}]");
        let named = group.name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric())
            && made_of(&group.name, "_-")
            && group.name.len() <= 63;
        let name_path = format!("{path}.name");
        let hint = "use 1 to 63 letters, digits, `_` and `-`, starting with a letter or digit";
        findings.valid(named, &name_path, "node group name", &group.name, hint);
        let twice = groups.iter().take(index).any(|other| other.name == group.name);
        findings.unique(!twice, &name_path, "node group", &group.name);
        node_group(group, &path, findings);
    }
    let only = file.fargate_only == Some(true);
    findings.check(
        !only || groups.is_empty(),
        "fargateOnly",
        "conflicts with `nodeGroups`: a cluster with `fargateOnly: true` has no nodes",
        "remove `fargateOnly` or `nodeGroups`",
    );
    for (index, account) in file.service_accounts.iter().flatten().enumerate() {
        findings.check(
            !(only && account.pod_identity),
            &format!("serviceAccounts[{index}].podIdentity"),
            "conflicts with `fargateOnly`: the EKS Pod Identity agent does not run on Fargate",
            "remove `podIdentity` to use IAM roles for service accounts (IRSA)",
        );
    }
    let profiles = file.fargate_profiles.as_deref().unwrap_or_default();
    let auto = file.cluster.as_ref().and_then(|it| it.auto_mode.as_ref()).and_then(AutoMode::pools);
    let conflict = only && auto.is_some();
    let message = "conflicts with `fargateOnly`: Auto Mode's nodes are EC2 instances";
    findings.check(!conflict, "cluster.autoMode", message, "remove `fargateOnly` or `autoMode`");
    let homeless = file.fargate_profiles.is_some() && groups.is_empty() && !only && auto.is_none();
    findings.check(
        !homeless,
        "fargateProfiles",
        "without a node group CoreDNS has no place to run",
        "add `nodeGroups`, or set `fargateOnly: true`",
    );
    for (index, profile) in profiles.iter().enumerate() {
        let path = format!("fargateProfiles[{index}]");
        let (name, name_path) = (&profile.name, format!("{path}.name"));
        let sound = !name.is_empty() && made_of(name, "_-");
        findings.valid(sound, &name_path, "Fargate profile name", name, "use letters, digits, `_` and `-`");
        let message = format!("reserved Fargate profile name {}", findings.quoted(&name_path, name));
        let hint = "use a name that does not start with `eks-`";
        findings.check(!name.starts_with("eks-"), &name_path, message, hint);
        let twice = profiles.iter().take(index).any(|other| other.name == profile.name);
        findings.unique(!twice, &name_path, "Fargate profile", name);
        let count = profile.selectors.len();
        findings.check(
            (1..=5).contains(&count),
            &format!("{path}.selectors"),
            format!("must have between 1 and 5 selectors (got {count})"),
            "",
        );
    }
}

/// The hint for an invalid key of a label or taint.
const LABEL_KEY_HINT: &str =
    "use 1 to 63 letters, digits, `-`, `_` and `.`, after an optional prefix such as `example.com/`";

/// The hint for an invalid value of a label or taint.
const LABEL_VALUE_HINT: &str =
    "use at most 63 letters, digits, `-`, `_` and `.`, starting and ending with a letter or digit";

/// Returns whether a text starts and ends with a letter or digit.
fn has_alphanumeric_ends(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Returns whether a text can be the key of a label or taint: a name, after a DNS subdomain and `/` or
/// without them.
/// Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let domain = |prefix: &str| {
        prefix.len() <= 253
            && prefix.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.'))
            && prefix.split('.').all(has_alphanumeric_ends)
    };
    name.len() <= 63 && made_of(name, "-_.") && has_alphanumeric_ends(name) && prefix.is_none_or(domain)
}

/// Returns whether a text can be the value of a label or taint, which may be empty.
fn is_label_value(value: &str) -> bool {
    value.is_empty() || value.len() <= 63 && made_of(value, "-_.") && has_alphanumeric_ends(value)
}

/// Validates the labels of a node group.
fn labels(group: &NodeGroup, path: &str, findings: &mut Findings<'_>) {
    for (key, value) in &group.labels {
        let path = format!("{path}.labels.{key}");
        findings.check(is_label_key(key), &path, "invalid label key", LABEL_KEY_HINT);
        findings.valid(is_label_value(value), &path, "label value", value, LABEL_VALUE_HINT);
        let reserved = key.contains("kubernetes.io/") || key.contains("k8s.io/");
        findings.check(
            !reserved,
            &path,
            "label key is reserved by Kubernetes",
            "use another prefix, such as `example.com/`",
        );
    }
}

/// Validates the taints of a node group. Keys and values have the form of those of labels, but the prefixes
/// of Kubernetes are allowed: the cluster autoscaler, for example, acts on taints with them. Kubernetes
/// identifies a taint by its key and effect, so both together must be unique.
fn taints(group: &NodeGroup, path: &str, findings: &mut Findings<'_>) {
    for (index, taint) in group.taints.iter().enumerate() {
        let path = format!("{path}.taints[{index}]");
        let (key, value, effect) = (&taint.key, &taint.value, taint.effect);
        let key_path = format!("{path}.key");
        findings.valid(is_label_key(key), &key_path, "taint key", key, LABEL_KEY_HINT);
        findings.valid(
            is_label_value(value),
            &format!("{path}.value"),
            "taint value",
            value,
            LABEL_VALUE_HINT,
        );
        let twice = group.taints.iter().take(index).any(|other| other.key == *key && other.effect == effect);
        let message = format!("duplicate taint {} with effect {effect:?}", findings.quoted(&key_path, key));
        findings.check(!twice, &path, message, "remove one of the two, or change its effect");
    }
}

fn node_group(group: &NodeGroup, path: &str, findings: &mut Findings<'_>) {
    let (min, max, desired) = (group.min, group.max, group.desired.unwrap_or(group.min));
    let (min_path, max_path) = (format!("{path}.min"), format!("{path}.max"));
    let desired_path = format!("{path}.desired");
    findings.range(&max_path, max.into(), 1..=u16::MAX.into(), "nodes");
    let (least, most) = (findings.shown(&min_path, min), findings.shown(&max_path, max));
    findings.check(min <= max, &min_path, format!("must be at most `max` = {most} (got {least})"), "");
    findings.check(
        min > max || (min..=max).contains(&desired),
        &desired_path,
        format!(
            "must be between `min` = {least} and `max` = {most} (got {})",
            findings.shown(&desired_path, desired)
        ),
        "",
    );
    findings.range(&format!("{path}.diskGiB"), group.disk_gib.into(), 8..=16384, "GiB");
    for (index, instance_type) in group.instance_types.iter().flatten().enumerate() {
        let path = format!("{path}.instanceTypes[{index}]");
        let shaped = instance_type.split_once('.').is_some_and(|(family, size)| {
            !family.is_empty() && !size.is_empty() && made_of(instance_type, ".-")
        });
        findings.valid(shaped, &path, "instance type", instance_type, "such as `m7i.large`");
        let arm = group.arch == Arch::Arm;
        if shaped && is_graviton(instance_type) != arm {
            let (own, expected) = if arm { ("x86_64", "arm64") } else { ("arm64", "x86_64") };
            let shown = findings.quoted(&path, instance_type);
            findings.add(
                &path,
                format!("must be an {expected} instance type (got {shown}, which is {own})"),
                format!("set `arch: {own}`, or use another instance type"),
            );
        }
    }
    let types = group.types();
    if let (true, Some(first)) = (group.prefix_delegation, without_prefixes(&types).first()) {
        let path = format!("{path}.prefixDelegation");
        let message = format!("{first} takes no prefixes: its family is not on the Nitro System");
        findings.add(&path, message, "use other instance types, or remove `prefixDelegation`");
    }
    labels(group, path, findings);
    taints(group, path, findings);
    if let Some(Ssh { public_key, key_name, generate }) = &group.ssh {
        let count = [public_key.is_some(), key_name.is_some(), *generate == Some(true)]
            .into_iter()
            .filter(|given| *given)
            .count();
        findings.check(
            count == 1,
            &format!("{path}.ssh"),
            "exactly one of `publicKey`, `keyName` and `generate: true` is required",
            "keep one",
        );
    }
    validate_bottlerocket::check(group, path, findings);
}
