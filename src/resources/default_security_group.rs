//! The security group that comes with a VPC, kept without any rule, so that what is put in no group reaches nothing.
//!
//! It is made by AWS and goes with the VPC.

use super::{
    Asked, Found, Lifecycle, Lost,
    security_group::{describe, revoke},
};
use crate::{
    aws::{Call, Cx, Tags, filter, from_ec2, retag_ec2},
    model::{Changes, Departure, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct DefaultSecurityGroup;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The VPC.
    pub vpc: In<String>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// `sg-...`
    pub id: String,
    /// The VPC.
    pub vpc: String,
    /// All its rules, as `sgr-...: what it allows`.
    pub rules: Vec<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = DefaultSecurityGroup::KIND;
}

impl Resource for DefaultSecurityGroup {
    const KIND: &'static str = "default_security_group";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSecurityGroupRules",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const IDENTITY: Identity = Identity::OwnerTag;
    const DEPARTURE: Departure = Departure::WithParent;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("vpc", &want.vpc, &live.vpc)
            .mutable("rules", &Vec::<String>::new(), &live.rules)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for DefaultSecurityGroup {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let groups =
            cx.security_groups().await?.iter().filter(|group| group.group_name.as_deref() == Some("default"));
        let mut groups: Vec<_> = groups.cloned().collect();
        let mut rules = cx.security_group_rules().await?.to_vec();
        for asked in asked {
            let vpc = asked.last.as_ref().map(|last| last.vpc.clone());
            let wanted = asked.want.as_ref().and_then(|want| want.vpc.known().cloned());
            let Some(vpc) = vpc.or(wanted) else { continue };
            if groups.iter().any(|group| group.vpc_id.as_ref() == Some(&vpc)) {
                continue;
            }
            // Before its first tagging it is known by the VPC alone.
            let of_vpc = [filter("vpc-id", vec![vpc]), filter("group-name", vec!["default".to_owned()])];
            let call = cx.ec2.describe_security_groups().set_filters(Some(of_vpc.to_vec()));
            let untagged =
                call.send().await.call("ec2", "DescribeSecurityGroups")?.security_groups.unwrap_or_default();
            for group in untagged {
                let id = filter("group-id", vec![group.group_id.clone().unwrap_or_default()]);
                let call = cx.ec2.describe_security_group_rules().filters(id).send().await;
                let more = call.call("ec2", "DescribeSecurityGroupRules")?;
                rules.extend(more.security_group_rules.unwrap_or_default());
                groups.push(group);
            }
        }
        let found = groups.into_iter().filter_map(|group| {
            let id = group.group_id.unwrap_or_default();
            let live = Live {
                rules: rules
                    .iter()
                    .filter(|rule| rule.group_id.as_ref() == Some(&id))
                    .map(describe)
                    .collect(),
                vpc: group.vpc_id.unwrap_or_default(),
                tags: from_ec2(group.tags.as_deref()),
                id,
            };
            let by_vpc = || {
                let of = |asked: &&Asked<Self>| {
                    asked.want.as_ref().and_then(|want| want.vpc.known()).is_some_and(|vpc| *vpc == live.vpc)
                };
                asked.iter().find(of).map(|asked| asked.address.clone())
            };
            let address = asked.place(&live.id, &live.tags, |live| &live.id).or_else(by_vpc)?;
            Some(Found { address, live })
        });
        Ok(found.collect())
    }

    /// AWS makes it with the VPC; the engine waits until it shows.
    async fn create(_: &Cx, _: &Spec, _: &Intent) -> Result<(), Fault> {
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        revoke(cx, &live.id, &live.rules).await?;
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(_: &Cx, _: &Live) -> Result<(), Fault> {
        Ok(())
    }
}
