//! The connections in stock, and how a lost database is noticed and found again.
//!
//! Owns: pooling. Must not know: rows, transactions. Called by: store::Store.
//!
//! A connection is never tested by a round trip. When one turns out to be lost, the *epoch* rises, and all connections of older
//! epochs are thrown away as they are taken: one request notices, none of the rest meets a dead connection. Meanwhile r2d2 opens
//! new ones in the background, at most a second apart.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use parking_lot::{Mutex, RwLock};
use r2d2::ManageConnection;

use crate::base::alarm;
use crate::base::threads::waiting;
use crate::store::StoreError;
use crate::store::engine::connection::{Access, Conn, each_transaction};
use crate::store::engine::error::one_line;
use crate::store::engine::location::Location;
use crate::store::engine::waits::Watch;

/// A pool's connection with what the pool knows of it.
pub(in crate::store) struct Slot {
    pub(in crate::store) conn: Conn,
    /// What each transaction says where the session is a pooler's.
    pub(in crate::store) each: Option<String>,
    /// What ends its waits.
    pub(in crate::store) watch: Option<Watch>,
    epoch: u64,
    /// Set while a transaction is open, so that a connection left by a panic is not used again; and when it is lost.
    pub(in crate::store) unfit: bool,
}

/// Tells where the database is now: its URL may lie in a file, and its password in that may change.
pub(in crate::store) type Source = Arc<dyn Fn() -> Result<Location, StoreError> + Send + Sync>;

/// Opens connections for r2d2 and judges them.
pub(in crate::store) struct Manager {
    source: Source,
    access: Access,
    busy: Duration,
    link: Arc<Link>,
}

/// What is known of the way to the database.
#[derive(Default)]
struct Link {
    epoch: AtomicU64,
    /// Of connections that fail; none while they succeed.
    down: Mutex<Option<Down>>,
    /// Nobody takes connections any more.
    closed: AtomicBool,
    /// Read by whoever opens one.
    opening: RwLock<()>,
}

/// What is known of connections that fail.
struct Down {
    /// When they began to.
    since: Instant,
    /// What the last one said.
    why: String,
}

/// How libpq begins when it does not understand a URL, or finds no host of the name in it: it quotes what it has taken for a port, a host
/// or all of it, and that may be a piece of a password which somebody did not encode.
const QUOTES_THE_URL: &[&str] = &["URI", "percent-encoded", "connection option", "port number", "host name"];

/// What there is to tell of a failed connection: no secrets, one line.
fn told(error: &StoreError) -> String {
    let text = match error {
        StoreError::Unavailable(text) | StoreError::Fault(text) => text.clone(),
        other => other.to_string(),
    };
    if QUOTES_THE_URL.iter().any(|text_of_libpq| text.contains(text_of_libpq)) {
        return "its URL cannot be read as libpq reads it, or names a host that is not known".to_owned();
    }
    one_line(&text)
}

/// How long the end of a pool waits for connections that are being opened.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// How long connecting must have failed before nobody waits for it any more: a restart of the server, and one unlucky attempt, are
/// waited out.
const GRACE: Duration = Duration::from_secs(1);

impl ManageConnection for Manager {
    type Connection = Slot;
    type Error = StoreError;

    fn connect(&self) -> Result<Slot, StoreError> {
        let _opening = self.link.opening.read();
        if self.link.closed.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("it is closed".to_owned()));
        }
        let epoch = self.link.epoch.load(Ordering::Acquire);
        let location = (self.source)();
        let place = location.as_ref().map_or_else(|_| "database".to_owned(), Location::to_string);
        let opened = location.and_then(|location| {
            let (conn, watch) = Conn::open_watched(&location, self.access, self.busy)?;
            Ok((conn, watch, each_transaction(&location, self.busy)))
        });
        let was_down = {
            let mut down = self.link.down.lock();
            let was = down.is_some();
            *down = opened
                .as_ref()
                .err()
                .map(|error| Down { since: down.as_ref().map_or_else(Instant::now, |down| down.since), why: told(error) });
            was
        };
        match &opened {
            Err(error @ StoreError::Corrupt { .. }) => alarm::raise(format!("{place}: {error}")),
            // Whoever closes it may take the database away as well.
            Err(_) if self.link.closed.load(Ordering::Acquire) => {}
            Err(error) if !was_down => log::error!("{place}: the database cannot be reached: {}", told(error)),
            Ok(_) if was_down => log::info!("{place}: connected again"),
            _ => {}
        }
        let (conn, watch, each) = opened?;
        Ok(Slot { conn, each, watch, epoch, unfit: false })
    }

    fn is_valid(&self, slot: &mut Slot) -> Result<(), StoreError> {
        if slot.epoch == self.link.epoch.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(StoreError::Unavailable("a connection from before the database was lost".to_owned()))
        }
    }

    fn has_broken(&self, slot: &mut Slot) -> bool {
        slot.unfit
    }
}

/// A pool of connections of one kind.
#[derive(Clone)]
pub(in crate::store) struct Pool {
    inner: r2d2::Pool<Manager>,
    link: Arc<Link>,
    wait: Duration,
}

/// A connection on loan; goes back when dropped.
pub(in crate::store) struct Loan(r2d2::PooledConnection<Manager>);

impl Pool {
    /// A pool of up to `size` connections, which live so long; one is opened at once, in the background.
    pub(in crate::store) fn new(
        source: &Source,
        lifetime: Option<Duration>,
        access: Access,
        size: u32,
        wait: Duration,
        busy: Duration,
    ) -> Self {
        let link = Arc::new(Link::default());
        let manager = Manager { source: Arc::clone(source), access, busy, link: link.clone() };
        let inner = r2d2::Pool::builder()
            .max_size(size.max(1))
            .min_idle(Some(1))
            .max_lifetime(lifetime)
            .idle_timeout(None)
            .connection_timeout(wait)
            .test_on_check_out(true)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(manager);
        Self { inner, link, wait }
    }

    /// A connection; waits for a free one, but not for a database that is known to be away.
    ///
    /// # Errors
    /// `Busy` when all stay taken, `Unavailable` when there are none to be had.
    pub(in crate::store) fn take(&self) -> Result<Loan, StoreError> {
        if let Some(connection) = self.inner.try_get() {
            return Ok(Loan(connection));
        }
        let away = |since: Duration| {
            let down = self.link.down.lock();
            let down = down.as_ref().filter(|down| down.since.elapsed() >= since);
            down.filter(|_| self.inner.state().connections == 0).map(|down| down.why.clone())
        };
        if away(GRACE).is_none()
            && let Ok(connection) = waiting(|| self.inner.get_timeout(self.wait))
        {
            return Ok(Loan(connection));
        }
        let why = away(Duration::ZERO);
        Err(why.map_or(StoreError::Busy, |why| StoreError::Unavailable(format!("it cannot be reached: {why}"))))
    }

    /// Called when an operation said `Unavailable`: finds out whether its connection is lost and, if so, parts with it and all
    /// others of its epoch. Answers whether it is lost.
    pub(in crate::store) fn examine(&self, slot: &mut Slot) -> bool {
        let lost = match &mut slot.conn {
            // READ WRITE fails on a server that became a standby.
            Conn::Postgres(conn) => conn.batch_execute("BEGIN READ WRITE; COMMIT").is_err(),
            // There is no connection that could be lost; but an I/O error leaves nothing to rely on.
            Conn::Sqlite(_) => {
                slot.unfit = true;
                false
            }
        };
        if lost {
            slot.unfit = true;
            // Only the first to notice in an epoch ends it.
            let _ = self.link.epoch.compare_exchange(slot.epoch, slot.epoch + 1, Ordering::AcqRel, Ordering::Acquire);
        }
        lost
    }

    /// Opens no more connections, and waits for those that are being opened, but not for long: a server may not answer.
    pub(in crate::store) fn close(&self) {
        self.link.closed.store(true, Ordering::Release);
        drop(self.link.opening.try_write_for(CLOSE_WAIT));
    }

    /// Connections open, and of them not in use.
    pub(in crate::store) fn state(&self) -> (u32, u32) {
        let state = self.inner.state();
        (state.connections, state.idle_connections)
    }

    /// The most connections it will open.
    pub(in crate::store) fn size(&self) -> u32 {
        self.inner.max_size()
    }
}

impl Deref for Loan {
    type Target = Slot;
    fn deref(&self) -> &Slot {
        &self.0
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut Slot {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_end_of_a_pool_nothing_is_being_opened() {
        let (begun, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (begin, end) = (Arc::clone(&begun), Arc::clone(&ended));
        let source: Source = Arc::new(move || {
            begin.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(100));
            end.fetch_add(1, Ordering::SeqCst);
            Err(StoreError::Unavailable("away".to_owned()))
        });
        let pool = Pool::new(&source, None, Access::Read, 1, Duration::from_secs(1), Duration::from_secs(1));
        while begun.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        pool.close();
        let before = begun.load(Ordering::SeqCst);
        assert_eq!(ended.load(Ordering::SeqCst), before);
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(begun.load(Ordering::SeqCst), before);
    }

    #[test]
    fn why_a_connection_failed_is_told_and_no_piece_of_a_password() {
        let of = |text: &str| told(&StoreError::Unavailable(text.to_owned()));
        let refused = "connection to server at \"h\" (::1), port 5432 failed: FATAL:  role \"b\" is not permitted to log in\n";
        assert_eq!(of(refused), refused.trim());
        assert_eq!(of("one\n\tand two\n"), "one; and two");
        for quoting in
            ["invalid integer value \"pa\" for connection option \"port\"", "could not translate host name \"ss@h\" to"]
        {
            assert!(!of(quoting).contains('"'), "{}", of(quoting));
        }
    }
}
