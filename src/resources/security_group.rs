//! A security group. Its rules are resources of their own; rules that nobody asked for, the allow-all that AWS puts
//! there included, are taken out.
//!
//! AWS keeps the name unique in the VPC, so a twin is refused as `InvalidGroup.Duplicate`.

use super::{Asked, Found, Lifecycle, Lost, handler::given};
use crate::{
    aws::{Call, Cx, Tags, ec2_tags, filter, from_ec2, gone_is_done, once, resource_of, retag_ec2},
    model::{Changes, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use aws_sdk_ec2::types::{self, ResourceType, SecurityGroupRule};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct SecurityGroup;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The VPC.
    pub vpc: In<String>,
    /// The name, unique in the VPC.
    pub name: String,
    /// The description; AWS never changes it.
    pub description: String,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// `sg-...`
    pub id: String,
    /// The VPC.
    pub vpc: String,
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// Rules without an address of the stack, as `sgr-...: what it allows`.
    pub foreign_rules: Vec<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = SecurityGroup::KIND;
}

impl Resource for SecurityGroup {
    const KIND: &'static str = "security_group";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSecurityGroupRules",
        "ec2:CreateSecurityGroup",
        "ec2:DeleteSecurityGroup",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const IDENTITY: Identity = Identity::OwnerTag;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("vpc", &want.vpc, &live.vpc)
            .fixed("name", &want.name, &live.name)
            .fixed("description", &want.description, &live.description)
            .mutable("foreignRules", &Vec::<String>::new(), &live.foreign_rules)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for SecurityGroup {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut groups: Vec<types::SecurityGroup> = cx.security_groups().await?.to_vec();
        let rules = cx.security_group_rules().await?;
        let seen: Vec<String> = groups.iter().filter_map(|group| group.group_id.clone()).collect();
        let lost = asked.lost(&seen, |live| &live.id);
        if !lost.is_empty() {
            let call = cx.ec2.describe_security_groups().filters(filter("group-id", lost));
            groups.extend(
                call.send().await.call("ec2", "DescribeSecurityGroups")?.security_groups.unwrap_or_default(),
            );
        }
        // The VPC's default group is a kind of its own.
        let found = groups.into_iter().filter(|group| group.group_name.as_deref() != Some("default"));
        let found = found.filter_map(|group| {
            let id = group.group_id.unwrap_or_default();
            let foreign = rules.iter().filter(|rule| rule.group_id.as_ref() == Some(&id));
            let foreign = foreign.filter(|rule| resource_of(&from_ec2(rule.tags.as_deref())).is_none());
            let live = Live {
                foreign_rules: foreign.map(describe).collect(),
                vpc: group.vpc_id.unwrap_or_default(),
                name: group.group_name.unwrap_or_default(),
                description: group.description.unwrap_or_default(),
                tags: from_ec2(group.tags.as_deref()),
                id,
            };
            Some(Found { address: asked.place(&live.id, &live.tags, |live| &live.id)?, live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .ec2
            .create_security_group()
            .vpc_id(given(&want.vpc, "vpc")?)
            .group_name(&want.name)
            .description(&want.description)
            .tag_specifications(ec2_tags(ResourceType::SecurityGroup, &want.tags, intent));
        call.customize()
            .config_override(once!(aws_sdk_ec2, intent))
            .send()
            .await
            .call("ec2", "CreateSecurityGroup")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        revoke(cx, &live.id, &live.foreign_rules).await?;
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        gone_is_done(
            cx.ec2.delete_security_group().group_id(&live.id).send().await.call("ec2", "DeleteSecurityGroup"),
        )
    }
}

/// A rule as one line: its id, direction, protocol, ports and peer.
pub(super) fn describe(rule: &SecurityGroupRule) -> String {
    let direction = if rule.is_egress.unwrap_or_default() { "egress" } else { "ingress" };
    let peer =
        rule.cidr_ipv4.clone().or_else(|| rule.cidr_ipv6.clone()).or_else(|| rule.prefix_list_id.clone());
    let group = || rule.referenced_group_info.as_ref().and_then(|info| info.group_id.clone());
    let protocol = rule.ip_protocol.as_deref().unwrap_or_default();
    let ports = match (protocol, rule.from_port, rule.to_port) {
        ("-1", _, _) | (_, None, _) | (_, _, None) => String::new(),
        (_, Some(from), Some(to)) if from == to => format!(" {from}"),
        (_, Some(from), Some(to)) => format!(" {from}-{to}"),
    };
    let protocol = if protocol == "-1" { "all" } else { protocol };
    let id = rule.security_group_rule_id.as_deref().unwrap_or_default();
    format!("{id}: {direction} {protocol}{ports} {}", peer.or_else(group).unwrap_or_default())
}

/// Takes out rules that [`describe`] described.
pub(super) async fn revoke(cx: &Cx, group: &str, rules: &[String]) -> Result<(), Fault> {
    let ids = |direction: &str| -> Vec<String> {
        let split = rules.iter().filter_map(|rule| rule.split_once(": "));
        split.filter(|(_, text)| text.starts_with(direction)).map(|(id, _)| id.to_owned()).collect()
    };
    let (ingress, egress) = (ids("ingress"), ids("egress"));
    if !ingress.is_empty() {
        let call =
            cx.ec2.revoke_security_group_ingress().group_id(group).set_security_group_rule_ids(Some(ingress));
        gone_is_done(call.send().await.call("ec2", "RevokeSecurityGroupIngress"))?;
    }
    if !egress.is_empty() {
        let call =
            cx.ec2.revoke_security_group_egress().group_id(group).set_security_group_rule_ids(Some(egress));
        gone_is_done(call.send().await.call("ec2", "RevokeSecurityGroupEgress"))?;
    }
    Ok(())
}
