//! Security groups of others: in the VPC, and with rules that name a group of the stack.

use super::{
    super::{Call, Clients, GUARDDUTY_TAG, MAX_VALUES, filter, from_ec2},
    holdings::Holdings,
    obstacle::{Obstacle, created_by},
};
use crate::model::CallError;
use aws_sdk_ec2::types::{SecurityGroup, SecurityGroupRule};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the groups of others in the VPC, and the rules of other groups that name a group of the stack.
pub(super) async fn find(clients: &Clients, holdings: &Holdings) -> Result<Vec<Obstacle>, CallError> {
    let mut found: BTreeMap<String, SecurityGroup> = BTreeMap::new();
    for group in inside(clients, holdings).await?.into_iter().chain(naming(clients, holdings).await?) {
        if let Some(id) = group.group_id.clone() {
            found.insert(id, group);
        }
    }
    found.retain(|id, _| !holdings.has(id));
    let rules = rules(clients, found.keys().cloned().collect()).await?;
    let mut obstacles = Vec::new();
    for (id, group) in found {
        let naming = rules.iter().filter(|rule| rule.group_id.as_ref() == Some(&id));
        let all = naming.filter_map(|rule| rule_obstacle(rule, &group, holdings));
        // What EKS and the controllers created ends with the cluster.
        let ends = holdings.is_of_cluster(&from_ec2(Some(group.tags())));
        let all = all.chain(group_obstacle(&id, &group, holdings));
        obstacles.extend(all.map(|obstacle| Obstacle { ends, ..obstacle }));
    }
    Ok(obstacles)
}

/// Lists the groups of the VPC that is to be deleted.
async fn inside(clients: &Clients, holdings: &Holdings) -> Result<Vec<SecurityGroup>, CallError> {
    let Some(vpc) = &holdings.vpc else { return Ok(Vec::new()) };
    let call = clients.ec2.describe_security_groups().filters(filter("vpc-id", vec![vpc.clone()]));
    call.into_paginator().page_size(1000).items().send().try_collect().await.call()
}

/// Lists the groups, of any VPC, that name a group of the stack in a rule.
async fn naming(clients: &Clients, holdings: &Holdings) -> Result<Vec<SecurityGroup>, CallError> {
    let own: Vec<String> = holdings.groups.iter().cloned().collect();
    let mut all = Vec::new();
    for part in own.chunks(MAX_VALUES) {
        for direction in ["ip-permission.group-id", "egress.ip-permission.group-id"] {
            let call = clients.ec2.describe_security_groups().filters(filter(direction, part.to_vec()));
            let pages = call.into_paginator().page_size(1000).items().send();
            let found: Vec<SecurityGroup> = pages.try_collect().await.call()?;
            all.extend(found);
        }
    }
    Ok(all)
}

async fn rules(clients: &Clients, groups: BTreeSet<String>) -> Result<Vec<SecurityGroupRule>, CallError> {
    let groups: Vec<String> = groups.into_iter().collect();
    let mut all = Vec::new();
    for part in groups.chunks(MAX_VALUES) {
        let call = clients.ec2.describe_security_group_rules().filters(filter("group-id", part.to_vec()));
        let pages = call.into_paginator().page_size(1000).items().send();
        let found: Vec<SecurityGroupRule> = pages.try_collect().await.call()?;
        all.extend(found);
    }
    Ok(all)
}

/// Returns the obstacle that a rule is: AWS deletes no group that a rule of another group names.
fn rule_obstacle(rule: &SecurityGroupRule, of: &SecurityGroup, holdings: &Holdings) -> Option<Obstacle> {
    let named = rule.referenced_group_info.as_ref()?.group_id.clone()?;
    if !holdings.groups.contains(&named) {
        return None;
    }
    let (id, group) = (rule.security_group_rule_id.clone()?, of.group_id.clone()?);
    let verb = match rule.is_egress {
        Some(true) => "revoke-security-group-egress",
        _ => "revoke-security-group-ingress",
    };
    Some(Obstacle {
        kind: "security group rule",
        hint: format!("remove the rule: `aws ec2 {verb} --group-id {group} --security-group-rule-ids {id}`"),
        id,
        name: from_ec2(Some(rule.tags())).remove("Name"),
        detail: format!(
            "in security group {group} ({}), names {named}{}",
            of.group_name().unwrap_or_default(),
            created_by(&from_ec2(Some(of.tags())))
        ),
        ends: false,
        blocks: [named].into(),
    })
}

/// Returns the obstacle that a group in the VPC is: AWS deletes no VPC with a group beside its default one.
fn group_obstacle(id: &str, group: &SecurityGroup, holdings: &Holdings) -> Option<Obstacle> {
    let vpc = holdings.vpc.clone().filter(|vpc| group.vpc_id.as_ref() == Some(vpc))?;
    let tags = from_ec2(Some(group.tags()));
    let name = group.group_name().unwrap_or_default();
    // Deleted with the VPC.
    if name == "default" || tags.contains_key(GUARDDUTY_TAG) {
        return None;
    }
    Some(Obstacle {
        kind: "security group",
        id: id.to_owned(),
        name: tags.get("Name").cloned(),
        detail: format!("{name}, in {vpc}{}", created_by(&tags)),
        ends: false,
        blocks: [vpc].into(),
        hint: format!("delete it: `aws ec2 delete-security-group --group-id {id}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{ReferencedSecurityGroup, Tag};

    fn holdings() -> Holdings {
        Holdings {
            vpc: Some("vpc-1".to_owned()),
            groups: ["sg-1".to_owned()].into(),
            clusters: ["shop".to_owned()].into(),
            ..Holdings::default()
        }
    }

    #[test]
    fn a_rule_that_names_a_group_of_the_stack_is_named_with_its_group() {
        let group = SecurityGroup::builder().group_id("sg-2").group_name("team").build();
        let rule = |names: &str, egress: bool| {
            let named = ReferencedSecurityGroup::builder().group_id(names).build();
            SecurityGroupRule::builder()
                .security_group_rule_id("sgr-1")
                .is_egress(egress)
                .referenced_group_info(named)
                .build()
        };
        let found = rule_obstacle(&rule("sg-1", false), &group, &holdings()).unwrap();
        assert_eq!(
            found.to_string(),
            "security group rule sgr-1 (in security group sg-2 (team), names sg-1)"
        );
        assert!(found.hint.contains("revoke-security-group-ingress --group-id sg-2"), "{}", found.hint);
        assert!(rule_obstacle(&rule("sg-1", true), &group, &holdings()).unwrap().hint.contains("egress"));
        assert_eq!(rule_obstacle(&rule("sg-9", false), &group, &holdings()), None);
    }

    #[test]
    fn a_group_of_another_owner_blocks_its_vpc() {
        let group = |name: &str, vpc: &str| SecurityGroup::builder().group_name(name).vpc_id(vpc).build();
        assert!(group_obstacle("sg-2", &group("team", "vpc-1"), &holdings()).is_some());
        assert_eq!(group_obstacle("sg-3", &group("default", "vpc-1"), &holdings()), None);
        assert_eq!(group_obstacle("sg-4", &group("team", "vpc-2"), &holdings()), None);
        let tag = Tag::builder().key("elbv2.k8s.aws/cluster").value("shop").build();
        let made = SecurityGroup::builder().tags(tag).build();
        assert!(holdings().is_of_cluster(&from_ec2(Some(made.tags()))));
    }
}
