//! The record of a sandbox, `state/sandbox/endpoint.json`: what others put there is not believed.

use crate::common::{Ended, Provider, until};
use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

const NETWORK: &str = "name: shop\nregion: eu-west-1\nnetwork: {nat: none}\n";

/// A server that answers every request as a sandbox answers `/_ext/status`, and counts them.
struct Impostor {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Impostor {
    fn start(pid: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 16384]);
                let body =
                    json!({"running": true, "pid": pid, "timeScale": 60.0, "version": "1"}).to_string();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Impostor { port, asked }
    }
}

/// A process that has nothing to do with a sandbox.
struct Bystander(Child);

impl Bystander {
    fn start() -> Self {
        Bystander(Command::new("sleep").arg("3600").stdin(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> i64 {
        i64::from(self.0.id())
    }

    /// Field 22 of `/proc/PID/stat`.
    fn start_time(&self) -> Value {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap_or_default();
        let fields = text.rsplit_once(')').map(|(_, fields)| fields.to_owned()).unwrap_or_default();
        json!(fields.split_whitespace().nth(19).and_then(|field| field.parse::<u64>().ok()))
    }

    #[track_caller]
    fn runs(&mut self) {
        assert_eq!(self.0.try_wait().unwrap(), None, "the process was ended");
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn record(pid: i64, port: u16, start_time: &Value) -> Value {
    json!({
        "endpoint": format!("http://127.0.0.1:{port}"), "port": port, "pid": pid, "startTime": start_time, "version": "1",
        "accessKeyId": "SBOX0000000000000000", "secretAccessKey": "0".repeat(40),
    })
}

fn place(folder: &Path) -> PathBuf {
    folder.join("state/sandbox/endpoint.json")
}

fn plant(folder: &Path, record: &Value) {
    let path = place(folder);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&path);
    fs::write(&path, record.to_string()).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
}

/// Runs the program in a folder.
fn run(folder: &Path, args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provisioner"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    Ended::of(&command.args(args).current_dir(folder).stdin(Stdio::null()).output().unwrap())
}

/// A folder with a stack file, where no sandbox has run. Unlike a `Provider`, it ends no recorded process.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stack.yaml"), NETWORK).unwrap();
    folder
}

#[test]
fn a_planted_record_ends_no_process() {
    let mut bystander = Bystander::start();
    let impostor = Impostor::start(bystander.pid());
    let folder = folder();
    let world = folder.path();
    // All but the socket is right: the process is this user's, and started at that time.
    plant(world, &record(bystander.pid(), impostor.port, &bystander.start_time()));
    let stopped = run(world, &["sandbox", "stop"]).with(0);
    assert!(stopped.err.contains("the sandbox is not running"), "{}", stopped.err);
    bystander.runs();
    assert_eq!(run(world, &["sandbox", "status", "--json"]).with(0).out.trim(), "{\"running\":false}");
    for command in [&["sandbox", "env"], &["sandbox", "reset"]] {
        let refused = run(world, command).with(1);
        assert!(refused.err.contains("the sandbox is not running") && refused.out.is_empty(), "{refused:?}");
    }
    // Not even asked.
    assert_eq!(impostor.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn numbers_that_are_no_process_are_refused() {
    let impostor = Impostor::start(-1);
    let folder = folder();
    let world = folder.path();
    let group = i64::from(std::process::id());
    for pid in [-1, 0, -group, i64::from(i32::MIN), i64::from(i32::MAX), i64::MAX, i64::MIN] {
        plant(world, &record(pid, impostor.port, &json!(1)));
        let stopped = run(world, &["sandbox", "stop"]).with(0);
        assert!(stopped.err.contains("the sandbox is not running"), "{pid}: {}", stopped.err);
        assert!(!stopped.err.contains("panicked"), "{pid}: {}", stopped.err);
    }
    assert_eq!(impostor.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn the_record_of_a_running_sandbox_is_believed_as_it_was_written_only() {
    let world = Provider::new(NETWORK);
    world.sandbox(60.0);
    let mut bystander = Bystander::start();
    let path = place(world.path());
    let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let running = || {
        let said = run(world.path(), &["sandbox", "status", "--json"]).with(0).out;
        serde_json::from_str::<Value>(&said).unwrap()["running"].as_bool().unwrap()
    };
    assert!(running());
    let impostor = Impostor::start(written["pid"].as_i64().unwrap());
    let address = |port: u16| json!(format!("http://127.0.0.1:{port}"));
    // Field by field: another process, another start, another port, another address, another secret.
    let port = u16::try_from(written["port"].as_u64().unwrap()).unwrap();
    let forged = [
        json!({"pid": bystander.pid()}),
        json!({"pid": bystander.pid(), "startTime": bystander.start_time()}),
        json!({"startTime": written["startTime"].as_u64().unwrap() + 1}),
        json!({"startTime": null}),
        json!({"endpoint": address(impostor.port), "port": impostor.port}),
        json!({"endpoint": address(impostor.port)}),
        json!({"endpoint": format!("http://localhost:{port}")}),
        json!({"endpoint": format!("http://127.0.0.1:{port}@127.0.0.1:{}", impostor.port)}),
        json!({"endpoint": "https://evil.example"}),
        json!({"secretAccessKey": "0".repeat(40)}),
    ];
    for change in &forged {
        let mut document = written.clone();
        document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        plant(world.path(), &document);
        assert!(!running(), "{change}");
        run(world.path(), &["sandbox", "stop"]).with(0);
        bystander.runs();
    }
    assert_eq!(impostor.asked.load(Ordering::Relaxed), 0);
    // A link, and a file that others may read or write.
    plant(world.path(), &written);
    let real = world.path().join("real.json");
    fs::copy(&path, &real).unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&real, &path).unwrap();
    assert!(!running());
    for mode in [0o644, 0o660] {
        plant(world.path(), &written);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(!running());
    }
    // As it was, it is believed, and the sandbox ends.
    plant(world.path(), &written);
    assert!(running());
    let stopped = run(world.path(), &["sandbox", "stop"]).with(0);
    assert!(stopped.err.contains("was stopped"), "{}", stopped.err);
    bystander.runs();
    let pid = written["pid"].as_i64().unwrap();
    until("the sandbox ends", || {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.is_empty() || status.contains(") Z ")
    });
    assert!(!running());
}

#[test]
fn the_address_and_the_access_key_are_printed_for_clients() {
    let world = Provider::new(NETWORK);
    world.sandbox(60.0);
    let status: Value =
        serde_json::from_str(&run(world.path(), &["sandbox", "status", "--json"]).with(0).out).unwrap();
    let (key, secret) =
        (status["accessKeyId"].as_str().unwrap(), status["secretAccessKey"].as_str().unwrap());
    assert_eq!(status["endpoint"], json!(world.endpoint()));
    let text = run(world.path(), &["sandbox", "status"]).with(0).err;
    assert!(text.contains(key) && text.contains(secret) && text.contains(&world.endpoint()), "{text}");

    let variables: Value =
        serde_json::from_str(&run(world.path(), &["sandbox", "env", "--json"]).with(0).out).unwrap();
    let expected = json!({
        "AWS_ENDPOINT_URL": world.endpoint(), "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
    });
    assert_eq!(variables, expected);

    // A shell takes it, quoted and not, and what would lead elsewhere is gone.
    let names = [
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ];
    let gone = ["AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3"];
    for quote in ["\"", ""] {
        let shown: String =
            names.iter().chain(&gone).map(|name| format!("echo \"${{{name}-none}}\"\n")).collect();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!(
            "eval {quote}$('{}' sandbox env){quote}\n{shown}",
            env!("CARGO_BIN_EXE_provisioner")
        ));
        shell.current_dir(world.path());
        for name in gone {
            shell.env(name, "elsewhere");
        }
        let said = Ended::of(&shell.output().unwrap()).with(0).out;
        let mut wanted: Vec<&str> = names.iter().map(|name| expected[name].as_str().unwrap()).collect();
        wanted.extend(["none"; 3]);
        assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
    }
}
