//! Validates the section `network`.

use super::{
    deserializer::nearest,
    findings::{Findings, made_of, retention},
    layout,
    types::File,
    values::{Endpoints, Zones},
};

/// Common endpoint services. Only for suggestions, because AWS offers many more.
const SERVICES: &[&str] = &[
    "s3",
    "dynamodb",
    "ec2",
    "ecr.api",
    "ecr.dkr",
    "eks",
    "eks-auth",
    "sts",
    "logs",
    "elasticloadbalancing",
    "autoscaling",
    "ssm",
    "ssmmessages",
    "ec2messages",
    "kms",
    "sqs",
    "sns",
    "secretsmanager",
    "monitoring",
];

/// Returns whether a text is an EC2 ID: the prefix, such as `vpc-`, and 8 or 17 hexadecimal digits.
fn is_id(text: &str, prefix: &str) -> bool {
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    matches!(rest.len(), 8 | 17) && rest.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// Validates the section.
pub fn check(file: &File, findings: &mut Findings<'_>) {
    let cluster = file.needs_cluster();
    let Some(network) = &file.network else { return };
    if let Some(existing) = &network.existing {
        for field in ["cidr", "zones", "nat", "endpoints", "flowLogs"] {
            let path = format!("network.{field}");
            if findings.has(&path) {
                findings.add(
                    &path,
                    "conflicts with `existing`: it applies only to a network that provisioner creates",
                    format!("remove `{field}` or `existing`"),
                );
            }
        }
        findings.valid(
            is_id(&existing.vpc_id, "vpc-"),
            "network.existing.vpcId",
            "VPC ID",
            &existing.vpc_id,
            "such as `vpc-0123456789abcdef0`",
        );
        let private = existing
            .private_subnet_ids
            .iter()
            .enumerate()
            .map(|(i, id)| (format!("privateSubnetIds[{i}]"), id));
        let public = existing
            .public_subnet_ids
            .iter()
            .enumerate()
            .map(|(i, id)| (format!("publicSubnetIds[{i}]"), id));
        let mut seen = Vec::new();
        for (field, id) in private.chain(public) {
            let path = format!("network.existing.{field}");
            let hint = "such as `subnet-0123456789abcdef0`";
            findings.valid(is_id(id, "subnet-"), &path, "subnet ID", id, hint);
            findings.unique(!seen.contains(&id), &path, "subnet", id);
            seen.push(id);
        }
        let few = if cluster { 2 } else { 1 };
        let count = existing.private_subnet_ids.len();
        let noun = if few == 1 { "subnet" } else { "subnets" };
        findings.check(
            count >= few,
            "network.existing.privateSubnetIds",
            format!("must have at least {few} private {noun} (got {count})"),
            "",
        );
        return;
    }
    let cidr = network.cidr;
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"];
    let inside = private
        .iter()
        .filter_map(|block| block.parse::<ipnet::Ipv4Net>().ok())
        .any(|block| block.contains(&cidr.0));
    findings.check(
        inside,
        "network.cidr",
        format!("CIDR block contains public addresses ({})", findings.shown("network.cidr", cidr)),
        format!("use a block within one of {}", private.join(", ")),
    );
    let prefix = cidr.prefix_len();
    if prefix < 16 {
        findings.add(
            "network.cidr",
            format!("CIDR block too large: must be between /16 and /{} (got /{prefix})", layout::MAX_PREFIX),
            format!("such as `{}/16`", cidr.addr()),
        );
    } else if prefix > layout::MAX_PREFIX {
        let max = layout::MAX_PREFIX;
        let message = format!("CIDR block too small: must be between /16 and /{max} (got /{prefix})");
        let hint =
            format!("use at least a /{max}, whose public subnets are /28, the smallest that AWS allows");
        findings.add("network.cidr", message, hint);
    }
    zones(file, &network.zones, cluster, findings);
    if let Endpoints::List(services) = &network.endpoints {
        for (index, service) in services.iter().enumerate() {
            let path = format!("network.endpoints[{index}]");
            let short = service.rsplit_once(&format!("{}.", file.region)).map(|(_, short)| short);
            if let Some(short) = short {
                let message = format!(
                    "expected the short name of the service (got {})",
                    findings.quoted(&path, service)
                );
                let hint = format!("use `{}`", findings.shown(&path, short));
                findings.add(&path, message, hint);
            }
            let near = nearest(service, SERVICES.iter().copied()).filter(|near| near != service);
            let known = SERVICES.contains(&service.as_str());
            let shaped =
                made_of(service, ".-") && !service.is_empty() && service.to_ascii_lowercase() == *service;
            if short.is_none() && !known && (near.is_some() || !shaped) {
                let hint = near.map_or("use the short name, such as `ecr.api`".to_owned(), |near| {
                    format!("did you mean `{near}`?")
                });
                findings.valid(false, &path, "endpoint service", service, &hint);
            }
            let unique = !services.iter().take(index).any(|other| other == service);
            findings.unique(unique, &path, "endpoint service", service);
        }
    }
    if let Some(settings) = network.flow_logs.settings() {
        retention(findings, "network.flowLogs.retentionDays", settings.retention_days);
    }
}

fn zones(file: &File, zones: &Zones, cluster: bool, findings: &mut Findings<'_>) {
    match zones {
        Zones::Count(count) => {
            let message =
                format!("EKS needs at least 2 zones (got {})", findings.shown("network.zones", count));
            findings.check(!cluster || *count >= 2, "network.zones", message, "use `zones: 3`, the default");
        }
        Zones::Names(names) => {
            let limit = layout::MAX_ZONES;
            let count = names.len();
            findings.check(
                (1..=limit).contains(&count),
                "network.zones",
                format!("must be between 1 and {limit} zones (got {count})"),
                "",
            );
            findings.check(
                !cluster || count != 1,
                "network.zones",
                "EKS needs at least 2 zones (got 1)",
                "list two or three zones",
            );
            for (index, name) in names.iter().enumerate() {
                let path = format!("network.zones[{index}]");
                let letter = name.strip_prefix(&file.region).unwrap_or_default();
                let sound = letter.len() == 1 && letter.chars().all(|c| c.is_ascii_lowercase());
                let region = findings.shown("region", &file.region);
                let shown = findings.quoted(&path, name);
                let message = format!("invalid availability zone {shown} in {region}");
                findings.check(sound, &path, message, format!("such as `{region}a`"));
                findings.unique(!names.iter().take(index).any(|other| other == name), &path, "zone", name);
            }
        }
    }
}
