//! Proves that a recorded process is the sandbox that recorded it, before anything is sent to it.
//!
//! Process IDs and ports are taken again by other programs, and the record is in a folder that may come
//! from elsewhere. On Linux the kernel tells the process's user, its start time and its sockets. Elsewhere only the
//! sandbox's answer tells that it is the recorded process (`server.rs`).

use rustix::process::{Pid, Signal};

/// What a sandbox recorded of its process.
#[derive(Clone, Copy, Debug)]
pub struct OwnedProcess {
    /// Process ID, as it was read.
    pub pid: i32,
    /// Start of the process in clock ticks since the start of the machine; Linux only.
    pub start_time: Option<u64>,
    /// Port on 127.0.0.1 at which it listens.
    pub port: u16,
}

impl OwnedProcess {
    /// Returns the process ID if it can be one: 0 and negative numbers name groups of processes.
    fn id(self) -> Option<Pid> {
        if self.pid > 0 { Pid::from_raw(self.pid) } else { None }
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use super::{OwnedProcess, Signal};
    use rustix::process::{PidfdFlags, geteuid, kill_process, pidfd_open, pidfd_send_signal};
    use std::{
        fs::{self, File},
        io::{self, BufRead as _, BufReader},
        os::unix::fs::MetadataExt as _,
    };

    /// How often the kernel's table of sockets is read: a line may be missing while it changes.
    const TABLE_READS: usize = 3;

    /// State of a listening socket in `/proc/net/tcp`. Source: `proc_pid_net(5)`, `include/net/tcp_states.h`.
    const LISTENS: &str = "0A";

    impl OwnedProcess {
        /// Returns whether the process exists, is this user's, started at the recorded time and listens at the
        /// recorded port.
        pub fn is_running(self) -> bool {
            let Some(pid) = self.id() else { return false };
            let folder = format!("/proc/{pid}");
            let own = fs::metadata(&folder).is_ok_and(|found| found.uid() == geteuid().as_raw());
            let started = self.start_time.is_some() && start_time(&folder) == self.start_time;
            own && started && (0..TABLE_READS).any(|_| listens(&folder, self.port))
        }

        /// Ends the process. Returns whether it was still the recorded one, and was signalled.
        ///
        /// # Errors
        /// If the kernel refuses the signal.
        pub fn terminate(self) -> io::Result<bool> {
            let Some(pid) = self.id() else { return Ok(false) };
            // A handle of the process first: its ID may be taken by another one between look and signal.
            let handle = match pidfd_open(pid, PidfdFlags::empty()) {
                Ok(handle) => Some(handle),
                Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => None,
                Err(_) => return Ok(false),
            };
            if !self.is_running() {
                return Ok(false);
            }
            match handle {
                Some(handle) => pidfd_send_signal(handle, Signal::TERM)?,
                None => kill_process(pid, Signal::TERM)?,
            }
            Ok(true)
        }
    }

    /// Returns the start time of a process. Source: field 22 of `proc_pid_stat(5)`.
    fn start_time(folder: &str) -> Option<u64> {
        let text = fs::read_to_string(format!("{folder}/stat")).ok()?;
        // The second field is the program's name in parentheses, which may contain blanks and parentheses.
        let (_, fields) = text.rsplit_once(')')?;
        fields.split_whitespace().nth(19)?.parse().ok()
    }

    /// Returns whether a process has the socket that listens at 127.0.0.1 and this port.
    fn listens(folder: &str, port: u16) -> bool {
        let Some(inode) = listening_socket(port) else { return false };
        let wanted = format!("socket:[{inode}]");
        let files = fs::read_dir(format!("{folder}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|link| link.as_os_str() == wanted.as_str())
    }

    /// Returns the inode of the socket that listens at 127.0.0.1 and this port.
    fn listening_socket(port: u16) -> Option<String> {
        // The kernel writes an address in the machine's own byte order.
        let address = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
        // Listening sockets come first, so that little of a long table is read.
        for line in BufReader::new(File::open("/proc/net/tcp").ok()?).lines() {
            let line = line.ok()?;
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..]
                && local == address
                && state == LISTENS
            {
                return Some(inode.to_owned());
            }
        }
        None
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::{OwnedProcess, Signal};
    use rustix::process::{kill_process, test_kill_process};
    use std::io;

    impl OwnedProcess {
        /// Returns whether a process with this ID exists that this user may signal.
        pub fn is_running(self) -> bool {
            self.id().is_some_and(|pid| test_kill_process(pid).is_ok())
        }

        /// Ends the process. Returns whether it was signalled.
        ///
        /// # Errors
        /// If the kernel refuses the signal.
        pub fn terminate(self) -> io::Result<bool> {
            match self.id() {
                Some(pid) => Ok(kill_process(pid, Signal::TERM).map(|()| true)?),
                None => Ok(false),
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::OwnedProcess;
    use std::{
        net::TcpListener,
        process::{Child, Command, Stdio},
    };

    fn own_start() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap();
        text.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().ok()
    }

    fn this(port: u16) -> OwnedProcess {
        OwnedProcess { pid: i32::try_from(std::process::id()).unwrap(), start_time: own_start(), port }
    }

    #[test]
    fn a_process_counts_by_its_start_and_its_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(this(port).is_running());
        assert!(!OwnedProcess { start_time: own_start().map(|ticks| ticks + 1), ..this(port) }.is_running());
        assert!(!OwnedProcess { start_time: None, ..this(port) }.is_running());
        drop(listener);
        assert!(!this(port).is_running());
    }

    #[test]
    fn another_process_is_never_signalled() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // It inherits no socket, and listens nowhere.
        let mut child: Child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        for pid in [pid, -pid, 0, -1, i32::MIN, i32::MAX] {
            let other = OwnedProcess { pid, ..this(port) };
            assert!(!other.is_running(), "{pid}");
            assert!(!other.terminate().unwrap(), "{pid}");
        }
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
