//! The list of commands. The arguments of a command are in its own file.

use super::{
    completions::CompletionsArgs, deploy::DeployArgs, doctor::DoctorArgs, down::DownArgs, exit::CODES,
    global_options::Global, graph_command::GraphArgs, init::InitArgs, kubeconfig::KubeconfigArgs,
    logs::LogsArgs, man::ManArgs, plan::PlanArgs, policy::PolicyArgs, sandbox::SandboxCommand,
    schema::SchemaArgs, state::StateCommand, status::StatusArgs, token::TokenArgs, up::UpArgs, url::UrlArgs,
    validate_command::ValidateArgs,
};
use clap::{Parser, Subcommand};

/// What `--version` prints after the name: the version, and the commit and its date where the build knows them.
const LONG_VERSION: &str = env!("PROVISIONER_LONG_VERSION");

/// Create a production EKS environment and its application from one file, calling the AWS API directly.
#[derive(Debug, Parser)]
#[command(name = "provisioner", version, long_version = LONG_VERSION, after_help = CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Init(InitArgs),
    Validate(ValidateArgs),
    Plan(PlanArgs),
    Up(UpArgs),
    Status(StatusArgs),
    Down(DownArgs),
    Deploy(DeployArgs),
    Url(UrlArgs),
    Logs(LogsArgs),
    Kubeconfig(KubeconfigArgs),
    Token(TokenArgs),
    #[command(subcommand)]
    State(StateCommand),
    #[command(subcommand)]
    Sandbox(SandboxCommand),
    Doctor(DoctorArgs),
    Policy(PolicyArgs),
    Graph(GraphArgs),
    Schema(SchemaArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_long_version_begins_with_the_version() {
        assert!(LONG_VERSION.starts_with(env!("CARGO_PKG_VERSION")), "{LONG_VERSION}");
    }

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
