//! A plan as plain text for people. The printer adds the colour.

use crate::model::{Action, Origin, Plan, PlannedChange, Stage, Totals, hanging, is_reference, one_line};
use serde_json::Value;
use std::fmt::Write as _;

/// Fields whose name in the API differs from the stack file's.
const FILE_FIELDS: &[(&str, &str)] = &[
    ("amiType", "arch"),
    ("endpointPublic", "endpoint.public"),
    ("logTypes", "logging.types"),
    ("publicCidrs", "endpoint.publicCidrs"),
    ("userData", "bottlerocket"),
];

/// Values that the API spells differently from the stack file, by the field that they are in.
const FILE_VALUES: &[(&str, &str, &str)] = &[
    ("amiType", "BOTTLEROCKET_ARM_64", "arm64"),
    ("amiType", "BOTTLEROCKET_x86_64", "x86_64"),
    ("capacity", "ON_DEMAND", "on-demand"),
    ("capacity", "SPOT", "spot"),
    ("effect", "NO_EXECUTE", "NoExecute"),
    ("effect", "NO_SCHEDULE", "NoSchedule"),
    ("effect", "PREFER_NO_SCHEDULE", "PreferNoSchedule"),
    ("upgradePolicy", "EXTENDED", "extended"),
    ("upgradePolicy", "STANDARD", "standard"),
];

/// Maximum width of a value, in characters.
const VALUE_WIDTH: usize = 60;

/// Returns the plan by stage: one line per resource, and below it one line per changed field. Empty for an
/// empty plan.
///
/// With `detailed`, the fields of new resources are shown, too.
pub fn render(plan: &Plan, detailed: bool) -> String {
    let mut text = losses(plan);
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

/// Returns what moved in the account and is kept, one line each. Empty for a plan without such.
pub fn render_notes(plan: &Plan) -> String {
    let mut text = String::new();
    for note in &plan.notes {
        let _ = writeln!(text, "note: {}: {}", note.address, hanging(&note.message));
        if let Some(hint) = &note.hint {
            let _ = writeln!(text, "  hint: {}", hanging(hint));
        }
    }
    text
}

/// Returns what is lost, before anything else.
fn losses(plan: &Plan) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        let (Some(loses), Some(consent)) = (&change.loses, change.consent()) else { continue };
        let verb = if change.action == Action::Delete { "deletes" } else { "replaces" };
        let line = format!(
            "DESTROYS DATA: {verb} {} and loses {loses}; only with `{consent}`, or its address typed at the prompt of `up`",
            change.address
        );
        let _ = writeln!(text, "{}", one_line(&line));
    }
    if !text.is_empty() {
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
    let _ = writeln!(text, "{}", one_line(&head));
    let made = change.action == Action::Create;
    if made && !detailed {
        return;
    }
    for field in &change.fields.0 {
        let forced = if field.forces_replace { "  # forces replacement" } else { "" };
        let name = field.path.as_str();
        let path = FILE_FIELDS.iter().find(|(api, _)| *api == name).map_or(name, |(_, file)| file);
        let field = match made {
            true => format!("        {path}: {}", value(name, &field.new)),
            false => format!("        {path}: {}{forced}", difference(name, &field.old, &field.new)),
        };
        let _ = writeln!(text, "{}", one_line(&field));
    }
}

/// Returns the stack file's spelling of a value of the API.
fn file_value<'a>(field: &str, text: &'a str) -> &'a str {
    let found = FILE_VALUES.iter().find(|(of, api, _)| *of == field && *api == text);
    found.map_or(text, |(_, _, file)| file)
}

/// Returns how a value changes: `old -> new`, or for a list that is too long for that, the items that are
/// added and removed.
fn difference(field: &str, old: &Value, new: &Value) -> String {
    let too_long = |side: &Value| shown(field, side).chars().count() > VALUE_WIDTH;
    let (Value::Array(before), Value::Array(after)) = (old, new) else {
        let [old, new] = parts_that_differ(&shown(field, old), &shown(field, new));
        return format!("{old} -> {new}");
    };
    if !too_long(old) && !too_long(new) {
        return format!("{} -> {}", value(field, old), value(field, new));
    }
    let list = |items: &[Value], others: &[Value]| -> Vec<String> {
        items.iter().filter(|item| !others.contains(item)).map(|item| value(field, item)).collect()
    };
    let (added, removed) = (list(after, before), list(before, after));
    let parts: Vec<String> = [("added", added), ("removed", removed)]
        .into_iter()
        .filter(|(_, items)| !items.is_empty())
        .map(|(word, items)| format!("{word} {}", items.join(", ")))
        .collect();
    if parts.is_empty() { "same items in another order".to_owned() } else { parts.join("; ") }
}

/// Number of equal characters that are shown before the first difference of two long texts.
const BEFORE_DIFFERENCE: usize = 16;

/// Returns both texts, each cut to [`VALUE_WIDTH`] so that it shows the first difference.
fn parts_that_differ(old: &str, new: &str) -> [String; 2] {
    let equal = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
    let longest = old.chars().count().max(new.chars().count());
    let start = match longest > VALUE_WIDTH && equal.saturating_add(BEFORE_DIFFERENCE) > VALUE_WIDTH {
        true => equal.saturating_sub(BEFORE_DIFFERENCE),
        false => 0,
    };
    [old, new].map(|text| {
        let rest: String = text.chars().skip(start).collect();
        format!("{}{}", if start > 0 { "…" } else { "" }, cut(rest))
    })
}

/// Returns a value on one line, cut to [`VALUE_WIDTH`]. A reference is known only after `up`.
fn value(field: &str, value: &Value) -> String {
    cut(shown(field, value))
}

fn cut(text: String) -> String {
    if text.chars().count() <= VALUE_WIDTH {
        return text;
    }
    let head: String = text.chars().take(VALUE_WIDTH).collect();
    format!("{head}…")
}

fn shown(field: &str, value: &Value) -> String {
    match value {
        Value::Null => "(none)".to_owned(),
        value if is_reference(value) => "(known after up)".to_owned(),
        Value::String(text) => file_value(field, text).escape_debug().to_string(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(|item| shown(field, item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}: {}", shown(key, value))).collect();
            format!("{{{}}}", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// Returns totals such as `3 to create, 1 to replace (2 due to drift)`, without those that are zero.
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
        (false, drift) => format!("{} ({drift} due to drift)", parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::difference;
    use serde_json::{Value, json};

    #[test]
    fn values_are_spelled_as_in_the_file_and_long_lists_show_what_changes() {
        assert_eq!(difference("capacity", &json!("ON_DEMAND"), &json!("SPOT")), "on-demand -> spot");
        let taint = json!([{"key": "gpu", "effect": "NO_SCHEDULE"}]);
        let expected = "[] -> [{effect: NoSchedule, key: gpu}]";
        assert_eq!(difference("taints", &json!([]), &taint), expected);
        // The same word elsewhere, such as in a tag, is not a word of the API.
        assert_eq!(difference("tags.tier", &Value::Null, &json!("SPOT")), "(none) -> SPOT");
        let blocks = |from: u8| (from..from + 5).map(|n| format!("203.0.113.{n}/32")).collect::<Vec<_>>();
        let (old, new) = (json!(blocks(1)), json!(blocks(2)));
        let expected = "added 203.0.113.6/32; removed 203.0.113.1/32";
        assert_eq!(difference("publicCidrs", &old, &new), expected);
        let turned: Vec<String> = blocks(1).into_iter().rev().collect();
        assert_eq!(difference("publicCidrs", &old, &json!(turned)), "same items in another order");
    }

    #[test]
    fn long_texts_show_where_they_differ() {
        let role = |name: &str| {
            json!(format!(
                "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_{name}"
            ))
        };
        let shown = difference("principal", &role("Reader_1"), &role("Admin_2"));
        assert_eq!(shown, "…/AWSReservedSSO_Reader_1 -> …/AWSReservedSSO_Admin_2");
        let statement = |extra: &str| json!({"Statement": [{"Action": "kms:*", "Effect": "Allow", "Principal": "arn:aws:iam::123456789012:root"}], "Version": extra});
        let shown = difference("policy", &statement("Evil"), &Value::Null);
        assert!(shown.starts_with("{Statement: [{") && shown.ends_with("… -> (none)"), "{shown}");
        let shown = difference("policy", &statement("none"), &statement("Evil"));
        assert!(shown.contains("none}") && shown.contains("Evil}"), "{shown}");
        assert_eq!(difference("name", &json!("one"), &json!("two")), "one -> two");
    }
}
