//! An SSM parameter. A secret one is a SecureString under the stack's key: its value is read where it is needed, from
//! the environment or a file, compared in memory, and never part of a spec, a live form or a message.

use super::prelude::*;
use crate::{
    aws::{read_secret, ssm_list, tags_by_arn},
    model::SecretSource,
};
use aws_sdk_ssm::types::{
    Parameter, ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging,
};
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
    SecretSource(SecretSource),
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
    /// Version number that AWS assigns, starting at 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// When that version was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// Field [`Live::version`].
pub const VERSION: Field = Field::new("version");

impl Desired for Spec {
    const KIND: &'static str = SsmParameter::KIND;
}

impl Resource for SsmParameter {
    const INFO: KindInfo = KindInfo {
        name: "ssm_parameter",
        identity: Identity::Name,
        supplies: &[VERSION],
        computed_on_update: &["version"],
        arn_prefix: Some(":parameter"),
        birth_counter: Some("version"),
        counted_at: Some("modified"),
        iam: &[
            (
                IamScope::PARAMETERS,
                &[
                    "ssm:GetParameters",
                    "ssm:ListTagsForResource",
                    "ssm:PutParameter",
                    "ssm:AddTagsToResource",
                    "ssm:RemoveTagsFromResource",
                    "ssm:DeleteParameter",
                ],
            ),
            (IamScope::ANYWHERE, &["ssm:DescribeParameters", "tag:GetResources"]),
            (IamScope::KEY, &["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"]),
            (IamScope::GIVEN_KEY, &["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let secret = matches!(want.content, ContentSpec::SecretSource(_));
        // `Overwrite` with another type makes a String a SecureString, and the other way round, although the API's
        // `HierarchyTypeMismatchException` denies it.
        // Source: `TestAccSSMParameter_Secure_insecureChangeSecure` in
        // <https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ssm/parameter_test.go>
        let changes =
            Changes::default().fixed("name", &want.name, &live.name).mutable("secret", &secret, &live.secret);
        let changes = match &want.content {
            ContentSpec::Plain(value) => changes.mutable("value", &Some(value), &live.value.as_ref()),
            ContentSpec::SecretSource(source) if live.same_secret == Some(false) => {
                changes.mutable("value", &format!("that of {source}"), &"another")
            }
            ContentSpec::SecretSource(_) => changes,
        };
        let changes = match &want.key {
            Some(key) => changes.mutable("key", key, &live.key),
            None => changes,
        };
        changes.mutable("tags", &want.tags, &live.tags)
    }

    fn holds(live: &Live) -> Option<&'static str> {
        live.secret.then_some("the secret value")
    }
}

impl Lifecycle for SsmParameter {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let named: BTreeMap<String, &TypedLookup<Self>> = asked
            .iter()
            .filter_map(|asked| {
                let known = asked.key(|last| &last.name, |want| &want.name);
                Some((known.or(asked.name.as_ref())?.clone(), asked))
            })
            .collect();
        let mut sources: BTreeMap<&String, String> = BTreeMap::new();
        for (name, asked) in &named {
            if let Some(ContentSpec::SecretSource(source)) = asked.want.as_ref().map(|want| &want.content)
                && let Ok(text) = read_secret(source, &cx.local.folder)
            {
                sources.insert(name, text);
            }
        }
        let (open, plain): (Vec<&String>, Vec<&String>) =
            named.keys().partition(|name| sources.contains_key(name));
        let mut there = get(cx, &plain, false).await?;
        let opened = get(cx, &open, true).await;
        there.extend(match opened {
            // The key cannot be used, which the plan of the key says. The values are not known, and all else is.
            Err(error) if error.code == "InvalidKeyId" => {
                sources.clear();
                get(cx, &open, false).await?
            }
            opened => opened?,
        });
        let secrets = there.iter().filter(|it| it.secret).map(|it| it.name.clone()).collect::<Vec<_>>();
        let keys = keys(cx, &secrets).await?;
        let arns: Vec<String> = there.iter().map(|it| it.arn.clone()).collect();
        let tags = tags_by_arn(cx, "ssm:parameter", &arns, |arn| async move {
            let name = arn.split_once(":parameter").map_or(arn.as_str(), |(_, name)| name);
            let call = cx.ssm.list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter);
            let answer = call.resource_id(name).send().await.call()?;
            let tags = answer.tag_list.unwrap_or_default();
            Ok(tag_map(tags.iter().map(|tag| (Some(tag.key()), Some(tag.value())))))
        })
        .await?;
        let found = there.into_iter().filter_map(|live| {
            let asked = named.get(&live.name)?;
            let source = sources.get(&live.name).filter(|_| live.secret);
            let live = Live {
                same_secret: source.map(|source| live.value.as_ref() == Some(source)),
                value: live.value.filter(|_| !live.secret),
                key: keys.get(&live.name).cloned(),
                tags: tags.get(&live.arn).cloned().unwrap_or_default(),
                ..live
            };
            Some(FoundResource { address: asked.address.clone(), live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = put(cx, want)?.set_tags(Some(ssm_list(&tagged(&want.tags, intent))?));
        let call = call.customize().config_override(single_shot!(aws_sdk_ssm, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        let same_tags = Live { tags: want.tags.clone(), ..live.clone() };
        if !Self::diff(want, &same_tags).is_empty() {
            put(cx, want)?.overwrite(true).send().await.call()?;
        }
        retag(cx, TagTarget::Parameter(&live.name), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        cx.ssm.delete_parameter().name(&live.name).send().await.gone_is_done()
    }
}

fn put(
    cx: &Cx,
    want: &Spec,
) -> Result<aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder, CallError> {
    let call = cx.ssm.put_parameter().name(&want.name).tier(ParameterTier::IntelligentTiering);
    Ok(match &want.content {
        ContentSpec::Plain(value) => call.r#type(ParameterType::String).value(value),
        ContentSpec::SecretSource(source) => {
            let key = if_resolved(want.key.as_ref(), "key")?;
            call.r#type(ParameterType::SecureString)
                .value(read_secret(source, &cx.local.folder)?)
                .set_key_id(key)
        }
    })
}

/// The parameters, each with its value in whatever form AWS returns it, and without key and tags.
async fn get(cx: &Cx, names: &[&String], decrypt: bool) -> Result<Vec<Live>, CallError> {
    let mut there = Vec::new();
    for names in names.chunks(GET) {
        let names = names.iter().map(|name| (*name).clone()).collect();
        let call = cx.ssm.get_parameters().set_names(Some(names)).with_decryption(decrypt).send().await;
        let more = call.read(|answer| {
            answer.parameters.unwrap_or_default().into_iter().map(live).collect::<Result<Vec<_>, _>>()
        });
        there.extend(more?);
    }
    Ok(there)
}

fn live(parameter: Parameter) -> Result<Live, MissingField> {
    Ok(Live {
        name: required(parameter.name, "Name")?,
        arn: required(parameter.arn, "ARN")?,
        secret: parameter.r#type == Some(ParameterType::SecureString),
        value: parameter.value,
        same_secret: None,
        key: None,
        version: Some(parameter.version).filter(|version| *version > 0),
        modified: parameter.last_modified_date.map(|at| at.to_string()),
        tags: Tags::new(),
    })
}

/// The keys of SecureStrings, which only their descriptions tell.
async fn keys(cx: &Cx, names: &[String]) -> Result<BTreeMap<String, String>, CallError> {
    let mut keys = BTreeMap::new();
    for names in names.chunks(DESCRIBE) {
        let filter =
            ParameterStringFilter::builder().key("Name").option("Equals").set_values(Some(names.to_vec()));
        let call = cx.ssm.describe_parameters().parameter_filters(built(filter.build())?);
        let pages = call.max_results(50).into_paginator();
        let pages: Result<Vec<_>, _> = pages.send().try_collect().await;
        let pages = if_found(pages.call())?.unwrap_or_default();
        let list = pages.into_iter().flat_map(|page| page.parameters.unwrap_or_default());
        keys.extend(list.filter_map(|it| Some((it.name?, it.key_id?))));
    }
    Ok(keys)
}
