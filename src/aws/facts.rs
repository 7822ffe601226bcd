//! Lookups of what AWS offers (versions, add-ons, images) and of the caller's identity and address.

use super::{Call, CallerIdentity, Clients, required};
use crate::model::{CallError, ErrorKind, partition};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use std::{collections::BTreeMap, net::IpAddr};

/// A version of an add-on that is compatible with a Kubernetes minor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddonVersion {
    /// The version, `v1.20.4-eksbuild.2`.
    pub version: String,
    /// Whether EKS uses it if no version is given.
    pub default: bool,
}

/// Returns the Kubernetes minor of a cluster; `None` if the cluster does not exist.
pub async fn cluster_version(clients: &Clients, name: &str) -> Result<Option<String>, CallError> {
    let answer = clients.eks.describe_cluster().name(name).send().await;
    answer.read_if_found(|answer| required(answer.cluster.and_then(|cluster| cluster.version), "version"))
}

/// Lists the add-ons for a minor, each with its versions in EKS's order.
pub async fn addon_versions(
    clients: &Clients,
    minor: &str,
) -> Result<BTreeMap<String, Vec<AddonVersion>>, CallError> {
    let pages =
        clients.eks.describe_addon_versions().kubernetes_version(minor).into_paginator().items().send();
    let list: Vec<_> = pages.try_collect().await.call()?;
    let versions = |info: aws_sdk_eks::types::AddonInfo| {
        let versions = info.addon_versions.unwrap_or_default().into_iter().filter_map(|version| {
            let fits = |it: &&aws_sdk_eks::types::Compatibility| it.cluster_version() == Some(minor);
            let default = version.compatibilities().iter().find(fits).map(|it| it.default_version)?;
            Some(AddonVersion { version: version.addon_version?, default })
        });
        Some((info.addon_name?, versions.collect()))
    };
    Ok(list.into_iter().filter_map(versions).collect())
}

/// Returns the JSON Schema of an add-on's configuration.
pub async fn addon_schema(
    clients: &Clients,
    addon: &str,
    version: &str,
) -> Result<serde_json::Value, CallError> {
    let call = clients.eks.describe_addon_configuration().addon_name(addon).addon_version(version);
    let text =
        call.send().await.read(|answer| required(answer.configuration_schema, "configurationSchema"))?;
    serde_json::from_str(&text).map_err(|error| {
        CallError::new(
            ErrorKind::Other,
            format!("{addon} {version}: invalid configuration schema from EKS: {error}"),
        )
    })
}

/// Returns the newest Bottlerocket release for a minor on each of `architectures` (`x86_64`, `arm64`).
/// Source: <https://bottlerocket.dev/en/os/latest/install/quickstart/aws/kubernetes/>
pub async fn bottlerocket_releases(
    clients: &Clients,
    minor: &str,
    architectures: &[&str],
) -> Result<BTreeMap<String, String>, CallError> {
    let name = |arch: &str| format!("/aws/service/bottlerocket/aws-k8s-{minor}/{arch}/latest/image_version");
    let names: Vec<String> = architectures.iter().map(|arch| name(arch)).collect();
    let answer = clients.ssm.get_parameters().set_names(Some(names)).send().await.call()?;
    let there = answer.parameters.unwrap_or_default();
    let mut releases = BTreeMap::new();
    for arch in architectures {
        let found = there.iter().find(|it| it.name() == Some(name(arch).as_str()));
        let release = found.and_then(|it| it.value()).ok_or_else(|| {
            let text = format!("no Bottlerocket image found for Kubernetes {minor} on {arch} in this region");
            CallError::new(ErrorKind::Refused, text)
                .hint("choose another `cluster.version` or another `arch`")
        })?;
        releases.insert((*arch).to_owned(), release.to_owned());
    }
    Ok(releases)
}

/// How the names of the roles of IAM Identity Center begin.
const SSO_ROLE: &str = "AWSReservedSSO_";

/// Returns the ARN of the caller's IAM role or user, as an access entry takes it; `None` for the account's root
/// user.
///
/// An assumed role's ARN does not contain the role's path, so the role is looked up in IAM.
pub async fn principal(
    clients: &Clients,
    identity: &CallerIdentity,
    region: &str,
) -> Result<Option<String>, CallError> {
    let rest = identity.arn.splitn(6, ':').nth(5).unwrap_or_default();
    let Some(session) = rest.strip_prefix("assumed-role/") else {
        return Ok(rest.starts_with("user/").then(|| identity.arn.clone()));
    };
    let name = session.split('/').next().unwrap_or_default();
    match clients.iam.get_role().role_name(name).send().await.call() {
        Ok(answer) => Ok(answer.role.map(|role| role.arn)),
        // The role has a path, which differs between regions, and EKS takes no principal without it.
        // Source: <https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html>
        Err(error) if error.class == ErrorKind::Denied && name.starts_with(SSO_ROLE) => Err(error.hint(format!(
            "grant `iam:GetRole` on role/aws-reserved/sso.amazonaws.com/* to this caller: the path of {name}, which EKS \
             needs, is not in the session's ARN"
        ))),
        // Not every caller is allowed `iam:GetRole`, and most other roles have no path.
        Err(error) if matches!(error.class, ErrorKind::Denied | ErrorKind::Gone) => {
            Ok(Some(format!("arn:{}:iam::{}:role/{name}", partition(region), identity.account)))
        }
        Err(error) => Err(error),
    }
}

/// Returns the public address of this machine, as AWS's own address service sees it.
pub async fn public_address() -> Result<IpAddr, CallError> {
    let unknown = |why: String| {
        CallError::new(
            ErrorKind::Other,
            format!("cannot get this machine's public address from https://checkip.amazonaws.com: {why}"),
        )
        .hint("set `PROVISIONER_MYIP` to the address, or list CIDR blocks in `cluster.endpoint.publicCidrs`")
    };
    let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build();
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri("https://checkip.amazonaws.com/").map_err(|error| unknown(error.to_string()))?;
    let answer = connector.call(request).await.map_err(|error| unknown(error.to_string()))?;
    let body =
        ByteStream::new(answer.into_body()).collect().await.map_err(|error| unknown(error.to_string()))?;
    let text = String::from_utf8_lossy(&body.into_bytes()).trim().to_owned();
    text.parse()
        .map_err(|_| unknown(format!("unexpected answer `{}`", text.chars().take(60).collect::<String>())))
}
