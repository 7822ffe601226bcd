//! Ends what hangs. libtest waits for a test forever, so one program that never ends would cost the whole run, and
//! nothing would say which. Here a program that a test started and that is overdue is named and killed, which fails its
//! test with what it printed; a test that waits for something else ends the run.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::HashMap,
    fs,
    io::Write as _,
    path::Path,
    sync::Once,
    time::{Duration, Instant},
};

/// How long a test, or a program of one, may run: several times what the longest takes on two cores.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// How long a test may continue after its programs were killed.
const GRACE: Duration = Duration::from_secs(2 * 60);

/// How often this looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// What runs: a program that a test started, or the thread of a test, by the number that the system gave it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Runner {
    id: i32,
    name: String,
    is_program: bool,
}

/// Starts to look, once in this program.
pub fn watch() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        std::thread::Builder::new().name("overdue".to_owned()).spawn(look).unwrap();
    });
}

fn look() {
    let mut began: HashMap<Runner, Instant> = HashMap::new();
    let mut reported = false;
    loop {
        std::thread::sleep(INTERVAL);
        let now: Vec<Runner> = programs().into_iter().chain(tests()).collect();
        began.retain(|runner, _| now.contains(runner));
        for runner in now {
            began.entry(runner).or_insert_with(Instant::now);
        }
        let overdue =
            |limit| began.iter().filter(move |(_, began)| began.elapsed() > limit).map(|(what, _)| what);
        if overdue(LIMIT).next().is_some() && !reported {
            reported = true;
            say(&format!("overdue after {} s:", LIMIT.as_secs()));
            overdue(LIMIT).for_each(|runner| say(&format!("{:>8} {}", runner.id, runner.name)));
            say("all that runs:");
            processes().iter().for_each(|process| say(process));
        }
        for program in overdue(LIMIT).filter(|runner| runner.is_program) {
            let _ = kill_process(Pid::from_raw(program.id).unwrap(), Signal::KILL);
        }
        if overdue(LIMIT + GRACE).any(|runner| !runner.is_program) {
            std::process::abort();
        }
    }
}

/// The children of this program but for those that serve all tests.
fn programs() -> Vec<Runner> {
    let children = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children = children.collect::<String>();
    let children = children.split_whitespace().filter_map(|id| {
        let name = arguments(&Path::new("/proc").join(id))?;
        Some(Runner { id: id.parse().ok()?, name, is_program: true })
    });
    children.filter(|child| !child.name.contains("forks.py")).collect()
}

/// The threads of tests. The system keeps 15 characters of a name, mostly enough for `MODULE::`.
fn tests() -> Vec<Runner> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten().filter_map(|thread| {
        let name = fs::read_to_string(thread.path().join("comm")).ok()?.trim_end().to_owned();
        Some(Runner { id: thread.file_name().to_str()?.parse().ok()?, name, is_program: false })
    });
    threads.filter(|thread| thread.name.contains("::") || thread.name == "ownership_table").collect()
}

/// What `ps` says, where it is there.
fn processes() -> Vec<String> {
    let ps = std::process::Command::new("ps")
        .args(["-eo", "pid,ppid,etimes,stat,wchan:20,args", "--forest"])
        .output();
    let text = ps.map_or_else(|error| error.to_string(), |output| super::text(&output.stdout));
    text.lines().map(str::to_owned).collect()
}

fn arguments(process: &Path) -> Option<String> {
    let line = fs::read(process.join("cmdline")).ok()?;
    Some(super::text(&line).replace('\0', " "))
}

/// Past what libtest captures.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
