//! What can be typed.

use super::exit::CODES;
use crate::{
    sandbox::Kubernetes,
    stack::overrides::{self, Override},
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// A production EKS environment and the application on it, from one file, straight through the AWS API.
#[derive(Debug, Parser)]
#[command(name = "provisioner", version, after_help = CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The stack file
    #[arg(long, global = true, value_name = "FILE", default_value = "stack.yaml")]
    pub stack: PathBuf,
    /// Only these addresses or stages, and what they stand on
    #[arg(long, global = true, value_name = "ADDRESS", num_args = 1..)]
    pub target: Vec<String>,
    /// Ask nothing
    #[arg(long, global = true)]
    pub yes: bool,
    /// Use the AWS on loopback, started where it is not running
    #[arg(long, global = true)]
    pub sandbox: bool,
    /// JSON lines on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// No colour
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Tell more: the fields of what is made; twice, every look
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How many resources are worked on at once
    #[arg(long, global = true, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallelism: u16,
    /// End the run in good order after this time (90s, 45m, 2h)
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How long to wait for a holder of the lease that is alive
    #[arg(long, global = true, value_name = "DURATION", default_value = "0", value_parser = duration)]
    pub lock_timeout: Duration,
    /// Values in the place of the file's.
    #[arg(skip)]
    pub overrides: Vec<Override>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what `up` would do, field by field, against the live account
    Plan(Plan),
    /// Make the account as the file says
    Up(Up),
    /// Show what exists, whether it is healthy, what drifted, and who holds the lease
    Status(Status),
    /// Remove the stack, and prove by a tag query that nothing is left
    Down(Down),
    /// Build, push and roll out the application alone
    Deploy(Deploy),
    /// Print the application's address, once it answers
    Url,
    /// Write the cluster into a kubeconfig file, for kubectl and others
    Kubeconfig(Kubeconfig),
    /// Print a token for the cluster, as kubectl asks for it
    Token(Token),
    /// Look at the state, and unlock it
    #[command(subcommand)]
    State(State),
    /// The AWS on loopback
    #[command(subcommand)]
    Sandbox(Sandbox),
    /// Check, before anything is made, that `up` has what it needs
    Doctor,
    /// Print the least-privilege IAM policy that the stack needs
    Policy(Policy),
    /// Print the JSON Schema of the stack file
    Schema,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PlanWhat {
    /// The same as `plan` alone
    Diff,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// `plan diff` is `plan`
    pub what: Option<PlanWhat>,
    /// Save the plan for `up FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Return 2 when there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Take the newest Bottlerocket release for all node groups
    #[arg(long)]
    pub upgrade_nodes: bool,
}

#[derive(Debug, Args)]
pub struct Up {
    /// A plan that `plan --out` saved: exactly this is applied, or nothing
    pub plan: Option<PathBuf>,
    /// Take the newest Bottlerocket release for all node groups
    #[arg(long)]
    pub upgrade_nodes: bool,
}

#[derive(Debug, Args)]
pub struct Deploy {
    /// A field of the application for this time, such as app.env.GREETING=hello; the next `up` goes by the file again
    #[arg(long, value_name = "PATH=VALUE", value_parser = overrides::parse)]
    pub set: Vec<Override>,
    /// A further tag for the image
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Kubeconfig {
    /// The file; the first of `KUBECONFIG`, or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The context's name; the stack's
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Leave the current context as it is
    #[arg(long)]
    pub keep_current: bool,
}

#[derive(Debug, Args)]
pub struct Token {
    /// The cluster's name, with --region; else the stack file says both
    #[arg(long, value_name = "NAME", requires = "region")]
    pub cluster: Option<String>,
    /// The cluster's region
    #[arg(long, value_name = "REGION", requires = "cluster")]
    pub region: Option<String>,
}

#[derive(Debug, Args)]
pub struct Policy {
    /// The rights to make and remove the state bucket, the lock table and their key instead
    #[arg(long)]
    pub bootstrap: bool,
    /// Write numbered files there, each short enough for IAM
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Show it again every few seconds until interrupted
    #[arg(long)]
    pub watch: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DownWhat {
    /// Only the application's objects and image
    App,
}

#[derive(Debug, Args)]
pub struct Down {
    /// What to remove; all of the stack where nothing is said
    pub what: Option<DownWhat>,
    /// Remove the state bucket, the lock table and their key, too, when no other stack's state is in it
    #[arg(long)]
    pub backend: bool,
}

#[derive(Debug, Subcommand)]
pub enum State {
    /// The recorded resources
    List,
    /// One record, as JSON
    Show {
        /// The resource's address
        address: String,
    },
    /// The versions that the bucket keeps, newest first
    History {
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Print the state document as it is in the bucket
    Pull,
    /// Write the state document of a file, such as one that a run left when it could not write
    Push {
        /// The file
        file: PathBuf,
        /// Write it also over a newer version, or over another stack's of this name
        #[arg(long)]
        force: bool,
    },
    /// Make an older version the newest; nothing in AWS changes
    Rollback {
        /// A version's number, or its id in the bucket
        version: String,
    },
    /// Drop records; the resources stay. What still carries the stack's tags is taken up by the next `up` where the file
    /// names it, and removed by `down`
    Forget {
        /// The resources' addresses
        #[arg(required = true)]
        addresses: Vec<String>,
    },
    /// Rebuild a lost state from what carries the stack's tags
    Import {
        /// The only source there is
        #[arg(long, required = true)]
        from_tags: bool,
        /// Also where there is a sound state
        #[arg(long)]
        force: bool,
    },
    /// Take the lease from its holder; without a fence, only show who holds it
    Unlock {
        /// The fence that `state unlock` shows
        fence: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Sandbox {
    /// Start it
    Start {
        /// The port; 0: any free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// How many times faster than AWS things go
        #[arg(long, value_name = "N", value_parser = positive)]
        time_scale: Option<f64>,
        /// Who serves clusters: alone, a real API server (Go builds it once, some minutes); it stays so for later starts
        #[arg(long, value_name = "WHO", value_enum, num_args = 0..=1, default_missing_value = "real", require_equals = true)]
        kubernetes: Option<Kubernetes>,
    },
    /// Stop it; what is in it is lost
    Stop,
    /// Whether it runs, and where
    Status,
    /// Empty it
    Reset,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

/// `90`, `90s`, `45m`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text.trim() {
        text if text.ends_with('h') => (text.trim_end_matches('h'), 3600),
        text if text.ends_with('m') => (text.trim_end_matches('m'), 60),
        text => (text.trim_end_matches('s'), 1),
    };
    let count: u64 = number.parse().map_err(|_| format!("`{text}` is no duration: 90s, 45m and 2h are"))?;
    count.checked_mul(factor).map(Duration::from_secs).ok_or_else(|| format!("`{text}` is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        let read = |text| duration(text).ok().map(|time| time.as_secs());
        assert_eq!(["0", "90s", "45m", "2h"].map(read), [Some(0), Some(90), Some(2700), Some(7200)]);
        assert_eq!(["", "s", "-1", "1d", "99999999999999999999h"].map(read), [None; 5]);
    }
}
