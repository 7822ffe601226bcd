//! `schema`: the JSON Schema of the stack file.

use super::exit::Exit;
use crate::{stack, ui::Ui};

/// Prints it.
pub fn run(ui: Ui) -> Exit {
    ui.data(&serde_json::to_string_pretty(&stack::schema()).unwrap_or_default());
    Exit::Done
}
