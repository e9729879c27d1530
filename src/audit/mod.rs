//! The audit log: what happened is on disk before anybody can see it happen.
//!
//! Owns: the file, its chain, the signed checkpoints, and their proof (`verify`). Must not know: tokens, databases, HTTP; the
//! signer is a closure. Called by: api and service_task (submit), app and admin (open, complete, close, verify).
//!
//! # Promises
//! - When [`Ticket`] says yes, the line is durable (`fdatasync` returned). One sync serves all who wait.
//! - When a line cannot be made durable, its ticket fails, and the file goes back to its last durable length. The next line, or
//!   the next half second, tries again: service returns when the disk does, without a restart. The outcomes of writes that had
//!   happened when it failed are kept, and written then.
//! - A full queue refuses at once, but for what follows an intent: the place of its outcome is kept from before the intent is recorded
//!   ([`Audit::intend`]). A token that is away, or hangs, delays checkpoints, never lines.
//! - A thread that writes and panics ends the process: nothing would be recorded any more, and nothing served.
//! - A file that is removed, replaced or changed by others is noticed within a second; a new one goes on with the chain and says
//!   why, and what was in a removed one is written out again from the open handle.
//! - Of a long file whose end is as the caller knows it, the start reads the end; what stands before it, which no chain leads to once it
//!   is changed, is proved while the log is in use already, and a file that does not hold is left as it is and another begun.
//! - Lines that others wrote while nobody had the log open are put away at the next start, and lines that are missing, as far as the
//!   caller knows of them ([`AuditConfig::known`]), leave a gap in the numbers that the proof finds for ever. No intent of others is
//!   given an outcome, and none of their lines a checkpoint.
//! - An intent without outcome survives crashes and rotation, until [`Audit::complete`] closes it. As long as there is one, what the
//!   database knows of it is not taken away ([`Audit::marks_unneeded_until`]); where that cannot be told, nor whether the write happened,
//!   its outcome says so.
//!
//! # Format
//! The file `<dir>/<name>.jsonl` (mode 0600) holds one JSON object a line. Every line begins with the same members, in this
//! order and with no white space, then those of its kind:
//!
//! ```text
//! {"seq":17,"time":"2026-11-24T05:47:40.764Z","node":"<uuid>","prev":"<64 hex digits>","kind":"read",…,"mac":"<32 hex digits>"}\n
//!
//! seq    number of the line, from 1, over all files of the log
//! time   UTC, milliseconds; when the line was written
//! node   the server process's home
//! prev   SHA-256 of the line before without its newline; 64 zeros before the first line
//! mac    last in every line: the first 16 bytes of HMAC-SHA-256 over what stands before `,"mac"`, under a key that the key INT
//!        on the token makes for this node
//! ```
//!
//! | kind | written | further members |
//! |---|---|---|
//! | `file` | first in every file | `log` (its name), `format` (1), `reason`, `database` (as in the last checkpoint), `open` (intents without outcome, as objects) |
//! | `start`, `stop` | when the log is opened, closed | |
//! | `read` | a read was allowed | those of a record |
//! | `refused` | a request was refused; a write whose intent was recorded has an `outcome` with the decision `refused` | those of a record |
//! | `intent` | before a write's transaction commits | those of a record |
//! | `outcome` | after it, before the answer leaves | those of a record |
//! | `unknown` | instead, when the database was lost during the commit; the outcome follows when it is back | those of a record |
//! | `admin` | an administration command | those of a record |
//! | `checkpoint` | every second or 256 lines | `at` (a seq), `hash` (of that line), `database` (what it was at, if that is known), `sig` |
//! | `recovered` | after a crash or a failure to write | `reason`; after a crash `cut` (bytes), `cut_sha256`, `cut_text` (their beginning); after a failure `refused` (records) |
//!
//! Members of a record, absent where they do not apply: `request_id`, `account`, `principal` (`root` or `user/<name>`),
//! `access_key`, `source_ip`, `action`, `resource`, `resources` (all, `resource` among them, where a request names several or a key was
//! refused that it does not name), `version`, `version_id` (the version that was served or made), `decision` (`allowed` or `refused`), `by`
//! (policy, `root` or rule; of a refusal the policy that denies, where one does),
//! `code`. Of an intent that was closed later, `code` is `OK`, `NotCommitted`, or `Unknown` where nobody can tell. Texts are cut to [`MAX_TEXT_BYTES`] bytes and then end in `…`.
//!
//! `sig` is the ECDSA P-256 signature (64 bytes r‖s, 128 hex digits) by the key AUD on the token over SHA-256 of this text, where
//! time is the checkpoint line's:
//!
//! ```text
//! bulla audit checkpoint 1\nnode <node>\nseq <at>\nhash <hash>\ndatabase <database, or "unknown">\ntime <time>\n
//! ```
//!
//! A checkpoint proves the line `at` and everything before it, over all files. It may stand some lines later than what it proves,
//! because nothing waits for the token. When a file is full it ends in a checkpoint, is renamed to `<name>-<seq of its first
//! line, 20 digits>.jsonl`, and the new file's first line carries its last hash. `<name>.lock` is locked while a process owns the log.

mod chain;
mod error;
mod file;
mod line;
mod line_mac;
mod lines;
mod logs;
mod marks;
mod record;
mod recover;
mod repair;
mod seal;
mod ship;
mod ticket;
mod told;
mod verify;
mod writer;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use self::chain::{Hash, hash};
pub use self::error::AuditError;
pub use self::file::{holder, sound_folder};
use self::line::Line;
pub use self::line_mac::LineKey;
pub use self::logs::{Log, logs};
use self::marks::Marks;
pub use self::record::{Completion, INITIALISE, Kind, MAX_TEXT_BYTES, OpenIntent, Record, Verdict};
pub use self::seal::Signer;
pub use self::ship::{Receiver, ship};
pub use self::ticket::Ticket;
use self::ticket::promise;
pub use self::told::{Told, told};
pub use self::verify::{Broken, Flaw, Keys, Line as ReadLine, Report, log_files, public_key, read, verify, verify_files};
use self::writer::{Job, Writer};
use crate::base::clock::{Clock, Moment, Timestamp};
use crate::base::clock_check::SILENCE_MS;
use crate::base::disk::free_bytes;
use crate::base::ids::{NodeId, RequestId};
use crate::base::signals::end;

/// A disk that takes longer for a batch does not answer.
const SLOW: Duration = Duration::from_secs(1);
/// How long closing waits for the disk and the token.
const CLOSE_WAIT: Duration = Duration::from_secs(6);
/// How long the log of the program has for the last words of a process whose audit log can be written no more.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Between two looks whether it is done.
const CLOSE_POLL: Duration = Duration::from_millis(2);

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// The folder; made with mode 0700 if it is not there.
    pub dir: PathBuf,
    /// Name of the log: letters, digits and underscores; `audit` for the server, `admin` for commands.
    pub name: String,
    /// From this size on, in bytes, a new file begins.
    pub max_file_bytes: u64,
    /// Longest time from a line to its checkpoint while the token is there, milliseconds.
    pub checkpoint_every_ms: u64,
    /// Most lines between two checkpoints while the token is there.
    pub checkpoint_lines: u64,
    /// Most records that wait to be written; one more is refused.
    pub queue_limit: usize,
    /// How long to wait for another process that holds the log, milliseconds.
    pub lock_wait_ms: u64,
    /// The last line that is known elsewhere to be in it.
    pub known: Option<LogEnd>,
    /// How much of a longer file is read before the log is open where that line is in it, bytes. The rest is proved behind it.
    pub first_look_bytes: u64,
    /// Where times come from.
    pub clock: Clock,
}

/// The last durable line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
    /// The first line of which an intent is open; the one behind the last where none is.
    pub open_from: u64,
}

impl AuditConfig {
    /// The usual values: files of 64 MiB, checkpoints every second or 256 lines, 8,192 waiting records, no wait for the lock.
    pub fn new(dir: impl Into<PathBuf>, name: &str) -> Self {
        Self {
            dir: dir.into(),
            name: name.to_owned(),
            max_file_bytes: 64 << 20,
            checkpoint_every_ms: 1000,
            checkpoint_lines: 256,
            queue_limit: 8192,
            lock_wait_ms: 0,
            known: None,
            first_look_bytes: recover::GLANCE,
            clock: Clock::System,
        }
    }
}

/// What the log says of the time before it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Intents without outcome, oldest first: ask the database, then call [`Audit::complete`].
    pub open_intents: Vec<OpenIntent>,
    /// Bytes of a line that was cut off because the process died while writing it.
    pub cut_bytes: u64,
    /// What was not as this service left it, and was set aside; none when all was sound.
    pub set_aside: Option<String>,
    /// When the last line found was written, by its own word.
    pub last_time: Option<Timestamp>,
    /// What the database was last said to be at; see [`Audit::set_anchor`].
    pub anchor: Option<String>,
    /// Requests of callers whose effect is told behind that, and when, oldest first: the database has it.
    pub done: Vec<(Timestamp, RequestId)>,
}

/// An open log. Dropping it closes it.
pub struct Audit {
    folder: PathBuf,
    queue: Sender<Job>,
    queue_limit: usize,
    gauges: Arc<Gauges>,
    /// None once closed.
    writer: Mutex<Option<Running>>,
}

/// The place of an intent's outcome among the records that wait. To be kept until that is handed over, or is known not to come.
#[must_use = "the outcome has a place as long as this is kept"]
pub struct Reserved(Arc<Gauges>);

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.places.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The line of something that is about to happen, on its way to the disk.
#[must_use = "what is intended may happen only once its line is durable"]
pub struct Intent {
    line: Ticket,
    request: RequestId,
    gauges: Arc<Gauges>,
}

impl Intent {
    /// Blocks until it is durable.
    ///
    /// # Errors
    /// As [`Ticket::then`] is told: it must not happen then.
    pub fn wait(self) -> Result<(), AuditError> {
        self.line.wait().inspect_err(|_| self.gauges.marks.let_go(self.request))
    }
}

/// The writing thread, and the lock that it holds the log by.
struct Running {
    thread: JoinHandle<()>,
    _lock: File,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records that wait to be written.
    pub queued: usize,
    /// Lines written, of every kind, since the log was opened.
    pub lines: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Duration of the last sync, microseconds.
    pub last_sync_us: u64,
    /// Times that the file could not be written.
    pub failures: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Signatures that the token did not give.
    pub checkpoint_failures: u64,
    /// For how long the oldest record that is being written has waited for the disk.
    pub oldest_wait: Duration,
}

/// [`Stats`] while they change, and why the file cannot be written, if so.
struct Gauges {
    began: Instant,
    /// Since when the thread has been at a batch, ms behind `began`; 0 while it waits for one.
    at_work_since: AtomicU64,
    queued: AtomicUsize,
    /// Places that are taken of those that there are for records that wait: by these, and for outcomes that are to come.
    places: AtomicUsize,
    marks: Marks,
    lines: AtomicU64,
    syncs: AtomicU64,
    last_sync_us: AtomicU64,
    failures: AtomicU64,
    checkpoints: AtomicU64,
    checkpoint_failures: AtomicU64,
    trouble: Mutex<Option<String>>,
    unresolved: Mutex<Vec<(Instant, OpenIntent)>>,
    end: Mutex<Option<LogEnd>>,
    anchor: Mutex<Option<String>>,
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            at_work_since: AtomicU64::default(),
            queued: AtomicUsize::default(),
            places: AtomicUsize::default(),
            marks: Marks::default(),
            lines: AtomicU64::default(),
            syncs: AtomicU64::default(),
            last_sync_us: AtomicU64::default(),
            failures: AtomicU64::default(),
            checkpoints: AtomicU64::default(),
            checkpoint_failures: AtomicU64::default(),
            trouble: Mutex::default(),
            unresolved: Mutex::default(),
            end: Mutex::default(),
            anchor: Mutex::default(),
        }
    }
}

impl Gauges {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn leave_open(&self, intent: &OpenIntent) {
        self.unresolved.lock().push((Instant::now(), intent.clone()));
    }

    /// The thread begins or ends a batch.
    fn at_work(&self, at_work: bool) {
        self.at_work_since.store(if at_work { self.now_ms() } else { 0 }, Ordering::Relaxed);
    }

    /// For how long it has been at this batch.
    fn wait(&self) -> Duration {
        match self.at_work_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(self.now_ms().saturating_sub(since)),
        }
    }

    fn set_end(&self, end: LogEnd) {
        *self.end.lock() = Some(end);
    }

    fn anchor(&self) -> Option<String> {
        self.anchor.lock().clone()
    }

    fn set_anchor(&self, anchor: Option<String>) {
        *self.anchor.lock() = anchor;
    }

    /// Gives places back that records had.
    fn leave_places(&self, count: usize) {
        self.queued.fetch_sub(count, Ordering::Relaxed);
        self.places.fetch_sub(count, Ordering::Relaxed);
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
    }
}

impl Audit {
    /// Opens or makes the log, repairs its end after a crash, and writes its `start` line.
    ///
    /// # Errors
    /// `InUse` when another process holds it; `Open` when folder or file do not allow it; `Write` when the first lines cannot be
    /// written.
    pub fn open(config: AuditConfig, node: NodeId, key: LineKey, signer: Signer) -> Result<(Self, Recovered), AuditError> {
        Self::open_if(config, node, key, signer, |_| Ok(()))
    }

    /// The same, if what was found allows it; otherwise nothing is changed.
    ///
    /// # Errors
    /// As [`Audit::open`], and those of `allow`.
    pub fn open_if(
        config: AuditConfig,
        node: NodeId,
        key: LineKey,
        signer: Signer,
        allow: impl Fn(&Recovered) -> Result<(), AuditError>,
    ) -> Result<(Self, Recovered), AuditError> {
        let lock = file::lock(&config)?;
        let gauges = Arc::new(Gauges::default());
        let queue_limit = config.queue_limit;
        let (queue, jobs) = std::sync::mpsc::channel();
        let thread = format!("audit-{}", config.name);
        let path = config.dir.clone();
        let (writer, recovered, unread) = Writer::open(config, node, key, signer, Arc::clone(&gauges), &allow)?;
        gauges.marks.found(&recovered.open_intents);
        let spawn = |name: String, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name).spawn(run).map_err(|e| AuditError::Open(path.clone(), e.to_string()))
        };
        if let Some(unread) = unread {
            let found = queue.clone();
            let prove = move || {
                if let Some(reason) = unread.broken() {
                    // An error means that the log is closed; the next start finds it as well.
                    let _ = found.send(Job::Broken(reason));
                }
            };
            spawn(format!("{thread}-proof"), Box::new(prove))?;
        }
        let thread = spawn(thread, Box::new(move || run_or_end(writer, &jobs)))?;
        let writer = Mutex::new(Some(Running { thread, _lock: lock }));
        Ok((Self { folder: path, queue, queue_limit, gauges, writer }, recovered))
    }

    /// What the last lines of a log say of the database, whoever has it open: anchor, time and requests, nothing else.
    ///
    /// # Errors
    /// `Open` when the file cannot be read.
    pub fn glance(config: &AuditConfig, node: NodeId, key: &LineKey) -> Result<Recovered, AuditError> {
        let log =
            recover::Log { dir: &config.dir, name: &config.name, node: &node.to_string(), key, known: None, first_look: 0 };
        let end = recover::glance(&log).map_err(|e| AuditError::of(&config.dir, &e))?;
        Ok(Recovered { anchor: end.anchor, done: end.done, last_time: end.last_time, ..Recovered::default() })
    }

    /// Hands a record to the log. It is durable when the ticket says so, not before. What follows an intent is never refused for want of
    /// a place.
    pub fn submit(&self, record: &Record<'_>) -> Ticket {
        let follows = matches!(record.kind, Kind::Outcome | Kind::Unknown);
        match self.take_place(follows) {
            Ok(()) => self.put(Line::of(record)),
            Err(error) => Ticket::refused(error),
        }
    }

    /// Records what is about to happen, and waits until that is durable.
    ///
    /// # Errors
    /// As [`Ticket::then`] is told, and `Late`: it must not happen then.
    pub fn intend(&self, record: &Record<'_>, began: Moment) -> Result<Reserved, AuditError> {
        let (reserved, intent) = self.announce(record, began)?;
        intent.wait()?;
        Ok(reserved)
    }

    /// Records what is about to happen when that is durable. Its outcome has a place from now on, and what the database is about to know of
    /// it is kept until that is durable. `began` is when the database will say that it began.
    ///
    /// # Errors
    /// `Full` and `Late`: it must not happen then.
    pub fn announce(&self, record: &Record<'_>, began: Moment) -> Result<(Reserved, Intent), AuditError> {
        debug_assert_eq!(record.kind, Kind::Intent);
        // A sweep that does not know of it yet takes away nothing that began since then.
        if began.at().plus_ms(SILENCE_MS) < began.now() {
            return Err(AuditError::Late);
        }
        self.take_place(false)?;
        let reserved = Reserved(Arc::clone(&self.gauges));
        self.gauges.marks.keep(record.request_id, began.at());
        let intent = Intent { line: self.submit(record), request: record.request_id, gauges: Arc::clone(&self.gauges) };
        Ok((reserved, intent))
    }

    /// Takes over to write the outcome of an intent that was left open: at once, or when the file can be written, or else the next start
    /// finds it open again. That no mark is there says something only of an intent whose mark was kept.
    pub fn complete(&self, intent: &OpenIntent, completion: Completion) {
        let known = match completion {
            Completion::NotCommitted if !self.gauges.marks.are_kept_of(intent.request_id) => Completion::Unknown,
            told => told,
        };
        // It follows an intent, so it has a place; and a log that is closed is what the next start is for.
        let _ = self.take_place(true);
        drop(self.put(Line::of(&intent.outcome(known.code()))));
    }

    /// Until when marks in the database are not needed any more, if not before this: those of intents without outcome are.
    pub fn marks_unneeded_until(&self, until: Timestamp) -> Timestamp {
        self.gauges.marks.unneeded_until(until)
    }

    /// The last durable line; none before the first.
    pub fn end(&self) -> Option<LogEnd> {
        *self.gauges.end.lock()
    }

    /// Says what the database is at, letters, digits and full stops: the checkpoints from now on say so too.
    pub fn set_anchor(&self, anchor: String) {
        debug_assert!(anchor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
        self.gauges.set_anchor(Some(anchor));
    }

    /// The intents that were recorded as `unknown` since this was asked last, and when: ask the database, then call
    /// [`Audit::complete`].
    pub fn take_unresolved(&self) -> Vec<(Instant, OpenIntent)> {
        std::mem::take(&mut *self.gauges.unresolved.lock())
    }

    /// Takes a place for a record that is to wait; without regard to how many there are, where one was reserved.
    fn take_place(&self, is_reserved: bool) -> Result<(), AuditError> {
        let places = &self.gauges.places;
        if places.fetch_add(1, Ordering::Relaxed) >= self.queue_limit && !is_reserved {
            places.fetch_sub(1, Ordering::Relaxed);
            return Err(AuditError::Full);
        }
        Ok(())
    }

    /// Hands over a line that has a place.
    fn put(&self, line: Line) -> Ticket {
        let (promise, ticket) = promise();
        // Counted before it can be taken off again.
        self.gauges.queued.fetch_add(1, Ordering::Relaxed);
        if self.queue.send(Job::Write(line, promise)).is_err() {
            self.gauges.leave_places(1);
            return Ticket::refused(AuditError::Closed);
        }
        ticket
    }

    /// Whether the last attempt to write succeeded, and none has been under way for [`SLOW`]. While it did not, one is made at
    /// least twice a second.
    ///
    /// # Errors
    /// `Write` with the reason; `Closed` when nothing will be written any more.
    pub fn health(&self) -> Result<(), AuditError> {
        let wait = self.gauges.wait();
        if wait >= SLOW {
            return Err(AuditError::Write(format!("the disk has not answered for {} s", wait.as_secs())));
        }
        let writer = self.writer.lock();
        if writer.as_ref().is_none_or(|w| w.thread.is_finished()) {
            return Err(AuditError::Closed);
        }
        let trouble = self.gauges.trouble.lock();
        trouble.clone().map_or(Ok(()), |reason| Err(AuditError::Write(reason)))
    }

    /// Bytes that the file system of its folder has left for this service; none where it cannot be asked.
    pub fn free_bytes(&self) -> Option<u64> {
        free_bytes(&self.folder)
    }

    /// The numbers now.
    pub fn stats(&self) -> Stats {
        let g = &self.gauges;
        let [lines, syncs, last_sync_us, failures, checkpoints, checkpoint_failures] =
            [&g.lines, &g.syncs, &g.last_sync_us, &g.failures, &g.checkpoints, &g.checkpoint_failures]
                .map(|n| n.load(Ordering::Relaxed));
        let queued = g.queued.load(Ordering::Relaxed);
        let oldest_wait = g.wait();
        Stats { queued, lines, syncs, last_sync_us, failures, checkpoints, checkpoint_failures, oldest_wait }
    }

    /// Writes what waits, the `stop` line and a last checkpoint (the token has two seconds for it). Records that come later are
    /// refused. A disk that does not answer is given up after [`CLOSE_WAIT`], as at a crash. Closing twice does nothing.
    pub fn close(&self) {
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            let until = Instant::now() + CLOSE_WAIT;
            // An error means that the thread is gone already.
            let _ = self.queue.send(Job::Close);
            while !writer.thread.is_finished() && Instant::now() < until {
                std::thread::sleep(CLOSE_POLL);
            }
            if !writer.thread.is_finished() {
                log::error!("the audit log is left as it is: its disk does not answer");
            }
        }
    }
}

/// Writes until the end. A panic is the end of the process: with a log that says `Closed` for ever it would serve nothing, and look alive.
/// Whoever supervises it starts it again, as after a crash.
fn run_or_end(writer: Writer, jobs: &std::sync::mpsc::Receiver<Job>) {
    if catch_unwind(AssertUnwindSafe(|| writer.run(jobs))).is_err() {
        log::error!("the audit writer panicked; ending as at a crash");
        std::thread::sleep(LAST_WORDS);
        end(1);
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
