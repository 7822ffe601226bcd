//! What a plan's lines do not say, and people should know before they approve it.

use super::{
    Workspace, facts,
    support_calendar::{SupportNotice, recorded_support, support_notice, today},
};
use crate::{
    model::{Action, Desired as _, Plan, PlannedChange, Snapshot},
    resources::{eks_cluster, manifest},
    stack::delivery::ServiceAccount,
};

/// Warns of what the plan's lines do not say: settings without an effect, what ends Auto Mode's nodes, the end of support.
pub fn forewarn(workspace: &Workspace, snapshot: &Snapshot, plan: &Plan) {
    let idle = |account: &&ServiceAccount| account.target_role_arn.is_some() && !account.pod_identity;
    for account in workspace.stack.service_accounts.iter().filter(idle) {
        workspace.warn(format!(
            "`targetRoleArn` of the service account `{}/{}` has no effect without `podIdentity: true`",
            account.namespace, account.name
        ));
    }
    if ends_auto_mode(plan) {
        workspace.warn(AUTO_MODE_ENDS);
    }
    warn_of_balancers(workspace, plan);
    if let Some(notice) = cluster_support(workspace, snapshot) {
        workspace.warn(notice.text);
    }
}

/// What disabling Auto Mode does to its nodes.
const AUTO_MODE_ENDS: &str = "`autoMode: false` ends all nodes of Auto Mode before new node groups exist, and their pods with \
     them; to keep these running, first add node groups and run `up`, then disable it";

/// Returns whether the plan disables Auto Mode of a cluster.
fn ends_auto_mode(plan: &Plan) -> bool {
    let fields =
        plan.changes.iter().filter(|it| it.kind == eks_cluster::Spec::KIND).flat_map(|it| &it.fields.0);
    fields.into_iter().any(|field| field.path == "autoMode" && field.new == false && field.old.is_array())
}

/// Returns what is to be said about the end of support of the cluster's version.
pub fn cluster_support(workspace: &Workspace, snapshot: &Snapshot) -> Option<SupportNotice> {
    let policy = workspace.stack.cluster.as_ref()?.upgrade_policy;
    let dates = recorded_support(snapshot, facts::recorded_version(snapshot)?)?;
    support_notice(&dates, policy, today())
}

/// Annotations of an Ingress that name its load balancer: with another value, its controller creates another one.
/// Source: <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/annotations/>
const BALANCER_ANNOTATIONS: [&str; 2] =
    ["alb.ingress.kubernetes.io/group.name", "alb.ingress.kubernetes.io/scheme"];

/// Warns of each Ingress that another load balancer serves after the plan.
pub fn warn_of_balancers(workspace: &Workspace, plan: &Plan) {
    let moves = |change: &&PlannedChange| {
        change.kind == manifest::Spec::KIND
            && change.action == Action::Update
            && change.fields.0.iter().any(|field| {
                BALANCER_ANNOTATIONS.iter().any(|name| field.path == format!("metadata.annotations[{name}]"))
            })
    };
    for change in plan.changes.iter().filter(moves) {
        workspace.warn(format!(
            "{} gets another load balancer, with another DNS name: until the DNS records of its hosts point to that one, \
             requests to the old one fail",
            change.address
        ));
    }
}
