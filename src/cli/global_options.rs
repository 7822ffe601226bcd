//! The options that every command takes.

use crate::stack::overrides::Override;
use clap::Args;
use std::{path::PathBuf, time::Duration};

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Path of the stack file
    #[arg(long, global = true, value_name = "FILE", default_value = "stack.yaml")]
    pub stack: PathBuf,
    /// Limit the operation to these addresses or stages and their dependencies
    #[arg(long, global = true, value_name = "ADDRESS", num_args = 1..)]
    pub target: Vec<String>,
    /// Replace or delete this resource even though its data is lost (repeatable)
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub replace: Vec<String>,
    /// Skip all confirmation prompts
    #[arg(long, global = true)]
    pub yes: bool,
    /// Use the local AWS sandbox, and start it if it is not running
    #[arg(long, global = true)]
    pub sandbox: bool,
    /// Print JSON lines on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Disable coloured output
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Show more detail (-v: fields of new resources, -vv: every poll)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Maximum number of resources to work on at once
    #[arg(long, global = true, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallelism: u16,
    /// Stop the run gracefully after this time (90s, 45m, 2h)
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How long to wait for the state lock; with 0, a live holder ends the command
    #[arg(long, global = true, value_name = "DURATION", default_value = "0", value_parser = duration)]
    pub lock_timeout: Duration,
    /// Values that override the stack file, set by the command.
    #[arg(skip)]
    pub overrides: Vec<Override>,
}

/// Parses a duration such as `90`, `90s`, `45m` or `2h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text.trim() {
        text if text.ends_with('h') => (text.trim_end_matches('h'), 3600),
        text if text.ends_with('m') => (text.trim_end_matches('m'), 60),
        text => (text.trim_end_matches('s'), 1),
    };
    let count: u64 = number.parse().map_err(|_| "expected a duration such as 90s, 45m or 2h".to_owned())?;
    count.checked_mul(factor).map(Duration::from_secs).ok_or_else(|| "the duration is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let read = |text| duration(text).ok().map(|time| time.as_secs());
        assert_eq!(["0", "90s", "45m", "2h"].map(read), [Some(0), Some(90), Some(2700), Some(7200)]);
        assert_eq!(["", "s", "-1", "1d", "99999999999999999999h"].map(read), [None; 5]);
    }
}
