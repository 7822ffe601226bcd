//! A plan as JSON, as the product contract has it. Time and format version are the printer's.

use crate::model::{PlannedChange, Totals};
use serde_json::{Value, json};

/// One change as the object of a line `{"type":"change",...}`.
pub fn change_json(change: &PlannedChange) -> Value {
    json!({
        "type": "change",
        "address": change.address,
        "kind": change.kind,
        "stage": change.stage,
        "action": change.action,
        "origin": change.origin,
        "fields": change.fields,
        "note": change.note,
    })
}

/// The last line `{"type":"summary",...}`.
pub fn summary_json(totals: Totals) -> Value {
    json!({
        "type": "summary",
        "create": totals.create,
        "update": totals.update,
        "replace": totals.replace,
        "delete": totals.delete,
        "adopt": totals.adopt,
        "drift": totals.drift,
    })
}
