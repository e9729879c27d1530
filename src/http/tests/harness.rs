//! A running server over an echo service, and a client that sends what it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};
use std::{io, thread};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::base::ids::RequestId;
use crate::code::Code;
use crate::dialects::Dialect;
use crate::dialects::rpc::{REQUEST_ID, Rpc};
use crate::error::Error;
use crate::http::{Action, Answer, Call, Config, Durable, Method, Readiness, Reply, Reserved, Service, Stopper, reserve};
use crate::metrics::Metrics;

/// Answers with what it was called with. Words in the query make it misbehave.
pub(super) struct Echo {
    pub calls: AtomicUsize,
    pub readiness: Mutex<Readiness>,
}

/// What becomes of a record; none: it hangs.
pub(super) struct Fate(Option<Result<(), String>>);

impl Durable for Fate {
    type Lost = String;

    fn then(self, follow: impl FnOnce(Result<(), String>) + Send + 'static) {
        match self.0 {
            Some(fate) => follow(fate),
            None => std::mem::forget(follow),
        }
    }
}

impl Service for Echo {
    type Durable = Fate;

    fn accepts(&self, method: Method, path: &str) -> Result<(), Error> {
        Rpc.accepts(method, path)
    }

    fn refuse(&self, _: &str, error: &Error, request_id: &RequestId) -> (Reply, &'static str) {
        (Rpc.refuse(error, request_id), Code::of(error).as_str())
    }

    fn call(&self, call: Call) -> Answer<Self::Durable> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let asked = |word: &str| call.query.split('&').find_map(|p| p.strip_prefix(word)).map(str::to_owned);
        if asked("panic").is_some() {
            panic!("asked to");
        }
        if let Some(ms) = asked("sleep=") {
            sleep(Duration::from_millis(ms.parse().unwrap()));
        }
        let body = json!({
            "RequestId": call.request_id.to_string(), "Method": call.method.as_str(), "Peer": call.peer.to_string(),
            "Secure": call.secure, "QueryLength": call.query.len(), "BodyLength": call.body.len(),
            "Body": String::from_utf8_lossy(&call.body[..call.body.len().min(64)]),
            "Agent": call.header("user-agent"), "Echo": asked("echo="),
        });
        let durable = Fate(match asked("durable=").as_deref() {
            Some("never") => None,
            Some("no") => Some(Err("disk full".to_owned())),
            _ => Some(Ok(())),
        });
        let action = if asked("unknown").is_some() { Action::Unknown("No Such".into()) } else { Action::Served("Echo") };
        let headers = vec![(REQUEST_ID, call.request_id.to_string())];
        let body = body.to_string().into_bytes().into();
        let reply = Reply { status: 200, media_type: "application/json;charset=utf-8", headers, body, retry_after_s: None };
        Answer { reply, action, code: "OK", known: asked("known").is_some(), durable }
    }

    fn request_id_header(&self) -> &'static str {
        REQUEST_ID
    }

    fn readiness(&self) -> Readiness {
        self.readiness.lock().clone()
    }
}

pub(super) struct Running {
    pub address: SocketAddr,
    pub admin: Option<SocketAddr>,
    pub echo: Arc<Echo>,
    pub stopper: Stopper,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    /// Waits for the server to return.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server's thread did not panic").expect("the server ended without error");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        self.join();
    }
}

pub(super) fn config() -> Config {
    Config {
        workers: 2,
        threads: 8,
        stop_timeout: Duration::from_secs(3),
        ..Config::new(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

pub(super) fn start(config: Config) -> Running {
    let ready = Readiness { token: Ok(()), database: Ok(()), audit: Ok(()), clock: Ok(None) };
    let echo = Arc::new(Echo { calls: AtomicUsize::new(0), readiness: Mutex::new(ready) });
    let bound = reserve(config).and_then(Reserved::listen).expect("a free port");
    let (address, admin, stopper) = (bound.address().unwrap(), bound.admin_address().unwrap(), bound.stopper());
    let service = Arc::clone(&echo);
    let thread = thread::spawn(move || bound.run(service, Arc::new(Metrics::new())));
    Running { address, admin, echo, stopper, thread: Some(thread) }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Got {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().skip(1).find(|l| l.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line[name.len() + 1..].trim())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON in {self:?}"))
    }

    /// Checks that this is an error in the API's form, with everything in it that clients read.
    pub fn is_error(&self, status: u16, code: &str) -> &Self {
        let json = self.json();
        assert_eq!((self.status, json["Code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(json["HttpStatus"], status);
        assert!(!json["Message"].as_str().unwrap().is_empty());
        assert_eq!(json["RequestId"].as_str(), self.header("x-acs-request-id"));
        assert_eq!(json["RequestId"].as_str().unwrap().len(), 36);
        assert_eq!(self.header("content-type"), Some("application/json;charset=utf-8"));
        assert_eq!(self.header("retry-after").is_some(), status == 503 || status == 429);
        assert_eq!(self.header("x-acs-retry-after"), None);
        self
    }
}

/// A connection.
pub(super) struct Wire(pub TcpStream);

impl Wire {
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Sends bytes; the server may have ended the connection before it took all.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.0.write_all(bytes.as_ref());
        self
    }

    /// The next answer, read byte by byte up to its body.
    pub fn answer(&mut self) -> Got {
        let head = self.head();
        let mut got = Got { status: head[9..12].parse().unwrap(), head, body: Vec::new() };
        let length = got.header("content-length").map_or(0, |l| l.parse().unwrap());
        got.body.resize(length, 0);
        self.0.read_exact(&mut got.body).expect("the whole body");
        got
    }

    /// The next answer; none if the server ends the connection without a byte of one.
    pub fn answer_or_end(&mut self) -> Option<Got> {
        let any = self.0.peek(&mut [0]).is_ok_and(|n| n > 0);
        any.then(|| self.answer())
    }

    /// Whether the server has neither sent a byte nor ended the connection.
    pub fn is_silent(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let silent = self.0.peek(&mut [0]).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        self.0.set_nonblocking(false).unwrap();
        silent
    }

    /// The next head.
    pub fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            let n = self.0.read(&mut byte).unwrap_or_else(|e| panic!("{e} after {:?}", String::from_utf8_lossy(&head)));
            assert_eq!(n, 1, "closed after {:?}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// How long the server takes to close; there must be no more bytes until then.
    pub fn closed(&mut self) -> Duration {
        let since = Instant::now();
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(String::from_utf8_lossy(&rest), ""),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
        }
        since.elapsed()
    }
}

/// One request on a connection of its own.
pub(super) fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Got {
    Wire::to(address).send(request).answer()
}

/// A GET of this target.
pub(super) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// A POST of this body.
pub(super) fn post(target: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
