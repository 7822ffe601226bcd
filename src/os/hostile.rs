//! For tests: an HTTP server on loopback that answers as it is told, without end too.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// What the server answers.
pub struct Answer {
    head: String,
    body: String,
    endless: bool,
}

impl Answer {
    /// An answer with this status, these header lines (each ending with CRLF) and this body.
    pub fn whole(status: &str, headers: &str, body: &str) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        Answer { head, body: body.to_owned(), endless: false }
    }

    /// An answer whose body never ends.
    pub fn endless(status: &str, headers: &str) -> Self {
        let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n");
        Answer { head, body: "x".repeat(1 << 16), endless: true }
    }
}

/// A running server.
pub struct Hostile {
    address: SocketAddr,
    sent: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Hostile {
    /// Starts a server that answers each request with what `answer` returns for its head.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sent, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let server = Hostile { address, sent: Arc::clone(&sent), requests: Arc::clone(&requests) };
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, sent, requests) =
                    (Arc::clone(&answer), Arc::clone(&sent), Arc::clone(&requests));
                thread::spawn(move || serve(stream, answer.as_ref(), &sent, &requests));
            }
        });
        server
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns how many bytes of bodies were taken.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns how many requests came.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> Answer, sent: &AtomicUsize, requests: &AtomicUsize) {
    let (mut head, mut byte) = (Vec::new(), [0_u8; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.extend(byte),
            _ => return,
        }
    }
    requests.fetch_add(1, Ordering::Relaxed);
    let answer = answer(&String::from_utf8_lossy(&head));
    let _ = stream.write_all(answer.head.as_bytes());
    while stream.write_all(answer.body.as_bytes()).is_ok() {
        sent.fetch_add(answer.body.len(), Ordering::Relaxed);
        if !answer.endless {
            return;
        }
    }
}
