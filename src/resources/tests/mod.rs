//! The pure half of every kind as tables: which change of a field updates or replaces a resource, when a live
//! form is ready, what is refused, and what a plan says about a deletion.
//!
//! The forms are JSON and go through the erased [`Kind`](crate::model::Kind), as in the plan and in the
//! engine.

mod backend_tables;
mod cluster_tables;
mod delivery_tables;
mod network_tables;
mod references;
mod role_tags_tables;
mod scopes;
mod security_tables;

use super::{Handler, REGISTRY, handler};
use crate::model::{CallError, Changes, DeletePolicy, Readiness, Resource};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Edits of the two forms of a table: a path that begins with `want/` or `live/`, and the new value.
type Edits = Vec<(&'static str, Value)>;

/// Edits of the forms, and the changes that the kind must then report: `update tags.Name` or `replace cidr`.
struct DiffRow {
    edits: Edits,
    changes: &'static [&'static str],
}

/// The pure behaviour of one kind. The forms `want` and `live` do not differ.
#[derive(Default)]
struct Table {
    kind: &'static str,
    want: Value,
    live: Value,
    diff: Vec<DiffRow>,
    /// Edits of the live form, and its readiness.
    ready: Vec<(Edits, Readiness)>,
    /// Edits of the forms, and a part of the reason for which the change is refused.
    refused: Vec<(Edits, &'static str)>,
    deletion_note: Option<&'static str>,
    /// Returns what the kind's `sync` sends beside tags, for kinds that decide it by a function of the forms.
    updates: Option<fn(&Value, &Value) -> Option<Vec<String>>>,
    /// Edits of the forms, and the updates that are then due, each with the beginning of its text.
    sent: Vec<(Edits, &'static [&'static str])>,
}

/// Returns the updates between two serialised forms as texts; `None` if an input is not resolved.
fn updates_of<R: Resource, U: std::fmt::Debug>(
    want: &Value,
    live: &Value,
    updates: impl Fn(&R::Spec, &R::Live) -> Result<Vec<U>, CallError>,
) -> Option<Vec<String>> {
    let want = CallError::decode(R::KIND, want).unwrap();
    let due = updates(&want, &CallError::decode(R::KIND, live).unwrap()).ok()?;
    Some(due.iter().map(|update| format!("{update:?}")).collect())
}

/// Returns a row with one edit.
fn row(path: &'static str, value: impl Into<Value>, changes: &'static [&'static str]) -> DiffRow {
    DiffRow { edits: vec![(path, value.into())], changes }
}

/// Returns a row with several edits.
fn rows<const N: usize>(edits: [(&'static str, Value); N], changes: &'static [&'static str]) -> DiffRow {
    DiffRow { edits: edits.into(), changes }
}

/// Returns the row that almost every kind has: another value of a live tag.
fn tag_row() -> DiffRow {
    row("live/tags/Name", "another", &["update tags.Name"])
}

/// Returns the readiness of a live form with one edit.
fn state(path: &'static str, value: impl Into<Value>, readiness: Readiness) -> (Edits, Readiness) {
    (vec![(path, value.into())], readiness)
}

fn waiting(why: &str) -> Readiness {
    Readiness::Waiting(why.to_owned())
}

fn degraded(why: &str) -> Readiness {
    Readiness::Degraded(why.to_owned())
}

fn suspended(why: &str, remedy: &str) -> Readiness {
    Readiness::Suspended { why: why.to_owned(), remedy: remedy.to_owned() }
}

fn failed(why: &str) -> Readiness {
    Readiness::Failed(why.to_owned())
}

/// Returns a reference to a resource that does not exist yet.
fn unknown(field: &str) -> Value {
    json!({"ref": "network/other", "field": field})
}

fn tables() -> Vec<Table> {
    let all = [
        backend_tables::tables(),
        cluster_tables::tables(),
        delivery_tables::tables(),
        network_tables::tables(),
        security_tables::tables(),
    ];
    all.into_iter().flatten().collect()
}

impl Table {
    fn handler(&self) -> &'static Handler {
        handler(self.kind).unwrap()
    }

    /// Returns both forms after the edits.
    fn edited(&self, edits: &Edits) -> (Value, Value) {
        let mut forms = json!({"want": self.want, "live": self.live});
        for (path, value) in edits {
            let (parent, key) = path.rsplit_once('/').unwrap();
            forms.pointer_mut(&format!("/{parent}")).unwrap()[key] = value.clone();
        }
        (forms["want"].take(), forms["live"].take())
    }

    /// Returns the changes that the kind reports, after `alter` has changed them.
    fn changes(&self, edits: &Edits, alter: &dyn Fn(&mut Changes)) -> Vec<String> {
        let (want, live) = self.edited(edits);
        let mut changes = (self.handler().kind.diff)(&want, &live).unwrap();
        alter(&mut changes);
        let class = |replace: bool| if replace { "replace" } else { "update" };
        changes.0.iter().map(|change| format!("{} {}", class(change.forces_replace), change.path)).collect()
    }

    /// Returns the rows whose changes are not the expected ones.
    fn wrong_rows(&self, alter: &dyn Fn(&mut Changes)) -> Vec<String> {
        let each = self.diff.iter().filter_map(|row| {
            let found = self.changes(&row.edits, alter);
            let kind = self.kind;
            (found != row.changes)
                .then(|| format!("{kind}: {:?}: {found:?}, not {:?}", row.edits, row.changes))
        });
        each.collect()
    }

    /// Returns the names of all fields of both forms.
    fn fields(&self) -> BTreeSet<&str> {
        let forms = [&self.want, &self.live];
        forms.iter().flat_map(|form| form.as_object().unwrap().keys()).map(String::as_str).collect()
    }
}

/// Returns the live form of a table as its kind serialises it.
fn serialised_live(table: &Table) -> Map<String, Value> {
    let live = (table.handler().kind.assume_recorded)(&table.live, "not reachable").unwrap();
    let mut map = live.as_object().unwrap().clone();
    // Set by the call itself.
    map.remove("unseen");
    map
}

fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_kind_has_a_table() {
    let tables = tables();
    let have: BTreeSet<&str> = tables.iter().map(|table| table.kind).collect();
    let all: BTreeSet<&str> = REGISTRY.iter().map(|handler| handler.kind.name).collect();
    assert_eq!(have, all);
}

#[test]
fn the_live_form_of_a_table_has_every_field_of_the_kind() {
    for table in tables() {
        let (found, table_has) = (serialised_live(&table), table.live.as_object().unwrap());
        let [found, table_has] = [&found, table_has].map(|map| map.keys().cloned().collect::<BTreeSet<_>>());
        assert_eq!(found, table_has, "{}", table.kind);
    }
}

#[test]
fn a_resource_that_is_as_wanted_needs_no_change() {
    let tables = tables();
    let changed = tables.iter().map(|table| (table.kind, table.changes(&vec![], &|_| {})));
    assert_none(changed.filter(|(_, changes)| !changes.is_empty()).map(|it| format!("{it:?}")).collect());
}

#[test]
fn each_field_updates_or_replaces_the_resource_as_the_table_says() {
    assert_none(tables().iter().flat_map(|table| table.wrong_rows(&|_| {})).collect());
}

#[test]
fn what_is_deleted_last_outlives_kinds_that_exist() {
    let kinds: BTreeSet<&str> = REGISTRY.iter().map(|handler| handler.kind.name).collect();
    let outlived: Vec<&str> = REGISTRY.iter().flat_map(|handler| handler.kind.outlives).copied().collect();
    assert!(!outlived.is_empty() && outlived.iter().all(|name| kinds.contains(name)), "{outlived:?}");
}

#[test]
fn each_field_is_in_a_row() {
    let mut missing = vec![];
    for table in tables() {
        let states = table.ready.iter().map(|(edits, _)| edits);
        let refused = table.refused.iter().map(|(edits, _)| edits);
        let edits = table.diff.iter().map(|row| &row.edits).chain(states).chain(refused).flatten();
        let covered: BTreeSet<&str> = edits.filter_map(|(path, _)| path.split('/').nth(1)).collect();
        let fields = table.fields();
        missing.extend(fields.difference(&covered).map(|field| format!("{}: {field}", table.kind)));
    }
    assert_none(missing);
}

#[test]
fn a_wrong_class_and_a_missing_field_are_seen_in_every_table() {
    let flip = |changes: &mut Changes| {
        changes.0.iter_mut().for_each(|change| change.forces_replace = !change.forces_replace);
    };
    for table in tables() {
        let with_changes = table.diff.iter().filter(|row| !row.changes.is_empty()).count();
        assert!(with_changes > 0, "{}: no row expects a change", table.kind);
        assert_eq!(table.wrong_rows(&flip).len(), with_changes, "{}", table.kind);
        let expected = table.diff.iter().flat_map(|row| row.changes);
        for path in expected.filter_map(|change| change.split_once(' ')).map(|(_, path)| path) {
            let drop = |changes: &mut Changes| changes.0.retain(|change| change.path != path);
            assert!(!table.wrong_rows(&drop).is_empty(), "{}: {path}", table.kind);
        }
    }
}

#[test]
fn each_live_form_is_as_ready_as_the_table_says() {
    let mut wrong = vec![];
    for table in tables() {
        let base = (vec![], Readiness::Ready);
        for (edits, readiness) in [base].iter().chain(&table.ready) {
            let found = (table.handler().kind.ready)(&table.edited(edits).1).unwrap();
            if found != *readiness {
                wrong.push(format!("{}: {edits:?}: {found:?}, not {readiness:?}", table.kind));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn each_impossible_change_is_refused_and_no_other() {
    let mut wrong = vec![];
    for table in tables() {
        let refusal = |edits: &Edits| {
            let (want, live) = table.edited(edits);
            (table.handler().kind.validate_change)(&want, &live).unwrap()
        };
        let unchanged = vec![];
        let allowed = table.diff.iter().map(|row| &row.edits).chain([&unchanged]);
        for edits in allowed {
            let refused = table.refused.iter().any(|(other, _)| other == edits);
            wrong.extend(
                refusal(edits).filter(|_| !refused).map(|it| format!("{}: {edits:?}: {it}", table.kind)),
            );
        }
        for (edits, part) in &table.refused {
            let found = refusal(edits);
            if !found.as_ref().is_some_and(|found| found.contains(part)) {
                wrong.push(format!("{}: {edits:?}: {found:?}, not {part:?}", table.kind));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn a_deletion_has_the_note_of_the_table() {
    for table in tables() {
        let note = (table.handler().kind.deletion_note)(&table.live).unwrap();
        assert_eq!(note.as_deref(), table.deletion_note, "{}", table.kind);
    }
}

#[test]
fn a_kind_without_tags_names_what_it_is_part_of() {
    for table in tables() {
        let kind = table.handler().kind.info;
        let alone = kind.tagged && kind.delete_policy == DeletePolicy::Deleted;
        assert!(alone || kind.self_marked || kind.part_of.is_some(), "{}", kind.name);
        let field = kind.part_of.map(|(_, field)| table.live.get(field));
        assert!(field.is_none_or(|value| value.is_some_and(Value::is_string)), "{}", kind.name);
    }
}

#[test]
fn an_update_is_sent_exactly_if_a_field_differs() {
    let mut wrong = vec![];
    for table in tables() {
        let Some(updates) = table.updates else { continue };
        for row in table.diff.iter().filter(|row| row.changes.iter().all(|it| it.starts_with("update "))) {
            let (want, live) = table.edited(&row.edits);
            let differs = row.changes.iter().any(|change| !change.starts_with("update tags."));
            let sent = updates(&want, &live).is_none_or(|due| due.is_empty() != differs);
            wrong.extend((!sent).then(|| format!("{}: {:?}", table.kind, row.edits)));
        }
    }
    assert_none(wrong);
}

#[test]
fn each_update_sends_what_the_table_says() {
    let mut wrong = vec![];
    for table in tables() {
        for (edits, expected) in &table.sent {
            let (want, live) = table.edited(edits);
            let found = table.updates.unwrap()(&want, &live).unwrap();
            let same = found.len() == expected.len();
            if !same || !found.iter().zip(*expected).all(|(found, expected)| found.starts_with(expected)) {
                wrong.push(format!("{}: {edits:?}: {found:?}, not {expected:?}", table.kind));
            }
        }
    }
    assert_none(wrong);
}
