//! Instance profiles of others that contain a role of the stack: IAM deletes no role that is in one.
//! Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html>

use super::{
    super::{Call, Clients, if_found},
    holdings::Holdings,
    obstacle::Obstacle,
};
use crate::model::CallError;
use aws_sdk_iam::types::InstanceProfile;
use futures_util::future::try_join_all;

/// Returns the profiles that contain a role that is to be deleted.
pub(super) async fn find(clients: &Clients, holdings: &Holdings) -> Result<Vec<Obstacle>, CallError> {
    let found = try_join_all(holdings.roles.iter().map(|role| of(clients, role))).await?;
    Ok(found.into_iter().flatten().collect())
}

async fn of(clients: &Clients, role: &str) -> Result<Vec<Obstacle>, CallError> {
    let call = clients.iam.list_instance_profiles_for_role().role_name(role);
    let pages: Result<Vec<InstanceProfile>, _> = call.into_paginator().items().send().try_collect().await;
    let profiles = if_found(pages.call())?.unwrap_or_default();
    let found = profiles.into_iter().map(|profile| Obstacle {
        kind: "instance profile",
        hint: format!(
            "remove the role: `aws iam remove-role-from-instance-profile --instance-profile-name {} --role-name {role}`",
            profile.instance_profile_name
        ),
        name: None,
        detail: format!("contains role {role}"),
        // EKS puts a node role into a profile of its own, and deletes it with the node group.
        // Source: <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSServiceRoleForAmazonEKSNodegroup.html>
        ends: profile.instance_profile_name.starts_with("eks-"),
        blocks: [format!("role/{role}")].into(),
        id: profile.instance_profile_name,
    });
    Ok(found.collect())
}
