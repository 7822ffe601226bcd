//! The lines of a run's progress. Pure.

use crate::model::{Action, Address, Verb, counted, one_line, rough};
use std::time::Duration;

/// What is done, and which half of a replacement it is.
pub type Did = (Action, Verb);

fn verb((action, half): Did, done: bool) -> &'static str {
    let action = match (action, half) {
        (Action::Replace, Verb::Remove) => Action::Delete,
        _ => action,
    };
    match (action, done) {
        (Action::Create, false) => "creating",
        (Action::Create, true) => "created",
        (Action::Update, false) => "updating",
        (Action::Update, true) => "updated",
        (Action::Replace, false) => "replacing",
        (Action::Replace, true) => "replaced",
        (Action::Delete, false) => "deleting",
        (Action::Delete, true) => "deleted",
        (Action::Adopt, false) => "adopting",
        (Action::Adopt, true) => "adopted",
    }
}

/// The shortest expected duration that is worth telling.
const WORTH_TELLING: Duration = Duration::from_secs(10);

/// Returns the heading of a run.
pub fn heading(steps: usize, whole: Duration) -> String {
    match whole >= WORTH_TELLING {
        true => format!("{}, about {}", counted(steps, "step"), rough(whole)),
        false => counted(steps, "step"),
    }
}

/// Returns the line of a long step that starts.
pub fn starting(address: &Address, did: Did, expected: Duration) -> String {
    one_line(&format!("{address}: {}, usually {}", verb(did, false), rough(expected))).into_owned()
}

/// Returns the line of a step that is complete.
pub fn done(address: &Address, did: Did, time: Duration) -> String {
    format!("{address}: {} in {}", verb(did, true), seconds(time))
}

/// Returns the line of a step that failed.
pub fn failed(address: &Address, did: Did, time: Duration) -> String {
    format!("{address}: {} failed after {}", verb(did, false), seconds(time))
}

/// Returns the text beside the spinner of a step. The end is cut off on a narrow terminal, so the address is first.
pub fn running(address: &Address, did: Did, expected: Option<Duration>, waits: &str) -> String {
    let mut text = format!("{address} {}", verb(did, false));
    if let Some(expected) = expected.filter(|time| *time >= WORTH_TELLING) {
        text.push_str(&format!(", usually {}", rough(expected)));
    }
    if !waits.is_empty() && waits != verb(did, false) {
        text.push_str(&format!(" ({waits})"));
    }
    one_line(&text).into_owned()
}

/// Returns the text beside the bar of the run.
pub fn left(time: Duration) -> String {
    if time.is_zero() { String::new() } else { format!("about {} left", rough(time)) }
}

/// What a heartbeat tells.
pub struct Beat<'a> {
    /// Address of the running step that most of the run waits for.
    pub address: &'a Address,
    /// What is done.
    pub did: Did,
    /// How long it has been running.
    pub elapsed: Duration,
    /// How long it should take.
    pub expected: Option<Duration>,
    /// What it waits for.
    pub waits: &'a str,
    /// How many other steps are running.
    pub more: usize,
    /// How many steps are complete.
    pub done: &'a str,
    /// How long the run should still take.
    pub left: Duration,
}

/// Returns the line of a heartbeat.
pub fn still(beat: &Beat<'_>) -> String {
    let mut text = format!("{}: still {}, {}", beat.address, verb(beat.did, false), seconds(beat.elapsed));
    if let Some(expected) = beat.expected.filter(|time| *time >= WORTH_TELLING) {
        text.push_str(&format!(" of usually {}", rough(expected)));
    }
    if !beat.waits.is_empty() && beat.waits != verb(beat.did, false) {
        text.push_str(&format!(" ({})", beat.waits));
    }
    if beat.more > 0 {
        text.push_str(&format!("; {} more running", beat.more));
    }
    text.push_str(&format!("; {}", beat.done));
    let left = left(beat.left);
    if !left.is_empty() {
        text.push_str(&format!(", {left}"));
    }
    one_line(&text).into_owned()
}

/// Returns a time such as `0.4 s`, `45 s` or `12 min 5 s`.
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        whole @ 10..60 => format!("{whole} s"),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_step_fits_a_terminal_of_sixty_columns() {
        let create = (Action::Create, Verb::Ensure);
        let address = Address::new("cluster/eks");
        let text = running(&address, create, Some(Duration::from_secs(560)), "creating");
        assert_eq!(text, "cluster/eks creating, usually 9 min");
        let text = running(&address, create, Some(Duration::from_secs(560)), "2 of 3 nodes\nready");
        assert_eq!(text, "cluster/eks creating, usually 9 min (2 of 3 nodes\\nready)");
        assert!(running(&address, create, Some(Duration::from_secs(1)), "").ends_with("creating"));
        // "  12s " and "12m34s [bar of 20] 12/48 " stand before these texts.
        assert!(left(Duration::from_secs(4_000)).len() < 26);
    }

    #[test]
    fn a_heartbeat_names_the_step_that_the_run_waits_for() {
        let address = Address::new("cluster/eks");
        let beat = Beat {
            address: &address,
            did: (Action::Create, Verb::Ensure),
            elapsed: Duration::from_secs(270),
            expected: Some(Duration::from_secs(560)),
            waits: "creating",
            more: 3,
            done: "33 of 48 done",
            left: Duration::from_secs(450),
        };
        assert_eq!(
            still(&beat),
            "cluster/eks: still creating, 4 min 30 s of usually 9 min; 3 more running; 33 of 48 done, about 8 min left"
        );
    }
}
