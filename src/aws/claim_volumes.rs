//! Volumes that the EBS CSI driver created for PersistentVolumeClaims in a cluster. They are data, and only a person deletes
//! them: the driver does so only for a claim that is deleted while the cluster exists.

use super::{Call, Clients, Tags, filter, from_ec2};
use crate::model::CallError;
use aws_sdk_ec2::types::Volume;
use std::{collections::BTreeSet, fmt};

/// The tags of which the driver puts one on each of its volumes and snapshots.
/// Source: <https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md>
const DRIVER_TAGS: [&str; 4] = [
    "ebs.csi.aws.com/cluster",
    "kubernetes.io/created-for/pv/name",
    "CSIVolumeName",
    "CSIVolumeSnapshotName",
];

/// A volume that was created for a claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimVolume {
    /// The volume's id.
    pub id: String,
    /// Its size in GiB.
    pub gigabytes: i32,
    /// `NAMESPACE/NAME` of the claim, if the driver recorded it.
    pub claim: Option<String>,
    /// The cluster that the claim was in.
    pub cluster: String,
}

impl fmt::Display for ClaimVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} GiB", self.id, self.gigabytes)?;
        self.claim.iter().try_for_each(|claim| write!(f, ", claim {claim}"))?;
        write!(f, ")")
    }
}

/// Lists the volumes of claims in these clusters.
pub async fn claim_volumes(
    clients: &Clients,
    clusters: &BTreeSet<String>,
) -> Result<Vec<ClaimVolume>, CallError> {
    let mut found = Vec::new();
    for cluster in clusters {
        let owned = filter(&format!("tag:kubernetes.io/cluster/{cluster}"), vec!["owned".to_owned()]);
        let pages = clients.ec2.describe_volumes().filters(owned).into_paginator().items().send();
        let volumes: Vec<Volume> = pages.try_collect().await.call()?;
        found.extend(volumes.iter().filter_map(|volume| claim_volume(volume, cluster)));
    }
    found.sort();
    Ok(found)
}

/// Returns whether tags say that the CSI driver created a volume or a snapshot.
pub fn is_of_driver(tags: &Tags) -> bool {
    DRIVER_TAGS.iter().any(|key| tags.contains_key(*key))
}

fn claim_volume(volume: &Volume, cluster: &str) -> Option<ClaimVolume> {
    let tags = from_ec2(Some(volume.tags()));
    let tag = |key: &str| tags.get(&format!("kubernetes.io/created-for/pvc/{key}"));
    let claim = tag("namespace").zip(tag("name")).map(|(namespace, name)| format!("{namespace}/{name}"));
    Some(ClaimVolume {
        id: volume.volume_id.clone().filter(|_| is_of_driver(&tags))?,
        gigabytes: volume.size.unwrap_or_default(),
        claim,
        cluster: cluster.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::Tag;

    fn volume(tags: &[(&str, &str)]) -> Option<ClaimVolume> {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build());
        let volume = Volume::builder().volume_id("vol-1").size(8).set_tags(Some(tags.collect())).build();
        claim_volume(&volume, "shop")
    }

    #[test]
    fn a_volume_of_a_claim_is_named_with_it() {
        let found = volume(&[
            ("ebs.csi.aws.com/cluster", "true"),
            ("kubernetes.io/created-for/pvc/name", "data"),
            ("kubernetes.io/created-for/pvc/namespace", "team"),
        ]);
        assert_eq!(found.unwrap().to_string(), "vol-1 (8 GiB, claim team/data)");
        assert_eq!(volume(&[("CSIVolumeName", "pvc-1")]).unwrap().to_string(), "vol-1 (8 GiB)");
    }

    #[test]
    fn the_disk_of_a_node_is_none() {
        assert_eq!(volume(&[("kubernetes.io/cluster/shop", "owned"), ("Name", "node")]), None);
    }
}
