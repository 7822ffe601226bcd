//! EKS's insights: what it finds in a cluster that a change of the Kubernetes version would break.

use super::{Call, Clients, if_found};
use crate::model::CallError;
use aws_sdk_eks::types::{Category, InsightStatusValue, InsightSummary, InsightsFilter};

/// Returns the insights that block an upgrade to `version`, each with EKS's reason. EKS looks once a day unless it is asked to.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/cluster-insights.html>
pub async fn upgrade_blockers(
    clients: &Clients,
    cluster: &str,
    version: &str,
) -> Result<Vec<String>, CallError> {
    let filter = InsightsFilter::builder()
        .categories(Category::UpgradeReadiness)
        .kubernetes_versions(version)
        .statuses(InsightStatusValue::Error)
        .build();
    let pages = clients.eks.list_insights().cluster_name(cluster).filter(filter).into_paginator();
    let found: Result<Vec<InsightSummary>, _> = pages.items().send().try_collect().await;
    Ok(if_found(found.call())?.unwrap_or_default().iter().map(text).collect())
}

fn text(insight: &InsightSummary) -> String {
    let name = insight.name().unwrap_or("insight without a name");
    let reason = insight.insight_status().and_then(|status| status.reason());
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let seen = insight.last_refresh_time().map(|at| format!(" (as of {at})")).unwrap_or_default();
    format!("{name}{reason}{seen}")
}
