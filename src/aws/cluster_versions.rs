//! The Kubernetes minors that EKS offers, and until when it supports them.

use super::{Call, Clients, required};
use crate::model::{CallError, KubernetesMinor};
use aws_sdk_eks::types::{ClusterVersionInformation, VersionStatus};
use aws_smithy_types::DateTime;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use time::OffsetDateTime;

/// A Kubernetes minor that EKS offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedVersion {
    /// The minor, `1.35`.
    pub version: String,
    /// Whether it is in standard support.
    pub standard: bool,
    /// Until when it is supported.
    pub support: SupportDates,
}

/// Until when EKS supports a Kubernetes minor. A date that EKS does not name is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportDates {
    /// The minor.
    pub version: String,
    /// The last day of standard support, `2027-03-27`.
    pub standard: Option<String>,
    /// The last day of extended support, which costs more per hour. Then EKS upgrades the cluster.
    pub extended: Option<String>,
}

/// Lists the Kubernetes minors that EKS offers, newest first.
/// Source: <https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeClusterVersions.html>
pub async fn kubernetes_versions(clients: &Clients) -> Result<Vec<OfferedVersion>, CallError> {
    let pages = clients.eks.describe_cluster_versions().into_paginator().items().send();
    let versions: Result<Vec<_>, _> = pages.try_collect().await;
    let mut offered: Vec<OfferedVersion> =
        versions.read(|versions| versions.into_iter().map(offered).collect())?;
    offered.sort_by_key(|it| Reverse(KubernetesMinor::parse(&it.version)));
    Ok(offered)
}

fn offered(info: ClusterVersionInformation) -> Result<OfferedVersion, super::MissingField> {
    let version = required(info.cluster_version, "clusterVersion")?;
    Ok(OfferedVersion {
        standard: info.version_status == Some(VersionStatus::StandardSupport),
        support: SupportDates {
            version: version.clone(),
            standard: info.end_of_standard_support_date.and_then(date),
            extended: info.end_of_extended_support_date.and_then(date),
        },
        version,
    })
}

fn date(at: DateTime) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(at.secs()).ok().map(|at| at.date().to_string())
}
