//! A rule of a security group.
//!
//! AWS refuses two rules that allow the same traffic, so a rule without the stack's tags that already allows
//! it is adopted.

use super::prelude::*;
use crate::aws::resource_of;
use aws_sdk_ec2::{
    operation::describe_security_group_rules::DescribeSecurityGroupRulesError,
    types::{
        self, IpPermission, IpRange, ResourceType, SecurityGroupRuleRequest, SecurityGroupRuleUpdate,
        UserIdGroupPair,
    },
};

/// Rule of a security group, for one IPv4 block or one peer group.
pub struct SecurityGroupRule;

/// What a stack decides of the resource: with inputs in a spec, with texts in a live form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields<T> {
    /// Id of the security group that the rule is in.
    pub group: T,
    /// Whether it allows outbound traffic; else inbound.
    pub egress: bool,
    /// Protocol: `tcp`, `udp`, or `-1` for all.
    pub protocol: String,
    /// First port, -1 for all protocols.
    pub from_port: i32,
    /// Last port, inclusive; -1 for all protocols.
    pub to_port: i32,
    /// IPv4 block at the other end. Exactly one of this and `peer_group` is set.
    pub cidr: Option<String>,
    /// Id of the security group at the other end.
    pub peer_group: Option<T>,
    /// Purpose of the rule, as the AWS console shows it.
    pub description: String,
    /// Wanted tags of the rule: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Desired rule.
pub type Spec = Fields<In<String>>;

/// Rule as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Rule id, `sgr-0123456789abcdef0`.
    pub id: String,
    /// What the stack decides of it, as AWS has it.
    #[serde(flatten)]
    pub fields: Fields<String>,
}

has_fields!(Live, Fields<String>);

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = SecurityGroupRule::KIND;
}

impl Resource for SecurityGroupRule {
    const INFO: KindInfo = KindInfo {
        name: "security_group_rule",
        identity: Identity::OwnerTag,
        birth_mark: Some("id"),
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules"]),
            (
                IamScope::EC2_WRITE,
                &[
                    "ec2:AuthorizeSecurityGroupIngress",
                    "ec2:AuthorizeSecurityGroupEgress",
                    "ec2:ModifySecurityGroupRules",
                    "ec2:RevokeSecurityGroupIngress",
                    "ec2:RevokeSecurityGroupEgress",
                    "ec2:CreateTags",
                    "ec2:DeleteTags",
                ],
            ),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        changes_of_rule(want, live).mutable("tags", &want.tags, &live.tags)
    }
}

/// Returns the changes that the rule itself needs; its tags are set by other calls.
fn changes_of_rule(want: &Spec, live: &Live) -> Changes {
    Changes::default()
        .fixed("group", &want.group, &live.group)
        .fixed("egress", &want.egress, &live.egress)
        .mutable("protocol", &want.protocol, &live.protocol)
        .mutable("fromPort", &want.from_port, &live.from_port)
        .mutable("toPort", &want.to_port, &live.to_port)
        .mutable("cidr", &want.cidr, &live.cidr)
        .mutable("peerGroup", &want.peer_group, &live.peer_group)
        .mutable("description", &want.description, &live.description)
}

impl Lifecycle for SecurityGroupRule {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let rules = cx.security_group_rules().await?.iter().map(live).collect::<Result<Vec<_>, _>>();
        let rules = rules.map_err(MissingField::in_answer_of::<DescribeSecurityGroupRulesError>)?;
        let mut found = addressed(asked, rules.clone());
        for asked in asked {
            let Some(want) =
                asked.want.as_ref().filter(|_| !found.iter().any(|f| f.address == asked.address))
            else {
                continue;
            };
            let same = |rule: &&Live| {
                let mut traffic = changes_of_rule(want, rule);
                traffic.0.retain(|change| change.path != "description");
                resource_of(&rule.tags).is_none() && traffic.is_empty()
            };
            if let Some(rule) = rules.iter().find(same) {
                found.push(FoundResource { address: asked.address.clone(), live: rule.clone() });
            }
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let group = resolved(&want.group, "group")?;
        let tags = ec2_tags(ResourceType::SecurityGroupRule, &want.tags, intent);
        let range = want
            .cidr
            .as_ref()
            .map(|cidr| IpRange::builder().cidr_ip(cidr).description(&want.description).build());
        let peer = want.peer_group.as_ref().map(|peer| resolved(peer, "peerGroup")).transpose()?;
        let peer =
            peer.map(|peer| UserIdGroupPair::builder().group_id(peer).description(&want.description).build());
        let permission = IpPermission::builder()
            .ip_protocol(&want.protocol)
            .from_port(want.from_port)
            .to_port(want.to_port)
            .set_ip_ranges(range.map(|range| vec![range]))
            .set_user_id_group_pairs(peer.map(|peer| vec![peer]))
            .build();
        if want.egress {
            let call = cx.ec2.authorize_security_group_egress().group_id(group).ip_permissions(permission);
            let call =
                call.tag_specifications(tags).customize().config_override(single_shot!(aws_sdk_ec2, intent));
            call.send().await.call()?;
        } else {
            let call = cx.ec2.authorize_security_group_ingress().group_id(group).ip_permissions(permission);
            let call =
                call.tag_specifications(tags).customize().config_override(single_shot!(aws_sdk_ec2, intent));
            call.send().await.call()?;
        }
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        if !changes_of_rule(want, live).is_empty() {
            let peer = want.peer_group.as_ref().map(|peer| resolved(peer, "peerGroup")).transpose()?;
            let rule = SecurityGroupRuleRequest::builder()
                .ip_protocol(&want.protocol)
                .from_port(want.from_port)
                .to_port(want.to_port)
                .set_cidr_ipv4(want.cidr.clone())
                .set_referenced_group_id(peer.cloned())
                .description(&want.description)
                .build();
            let update =
                SecurityGroupRuleUpdate::builder().security_group_rule_id(&live.id).security_group_rule(rule);
            let call = cx
                .ec2
                .modify_security_group_rules()
                .group_id(&live.group)
                .security_group_rules(update.build());
            call.send().await.call()?;
        }
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        if live.egress {
            let call =
                cx.ec2.revoke_security_group_egress().group_id(&live.group).security_group_rule_ids(&live.id);
            call.send().await.gone_is_done()
        } else {
            let call = cx
                .ec2
                .revoke_security_group_ingress()
                .group_id(&live.group)
                .security_group_rule_ids(&live.id);
            call.send().await.gone_is_done()
        }
    }
}

fn live(rule: &types::SecurityGroupRule) -> Result<Live, MissingField> {
    Ok(Live {
        id: required(rule.security_group_rule_id.clone(), "securityGroupRuleId")?,
        fields: Fields {
            group: required(rule.group_id.clone(), "groupId")?,
            egress: required(rule.is_egress, "isEgress")?,
            protocol: required(rule.ip_protocol.clone(), "ipProtocol")?,
            from_port: rule.from_port.unwrap_or(-1),
            to_port: rule.to_port.unwrap_or(-1),
            cidr: rule.cidr_ipv4.clone(),
            peer_group: rule.referenced_group_info.as_ref().and_then(|info| info.group_id.clone()),
            description: optional_text(rule.description.as_ref()),
            tags: from_ec2(rule.tags.as_deref()),
        },
    })
}
