//! An EC2 launch template for Bottlerocket nodes: disks, metadata service, user data. EKS chooses the image.
//!
//! The data of a version never changes: an update creates a new version and sets it as the default.

use super::prelude::*;
use aws_sdk_ec2::types::{
    LaunchTemplate as Template, LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateHttpTokensState, LaunchTemplateInstanceMetadataEndpointState,
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateTagSpecificationRequest,
    RequestLaunchTemplateData, ResourceType, ResponseLaunchTemplateData, Tag, VolumeType,
};
use aws_smithy_types::base64;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// EC2 launch template of the nodes of a managed node group.
pub struct LaunchTemplate;

/// Bottlerocket's device for the system.
/// Source: <https://bottlerocket.dev/en/os/latest/concepts/storage/>
const SYSTEM_DISK: &str = "/dev/xvda";

/// Bottlerocket's device for images, containers and logs.
const DATA_DISK: &str = "/dev/xvdb";

/// Resources of an instance that get its tags.
const TAGGED_TYPES: [ResourceType; 3] =
    [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];

/// Desired launch template and the data of its newest version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Name, unique in the account and region.
    pub name: String,
    /// Bottlerocket settings in TOML, not encoded; none if there are no settings.
    pub user_data: Option<String>,
    /// Size in GiB of the disk for images and containers.
    #[serde(rename = "diskGiB")]
    pub disk_gib: i32,
    /// ARN of the KMS key that encrypts the disks.
    pub key: In<String>,
    /// Name of the EC2 key pair for SSH access.
    pub key_pair: Option<In<String>>,
    /// Tags of the instances, their disks and their network interfaces.
    pub instance_tags: Tags,
    /// Wanted tags of the template itself.
    pub tags: Tags,
}

/// Launch template as EC2 describes it, with the data of its newest version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Template id, `lt-0123456789abcdef0`.
    pub id: String,
    /// Name of the template.
    pub name: String,
    /// Number of the newest version, as text.
    pub version: String,
    /// Number of the default version, as text.
    pub default_version: String,
    /// User data, decoded; none if it is empty or not text.
    pub user_data: Option<String>,
    /// Size in GiB of the data disk; 0 without one.
    #[serde(rename = "diskGiB")]
    pub disk_gib: i32,
    /// ARN of the key of both disks; none if one is not encrypted, or if their keys differ.
    pub key: Option<String>,
    /// Name of the EC2 key pair.
    pub key_pair: Option<String>,
    /// Whether the metadata service requires IMDSv2 and answers within one hop only.
    pub metadata_guarded: bool,
    /// Tags of instances, disks and interfaces; empty if they differ between these.
    pub instance_tags: Tags,
    /// Tags that the template itself has.
    pub tags: Tags,
}

/// Field [`Live::id`].
pub const ID: Field = Field::new("id");
/// Field [`Live::version`].
pub const VERSION: Field = Field::new("version");

identified!(Live);

impl Spec {
    /// Returns user data with both settings, TOML texts of which the second one counts more. It holds what is set, in order and
    /// without comments, so that nodes are replaced only for another setting; none if nothing is set.
    pub fn user_data(first: &str, second: Option<&str>) -> Option<String> {
        let mut all = Table::new();
        for text in [Some(first), second].into_iter().flatten() {
            // The file's settings were validated.
            merge(&mut all, text.parse().unwrap_or_default());
        }
        (!all.is_empty()).then(|| all.to_string())
    }
}

/// Adds the values of `more`, table by table.
fn merge(all: &mut Table, more: Table) {
    for (key, value) in more {
        match (all.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => drop(all.insert(key, value)),
        }
    }
}

/// Whether both are settings of the same values.
fn is_same(want: Option<&str>, live: Option<&str>) -> bool {
    let settings = |text: Option<&str>| text.unwrap_or_default().parse::<Table>().ok();
    want == live || settings(want).is_some_and(|want| settings(live) == Some(want))
}

impl Desired for Spec {
    const KIND: &'static str = LaunchTemplate::KIND;
}

impl Resource for LaunchTemplate {
    const INFO: KindInfo = KindInfo {
        name: "launch_template",
        identity: Identity::Name,
        supplies: &[ID, VERSION],
        computed_on_update: &["version"],
        birth_mark: Some("id"),
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeLaunchTemplates", "ec2:DescribeLaunchTemplateVersions"]),
            (
                IamScope::EC2_WRITE,
                &[
                    "ec2:CreateLaunchTemplate",
                    "ec2:CreateLaunchTemplateVersion",
                    "ec2:ModifyLaunchTemplate",
                    "ec2:CreateTags",
                    "ec2:DeleteTags",
                ],
            ),
            (IamScope::EC2_OWN, &["ec2:DeleteLaunchTemplate"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        version_changes(want, live)
            .mutable("defaultVersion", &live.version, &live.default_version)
            .mutable("tags", &want.tags, &live.tags)
    }
}

/// Returns the changes that only a new version can make.
fn version_changes(want: &Spec, live: &Live) -> Changes {
    let same = is_same(want.user_data.as_deref(), live.user_data.as_deref());
    Changes::default()
        .fixed("name", &want.name, &live.name)
        .mutable("userData", &want.user_data, if same { &want.user_data } else { &live.user_data })
        .mutable("diskGiB", &want.disk_gib, &live.disk_gib)
        .mutable("key", &want.key, &live.key)
        .mutable("keyPair", &want.key_pair, &live.key_pair)
        .mutable("metadataGuarded", &true, &live.metadata_guarded)
        .mutable("instanceTags", &want.instance_tags, &live.instance_tags)
}

impl Lifecycle for LaunchTemplate {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let mut templates = list(cx, Some(by_owner(&cx.owner)), None).await?;
        // A template of the wanted name without the stack's tags belongs to another owner and must be
        // reported.
        let mut names: Vec<String> =
            asked.iter().filter_map(|asked| Some(asked.want.as_ref()?.name.clone())).collect();
        names.retain(|name| !templates.iter().any(|it| it.launch_template_name.as_ref() == Some(name)));
        if !names.is_empty() {
            templates.extend(list(cx, Some(vec![filter("launch-template-name", names)]), None).await?);
        }
        let known: Vec<String> = templates.iter().filter_map(|it| it.launch_template_id.clone()).collect();
        let recorded = asked.iter().filter_map(|asked| Some(&asked.recorded.as_ref()?.id));
        let named = asked.iter().filter_map(|asked| asked.name.as_ref());
        let lost: Vec<String> = recorded.chain(named).filter(|id| !known.contains(id)).cloned().collect();
        if !lost.is_empty() {
            templates.extend(if_found(list(cx, None, Some(lost)).await)?.unwrap_or_default());
        }
        if templates.is_empty() {
            return Ok(Vec::new());
        }
        let lives = newest_versions(cx, templates).await?.into_iter().filter_map(|live| {
            let named =
                |asked: &&TypedLookup<Self>| asked.want.as_ref().is_some_and(|want| want.name == live.name);
            let address = address_of(asked, &live)
                .or_else(|| asked.iter().find(named).map(|asked| asked.address.clone()))?;
            Some(FoundResource { address, live })
        });
        Ok(lives.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .ec2
            .create_launch_template()
            .client_token(&intent.token)
            .launch_template_name(&want.name)
            .launch_template_data(template_data(want)?)
            .tag_specifications(ec2_tags(ResourceType::LaunchTemplate, &want.tags, intent));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        let mut newest = live.version.clone();
        if !version_changes(want, live).is_empty() {
            // The token follows from the version and the wanted data, so a repeated call creates no second
            // version.
            let form = CallError::encode(Self::KIND, want)?;
            let digest = Sha256::digest(format!("{}/{}/{form}", live.id, live.version));
            let token: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let call = cx
                .ec2
                .create_launch_template_version()
                .client_token(token)
                .launch_template_id(&live.id)
                .launch_template_data(template_data(want)?);
            let made = call.send().await;
            newest = made.read(|answer| {
                let number = answer.launch_template_version.and_then(|version| version.version_number);
                Ok(required(number, "launchTemplateVersion.versionNumber")?.to_string())
            })?;
        }
        if newest != live.default_version {
            let call = cx.ec2.modify_launch_template().launch_template_id(&live.id).default_version(&newest);
            call.send().await.call()?;
        }
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let call = cx.ec2.delete_launch_template().launch_template_id(&live.id);
        call.send().await.gone_is_done()
    }
}

async fn list(
    cx: &Cx,
    filters: Option<Vec<aws_sdk_ec2::types::Filter>>,
    ids: Option<Vec<String>>,
) -> Result<Vec<Template>, CallError> {
    let call = cx.ec2.describe_launch_templates().set_filters(filters).set_launch_template_ids(ids);
    call.into_paginator().items().send().try_collect().await.call()
}

/// Returns the templates with the data of their newest versions: one call for a single template, else one for all templates
/// of the account.
async fn newest_versions(cx: &Cx, templates: Vec<Template>) -> Result<Vec<Live>, CallError> {
    let call = cx.ec2.describe_launch_template_versions().versions("$Latest");
    let call = match templates.as_slice() {
        [only] => call.set_launch_template_id(only.launch_template_id.clone()),
        _ => call,
    };
    let versions: Result<Vec<_>, _> = call.into_paginator().items().send().try_collect().await;
    versions.read(|versions| {
        let data =
            versions.into_iter().filter_map(|it| Some((it.launch_template_id?, it.launch_template_data?)));
        let mut data: BTreeMap<String, ResponseLaunchTemplateData> = data.collect();
        let mut lives = Vec::new();
        for template in templates {
            let id = required(template.launch_template_id.clone(), "launchTemplateId")?;
            if let Some(data) = data.remove(&id) {
                lives.push(live(id, template, data)?);
            }
        }
        Ok(lives)
    })
}

fn template_data(want: &Spec) -> Result<RequestLaunchTemplateData, CallError> {
    let key = resolved(&want.key, "key")?;
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
        // With one hop, pods cannot get the credentials of the node's role.
        .http_put_response_hop_limit(1);
    let tags: Vec<Tag> =
        want.instance_tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    let on = |kind: &ResourceType| {
        LaunchTemplateTagSpecificationRequest::builder()
            .resource_type(kind.clone())
            .set_tags(Some(tags.clone()))
            .build()
    };
    let key_pair = want.key_pair.as_ref().map(|name| resolved(name, "keyPair")).transpose()?;
    Ok(RequestLaunchTemplateData::builder()
        .block_device_mappings(disk(SYSTEM_DISK, None))
        .block_device_mappings(disk(DATA_DISK, Some(want.disk_gib)))
        .metadata_options(metadata.build())
        .set_tag_specifications(Some(TAGGED_TYPES.iter().map(on).collect()))
        .set_key_name(key_pair.cloned())
        .set_user_data(want.user_data.as_ref().map(base64::encode))
        .build())
}

fn live(id: String, template: Template, data: ResponseLaunchTemplateData) -> Result<Live, MissingField> {
    let disks: Vec<_> = data.block_device_mappings.unwrap_or_default();
    let keys: Vec<Option<String>> = disks
        .iter()
        .map(|disk| {
            disk.ebs().filter(|ebs| ebs.encrypted == Some(true)).and_then(|ebs| ebs.kms_key_id.clone())
        })
        .collect();
    let key = match sorted_set(&keys).as_slice() {
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
    let instance_tags = match sorted_set(&tags).as_slice() {
        [only] if tags.len() == TAGGED_TYPES.len() => only.clone(),
        _ => Tags::new(),
    };
    let text = |data: String| base64::decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(Live {
        id,
        name: required(template.launch_template_name, "launchTemplateName")?,
        version: required(template.latest_version_number, "latestVersionNumber")?.to_string(),
        default_version: required(template.default_version_number, "defaultVersionNumber")?.to_string(),
        user_data: data.user_data.filter(|data| !data.is_empty()).and_then(text),
        disk_gib: data_disk.and_then(|disk| disk.ebs()?.volume_size).unwrap_or_default(),
        key,
        key_pair: data.key_name,
        metadata_guarded: guarded,
        instance_tags,
        tags: from_ec2(template.tags.as_deref()),
    })
}

#[cfg(test)]
mod tests {
    use super::Spec;

    #[test]
    fn only_what_is_set_is_user_data() {
        let of = |text: &str| Spec::user_data("", Some(text));
        let plain =
            of("[settings.kernel]\nlockdown = \"integrity\"\n[settings.ntp]\ntime-servers = [\"a\"]\n");
        let written = "# hardened\nsettings.ntp.time-servers = [ 'a' ] # ours\n\n[settings.kernel]\nlockdown   = 'integrity'\n";
        assert_eq!(plain, of(written));
        assert_ne!(plain, of(&written.replace("integrity", "none")));
        assert_eq!(of("# nothing\n"), None);
        let admin = "[settings.host-containers.admin]\nenabled = true\n";
        let both = Spec::user_data(admin, Some("settings.motd = \"hi\"")).unwrap();
        assert!(both.contains("[settings.host-containers.admin]\nenabled = true"), "{both}");
        assert!(both.contains("[settings]\nmotd = \"hi\""), "{both}");
    }
}
