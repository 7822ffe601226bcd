//! A plan as JSON, as the product contract has it. Time and format version are the printer's.

use crate::model::{Note, Origin, PlannedChange, Stray, Totals};
use serde_json::{Value, json};

/// One change as the object of a line `{"type":"change",...}`.
pub fn change_json(change: &PlannedChange) -> Value {
    let mut object = json!({
        "type": "change",
        "address": change.address,
        "kind": change.kind,
        "stage": change.stage,
        "action": change.action,
        "origin": change.origin,
        "fields": change.fields,
        "note": change.note,
    });
    if let (Some(loses), Some(consent), Some(map)) = (&change.loses, change.consent(), object.as_object_mut())
    {
        map.insert("loses".to_owned(), json!(loses));
        let hint =
            format!("undo the change, or confirm it with `{consent}` or its address at the prompt of `up`");
        map.insert("hint".to_owned(), json!(hint));
    }
    object
}

/// Returns the object of a line `{"type":"stray",...}`: a resource that is reported and left.
pub fn stray_json(stray: &Stray) -> Value {
    json!({
        "type": "stray",
        "address": stray.address,
        "kind": stray.kind,
        "id": stray.id,
        "forgotten": stray.forgotten,
    })
}

/// What moved in the account and is kept, as the object of a line `{"type":"notice",...}`.
pub fn note_json(note: &Note) -> Value {
    let mut line = json!({
        "type": "notice",
        "address": note.address,
        "kind": note.kind,
        "stage": note.stage,
        "origin": Origin::Drift,
        "message": note.message,
        "hint": note.hint,
    });
    if let (true, Some(map)) = (note.pending, line.as_object_mut()) {
        map.insert("pending".to_owned(), json!(true));
    }
    line
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
