//! The least-privilege IAM policy of a stack.

use super::{OperationError, TargetEndpoint, role_of, workspace::kind};
use crate::{
    aws,
    graph::{
        AppImage, Backend, Context, MAX_POLICY_LENGTH, PolicyTarget, backend, documents, graph, policy_length,
    },
    model::{Graph, IamScope, Kind, Owner, scoped_actions},
    resources::REGISTRY,
    stack::{NEWEST_TESTED, Stack, Zones, delivery::App},
    store::BACKEND_RECORD,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The policy of a stack, or of its backend.
#[derive(Clone, Debug, PartialEq)]
pub struct StackPolicy {
    statements: Vec<Value>,
}

impl StackPolicy {
    /// Maximum length of one document in IAM, in characters without spaces.
    pub const MAX_LENGTH: usize = MAX_POLICY_LENGTH;

    /// Returns the policy of a stack in this account, or with `bootstrap` the one for creating the backend.
    pub fn new(stack: &Stack, account: &str, bootstrap: bool) -> Result<Self, OperationError> {
        Ok(StackPolicy { statements: statements(stack, account, bootstrap)? })
    }

    /// Returns the policy as one document.
    pub fn document(&self) -> Value {
        json!({"Version": "2012-10-17", "Statement": self.statements})
    }

    /// Returns the length of the one document, as IAM counts it.
    pub fn length(&self) -> usize {
        policy_length(&self.document())
    }

    /// Returns the policy as several documents, each within IAM's limit.
    pub fn documents(self) -> Vec<Value> {
        documents(self.statements, MAX_POLICY_LENGTH)
    }
}

/// Returns the account of the caller at an endpoint; `None` without valid credentials.
pub async fn caller_account(endpoint: &TargetEndpoint, stack: &Stack) -> Option<String> {
    Some(endpoint.clients(&stack.region, role_of(stack)).await.identity().await.ok()?.account)
}

/// Returns the statements of the stack's policy, or with `bootstrap` those for creating the backend.
pub fn statements(stack: &Stack, account: &str, bootstrap: bool) -> Result<Vec<Value>, OperationError> {
    let section = &stack.state;
    let place = Backend::new(
        account,
        &stack.region,
        section.bucket.as_ref(),
        section.table.as_ref(),
        section.key_arn.as_ref(),
    );
    let desired = graph(stack, &supposed(stack, account))?;
    let target_stack = PolicyTarget { stack, backend: &place, graph: &desired };
    let behind: Vec<_> = granted(&kinds(&backend(&place, false))).collect();
    if bootstrap {
        let more = scoped_actions(aws::STATE_KEY).chain(scoped_actions(aws::ELECTION));
        return Ok(target_stack.bootstrap(behind.into_iter().chain(more), BACKEND_RECORD));
    }
    let every_run = [aws::EVERY_RUN, aws::STATE_KEY, aws::BEFORE_DELETION];
    let mut actions: Vec<_> = every_run.into_iter().flat_map(scoped_actions).collect();
    actions.extend(granted(&kinds(&desired)));
    // Each run compares the backend with its spec.
    actions.extend(behind.into_iter().filter(|(_, action)| reads(action)));
    // `down` looks for tagged resources of any kind, which only EC2's describe calls find.
    let every = REGISTRY.iter().flat_map(|handler| scoped_actions(handler.kind.iam));
    actions.extend(every.filter(|(_, action)| action.starts_with("ec2:Describe")));
    if stack.network.as_ref().is_some_and(|network| network.existing.is_none()) {
        actions.extend(scoped_actions(aws::NETWORK));
    }
    if stack.cluster.is_some() {
        actions.extend(scoped_actions(aws::CLUSTER));
    }
    if stack.encryption.key_arn.is_some() {
        actions.extend(scoped_actions(aws::GIVEN_KEY));
    }
    actions.extend(scoped_actions(aws::GIVEN_IMAGES));
    Ok(target_stack.statements(actions))
}

/// Returns the actions of the kinds with their scopes.
fn granted(kinds: &[Kind]) -> impl Iterator<Item = (IamScope, &'static str)> {
    kinds.iter().flat_map(|kind| scoped_actions(kind.info.iam))
}

fn kinds(graph: &Graph) -> Vec<Kind> {
    let names: BTreeSet<&str> = graph.nodes.values().map(|node| node.kind.as_str()).collect();
    names.into_iter().filter_map(kind).collect()
}

fn reads(action: &str) -> bool {
    let verb = action.split_once(':').map_or("", |(_, verb)| verb);
    ["Get", "Describe", "List"].iter().any(|start| verb.starts_with(start))
}

/// Returns placeholders for the images of the applications.
fn supposed_images(stack: &Stack) -> BTreeMap<String, AppImage> {
    let of = |app: &App| match (&app.image, app.copy) {
        (Some(reference), false) => AppImage::Elsewhere(reference.clone()),
        _ => AppImage::default(),
    };
    stack.apps.iter().map(|app| (app.name.clone().unwrap_or_default(), of(app))).collect()
}

/// Returns placeholders for the facts, so that nothing is asked of AWS: a policy depends only on names.
fn supposed(stack: &Stack, account: &str) -> Context {
    let zones = match stack.network.as_ref().map(|network| &network.zones) {
        Some(Zones::Names(names)) => names.clone(),
        Some(Zones::Count(count)) => (b'a'..)
            .take(usize::from(*count))
            .map(|letter| format!("{}{}", stack.region, char::from(letter)))
            .collect(),
        None => Vec::new(),
    };
    let group = |group: &crate::stack::cluster::NodeGroup| (group.name.clone(), String::new());
    Context {
        force_upgrade: false,
        rolls_back: false,
        auto_mode: stack.node_pools().is_some(),
        owner: Owner { stack: stack.name.clone(), lineage: String::new() },
        account: account.to_owned(),
        shares: crate::stack::layout::shares(&zones, &BTreeMap::new()),
        cluster_zones: Vec::new(),
        zones,
        version: NEWEST_TESTED.to_owned(),
        caller: stack.cluster.is_some().then(|| format!("arn:aws:iam::{account}:role/caller")),
        my_ip: Some("192.0.2.1/32".to_owned()),
        addons: crate::graph::addons(stack).into_keys().map(|name| (name, String::new())).collect(),
        releases: stack.node_groups.iter().map(group).collect(),
        state_folder: String::new(),
        images: supposed_images(stack),
        endpoint_zones: BTreeMap::new(),
        objects: Vec::new(),
        unused: Vec::new(),
    }
}
