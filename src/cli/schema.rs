//! `schema`: the JSON Schema of the stack file.

use super::exit::Exit;
use crate::{stack, ui::Ui};

/// Print the JSON Schema of the stack file
#[derive(Debug, clap::Args)]
pub struct SchemaArgs;

/// Prints the schema.
pub fn run(_args: &SchemaArgs, ui: Ui) -> Exit {
    ui.json(&stack::schema());
    Exit::Done
}
