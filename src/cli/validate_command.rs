//! `validate`: checks the stack file and the folders that it names.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::{project, read_stack},
};
use crate::{operations, ui::Ui};
use serde_json::json;

/// Check the stack file, the manifests and the application's folder, without credentials or network
#[derive(Debug, clap::Args)]
pub struct ValidateArgs;

/// Checks the file, and prints what it declares.
pub async fn run(global: &Global, _args: &ValidateArgs, ui: Ui) -> Result<Exit, CommandError> {
    let stack = read_stack(global)?;
    let found = operations::validate(&stack, &project(global)).await?;
    found.warnings.iter().for_each(|text| ui.warn(text));
    if ui.json {
        ui.line(json!({
            "type": "valid", "extends": stack.extended_files, "stack": stack.name, "region": stack.region, "parts": found.parts,
            "warnings": found.warnings,
        }));
        return Ok(Exit::Done);
    }
    let parts = if found.parts.is_empty() { "no resources".to_owned() } else { found.parts.join(", ") };
    let extends = match stack.extended_files.is_empty() {
        true => String::new(),
        false => format!(" (extends {})", stack.extended_files.join(", ")),
    };
    ui.say(&format!(
        "{}{extends} is valid: stack {} in {}: {parts}",
        global.stack.display(),
        stack.name,
        stack.region
    ));
    Ok(Exit::Done)
}
