//! The list of commands. The arguments of a command are in its own file.

use super::{
    deploy::DeployArgs, doctor::DoctorArgs, down::DownArgs, exit::CODES, global_options::Global,
    kubeconfig::KubeconfigArgs, logs::LogsArgs, plan::PlanArgs, policy::PolicyArgs, sandbox::SandboxCommand,
    schema::SchemaArgs, state::StateCommand, status::StatusArgs, token::TokenArgs, up::UpArgs, url::UrlArgs,
};
use clap::{Parser, Subcommand};

/// Create a production EKS environment and its application from one file, calling the AWS API directly.
#[derive(Debug, Parser)]
#[command(name = "provisioner", version, after_help = CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
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
    Schema(SchemaArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
