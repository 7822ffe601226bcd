//! Every IAM action has a scope that the policy of a stack can fill in, and none is allowed everywhere by a mistake.

use super::{REGISTRY, references::full_stack, tables};
use crate::{
    aws::{BEFORE_DELETION, CLUSTER, ELECTION, EVERY_RUN, GIVEN_IMAGES, NETWORK, STATE_KEY},
    graph::{Backend, PolicyTarget},
    model::{IamScope, scoped_actions},
};
use std::collections::{BTreeMap, BTreeSet};

/// Returns every declared action with its scope.
fn declared() -> Vec<(IamScope, &'static str)> {
    let kinds = REGISTRY.iter().flat_map(|handler| scoped_actions(handler.kind.iam));
    let runs = [EVERY_RUN, STATE_KEY, ELECTION, NETWORK, BEFORE_DELETION, CLUSTER, GIVEN_IMAGES];
    kinds.chain(runs.into_iter().flat_map(scoped_actions)).collect()
}

#[test]
fn a_statement_id_stands_for_one_scope() {
    let mut by_id: BTreeMap<&str, IamScope> = BTreeMap::new();
    for (scope, action) in declared() {
        assert_eq!(*by_id.entry(scope.sid).or_insert(scope), scope, "{action}");
    }
}

#[test]
fn only_reads_are_allowed_on_every_resource_and_in_every_region() {
    let reads = |action: &str| {
        let verb = action.split_once(':').unwrap().1;
        ["Get", "Describe", "List"].iter().any(|start| verb.starts_with(start))
    };
    for (scope, action) in declared() {
        assert!(!scope.resources.is_empty(), "{action} has no resource");
        let everywhere = scope.resources.contains(&"*") && scope.conditions.is_empty();
        assert!(!everywhere || reads(action), "{action} is allowed everywhere");
    }
}

#[test]
fn every_scope_is_filled_in_for_a_stack_with_everything() {
    let (stack, graph) = full_stack();
    let backend = Backend::new("123456789012", &stack.region, None, None, None);
    let target = PolicyTarget { stack: &stack, backend: &backend, graph: &graph };
    let policies = [target.statements(declared()), target.bootstrap(declared(), "backend.json")];
    let filled: BTreeSet<&str> =
        policies.iter().flatten().map(|statement| statement["Sid"].as_str().unwrap()).collect();
    let all: BTreeSet<&str> = declared().iter().map(|(scope, _)| scope.sid).collect();
    let missing: Vec<_> = all.difference(&filled).copied().collect();
    // The keys and images that a stack file names in place of its own.
    let given: BTreeSet<&str> =
        [IamScope::GIVEN_KEY.sid, IamScope::GIVEN_STATE_KEY.sid, IamScope::GIVEN_IMAGES.sid].into();
    assert!(missing.iter().all(|sid| given.contains(sid)), "{missing:?}");
}

#[test]
fn names_in_scopes_are_fields_of_kinds() {
    let tables = tables();
    for (scope, _) in declared() {
        let names = scope.resources.iter().chain(scope.conditions.iter().flat_map(|(_, _, values)| *values));
        for name in names.flat_map(|text| text.split('{').skip(1)).filter_map(|rest| rest.split('}').next()) {
            let Some((kind, field)) = name.split_once('.') else { continue };
            let table = tables.iter().find(|table| table.kind == kind);
            assert!(table.is_some_and(|table| table.want.get(field).is_some()), "{name}");
        }
    }
}
