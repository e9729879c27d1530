//! What a file says of the time before: where its chain stands, which intents are open, where a crash tore it, and what in it was not
//! written by this service.
//!
//! Owns: reading at start. Must not know: signatures; `verify` proves, this only continues. Called by: writer.
//!
//! The chain goes on behind the last line that bears this node's MAC, and not before the last that somebody else knows of.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::LogEnd;
use super::chain::{self, Hash, Head, Position};
use super::file;
use super::line_mac::LineKey;
use super::lines::{MOST_TORN, Next, next_line};
use super::record::OpenIntent;
use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;
use crate::base::regular;

/// How much of a file's end is glanced at, bytes: some ten thousand lines, among them checkpoints.
pub(super) const GLANCE: u64 = 4 << 20;

/// The kind of a file's first line, and of no other.
pub(super) const FIRST: &str = "file";

/// Intents without outcome, with the number of their line.
#[derive(Debug, Default, Clone)]
pub(super) struct OpenIntents(HashMap<RequestId, (u64, OpenIntent)>);

impl OpenIntents {
    pub(super) fn open(&mut self, seq: u64, intent: OpenIntent) {
        self.0.insert(intent.request_id, (seq, intent));
    }

    pub(super) fn close(&mut self, id: RequestId) {
        self.0.remove(&id);
    }

    /// The line of the oldest.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.0.values().map(|(seq, _)| *seq).min()
    }

    /// Oldest first.
    pub(super) fn list(&self) -> Vec<OpenIntent> {
        let mut list: Vec<_> = self.0.values().collect();
        list.sort_by_key(|(seq, _)| *seq);
        list.into_iter().map(|(_, intent)| intent.clone()).collect()
    }
}

/// Where a log goes on.
pub(super) struct End {
    pub(super) position: Position,
    pub(super) intents: OpenIntents,
    /// When the last line was written, by its own word.
    pub(super) last_time: Option<Timestamp>,
    /// What the database was last said to be at.
    pub(super) anchor: Option<String>,
    /// Requests whose effect is told behind that.
    pub(super) done: Vec<(Timestamp, RequestId)>,
    pub(super) place: Place,
    /// What of the file was not read.
    pub(super) unread: Option<Unread>,
}

/// The beginning of a file of which only the end was read.
pub(super) struct Unread {
    file: File,
    len: u64,
    /// Where the end goes on.
    next: Position,
    node: String,
    key: LineKey,
}

impl Unread {
    /// Reads it; why it is not what this service wrote, if it is not.
    pub(super) fn broken(self) -> Option<String> {
        let Self { mut file, len, next, node, key } = self;
        let log = Log { dir: Path::new(""), name: "", node: &node, key: &key, known: None, first_look: 0 };
        let mut found = Found::default();
        let mut read = || -> io::Result<()> {
            file.rewind()?;
            let mut reader = BufReader::with_capacity(1 << 16, (&mut file).take(len));
            let mut line = Vec::new();
            while found.broken.is_none() {
                match next_line(&mut reader, &mut line)? {
                    Next::End if line.is_empty() => break,
                    Next::TooLong => found.is_too_long(),
                    Next::Line | Next::End => match found.own(&line, &log) {
                        Ok(head) => {
                            found.begins(&head);
                            found.line(&head, &line, None);
                        }
                        Err(reason) => found.note(reason),
                    },
                }
            }
            Ok(())
        };
        if let Err(error) = read() {
            return Some(format!("it cannot be read: {error}"));
        }
        if found.position != next {
            found.note(format!("line {} does not follow line {}", next.next_seq, found.position.next_seq - 1));
        }
        found.broken
    }
}

/// In which file it goes on.
pub(super) enum Place {
    /// In the present one, behind `len` bytes; what follows them is torn, or a stranger's.
    Sound { first_seq: u64, len: u64, tail: Tail },
    /// In a new one; why, and where to put what stands in its place.
    Begin { aside: Option<PathBuf>, reason: String },
}

/// What stands behind the last sound line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) bytes: Vec<u8>,
    /// Why it is not what a crash leaves, if it is not.
    pub(super) strange: Option<String>,
}

/// How the reason of a file begins that does not follow the lines that were written before it.
const LOST: &str = "lost: ";

/// Whether the reason of a file is that lines before it are lost.
pub(super) fn is_a_loss(reason: &str) -> bool {
    reason.starts_with(LOST)
}

/// Whose log it is.
pub(super) struct Log<'a> {
    pub(super) dir: &'a Path,
    pub(super) name: &'a str,
    pub(super) node: &'a str,
    pub(super) key: &'a LineKey,
    /// The last line that was known elsewhere.
    pub(super) known: Option<LogEnd>,
    /// How much of a longer file is read at first, bytes.
    pub(super) first_look: u64,
}

/// Refuses a present file of another log of this node, which somebody has given this one's name: in its own place it is as good as it was.
fn require_name(log: &Log<'_>) -> io::Result<()> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        log: Cow<'a, str>,
    }
    let Ok(file) = regular::open_itself(&file::present(log.dir, log.name)) else { return Ok(()) };
    let mut first = Vec::new();
    let is_whole = next_line(&mut BufReader::new(file), &mut first)? == Next::Line;
    if !is_whole || !Found::default().own(&first, log).is_ok_and(|head| head.kind == FIRST) {
        return Ok(());
    }
    match serde_json::from_slice(&first) {
        Ok(Named { log: other }) if other != log.name => Err(io::Error::other(format!(
            "{}.jsonl holds lines of the log \"{other}\": give the files their names again",
            log.name
        ))),
        _ => Ok(()),
    }
}

/// Finds the end of the chain: in the present file, or, where that has no line, in the newest rotated one.
pub(super) fn end(log: &Log<'_>) -> io::Result<End> {
    require_name(log)?;
    if let Some(end) = known_end(log)? {
        return Ok(end);
    }
    let mut end = end_of_files(log)?;
    let Some(known) = &log.known else { return Ok(end) };
    let last = end.position.next_seq - 1;
    let reason = if last == 0 {
        format!("{LOST}all files are missing; line {} was the last", known.seq)
    } else if last < known.seq {
        format!("{LOST}lines {} to {} are missing", last + 1, known.seq)
    } else if last == known.seq && end.position.prev != known.hash {
        format!("{LOST}line {} is not the one that was written", known.seq)
    } else {
        return Ok(end);
    };
    let aside = match end.place {
        Place::Sound { first_seq, .. } => Some(file::rotated(log.dir, log.name, first_seq)),
        Place::Begin { aside, .. } => aside,
    };
    end.position = Position { next_seq: known.seq + 1, prev: known.hash };
    end.place = Place::Begin { aside, reason };
    Ok(end)
}

/// The end of a long file where that is as somebody else knows it, by the end alone: the last line that is known there binds all before it, and
/// no intent of before is open. None where anything in it is not as it should be; then all of the file is read.
fn known_end(log: &Log<'_>) -> io::Result<Option<End>> {
    let Some(known) = &log.known else { return Ok(None) };
    let Ok(mut file) = regular::open_itself(&file::present(log.dir, log.name)) else { return Ok(None) };
    let len = file.metadata()?.len();
    if len <= log.first_look {
        return Ok(None);
    }
    let mut first = Vec::new();
    if next_line(&mut BufReader::new(&mut file), &mut first)? != Next::Line {
        return Ok(None);
    }
    let mut found = Found::default();
    let first_seq = match found.own(&first, log) {
        Ok(head) if head.kind == FIRST => head.seq,
        _ => return Ok(None),
    };
    file.seek(SeekFrom::Start(len - log.first_look))?;
    let mut bytes = Vec::new();
    (&mut file).take(log.first_look).read_to_end(&mut bytes)?;
    let Some(begin) = bytes.iter().position(|b| *b == b'\n').map(|at| at + 1) else { return Ok(None) };
    let mut next = None;
    for line in bytes[begin..].split_inclusive(|b| *b == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else { return Ok(None) };
        let Ok(head) = found.own(line, log) else { return Ok(None) };
        next.get_or_insert(Position { next_seq: head.seq, prev: head.prev });
        found.line(&head, line, Some(known));
    }
    let Some(next) = next else { return Ok(None) };
    let last = found.position.next_seq - 1;
    let reaches = next.next_seq <= known.open_from.min(known.seq) && known.seq <= last;
    if !reaches || found.broken.is_some() || found.anchor.is_none() {
        return Ok(None);
    }
    let unread =
        Unread { file, len: len - log.first_look + begin as u64, next, node: log.node.to_owned(), key: log.key.clone() };
    let Found { position, intents, last_time, anchor, done, .. } = found;
    let place = Place::Sound { first_seq, len, tail: Tail::default() };
    Ok(Some(End { position, intents, last_time, anchor, done: requests(done), place, unread: Some(unread) }))
}

fn end_of_files(log: &Log<'_>) -> io::Result<End> {
    let (dir, name) = (log.dir, log.name);
    let path = file::present(dir, name);
    let found = match read(&path, log) {
        Ok(found) => Some(found),
        Err(e) if e.kind() == io::ErrorKind::NotFound => match end_rotation(log)? {
            true => Some(read(&path, log)?),
            false => None,
        },
        Err(e) => return Err(e),
    };
    let exists = found.is_some();
    // Why none of its lines is one of this log, where it has some.
    let strange = found.as_ref().and_then(|found| found.broken.clone());
    if let Some(Found { position, first_seq: Some(first_seq), len, intents, last_time, anchor, done, tail, broken, .. }) = found
    {
        let place = match broken {
            None => Place::Sound { first_seq, len, tail },
            Some(reason) => Place::Begin { aside: Some(file::rotated(dir, name, first_seq)), reason },
        };
        return Ok(End { position, intents, last_time, anchor, done: requests(done), place, unread: None });
    }
    let last = file::all_rotated(dir, name)?.last().map(|last| read(last, log)).transpose()?;
    let missing = if last.is_some() { "the present file was missing" } else { "first" };
    let Found { position, intents, last_time, anchor, done, .. } = last.unwrap_or_default();
    let aside = exists.then(|| file::foreign(dir, name, position.next_seq));
    let reason = strange.unwrap_or_else(|| if exists { "the present file had no line" } else { missing }.to_owned());
    let place = Place::Begin { aside, reason };
    Ok(End { position, intents, last_time, anchor, done: requests(done), place, unread: None })
}

/// Ends a rotation in which a power cut left no present file: the full one had its new name, and the next, whole since before, did not have
/// its place yet. Whether that was so.
fn end_rotation(log: &Log<'_>) -> io::Result<bool> {
    let Some(full) = file::all_rotated(log.dir, log.name)?.pop() else { return Ok(false) };
    let next = match read(&file::next(log.dir, log.name), log) {
        Ok(next) => next,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    let follows = next.first_seq == Some(read(&full, log)?.position.next_seq);
    if follows && next.broken.is_none() && next.tail == Tail::default() {
        file::take_place(log.dir, log.name)?;
        return Ok(true);
    }
    Ok(false)
}

fn requests(done: Vec<(u64, Timestamp, RequestId)>) -> Vec<(Timestamp, RequestId)> {
    done.into_iter().map(|(_, time, id)| (time, id)).collect()
}

/// A file as it was found.
#[derive(Debug, Clone)]
struct Found {
    /// Behind its last whole line.
    position: Position,
    /// Number of its first line; none when it has no line.
    first_seq: Option<u64>,
    /// Bytes up to the end of the last whole line.
    len: u64,
    intents: OpenIntents,
    last_time: Option<Timestamp>,
    anchor: Option<String>,
    /// The line that the first checkpoint with this anchor is about: when it was asked for, the database was there.
    anchored_at: u64,
    /// Requests whose effect the database may have got since the anchor before, with number and time of the line that tells it.
    done: Vec<(u64, Timestamp, RequestId)>,
    /// What follows the last sound line.
    tail: Tail,
    /// The first thing wrong with the chain; the file must then be left as it is.
    broken: Option<String>,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            position: Position::ORIGIN,
            first_seq: None,
            len: 0,
            intents: OpenIntents::default(),
            last_time: None,
            anchor: None,
            anchored_at: 0,
            done: Vec::new(),
            tail: Tail::default(),
            broken: None,
        }
    }
}

/// The members of lines that open and close intents.
#[derive(Deserialize)]
pub(super) struct FileLine {
    pub(super) open: Vec<OpenIntent>,
    #[serde(default)]
    database: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct OutcomeLine<'a> {
    pub(super) request_id: RequestId,
    #[serde(default)]
    code: Cow<'a, str>,
    #[serde(default)]
    principal: Cow<'a, str>,
    /// What a restart completed has none.
    decision: Option<&'a str>,
}

impl OutcomeLine<'_> {
    /// Whether it says that a caller's request had an effect, so that the database had its mark.
    pub(super) fn tells_an_effect(&self) -> bool {
        self.code == "OK" && self.decision.is_some() && self.principal != "service"
    }
}

#[derive(Deserialize)]
struct CheckpointLine {
    at: u64,
    #[serde(default)]
    database: Option<String>,
}

/// Reads a file from its beginning: some tenths of a second for a file of the usual 64 MiB at most. What stands behind more than a line can
/// be is not looked at: whoever put that there has put anything behind it.
fn read(path: &Path, log: &Log<'_>) -> io::Result<Found> {
    let mut reader = BufReader::with_capacity(1 << 16, regular::open_itself(path)?);
    let mut found = Found::default();
    let mut line = Vec::new();
    // As it was before the first line that this service did not write, and why that is none.
    let mut sound: Option<(Found, String)> = None;
    // Whether one that it did write follows.
    let mut goes_on = false;
    loop {
        match next_line(&mut reader, &mut line)? {
            Next::Line => {}
            Next::End => {
                found.tail.bytes = line;
                let Some((sound, reason)) = sound else { return Ok(found) };
                return ended(path, found, sound, reason, goes_on);
            }
            Next::TooLong => {
                found.is_too_long();
                return Ok(found);
            }
        }
        let count = line.len() as u64 + 1;
        found.len += count;
        match found.own(&line, log) {
            Ok(head) => {
                found.begins(&head);
                goes_on |= sound.is_some();
                found.line(&head, &line, log.known.as_ref());
            }
            Err(reason) if found.first_seq.is_some() && sound.is_none() => {
                let before = Found { len: found.len - count, ..found.clone() };
                found.note(reason.clone());
                sound = Some((before, reason));
            }
            Err(reason) => found.note(reason),
        }
    }
}

/// What the last lines of the present file say of the database; a log that is being written may be looked at.
pub(super) fn glance(log: &Log<'_>) -> io::Result<End> {
    require_name(log)?;
    let mut file = match regular::open_itself(&file::present(log.dir, log.name)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        other => Some(other?),
    };
    let mut found = Found::default();
    if let Some(file) = &mut file {
        let len = file.metadata()?.len();
        let from = len.saturating_sub(GLANCE);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.take(GLANCE).read_to_end(&mut tail)?;
        let mut lines = tail.split_inclusive(|b| *b == b'\n');
        if from > 0 {
            lines.next();
        }
        for line in lines.filter_map(|line| line.strip_suffix(b"\n")) {
            // What is not as it should be is found by whoever opens the log.
            if let Ok(head) = found.own(line, log)
                && found.members(&head, line).is_ok()
            {
                found.last_time = Timestamp::parse(head.time).or(found.last_time);
            }
        }
    }
    let Found { position, intents, last_time, anchor, done, .. } = found;
    let place = Place::Begin { aside: None, reason: String::new() };
    Ok(End { position, intents, last_time, anchor, done: requests(done), place, unread: None })
}

/// What a file is in which something stands that this service did not write.
///
/// What was being written when the power went may be there in part: blocks that reached the disk beside blocks that did not and are
/// zeros now. That is what follows the sound lines if it has a zero in it, which no line has, and no checkpoint: each of those is
/// synced by itself, so nothing before one can be missing unless somebody took it away. What somebody wrote behind the last line is
/// put away; a file that was changed further up is evidence as it is.
fn ended(path: &Path, found: Found, mut sound: Found, reason: String, goes_on: bool) -> io::Result<Found> {
    let mut file = regular::open_itself(path)?;
    file.seek(SeekFrom::Start(sound.len))?;
    let mut rest = Vec::new();
    file.take(MOST_TORN).read_to_end(&mut rest)?;
    let whole = (rest.len() as u64) < MOST_TORN;
    let is_checkpoint = |line: &[u8]| Head::parse(line).is_some_and(|head| head.kind == "checkpoint");
    let torn = whole && rest.contains(&0) && !rest.split(|b| *b == b'\n').any(is_checkpoint);
    if !torn && (goes_on || !whole || sound.broken.is_some()) {
        return Ok(found);
    }
    sound.tail = Tail { bytes: rest, strange: (!torn).then_some(reason) };
    Ok(sound)
}

impl Found {
    /// The head of a line that this service wrote, or why it is none.
    fn own<'l>(&self, line: &'l [u8], log: &Log<'_>) -> Result<Head<'l>, String> {
        let after = self.position.next_seq - 1;
        let head = Head::parse(line).ok_or_else(|| format!("what follows line {after} is no line of an audit log"))?;
        if head.node != log.node {
            return Err(format!("line {} was written by node {}", head.seq, head.node));
        }
        if !log.key.verifies(line) {
            return Err(format!("line {} was changed, or written by somebody else: its MAC is not this node's", head.seq));
        }
        Ok(head)
    }

    /// Notes where the first line of a file is none: what was before it was cut off.
    fn begins(&mut self, head: &Head<'_>) {
        if self.first_seq.is_none() && head.kind != FIRST {
            self.note(format!("the beginning of the file is missing, up to line {}", head.seq));
        }
    }

    fn line(&mut self, head: &Head<'_>, line: &[u8], known: Option<&LogEnd>) {
        if self.first_seq.is_some() && (head.seq, head.prev) != (self.position.next_seq, self.position.prev) {
            self.note(format!("line {} does not follow line {}", head.seq, self.position.next_seq - 1));
        }
        self.first_seq.get_or_insert(head.seq);
        self.last_time = Timestamp::parse(head.time).or(self.last_time);
        let hash: Hash = chain::hash(line);
        self.position = Position { next_seq: head.seq + 1, prev: hash };
        if known.is_some_and(|known| known.seq == head.seq && known.hash != hash) {
            self.note(format!("line {} is not the one that was written", head.seq));
        }
        if self.members(head, line).is_err() {
            self.note(format!("line {} cannot be read", head.seq));
        }
    }

    fn members(&mut self, head: &Head<'_>, line: &[u8]) -> serde_json::Result<()> {
        match head.kind {
            "intent" => self.intents.open(head.seq, serde_json::from_slice(line)?),
            "outcome" => {
                let outcome: OutcomeLine<'_> = serde_json::from_slice(line)?;
                self.intents.close(outcome.request_id);
                if outcome.tells_an_effect() {
                    self.done.push((head.seq, Timestamp::parse(head.time).unwrap_or(Timestamp(0)), outcome.request_id));
                }
            }
            "checkpoint" => {
                let CheckpointLine { at, database } = serde_json::from_slice(line)?;
                self.anchored(at, database);
            }
            FIRST => {
                let FileLine { open, database } = serde_json::from_slice(line)?;
                for intent in open {
                    self.intents.open(head.seq, intent);
                }
                self.anchor = database;
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes what the database was at when a checkpoint of the line `at` was asked for. Then it was there with all that was told when
    /// the checkpoint before was.
    fn anchored(&mut self, at: u64, anchor: Option<String>) {
        if anchor.is_some() && anchor != self.anchor {
            self.anchor = anchor;
            self.done.retain(|(seq, ..)| *seq > self.anchored_at);
            self.anchored_at = at;
        }
    }

    /// Notes that more than a line can be follows the last line.
    fn is_too_long(&mut self) {
        self.note(format!("what follows line {} is longer than any line", self.position.next_seq - 1));
    }

    /// Keeps the first reason.
    fn note(&mut self, reason: String) {
        self.broken.get_or_insert(reason);
    }
}
