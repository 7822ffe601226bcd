//! A plan as text for people. Plain: colour is the printer's.

use crate::model::{Action, Origin, Plan, PlannedChange, Stage, Totals, is_reference};
use serde_json::Value;
use std::fmt::Write as _;

/// How much of a create is shown.
const VALUE_WIDTH: usize = 60;

/// The plan by stage: a line a resource, and below it a line a field that changes. Empty for an empty plan.
///
/// `detailed` shows the fields of what is made, too.
pub fn render(plan: &Plan, detailed: bool) -> String {
    let mut text = String::new();
    for stage in Stage::ALL {
        let changes: Vec<&PlannedChange> =
            plan.changes.iter().filter(|change| change.stage == stage).collect();
        if changes.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{stage}");
        let width =
            changes.iter().map(|change| change.address.as_str().chars().count()).max().unwrap_or_default();
        for change in changes {
            line(&mut text, change, width, detailed);
        }
        text.push('\n');
    }
    text
}

fn mark(action: Action) -> &'static str {
    match action {
        Action::Create => "  +",
        Action::Update => "  ~",
        Action::Replace => "-/+",
        Action::Delete => "  -",
        Action::Adopt => "  <",
    }
}

fn line(text: &mut String, change: &PlannedChange, width: usize, detailed: bool) {
    let mut head = format!("{} {:width$}  {}", mark(change.action), change.address, change.kind);
    if change.origin == Origin::Drift {
        head.push_str("  [drift]");
    }
    if let Some(note) = &change.note {
        head.push_str("  (");
        head.push_str(note);
        head.push(')');
    }
    let _ = writeln!(text, "{head}");
    let made = change.action == Action::Create;
    if made && !detailed {
        return;
    }
    for field in &change.fields.0 {
        let forced = if field.forces_replace { "  # forces replacement" } else { "" };
        let _ = match made {
            true => writeln!(text, "        {}: {}", field.path, value(&field.new)),
            false => writeln!(
                text,
                "        {}: {} -> {}{forced}",
                field.path,
                value(&field.old),
                value(&field.new)
            ),
        };
    }
}

/// One value on one line, cut where it is long; references are known only after `up`.
fn value(value: &Value) -> String {
    let text = shown(value);
    if text.chars().count() <= VALUE_WIDTH {
        return text;
    }
    let head: String = text.chars().take(VALUE_WIDTH).collect();
    format!("{head}…")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "(nothing)".to_owned(),
        value if is_reference(value) => "(known after up)".to_owned(),
        Value::String(text) => text.escape_debug().to_string(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}: {}", shown(value))).collect();
            format!("{{{}}}", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// `3 to create, 1 to replace (2 by drift)`; what there is none of is left out.
pub fn counts(totals: Totals, done: bool) -> String {
    let words: [(usize, &str, &str); 5] = [
        (totals.create, "to create", "created"),
        (totals.update, "to update", "updated"),
        (totals.replace, "to replace", "replaced"),
        (totals.delete, "to delete", "deleted"),
        (totals.adopt, "to adopt", "adopted"),
    ];
    let parts: Vec<String> = words
        .into_iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, future, past)| format!("{count} {}", if done { past } else { future }))
        .collect();
    match (parts.is_empty(), totals.drift) {
        (true, _) => if done { "nothing changed" } else { "no changes" }.to_owned(),
        (false, 0) => parts.join(", "),
        (false, drift) => format!("{} ({drift} by drift)", parts.join(", ")),
    }
}
