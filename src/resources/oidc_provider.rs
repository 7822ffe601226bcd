//! IAM's trust in a cluster's issuer of service account tokens, without a thumbprint: IAM checks EKS's issuer by its
//! own authorities.
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html>

use super::{Asked, Found, Lifecycle, handler::given};
use crate::{
    aws::{Call, Cx, Tags, gone_is_done, once, tag_map, tagged},
    model::{Changes, Class, Desired, Fault, Identity, In, Intent, Ready, Resource, same_set},
};
use aws_sdk_iam::types::Tag;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct OidcProvider;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The issuer's URL.
    pub issuer: In<String>,
    /// Audiences of tokens.
    pub clients: Vec<String>,
    /// Tags.
    pub tags: Tags,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The ARN.
    pub arn: String,
    /// See [`Spec::issuer`].
    pub issuer: String,
    /// See [`Spec::clients`].
    pub clients: Vec<String>,
    /// Tags.
    pub tags: Tags,
}

impl Desired for Spec {
    const KIND: &'static str = OidcProvider::KIND;
}

impl Resource for OidcProvider {
    const KIND: &'static str = "oidc_provider";
    const IAM: &'static [&'static str] = &[
        "iam:GetOpenIDConnectProvider",
        "iam:CreateOpenIDConnectProvider",
        "iam:AddClientIDToOpenIDConnectProvider",
        "iam:RemoveClientIDFromOpenIDConnectProvider",
        "iam:TagOpenIDConnectProvider",
        "iam:UntagOpenIDConnectProvider",
        "iam:DeleteOpenIDConnectProvider",
    ];
    const IDENTITY: Identity = Identity::Name;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("issuer", &want.issuer, &live.issuer)
            .mutable("clients", &same_set(&want.clients), &same_set(&live.clients))
            .mutable("tags", &want.tags, &live.tags)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for OidcProvider {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let mut found = Vec::new();
        for asked in asked {
            let wanted =
                asked.want.as_ref().and_then(|want| want.issuer.known()).map(|issuer| arn(cx, issuer));
            let Some(arn) = asked.last.as_ref().map(|last| last.arn.clone()).or(wanted) else { continue };
            let call = cx.iam.get_open_id_connect_provider().open_id_connect_provider_arn(&arn);
            match call.send().await.call("iam", "GetOpenIDConnectProvider") {
                Err(fault) if fault.class == Class::Gone => {}
                answer => {
                    let answer = answer?;
                    let live = Live {
                        issuer: format!("https://{}", host(answer.url.as_deref().unwrap_or_default())),
                        clients: answer.client_id_list.unwrap_or_default(),
                        tags: tag_map(
                            answer.tags.iter().flatten().map(|tag| (Some(tag.key()), Some(tag.value()))),
                        ),
                        arn,
                    };
                    found.push(Found { address: asked.address.clone(), live });
                }
            }
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let tags = tagged(&want.tags, intent).into_iter().map(|(key, value)| iam_tag(&key, &value));
        let call = cx
            .iam
            .create_open_id_connect_provider()
            .url(given(&want.issuer, "issuer")?)
            .set_client_id_list(Some(want.clients.clone()))
            .set_tags(Some(tags.collect::<Result<_, _>>()?));
        let call = call.customize().config_override(once!(aws_sdk_iam, intent));
        call.send().await.call("iam", "CreateOpenIDConnectProvider")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        for client in want.clients.iter().filter(|client| !live.clients.contains(client)) {
            let call = cx.iam.add_client_id_to_open_id_connect_provider();
            let call = call.open_id_connect_provider_arn(&live.arn).client_id(client);
            call.send().await.call("iam", "AddClientIDToOpenIDConnectProvider")?;
        }
        for client in live.clients.iter().filter(|client| !want.clients.contains(client)) {
            let call = cx.iam.remove_client_id_from_open_id_connect_provider();
            let call = call.open_id_connect_provider_arn(&live.arn).client_id(client);
            gone_is_done(call.send().await.call("iam", "RemoveClientIDFromOpenIDConnectProvider"))?;
        }
        let new = want.tags.iter().filter(|(key, value)| live.tags.get(*key) != Some(value));
        let new: Vec<Tag> = new.map(|(key, value)| iam_tag(key, value)).collect::<Result<_, _>>()?;
        if !new.is_empty() {
            let call = cx.iam.tag_open_id_connect_provider().open_id_connect_provider_arn(&live.arn);
            call.set_tags(Some(new)).send().await.call("iam", "TagOpenIDConnectProvider")?;
        }
        let old: Vec<String> =
            live.tags.keys().filter(|key| !want.tags.contains_key(*key)).cloned().collect();
        if !old.is_empty() {
            let call = cx.iam.untag_open_id_connect_provider().open_id_connect_provider_arn(&live.arn);
            call.set_tag_keys(Some(old)).send().await.call("iam", "UntagOpenIDConnectProvider")?;
        }
        Ok(())
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        let call = cx.iam.delete_open_id_connect_provider().open_id_connect_provider_arn(&live.arn);
        gone_is_done(call.send().await.call("iam", "DeleteOpenIDConnectProvider"))
    }
}

/// The issuer without its scheme, as IAM names the provider.
fn host(issuer: &str) -> &str {
    issuer.strip_prefix("https://").unwrap_or(issuer)
}

fn arn(cx: &Cx, issuer: &str) -> String {
    format!("arn:{}:iam::{}:oidc-provider/{}", cx.partition(), cx.account, host(issuer))
}

fn iam_tag(key: &str, value: &str) -> Result<Tag, Fault> {
    Tag::builder().key(key).value(value).build().map_err(|error| Fault::bug(error.to_string()))
}
