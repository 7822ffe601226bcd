//! A security group. Its rules are separate resources; rules without a tag of the stack, including the rule
//! that AWS adds for all outbound traffic, are removed.
//!
//! AWS keeps the name unique in the VPC and refuses a second group with `InvalidGroup.Duplicate`.

use super::prelude::*;
use crate::aws::{resource_of, sweep_cluster_groups, sweep_interfaces};
use aws_sdk_ec2::{
    operation::describe_security_groups::DescribeSecurityGroupsError,
    types::{self, ResourceType, SecurityGroupRule},
};

/// Security group of a VPC.
pub struct SecurityGroup;

/// What a stack decides of the resource: with inputs in a spec, with texts in a live form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<T> {
    /// Id of the VPC.
    pub vpc: T,
    /// Name, unique in the VPC.
    pub name: String,
    /// Description. AWS cannot change it.
    pub description: String,
    /// Wanted tags of the group: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Desired security group, without its rules.
pub type Spec = Fields<In<String>>;

/// Security group as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Group id, `sg-0123456789abcdef0`.
    pub id: String,
    /// Rules without the stack's tags, each as `sgr-...: ingress tcp 443 10.0.0.0/16`.
    pub foreign_rules: Vec<String>,
    /// What the stack decides of it, as AWS has it.
    #[serde(flatten)]
    pub fields: Fields<String>,
}

has_fields!(Live, Fields<String>);

/// Field [`Live::id`].
pub const ID: Field = Field::new("id");

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = SecurityGroup::KIND;
}

impl Resource for SecurityGroup {
    const INFO: KindInfo = KindInfo {
        name: "security_group",
        identity: Identity::OwnerTag,
        supplies: &[ID],
        birth_mark: Some("id"),
        blockable: Blockable::SecurityGroup,
        iam: &[
            (
                IamScope::EC2_READ,
                &[
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSecurityGroupRules",
                    "ec2:DescribeNetworkInterfaces",
                ],
            ),
            (
                IamScope::EC2_WRITE,
                &[
                    "ec2:CreateSecurityGroup",
                    "ec2:RevokeSecurityGroupIngress",
                    "ec2:RevokeSecurityGroupEgress",
                    "ec2:CreateTags",
                    "ec2:DeleteTags",
                ],
            ),
            (IamScope::EC2_OWN, &["ec2:DeleteSecurityGroup"]),
            (IamScope::CNI_INTERFACES, &["ec2:DeleteNetworkInterface"]),
        ],
        ..KindInfo::DEFAULT
    };
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
}

impl Lifecycle for SecurityGroup {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let rules = cx.security_group_rules().await?;
        let read = |groups: &[types::SecurityGroup]| -> Result<Vec<Live>, MissingField> {
            // The VPC's default group is handled by its own kind.
            let own = groups.iter().filter(|group| group.group_name.as_deref() != Some("default"));
            own.map(|group| live(group, rules)).collect()
        };
        let groups = read(cx.security_groups().await?);
        let mut groups = groups.map_err(MissingField::in_answer_of::<DescribeSecurityGroupsError>)?;
        let lost = untagged_ids(asked, &groups);
        if !lost.is_empty() {
            let call = cx.ec2.describe_security_groups().filters(filter("group-id", lost)).send().await;
            groups.extend(call.read(|answer| read(answer.security_groups()))?);
        }
        Ok(addressed(asked, groups))
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .ec2
            .create_security_group()
            .vpc_id(resolved(&want.vpc, "vpc")?)
            .group_name(&want.name)
            .description(&want.description)
            .tag_specifications(ec2_tags(ResourceType::SecurityGroup, &want.tags, intent));
        call.customize().config_override(single_shot!(aws_sdk_ec2, intent)).send().await.call()?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        revoke(cx, &live.id, &live.foreign_rules).await?;
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let deleted = cx.ec2.delete_security_group().group_id(&live.id).send().await.gone_is_done();
        if deleted.as_ref().is_err_and(|error| error.class == ErrorKind::Conflict) {
            sweep_interfaces(cx, "group-id", &live.id).await;
            sweep_cluster_groups(cx, &live.fields.vpc, false).await;
        }
        deleted
    }
}

fn live(group: &types::SecurityGroup, rules: &[SecurityGroupRule]) -> Result<Live, MissingField> {
    let id = required(group.group_id.clone(), "groupId")?;
    let foreign = rules.iter().filter(|rule| rule.group_id.as_ref() == Some(&id));
    let foreign = foreign.filter(|rule| resource_of(&from_ec2(rule.tags.as_deref())).is_none());
    Ok(Live {
        foreign_rules: foreign.map(describe_rule).collect(),
        id,
        fields: Fields {
            vpc: required(group.vpc_id.clone(), "vpcId")?,
            name: required(group.group_name.clone(), "groupName")?,
            description: required(group.description.clone(), "groupDescription")?,
            tags: from_ec2(group.tags.as_deref()),
        },
    })
}

/// Returns a rule as one line: id, direction, protocol, ports and peer.
pub(super) fn describe_rule(rule: &SecurityGroupRule) -> String {
    let direction = if rule.is_egress == Some(true) { "egress" } else { "ingress" };
    let peer =
        rule.cidr_ipv4.clone().or_else(|| rule.cidr_ipv6.clone()).or_else(|| rule.prefix_list_id.clone());
    let group = || rule.referenced_group_info.as_ref().and_then(|info| info.group_id.clone());
    let protocol = optional_text(rule.ip_protocol());
    let ports = match (protocol.as_str(), rule.from_port, rule.to_port) {
        ("-1", _, _) | (_, None, _) | (_, _, None) => String::new(),
        (_, Some(from), Some(to)) if from == to => format!(" {from}"),
        (_, Some(from), Some(to)) => format!(" {from}-{to}"),
    };
    let protocol = if protocol == "-1" { "all" } else { &protocol };
    let (id, peer) = (optional_text(rule.security_group_rule_id()), optional_text(peer.or_else(group)));
    format!("{id}: {direction} {protocol}{ports} {peer}")
}

/// Revokes rules, given as [`describe_rule`] returns them.
pub(super) async fn revoke(cx: &Cx, group: &str, rules: &[String]) -> Result<(), CallError> {
    let ids = |direction: &str| -> Vec<String> {
        let split = rules.iter().filter_map(|rule| rule.split_once(": "));
        split.filter(|(_, text)| text.starts_with(direction)).map(|(id, _)| id.to_owned()).collect()
    };
    let (ingress, egress) = (ids("ingress"), ids("egress"));
    if !ingress.is_empty() {
        let call =
            cx.ec2.revoke_security_group_ingress().group_id(group).set_security_group_rule_ids(Some(ingress));
        call.send().await.gone_is_done()?;
    }
    if !egress.is_empty() {
        let call =
            cx.ec2.revoke_security_group_egress().group_id(group).set_security_group_rule_ids(Some(egress));
        call.send().await.gone_is_done()?;
    }
    Ok(())
}
