//! This process and this machine, for the lease: who holds it, and whether a holder is certainly dead.

use crate::{
    engine::{Host, LEASE, Liveness},
    model::{LeaseHolder, Process},
};
use rustix::time::{ClockId, clock_gettime};
use std::{fs, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Returns a process's state letter and its start in ticks since boot, from `/proc`. `None` if it does not
/// exist.
fn stat(pid: u32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain spaces and parentheses; the fields start after the last one.
    let rest = text.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Returns what identifies this process on any machine: host, boot, pid namespace, pid and start.
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

/// Returns this process as the holder of the lease for a run of `command`. The fence is still 0.
pub fn holder(run: &str, command: &str) -> LeaseHolder {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    LeaseHolder {
        owner: run.to_owned(),
        user: user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())),
        process: process(),
        command: command.to_owned(),
        fence: 0,
        record: uuid::Uuid::new_v4().to_string(),
        lease_ms: u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX),
        since: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
    }
}

/// Returns whether the pids of two processes can be compared: same boot, same pid namespace. If either is
/// unknown, they cannot.
fn same_machine(one: &Process, other: &Process) -> bool {
    !one.boot_id.is_empty()
        && !one.pid_namespace.is_empty()
        && one.boot_id == other.boot_id
        && one.pid_namespace == other.pid_namespace
}

/// The clocks and the process table of this machine.
pub struct LocalMachine;

impl Host for LocalMachine {
    fn epoch_seconds(&self) -> i64 {
        time::OffsetDateTime::now_utc().unix_timestamp()
    }

    fn since_boot(&self) -> Duration {
        // The monotonic clock stops while the machine sleeps; this one does not.
        let time = clock_gettime(ClockId::Boottime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or_default(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        )
    }

    fn liveness(&self, process: &Process) -> Liveness {
        if !same_machine(process, &self::process()) || process.started == 0 {
            return Liveness::Unknown;
        }
        match stat(process.pid) {
            Some((state, started)) if started == process.started => match state {
                'Z' | 'X' => Liveness::Dead,
                'T' | 't' => Liveness::Unknown,
                _ => Liveness::Alive,
            },
            _ => Liveness::Dead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_its_number_at_another_start_is_dead() {
        let me = process();
        assert_eq!(LocalMachine.liveness(&me), Liveness::Alive, "{me:?}");
        let earlier = Process { started: me.started + 1, ..me.clone() };
        assert_eq!(LocalMachine.liveness(&earlier), Liveness::Dead);
        let elsewhere = Process { boot_id: "another".into(), started: 1, ..me };
        assert_eq!(LocalMachine.liveness(&elsewhere), Liveness::Unknown);
    }
}
