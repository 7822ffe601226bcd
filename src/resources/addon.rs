//! An EKS add-on: software that EKS puts on the cluster and keeps.

use super::prelude::*;
use crate::{
    aws::{EksUpdate, eks_status, issues},
    model::{Ahead, UpdateOutcome, is_newer},
};
use aws_sdk_eks::types::{Addon as Answer, AddonIssueCode, AddonStatus, ResolveConflicts};
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
    /// Whether the file names the version. Otherwise a newer one that runs is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub version_named: bool,
    /// Whether the cluster goes back to the Kubernetes minor that the version is for. Otherwise a newer one that runs is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolls_back: bool,
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
    /// When it was created, RFC 3339. No later resource of its name has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = Addon::KIND;
}

impl Resource for Addon {
    const INFO: KindInfo = KindInfo {
        name: "addon",
        identity: Identity::Name,
        parent: Some(("eks_cluster", "cluster")),
        ready_within: minutes(20),
        deleted_within: minutes(20),
        typical: Duration::from_secs(40),
        birth_mark: Some("birth"),
        iam: &[
            (
                IamScope::EKS,
                &[
                    "eks:DescribeAddon",
                    "eks:CreateAddon",
                    "eks:UpdateAddon",
                    "eks:DescribeUpdate",
                    "eks:ListUpdates",
                    "eks:DeleteAddon",
                    "eks:TagResource",
                    "eks:UntagResource",
                ],
            ),
            (IamScope::PASS_ROLES, &["iam:PassRole"]),
        ],
        ..KindInfo::DEFAULT
    };
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

    fn ready(live: &Live) -> Readiness {
        let why = eks_status(&live.status, live.trouble.as_deref());
        match AddonStatus::from(live.status.as_str()) {
            AddonStatus::Active => Readiness::Ready,
            AddonStatus::CreateFailed => Readiness::Failed(why),
            AddonStatus::Deleting => Readiness::Waiting("being deleted".to_owned()),
            AddonStatus::Degraded | AddonStatus::UpdateFailed | AddonStatus::DeleteFailed => {
                Readiness::Degraded(why)
            }
            _ => Readiness::Waiting(why),
        }
    }

    fn ahead(want: &Spec, live: &Live, recorded: Option<(&Spec, &Live)>) -> Option<Ahead<Spec>> {
        if want.version_named || want.rolls_back || !is_newer(&live.version, &want.version) {
            return None;
        }
        let (new, name) = (&live.version, &want.name);
        let said = recorded.is_none_or(|(_, last)| last.version == *new);
        Some(Ahead {
            spec: Spec { version: new.clone(), ..want.clone() },
            note: (!said).then(|| format!("{name} runs {new}, newer than {}: it is kept", want.version)),
            hint: (!said).then(|| {
                format!("set `version` of `{name}` in `cluster.addons` to choose the version in the file")
            }),
        })
    }

    fn delete_failed(live: &Live) -> Option<String> {
        let failed = live.status == AddonStatus::DeleteFailed.as_str();
        failed.then(|| live.trouble.clone().unwrap_or_else(|| live.status.clone()))
    }

    fn deleting(live: &Live) -> bool {
        AddonStatus::from(live.status.as_str()) == AddonStatus::Deleting
    }
}

impl Lifecycle for Addon {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        describe_each(
            asked,
            |asked| asked.key(|last| (&last.cluster, &last.name), |want| (&want.cluster, &want.name)),
            async |(cluster, name)| {
                let call = cx.eks.describe_addon().cluster_name(cluster).addon_name(name).send().await;
                call.read_if_found(|answer| live(required(answer.addon, "addon")?))
            },
        )
        .await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let role = if_resolved(want.role.as_ref(), "role")?;
        let call = cx
            .eks
            .create_addon()
            .client_request_token(&intent.token)
            .cluster_name(&want.cluster)
            .addon_name(&want.name)
            .addon_version(&want.version)
            .set_configuration_values(text(&want.configuration))
            .set_service_account_role_arn(role)
            .resolve_conflicts(ResolveConflicts::Overwrite)
            .set_tags(Some(tagged(&want.tags, intent).into_iter().collect()));
        let call = call.customize().config_override(signed!(aws_sdk_eks, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Eks(&live.arn), &want.tags, &live.tags).await?;
        let Some(Update { version, configuration, role }) = update(want, live)? else { return Ok(None) };
        let call = cx
            .eks
            .update_addon()
            .client_request_token(uuid::Uuid::new_v4().to_string())
            .cluster_name(&live.cluster)
            .addon_name(&live.name)
            .addon_version(version)
            .set_configuration_values(configuration)
            .set_service_account_role_arn(role)
            .resolve_conflicts(ResolveConflicts::Overwrite);
        Ok(call.send().await.call()?.update.and_then(|update| update.id))
    }

    async fn outcome(cx: &Cx, live: &Live, id: &str) -> Result<UpdateOutcome, CallError> {
        EksUpdate::Addon(&live.cluster, &live.name).outcome(cx, id).await
    }

    async fn running_update(cx: &Cx, live: &Live) -> Result<Option<UpdateId>, CallError> {
        EksUpdate::Addon(&live.cluster, &live.name).running(cx, &live.status).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        if live.status == AddonStatus::Deleting.as_str() {
            return Ok(());
        }
        let call = cx.eks.delete_addon().cluster_name(&live.cluster).addon_name(&live.name);
        call.send().await.gone_is_done()
    }
}

/// What an update of an add-on sends: EKS takes all of it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Update {
    version: String,
    /// The configuration as text; none if neither form has one.
    configuration: Option<String>,
    role: Option<String>,
}

/// Returns the update that is due.
pub(super) fn update(want: &Spec, live: &Live) -> Result<Option<Update>, CallError> {
    let role = if_resolved(want.role.as_ref(), "role")?;
    let same_configuration = want.configuration == live.configuration;
    if want.version == live.version && same_configuration && role == live.role {
        return Ok(None);
    }
    // Only an empty configuration that is sent removes one.
    let configuration = match same_configuration {
        true => text(&want.configuration),
        false => Some(want.configuration.to_string()),
    };
    Ok(Some(Update { version: want.version.clone(), configuration, role }))
}

/// The configuration as EKS takes it; none for an empty one.
fn text(configuration: &Value) -> Option<String> {
    Some(configuration.to_string()).filter(|text| text != "{}" && text != "null")
}

fn live(addon: Answer) -> Result<Live, MissingField> {
    let health = addon.health.and_then(|health| health.issues).unwrap_or_default();
    // A configuration that was changed by hand may be YAML.
    let configuration = addon.configuration_values.filter(|text| !text.trim().is_empty());
    let configuration = configuration.map(|text| {
        serde_json::from_str(&text)
            .ok()
            .or_else(|| serde_yaml::from_str(&text).ok())
            .unwrap_or(Value::String(text))
    });
    Ok(Live {
        arn: required(addon.addon_arn, "addonArn")?,
        birth: addon.created_at.map(|at| at.to_string()),
        cluster: required(addon.cluster_name, "clusterName")?,
        name: required(addon.addon_name, "addonName")?,
        version: required(addon.addon_version, "addonVersion")?,
        configuration: configuration.unwrap_or_else(|| json!({})),
        role: addon.service_account_role_arn.filter(|role| !role.is_empty()),
        status: required_text(addon.status, "status")?,
        trouble: issues(
            health.iter().map(|issue| {
                (issue.code().map(AddonIssueCode::as_str), issue.message(), issue.resource_ids())
            }),
        ),
        tags: addon.tags.unwrap_or_default().into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(version: &str, named: bool) -> Spec {
        let spec = json!({"cluster": "shop", "name": "vpc-cni", "version": version, "configuration": {}, "role": null,
            "versionNamed": named, "tags": {}});
        serde_json::from_value(spec).unwrap()
    }

    fn live(version: &str, status: &str) -> Live {
        let live = json!({"arn": "a", "cluster": "shop", "name": "vpc-cni", "version": version, "configuration": {},
            "role": null, "status": status, "trouble": null, "tags": {}});
        serde_json::from_value(live).unwrap()
    }

    #[test]
    fn a_newer_version_is_kept_unless_the_file_names_another() {
        let (old, new) = ("v1.20.5-eksbuild.1", "v1.21.1-eksbuild.3");
        let (spec, last) = (want(old, false), live(old, "ACTIVE"));
        let kept = Addon::ahead(&spec, &live(new, "ACTIVE"), Some((&spec, &last))).unwrap();
        assert!(Addon::diff(&kept.spec, &live(new, "ACTIVE")).is_empty());
        assert!(kept.note.unwrap().contains(new));
        let said = Addon::ahead(&spec, &live(new, "ACTIVE"), Some((&spec, &live(new, "ACTIVE")))).unwrap();
        assert_eq!((said.spec.version.as_str(), said.note, said.hint), (new, None, None));
        assert!(
            Addon::ahead(&want(old, true), &live(new, "ACTIVE"), None).is_none(),
            "EKS takes a downgrade"
        );
        assert!(Addon::ahead(&want(new, false), &live(old, "ACTIVE"), None).is_none());
    }

    #[test]
    fn an_update_that_failed_can_be_corrected_and_a_deletion_that_failed_is_told() {
        assert!(matches!(Addon::ready(&live("v1", "UPDATE_FAILED")), Readiness::Degraded(_)));
        assert_eq!(Addon::delete_failed(&live("v1", "DELETE_FAILED")).as_deref(), Some("DELETE_FAILED"));
        assert_eq!(Addon::delete_failed(&live("v1", "ACTIVE")), None);
    }
}
