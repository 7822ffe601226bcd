//! The default security group of a VPC, kept without rules, so that an interface without a group of its own
//! reaches nothing.
//!
//! AWS creates it with the VPC and deletes it with the VPC.

use super::{
    prelude::*,
    security_group::{describe_rule, revoke},
};
use crate::{aws::complete_rules, model::DeletePolicy};
use aws_sdk_ec2::{
    operation::describe_security_groups::DescribeSecurityGroupsError,
    types::{self, SecurityGroupRule},
};

/// Default security group of a VPC, created by AWS and kept without rules.
pub struct DefaultSecurityGroup;

/// Desired default security group; its rules are always none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Id of the VPC.
    pub vpc: In<String>,
    /// Wanted tags of the group: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Default security group as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// Group id, `sg-0123456789abcdef0`.
    pub id: String,
    /// Id of the VPC.
    pub vpc: String,
    /// All its rules, each as `sgr-...: ingress tcp 443 10.0.0.0/16`.
    pub rules: Vec<String>,
    /// Tags that the group has, with those that other programs set.
    pub tags: Tags,
}

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = DefaultSecurityGroup::KIND;
}

impl Resource for DefaultSecurityGroup {
    const INFO: KindInfo = KindInfo {
        name: "default_security_group",
        identity: Identity::OwnerTag,
        delete_policy: DeletePolicy::WithParent,
        part_of: Some(("vpc", "vpc")),
        birth_mark: Some("id"),
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules"]),
            (
                IamScope::EC2_WRITE,
                &[
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
        Changes::default()
            .fixed("vpc", &want.vpc, &live.vpc)
            .mutable("rules", &Vec::<String>::new(), &live.rules)
            .mutable("tags", &want.tags, &live.tags)
    }
}

impl Lifecycle for DefaultSecurityGroup {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let groups =
            cx.security_groups().await?.iter().filter(|group| group.group_name.as_deref() == Some("default"));
        let mut groups: Vec<_> = groups.cloned().collect();
        let mut rules = cx.security_group_rules().await?.to_vec();
        for asked in asked {
            let vpc = asked.recorded.as_ref().map(|last| last.vpc.clone());
            let wanted = asked.want.as_ref().and_then(|want| want.vpc.known().cloned());
            let Some(vpc) = vpc.or(wanted) else { continue };
            if groups.iter().any(|group| group.vpc_id.as_ref() == Some(&vpc)) {
                continue;
            }
            // Until it is tagged, only the VPC identifies it.
            let of_vpc = [filter("vpc-id", vec![vpc]), filter("group-name", vec!["default".to_owned()])];
            let call = cx.ec2.describe_security_groups().set_filters(Some(of_vpc.to_vec()));
            let untagged = call.send().await.call()?.security_groups.unwrap_or_default();
            for group in untagged {
                let id = filter("group-id", group.group_id.iter().cloned().collect());
                let call = cx.ec2.describe_security_group_rules().filters(id).send().await;
                rules.extend(call.read(|it| complete_rules(it.security_group_rules.unwrap_or_default()))?);
                groups.push(group);
            }
        }
        let lives = groups.iter().map(|group| live(group, &rules)).collect::<Result<Vec<_>, _>>();
        let lives = lives.map_err(MissingField::in_answer_of::<DescribeSecurityGroupsError>)?;
        let found = lives.into_iter().filter_map(|live| {
            let by_vpc = || {
                let of = |asked: &&TypedLookup<Self>| {
                    asked.want.as_ref().and_then(|want| want.vpc.known()).is_some_and(|vpc| *vpc == live.vpc)
                };
                asked.iter().find(of).map(|asked| asked.address.clone())
            };
            Some(FoundResource { address: address_of(asked, &live).or_else(by_vpc)?, live })
        });
        Ok(found.collect())
    }

    /// Sends no call: AWS creates the group with the VPC. The engine waits until it is visible.
    async fn create(_: &Cx, _: &Spec, _: &Intent) -> Result<(), CallError> {
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        revoke(cx, &live.id, &live.rules).await?;
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    /// Removes its rules, since AWS deletes no group that one of them names. The group itself ends with its VPC.
    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        revoke(cx, &live.id, &live.rules).await
    }
}

fn live(group: &types::SecurityGroup, rules: &[SecurityGroupRule]) -> Result<Live, MissingField> {
    let id = required(group.group_id.clone(), "groupId")?;
    let own = rules.iter().filter(|rule| rule.group_id.as_ref() == Some(&id));
    Ok(Live {
        rules: own.map(describe_rule).collect(),
        vpc: required(group.vpc_id.clone(), "vpcId")?,
        tags: from_ec2(group.tags.as_deref()),
        id,
    })
}
