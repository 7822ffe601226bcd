//! Security groups of others: in the VPC, and with rules that name a group of the stack.

use super::{
    super::{Call, Clients, GUARDDUTY_TAG, MAX_VALUES, filter, from_ec2},
    holdings::Holdings,
    obstacle::{Obstacle, created_by},
};
use crate::model::CallError;
use aws_sdk_ec2::types::{SecurityGroup, SecurityGroupRule};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the groups of others in the VPC, and the rules of other groups that name a group of the stack, or one that is
/// swept with the VPC.
pub(super) async fn find(clients: &Clients, holdings: &Holdings) -> Result<Vec<Obstacle>, CallError> {
    let mut found: BTreeMap<String, SecurityGroup> = BTreeMap::new();
    let inside = inside(clients, holdings).await?;
    let swept = inside.iter().filter(|group| holdings.is_swept(group)).filter_map(|it| it.group_id.clone());
    let swept: BTreeSet<String> = swept.collect();
    let naming = naming(clients, holdings.groups.union(&swept).cloned().collect()).await?;
    for group in inside.into_iter().chain(naming) {
        if let Some(id) = group.group_id.clone() {
            found.insert(id, group);
        }
    }
    found.retain(|id, _| !holdings.has(id));
    let rules = rules(clients, found.keys().cloned().collect()).await?;
    let mut obstacles = Vec::new();
    for (id, group) in found {
        let naming = rules.iter().filter(|rule| rule.group_id.as_ref() == Some(&id));
        let all = naming.filter_map(|rule| rule_obstacle(rule, &group, holdings, &swept));
        let ends = swept.contains(&id) || holdings.is_swept(&group);
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

/// Lists the groups, of any VPC, that name one of these in a rule.
async fn naming(clients: &Clients, groups: Vec<String>) -> Result<Vec<SecurityGroup>, CallError> {
    let mut all = Vec::new();
    for part in groups.chunks(MAX_VALUES) {
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
fn rule_obstacle(
    rule: &SecurityGroupRule,
    of: &SecurityGroup,
    holdings: &Holdings,
    swept: &BTreeSet<String>,
) -> Option<Obstacle> {
    let named = rule.referenced_group_info.as_ref()?.group_id.clone()?;
    let mut blocks: BTreeSet<String> = holdings.groups.get(&named).cloned().into_iter().collect();
    // Its group cannot be deleted with the VPC.
    blocks.extend(holdings.vpc.clone().filter(|_| swept.contains(&named)));
    if blocks.is_empty() {
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
        blocks,
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
        let swept = ["sg-swept".to_owned()].into();
        let found = rule_obstacle(&rule("sg-1", false), &group, &holdings(), &swept).unwrap();
        assert_eq!(
            found.to_string(),
            "security group rule sgr-1 (in security group sg-2 (team), names sg-1)"
        );
        assert!(found.hint.contains("revoke-security-group-ingress --group-id sg-2"), "{}", found.hint);
        assert_eq!(found.blocks, ["sg-1".to_owned()].into());
        let egress = rule_obstacle(&rule("sg-1", true), &group, &holdings(), &swept).unwrap();
        assert!(egress.hint.contains("egress"));
        assert_eq!(rule_obstacle(&rule("sg-9", false), &group, &holdings(), &swept), None);
        let of_controller = rule_obstacle(&rule("sg-swept", false), &group, &holdings(), &swept).unwrap();
        assert_eq!(of_controller.blocks, ["vpc-1".to_owned()].into());
    }

    #[test]
    fn a_group_of_another_owner_blocks_its_vpc() {
        let group = |name: &str, vpc: &str| SecurityGroup::builder().group_name(name).vpc_id(vpc).build();
        assert!(group_obstacle("sg-2", &group("team", "vpc-1"), &holdings()).is_some());
        assert_eq!(group_obstacle("sg-3", &group("default", "vpc-1"), &holdings()), None);
        assert_eq!(group_obstacle("sg-4", &group("team", "vpc-2"), &holdings()), None);
        let of_controller = |cluster: &str, vpc: &str| {
            let tag = Tag::builder().key("elbv2.k8s.aws/cluster").value(cluster).build();
            let text = "[k8s] Managed SecurityGroup for LoadBalancer";
            SecurityGroup::builder().group_name("k8s-web").description(text).vpc_id(vpc).tags(tag).build()
        };
        assert!(holdings().is_swept(&of_controller("shop", "vpc-1")));
        assert!(!holdings().is_swept(&of_controller("shop", "vpc-2")));
        assert!(!holdings().is_swept(&of_controller("former", "vpc-1")));
        let later = Holdings { former_clusters: ["former".to_owned()].into(), ..holdings() };
        assert!(later.is_swept(&of_controller("former", "vpc-1")));
    }
}
