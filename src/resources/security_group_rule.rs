//! One rule of a security group.
//!
//! AWS keeps a rule unique by what it allows; the same rule without our tags is taken over, not doubled.

use super::{Asked, Found, Lifecycle, Lost, handler::given};
use crate::{
    aws::{Call, Cx, Tags, ec2_tags, from_ec2, gone_is_done, once, resource_of, retag_ec2},
    model::{Changes, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use aws_sdk_ec2::types::{
    self, IpPermission, IpRange, ResourceType, SecurityGroupRuleRequest, SecurityGroupRuleUpdate,
    UserIdGroupPair,
};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct SecurityGroupRule;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The group that the rule is in.
    pub group: In<String>,
    /// Whether it is for traffic that leaves.
    pub egress: bool,
    /// `tcp`, `udp`, or `-1` for all.
    pub protocol: String,
    /// The first port.
    pub from_port: i32,
    /// The last port.
    pub to_port: i32,
    /// The IPv4 block at the other end; exactly one of this and `peer_group` is set.
    pub cidr: Option<String>,
    /// The security group at the other end.
    pub peer_group: Option<In<String>>,
    /// What it is for.
    pub description: String,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// `sgr-...`
    pub id: String,
    /// See [`Spec::group`].
    pub group: String,
    /// See [`Spec::egress`].
    pub egress: bool,
    /// See [`Spec::protocol`].
    pub protocol: String,
    /// See [`Spec::from_port`].
    pub from_port: i32,
    /// See [`Spec::to_port`].
    pub to_port: i32,
    /// See [`Spec::cidr`].
    pub cidr: Option<String>,
    /// See [`Spec::peer_group`].
    pub peer_group: Option<String>,
    /// See [`Spec::description`].
    pub description: String,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = SecurityGroupRule::KIND;
}

impl Resource for SecurityGroupRule {
    const KIND: &'static str = "security_group_rule";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSecurityGroupRules",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:ModifySecurityGroupRules",
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
            .fixed("group", &want.group, &live.group)
            .fixed("egress", &want.egress, &live.egress)
            .mutable("protocol", &want.protocol, &live.protocol)
            .mutable("fromPort", &want.from_port, &live.from_port)
            .mutable("toPort", &want.to_port, &live.to_port)
            .mutable("cidr", &want.cidr, &live.cidr)
            .mutable("peerGroup", &want.peer_group, &live.peer_group)
            .mutable("description", &want.description, &live.description)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for SecurityGroupRule {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let rules: Vec<Live> = cx.security_group_rules().await?.iter().map(live).collect();
        let tagged = rules.iter().filter_map(|rule| {
            let address = asked.place(&rule.id, &rule.tags, |live| &live.id)?;
            Some(Found { address, live: rule.clone() })
        });
        let mut found: Vec<Found<Live>> = tagged.collect();
        for asked in asked {
            let Some(want) =
                asked.want.as_ref().filter(|_| !found.iter().any(|f| f.address == asked.address))
            else {
                continue;
            };
            let same = |rule: &&Live| {
                let untagged = Live {
                    tags: want.tags.clone(),
                    description: want.description.clone(),
                    ..(*rule).clone()
                };
                resource_of(&rule.tags).is_none() && Self::diff(want, &untagged).is_empty()
            };
            if let Some(rule) = rules.iter().find(same) {
                found.push(Found { address: asked.address.clone(), live: rule.clone() });
            }
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let group = given(&want.group, "group")?;
        let tags = ec2_tags(ResourceType::SecurityGroupRule, &want.tags, intent);
        let range = want
            .cidr
            .as_ref()
            .map(|cidr| IpRange::builder().cidr_ip(cidr).description(&want.description).build());
        let peer = want.peer_group.as_ref().map(|peer| given(peer, "peerGroup")).transpose()?;
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
            let call = call.tag_specifications(tags).customize().config_override(once!(aws_sdk_ec2, intent));
            call.send().await.call("ec2", "AuthorizeSecurityGroupEgress")?;
        } else {
            let call = cx.ec2.authorize_security_group_ingress().group_id(group).ip_permissions(permission);
            let call = call.tag_specifications(tags).customize().config_override(once!(aws_sdk_ec2, intent));
            call.send().await.call("ec2", "AuthorizeSecurityGroupIngress")?;
        }
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let same_tags = Live { tags: want.tags.clone(), ..live.clone() };
        if !Self::diff(want, &same_tags).is_empty() {
            let peer = want.peer_group.as_ref().map(|peer| given(peer, "peerGroup")).transpose()?;
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
            call.send().await.call("ec2", "ModifySecurityGroupRules")?;
        }
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        if live.egress {
            let call =
                cx.ec2.revoke_security_group_egress().group_id(&live.group).security_group_rule_ids(&live.id);
            gone_is_done(call.send().await.call("ec2", "RevokeSecurityGroupEgress"))
        } else {
            let call = cx
                .ec2
                .revoke_security_group_ingress()
                .group_id(&live.group)
                .security_group_rule_ids(&live.id);
            gone_is_done(call.send().await.call("ec2", "RevokeSecurityGroupIngress"))
        }
    }
}

fn live(rule: &types::SecurityGroupRule) -> Live {
    Live {
        id: rule.security_group_rule_id.clone().unwrap_or_default(),
        group: rule.group_id.clone().unwrap_or_default(),
        egress: rule.is_egress.unwrap_or_default(),
        protocol: rule.ip_protocol.clone().unwrap_or_default(),
        from_port: rule.from_port.unwrap_or(-1),
        to_port: rule.to_port.unwrap_or(-1),
        cidr: rule.cidr_ipv4.clone(),
        peer_group: rule.referenced_group_info.as_ref().and_then(|info| info.group_id.clone()),
        description: rule.description.clone().unwrap_or_default(),
        tags: from_ec2(rule.tags.as_deref()),
    }
}
