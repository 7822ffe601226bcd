//! An IAM role with its trust, inline policies and attached managed policies.
//!
//! IAM is global: the name holds the region, so that stacks of one name in two regions do not meet.

use super::{Asked, Found, Lifecycle};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, normal, once, parse, tag_map, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, same_set},
};
use aws_sdk_iam::types::{EntityType, Tag};
use serde::{Deserialize, Serialize};
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
    /// Tags.
    pub tags: Tags,
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
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = IamRole::KIND;
}

impl Resource for IamRole {
    const KIND: &'static str = "iam_role";
    const IAM: &'static [&'static str] = &[
        "iam:GetAccountAuthorizationDetails",
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListRolePolicies",
        "iam:ListAttachedRolePolicies",
        "iam:CreateRole",
        "iam:TagRole",
        "iam:UntagRole",
        "iam:UpdateAssumeRolePolicy",
        "iam:PutRolePolicy",
        "iam:DeleteRolePolicy",
        "iam:AttachRolePolicy",
        "iam:DetachRolePolicy",
        "iam:DeleteRole",
    ];
    const IDENTITY: Identity = Identity::Name;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        let inline: BTreeMap<&String, Value> =
            want.inline.iter().map(|(name, policy)| (name, normal(policy))).collect();
        Changes::default()
            .fixed("name", &want.name, &live.name)
            .mutable("trust", &trust(want), &live.trust)
            .mutable("inline", &inline, &live.inline)
            .mutable("managed", &same_set(&want.managed), &same_set(&live.managed))
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
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
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        if asked.len() > ONE_BY_ONE {
            return all_of(cx, asked).await;
        }
        let looks = asked.iter().filter_map(|asked| {
            let name = name_of(asked)?;
            Some(async move {
                match look(cx, name).await {
                    Err(fault) if fault.class == Class::Gone => Ok(None),
                    live => Ok::<_, Fault>(Some(Found { address: asked.address.clone(), live: live? })),
                }
            })
        });
        Ok(futures_util::future::try_join_all(looks).await?.into_iter().flatten().collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let tags = tagged(&want.tags, intent).into_iter().map(|(key, value)| iam_tag(&key, &value));
        let call = cx
            .iam
            .create_role()
            .role_name(&want.name)
            .description(&want.description)
            .assume_role_policy_document(trust(want).to_string())
            .set_tags(Some(tags.collect::<Result<_, _>>()?));
        call.customize()
            .config_override(once!(aws_sdk_iam, intent))
            .send()
            .await
            .call("iam", "CreateRole")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let role = &live.name;
        let trust = trust(want);
        if trust != live.trust {
            let call = cx.iam.update_assume_role_policy().role_name(role).policy_document(trust.to_string());
            call.send().await.call("iam", "UpdateAssumeRolePolicy")?;
        }
        for (name, policy) in &want.inline {
            if live.inline.get(name) != Some(&normal(policy)) {
                let call = cx
                    .iam
                    .put_role_policy()
                    .role_name(role)
                    .policy_name(name)
                    .policy_document(policy.to_string());
                call.send().await.call("iam", "PutRolePolicy")?;
            }
        }
        for name in live.inline.keys().filter(|name| !want.inline.contains_key(*name)) {
            remove_inline(cx, role, name).await?;
        }
        for arn in want.managed.iter().filter(|arn| !live.managed.contains(arn)) {
            let call = cx.iam.attach_role_policy().role_name(role).policy_arn(arn);
            call.send().await.call("iam", "AttachRolePolicy")?;
        }
        for arn in live.managed.iter().filter(|arn| !want.managed.contains(arn)) {
            detach(cx, role, arn).await?;
        }
        retag(cx, &want.tags, live).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        for name in live.inline.keys() {
            remove_inline(cx, &live.name, name).await?;
        }
        for arn in &live.managed {
            detach(cx, &live.name, arn).await?;
        }
        gone_is_done(cx.iam.delete_role().role_name(&live.name).send().await.call("iam", "DeleteRole"))
    }
}

fn name_of(asked: &Asked<IamRole>) -> Option<&String> {
    asked.last.as_ref().map(|last| &last.name).or(asked.want.as_ref().map(|want| &want.name))
}

async fn all_of(cx: &Cx, asked: &[Asked<IamRole>]) -> Result<Vec<Found<Live>>, Fault> {
    let call = cx.iam.get_account_authorization_details().filter(EntityType::Role).max_items(1000);
    let pages: Vec<_> =
        call.into_paginator().send().try_collect().await.call("iam", "GetAccountAuthorizationDetails")?;
    let roles = pages.into_iter().flat_map(|page| page.role_detail_list.unwrap_or_default());
    let found = roles.filter_map(|role| {
        let asked = asked.iter().find(|asked| name_of(asked) == role.role_name.as_ref())?;
        let inline = role.role_policy_list.unwrap_or_default().into_iter();
        let managed = role.attached_managed_policies.unwrap_or_default().into_iter();
        let live = Live {
            name: role.role_name.unwrap_or_default(),
            arn: role.arn.unwrap_or_default(),
            trust: role.assume_role_policy_document.as_deref().map(parse).unwrap_or_default(),
            inline: inline
                .filter_map(|policy| Some((policy.policy_name?, parse(&policy.policy_document?))))
                .collect(),
            managed: managed.filter_map(|policy| policy.policy_arn).collect(),
            tags: tag_map(role.tags.iter().flatten().map(|tag| (Some(tag.key()), Some(tag.value())))),
        };
        Some(Found { address: asked.address.clone(), live })
    });
    Ok(found.collect())
}

async fn look(cx: &Cx, name: &str) -> Result<Live, Fault> {
    let (role, names, attached) = futures_util::try_join!(
        async { cx.iam.get_role().role_name(name).send().await.call("iam", "GetRole") },
        async {
            let pages = cx.iam.list_role_policies().role_name(name).into_paginator().items().send();
            pages.try_collect().await.call("iam", "ListRolePolicies")
        },
        async {
            let pages = cx.iam.list_attached_role_policies().role_name(name).into_paginator().items().send();
            pages.try_collect().await.call("iam", "ListAttachedRolePolicies")
        }
    )?;
    let (names, attached): (Vec<String>, Vec<aws_sdk_iam::types::AttachedPolicy>) = (names, attached);
    let inline = names.into_iter().map(|policy| async move {
        let call = cx.iam.get_role_policy().role_name(name).policy_name(&policy);
        let answer = call.send().await.call("iam", "GetRolePolicy")?;
        Ok::<_, Fault>((policy, parse(answer.policy_document())))
    });
    let inline = futures_util::future::try_join_all(inline).await?.into_iter().collect();
    let role = role.role.ok_or_else(|| Fault::new(Class::Gone, "iam:GetRole answered without a role"))?;
    Ok(Live {
        name: name.to_owned(),
        arn: role.arn,
        trust: role.assume_role_policy_document.as_deref().map(parse).unwrap_or_default(),
        inline,
        managed: attached.into_iter().filter_map(|policy| policy.policy_arn).collect(),
        tags: tag_map(role.tags.unwrap_or_default().iter().map(|tag| (Some(tag.key()), Some(tag.value())))),
    })
}

async fn remove_inline(cx: &Cx, role: &str, name: &str) -> Result<(), Fault> {
    let call = cx.iam.delete_role_policy().role_name(role).policy_name(name);
    gone_is_done(call.send().await.call("iam", "DeleteRolePolicy"))
}

async fn detach(cx: &Cx, role: &str, arn: &str) -> Result<(), Fault> {
    let call = cx.iam.detach_role_policy().role_name(role).policy_arn(arn);
    gone_is_done(call.send().await.call("iam", "DetachRolePolicy"))
}

async fn retag(cx: &Cx, want: &Tags, live: &Live) -> Result<(), Fault> {
    let new: Vec<Tag> = want
        .iter()
        .filter(|(key, value)| live.tags.get(*key) != Some(value))
        .map(|(key, value)| iam_tag(key, value))
        .collect::<Result<_, _>>()?;
    if !new.is_empty() {
        cx.iam.tag_role().role_name(&live.name).set_tags(Some(new)).send().await.call("iam", "TagRole")?;
    }
    let old: Vec<String> = live.tags.keys().filter(|key| !want.contains_key(*key)).cloned().collect();
    if !old.is_empty() {
        let call = cx.iam.untag_role().role_name(&live.name).set_tag_keys(Some(old));
        call.send().await.call("iam", "UntagRole")?;
    }
    Ok(())
}

fn iam_tag(key: &str, value: &str) -> Result<Tag, Fault> {
    Tag::builder().key(key).value(value).build().map_err(|error| Fault::bug(error.to_string()))
}
