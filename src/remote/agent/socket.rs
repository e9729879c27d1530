//! A local socket that answers reads of Vault's API, from values that are kept for a while (`bulla_client::Cache`).
//!
//! Who asks is known by the kernel: the user of the process at the other end. There are no tokens, and nothing can be written.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bulla_client::{Cache, Error, SecretValue, Selector};
use parking_lot::Mutex;
use rustix::net::sockopt::socket_peercred;
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use zeroize::Zeroizing;

use super::config::Door;
use crate::base::failure::Failure;

/// The head of a request is never longer.
const LONGEST_HEAD: usize = 16 << 10;

/// How long a request may take to arrive, and an answer to be taken.
const WITHIN: Duration = Duration::from_secs(10);

/// How long a client may take to go when it has its answer, and how many bytes of a body that nobody reads it may still send.
const LINGER: Duration = Duration::from_secs(2);
const LONGEST_REST: u64 = 1 << 20;

/// Connections at a time.
const MAX_CONNECTIONS: usize = 64;

/// What is served, and to whom.
pub(super) struct Served {
    /// The values.
    pub(super) cache: Cache,
    /// User ids, beside root's and the agent's own.
    pub(super) users: Vec<u32>,
    /// Names; those that end with * are beginnings.
    pub(super) names: Vec<String>,
}

/// A socket that is open. It goes with its file.
pub(super) struct Socket {
    served: Arc<Mutex<Arc<Served>>>,
    closed: Arc<AtomicBool>,
    door: Door,
}

/// An answer: status and body.
type Answer = (u16, Zeroizing<Vec<u8>>);

impl Socket {
    /// Opens it, and serves on threads of its own.
    ///
    /// # Errors
    /// Where the file cannot be made, or somebody serves there.
    pub(super) fn open(door: Door, served: Served) -> Result<Self, Failure> {
        let path = &door.path;
        let named = |e: io::Error| Failure::local(format!("{}: {e}", path.display()));
        remove_old(path)?;
        let listener = UnixListener::bind(path).map_err(named)?;
        // Until here it is open to whom the umask lets; who they are is asked in any case.
        fs::set_permissions(path, Permissions::from_mode(door.mode)).map_err(named)?;
        if door.owner.is_some() || door.group.is_some() {
            chown(path, door.owner, door.group).map_err(named)?;
        }
        let served = Arc::new(Mutex::new(Arc::new(served)));
        let closed = Arc::new(AtomicBool::new(false));
        let (of_thread, told) = (Arc::clone(&served), Arc::clone(&closed));
        thread::Builder::new().name("bulla-socket".into()).spawn(move || accept(&listener, &of_thread, &told))?;
        Ok(Self { served, closed, door })
    }

    /// Whether it is where this one is to be, for the same.
    pub(super) fn is_as(&self, door: &Door) -> bool {
        let of = |door: &Door| (door.path.clone(), door.mode, door.owner, door.group);
        of(&self.door) == of(door)
    }

    /// Serves something else from now on.
    pub(super) fn serve(&self, served: Served) {
        *self.served.lock() = Arc::new(served);
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.door.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Its thread waits for a connection.
        let _ = UnixStream::connect(self.path());
        let _ = fs::remove_file(self.path());
    }
}

/// Takes away what an agent left that was killed, and nothing else.
fn remove_old(path: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            Err(Failure::local(format!("{}: there is something else", path.display())))
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            Err(Failure::conflict(format!("{}: another agent serves there", path.display())))
        }
        Ok(_) => fs::remove_file(path).map_err(|e| Failure::local(format!("{}: {e}", path.display()))),
        Err(_) => Ok(()),
    }
}

fn accept(listener: &UnixListener, served: &Mutex<Arc<Served>>, closed: &AtomicBool) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else {
            // No file to be had, most likely: that passes.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if open.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            log::warn!("a connection too many at the socket");
            continue;
        }
        let (served, count) = (Arc::clone(&served.lock()), Arc::clone(&open));
        let spawned = thread::Builder::new().name("bulla-socket".into()).spawn(move || {
            // Whoever goes away early misses the answer.
            let _ = exchange(stream, &served);
            count.fetch_sub(1, Ordering::SeqCst);
        });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// One request, one answer.
fn exchange(mut stream: UnixStream, served: &Served) -> io::Result<()> {
    let user = socket_peercred(&stream)?.uid.as_raw();
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    let own = rustix::process::geteuid().as_raw();
    let asked = head(&mut stream)?;
    let of_head = asked.as_ref().is_some_and(|(method, _)| method == "HEAD");
    let (status, body) = match asked {
        _ if user != 0 && user != own && !served.users.contains(&user) => {
            log::warn!("the user {user} is none of those who may ask at the socket");
            refusal(403, "permission denied")
        }
        Some((method, target)) => answer(&method, &target, user, served),
        None => refusal(400, "this is no request of HTTP/1.1"),
    };
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        if status == 200 { "OK" } else { "Refused" },
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    if !of_head {
        stream.write_all(&body)?;
    }
    // What is closed before all of it was read is reset, and the answer with it.
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER))?;
    io::copy(&mut stream.take(LONGEST_REST), &mut io::sink()).map(drop)
}

/// Method and target of a request; none where it is none. A body is not read: no answer depends on one.
fn head(stream: &mut UnixStream) -> io::Result<Option<(String, String)>> {
    let (mut read, mut part) = (Vec::with_capacity(1024), [0; 1024]);
    let begun = Instant::now();
    while read.len() < LONGEST_HEAD && begun.elapsed() < WITHIN {
        let count = stream.read(&mut part)?;
        read.extend_from_slice(&part[..count]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&read) {
            Ok(status) if status.is_complete() => {
                return Ok(request.method.map(str::to_owned).zip(request.path.map(str::to_owned)));
            }
            Ok(_) if count > 0 => {}
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn answer(method: &str, target: &str, user: u32, served: &Served) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    let Some(path) = decoded.ok().and_then(|path| path.strip_prefix("/v1/").map(str::to_owned)) else {
        return refusal(404, "no such path");
    };
    if method != "GET" && method != "HEAD" {
        return refusal(405, "this socket is for reading");
    }
    if path == "sys/health" {
        return (
            200,
            json_bytes(&json!({"initialized": true, "sealed": false, "standby": false, "version": env!("CARGO_PKG_VERSION")})),
        );
    }
    if let Some(below) = path.strip_prefix("sys/internal/ui/mounts/") {
        // What clients ask to learn which version of KV it is.
        return match below == "secret" || below.starts_with("secret/") {
            true => wrapped(&json!({"path": "secret/", "type": "kv", "options": {"version": "2"}})),
            false => refusal(403, "permission denied"),
        };
    }
    let Some(name) = path.strip_prefix("secret/data/") else { return refusal(404, "no such path: secret/data/NAME is served") };
    if !query.is_empty() {
        return refusal(400, "only the current version is served here");
    }
    if !served.names.iter().any(|known| covers(known, name)) {
        log::warn!("the user {user} asks for {name}, which is none of the socket's secrets");
        return refusal(403, "permission denied");
    }
    match served.cache.secret_value(name, &Selector::Current) {
        Ok(value) => shown(&value),
        Err(Error::Refused(refused)) if refused.status == 404 => refusal(404, ""),
        Err(Error::Refused(refused)) if refused.status == 403 => refusal(403, &format!("permission denied: {refused}")),
        Err(error) => refusal(503, &error.to_string()),
    }
}

/// Whether a pattern of the configuration means this name.
fn covers(known: &str, name: &str) -> bool {
    known.strip_suffix('*').map_or(known == name, |beginning| name.starts_with(beginning))
}

#[derive(Serialize)]
struct Shown<'a> {
    data: Box<RawValue>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    created_time: &'a str,
    custom_metadata: Option<()>,
    deletion_time: &'a str,
    destroyed: bool,
    /// The API has ids of versions, and no numbers: 0 is none.
    version: u32,
    version_id: &'a str,
}

/// A value as the server's own second door shows it: an object as it was written, all else as its member `value`, bytes in Base64.
fn shown(value: &SecretValue) -> Answer {
    let text = value.data.text().filter(|_| !value.binary);
    let object = text.filter(|text| text.trim_start().starts_with('{'));
    let data = object.and_then(|text| serde_json::from_str::<Box<RawValue>>(text).ok());
    let other = || match text {
        Some(text) => to_raw_value(&json!({ "value": text })),
        None => to_raw_value(&json!({ "value": value.data.to_base64().text() })),
    };
    let Ok(data) = data.map_or_else(other, Ok) else { return refusal(500, "the value cannot be shown") };
    let metadata = Metadata {
        created_time: &value.created,
        custom_metadata: None,
        deletion_time: "",
        destroyed: false,
        version: 0,
        version_id: &value.version,
    };
    wrapped(&Shown { data, metadata })
}

/// An answer as Vault's API puts it.
fn wrapped(data: &impl Serialize) -> Answer {
    #[derive(Serialize)]
    struct Wrapped<'a, T> {
        request_id: String,
        lease_id: &'a str,
        renewable: bool,
        lease_duration: u32,
        data: &'a T,
        wrap_info: Option<()>,
        warnings: Option<()>,
        auth: Option<()>,
    }
    let request_id = uuid::Uuid::new_v4().to_string();
    let whole = Wrapped {
        request_id,
        lease_id: "",
        renewable: false,
        lease_duration: 0,
        data,
        wrap_info: None,
        warnings: None,
        auth: None,
    };
    (200, json_bytes(&whole))
}

fn refusal(status: u16, reason: &str) -> Answer {
    let errors: Vec<&str> = if reason.is_empty() { Vec::new() } else { vec![reason] };
    (status, json_bytes(&json!({ "errors": errors })))
}

fn json_bytes(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // What is serialised here has texts as keys, so it cannot fail.
    Zeroizing::new(serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bulla_client::Value;

    use super::*;

    fn value(data: &[u8], binary: bool) -> SecretValue {
        let created = "2026-01-01T00:00:00Z".to_owned();
        SecretValue {
            name: "n".into(),
            version: "v7".into(),
            stages: Vec::new(),
            data: Value::new(data.to_vec()),
            binary,
            created,
        }
    }

    #[test]
    fn values_are_shown_as_by_the_servers_door() {
        let data = |data: &[u8], binary| {
            let (status, body) = shown(&value(data, binary));
            assert_eq!(status, 200);
            let text = String::from_utf8(body.to_vec()).expect("text");
            text.split("\"data\":{\"data\":").nth(1).and_then(|rest| rest.split(",\"metadata\"").next()).map(str::to_owned)
        };
        assert_eq!(data(br#"{"a":1e3,"b":"x"}"#, false).as_deref(), Some(r#"{"a":1e3,"b":"x"}"#));
        assert_eq!(data(b"{no object", false).as_deref(), Some(r#"{"value":"{no object"}"#));
        assert_eq!(data(b"[1]", false).as_deref(), Some(r#"{"value":"[1]"}"#));
        assert_eq!(data(b"\x00\xff", true).as_deref(), Some(r#"{"value":"AP8="}"#));
    }

    #[test]
    fn names_and_beginnings() {
        for (known, name, expected) in [
            ("app/db", "app/db", true),
            ("app/db", "app/db2", false),
            ("app/*", "app/db", true),
            ("app/*", "application", false),
            ("*", "x", true),
        ] {
            assert_eq!(covers(known, name), expected, "{known} {name}");
        }
    }
}
