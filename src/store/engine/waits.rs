//! Ends waits for a PostgreSQL server that does not answer, from this side.
//!
//! Owns: which connections wait, for how long, and cutting those that wait for too long. Must not know: statements, pools. Called by:
//! connection (which opens them), runner and tx (which wait).
//!
//! libpq waits for an answer as long as the kernel holds the connection for good. A dead host ends that within seconds (keepalives,
//! `location`); a server that is stopped, or a proxy that takes everything and passes nothing on, never does. So a thread looks at
//! all waits and shuts the socket of one that has lasted too long: libpq then sees the end of the connection, and the pool opens
//! another. Where one was silent for so long, the way to the server is no good, and others that wait on it then are given up after a
//! second. libpq does not tell its socket; it is found among this process's own, by its peer, right after it was opened.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once, OnceLock, Weak};
use std::time::{Duration, Instant};

use nix::sys::socket::{Shutdown, SockaddrStorage, getpeername, shutdown};
use parking_lot::Mutex;

use crate::store::engine::location;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long others wait that did so when one was found silent for its whole limit: longer than most statements take.
const WITH_IT: Duration = Duration::from_secs(1);

/// How long a server may take over a connection until it can be used, unless the URL lets libpq take longer over connecting alone.
const OPEN_WITHIN: Duration = Duration::from_secs(4);

/// One connection's waits.
pub(in crate::store) struct Watch(Arc<Watched>);

struct Watched {
    socket: RawFd,
    identity: PathBuf,
    /// Since when it waits, ms behind `began`; 0 while it does not.
    since: AtomicU64,
    limit: Duration,
}

/// What a number stands for now: `socket:[…]` with a number that no other socket of this machine has.
fn identity(socket: RawFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{socket}")).ok()
}

/// Whether a socket's other end is a server of this URL.
fn leads_to(socket: RawFd, url: &str) -> bool {
    let Ok(peer) = getpeername::<SockaddrStorage>(socket) else { return false };
    let port = peer.as_sockaddr_in().map(|a| a.port()).or_else(|| peer.as_sockaddr_in6().map(|a| a.port()));
    match (port, peer.as_unix_addr().and_then(|a| a.path())) {
        (Some(port), _) => location::ports(url).contains(&port),
        (None, Some(path)) => path.to_string_lossy().contains("/.s.PGSQL."),
        (None, None) => false,
    }
}

static WATCHED: Mutex<Vec<Weak<Watched>>> = Mutex::new(Vec::new());
/// Held while a connection is opened and its socket looked for, so that there is one at a time.
static OPENING: Mutex<()> = Mutex::new(());
/// What is opened while that is held.
static ATTEMPT: Mutex<Option<Attempt>> = Mutex::new(None);

thread_local! {
    static WAITING: RefCell<Option<Arc<Watched>>> = const { RefCell::new(None) };
    /// The last connection that this thread opened for one purpose.
    static LAST: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

fn now_ms() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
}

/// Opens a connection to a server of this URL, which takes [`OPEN_WITHIN`] or little more for each host, and watches its
/// waits: none lasts longer than `limit`. There is no watch where the socket cannot be told from others; the kernel's limits still hold
/// then.
pub(in crate::store) fn opening<C, E>(
    url: &str,
    limit: Duration,
    open: impl FnOnce() -> Result<C, E>,
) -> Result<(C, Option<Watch>), E> {
    let _one = OPENING.lock();
    start_reaper();
    *ATTEMPT.lock() = Some(Attempt::begun(url));
    let opened = open();
    let attempt = ATTEMPT.lock().take();
    let opened = opened?;
    let mut new = attempt.iter().flat_map(Attempt::sockets);
    let watch = match (new.next(), new.next()) {
        (Some((socket, identity)), None) => {
            let one = Arc::new(Watched { socket, identity, since: AtomicU64::new(0), limit });
            let mut watched = WATCHED.lock();
            watched.retain(|known| known.strong_count() > 0);
            watched.push(Arc::downgrade(&one));
            Some(Watch(one))
        }
        _ => None,
    };
    Ok((opened, watch))
}

/// This process's sockets that lead to a server of this URL.
fn sockets_to(url: &str) -> impl Iterator<Item = (RawFd, PathBuf)> {
    open_files().filter(|socket| leads_to(*socket, url)).filter_map(|socket| Some((socket, identity(socket)?)))
}

/// A connection that is being opened: libpq limits how long that takes, but not how long the server may take over what diesel says first
/// of all on it.
struct Attempt {
    url: String,
    limit: Duration,
    begun: Instant,
    /// The sockets that were there before.
    before: HashSet<PathBuf>,
    /// Those that came, and when that was seen.
    seen: HashMap<PathBuf, Instant>,
}

impl Attempt {
    fn begun(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            limit: location::connect_timeout(url).unwrap_or_default().max(OPEN_WITHIN),
            begun: Instant::now(),
            before: sockets_to(url).map(|(_, identity)| identity).collect(),
            seen: HashMap::new(),
        }
    }

    /// The sockets that have come since.
    fn sockets(&self) -> impl Iterator<Item = (RawFd, PathBuf)> {
        sockets_to(&self.url).filter(|(_, identity)| !self.before.contains(identity))
    }

    /// Shuts the socket of a connection that has taken too long to be opened.
    fn look(&mut self) {
        // Nearly all are opened before anybody looks.
        if self.begun.elapsed() < LOOK_EVERY {
            return;
        }
        let new: Vec<_> = self.sockets().collect();
        for (socket, identity) in new {
            let waited = self.seen.entry(identity).or_insert_with(Instant::now).elapsed();
            if waited >= self.limit {
                log::error!("database: no answer to a new connection for {} ms; it is given up", waited.as_millis());
                let _ = shutdown(socket, Shutdown::Both);
            }
        }
    }
}

/// The numbers of this process's open files.
fn open_files() -> impl Iterator<Item = RawFd> {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<RawFd> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.into_iter()
}

/// A wait of this thread; over when dropped.
pub(in crate::store) struct Wait(());

impl Watch {
    /// For a connection that is opened for one purpose, such as migrations: all of its life is one wait.
    pub(in crate::store) fn keep(self) {
        self.0.since.store(now_ms(), Ordering::Relaxed);
        LAST.set(Some(self));
    }

    /// This thread waits for this connection from now on; each sign of life ([`progress`]) begins the time anew.
    pub(in crate::store) fn begin(watch: Option<&Self>) -> Wait {
        if let Some(Watch(watched)) = watch {
            watched.since.store(now_ms(), Ordering::Relaxed);
            WAITING.set(Some(Arc::clone(watched)));
        }
        Wait(())
    }
}

/// The server has answered.
pub(in crate::store) fn progress() {
    WAITING.with_borrow(|waiting| {
        if let Some(watched) = waiting {
            watched.since.store(now_ms(), Ordering::Relaxed);
        }
    });
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(watched) = WAITING.take() {
            watched.since.store(0, Ordering::Relaxed);
        }
    }
}

fn start_reaper() {
    static STARTED: Once = Once::new();
    let reap = || {
        // When one of this limit was last found silent for all of it.
        let mut silent: HashMap<Duration, u64> = HashMap::new();
        loop {
            std::thread::sleep(LOOK_EVERY);
            if let Some(attempt) = &mut *ATTEMPT.lock() {
                attempt.look();
            }
            let waiting: Vec<Arc<Watched>> = WATCHED.lock().iter().filter_map(Weak::upgrade).collect();
            for one in waiting.iter().filter(|one| one.end_if_waited(one.limit)) {
                silent.insert(one.limit, now_ms());
            }
            for one in &waiting {
                if silent.get(&one.limit).is_some_and(|at| one.since.load(Ordering::Relaxed) <= *at) {
                    one.end_if_waited(WITH_IT);
                }
            }
        }
    };
    STARTED.call_once(|| {
        if let Err(error) = std::thread::Builder::new().name("bulla-waits".into()).spawn(reap) {
            log::error!("database: nothing but the kernel ends waits for it: {error}");
        }
    });
}

impl Watched {
    /// Ends a wait that has lasted so long; whether there was one.
    fn end_if_waited(&self, long: Duration) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        let waited = Duration::from_millis(now_ms().saturating_sub(since));
        if since == 0 || waited < long {
            return false;
        }
        // libpq may have closed it meanwhile.
        if identity(self.socket).as_ref() == Some(&self.identity) {
            log::error!("database: no answer for {} ms; the connection is given up", waited.as_millis());
            // Fails only for a connection that has ended already.
            let _ = shutdown(self.socket, Shutdown::Both);
        }
        self.since.store(0, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_wait_that_lasts_too_long_ends_and_others_do_not() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("bound");
        let url = format!("postgres://h:{}/d", address.port());
        let open = || TcpStream::connect(address);
        let limit = Duration::from_secs(1);
        let (mut first, watch) = opening(&url, limit, open).expect("it listens");
        let (second, other) = opening(&url, limit, open).expect("it listens");
        let (watch, other) = (watch.expect("found"), other.expect("told apart from the first"));
        let begun = Instant::now();
        let wait = Watch::begin(Some(&watch));
        std::thread::sleep(Duration::from_millis(700));
        progress();
        assert_eq!(first.read(&mut [0]).expect("an end, no error"), 0);
        assert!(begun.elapsed() >= Duration::from_millis(1600), "a sign of life begins the time anew");
        drop(wait);
        second.set_nonblocking(true).expect("a socket");
        let idle = (&second).read(&mut [0]).map_err(|e| e.kind());
        assert_eq!(idle, Err(std::io::ErrorKind::WouldBlock), "who does not wait is left alone");
        drop((watch, other));
    }

    #[test]
    fn a_connection_that_is_never_ready_is_given_up_and_others_are_opened() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("bound");
        let url = format!("postgres://h:{}/d", address.port());
        let (begun, limit) = (Instant::now(), Duration::from_secs(60));
        let first_words = || TcpStream::connect(address).and_then(|mut it| it.read(&mut [0]));
        assert_eq!(opening(&url, limit, first_words).expect("an end, no error").0, 0);
        assert!(begun.elapsed() >= OPEN_WITHIN, "{:?}", begun.elapsed());
        let (_open, watch) = opening(&url, limit, || TcpStream::connect(address)).expect("it listens");
        watch.expect("found");
    }

    #[test]
    fn who_began_to_wait_when_another_was_found_silent_is_not_left_to_wait_as_long() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("bound");
        let url = format!("postgres://h:{}/d", address.port());
        let limit = Duration::from_secs(5);
        let (_first, watch) = opening(&url, limit, || TcpStream::connect(address)).expect("it listens");
        let (mut second, other) = opening(&url, limit, || TcpStream::connect(address)).expect("it listens");
        let (watch, other) = (watch.expect("found"), other.expect("told apart from the first"));
        watch.0.since.store(now_ms(), Ordering::Relaxed);
        std::thread::sleep(limit - Duration::from_millis(500));
        let begun = Instant::now();
        let _wait = Watch::begin(Some(&other));
        assert_eq!(second.read(&mut [0]).expect("an end, no error"), 0);
        assert!((WITH_IT..limit).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
}
