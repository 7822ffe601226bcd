//! The credentials that other programs use for the cluster: a kubeconfig file and tokens.

use super::{OperationError, Operator, TargetEndpoint, Workspace};
use crate::{
    aws::{AssumedRole, cluster_endpoint},
    graph::cluster_name,
    kube::{self, ClusterToken, Exec, KubeconfigEntry, merge, write},
    stack::Stack,
};
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The program that kubectl starts for a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenCommand {
    /// The program: a path, or a name that `PATH` finds.
    pub program: String,
    /// Its arguments after those that name the cluster and its region.
    pub options: Vec<String>,
    /// Names and values of its environment variables.
    pub env: Vec<(String, String)>,
}

/// What was written to a kubeconfig file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenContext {
    /// The file.
    pub path: PathBuf,
    /// The name of the context.
    pub context: String,
    /// The URL of the API server.
    pub server: String,
}

/// Merges the cluster into a kubeconfig file. The context is named after the stack unless `context` names it, and becomes
/// the current one with `current`.
pub async fn write_kubeconfig(
    workspace: &Workspace,
    path: &Path,
    context: Option<String>,
    current: bool,
    token: TokenCommand,
) -> Result<WrittenContext, OperationError> {
    let stack = &workspace.stack;
    let name = cluster_name(stack);
    let Some(there) = cluster_endpoint(&workspace.target.clients, &name).await? else {
        let message =
            format!("cluster `{name}` does not exist or is not ready yet in {}", workspace.region());
        return Err(OperationError::refused(
            message,
            "run `provisioner up` to create it, or `provisioner status` to see its progress",
        ));
    };
    let named = ["token", "--cluster", &name, "--region", &stack.region].map(str::to_owned);
    let role = stack.role_arn.iter().flat_map(|arn| ["--role-arn".to_owned(), arn.clone()]);
    let id = stack.external_id.iter().flat_map(|id| ["--external-id".to_owned(), id.clone()]);
    let exec = Exec {
        command: token.program,
        args: named.into_iter().chain(role).chain(id).chain(token.options).collect(),
        env: token.env,
    };
    let entry = KubeconfigEntry {
        name: there.arn,
        context: context.unwrap_or_else(|| stack.name.clone()),
        server: there.endpoint,
        ca: there.ca,
        exec,
        namespace: common_namespace(stack),
    };
    let path = write(path, |old| merge(old, &entry, current))?;
    Ok(WrittenContext { path, context: entry.context, server: entry.server })
}

/// Returns the namespace of the applications, if it is the same for all.
fn common_namespace(stack: &Stack) -> Option<String> {
    let (first, others) = stack.apps.split_first()?;
    others.iter().all(|app| app.namespace == first.namespace).then(|| first.namespace.clone())
}

/// Returns a token for a cluster, for the caller at an endpoint, or for a role that the caller assumes.
pub async fn cluster_token(
    endpoint: &TargetEndpoint,
    region: &str,
    cluster: &str,
    role: Option<AssumedRole>,
    operator: &dyn Operator,
) -> Result<ClusterToken, OperationError> {
    let credentials = endpoint.connect(region, role, operator).await?.credentials().await?;
    Ok(kube::token(&credentials, region, cluster, SystemTime::now())?)
}

/// Returns the name of a stack's cluster.
pub fn name_of_cluster(stack: &Stack) -> String {
    cluster_name(stack)
}
