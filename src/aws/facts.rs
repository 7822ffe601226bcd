//! Questions about what AWS offers: versions, add-ons, images; and about who and where the caller is.

use super::{Call, Clients, Identity};
use crate::model::{Class, Fault, partition};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use std::{collections::BTreeMap, net::IpAddr};

/// A version of an add-on that fits a Kubernetes minor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddonVersion {
    /// `v1.20.4-eksbuild.2`
    pub version: String,
    /// Whether EKS takes it where nobody names one.
    pub default: bool,
}

/// The Kubernetes minors that EKS offers, newest first.
pub async fn kubernetes_versions(clients: &Clients) -> Result<Vec<String>, Fault> {
    let pages = clients.eks.describe_cluster_versions().into_paginator().items().send();
    let versions: Vec<_> = pages.try_collect().await.call("eks", "DescribeClusterVersions")?;
    Ok(versions.into_iter().filter_map(|version| version.cluster_version).collect())
}

/// The Kubernetes minor that a cluster runs; none where there is no such cluster.
pub async fn cluster_version(clients: &Clients, name: &str) -> Result<Option<String>, Fault> {
    match clients.eks.describe_cluster().name(name).send().await.call("eks", "DescribeCluster") {
        Err(fault) if fault.class == Class::Gone => Ok(None),
        answer => Ok(answer?.cluster.and_then(|cluster| cluster.version)),
    }
}

/// The add-ons for a minor, each with its versions as EKS lists them.
pub async fn addon_versions(
    clients: &Clients,
    minor: &str,
) -> Result<BTreeMap<String, Vec<AddonVersion>>, Fault> {
    let pages =
        clients.eks.describe_addon_versions().kubernetes_version(minor).into_paginator().items().send();
    let list: Vec<_> = pages.try_collect().await.call("eks", "DescribeAddonVersions")?;
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

/// The JSON Schema of an add-on's configuration.
pub async fn addon_schema(clients: &Clients, addon: &str, version: &str) -> Result<serde_json::Value, Fault> {
    let call = clients.eks.describe_addon_configuration().addon_name(addon).addon_version(version);
    let answer = call.send().await.call("eks", "DescribeAddonConfiguration")?;
    let text = answer.configuration_schema.unwrap_or_default();
    serde_json::from_str(&text).map_err(|error| {
        Fault::new(Class::Other, format!("the schema of {addon} {version} cannot be read: {error}"))
    })
}

/// The newest Bottlerocket release for a minor on each of `architectures` (`x86_64`, `arm64`).
/// Source: <https://bottlerocket.dev/en/os/latest/install/quickstart/aws/kubernetes/>
pub async fn bottlerocket_releases(
    clients: &Clients,
    minor: &str,
    architectures: &[&str],
) -> Result<BTreeMap<String, String>, Fault> {
    let name = |arch: &str| format!("/aws/service/bottlerocket/aws-k8s-{minor}/{arch}/latest/image_version");
    let names: Vec<String> = architectures.iter().map(|arch| name(arch)).collect();
    let answer =
        clients.ssm.get_parameters().set_names(Some(names)).send().await.call("ssm", "GetParameters")?;
    let there = answer.parameters.unwrap_or_default();
    let mut releases = BTreeMap::new();
    for arch in architectures {
        let found = there.iter().find(|it| it.name() == Some(name(arch).as_str()));
        let release = found.and_then(|it| it.value()).ok_or_else(|| {
            let text =
                format!("AWS has no Bottlerocket image for Kubernetes {minor} on {arch} in this region");
            Fault::new(Class::Refused, text).hint("take another `cluster.version`, or another `arch`")
        })?;
        releases.insert((*arch).to_owned(), release.to_owned());
    }
    Ok(releases)
}

/// The caller's IAM role or user, by the ARN that an access entry takes; none for the account's root.
///
/// An assumed role's ARN does not hold the role's path, so IAM is asked for it.
pub async fn principal(
    clients: &Clients,
    identity: &Identity,
    region: &str,
) -> Result<Option<String>, Fault> {
    let rest = identity.arn.splitn(6, ':').nth(5).unwrap_or_default();
    let Some(session) = rest.strip_prefix("assumed-role/") else {
        return Ok(rest.starts_with("user/").then(|| identity.arn.clone()));
    };
    let name = session.split('/').next().unwrap_or_default();
    match clients.iam.get_role().role_name(name).send().await.call("iam", "GetRole") {
        Ok(answer) => Ok(answer.role.map(|role| role.arn)),
        // Not everybody may ask; most roles have no path.
        Err(fault) if matches!(fault.class, Class::Denied | Class::Gone) => {
            Ok(Some(format!("arn:{}:iam::{}:role/{name}", partition(region), identity.account)))
        }
        Err(fault) => Err(fault),
    }
}

/// The address under which the caller reaches the internet, as AWS's own service sees it.
pub async fn public_address() -> Result<IpAddr, Fault> {
    let unknown = |why: String| {
        Fault::new(
            Class::Other,
            format!("https://checkip.amazonaws.com does not tell this machine's address: {why}"),
        )
        .hint("set PROVISIONER_MYIP to it, or name blocks in `cluster.endpoint.publicCidrs`")
    };
    let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build();
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri("https://checkip.amazonaws.com/").map_err(|error| unknown(error.to_string()))?;
    let answer = connector.call(request).await.map_err(|error| unknown(error.to_string()))?;
    let body =
        ByteStream::new(answer.into_body()).collect().await.map_err(|error| unknown(error.to_string()))?;
    let text = String::from_utf8_lossy(&body.into_bytes()).trim().to_owned();
    text.parse().map_err(|_| unknown(format!("it answered `{}`", text.chars().take(60).collect::<String>())))
}
