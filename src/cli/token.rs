//! `token`: the credential that kubectl's exec plugin asks for.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::{endpoint, read_stack},
    terminal::Terminal,
};
use crate::{
    operations::{AssumedRole, cluster_token, name_of_cluster, role_of},
    ui::Ui,
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Print a cluster token for kubectl
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// Name of the cluster [default: the cluster of the stack file]
    #[arg(long, value_name = "NAME", requires = "region")]
    pub cluster: Option<String>,
    /// Region of the cluster
    #[arg(long, value_name = "REGION", requires = "cluster")]
    pub region: Option<String>,
    /// Role to assume for the token
    #[arg(long, value_name = "ARN", requires = "cluster")]
    pub role_arn: Option<String>,
    /// External ID that the role asks for
    #[arg(long, value_name = "ID", requires = "role_arn")]
    pub external_id: Option<String>,
}

/// Prints a token for the cluster as an `ExecCredential`.
pub async fn run(global: &Global, args: &TokenArgs, ui: Ui) -> Result<Exit, CommandError> {
    let (cluster, region, role) = if let (Some(cluster), Some(region)) = (&args.cluster, &args.region) {
        let role = args.role_arn.clone().map(|arn| AssumedRole {
            arn,
            external_id: args.external_id.clone(),
            session: "provisioner-token".to_owned(),
        });
        (cluster.clone(), region.clone(), role)
    } else {
        let stack = read_stack(global)?;
        (name_of_cluster(&stack), stack.region.clone(), role_of(&stack))
    };
    let terminal = Terminal::new(global, ui);
    let token = cluster_token(&endpoint(global, ui)?, &region, &cluster, role, terminal.as_ref()).await?;
    let until = OffsetDateTime::from(token.until);
    let until = until.replace_nanosecond(0).unwrap_or(until).format(&Rfc3339).unwrap_or_default();
    ui.document(
        &json!({
            "apiVersion": wanted(std::env::var("KUBERNETES_EXEC_INFO").ok().as_deref()),
            "kind": "ExecCredential",
            "spec": {},
            "status": {"expirationTimestamp": until, "token": token.text},
        })
        .to_string(),
    );
    Ok(Exit::Done)
}

/// Returns the API version of the answer: the one that the caller names, else the stable one.
///
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#input-and-output-formats>
fn wanted(info: Option<&str>) -> String {
    let asked = info.and_then(|info| serde_json::from_str::<Value>(info).ok());
    let version = asked.as_ref().and_then(|info| info.get("apiVersion")?.as_str());
    version
        .filter(|version| version.starts_with("client.authentication.k8s.io/v1"))
        .unwrap_or("client.authentication.k8s.io/v1")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn the_answer_has_the_version_that_was_asked_for() {
        let beta = r#"{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential"}"#;
        assert_eq!(wanted(Some(beta)), "client.authentication.k8s.io/v1beta1");
        for other in [None, Some(""), Some("{}"), Some(r#"{"apiVersion":"v1"}"#)] {
            assert_eq!(wanted(other), "client.authentication.k8s.io/v1");
        }
    }
}
