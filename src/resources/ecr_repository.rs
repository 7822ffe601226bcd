//! An ECR repository with its lifecycle policy. Removing it removes its images.

use super::{Asked, Found, Lifecycle, handler::given};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, once, tag_map, tagged, tags_by_arn},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType, ImageScanningConfiguration, ImageTagMutability, Repository, Tag,
};
use serde::{Deserialize, Serialize};
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
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = EcrRepository::KIND;
}

impl Resource for EcrRepository {
    const KIND: &'static str = "ecr_repository";
    const IAM: &'static [&'static str] = &[
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
        "kms:DescribeKey",
        "kms:CreateGrant",
        "kms:RetireGrant",
        "tag:GetResources",
    ];
    const IDENTITY: Identity = Identity::Name;
    const NAMED: Option<&'static str> = Some(":repository/");
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("name", &want.name, &live.name)
            .fixed("key", &want.key, &live.key)
            .mutable("immutableTags", &want.immutable_tags, &live.immutable_tags)
            .mutable("scanOnPush", &want.scan_on_push, &live.scan_on_push)
            .mutable("lifecycle", &want.lifecycle, &live.lifecycle)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }

    fn farewell(_: &Live) -> Option<String> {
        Some("with the images in it".to_owned())
    }
}

impl Lifecycle for EcrRepository {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let names: Vec<(&Asked<Self>, &String)> = asked
            .iter()
            .filter_map(|asked| {
                let last = asked.last.as_ref().map(|last| &last.name);
                let wanted = asked.want.as_ref().map(|want| &want.name);
                Some((asked, last.or(wanted).or(asked.name.as_ref())?))
            })
            .collect();
        let there =
            repositories(cx, &names.iter().map(|(_, name)| (*name).clone()).collect::<Vec<_>>()).await?;
        let arns: Vec<String> = there.iter().filter_map(|it| it.repository_arn.clone()).collect();
        let tags = tags_by_arn(cx, "ecr:repository", &arns, |arn| async move {
            let answer = cx.ecr.list_tags_for_resource().resource_arn(arn).send().await;
            let tags = answer.call("ecr", "ListTagsForResource")?.tags.unwrap_or_default();
            Ok(tag_map(tags.iter().map(|tag| (Some(tag.key()), Some(tag.value())))))
        })
        .await?;
        let looks = there.into_iter().filter_map(|repository| {
            let (asked, _) =
                names.iter().find(|(_, name)| repository.repository_name.as_ref() == Some(name))?;
            let tags = tags.get(repository.repository_arn.as_deref()?).cloned();
            Some(async move {
                let lifecycle = lifecycle(cx, repository.repository_name()).await?;
                let live = live(repository, lifecycle, tags.unwrap_or_default());
                Ok::<_, Fault>(Found { address: asked.address.clone(), live })
            })
        });
        futures_util::future::try_join_all(looks).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let tags = tagged(&want.tags, intent).into_iter().map(|(key, value)| ecr_tag(&key, &value));
        let encryption = EncryptionConfiguration::builder()
            .encryption_type(EncryptionType::Kms)
            .kms_key(given(&want.key, "key")?)
            .build()
            .map_err(|error| Fault::bug(error.to_string()))?;
        let call = cx
            .ecr
            .create_repository()
            .repository_name(&want.name)
            .image_tag_mutability(mutability(want))
            .image_scanning_configuration(scanning(want))
            .encryption_configuration(encryption)
            .set_tags(Some(tags.collect::<Result<_, _>>()?));
        let call = call.customize().config_override(once!(aws_sdk_ecr, intent));
        call.send().await.call("ecr", "CreateRepository")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let name = &live.name;
        if want.immutable_tags != live.immutable_tags {
            let call = cx.ecr.put_image_tag_mutability().repository_name(name);
            let call = call.image_tag_mutability(mutability(want));
            call.send().await.call("ecr", "PutImageTagMutability")?;
        }
        if want.scan_on_push != live.scan_on_push {
            let call = cx.ecr.put_image_scanning_configuration().repository_name(name);
            let call = call.image_scanning_configuration(scanning(want));
            call.send().await.call("ecr", "PutImageScanningConfiguration")?;
        }
        if want.lifecycle != live.lifecycle {
            let call = cx.ecr.put_lifecycle_policy().repository_name(name);
            let call = call.lifecycle_policy_text(want.lifecycle.to_string());
            call.send().await.call("ecr", "PutLifecyclePolicy")?;
        }
        let new = want.tags.iter().filter(|(key, value)| live.tags.get(*key) != Some(value));
        let new: Vec<Tag> = new.map(|(key, value)| ecr_tag(key, value)).collect::<Result<_, _>>()?;
        if !new.is_empty() {
            let call = cx.ecr.tag_resource().resource_arn(&live.arn).set_tags(Some(new));
            call.send().await.call("ecr", "TagResource")?;
        }
        let old: Vec<String> =
            live.tags.keys().filter(|key| !want.tags.contains_key(*key)).cloned().collect();
        if !old.is_empty() {
            let call = cx.ecr.untag_resource().resource_arn(&live.arn).set_tag_keys(Some(old));
            call.send().await.call("ecr", "UntagResource")?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        let call = cx.ecr.delete_repository().repository_name(&live.name).force(true);
        gone_is_done(call.send().await.call("ecr", "DeleteRepository"))
    }
}

/// Those of `names` that are there. A list with one unknown name in it fails as a whole, so a longer one asks for all
/// of the registry.
async fn repositories(cx: &Cx, names: &[String]) -> Result<Vec<Repository>, Fault> {
    let call = match names {
        [] => return Ok(Vec::new()),
        [only] => cx.ecr.describe_repositories().repository_names(only),
        _ => cx.ecr.describe_repositories().max_results(1000),
    };
    let list: Result<Vec<_>, _> = call.into_paginator().items().send().try_collect().await;
    match list.call("ecr", "DescribeRepositories") {
        Err(fault) if fault.class == Class::Gone => Ok(Vec::new()),
        list => list,
    }
}

async fn lifecycle(cx: &Cx, name: Option<&str>) -> Result<Value, Fault> {
    let call = cx.ecr.get_lifecycle_policy().set_repository_name(name.map(str::to_owned));
    match call.send().await.call("ecr", "GetLifecyclePolicy") {
        Err(fault) if fault.class == Class::Gone => Ok(Value::Null),
        answer => {
            let text = answer?.lifecycle_policy_text.unwrap_or_default();
            Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
        }
    }
}

fn mutability(want: &Spec) -> ImageTagMutability {
    if want.immutable_tags { ImageTagMutability::Immutable } else { ImageTagMutability::Mutable }
}

fn scanning(want: &Spec) -> ImageScanningConfiguration {
    ImageScanningConfiguration::builder().scan_on_push(want.scan_on_push).build()
}

fn ecr_tag(key: &str, value: &str) -> Result<Tag, Fault> {
    Tag::builder().key(key).value(value).build().map_err(|error| Fault::bug(error.to_string()))
}

fn live(repository: Repository, lifecycle: Value, tags: Tags) -> Live {
    Live {
        name: repository.repository_name.unwrap_or_default(),
        arn: repository.repository_arn.unwrap_or_default(),
        uri: repository.repository_uri.unwrap_or_default(),
        immutable_tags: repository.image_tag_mutability == Some(ImageTagMutability::Immutable),
        scan_on_push: repository.image_scanning_configuration.is_some_and(|it| it.scan_on_push),
        key: repository.encryption_configuration.and_then(|it| it.kms_key),
        lifecycle,
        tags,
    }
}
