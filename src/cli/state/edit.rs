//! The subcommands of `state` that write the state.

use super::super::{
    exit::{CommandError, Exit},
    global_options::Global,
    last_words::{conclude, exit_of, finish, not_begun},
    opening::{plan_options, run_options},
    run_guard::RunGuard,
    terminal::Terminal,
};
use crate::{
    model::Address,
    operations::{
        Conclusion, End, OperationError, PlanOptions, RunControl, Workspace, adopt, forget_records,
        missing_backend, older_state, push_state, rebuild_state, restore_backend, roll_back_state,
    },
};
use std::{path::Path, sync::Arc};

/// The hint for a command that asks without a terminal.
const PASS_YES: &str = "pass `--yes` to skip all confirmation prompts";

/// A command that writes the state, after confirmation.
pub struct Edit<'a> {
    /// The global options.
    pub global: &'a Global,
    /// Who is asked.
    pub terminal: &'a Arc<Terminal>,
    /// The stack.
    pub workspace: &'a Workspace,
}

impl Edit<'_> {
    /// `state push`: writes a state document from a file.
    pub async fn push(&self, file: &Path, force: bool) -> Result<Exit, CommandError> {
        self.written(async |control| push_state(self.workspace, control, file, force).await).await
    }

    /// `state rollback`: restores an older version.
    pub async fn roll_back(&self, version: &str) -> Result<Exit, CommandError> {
        let older = older_state(self.workspace, version).await?;
        self.written(async |control| roll_back_state(self.workspace, control, older.clone()).await).await
    }

    /// `state forget`: removes resources from the state; they stay in AWS.
    pub async fn forget(&self, addresses: &[String]) -> Result<Exit, CommandError> {
        let addresses: Vec<Address> = addresses.iter().map(|text| Address::from(text.as_str())).collect();
        self.written(async |control| forget_records(self.workspace, control, &addresses).await).await
    }

    /// `state import --from-tags`: rebuilds a lost state from the stack's tags.
    pub async fn rebuild(&self, force: bool) -> Result<Exit, CommandError> {
        let options = plan_options(self.global);
        self.written(async |control| rebuild_state(self.workspace, &options, control, force).await).await
    }

    /// Creates the backend that a lost state was in again.
    pub async fn restore_backend(&self) -> Result<Exit, CommandError> {
        let Some(lost) = missing_backend(self.workspace).await? else { return Ok(Exit::Done) };
        self.terminal.ui.warn(&lost.message);
        self.can_confirm(
            "creating the state bucket asks for confirmation, and no terminal is attached",
            PASS_YES,
        )?;
        let run = run_options(self.global);
        let conclusion =
            self.guarded(async |control| restore_backend(self.workspace, run, control).await).await?;
        match conclusion.end {
            End::Ran => Ok(conclude(self.terminal.ending(), &self.workspace.location(), &conclusion)),
            End::Failed(_) => finish(self.terminal.ending(), &self.workspace.location(), conclusion),
            end => not_begun(self.terminal.ending(), end),
        }
    }

    /// `state import ADDRESS ID`: adopts one existing resource.
    pub async fn adopt(&self, address: &str, id: &str, take_over: bool) -> Result<Exit, CommandError> {
        self.can_confirm(
            "`state import` asks for confirmation, and no terminal is attached",
            "add `--yes` to import without confirmation",
        )?;
        let options =
            PlanOptions { adopt: Some((Address::from(address), take_over)), ..plan_options(self.global) };
        let run = run_options(self.global);
        let adopted = self.guarded(async |control| adopt(self.workspace, &options, run, control, id).await);
        let conclusion: Conclusion = adopted.await?;
        match conclusion.end {
            // The last words are said.
            End::Ran => Ok(exit_of(self.terminal.ending(), &conclusion)),
            end => not_begun(self.terminal.ending(), end),
        }
    }

    fn can_confirm(&self, message: &str, hint: &str) -> Result<(), CommandError> {
        match self.global.yes || self.terminal.ui.can_ask() {
            true => Ok(()),
            false => Err(CommandError::refused(message, hint)),
        }
    }

    /// Runs an operation under the guard of signals and the timeout.
    async fn guarded<T>(&self, operation: impl AsyncFnOnce(&RunControl) -> T) -> Result<T, CommandError> {
        let guard = RunGuard::open(self.terminal, self.global.timeout)?;
        let result = operation(&guard.control).await;
        guard.close().await;
        Ok(result)
    }

    /// Runs an operation that writes the state, and returns the exit code.
    async fn written(
        &self,
        operation: impl AsyncFnOnce(&RunControl) -> Result<bool, OperationError>,
    ) -> Result<Exit, CommandError> {
        self.can_confirm("writing the state asks for confirmation, and no terminal is attached", PASS_YES)?;
        if self.guarded(operation).await?? {
            return Ok(Exit::Done);
        }
        self.terminal.ui.tell("nothing was changed");
        Ok(Exit::Failed)
    }
}
