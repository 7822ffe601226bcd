//! `deploy`: the application alone.

use super::{
    args::{Deploy as Args, Global},
    exit::{Exit, Failure},
    session::Session,
    up::whole,
};
use crate::{model::Stage, ui::Ui};

/// Builds, pushes, applies, waits.
pub async fn run(global: &Global, args: &Args, ui: Ui) -> Result<Exit, Failure> {
    if !global.yes && !ui.can_ask() {
        let hint = "give --yes";
        return Err(Failure::refused(
            "`deploy` asks before it changes anything, and there is no terminal to ask on",
            hint,
        ));
    }
    let global = Global { overrides: args.set.clone(), ..global.clone() };
    let mut session = Session::open(&global, ui).await?;
    if session.stack.app.is_none() {
        return Err(Failure::refused(
            "the file has no `app`, so there is nothing to deploy",
            "add `app: {}`",
        ));
    }
    for (path, _) in &args.set {
        session.ui.warn(&format!(
            "{path} differs from the file: the next `up` sets it back, unless the file says the same"
        ));
    }
    session.image_tags.clone_from(&args.tag);
    session.only = Some(Stage::Application);
    whole(&session, None).await
}
