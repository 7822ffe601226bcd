//! An ECR repository with its lifecycle policy. Removing it removes its images.

use super::prelude::*;
use crate::aws::{ecr_list, tags_by_arn};
use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType, ImageScanningConfiguration, ImageTagMutability, Repository,
};
use serde_json::Value;

/// The kind.
pub struct EcrRepository;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The name, unique in account and region.
    pub name: String,
    /// Whether a tag stays with its image.
    pub immutable_tags: bool,
    /// Whether images are scanned when they come.
    pub scan_on_push: bool,
    /// The ARN of the key that encrypts images.
    pub key: In<String>,
    /// The lifecycle policy.
    pub lifecycle: Value,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// Where images are pushed to, without a tag.
    pub uri: String,
    /// See [`Spec::immutable_tags`].
    pub immutable_tags: bool,
    /// See [`Spec::scan_on_push`].
    pub scan_on_push: bool,
    /// See [`Spec::key`].
    pub key: Option<String>,
    /// See [`Spec::lifecycle`].
    pub lifecycle: Value,
    /// When it was created, RFC 3339. No later resource of its name has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// Field [`Live::uri`].
pub const URI: Field = Field::new("uri");

/// The stack's repositories, with the images in them.
pub(super) const REPOSITORIES: IamScope = IamScope {
    sid: "Ecr",
    resources: &["arn:{partition}:ecr:{region}:{account}:repository/{ecr_repository.name}"],
    conditions: &[],
};

impl Desired for Spec {
    const KIND: &'static str = EcrRepository::KIND;
}

impl Resource for EcrRepository {
    const INFO: KindInfo = KindInfo {
        name: "ecr_repository",
        identity: Identity::Name,
        supplies: &[URI],
        arn_prefix: Some(":repository/"),
        birth_mark: Some("birth"),
        holds: Some("the container images in it"),
        iam: &[
            (
                REPOSITORIES,
                &[
                    "ecr:DescribeRepositories",
                    "ecr:GetLifecyclePolicy",
                    "ecr:ListTagsForResource",
                    "ecr:CreateRepository",
                    "ecr:PutLifecyclePolicy",
                    "ecr:PutImageTagMutability",
                    "ecr:PutImageScanningConfiguration",
                    "ecr:TagResource",
                    "ecr:UntagResource",
                    "ecr:DeleteRepository",
                ],
            ),
            (IamScope::KEY_READ, &["kms:DescribeKey"]),
            (IamScope::KEY_GRANTS, &["kms:CreateGrant"]),
            (IamScope::GIVEN_KEY, &["kms:CreateGrant", "kms:RetireGrant"]),
            (IamScope::KEY, &["kms:RetireGrant"]),
            (IamScope::TAG_QUERY, &["tag:GetResources"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("name", &want.name, &live.name)
            .fixed_optional("key", &want.key, &live.key)
            .mutable("immutableTags", &want.immutable_tags, &live.immutable_tags)
            .mutable("scanOnPush", &want.scan_on_push, &live.scan_on_push)
            .mutable("lifecycle", &by_priority(&want.lifecycle), &by_priority(&live.lifecycle))
            .mutable("tags", &want.tags, &live.tags)
    }

    fn deletion_note(_: &Live) -> Option<String> {
        Some("with the images in it".to_owned())
    }
}

/// Returns a lifecycle policy with its rules in the order of their priority, the only one that counts.
fn by_priority(policy: &Value) -> Value {
    let mut policy = policy.clone();
    if let Some(rules) = policy.get_mut("rules").and_then(Value::as_array_mut) {
        rules.sort_by_key(|rule| rule.get("rulePriority").and_then(Value::as_u64));
    }
    policy
}

impl Lifecycle for EcrRepository {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let names: Vec<(&TypedLookup<Self>, &String)> = asked
            .iter()
            .filter_map(|asked| {
                let known = asked.key(|last| &last.name, |want| &want.name);
                Some((asked, known.or(asked.name.as_ref())?))
            })
            .collect();
        let there =
            repositories(cx, &names.iter().map(|(_, name)| (*name).clone()).collect::<Vec<_>>()).await?;
        let arns: Vec<String> = there.iter().map(|live| live.arn.clone()).collect();
        let tags = tags_by_arn(cx, "ecr:repository", &arns, |arn| async move {
            let answer = cx.ecr.list_tags_for_resource().resource_arn(arn).send().await;
            let tags = answer.call()?.tags.unwrap_or_default();
            Ok(tag_map(tags.iter().map(|tag| (Some(tag.key()), Some(tag.value())))))
        })
        .await?;
        let looks = there.into_iter().filter_map(|live| {
            let (asked, _) = names.iter().find(|(_, name)| live.name == **name)?;
            let tags = tags.get(&live.arn).cloned().unwrap_or_default();
            Some(async move {
                let lifecycle = lifecycle(cx, &live.name).await?;
                let live = Live { lifecycle, tags, ..live };
                Ok::<_, CallError>(FoundResource { address: asked.address.clone(), live })
            })
        });
        futures_util::future::try_join_all(looks).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let encryption = EncryptionConfiguration::builder()
            .encryption_type(EncryptionType::Kms)
            .kms_key(resolved(&want.key, "key")?)
            .build();
        let call = cx
            .ecr
            .create_repository()
            .repository_name(&want.name)
            .image_tag_mutability(mutability(want))
            .image_scanning_configuration(scanning(want))
            .encryption_configuration(built(encryption)?)
            .set_tags(Some(ecr_list(&tagged(&want.tags, intent))?));
        let call = call.customize().config_override(single_shot!(aws_sdk_ecr, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        let name = &live.name;
        if want.immutable_tags != live.immutable_tags {
            let call = cx.ecr.put_image_tag_mutability().repository_name(name);
            let call = call.image_tag_mutability(mutability(want));
            call.send().await.call()?;
        }
        if want.scan_on_push != live.scan_on_push {
            let call = cx.ecr.put_image_scanning_configuration().repository_name(name);
            let call = call.image_scanning_configuration(scanning(want));
            call.send().await.call()?;
        }
        if want.lifecycle != live.lifecycle {
            let call = cx.ecr.put_lifecycle_policy().repository_name(name);
            let call = call.lifecycle_policy_text(want.lifecycle.to_string());
            call.send().await.call()?;
        }
        retag(cx, TagTarget::Repository(&live.arn), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let call = cx.ecr.delete_repository().repository_name(&live.name).force(true);
        call.send().await.gone_is_done()
    }
}

/// Those of `names` that are there, without their tags and lifecycle policies. A list with one unknown name in it fails as a
/// whole, so a longer one asks for all of the registry.
async fn repositories(cx: &Cx, names: &[String]) -> Result<Vec<Live>, CallError> {
    let call = match names {
        [] => return Ok(Vec::new()),
        [only] => cx.ecr.describe_repositories().repository_names(only),
        _ => cx.ecr.describe_repositories().max_results(1000),
    };
    let list: Result<Vec<_>, _> = call.into_paginator().items().send().try_collect().await;
    let found = list.read_if_found(|list| list.into_iter().map(live).collect())?;
    Ok(found.unwrap_or_default())
}

async fn lifecycle(cx: &Cx, name: &str) -> Result<Value, CallError> {
    let answer = cx.ecr.get_lifecycle_policy().repository_name(name).send().await;
    let text =
        answer.read_if_found(|answer| required(answer.lifecycle_policy_text, "lifecyclePolicyText"))?;
    Ok(text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))).unwrap_or_default())
}

fn mutability(want: &Spec) -> ImageTagMutability {
    if want.immutable_tags { ImageTagMutability::Immutable } else { ImageTagMutability::Mutable }
}

fn scanning(want: &Spec) -> ImageScanningConfiguration {
    ImageScanningConfiguration::builder().scan_on_push(want.scan_on_push).build()
}

fn live(repository: Repository) -> Result<Live, MissingField> {
    Ok(Live {
        name: required(repository.repository_name, "repositoryName")?,
        arn: required(repository.repository_arn, "repositoryArn")?,
        uri: required(repository.repository_uri, "repositoryUri")?,
        birth: repository.created_at.map(|at| at.to_string()),
        immutable_tags: repository.image_tag_mutability == Some(ImageTagMutability::Immutable),
        scan_on_push: repository.image_scanning_configuration.is_some_and(|it| it.scan_on_push),
        key: repository.encryption_configuration.and_then(|it| it.kms_key),
        lifecycle: Value::Null,
        tags: Tags::new(),
    })
}
