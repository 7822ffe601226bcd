//! An SSM parameter. A secret one is a SecureString under the stack's key: its value is read where it is needed, from
//! the environment or a file, compared in memory, and never part of a spec, a live form or a message.

use super::{Asked, Found, Lifecycle, handler::given};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, once, read_secret, tag_map, tagged, tags_by_arn},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, Secret},
};
use aws_sdk_ssm::types::{
    Parameter, ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kind.
pub struct SsmParameter;

/// How many names `GetParameters` and `DescribeParameters` take.
const GET: usize = 10;
const DESCRIBE: usize = 50;

/// Where the value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContentSpec {
    /// It is this text.
    Plain(String),
    /// It is read from there.
    Secret(Secret),
}

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The name, unique in account and region.
    pub name: String,
    /// Where the value comes from.
    pub content: ContentSpec,
    /// The ARN of the key that encrypts a secret one.
    pub key: Option<In<String>>,
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
    /// Whether it is a SecureString.
    pub secret: bool,
    /// The value of one that is no secret.
    pub value: Option<String>,
    /// Whether a secret one holds what its source holds; none where the source cannot be read here.
    pub same_secret: Option<bool>,
    /// See [`Spec::key`].
    pub key: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = SsmParameter::KIND;
}

impl Resource for SsmParameter {
    const KIND: &'static str = "ssm_parameter";
    const IAM: &'static [&'static str] = &[
        "ssm:GetParameters",
        "ssm:DescribeParameters",
        "ssm:ListTagsForResource",
        "ssm:PutParameter",
        "ssm:AddTagsToResource",
        "ssm:RemoveTagsFromResource",
        "ssm:DeleteParameter",
        "kms:Encrypt",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "tag:GetResources",
    ];
    const IDENTITY: Identity = Identity::Name;
    const NAMED: Option<&'static str> = Some(":parameter");
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let secret = matches!(want.content, ContentSpec::Secret(_));
        let changes =
            Changes::default().fixed("name", &want.name, &live.name).fixed("secret", &secret, &live.secret);
        let changes = match &want.content {
            ContentSpec::Plain(value) => changes.mutable("value", &Some(value), &live.value.as_ref()),
            ContentSpec::Secret(source) if live.same_secret == Some(false) => {
                changes.mutable("value", &format!("that of {source}"), &"another")
            }
            ContentSpec::Secret(_) => changes,
        };
        let changes = match &want.key {
            Some(key) => changes.mutable("key", key, &live.key),
            None => changes,
        };
        changes.mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for SsmParameter {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let named: BTreeMap<String, &Asked<Self>> = asked
            .iter()
            .filter_map(|asked| {
                let last = asked.last.as_ref().map(|last| &last.name);
                let wanted = asked.want.as_ref().map(|want| &want.name);
                Some((last.or(wanted).or(asked.name.as_ref())?.clone(), asked))
            })
            .collect();
        let mut sources: BTreeMap<&String, String> = BTreeMap::new();
        for (name, asked) in &named {
            if let Some(ContentSpec::Secret(source)) = asked.want.as_ref().map(|want| &want.content)
                && let Ok(text) = read_secret(source, &cx.local.folder)
            {
                sources.insert(name, text);
            }
        }
        let (open, plain): (Vec<&String>, Vec<&String>) =
            named.keys().partition(|name| sources.contains_key(name));
        let mut there = get(cx, &plain, false).await?;
        there.extend(get(cx, &open, true).await?);
        let secret = |it: &&Parameter| it.r#type == Some(ParameterType::SecureString);
        let secrets: Vec<String> = there.iter().filter(secret).filter_map(|it| it.name.clone()).collect();
        let keys = keys(cx, &secrets).await?;
        let arns: Vec<String> = there.iter().filter_map(|it| it.arn.clone()).collect();
        let tags = tags_by_arn(cx, "ssm:parameter", &arns, |arn| async move {
            let name = arn.split_once(":parameter").map_or(arn.as_str(), |(_, name)| name);
            let call = cx.ssm.list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter);
            let answer = call.resource_id(name).send().await.call("ssm", "ListTagsForResource")?;
            let tags = answer.tag_list.unwrap_or_default();
            Ok(tag_map(tags.iter().map(|tag| (Some(tag.key()), Some(tag.value())))))
        })
        .await?;
        let found = there.into_iter().filter_map(|parameter| {
            let (name, arn) = (parameter.name?, parameter.arn.unwrap_or_default());
            let asked = named.get(&name)?;
            let secret = parameter.r#type == Some(ParameterType::SecureString);
            let source = sources.get(&name);
            let live = Live {
                secret,
                same_secret: source.filter(|_| secret).map(|source| parameter.value.as_ref() == Some(source)),
                value: parameter.value.filter(|_| !secret),
                key: keys.get(&name).cloned(),
                tags: tags.get(&arn).cloned().unwrap_or_default(),
                name,
                arn,
            };
            Some(Found { address: asked.address.clone(), live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let tags = tagged(&want.tags, intent).into_iter().map(|(key, value)| ssm_tag(&key, &value));
        let call = put(cx, want)?.set_tags(Some(tags.collect::<Result<_, _>>()?));
        let call = call.customize().config_override(once!(aws_sdk_ssm, intent));
        call.send().await.call("ssm", "PutParameter")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let same_tags = Live { tags: want.tags.clone(), ..live.clone() };
        if !Self::diff(want, &same_tags).is_empty() {
            put(cx, want)?.overwrite(true).send().await.call("ssm", "PutParameter")?;
        }
        let new = want.tags.iter().filter(|(key, value)| live.tags.get(*key) != Some(value));
        let new: Vec<Tag> = new.map(|(key, value)| ssm_tag(key, value)).collect::<Result<_, _>>()?;
        let kind = ResourceTypeForTagging::Parameter;
        if !new.is_empty() {
            let call = cx.ssm.add_tags_to_resource().resource_type(kind.clone()).resource_id(&live.name);
            call.set_tags(Some(new)).send().await.call("ssm", "AddTagsToResource")?;
        }
        let old: Vec<String> =
            live.tags.keys().filter(|key| !want.tags.contains_key(*key)).cloned().collect();
        if !old.is_empty() {
            let call = cx.ssm.remove_tags_from_resource().resource_type(kind).resource_id(&live.name);
            call.set_tag_keys(Some(old)).send().await.call("ssm", "RemoveTagsFromResource")?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        gone_is_done(cx.ssm.delete_parameter().name(&live.name).send().await.call("ssm", "DeleteParameter"))
    }
}

fn put(
    cx: &Cx,
    want: &Spec,
) -> Result<aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder, Fault> {
    let call = cx.ssm.put_parameter().name(&want.name).tier(ParameterTier::IntelligentTiering);
    Ok(match &want.content {
        ContentSpec::Plain(value) => call.r#type(ParameterType::String).value(value),
        ContentSpec::Secret(source) => {
            let key = want.key.as_ref().map(|key| given(key, "key")).transpose()?;
            call.r#type(ParameterType::SecureString)
                .value(read_secret(source, &cx.local.folder)?)
                .set_key_id(key.cloned())
        }
    })
}

async fn get(cx: &Cx, names: &[&String], decrypt: bool) -> Result<Vec<Parameter>, Fault> {
    let mut there = Vec::new();
    for names in names.chunks(GET) {
        let names = names.iter().map(|name| (*name).clone()).collect();
        let call = cx.ssm.get_parameters().set_names(Some(names)).with_decryption(decrypt);
        let answer = call.send().await.call("ssm", "GetParameters")?;
        there.extend(answer.parameters.unwrap_or_default());
    }
    Ok(there)
}

/// The keys of SecureStrings, which only their descriptions tell.
async fn keys(cx: &Cx, names: &[String]) -> Result<BTreeMap<String, String>, Fault> {
    let mut keys = BTreeMap::new();
    for names in names.chunks(DESCRIBE) {
        let filter =
            ParameterStringFilter::builder().key("Name").option("Equals").set_values(Some(names.to_vec()));
        let filter = filter.build().map_err(|error| Fault::bug(error.to_string()))?;
        let pages = cx.ssm.describe_parameters().parameter_filters(filter).max_results(50).into_paginator();
        let pages: Result<Vec<_>, _> = pages.send().try_collect().await;
        let pages = match pages.call("ssm", "DescribeParameters") {
            Err(fault) if fault.class == Class::Gone => Vec::new(),
            pages => pages?,
        };
        let list = pages.into_iter().flat_map(|page| page.parameters.unwrap_or_default());
        keys.extend(list.filter_map(|it| Some((it.name?, it.key_id?))));
    }
    Ok(keys)
}

fn ssm_tag(key: &str, value: &str) -> Result<Tag, Fault> {
    Tag::builder().key(key).value(value).build().map_err(|error| Fault::bug(error.to_string()))
}
