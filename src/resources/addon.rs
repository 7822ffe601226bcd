//! An EKS add-on: software that EKS puts on the cluster and keeps.

use super::{Asked, Found, Lifecycle, handler::given};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, issues, retag_eks, signed, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use aws_sdk_eks::types::{Addon as Answer, AddonIssueCode, AddonStatus, ResolveConflicts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kind.
pub struct Addon;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The cluster's name.
    pub cluster: String,
    /// The add-on's name.
    pub name: String,
    /// Its version, `v1.20.4-eksbuild.2`.
    pub version: String,
    /// Its configuration, an object after the add-on's own schema.
    pub configuration: Value,
    /// The ARN of the role that its pods act in through the cluster's issuer.
    pub role: Option<In<String>>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The ARN.
    pub arn: String,
    /// See [`Spec::cluster`].
    pub cluster: String,
    /// See [`Spec::name`].
    pub name: String,
    /// See [`Spec::version`].
    pub version: String,
    /// See [`Spec::configuration`].
    pub configuration: Value,
    /// See [`Spec::role`].
    pub role: Option<String>,
    /// EKS's word, `ACTIVE` and others.
    pub status: String,
    /// What EKS says is wrong.
    pub trouble: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = Addon::KIND;
}

impl Resource for Addon {
    const KIND: &'static str = "addon";
    const IAM: &'static [&'static str] = &[
        "eks:DescribeAddon",
        "eks:CreateAddon",
        "eks:UpdateAddon",
        "eks:DeleteAddon",
        "eks:TagResource",
        "eks:UntagResource",
        "iam:PassRole",
    ];
    const IDENTITY: Identity = Identity::Name;
    const WITHIN: Option<(&'static str, &'static str)> = Some(("eks_cluster", "cluster"));
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("cluster", &want.cluster, &live.cluster)
            .fixed("name", &want.name, &live.name)
            .mutable("version", &want.version, &live.version)
            .mutable("configuration", &want.configuration, &live.configuration)
            .mutable("role", &want.role, &live.role)
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(live: &Live) -> Ready {
        let word = live.status.to_ascii_lowercase().replace('_', " ");
        let why = match &live.trouble {
            Some(trouble) => format!("{word}: {trouble}"),
            None => word,
        };
        match AddonStatus::from(live.status.as_str()) {
            AddonStatus::Active => Ready::Yes,
            AddonStatus::CreateFailed => Ready::Failed(why),
            AddonStatus::Deleting => Ready::Failed("somebody is deleting it".to_owned()),
            AddonStatus::Degraded | AddonStatus::UpdateFailed | AddonStatus::DeleteFailed => {
                Ready::Troubled(why)
            }
            _ => Ready::Wait(why),
        }
    }
}

impl Lifecycle for Addon {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let looks = asked.iter().filter_map(|asked| {
            let (last, want) = (asked.last.as_ref(), asked.want.as_ref());
            let (cluster, name) = last
                .map(|last| (&last.cluster, &last.name))
                .or(want.map(|want| (&want.cluster, &want.name)))?;
            Some(async move {
                let call = cx.eks.describe_addon().cluster_name(cluster).addon_name(name);
                match call.send().await.call("eks", "DescribeAddon") {
                    Err(fault) if fault.class == Class::Gone => Ok(None),
                    answer => {
                        let found = answer?.addon.map(live);
                        Ok::<_, Fault>(found.map(|live| Found { address: asked.address.clone(), live }))
                    }
                }
            })
        });
        Ok(futures_util::future::try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let role = want.role.as_ref().map(|role| given(role, "role")).transpose()?;
        let call = cx
            .eks
            .create_addon()
            .client_request_token(&intent.token)
            .cluster_name(&want.cluster)
            .addon_name(&want.name)
            .addon_version(&want.version)
            .set_configuration_values(text(&want.configuration))
            .set_service_account_role_arn(role.cloned())
            .resolve_conflicts(ResolveConflicts::Overwrite)
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call("eks", "CreateAddon")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        retag_eks(cx, &live.arn, &want.tags, &live.tags).await?;
        let same_tags = Live { tags: want.tags.clone(), ..live.clone() };
        if Self::diff(want, &same_tags).is_empty() {
            return Ok(());
        }
        let role = want.role.as_ref().map(|role| given(role, "role")).transpose()?;
        let configuration = if want.configuration == live.configuration {
            text(&want.configuration)
        } else {
            Some(want.configuration.to_string())
        };
        let call = cx
            .eks
            .update_addon()
            .client_request_token(uuid::Uuid::new_v4().to_string())
            .cluster_name(&live.cluster)
            .addon_name(&live.name)
            .addon_version(&want.version)
            .set_configuration_values(configuration)
            .set_service_account_role_arn(role.cloned())
            .resolve_conflicts(ResolveConflicts::Overwrite);
        call.send().await.call("eks", "UpdateAddon")?;
        Ok(())
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        if live.status == AddonStatus::Deleting.as_str() {
            return Ok(());
        }
        let call = cx.eks.delete_addon().cluster_name(&live.cluster).addon_name(&live.name);
        gone_is_done(call.send().await.call("eks", "DeleteAddon"))
    }
}

/// The configuration as EKS takes it; none for an empty one.
fn text(configuration: &Value) -> Option<String> {
    Some(configuration.to_string()).filter(|text| text != "{}" && text != "null")
}

fn live(addon: Answer) -> Live {
    let health = addon.health.and_then(|health| health.issues).unwrap_or_default();
    // Whoever changed it by hand may have written YAML.
    let configuration = addon.configuration_values.filter(|text| !text.trim().is_empty());
    let configuration = configuration.map(|text| {
        serde_json::from_str(&text)
            .ok()
            .or_else(|| serde_yaml::from_str(&text).ok())
            .unwrap_or(Value::String(text))
    });
    Live {
        arn: addon.addon_arn.unwrap_or_default(),
        cluster: addon.cluster_name.unwrap_or_default(),
        name: addon.addon_name.unwrap_or_default(),
        version: addon.addon_version.unwrap_or_default(),
        configuration: configuration.unwrap_or_else(|| json!({})),
        role: addon.service_account_role_arn.filter(|role| !role.is_empty()),
        status: addon.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        trouble: issues(
            health.iter().map(|issue| {
                (issue.code().map(AddonIssueCode::as_str), issue.message(), issue.resource_ids())
            }),
        ),
        tags: addon.tags.unwrap_or_default().into_iter().collect(),
    }
}
