//! Python without its start: one process of each kind has its imports done, and forks for each request (`forks.py`).
//! Starting a sandbox costs 1 s of a processor, boto3 0.5 s and the AWS CLI 1 s, each mostly for imports.

use super::{Ended, python};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

/// boto3 and the AWS CLI.
static WITNESS: LazyLock<Forks> = LazyLock::new(|| Forks::start("witness"));
/// The sandbox.
static SANDBOX: LazyLock<Forks> = LazyLock::new(|| Forks::start("sandbox"));

/// How long an answer may take: the longest witness works through the whole ownership table.
const ANSWER: Duration = Duration::from_secs(42 * 60);

/// A process that forks. It ends with this process, whose end closes its standard input.
struct Forks {
    socket: PathBuf,
    _process: Child,
}

impl Forks {
    fn start(kind: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python());
        command.arg("-B").arg(root.join("tests/it/common/forks.py")).arg(kind);
        command.env("PYTHONPATH", root.join("sandbox")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut socket = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut socket).unwrap();
        Forks { socket: PathBuf::from(socket.trim()), _process: process }
    }

    fn ask(&self, request: &Value) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        stream.write_all(request.to_string().as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        read.unwrap_or_else(|error| panic!("no answer within {} s ({error}): {request}", ANSWER.as_secs()));
        answer
    }
}

/// Runs Python code, or the AWS CLI, to its end.
pub fn witness(request: &Value) -> Ended {
    let answer: Value = serde_json::from_str(&WITNESS.ask(request)).unwrap();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    let code = answer["code"].as_i64().map(|code| i32::try_from(code).unwrap());
    Ended { code, out: text("out"), err: text("err") }
}

/// Begins a sandbox; it records its address when it is ready.
pub fn sandbox(request: &Value) {
    SANDBOX.ask(request);
}
