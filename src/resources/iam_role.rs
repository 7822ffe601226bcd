//! An IAM role with its trust, inline policies and attached managed policies.
//!
//! IAM is global: the name holds the region, so that stacks of one name in two regions do not meet.

use super::prelude::*;
use crate::aws::{iam_list, normal, parse};
use aws_sdk_iam::types::{AttachedPolicy, EntityType, RoleDetail};
use serde_json::Value;
use std::collections::BTreeMap;

/// The kind.
pub struct IamRole;

/// What is asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Spec {
    /// The name, unique in the account.
    pub name: String,
    /// What it is for; said when it is made, and not compared.
    pub description: String,
    /// Who may assume it, as a policy document. `${name}` in it stands for what `given` holds under that name.
    pub trust: Value,
    /// What other resources supply to the trust.
    #[serde(default)]
    pub given: BTreeMap<String, In<String>>,
    /// Inline policies by name.
    pub inline: BTreeMap<String, Value>,
    /// ARNs of attached managed policies.
    pub managed: Vec<String>,
    /// The path, `/platform/`; IAM does not change it.
    #[serde(default = "root", skip_serializing_if = "is_root")]
    pub path: String,
    /// The ARN of the policy that limits what the role may do; `None` leaves a role the one that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
    /// Tags.
    pub tags: Tags,
}

fn root() -> String {
    "/".to_owned()
}

fn is_root(path: &String) -> bool {
    path.is_empty() || path == "/"
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// See [`Spec::trust`], in its normal form.
    pub trust: Value,
    /// See [`Spec::inline`], in their normal form.
    pub inline: BTreeMap<String, Value>,
    /// See [`Spec::managed`].
    pub managed: Vec<String>,
    /// See [`Spec::path`].
    #[serde(default = "root", skip_serializing_if = "is_root")]
    pub path: String,
    /// See [`Spec::boundary`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
    /// The role's unique id, `AROA...`: no later role of its name has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// Field [`Live::arn`].
pub const ARN: Field = Field::new("arn");

/// The stack's roles, and the managed policies that the file attaches to them.
const ATTACHMENTS: IamScope = IamScope {
    sid: "AttachPolicies",
    conditions: &[("ArnEquals", "iam:PolicyARN", &["{iam_role.managed}"])],
    ..IamScope::ROLES
};

impl Desired for Spec {
    const KIND: &'static str = IamRole::KIND;
}

impl Resource for IamRole {
    const INFO: KindInfo = KindInfo {
        name: "iam_role",
        identity: Identity::Name,
        supplies: &[ARN],
        typical: Duration::from_secs(3),
        birth_mark: Some("birth"),
        blockable: Blockable::Role,
        iam: &[
            (IamScope::ANYWHERE, &["iam:GetAccountAuthorizationDetails"]),
            (IamScope::READ_ROLES, &["iam:GetRole"]),
            (
                IamScope::ROLES,
                &[
                    "iam:GetRolePolicy",
                    "iam:ListRolePolicies",
                    "iam:ListAttachedRolePolicies",
                    "iam:CreateRole",
                    "iam:TagRole",
                    "iam:UntagRole",
                    "iam:UpdateAssumeRolePolicy",
                    "iam:PutRolePermissionsBoundary",
                    "iam:PutRolePolicy",
                    "iam:DeleteRolePolicy",
                    "iam:DetachRolePolicy",
                    "iam:DeleteRole",
                ],
            ),
            (ATTACHMENTS, &["iam:AttachRolePolicy"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let inline: BTreeMap<&String, Value> =
            want.inline.iter().map(|(name, policy)| (name, normal(policy))).collect();
        let changes = Changes::default()
            .fixed("name", &want.name, &live.name)
            .fixed("rolePath", &want.path, &live.path);
        let changes = match &want.boundary {
            Some(_) => changes.mutable("permissionsBoundary", &want.boundary, &live.boundary),
            None => changes,
        };
        changes
            .mutable("trust", &trust(want), &live.trust)
            .mutable("inline", &inline, &live.inline)
            .mutable("managed", &sorted_set(&want.managed), &sorted_set(&live.managed))
            .mutable("tags", &want.tags, &live.tags)
    }
}

/// The trust in its normal form, with what was given; what is not known yet in its stead.
fn trust(want: &Spec) -> Value {
    let mut text = normal(&want.trust).to_string();
    for (name, input) in &want.given {
        match input.known() {
            Some(value) => text = text.replace(&format!("${{{name}}}"), value),
            None => return serde_json::to_value(input).unwrap_or_default(),
        }
    }
    parse(&text)
}

/// So many roles are looked up one by one; for more, one query over all roles of the account costs less.
const ONE_BY_ONE: usize = 3;

impl Lifecycle for IamRole {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        if asked.len() > ONE_BY_ONE {
            match all_of(cx, asked).await {
                // The call reads every role of the account, which a permissions boundary often denies.
                Err(error) if error.class == ErrorKind::Denied => {}
                found => return found,
            }
        }
        describe_each(asked, name_of, async |name| if_found(describe(cx, name).await)).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .iam
            .create_role()
            .role_name(&want.name)
            .description(&want.description)
            .assume_role_policy_document(trust(want).to_string())
            .path(&want.path)
            .set_permissions_boundary(want.boundary.clone())
            .set_tags(Some(iam_list(&tagged(&want.tags, intent))?));
        call.customize().config_override(single_shot!(aws_sdk_iam, intent)).send().await.call()?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        let role = &live.name;
        let trust = trust(want);
        if trust != live.trust {
            let call = cx.iam.update_assume_role_policy().role_name(role).policy_document(trust.to_string());
            call.send().await.call()?;
        }
        if let Some(boundary) = want.boundary.as_ref().filter(|_| want.boundary != live.boundary) {
            let call = cx.iam.put_role_permissions_boundary().role_name(role).permissions_boundary(boundary);
            call.send().await.call()?;
        }
        for (name, policy) in &want.inline {
            if live.inline.get(name) != Some(&normal(policy)) {
                let call = cx
                    .iam
                    .put_role_policy()
                    .role_name(role)
                    .policy_name(name)
                    .policy_document(policy.to_string());
                call.send().await.call()?;
            }
        }
        for name in live.inline.keys().filter(|name| !want.inline.contains_key(*name)) {
            remove_inline(cx, role, name).await?;
        }
        for arn in want.managed.iter().filter(|arn| !live.managed.contains(arn)) {
            let call = cx.iam.attach_role_policy().role_name(role).policy_arn(arn);
            call.send().await.call()?;
        }
        for arn in live.managed.iter().filter(|arn| !want.managed.contains(arn)) {
            detach(cx, role, arn).await?;
        }
        retag(cx, TagTarget::Role(&live.name), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        for name in live.inline.keys() {
            remove_inline(cx, &live.name, name).await?;
        }
        for arn in &live.managed {
            detach(cx, &live.name, arn).await?;
        }
        cx.iam.delete_role().role_name(&live.name).send().await.gone_is_done()
    }
}

fn name_of(asked: &TypedLookup<IamRole>) -> Option<&String> {
    asked.key(|last| &last.name, |want| &want.name)
}

async fn all_of(cx: &Cx, asked: &[TypedLookup<IamRole>]) -> Result<Vec<FoundResource<Live>>, CallError> {
    let call = cx.iam.get_account_authorization_details().filter(EntityType::Role).max_items(1000);
    let pages: Result<Vec<_>, _> = call.into_paginator().send().try_collect().await;
    pages.read(|pages| {
        let mut found = Vec::new();
        for role in pages.into_iter().flat_map(|page| page.role_detail_list.unwrap_or_default()) {
            let asked = asked.iter().find(|asked| name_of(asked) == role.role_name.as_ref());
            if let Some(asked) = asked {
                found.push(FoundResource { address: asked.address.clone(), live: detailed(role)? });
            }
        }
        Ok(found)
    })
}

fn detailed(role: RoleDetail) -> Result<Live, MissingField> {
    let inline = role.role_policy_list.unwrap_or_default().into_iter();
    let managed = role.attached_managed_policies.unwrap_or_default().into_iter();
    let trust = required(role.assume_role_policy_document, "AssumeRolePolicyDocument")?;
    Ok(Live {
        name: required(role.role_name, "RoleName")?,
        birth: role.role_id,
        arn: required(role.arn, "Arn")?,
        trust: parse(&trust),
        inline: inline
            .filter_map(|policy| Some((policy.policy_name?, parse(&policy.policy_document?))))
            .collect(),
        managed: managed.filter_map(|policy| policy.policy_arn).collect(),
        path: role.path.unwrap_or_else(root),
        boundary: role.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn),
        tags: tag_map(role.tags.iter().flatten().map(|tag| (Some(tag.key()), Some(tag.value())))),
    })
}

async fn describe(cx: &Cx, name: &str) -> Result<Live, CallError> {
    let (role, names, attached) = futures_util::try_join!(
        async {
            cx.iam.get_role().role_name(name).send().await.read(|answer| {
                let mut role = required(answer.role, "Role")?;
                let trust = required(role.assume_role_policy_document.take(), "AssumeRolePolicyDocument")?;
                Ok((role, trust))
            })
        },
        async {
            let pages = cx.iam.list_role_policies().role_name(name).into_paginator().items().send();
            pages.try_collect().await.call()
        },
        async {
            let pages = cx.iam.list_attached_role_policies().role_name(name).into_paginator().items().send();
            pages.try_collect().await.call()
        }
    )?;
    let (names, attached): (Vec<String>, Vec<AttachedPolicy>) = (names, attached);
    let inline = names.into_iter().map(|policy| async move {
        let answer = cx.iam.get_role_policy().role_name(name).policy_name(&policy).send().await.call()?;
        Ok::<_, CallError>((policy, parse(answer.policy_document())))
    });
    let inline = futures_util::future::try_join_all(inline).await?.into_iter().collect();
    let (role, trust) = role;
    Ok(Live {
        name: name.to_owned(),
        birth: Some(role.role_id),
        arn: role.arn,
        trust: parse(&trust),
        inline,
        managed: attached.into_iter().filter_map(|policy| policy.policy_arn).collect(),
        path: role.path,
        boundary: role.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn),
        tags: tag_map(role.tags.unwrap_or_default().iter().map(|tag| (Some(tag.key()), Some(tag.value())))),
    })
}

async fn remove_inline(cx: &Cx, role: &str, name: &str) -> Result<(), CallError> {
    let call = cx.iam.delete_role_policy().role_name(role).policy_name(name);
    call.send().await.gone_is_done()
}

async fn detach(cx: &Cx, role: &str, arn: &str) -> Result<(), CallError> {
    let call = cx.iam.detach_role_policy().role_name(role).policy_arn(arn);
    call.send().await.gone_is_done()
}
