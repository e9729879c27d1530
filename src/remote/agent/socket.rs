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

use super::answers::{Answer, Served, answer, refusal};
use super::config::Door;
use crate::base::failure::Failure;
use crate::base::locale::t;
use crate::base::socket::Place;

/// The head of a request is never longer.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// How long a client may take in all: to send a request, and to take the answer. What the answer takes to be found is not its time.
const WITHIN: Duration = Duration::from_secs(10);

/// How much of that it may take to go when it has its answer, and how many bytes of a body that nobody reads it may still send.
const LINGER: Duration = Duration::from_secs(2);
const MAX_REST_BYTES: u64 = 1 << 20;

/// Connections at a time of those who may ask; and of others, who are told so and take none of these.
const MAX_CONNECTIONS: usize = 64;
const MAX_STRANGERS: usize = 8;

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
    let (open, strangers) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for stream in listener.incoming() {
        if closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else {
            // No file to be had, most likely: that passes.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let served = Arc::clone(&served.lock());
        // Whose process is not known is not answered.
        let Ok(user) = socket_peercred(&stream).map(|peer| peer.uid.as_raw()) else { continue };
        let may_ask = user == 0 || user == rustix::process::geteuid().as_raw() || served.users.contains(&user);
        let (count, most) = if may_ask { (&open, MAX_CONNECTIONS) } else { (&strangers, MAX_STRANGERS) };
        let Some(place) = Taken::of(count, most) else {
            log::warn!("a connection too many at the socket, of the user {user}");
            continue;
        };
        // Where no thread can be had, its connection ends.
        let _ = thread::Builder::new().name("bulla-socket".into()).spawn(move || {
            let _place = place;
            // Whoever goes away early, or takes too long, misses the answer.
            let _ = exchange(Timed { stream, until: Instant::now() + WITHIN }, |asked| match asked {
                _ if !may_ask => {
                    log::warn!("the user {user} is none of those who may ask at the socket");
                    refusal(403, "permission denied")
                }
                Some((method, target)) => answer(method, target, user, &served),
                None => refusal(400, "this is no request of HTTP/1.1"),
            });
        });
    }
}

/// A place among the connections that there may be at a time, until it is dropped.
struct Taken(Arc<AtomicUsize>);

impl Taken {
    /// One more of so many at most; none where all are taken.
    fn of(count: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |taken| (taken < most).then_some(taken + 1)).ok()?;
        Some(Self(Arc::clone(count)))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection of which all reads and writes together end at one moment: a peer that sends a byte now and then gains nothing by it.
struct Timed {
    stream: UnixStream,
    until: Instant,
}

impl Timed {
    /// What is left of its time.
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// One request, one answer.
fn exchange(mut peer: Timed, answer: impl FnOnce(Option<(&str, &str)>) -> Answer) -> io::Result<()> {
    let asked = head(&mut peer)?;
    let asked = asked.as_ref().map(|(method, target)| (method.as_str(), target.as_str()));
    let of_head = asked.is_some_and(|(method, _)| method == "HEAD");
    let begun = Instant::now();
    let (status, body) = answer(asked);
    peer.until += begun.elapsed();
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        if status == 200 { "OK" } else { "Refused" },
        body.len()
    );
    peer.write_all(head.as_bytes())?;
    if !of_head {
        peer.write_all(&body)?;
    }
    // What is closed before all of it was read is reset, and the answer with it.
    peer.stream.shutdown(Shutdown::Write)?;
    peer.until = peer.until.min(Instant::now() + LINGER);
    io::copy(&mut peer.take(MAX_REST_BYTES), &mut io::sink()).map(drop)
}

/// Method and target of a request; none where it is none. A body is not read: no answer depends on one.
fn head(from: &mut impl Read) -> io::Result<Option<(String, String)>> {
    let (mut read, mut part) = (Vec::with_capacity(1024), [0; 1024]);
    while read.len() < MAX_HEAD_BYTES {
        let count = from.read(&mut part)?;
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// What comes before the peer goes on to send one byte after the other, as long as somebody listens.
    #[test]
    fn a_peer_that_sends_byte_by_byte_is_not_waited_for() {
        for begin in ["", "GET /v1/sys/health HTTP/1.1\r\nHost: h\r\n\r\n"] {
            let (ours, mut theirs) = UnixStream::pair().expect("sockets");
            let (ended, end) = mpsc::channel();
            thread::spawn(move || {
                let until = Instant::now() + Duration::from_millis(300);
                let done = exchange(Timed { stream: ours, until }, |_| refusal(404, "no such path"));
                let _ = ended.send(done.is_err());
            });
            theirs.write_all(begin.as_bytes()).expect("sent");
            let mut sent = 0;
            // A minute of it.
            let gave_up = loop {
                match end.recv_timeout(Duration::from_millis(20)) {
                    Ok(gave_up) => break gave_up,
                    Err(_) if sent < 3_000 => {
                        sent += 1;
                        let _ = theirs.write_all(b"x");
                    }
                    Err(_) => panic!("{begin:?}: it is listened to for ever"),
                }
            };
            assert!(gave_up, "{begin:?}");
            let mut said = Vec::new();
            let _ = theirs.read_to_end(&mut said);
            assert_eq!(said.starts_with(b"HTTP/1.1 404"), !begin.is_empty(), "{begin:?}");
        }
    }
}
