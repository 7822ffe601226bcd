//! Checks a stack file and the folders that it names, without credentials and without a network, and returns its graph.

use super::{OperationError, facts, supposed_facts::supposed_facts};
use crate::{
    graph::{Context, graph},
    model::{Graph, counted},
    stack::{Stack, Zones},
};
use std::path::Path;

/// What a valid stack file declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackParts {
    /// The parts, for people: `network in 3 zones`, `cluster`, `1 node group`.
    pub parts: Vec<String>,
    /// What has no effect, as sentences.
    pub warnings: Vec<String>,
}

/// Checks the folders that the stack file names, and returns what the file declares. `project` is the folder of the file.
///
/// # Errors
/// A folder that does not exist, a Dockerfile that cannot be built, a manifest that cannot be rendered.
pub async fn validate(stack: &Stack, project: &Path) -> Result<StackParts, OperationError> {
    let context = local_context(stack, project).await?;
    let warnings = context.unused.iter().map(|(field, folder)| unused_field(field, folder)).collect();
    Ok(StackParts { parts: parts(stack), warnings })
}

/// Returns the resources that the file declares. Zones that the file does not name are supposed to be the first letters of
/// the alphabet, and the caller is a role of that name. `project` is the folder of the file.
///
/// # Errors
/// As [`validate`].
pub async fn declared_graph(stack: &Stack, project: &Path) -> Result<Graph, OperationError> {
    let context = local_context(stack, project).await?;
    Ok(graph(stack, &context)?)
}

async fn local_context(stack: &Stack, project: &Path) -> Result<Context, OperationError> {
    let account = stack.account.clone().unwrap_or_else(|| UNKNOWN_ACCOUNT.to_owned());
    let mut context = supposed_facts(stack, &account);
    facts::add_folders(stack, project, &mut context).await?;
    Ok(context)
}

/// Stands for the ID of an account that the file does not name.
const UNKNOWN_ACCOUNT: &str = "000000000000";

/// Returns the warning about a field that no manifest in its folder uses.
pub fn unused_field(field: &str, folder: &str) -> String {
    format!(
        "{field} is set, but no file in {folder}/ uses it, so it has no effect; see the variables in manifests/README.md"
    )
}

fn parts(stack: &Stack) -> Vec<String> {
    let mut parts = Vec::new();
    match &stack.network {
        Some(network) if network.existing.is_some() => parts.push("existing network".to_owned()),
        Some(network) => {
            let zones = match &network.zones {
                Zones::Count(count) => usize::from(*count),
                Zones::Names(names) => names.len(),
            };
            parts.push(format!("network in {}", counted(zones, "zone")));
        }
        None => {}
    }
    if let Some(cluster) = &stack.cluster {
        let mode = if stack.node_pools().is_some() { " in Auto Mode" } else { "" };
        let version = cluster.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        parts.push(format!("cluster{version}{mode}"));
    }
    let lists = [
        (stack.node_groups.len(), "node group"),
        (stack.fargate_profiles.len(), "Fargate profile"),
        (stack.service_accounts.len(), "service account"),
        (stack.parameters.len(), "parameter"),
    ];
    parts.extend(lists.into_iter().filter(|(count, _)| *count > 0).map(|(count, one)| counted(count, one)));
    match stack.repositories.len() {
        0 => {}
        1 => parts.push("1 repository".to_owned()),
        count => parts.push(format!("{count} repositories")),
    }
    if stack.fargate_only {
        parts.push("all pods on Fargate".to_owned());
    }
    match stack.apps.len() {
        0 => {}
        1 => parts.push("application".to_owned()),
        count => parts.push(format!("{count} applications")),
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts_of(text: &str) -> String {
        let text = format!("name: shop\nregion: eu-central-1\n{text}");
        parts(&crate::stack::load("stack.yaml", text.as_bytes(), &|_| None).unwrap()).join(", ")
    }

    #[test]
    fn the_parts_are_those_that_the_file_declares() {
        assert_eq!(parts_of(""), "");
        assert_eq!(parts_of("network: {zones: 1}"), "network in 1 zone");
        assert_eq!(
            parts_of("cluster: {}\napp: {}"),
            "network in 3 zones, cluster, 1 node group, application"
        );
        let auto =
            "cluster: {version: \"1.35\", autoMode: true}\nnetwork: {zones: [eu-central-1a, eu-central-1b]}";
        assert_eq!(parts_of(auto), "network in 2 zones, cluster 1.35 in Auto Mode");
        let lists = "fargateOnly: true\nrepositories: [{name: shop/a}, {name: shop/b}]\nparameters: [{name: /a, value: b}]";
        assert_eq!(
            parts_of(lists),
            "network in 3 zones, cluster, 1 parameter, 2 repositories, all pods on Fargate"
        );
    }
}
