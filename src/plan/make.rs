//! Making a plan.

use super::{
    decide::{Decision, decide},
    keep_ahead::keep_ahead,
    order::topological,
    plan_input::Input,
    refusals::Stop,
    removals::removals,
    steps::add_steps,
};
use crate::model::{Address, CallError, Plan, Verb};
use std::collections::BTreeMap;

/// Makes the plan. A resource that a rule forbids to touch becomes a refusal, and what depends on it is not planned; the
/// rest is.
///
/// # Errors
/// An unknown kind, a kind that could not be looked at, or a cycle.
pub fn make(input: &Input<'_>) -> Result<Plan, CallError> {
    let kept = keep_ahead(input)?;
    let (graph, notes) = match kept {
        Some((graph, notes)) => (Some(graph), notes),
        None => (None, Vec::new()),
    };
    let input = &Input { graph: graph.as_ref().unwrap_or(input.graph), ..*input };
    let mut plan = Plan { notes, ..Plan::default() };
    let mut decisions: BTreeMap<Address, Decision> = BTreeMap::new();
    // What is not planned, and the refusal that it is due to.
    let mut refused: BTreeMap<Address, usize> = BTreeMap::new();
    let edges =
        input.graph.nodes.iter().map(|(address, node)| (address.clone(), node.dependencies())).collect();
    for address in topological(&edges)? {
        let Some(node) = input.graph.get(&address) else { continue };
        if let Some(cause) = node.dependencies().iter().find_map(|at| refused.get(at)).copied() {
            if let Some(refusal) = plan.refusals.get_mut(cause) {
                refusal.blocks.push(address.clone());
            }
            refused.insert(address, cause);
            continue;
        }
        match decide(input, node, &decisions, &mut plan) {
            Ok(decision) => {
                decisions.insert(address, decision);
            }
            Err(Stop::Refused(refusal)) => {
                refused.insert(address, plan.refusals.len());
                plan.refusals.push(*refusal);
            }
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
    removals(input, &mut plan)?;
    plan.changes.sort_by(|a, b| (a.stage, &a.address).cmp(&(b.stage, &b.address)));
    add_steps(input, &mut plan, &decisions)?;
    plan.refusals.sort_by(|a, b| (a.stage, &a.address).cmp(&(b.stage, &b.address)));
    for step in plan.steps.iter_mut().filter(|step| step.id.verb == Verb::Ensure) {
        if let Some(spec) = decisions.get(&step.id.address).and_then(|decision| decision.spec.clone()) {
            step.spec = spec;
        }
    }
    plan.notes.sort_by(|a, b| (a.stage, &a.address).cmp(&(b.stage, &b.address)));
    Ok(plan)
}
