//! The one thread that writes: collects what waits, writes it, syncs once, and tells all who wait.
//!
//! Owns: the order of lines, group commit, checkpoints, rotation. Must not know: what records say, who signs. Called by: `Audit`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::chain::{self, Position, Statement};
use super::file::{self, LogFile, Trouble};
use super::line::{Change, Line, Own, RecoveredLine};
use super::line_mac::LineKey;
use super::recover::{self, End, OpenIntents, Place, Tail, Unread};
use super::seal::{Sealed, Sealer, Signer};
use super::ticket::Promise;
use super::{AuditConfig, AuditError, Gauges, LogEnd, Recovered};
use crate::base::alarm;
use crate::base::ids::NodeId;

/// Most lines of one batch: bounds what one failure refuses, and the buffer.
const BATCH_LINES: usize = 4096;
/// How often the file is looked at, and how often a broken one is tried again.
pub(super) const CHECK_EVERY: Duration = Duration::from_millis(500);
/// How often to look for a signature that is being made.
const SEAL_POLL: Duration = Duration::from_millis(50);
/// How long the end of a file waits for its checkpoint.
const SEAL_AT_ROTATION: Duration = Duration::from_millis(500);
/// How long closing waits for its checkpoint.
const SEAL_AT_CLOSE: Duration = Duration::from_secs(2);
/// How much of a torn line is kept.
const TORN_TEXT_BYTES: usize = 512;

/// Why lines are cut off that have holes.
const HOLES: &str = "the last lines were not wholly on the disk";

/// What is sent to the thread.
pub(super) enum Job {
    Write(Line, Promise),
    /// The present file is not as this node wrote it: why.
    Broken(String),
    Close,
}

/// Those who wait for a batch, with their lines.
pub(super) type Batch = Vec<(Line, Promise)>;

/// The writing thread's state.
pub(super) struct Writer {
    pub(super) config: AuditConfig,
    pub(super) node: String,
    pub(super) key: LineKey,
    pub(super) gauges: Arc<Gauges>,
    pub(super) log: LogFile,
    /// Behind the last durable line.
    pub(super) position: Position,
    pub(super) intents: OpenIntents,
    /// Why the file cannot be written.
    pub(super) trouble: Option<Trouble>,
    /// Records refused since the trouble began.
    pub(super) refused: u64,
    /// Outcomes that could not be written: their effects have happened, so they are written as soon as the file can be.
    pub(super) owed: Vec<Line>,
    /// When the file was looked at.
    pub(super) checked: Instant,
    /// The bytes being written; kept for their room.
    pub(super) lines: Vec<u8>,
    sealer: Sealer,
    /// When a file that is full may be rotated: at once, or a while after it failed.
    rotate_from: Instant,
    sealing: Sealing,
}

/// What checkpoints have been asked for.
struct Sealing {
    /// The last line that needs no further one.
    covered: u64,
    asked: Instant,
    /// Whether the token refused the last one; the next then waits its time, however many lines there are.
    failing: bool,
}

impl Writer {
    /// Finds where the chain stands, repairs the file's end, and writes the first lines.
    pub(super) fn open(
        config: AuditConfig,
        node: NodeId,
        key: LineKey,
        signer: Signer,
        gauges: Arc<Gauges>,
        allow: &dyn Fn(&Recovered) -> Result<(), AuditError>,
    ) -> Result<(Self, Recovered, Option<Unread>), AuditError> {
        let node = node.to_string();
        let path = file::present(&config.dir, &config.name);
        let failed = |e: std::io::Error| AuditError::of(&path, &e);
        let sealer = Sealer::start(&config.name, node.clone(), signer).map_err(failed)?;
        let found = recover::Log {
            dir: &config.dir,
            name: &config.name,
            node: &node,
            key: &key,
            known: config.known,
            first_look: config.first_look_bytes,
        };
        let End { mut position, intents, last_time, anchor, done, place, unread } = recover::end(&found).map_err(failed)?;
        gauges.set_anchor(anchor.clone());
        let mut recovered = Recovered { open_intents: intents.list(), cut_bytes: 0, set_aside: None, last_time, anchor, done };
        allow(&recovered)?;
        let mut tail = Tail::default();
        let log = match place {
            Place::Sound { first_seq, len, tail: found } => {
                tail = found;
                recovered.cut_bytes = tail.bytes.len() as u64;
                if let Some(reason) = &tail.strange {
                    let kept = file::keep(&config.dir, &config.name, position.next_seq, &tail.bytes).map_err(failed)?;
                    recovered.set_aside = Some(format!("{reason}; kept in {}", kept.display()));
                }
                LogFile::open(&config.dir, &config.name, first_seq, len)
            }
            Place::Begin { aside, reason } => {
                let first_seq = position.next_seq;
                let mut line = Vec::new();
                let own = Own::File {
                    log: &config.name,
                    format: chain::FORMAT,
                    reason: &reason,
                    database: recovered.anchor.as_deref(),
                    open: &recovered.open_intents,
                };
                position.append(&mut line, &key, &config.clock.now().with_ms(), &node, &Line::own(&own).body);
                let log = LogFile::begin(&config.dir, &config.name, aside.as_deref(), first_seq, &line);
                let odd = aside.is_some() || reason != "first";
                recovered.set_aside = odd.then_some(reason);
                log
            }
        }
        .map_err(failed)?;
        let now = Instant::now();
        let sealing = Sealing { covered: position.next_seq - 1, asked: now, failing: false };
        let mut writer = Self {
            config,
            node,
            key,
            gauges,
            sealer,
            log,
            position,
            intents,
            trouble: None,
            refused: 0,
            owed: Vec::new(),
            checked: now,
            rotate_from: now,
            sealing,
            lines: Vec::new(),
        };
        let mut first = Vec::new();
        if !tail.bytes.is_empty() {
            let torn = if tail.bytes.contains(&0) { HOLES } else { "the last line was not complete" };
            first.push(Line::own(&Own::Recovered(RecoveredLine::Crash {
                reason: tail.strange.as_deref().unwrap_or(torn),
                cut: tail.bytes.len(),
                cut_sha256: hex::encode(chain::hash(&tail.bytes)),
                cut_text: &String::from_utf8_lossy(&tail.bytes[..tail.bytes.len().min(TORN_TEXT_BYTES)]),
            })));
        }
        first.push(Line::own(&Own::Start));
        writer.write(&first).map_err(|trouble| AuditError::Write(trouble.reason().to_owned()))?;
        Ok((writer, recovered, unread))
    }

    /// Works until told to close, or until every `Audit` is gone.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut closing = false;
        while !closing {
            let mut batch = Vec::new();
            match jobs.recv_timeout(self.idle_time()) {
                Ok(Job::Write(line, promise)) => {
                    batch.push((line, promise));
                    while batch.len() < BATCH_LINES && !closing {
                        match jobs.try_recv() {
                            Ok(Job::Write(line, promise)) => batch.push((line, promise)),
                            Ok(Job::Broken(reason)) => self.leave(&reason),
                            Ok(Job::Close) => closing = true,
                            Err(_) => break,
                        }
                    }
                }
                Ok(Job::Broken(reason)) => self.leave(&reason),
                Ok(Job::Close) | Err(RecvTimeoutError::Disconnected) => closing = true,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.gauges.at_work(true);
            self.gauges.leave_places(batch.len());
            self.look_after_file();
            self.serve(batch);
            self.look_after_checkpoints();
            self.gauges.at_work(false);
        }
        self.finish();
    }

    /// How long nothing need be done if no record comes.
    fn idle_time(&self) -> Duration {
        let mut time = CHECK_EVERY.saturating_sub(self.checked.elapsed());
        if self.sealer.is_busy() {
            time = time.min(SEAL_POLL);
        } else if self.unsealed() > 0 {
            time = time.min(self.checkpoint_every().saturating_sub(self.sealing.asked.elapsed()));
        }
        time.max(Duration::from_millis(1))
    }

    /// Lines that no checkpoint was asked for.
    fn unsealed(&self) -> u64 {
        self.position.next_seq - 1 - self.sealing.covered
    }

    fn checkpoint_every(&self) -> Duration {
        Duration::from_millis(self.config.checkpoint_every_ms)
    }

    /// Writes a batch and answers all who wait for it.
    pub(super) fn serve(&mut self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let (lines, waiting): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let result = if self.repair() { self.write_or_note(&lines) } else { Err(self.refusal()) };
        if result.is_err() {
            // No more than there are open intents, since a new intent is refused.
            let owed = self.owed.len();
            for line in &lines {
                if let Change::Doubts(intent) = &line.change {
                    self.gauges.leave_open(intent);
                }
            }
            self.owed.extend(lines.into_iter().filter(|line| matches!(line.change, Change::Closes(_))));
            self.refused += (waiting.len() - (self.owed.len() - owed)) as u64;
        }
        waiting.into_iter().for_each(|promise| promise.keep(result.clone()));
    }

    /// Makes lines durable, or leaves the state as if they had never been.
    pub(super) fn write(&mut self, lines: &[Line]) -> Result<(), Trouble> {
        let mut position = self.position;
        let time = self.config.clock.now().with_ms();
        self.lines.clear();
        for line in lines {
            position.append(&mut self.lines, &self.key, &time, &self.node, &line.body);
        }
        self.commit(position)?;
        let first_seq = self.position.next_seq - lines.len() as u64;
        for (line, seq) in lines.iter().zip(first_seq..) {
            match &line.change {
                Change::None => {}
                Change::Opens(intent) => self.intents.open(seq, (**intent).clone()),
                Change::Closes(id) => {
                    self.intents.close(*id);
                    self.gauges.marks.let_go(*id);
                }
                Change::Doubts(intent) => self.gauges.leave_open(intent),
            }
        }
        self.publish();
        Ok(())
    }

    /// Makes `self.lines`, which end at this position, durable.
    fn commit(&mut self, end: Position) -> Result<(), Trouble> {
        let took = self.log.append(&self.lines)?;
        let count = end.next_seq - self.position.next_seq;
        self.position = end;
        self.gauges.lines.fetch_add(count, Relaxed);
        self.gauges.syncs.fetch_add(1, Relaxed);
        self.gauges.last_sync_us.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        Ok(())
    }

    /// Lets others know of the last durable line.
    pub(super) fn publish(&self) {
        let Position { next_seq, prev } = self.position;
        let open_from = self.intents.oldest().unwrap_or(next_seq);
        self.gauges.set_end(LogEnd { seq: next_seq - 1, hash: prev, open_from });
    }

    /// Goes on in a new file: in the present one somebody else has written.
    fn leave(&mut self, reason: &str) {
        alarm::raise(format!("audit: the log \"{}\" is not as this node left it: {reason}", self.config.name));
        if self.trouble.is_none()
            && let Err(trouble) = self.begin_file(reason)
        {
            self.note(trouble);
        }
    }

    fn write_or_note(&mut self, lines: &[Line]) -> Result<(), AuditError> {
        self.write(lines).map_err(|trouble| {
            self.note(trouble);
            self.refusal()
        })
    }

    /// Takes a signature that is ready, asks for the next one when it is due, and begins a new file when this one is full.
    fn look_after_checkpoints(&mut self) {
        if let Some(sealed) = self.sealer.result(Duration::ZERO) {
            self.checkpoint(sealed);
        }
        let lines = self.unsealed();
        let full = lines >= self.config.checkpoint_lines && !self.sealing.failing;
        let late = self.sealing.asked.elapsed() >= self.checkpoint_every();
        if lines > 0 && (full || late) && !self.sealer.is_busy() {
            self.ask();
        }
        if self.log.len() >= self.config.max_file_bytes && self.trouble.is_none() && self.rotate_from <= Instant::now() {
            self.rotate();
        }
    }

    fn ask(&mut self) {
        let statement = Statement {
            at: self.position.next_seq - 1,
            hash: self.position.prev,
            anchor: self.gauges.anchor(),
            time: self.config.clock.now().with_ms(),
        };
        self.sealing.covered = statement.at;
        self.sealing.asked = Instant::now();
        self.sealer.ask(statement);
    }

    /// Writes a checkpoint line, unless the token did not sign or the file cannot be written: the next one proves the same lines.
    fn checkpoint(&mut self, (statement, signature): Sealed) {
        let was_failing = std::mem::replace(&mut self.sealing.failing, signature.is_err());
        match signature {
            Err(reason) => {
                self.gauges.checkpoint_failures.fetch_add(1, Relaxed);
                if !was_failing {
                    log::warn!("audit log {}: no checkpoint, {reason}; lines go on without", self.config.name);
                }
                self.sealing.covered = self.sealing.covered.min(statement.at - 1);
            }
            // A statement about the file before has no place in this one: its lines are proved by the next checkpoint here.
            Ok(_) if statement.at < self.log.first_seq() || self.trouble.is_some() => {}
            Ok(signature) => {
                let mut position = self.position;
                self.lines.clear();
                position.append(&mut self.lines, &self.key, &statement.time, &self.node, statement.body(&signature).as_bytes());
                let adjoins = statement.at + 1 == self.position.next_seq;
                match self.commit(position) {
                    Ok(()) => {
                        self.publish();
                        self.gauges.checkpoints.fetch_add(1, Relaxed);
                        if adjoins {
                            // Nothing but the checkpoint itself is new, and it proves itself.
                            self.sealing.covered = self.position.next_seq - 1;
                        }
                    }
                    Err(trouble) => self.note(trouble),
                }
            }
        }
    }

    /// Waits a bounded time for a checkpoint of everything written so far; not at all for a token that has hung that long already.
    fn seal(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        if self.sealer.is_busy() {
            match self.sealer.result(wait.saturating_sub(self.sealing.asked.elapsed())) {
                Some(sealed) => self.checkpoint(sealed),
                None => return,
            }
        }
        self.ask();
        if let Some(sealed) = self.sealer.result(until.saturating_duration_since(Instant::now())) {
            self.checkpoint(sealed);
        }
    }

    /// Ends the file with a checkpoint if the token answers, and begins the next. A rotation that fails leaves the file in use
    /// and is tried again.
    fn rotate(&mut self) {
        self.seal(SEAL_AT_ROTATION);
        if self.trouble.is_none()
            && let Err(trouble) = self.begin_file("size")
        {
            log::warn!("audit log {}: cannot begin a new file: {}", self.config.name, trouble.reason());
            self.rotate_from = Instant::now() + CHECK_EVERY;
        }
    }

    /// The last lines.
    fn finish(mut self) {
        if self.repair()
            && let Ok(()) = self.write_or_note(&[Line::own(&Own::Stop)])
        {
            self.seal(SEAL_AT_CLOSE);
        }
    }
}
