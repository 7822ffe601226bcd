//! Checks of the network.

use super::{
    de::nearest,
    layout, needs_cluster,
    types::File,
    validate::{Findings, made_of, retention},
    values::{Endpoints, Zones},
};

/// Endpoint services that stacks use; only for suggestions.
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

/// `id-` and 8 or 17 hexadecimal digits.
fn is_id(text: &str, prefix: &str) -> bool {
    let rest = text.strip_prefix(prefix).unwrap_or_default();
    matches!(rest.len(), 8 | 17) && rest.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// All that is wrong with the section.
pub fn check(file: &File, found: &mut Findings<'_>) {
    let cluster = needs_cluster(file);
    let Some(network) = &file.network else { return };
    if let Some(existing) = &network.existing {
        for field in ["cidr", "zones", "nat", "endpoints", "flowLogs"] {
            let path = format!("network.{field}");
            if found.has(&path) {
                found.add(
                    &path,
                    format!("`{field}` is for a network that is made, and this one is `existing`"),
                    "remove one of the two",
                );
            }
        }
        found.check(
            is_id(&existing.vpc_id, "vpc-"),
            "network.existing.vpcId",
            "this is no id of a VPC",
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
            found.check(
                is_id(id, "subnet-"),
                &path,
                "this is no id of a subnet",
                "such as `subnet-0123456789abcdef0`",
            );
            found.check(
                !seen.contains(&id),
                &path,
                format!("`{id}` is named twice"),
                "remove one of the two",
            );
            seen.push(id);
        }
        let few = if cluster { 2 } else { 1 };
        let count = existing.private_subnet_ids.len();
        found.check(
            count >= few,
            "network.existing.privateSubnetIds",
            format!("at least {few} private subnets are needed, not {count}"),
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
    found.check(
        inside,
        "network.cidr",
        format!("{cidr} holds addresses of the public internet"),
        format!("use a block inside one of {}", private.join(", ")),
    );
    let prefix = cidr.prefix_len();
    if prefix < 16 {
        found.add(
            "network.cidr",
            format!("a VPC's block is a /16 at most, not a /{prefix}"),
            format!("such as {}/16", cidr.addr()),
        );
    } else if prefix > layout::MAX_PREFIX {
        let help = format!(
            "a /{} is the smallest: its public subnets are /28, the smallest that AWS has",
            layout::MAX_PREFIX
        );
        found.add("network.cidr", format!("a /{prefix} is too small for the subnets of six zones"), help);
    }
    zones(file, &network.zones, cluster, found);
    if let Endpoints::List(services) = &network.endpoints {
        for (index, service) in services.iter().enumerate() {
            let path = format!("network.endpoints[{index}]");
            let short = service.rsplit_once(&format!("{}.", file.region)).map(|(_, short)| short);
            if let Some(short) = short {
                found.add(&path, "give the service's short name", format!("`{short}`"));
            }
            let near = nearest(service, SERVICES.iter().copied()).filter(|near| near != service);
            let known = SERVICES.contains(&service.as_str());
            let shaped =
                made_of(service, ".-") && !service.is_empty() && service.to_ascii_lowercase() == *service;
            if short.is_none() && !known && (near.is_some() || !shaped) {
                let help = near.map_or("short names such as `ecr.api`".to_owned(), |near| {
                    format!("did you mean `{near}`?")
                });
                found.add(&path, format!("there is no endpoint service `{service}`"), help);
            }
            found.check(
                !services.iter().take(index).any(|other| other == service),
                &path,
                format!("`{service}` is named twice"),
                "remove one of the two",
            );
        }
    }
    if let Some(settings) = network.flow_logs.settings() {
        retention(found, "network.flowLogs.retentionDays", settings.retention_days);
    }
}

fn zones(file: &File, zones: &Zones, cluster: bool, found: &mut Findings<'_>) {
    let few = "EKS needs subnets in at least two zones";
    match zones {
        Zones::Count(count) => {
            found.check(!cluster || *count >= 2, "network.zones", few, "3 is the usual number");
        }
        Zones::Names(names) => {
            let limit = layout::MAX_ZONES;
            found.check(
                (1..=limit).contains(&names.len()),
                "network.zones",
                format!("a network has 1 to {limit} zones"),
                "",
            );
            found.check(!cluster || names.len() >= 2, "network.zones", few, "name two or three");
            for (index, name) in names.iter().enumerate() {
                let path = format!("network.zones[{index}]");
                let letter = name.strip_prefix(&file.region).unwrap_or_default();
                let sound = letter.len() == 1 && letter.chars().all(|c| c.is_ascii_lowercase());
                found.check(
                    sound,
                    &path,
                    format!("`{name}` is no zone of {}", file.region),
                    format!("such as `{}a`", file.region),
                );
                found.check(
                    !names.iter().take(index).any(|other| other == name),
                    &path,
                    format!("`{name}` is named twice"),
                    "remove one of the two",
                );
            }
        }
    }
}
