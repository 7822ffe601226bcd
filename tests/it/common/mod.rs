//! A folder with a sandbox of its own, the real binary, and boto3 and the AWS CLI as witnesses.

pub mod cluster_objects;
mod forks;
pub mod image;
pub mod kube;
mod overdue;

use rustix::{
    process::{Pid, Signal, kill_process},
    time::{ClockId, clock_gettime},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// A virtual environment with moto, boto3, pytest and the AWS CLI.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    overdue::watch();
    PYTHON.get_or_init(|| environment("tests", "sandbox/requirements-test.txt"))
}

/// The Python of a virtual environment with what a lock file names, made once for each version of it.
pub fn environment(name: &str, lock: &str) -> PathBuf {
    try_environment(name, lock).unwrap_or_else(|error| panic!("{error}"))
}

/// The same, or what pip says.
pub fn try_environment(name: &str, lock: &str) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let hash = provisioner::model::Snapshot::hash(&fs::read(root.join(lock)).unwrap());
    let folder = cache().join("provisioner").join(format!("{name}-{}", &hash[..16]));
    let python = folder.join("bin/python");
    let made = try_once(&folder, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
        ]);
        let output = pip.arg(root.join(lock)).output().unwrap();
        output.status.success().then_some(()).ok_or_else(|| format!("{pip:?}: {}", text(&output.stderr)))
    });
    made.map(|()| python)
}

/// Makes what is in a folder of the cache, unless it is complete.
pub fn once(folder: &Path, make: impl FnOnce()) {
    let made: Result<(), String> = try_once(folder, || {
        make();
        Ok(())
    });
    made.unwrap();
}

fn try_once<E>(folder: &Path, make: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    let guard = fs::create_dir_all(folder.parent().unwrap())
        .and_then(|()| fs::File::create(folder.with_extension("lock")));
    let guard = guard.unwrap();
    // Several test binaries run at once; one makes it.
    rustix::fs::flock(&guard, rustix::fs::FlockOperation::LockExclusive).unwrap();
    if !folder.join("complete").exists() {
        make()?;
        fs::write(folder.join("complete"), "").unwrap();
    }
    Ok(())
}

/// The user's cache folder.
pub fn cache() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap();
    std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder of `tests/fixtures`: a small application, and the OCI layout with its base image.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Copies a folder, links as links.
pub fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-R").arg("-P").arg(from).arg(to));
}

/// The text of an example stack.
pub fn example(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(file)).unwrap()
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn of(output: &Output) -> Self {
        Ended { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// The command, if it ended with this code; else all that it printed.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The JSON lines of this type.
    pub fn lines(&self, kind: &str) -> Vec<Value> {
        let lines = self.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["type"] == kind).collect()
    }
}

/// What this Python says; `e` is the endpoint and `client(name)` a boto3 client.
pub fn boto3(endpoint: &str, code: &str) -> Value {
    let head = "import boto3, json, sys, urllib.request\ne = sys.argv[1]\n\
        def client(name, region='eu-central-1'):\n    return boto3.client(name, endpoint_url=e, region_name=region,\n        \
        aws_access_key_id='x', aws_secret_access_key='x')\n";
    let said = forks::witness(&json!({"code": format!("{head}{code}"), "arguments": [endpoint]})).with(0);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
}

/// The processor's time that this thread has had: unlike time on the clock, it does not depend on what else runs.
pub fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// Looks again until what is looked for has happened, which a busy machine delays.
#[track_caller]
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < MAX_WAIT, "not within {} s: {what}", MAX_WAIT.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How long `until` looks.
const MAX_WAIT: Duration = Duration::from_secs(120);

/// How long a sandbox may take until it answers.
const SANDBOX_START: Duration = Duration::from_secs(120);

/// How many times faster than AWS a sandbox is that is told nothing.
const DEFAULT_SCALE: f64 = 60.0;

/// A folder with a stack file, and a sandbox that ends with it.
pub struct Provider {
    folder: tempfile::TempDir,
    started: OnceLock<()>,
}

impl Provider {
    /// A folder with this stack file.
    pub fn new(stack: &str) -> Self {
        overdue::watch();
        let world = Provider { folder: tempfile::tempdir().unwrap(), started: OnceLock::new() };
        world.stack(stack);
        world
    }

    /// Another stack file.
    pub fn stack(&self, text: &str) {
        fs::write(self.path().join("stack.yaml"), text).unwrap();
        let app = self.path().join("app");
        if text.lines().any(|line| line.starts_with("app:") || line.contains("\"app\":")) && !app.exists() {
            copy(&fixture("app"), &app);
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the sandbox, this many times faster than AWS. It is the one that `sandbox start` starts, without the time
    /// that Python takes for that.
    pub fn sandbox(&self, scale: impl Into<f64>) {
        self.started.get_or_init(|| {
            if self.running().is_some() {
                return; // by the program
            }
            let folder = self.path().join("state/sandbox");
            fs::create_dir_all(&folder).unwrap();
            forks::sandbox(&json!({"sandbox": folder, "scale": scale.into()}));
            let began = Instant::now();
            while self.running().is_none() {
                let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
                assert!(began.elapsed() < SANDBOX_START, "the sandbox does not start: {}", log());
                std::thread::sleep(Duration::from_millis(5));
            }
        });
    }

    /// What a sandbox recorded of itself.
    fn running(&self) -> Option<Value> {
        let record = fs::read(self.path().join("state/sandbox/endpoint.json")).ok()?;
        Some(serde_json::from_slice(&record).unwrap())
    }

    /// The program, ready to be started; with a sandbox, if it asks for one.
    pub fn command(&self, args: &[&str]) -> Command {
        if args.contains(&"--sandbox") {
            self.sandbox(DEFAULT_SCALE);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_provisioner"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env("PROVISIONER_BASE_LAYOUT", fixture("base"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
    }

    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    /// Starts it, and does not wait.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The sandbox's address.
    pub fn endpoint(&self) -> String {
        self.running().expect("no sandbox runs")["endpoint"].as_str().unwrap().to_owned()
    }

    /// What this Python says of the sandbox.
    pub fn boto3(&self, code: &str) -> Value {
        boto3(&self.endpoint(), code)
    }

    /// What the AWS CLI says of the sandbox's usual region.
    pub fn aws(&self, args: &[&str]) -> Value {
        self.aws_in("eu-central-1", args)
    }

    /// What the AWS CLI says of a region.
    pub fn aws_in(&self, region: &str, args: &[&str]) -> Value {
        let endpoint = self.endpoint();
        let all = [&["--endpoint-url", &endpoint, "--region", region, "--output", "json"], args].concat();
        let environment = json!({
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_EC2_METADATA_DISABLED": "true",
        });
        let said = forks::witness(&json!({"aws": all, "environment": environment})).with(0);
        serde_json::from_str(&said.out).unwrap_or_default()
    }

    /// Tells the sandbox how to behave (`sandbox/README.md`, "config"); what is not said is as at its start.
    pub fn configure(&self, config: &Value) {
        self.boto3(&format!(
            "body = json.dumps(json.loads(r'''{config}''')).encode()\n\
             urllib.request.urlopen(urllib.request.Request(e + '/_ext/config', body, method='POST'))\nprint('null')"
        ));
    }

    /// Runs what succeeds, and returns its calls to AWS.
    pub fn calls(&self, args: &[&str]) -> Vec<String> {
        self.calls_of(args, 0)
    }

    /// Runs what ends with this code, and returns its calls to AWS.
    pub fn calls_of(&self, args: &[&str], code: i32) -> Vec<String> {
        self.boto3(
            "urllib.request.urlopen(urllib.request.Request(e + '/_ext/log', method='DELETE')); print('null')",
        );
        self.run(args).with(code);
        let log = self.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
        let log = log.as_array().unwrap().iter();
        log.map(|call| format!("{}:{}", call["service"].as_str().unwrap(), call["action"].as_str().unwrap()))
            .collect()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let Some(record) = self.running() else { return };
        let pid = record["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        // The number may be another process's by now; another than a positive one would end a group of processes.
        let pid = pid.filter(|pid| *pid > 0 && start_time(*pid) == record["startTime"].as_u64());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// When a process started, as the kernel counts (`man 5 proc_pid_stat`, field 22). None where it does not say so.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command's name, which may contain anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}
