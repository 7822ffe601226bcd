//! An IAM OIDC provider: lets roles trust the service account tokens that a cluster issues.
//!
//! It is created without a thumbprint, because IAM verifies EKS's issuer with its own certificate
//! authorities.
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html>

use super::prelude::*;
use crate::aws::iam_list;

/// IAM OIDC provider, for roles of service accounts.
pub struct OidcProvider;

/// Desired OIDC provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// URL of the cluster's issuer, `https://oidc.eks.REGION.amazonaws.com/id/ID`.
    pub issuer: In<String>,
    /// Accepted audiences of the tokens, such as `sts.amazonaws.com`. In any order.
    pub clients: Vec<String>,
    /// Wanted tags of the provider: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// OIDC provider as IAM describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// ARN, `arn:aws:iam::ACCOUNT:oidc-provider/` and the issuer without its scheme.
    pub arn: String,
    /// URL of the issuer, with its scheme.
    pub issuer: String,
    /// Accepted audiences, in the order of IAM's answer.
    pub clients: Vec<String>,
    /// When it was created, RFC 3339. No later resource of its name has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<String>,
    /// Tags that the provider has, with those that other programs set.
    pub tags: Tags,
}

/// Field [`Live::arn`].
pub const ARN: Field = Field::new("arn");

impl Desired for Spec {
    const KIND: &'static str = OidcProvider::KIND;
}

impl Resource for OidcProvider {
    const INFO: KindInfo = KindInfo {
        name: "oidc_provider",
        identity: Identity::Name,
        supplies: &[ARN],
        birth_mark: Some("birth"),
        iam: &[(
            IamScope::ISSUERS,
            &[
                "iam:GetOpenIDConnectProvider",
                "iam:CreateOpenIDConnectProvider",
                "iam:AddClientIDToOpenIDConnectProvider",
                "iam:RemoveClientIDFromOpenIDConnectProvider",
                "iam:TagOpenIDConnectProvider",
                "iam:UntagOpenIDConnectProvider",
                "iam:DeleteOpenIDConnectProvider",
            ],
        )],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("issuer", &want.issuer, &live.issuer)
            .mutable("clients", &sorted_set(&want.clients), &sorted_set(&live.clients))
            .mutable("tags", &want.tags, &live.tags)
    }
}

impl Lifecycle for OidcProvider {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let arn = |asked: &TypedLookup<Self>| -> Option<String> {
            let recorded = asked.recorded.as_ref().map(|last| last.arn.clone());
            let issuer = asked.want.as_ref().and_then(|want| want.issuer.known());
            recorded.or_else(|| Some(provider_arn(cx, issuer?)))
        };
        describe_each(asked, arn, async |arn| describe(cx, arn).await).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .iam
            .create_open_id_connect_provider()
            .url(resolved(&want.issuer, "issuer")?)
            .set_client_id_list(Some(want.clients.clone()))
            .set_tags(Some(iam_list(&tagged(&want.tags, intent))?));
        let call = call.customize().config_override(single_shot!(aws_sdk_iam, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        for client in want.clients.iter().filter(|client| !live.clients.contains(client)) {
            let call = cx.iam.add_client_id_to_open_id_connect_provider();
            let call = call.open_id_connect_provider_arn(&live.arn).client_id(client);
            call.send().await.call()?;
        }
        for client in live.clients.iter().filter(|client| !want.clients.contains(client)) {
            let call = cx.iam.remove_client_id_from_open_id_connect_provider();
            let call = call.open_id_connect_provider_arn(&live.arn).client_id(client);
            call.send().await.gone_is_done()?;
        }
        retag(cx, TagTarget::OidcProvider(&live.arn), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let call = cx.iam.delete_open_id_connect_provider().open_id_connect_provider_arn(&live.arn);
        call.send().await.gone_is_done()
    }
}

async fn describe(cx: &Cx, arn: String) -> Result<Option<Live>, CallError> {
    let call = cx.iam.get_open_id_connect_provider().open_id_connect_provider_arn(&arn).send().await;
    call.read_if_found(|answer| {
        let url = required(answer.url, "Url")?;
        Ok(Live {
            issuer: format!("https://{}", issuer_host(&url)),
            birth: answer.create_date.map(|at| at.to_string()),
            clients: answer.client_id_list.unwrap_or_default(),
            tags: tag_map(answer.tags.iter().flatten().map(|tag| (Some(tag.key()), Some(tag.value())))),
            arn,
        })
    })
}

/// Returns the issuer without its scheme, as IAM names the provider.
fn issuer_host(issuer: &str) -> &str {
    issuer.strip_prefix("https://").unwrap_or(issuer)
}

fn provider_arn(cx: &Cx, issuer: &str) -> String {
    format!("arn:{}:iam::{}:oidc-provider/{}", cx.partition(), cx.account, issuer_host(issuer))
}
