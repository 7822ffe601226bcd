//! `graph`: the resources of the stack file and what they depend on.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    graph_page::page,
    graph_shape::{Item, items, parent, tree},
    opening::{project, read_stack, records, sandbox_of},
    timeline_text::timeline_text,
};
use crate::{
    model::{Address, Stage, Timeline, TimelineStep, counted, one_line},
    operations,
    stack::Stack,
    ui::Ui,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// Print the resources of the stack file and their dependencies, without credentials or network
///
/// Zones that the file does not name are shown as a, b, c; `plan` shows the real ones.
#[derive(Debug, clap::Args)]
pub struct GraphArgs {
    /// How to print the graph
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: GraphFormat,
    /// Show what the steps of the last run in this folder waited for, and where its time went
    #[arg(long)]
    pub timeline: bool,
}

/// The forms in which `graph` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphFormat {
    /// A tree for each stage
    Text,
    /// A digraph for Graphviz
    Dot,
    /// One page that needs nothing else
    Html,
}

/// Prints the graph.
pub async fn run(global: &Global, args: &GraphArgs, ui: Ui) -> Result<Exit, CommandError> {
    if ui.json && args.format != GraphFormat::Text {
        let hint = "omit one of the two options";
        return Err(CommandError::refused("--format and --json contradict each other", hint));
    }
    let stack = read_stack(global)?;
    let graph = operations::declared_graph(&stack, &project(global)).await?.targeted(&global.target);
    if graph.nodes.is_empty() && !global.target.is_empty() {
        let hint = "list the addresses with `provisioner graph`";
        return Err(CommandError::refused(
            format!("--target {}: not found in the stack", global.target.join(" ")),
            hint,
        ));
    }
    let run = args.timeline.then(|| recorded_run(global, &stack)).transpose()?;
    let items = items(&graph);
    let title = format!("{} in {}", stack.name, stack.region);
    match (args.format, &run) {
        (_, Some(run)) if ui.json => {
            let critical: BTreeSet<_> = run.critical_path().into_iter().map(|step| &step.id).collect();
            run.steps.iter().for_each(|step| ui.line(step_json(step, critical.contains(&step.id))));
        }
        (GraphFormat::Text, Some(run)) => {
            ui.say(&format!("{title}: the last run\n"));
            ui.data(timeline_text(run).trim_end());
        }
        (GraphFormat::Dot, Some(_)) => {
            let hint = "use `--format text` or `--format html`";
            return Err(CommandError::refused("--timeline cannot be printed with --format dot", hint));
        }
        _ if ui.json => items.values().for_each(|item| {
            ui.line(json!({
                "type": "node", "address": item.address, "kind": item.kind, "stage": item.stage,
                "level": item.level, "needs": item.needs,
            }));
        }),
        (GraphFormat::Text, None) => {
            ui.say(&format!("{title}: {}\n", counted(items.len(), "resource")));
            ui.data(text(&items).trim_end());
        }
        (GraphFormat::Dot, None) => ui.data(dot(&title, &items).trim_end()),
        (GraphFormat::Html, run) => ui.document(page(&title, &items, run.as_ref()).trim_end()),
    }
    Ok(Exit::Done)
}

/// Returns the record of the stack's last run from this folder.
fn recorded_run(global: &Global, stack: &Stack) -> Result<Timeline, CommandError> {
    let sandbox = sandbox_of(global)?.folder().to_path_buf();
    let folder = if global.sandbox { sandbox.clone() } else { records(global)? };
    operations::last_run(&folder, stack).ok_or_else(|| {
        let other = !global.sandbox && operations::last_run(&sandbox, stack).is_some();
        let hint = match other {
            true => "add `--sandbox`: the folder has a record of a run in the sandbox",
            false => "run `provisioner up` in this folder first; other machines keep their own records",
        };
        CommandError::refused(format!("no run of {} in {} is recorded here", stack.name, stack.region), hint)
    })
}

/// Returns a step of a run as JSON for programs. Times are milliseconds since the run's first step.
fn step_json(step: &TimelineStep, critical: bool) -> Value {
    json!({
        "type": "timelineStep", "address": step.id.address, "verb": step.id.verb, "kind": step.kind,
        "stage": step.stage, "action": step.action, "started": step.started, "waiting": step.waiting,
        "ended": step.ended, "failed": step.failed, "critical": critical,
        "after": step.after.iter().map(|id| &id.address).collect::<Vec<_>>(),
    })
}

/// Returns one tree for each stage. A resource stands below the one that it needs last; what else it needs is named.
fn text(items: &BTreeMap<Address, Item>) -> String {
    let mut text = String::new();
    for stage in Stage::ALL {
        let placed = tree(stage, items);
        if placed.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{stage}");
        for (depth, item) in placed {
            let above = parent(item, items).map(|it| &it.address);
            let others: Vec<&str> =
                item.needs.iter().filter(|it| Some(*it) != above).map(Address::as_str).collect();
            let needs = if others.is_empty() { String::new() } else { format!("  <- {}", others.join(", ")) };
            let indent = "  ".repeat(depth.saturating_add(1));
            let line = format!("{}  {}{needs}", item.address, item.kind);
            let _ = writeln!(text, "{indent}{}", one_line(&line));
        }
        text.push('\n');
    }
    text
}

/// Returns the graph in the language of Graphviz. An arrow leads from a resource to what it needs.
/// Source: <https://graphviz.org/doc/info/lang.html>
fn dot(title: &str, items: &BTreeMap<Address, Item>) -> String {
    let mut text = format!(
        "digraph {} {{\n  rankdir=RL\n  node [shape=box, style=rounded, fontname=\"sans-serif\"]\n",
        quoted(title)
    );
    for stage in Stage::ALL {
        let own: Vec<&Item> = items.values().filter(|item| item.stage == stage).collect();
        if own.is_empty() {
            continue;
        }
        let _ = writeln!(text, "  subgraph cluster_{stage} {{\n    label={}", quoted(stage.name()));
        for item in own {
            let label = format!("{}\n{}", one_line(item.address.as_str()), item.kind);
            let _ = writeln!(text, "    {} [label={}]", quoted(item.address.as_str()), quoted(&label));
        }
        text.push_str("  }\n");
    }
    for item in items.values() {
        for needed in &item.needs {
            let _ = writeln!(text, "  {} -> {}", quoted(item.address.as_str()), quoted(needed.as_str()));
        }
    }
    text.push_str("}\n");
    text
}

/// Returns a quoted text of Graphviz.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::{super::graph_shape::examples, *};

    #[test]
    fn a_tree_for_each_stage_and_a_digraph() {
        let items = items(&examples::small());
        insta::assert_snapshot!(format!("{}\n{}", text(&items), dot("shop", &items)));
    }
}
