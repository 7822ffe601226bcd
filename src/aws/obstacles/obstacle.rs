//! An obstacle to a deletion.

use crate::{aws::Tags, model::tag};
use std::{collections::BTreeSet, fmt};

/// One resource of another owner that blocks the deletion of some of the stack's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// What it is, `network interface`.
    pub kind: &'static str,
    /// Its id or name, as AWS knows it.
    pub id: String,
    /// Its `Name` tag, if it has one.
    pub name: Option<String>,
    /// What it does to the stack's resource, and who created it: `Lambda function, in subnet-0123`.
    pub detail: String,
    /// The stack's resources that cannot be deleted while it exists: ids, `cluster/NAME` or `role/NAME`.
    /// Empty if it blocks nothing, and is deleted with the network.
    pub blocks: BTreeSet<String>,
    /// Whether AWS deletes it within minutes without anyone's doing: it is waited for, and is no obstacle.
    pub ends: bool,
    /// What to do about it, as an imperative.
    pub hint: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        write!(f, "{} {}{name} ({})", self.kind, self.id, self.detail)
    }
}

/// Returns who created a resource, as far as its tags say, as the end of a detail.
/// Sources: <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html>,
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html>,
/// <https://karpenter.sh/docs/concepts/nodeclasses/#spectags>
pub(super) fn created_by(tags: &Tags) -> String {
    const CREATORS: [(&str, &str); 6] = [
        ("aws:cloudformation:stack-name", "CloudFormation stack"),
        (tag::STACK, "provisioner stack"),
        ("karpenter.sh/nodepool", "Karpenter node pool"),
        ("eks:cluster-name", "EKS cluster"),
        ("elbv2.k8s.aws/cluster", "the load balancer controller of cluster"),
        ("aws:autoscaling:groupName", "Auto Scaling group"),
    ];
    let of = |(key, what): &(&str, &str)| Some(format!(", created by {what} {}", tags.get(*key)?));
    CREATORS.iter().find_map(of).unwrap_or_default()
}
