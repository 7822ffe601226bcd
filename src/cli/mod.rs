//! The commands: one file each.

mod args;
mod backend;
mod deploy;
mod doctor;
mod door;
mod down;
mod exit;
mod facts;
mod kubeconfig;
mod lock;
mod machine;
mod plan;
mod policy;
mod proof;
mod rollback;
mod sandbox;
mod saved;
mod schema;
mod session;
mod state;
mod status;
mod target;
mod token;
mod up;
mod url;

pub use exit::Exit;

use crate::ui::Ui;
use args::{Cli, Command};
use clap::Parser as _;
use exit::Failure;

/// Reads the arguments, does what they say, and reports what went wrong.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Invalid } else { Exit::Done };
        }
    };
    let ui = Ui::new(cli.global.json, cli.global.no_color, cli.global.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            ui.say(&format!("error: no runtime: {error}"));
            return Exit::Failed;
        }
    };
    let result = runtime.block_on(dispatch(cli, ui));
    // What still runs in the background must not hold the process.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit,
        Err(failure) => failure.report(&ui),
    }
}

async fn dispatch(cli: Cli, ui: Ui) -> Result<Exit, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Plan(args) => plan::run(&global, &args, ui).await,
        Command::Up(args) => up::run(&global, &args, ui).await,
        Command::Status(args) => status::run(&global, &args, ui).await,
        Command::Down(args) => down::run(&global, &args, ui).await,
        Command::Deploy(args) => deploy::run(&global, &args, ui).await,
        Command::Url => url::run(&global, ui).await,
        Command::Kubeconfig(args) => kubeconfig::run(&global, &args, ui).await,
        Command::Token(args) => token::run(&global, &args, ui).await,
        Command::State(command) => state::run(&global, &command, ui).await,
        Command::Sandbox(command) => sandbox::run(&global, &command, ui),
        Command::Doctor => doctor::run(&global, ui).await,
        Command::Policy(args) => policy::run(&global, &args, ui).await,
        Command::Schema => Ok(schema::run(ui)),
    }
}
