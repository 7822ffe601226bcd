//! `deploy`: builds and rolls out only the applications.

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
    operations::{PlanOptions, applications},
    stack::overrides::{Override, parse},
    ui::Ui,
};

/// Maximum length of a tag, in characters.
const MAX_TAG_LEN: usize = 128;

/// Build, push and roll out only the application, or some of several
#[derive(Debug, clap::Args)]
pub struct DeployArgs {
    /// Names of the applications, if the file has several [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Override a field of the application once, such as app.env.GREETING=hello; the next `up` reverts it
    #[arg(long, value_name = "PATH=VALUE", value_parser = parse)]
    pub set: Vec<Override>,
    /// Additional tag for the image
    #[arg(long, value_name = "TAG", value_parser = image_tag)]
    pub tag: Vec<String>,
    /// Look up again what the tags of images and base images point to, and resolve unpinned packages again
    #[arg(long)]
    pub refresh: bool,
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

/// Returns the overrides for each of the named applications.
fn overrides(args: &DeployArgs) -> Vec<Override> {
    let named = |name: &String| {
        let of = |one: &Override| Override { app: Some(name.clone()), ..one.clone() };
        args.set.iter().map(of).collect::<Vec<_>>()
    };
    match args.names.is_empty() {
        true => args.set.clone(),
        false => args.names.iter().flat_map(named).collect(),
    }
}

/// Builds and pushes the images, applies the manifests and waits for the rollout.
pub async fn run(global: &Global, args: &DeployArgs, ui: Ui) -> Result<Exit, CommandError> {
    if !global.yes && !ui.can_ask() {
        let hint = "pass `--yes` to skip all confirmation prompts";
        return Err(CommandError::refused(
            "`deploy` asks for confirmation before it changes anything, and no terminal is attached",
            hint,
        ));
    }
    let global = Global { overrides: overrides(args), ..global.clone() };
    let terminal = Terminal::new(&global, ui);
    let workspace = open(&global, &terminal).await?;
    applications(&workspace.stack, &args.names)?;
    for Override { path, .. } in &args.set {
        ui.warn(&format!(
            "{path} differs from the file: the next `up` reverts it, unless you change the file"
        ));
    }
    let options = PlanOptions {
        image_tags: args.tag.clone(),
        apps: args.names.clone(),
        refresh: args.refresh,
        take_fields: args.take.addresses(),
        only: Some(Stage::Application),
        ..plan_options(&global)
    };
    apply(&global, &terminal, &workspace, &options, None).await
}
