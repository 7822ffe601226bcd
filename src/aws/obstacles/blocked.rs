//! What blocks one resource whose deletion AWS refuses: asked during a run, when AWS's own leftovers are among it.

use super::{
    super::{Clients, filter},
    Obstacles, balancers, cluster_workers, groups,
    holdings::Holdings,
    interfaces, merged, parts, profiles,
};
use crate::model::{Blockable, Blocker};
use serde_json::Value;
use std::collections::BTreeSet;

/// Returns what blocks the deletion of `live`, a resource of the holdings: what a person has to delete first, then what ends
/// alone. Queries that fail find nothing.
pub async fn blockers(
    clients: &Clients,
    blockable: Blockable,
    live: &Value,
    holdings: &Holdings,
) -> Vec<Blocker> {
    let look = Look { clients, holdings };
    let text = |field: &str| live.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let found = match blockable {
        Blockable::Never | Blockable::FargateProfile => return Vec::new(),
        Blockable::Vpc => look.in_vpc(text("id")).await,
        Blockable::Subnet => look.interfaces("subnet-id", text("id")).await,
        Blockable::SecurityGroup => look.of_groups([text("id")].into()).await,
        Blockable::InternetGateway => look.public(text("vpc")).await,
        Blockable::RouteTable => look.of_table(text("id")).await,
        Blockable::ElasticIp => look.interfaces("association.allocation-id", text("id")).await,
        Blockable::Role => look.of_role(text("name")).await,
        Blockable::Cluster => look.in_cluster(text("name"), text("securityGroup")).await,
        Blockable::NodeGroup => look.of_groups(group_ids(&text("trouble"))).await,
    };
    let (ending, mut found): (Vec<_>, Vec<_>) = merged(found.found).into_iter().partition(|it| it.ends);
    found.extend(ending);
    let named = found.iter().map(|it| Blocker {
        what: it.to_string(),
        ends: it.ends,
        // The interfaces of a load balancer that still exists look like those of one that was deleted.
        soon: it.ends && it.kind == "load balancer",
        // The controllers that would delete it are deleted already.
        hint: if it.kind == "load balancer" { balancers::by_hand(&it.id) } else { it.hint.clone() },
    });
    named.collect()
}

struct Look<'a> {
    clients: &'a Clients,
    holdings: &'a Holdings,
}

impl Look<'_> {
    /// Returns the holdings as if nothing but these were deleted.
    fn only(&self, vpc: Option<String>, groups: BTreeSet<String>) -> Holdings {
        Holdings { vpc, groups, ..self.holdings.clone() }
    }

    async fn in_vpc(&self, vpc: String) -> Obstacles {
        let mut all = self.interfaces("vpc-id", vpc.clone()).await;
        let holdings = self.only(Some(vpc), BTreeSet::new());
        let (groups, parts) =
            tokio::join!(groups::find(self.clients, &holdings), parts::find(self.clients, &holdings));
        all.add("security groups", groups);
        parts.into_iter().for_each(|(what, answer)| all.add(what, answer));
        // What is deleted with the VPC blocks nothing.
        all.found.retain(|obstacle| !obstacle.blocks.is_empty());
        all
    }

    async fn interfaces(&self, name: &str, value: String) -> Obstacles {
        self.matching(name, value, |all| all).await
    }

    async fn public(&self, vpc: String) -> Obstacles {
        self.matching("vpc-id", vpc, interfaces::Interfaces::public).await
    }

    async fn matching(
        &self,
        name: &str,
        value: String,
        part: fn(interfaces::Interfaces) -> interfaces::Interfaces,
    ) -> Obstacles {
        let (mut all, holdings) = (Obstacles::default(), self.only(None, BTreeSet::new()));
        let (found, balancers) = tokio::join!(
            interfaces::matching(self.clients, filter(name, vec![value.clone()])),
            balancers::list(self.clients, &holdings)
        );
        let found = found.map(|found| part(found).obstacles(&holdings, balancers.as_ref().ok()));
        // Each of them blocks what was asked about, also if the stack records nothing that it is in.
        let found = found.map(|mut found| {
            found.iter_mut().for_each(|it| it.blocks.extend([value.clone()]));
            found
        });
        all.add("network interfaces", found);
        all
    }

    async fn of_groups(&self, groups: BTreeSet<String>) -> Obstacles {
        let mut all = Obstacles::default();
        for group in &groups {
            all.found.extend(self.interfaces("group-id", group.clone()).await.found);
        }
        all.add("security groups", groups::find(self.clients, &self.only(None, groups)).await);
        all
    }

    async fn of_table(&self, table: String) -> Obstacles {
        let mut all = Obstacles::default();
        all.add("route tables", parts::associations(self.clients, self.holdings, &table).await);
        all
    }

    async fn of_role(&self, role: String) -> Obstacles {
        let mut all = Obstacles::default();
        let holdings = Holdings { roles: [role].into(), ..self.holdings.clone() };
        all.add("instance profiles", profiles::find(self.clients, &holdings).await);
        all
    }

    async fn in_cluster(&self, cluster: String, group: String) -> Obstacles {
        let mut all = Obstacles::default();
        all.add("node groups", cluster_workers::find(self.clients, &cluster, self.holdings).await);
        let groups = if group.is_empty() { BTreeSet::new() } else { [group].into() };
        all.found.extend(self.of_groups(groups).await.found);
        all
    }
}

/// Returns the ids of the security groups in a text of AWS.
fn group_ids(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    words.filter(|word| word.starts_with("sg-")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_off_the_reason_of_a_failed_deletion() {
        let text = "Ec2SecurityGroupDeletionFailure: DependencyViolation - resource has a dependent object (sg-0a1b, sg-2)";
        assert_eq!(group_ids(text), ["sg-0a1b".to_owned(), "sg-2".to_owned()].into());
        assert!(group_ids("deleting").is_empty());
    }
}
