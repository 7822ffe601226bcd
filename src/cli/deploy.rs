//! `deploy`: builds and rolls out only the application.

use super::{
    exit::{CommandError, Exit},
    global_options::Global,
    opening::{open, plan_options},
    take_fields::TakeFields,
    terminal::Terminal,
    up::apply,
};
use crate::{
    model::Stage,
    operations::PlanOptions,
    stack::overrides::{self, Override},
    ui::Ui,
};

/// Maximum length of a tag, in characters.
const MAX_TAG_LEN: usize = 128;

/// Build, push and roll out only the application
#[derive(Debug, clap::Args)]
pub struct DeployArgs {
    /// Override a field of the application once, such as app.env.GREETING=hello; the next `up` reverts it
    #[arg(long, value_name = "PATH=VALUE", value_parser = overrides::parse)]
    pub set: Vec<Override>,
    /// Additional tag for the image
    #[arg(long, value_name = "TAG", value_parser = image_tag)]
    pub tag: Vec<String>,
    #[command(flatten)]
    pub take: TakeFields,
}

/// Parses a tag of an image.
///
/// Source: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
fn image_tag(text: &str) -> Result<String, String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_valid = text.len() <= MAX_TAG_LEN
        && text.starts_with(is_word)
        && text.chars().all(|c| is_word(c) || ".-".contains(c));
    if is_valid {
        return Ok(text.to_owned());
    }
    Err(format!(
        "a tag has 1 to {MAX_TAG_LEN} letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`"
    ))
}

/// Builds and pushes the image, applies the manifests and waits for the rollout.
pub async fn run(global: &Global, args: &DeployArgs, ui: Ui) -> Result<Exit, CommandError> {
    if !global.yes && !ui.can_ask() {
        let hint = "pass `--yes` to skip all confirmation prompts";
        return Err(CommandError::refused(
            "`deploy` asks for confirmation before it changes anything, and no terminal is attached",
            hint,
        ));
    }
    let global = Global { overrides: args.set.clone(), ..global.clone() };
    let terminal = Terminal::new(&global, ui);
    let workspace = open(&global, &terminal).await?;
    if workspace.stack.app.is_none() {
        return Err(CommandError::refused(
            "the stack file has no `app`, so nothing can be deployed",
            "add `app: {}` to the stack file",
        ));
    }
    for (path, _) in &args.set {
        ui.warn(&format!(
            "{path} differs from the file: the next `up` reverts it, unless you change the file"
        ));
    }
    let options = PlanOptions {
        image_tags: args.tag.clone(),
        take_fields: args.take.addresses(),
        only: Some(Stage::Application),
        ..plan_options(&global)
    };
    apply(&global, &terminal, &workspace, &options, None).await
}
