//! A local socket of HTTP/1.1: one request a connection, without a body, and its answer.
//!
//! Owns: the file, the connections, their limits, and who is at the other end. Must not know: what is answered. Called by: agent. Why no
//! crate serves here: docs/adr/0016.
//!
//! Who asks is known by the kernel: the user of the process at the other end. There are no tokens, and nothing can be written.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::sockopt::socket_peercred;

use super::answers::{Served, answer, refusal};
use super::config::Door;
use crate::base::failure::Failure;
use crate::base::locale::t;
use crate::base::socket::Place;

/// The head of a request is never longer.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// How long a request may take to arrive, and an answer to be taken.
const WITHIN: Duration = Duration::from_secs(10);

/// How long a client may take to go when it has its answer, and how many bytes of a body that nobody reads it may still send.
const LINGER: Duration = Duration::from_secs(2);
const MAX_REST_BYTES: u64 = 1 << 20;

/// Connections at a time.
const MAX_CONNECTIONS: usize = 64;

/// A socket that is open. It goes with its file.
pub(super) struct Socket {
    served: Arc<Mutex<Arc<Served>>>,
    closed: Arc<AtomicBool>,
    door: Door,
    /// Device and number of its file.
    file: (u64, u64),
}

impl Socket {
    /// Opens it, and serves on threads of its own.
    ///
    /// # Errors
    /// Where the file cannot be made, or somebody serves there.
    pub(super) fn open(door: Door, served: Served) -> Result<Self, Failure> {
        let path = &door.path;
        let named = Failure::of_file(path);
        remove_old(path)?;
        let listener = UnixListener::bind(path).map_err(&named)?;
        // Until here it is open to whom the umask lets; who they are is asked in any case.
        fs::set_permissions(path, Permissions::from_mode(door.mode)).map_err(&named)?;
        if door.owner.is_some() || door.group.is_some() {
            chown(path, door.owner, door.group).map_err(&named)?;
        }
        let file = file_at(path).map_err(&named)?;
        let served = Arc::new(Mutex::new(Arc::new(served)));
        let closed = Arc::new(AtomicBool::new(false));
        let (of_thread, told) = (Arc::clone(&served), Arc::clone(&closed));
        thread::Builder::new().name("bulla-socket".into()).spawn(move || accept(&listener, &of_thread, &told))?;
        Ok(Self { served, closed, door, file })
    }

    /// Whether it is where this one is to be, for the same, and its file is still there.
    pub(super) fn is_as(&self, door: &Door) -> bool {
        let of = |door: &Door| (door.path.clone(), door.mode, door.owner, door.group);
        of(&self.door) == of(door) && self.is_there()
    }

    fn is_there(&self) -> bool {
        file_at(self.path()).is_ok_and(|file| file == self.file)
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
        // Its thread waits for a connection. Where the file is another's by now, it waits on, and nobody reaches it.
        if self.is_there() {
            let _ = UnixStream::connect(self.path());
            let _ = fs::remove_file(self.path());
        }
    }
}

fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Takes away what an agent left that was killed, and nothing else.
fn remove_old(path: &Path) -> Result<(), Failure> {
    match Place::cleared(path).map_err(Failure::of_file(path))? {
        Place::Free | Place::Left => Ok(()),
        Place::Served => Err(Failure::conflict(t!("%{path}: another agent serves there", path = path.display()))
            .hint(t!("end that one, or name another path in [socket]"))),
        Place::Other => Err(Failure::local(t!("%{path}: there is something else", path = path.display()))
            .hint(t!("name a path in [socket] where nothing is; the agent makes it"))),
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
    io::copy(&mut stream.take(MAX_REST_BYTES), &mut io::sink()).map(drop)
}

/// Method and target of a request; none where it is none. A body is not read: no answer depends on one.
fn head(stream: &mut UnixStream) -> io::Result<Option<(String, String)>> {
    let (mut read, mut part) = (Vec::with_capacity(1024), [0; 1024]);
    let begun = Instant::now();
    while read.len() < MAX_HEAD_BYTES && begun.elapsed() < WITHIN {
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
