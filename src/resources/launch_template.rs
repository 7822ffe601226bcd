//! An EC2 launch template for Bottlerocket nodes: disks, metadata service, user data. EKS chooses the image.
//!
//! A template's data never changes: what differs becomes a new version, which becomes the default.

use super::{Asked, Found, Lifecycle, Lost, handler::given};
use crate::{
    aws::{Call, Cx, Tags, by_owner, ec2_tags, filter, from_ec2, gone_is_done, retag_ec2, signed},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, same_set},
};
use aws_sdk_ec2::types::{
    LaunchTemplate as Template, LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateHttpTokensState, LaunchTemplateInstanceMetadataEndpointState,
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateTagSpecificationRequest,
    RequestLaunchTemplateData, ResourceType, ResponseLaunchTemplateData, Tag, VolumeType,
};
use aws_smithy_types::base64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The kind.
pub struct LaunchTemplate;

/// Bottlerocket's disk for the system, and the one for images, containers and logs.
/// Source: <https://bottlerocket.dev/en/os/latest/concepts/storage/>
const SYSTEM_DISK: &str = "/dev/xvda";
const DATA_DISK: &str = "/dev/xvdb";

/// What the tags of the template's instances are put on.
const TAGGED: [ResourceType; 3] =
    [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The name, unique in account and region.
    pub name: String,
    /// Bottlerocket's settings, TOML; none where there is nothing to say.
    pub user_data: Option<String>,
    /// The size of the disk for images and containers.
    #[serde(rename = "diskGiB")]
    pub disk_gib: i32,
    /// The ARN of the key that encrypts the disks.
    pub key: In<String>,
    /// The name of an EC2 key pair.
    pub key_pair: Option<In<String>>,
    /// The tags of instances, their disks and their interfaces.
    pub instance_tags: Tags,
    /// Tags of the template itself.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// `lt-...`
    pub id: String,
    /// See [`Spec::name`].
    pub name: String,
    /// The newest version.
    pub version: String,
    /// The version that counts where none is named.
    pub default_version: String,
    /// See [`Spec::user_data`].
    pub user_data: Option<String>,
    /// See [`Spec::disk_gib`].
    #[serde(rename = "diskGiB")]
    pub disk_gib: i32,
    /// See [`Spec::key`]; none where a disk is not encrypted, or with different keys.
    pub key: Option<String>,
    /// See [`Spec::key_pair`].
    pub key_pair: Option<String>,
    /// Whether only version 2 of the metadata service answers, and no further than the node itself.
    pub metadata_guarded: bool,
    /// See [`Spec::instance_tags`].
    pub instance_tags: Tags,
    /// Tags of the template itself.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = LaunchTemplate::KIND;
}

impl Resource for LaunchTemplate {
    const KIND: &'static str = "launch_template";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:CreateLaunchTemplate",
        "ec2:CreateLaunchTemplateVersion",
        "ec2:ModifyLaunchTemplate",
        "ec2:DeleteLaunchTemplate",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const IDENTITY: Identity = Identity::Name;
    const MOVES: &'static [&'static str] = &["version"];
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        data(want, live)
            .mutable("defaultVersion", &live.version, &live.default_version)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

/// What only a new version can change.
fn data(want: &Spec, live: &Live) -> Changes {
    Changes::default()
        .fixed("name", &want.name, &live.name)
        .mutable("userData", &want.user_data, &live.user_data)
        .mutable("diskGiB", &want.disk_gib, &live.disk_gib)
        .mutable("key", &want.key, &live.key)
        .mutable("keyPair", &want.key_pair, &live.key_pair)
        .mutable("metadataGuarded", &true, &live.metadata_guarded)
        .mutable("instanceTags", &want.instance_tags, &live.instance_tags)
}

impl Lifecycle for LaunchTemplate {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut templates = list(cx, Some(by_owner(&cx.owner)), None).await?;
        // One of this name that is not tagged as the stack's is somebody else's, and must be seen as such.
        let mut names: Vec<String> =
            asked.iter().filter_map(|asked| Some(asked.want.as_ref()?.name.clone())).collect();
        names.retain(|name| !templates.iter().any(|it| it.launch_template_name.as_ref() == Some(name)));
        if !names.is_empty() {
            templates.extend(list(cx, Some(vec![filter("launch-template-name", names)]), None).await?);
        }
        let seen: Vec<String> = templates.iter().filter_map(|it| it.launch_template_id.clone()).collect();
        let lost = asked.lost(&seen, |live| &live.id);
        if !lost.is_empty() {
            match list(cx, None, Some(lost)).await {
                Err(fault) if fault.class == Class::Gone => {}
                more => templates.extend(more?),
            }
        }
        if templates.is_empty() {
            return Ok(Vec::new());
        }
        let mut newest = newest(cx, &templates).await?;
        let mut found = Vec::new();
        for template in templates {
            let id = template.launch_template_id.clone().unwrap_or_default();
            let tags = from_ec2(template.tags.as_deref());
            let named = |asked: &&Asked<Self>| {
                asked.want.as_ref().map(|want| &want.name) == template.launch_template_name.as_ref()
            };
            let address = asked
                .place(&id, &tags, |live| &live.id)
                .or_else(|| asked.iter().find(named).map(|asked| asked.address.clone()));
            if let (Some(address), Some(data)) = (address, newest.remove(&id)) {
                found.push(Found { address, live: live(template, data) });
            }
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .ec2
            .create_launch_template()
            .client_token(&intent.token)
            .launch_template_name(&want.name)
            .launch_template_data(request(want)?)
            .tag_specifications(ec2_tags(ResourceType::LaunchTemplate, &want.tags, intent));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call("ec2", "CreateLaunchTemplate")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let mut newest = live.version.clone();
        if !data(want, live).is_empty() {
            // The same correction of the same version is the same call: a repeated one makes no second version.
            let form = Fault::encode(Self::KIND, want)?;
            let digest = Sha256::digest(format!("{}/{}/{form}", live.id, live.version));
            let token: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let call = cx
                .ec2
                .create_launch_template_version()
                .client_token(token)
                .launch_template_id(&live.id)
                .launch_template_data(request(want)?);
            let made = call.send().await.call("ec2", "CreateLaunchTemplateVersion")?;
            let number = made.launch_template_version.and_then(|version| version.version_number);
            newest = number.map(|number| number.to_string()).unwrap_or(newest);
        }
        if newest != live.default_version {
            let call = cx.ec2.modify_launch_template().launch_template_id(&live.id).default_version(&newest);
            call.send().await.call("ec2", "ModifyLaunchTemplate")?;
        }
        retag_ec2(cx, &live.id, &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        let call = cx.ec2.delete_launch_template().launch_template_id(&live.id);
        gone_is_done(call.send().await.call("ec2", "DeleteLaunchTemplate"))
    }
}

async fn list(
    cx: &Cx,
    filters: Option<Vec<aws_sdk_ec2::types::Filter>>,
    ids: Option<Vec<String>>,
) -> Result<Vec<Template>, Fault> {
    let call = cx.ec2.describe_launch_templates().set_filters(filters).set_launch_template_ids(ids);
    call.into_paginator().items().send().try_collect().await.call("ec2", "DescribeLaunchTemplates")
}

/// The data of each template's newest version: one call for one, else one over all templates of the account.
async fn newest(
    cx: &Cx,
    templates: &[Template],
) -> Result<BTreeMap<String, ResponseLaunchTemplateData>, Fault> {
    let call = cx.ec2.describe_launch_template_versions().versions("$Latest");
    let call = match templates {
        [only] => call.set_launch_template_id(only.launch_template_id.clone()),
        _ => call,
    };
    let versions: Vec<_> = call
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await
        .call("ec2", "DescribeLaunchTemplateVersions")?;
    Ok(versions
        .into_iter()
        .filter_map(|version| Some((version.launch_template_id?, version.launch_template_data?)))
        .collect())
}

fn request(want: &Spec) -> Result<RequestLaunchTemplateData, Fault> {
    let key = given(&want.key, "key")?;
    let disk = |device: &str, size: Option<i32>| {
        let ebs = LaunchTemplateEbsBlockDeviceRequest::builder()
            .encrypted(true)
            .kms_key_id(key)
            .delete_on_termination(true)
            .volume_type(VolumeType::Gp3)
            .set_volume_size(size);
        LaunchTemplateBlockDeviceMappingRequest::builder().device_name(device).ebs(ebs.build()).build()
    };
    let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
        .http_tokens(LaunchTemplateHttpTokensState::Required)
        // One hop: pods do not reach the node's role.
        .http_put_response_hop_limit(1);
    let tags: Vec<Tag> =
        want.instance_tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    let on = |kind: &ResourceType| {
        LaunchTemplateTagSpecificationRequest::builder()
            .resource_type(kind.clone())
            .set_tags(Some(tags.clone()))
            .build()
    };
    let key_pair = want.key_pair.as_ref().map(|name| given(name, "keyPair")).transpose()?;
    Ok(RequestLaunchTemplateData::builder()
        .block_device_mappings(disk(SYSTEM_DISK, None))
        .block_device_mappings(disk(DATA_DISK, Some(want.disk_gib)))
        .metadata_options(metadata.build())
        .set_tag_specifications(Some(TAGGED.iter().map(on).collect()))
        .set_key_name(key_pair.cloned())
        .set_user_data(want.user_data.as_ref().map(base64::encode))
        .build())
}

fn live(template: Template, data: ResponseLaunchTemplateData) -> Live {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let disks: Vec<_> = data.block_device_mappings.unwrap_or_default();
    let keys: Vec<Option<String>> = disks
        .iter()
        .map(|disk| {
            disk.ebs().filter(|ebs| ebs.encrypted == Some(true)).and_then(|ebs| ebs.kms_key_id.clone())
        })
        .collect();
    let key = match same_set(&keys).as_slice() {
        [only] if disks.len() == 2 => only.clone(),
        _ => None,
    };
    let data_disk = disks.iter().find(|disk| disk.device_name() == Some(DATA_DISK));
    let metadata = data.metadata_options;
    let guarded = metadata.is_some_and(|it| {
        it.http_tokens == Some(LaunchTemplateHttpTokensState::Required)
            && it.http_put_response_hop_limit == Some(1)
    });
    let tags: Vec<Tags> = data
        .tag_specifications
        .unwrap_or_default()
        .iter()
        .map(|specification| from_ec2(specification.tags.as_deref()))
        .collect();
    let instance_tags = match same_set(&tags).as_slice() {
        [only] if tags.len() == TAGGED.len() => only.clone(),
        _ => Tags::new(),
    };
    let text = |data: String| base64::decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Live {
        id: template.launch_template_id.unwrap_or_default(),
        name: template.launch_template_name.unwrap_or_default(),
        version: number(template.latest_version_number),
        default_version: number(template.default_version_number),
        user_data: data.user_data.filter(|data| !data.is_empty()).and_then(text),
        disk_gib: data_disk.and_then(|disk| disk.ebs()?.volume_size).unwrap_or_default(),
        key,
        key_pair: data.key_name,
        metadata_guarded: guarded,
        instance_tags,
        tags: from_ec2(template.tags.as_deref()),
    }
}
