//! The tags of a resource, changed through the API of its service.

use super::{Call, Cx, Tags, tag_together::add_ec2_tags};
use crate::model::{CallError, UpdateId};
use aws_sdk_ssm::types::ResourceTypeForTagging::Parameter;

/// The resource whose tags change, by what its service identifies it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagTarget<'a> {
    /// Resource of EC2, by its id.
    Ec2(&'a str),
    /// Resource of EKS, by its ARN.
    Eks(&'a str),
    /// Repository of ECR, by its ARN.
    Repository(&'a str),
    /// IAM role, by its name.
    Role(&'a str),
    /// IAM OIDC provider, by its ARN.
    OidcProvider(&'a str),
    /// KMS key, by its id.
    Key(&'a str),
    /// DynamoDB table, by its ARN.
    Table(&'a str),
    /// CloudWatch log group, by its ARN.
    LogGroup(&'a str),
    /// SSM parameter, by its name.
    Parameter(&'a str),
}

/// Changes the tags of a resource from `live` to `want`. Both hold managed tags only. AWS does not answer with an update.
pub async fn retag(
    cx: &Cx,
    target: TagTarget<'_>,
    want: &Tags,
    live: &Tags,
) -> Result<Option<UpdateId>, CallError> {
    let new: Tags = want
        .iter()
        .filter(|(key, value)| live.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !new.is_empty() {
        add(cx, target, &new).await?;
    }
    let old: Vec<String> = live.keys().filter(|key| !want.contains_key(*key)).cloned().collect();
    if !old.is_empty() {
        remove(cx, target, old).await?;
    }
    Ok(None)
}

async fn add(cx: &Cx, target: TagTarget<'_>, tags: &Tags) -> Result<(), CallError> {
    match target {
        TagTarget::Ec2(id) => add_ec2_tags(cx, id, tags).await,
        TagTarget::Eks(arn) => {
            cx.eks.tag_resource().resource_arn(arn).set_tags(Some(map(tags))).send().await.call().map(drop)
        }
        TagTarget::Repository(arn) => cx
            .ecr
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(ecr_list(tags)?))
            .send()
            .await
            .call()
            .map(drop),
        TagTarget::Role(name) => {
            cx.iam.tag_role().role_name(name).set_tags(Some(iam_list(tags)?)).send().await.call().map(drop)
        }
        TagTarget::OidcProvider(arn) => {
            let call = cx.iam.tag_open_id_connect_provider().open_id_connect_provider_arn(arn);
            call.set_tags(Some(iam_list(tags)?)).send().await.call().map(drop)
        }
        TagTarget::Key(id) => {
            cx.kms.tag_resource().key_id(id).set_tags(Some(kms_list(tags)?)).send().await.call().map(drop)
        }
        TagTarget::Table(arn) => {
            let call = cx.dynamodb.tag_resource().resource_arn(arn);
            call.set_tags(Some(dynamodb_list(tags)?)).send().await.call().map(drop)
        }
        TagTarget::LogGroup(arn) => {
            cx.logs.tag_resource().resource_arn(arn).set_tags(Some(map(tags))).send().await.call().map(drop)
        }
        TagTarget::Parameter(name) => {
            let call = cx.ssm.add_tags_to_resource().resource_type(Parameter).resource_id(name);
            call.set_tags(Some(ssm_list(tags)?)).send().await.call().map(drop)
        }
    }
}

async fn remove(cx: &Cx, target: TagTarget<'_>, keys: Vec<String>) -> Result<(), CallError> {
    match target {
        TagTarget::Ec2(id) => {
            let tags = keys.iter().map(|key| aws_sdk_ec2::types::Tag::builder().key(key).build()).collect();
            cx.ec2.delete_tags().resources(id).set_tags(Some(tags)).send().await.call().map(drop)
        }
        TagTarget::Eks(arn) => {
            cx.eks.untag_resource().resource_arn(arn).set_tag_keys(Some(keys)).send().await.call().map(drop)
        }
        TagTarget::Repository(arn) => {
            cx.ecr.untag_resource().resource_arn(arn).set_tag_keys(Some(keys)).send().await.call().map(drop)
        }
        TagTarget::Role(name) => {
            cx.iam.untag_role().role_name(name).set_tag_keys(Some(keys)).send().await.call().map(drop)
        }
        TagTarget::OidcProvider(arn) => {
            let call = cx.iam.untag_open_id_connect_provider().open_id_connect_provider_arn(arn);
            call.set_tag_keys(Some(keys)).send().await.call().map(drop)
        }
        TagTarget::Key(id) => {
            cx.kms.untag_resource().key_id(id).set_tag_keys(Some(keys)).send().await.call().map(drop)
        }
        TagTarget::Table(arn) => {
            let call = cx.dynamodb.untag_resource().resource_arn(arn);
            call.set_tag_keys(Some(keys)).send().await.call().map(drop)
        }
        TagTarget::LogGroup(arn) => {
            cx.logs.untag_resource().resource_arn(arn).set_tag_keys(Some(keys)).send().await.call().map(drop)
        }
        TagTarget::Parameter(name) => {
            let call = cx.ssm.remove_tags_from_resource().resource_type(Parameter).resource_id(name);
            call.set_tag_keys(Some(keys)).send().await.call().map(drop)
        }
    }
}

fn map(tags: &Tags) -> std::collections::HashMap<String, String> {
    tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Defines the conversion of tags to the list of a service whose builder checks that key and value are given.
macro_rules! tag_list {
    ($(#[$doc:meta] $name:ident, $tag:ty, $key:ident, $value:ident;)*) => {$(
        #[$doc]
        ///
        /// # Errors
        /// If the SDK does not accept a tag.
        pub fn $name(tags: &Tags) -> Result<Vec<$tag>, CallError> {
            tags.iter().map(|(key, value)| built(<$tag>::builder().$key(key).$value(value).build())).collect()
        }
    )*};
}
tag_list! {
    /// Converts tags to the list of ECR.
    ecr_list, aws_sdk_ecr::types::Tag, key, value;
    /// Converts tags to the list of IAM.
    iam_list, aws_sdk_iam::types::Tag, key, value;
    /// Converts tags to the list of KMS.
    kms_list, aws_sdk_kms::types::Tag, tag_key, tag_value;
    /// Converts tags to the list of DynamoDB.
    dynamodb_list, aws_sdk_dynamodb::types::Tag, key, value;
    /// Converts tags to the list of S3.
    s3_list, aws_sdk_s3::types::Tag, key, value;
    /// Converts tags to the list of SSM.
    ssm_list, aws_sdk_ssm::types::Tag, key, value;
}

/// Returns what a builder of the SDK made.
///
/// # Errors
/// If a member is missing that the SDK requires.
pub fn built<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, CallError> {
    result.map_err(|error| CallError::bug(error.to_string()))
}
