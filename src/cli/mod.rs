//! The commands, each in a file of its own.

mod args;
mod completions;
mod consent;
mod deploy;
mod doctor;
mod down;
mod exit;
mod foreign_words;
mod global_options;
mod graph_command;
mod graph_page;
mod graph_shape;
#[cfg(test)]
mod help_tests;
mod init;
mod kubeconfig;
mod last_words;
mod logs;
mod man;
mod opening;
mod plan;
mod policy;
mod run_guard;
mod sandbox;
mod schema;
mod starter_files;
mod state;
mod status;
mod take_fields;
mod terminal;
mod timeline_text;
mod token;
mod up;
mod url;
mod validate_command;

pub use exit::Exit;

use crate::ui::{Ui, stdout_error};
use args::{Cli, Command};
use clap::{CommandFactory as _, Parser as _};
use exit::CommandError;

/// Parses the arguments, runs the command and reports its error.
pub fn main() -> Exit {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(mut error) => {
            // `--help` and `--version` go to stdout and are not errors.
            if error.use_stderr() {
                foreign_words::advise(&mut error);
                // It quotes the arguments.
                let (ui, text) = (Ui::new(false, false, 0), error.render());
                let text = if ui.colour { text.ansi().to_string() } else { text.to_string() };
                ui.say(text.trim_end());
                return Exit::Invalid;
            }
            return match error.print() {
                Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed,
                _ => Exit::Done,
            };
        }
    };
    if let Command::Plan(plan::PlanArgs { format: plan::PlanFormat::Json, .. }) = &cli.command {
        cli.global.json = true;
    }
    let ui = Ui::new(cli.global.json, cli.global.no_color, cli.global.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            ui.say(&format!("error: cannot start the async runtime: {error}"));
            return Exit::Failed;
        }
    };
    let result = runtime.block_on(dispatch(cli, ui));
    // Background tasks must not delay the exit.
    runtime.shutdown_background();
    let exit = match result {
        Ok(exit) => exit,
        Err(failure) => failure.report(&ui),
    };
    match stdout_error() {
        Some(cause) => {
            ui.say(&format!("error: cannot write to stdout: {cause}"));
            output_lost(exit)
        }
        None => exit,
    }
}

/// Returns the exit code of a command whose output could not be written.
fn output_lost(exit: Exit) -> Exit {
    match exit {
        Exit::Done | Exit::Changes if last_words::has_changed() => Exit::Partial,
        Exit::Done | Exit::Changes => Exit::Failed,
        exit => exit,
    }
}

async fn dispatch(cli: Cli, ui: Ui) -> Result<Exit, CommandError> {
    let global = cli.global;
    match cli.command {
        Command::Plan(args) => plan::run(&global, &args, ui).await,
        Command::Up(args) => up::run(&global, &args, ui).await,
        Command::Status(args) => status::run(&global, &args, ui).await,
        Command::Down(args) => down::run(&global, &args, ui).await,
        Command::Deploy(args) => deploy::run(&global, &args, ui).await,
        Command::Logs(args) => logs::run(&global, &args, ui).await,
        Command::Url(args) => url::run(&global, &args, ui).await,
        Command::Kubeconfig(args) => kubeconfig::run(&global, &args, ui).await,
        Command::Token(args) => token::run(&global, &args, ui).await,
        Command::State(command) => state::run(&global, &command, ui).await,
        Command::Sandbox(command) => sandbox::run(&global, &command, ui),
        Command::Doctor(args) => doctor::run(&global, &args, ui).await,
        Command::Policy(args) => policy::run(&global, &args, ui).await,
        Command::Init(args) => init::run(&global, &args, ui),
        Command::Validate(args) => validate_command::run(&global, &args, ui).await,
        Command::Completions(args) => completions::run(&args, Cli::command(), ui),
        Command::Man(args) => man::run(&args, Cli::command(), ui),
        Command::Graph(args) => graph_command::run(&global, &args, ui).await,
        Command::Schema(args) => Ok(schema::run(&args, ui)),
    }
}
