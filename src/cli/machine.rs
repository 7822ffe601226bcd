//! This process and this machine, for the lease: who holds it, and whether a holder is certainly dead.

use crate::{
    engine::{LEASE, Patience},
    model::{HeldBy, Process},
};
use rustix::time::{ClockId, clock_gettime};
use std::{fs, time::Duration};

/// What `/proc` says of a process: its state letter and its start in ticks since boot. None where there is none.
fn stat(pid: u32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses; the fields count from behind the last one.
    let rest = text.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// This process.
pub fn process() -> Process {
    let pid = std::process::id();
    Process {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        pid_namespace: fs::read_link("/proc/self/ns/pid")
            .map(|p| p.display().to_string())
            .unwrap_or_default(),
        pid,
        started: stat(pid).map(|(_, started)| started).unwrap_or_default(),
    }
}

/// This process as a holder of the lease.
pub fn holder(run: &str) -> HeldBy {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    // Values of options could be secret; the command's words are not.
    let words = std::env::args().skip(1).filter(|word| !word.contains('='));
    HeldBy {
        owner: run.to_owned(),
        user: user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())),
        process: process(),
        command: std::iter::once("provisioner".to_owned()).chain(words).collect::<Vec<_>>().join(" "),
        fence: 0,
        record: uuid::Uuid::new_v4().to_string(),
        lease_ms: u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX),
        since: crate::ui::now(),
    }
}

/// Whether two processes count their ids alike: same boot, same pid namespace. Where the machine does not say, they
/// do not.
fn same_machine(one: &Process, other: &Process) -> bool {
    !one.boot_id.is_empty()
        && !one.pid_namespace.is_empty()
        && one.boot_id == other.boot_id
        && one.pid_namespace == other.pid_namespace
}

/// Whether a process is certainly dead.
pub fn is_dead(process: &Process) -> bool {
    let gone = || stat(process.pid).is_none_or(|(state, started)| started != process.started || state == 'Z');
    same_machine(process, &self::process()) && process.started != 0 && gone()
}

/// The clock and the process table of this machine.
pub struct Machine;

impl Patience for Machine {
    fn since_boot(&self) -> Duration {
        // The monotonic clock stops while the machine sleeps; this one does not.
        let time = clock_gettime(ClockId::Boottime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or_default(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        )
    }

    fn is_dead(&self, process: &Process) -> bool {
        is_dead(process)
    }

    fn is_alive(&self, process: &Process) -> bool {
        let runs = stat(process.pid).is_some_and(|(state, started)| {
            started == process.started && !matches!(state, 'T' | 't' | 'Z' | 'X')
        });
        same_machine(process, &self::process()) && runs
    }
}

/// Seconds since 1970.
pub fn epoch_seconds() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_its_number_at_another_start_is_dead() {
        let me = process();
        assert!(!is_dead(&me) && Machine.is_alive(&me), "{me:?}");
        assert!(is_dead(&Process { started: me.started + 1, ..me.clone() }));
        let elsewhere = Process { boot_id: "another".into(), started: 1, ..me };
        assert!(!is_dead(&elsewhere), "nothing is known of another machine's processes");
    }
}
