//! What a file says of the time before: where its chain stands, which intents are open, where a crash tore it.
//!
//! Owns: reading at start. Must not know: signatures; `verify` proves, this only continues. Called by: writer.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::chain::{self, Head, Position};
use super::file;
use super::record::OpenIntent;
use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;

/// More than one batch of lines can be, bytes.
const MOST_TORN: u64 = 64 << 20;

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
    pub(super) place: Place,
}

/// In which file it goes on.
pub(super) enum Place {
    /// In the present one, behind `len` bytes; what follows them is torn.
    Sound { first_seq: u64, len: u64, torn: Vec<u8> },
    /// In a new one; why, and where to put what stands in its place.
    Begin { aside: Option<PathBuf>, reason: String },
}

/// Finds the end of the chain: in the present file, or, where that has no line, in the newest rotated one.
pub(super) fn end(dir: &Path, name: &str, node: &str) -> io::Result<End> {
    let path = file::present(dir, name);
    let found = match read(&path, node) {
        Ok(found) => Some(found),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let exists = found.is_some();
    if let Some(Found { position, first_seq: Some(first_seq), len, intents, last_time, torn, broken }) = found {
        let place = match broken {
            None => Place::Sound { first_seq, len, torn },
            Some(reason) => Place::Begin { aside: Some(file::rotated(dir, name, first_seq)), reason },
        };
        return Ok(End { position, intents, last_time, place });
    }
    let (position, intents, last_time, missing) = match file::all_rotated(dir, name)?.last() {
        Some(last) => {
            let found = read(last, node)?;
            (found.position, found.intents, found.last_time, "the present file was missing")
        }
        None => (Position::ORIGIN, OpenIntents::default(), None, "first"),
    };
    let aside = exists.then(|| file::foreign(dir, name, position.next_seq));
    let reason = if exists { "the present file had no line" } else { missing }.to_owned();
    Ok(End { position, intents, last_time, place: Place::Begin { aside, reason } })
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
    /// What follows the last newline: a line that was not written to its end.
    torn: Vec<u8>,
    /// The first thing wrong with the chain; the file must then be left as it is.
    broken: Option<String>,
}

/// The members of lines that open and close intents.
#[derive(Deserialize)]
struct FileLine {
    open: Vec<OpenIntent>,
}

#[derive(Deserialize)]
struct OutcomeLine {
    request_id: RequestId,
}

/// Reads a file from its beginning: some tenths of a second for a file of the usual 64 MiB at most.
fn read(path: &Path, node: &str) -> io::Result<Found> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut found = Found {
        position: Position::ORIGIN,
        first_seq: None,
        len: 0,
        intents: OpenIntents::default(),
        last_time: None,
        torn: Vec::new(),
        broken: None,
    };
    let mut line = Vec::new();
    // As it was before the first thing that is no line.
    let mut sound: Option<Found> = None;
    loop {
        line.clear();
        let count = reader.read_until(b'\n', &mut line)? as u64;
        if line.pop_if(|last| *last == b'\n').is_none() {
            found.torn = line;
            return Ok(match sound {
                Some(sound) => torn(path, sound)?.unwrap_or(found),
                None => found,
            });
        }
        if sound.is_none() && Head::parse(&line).is_none() && found.first_seq.is_some() && found.broken.is_none() {
            sound = Some(found.clone());
        }
        found.len += count;
        found.line(&line, node);
    }
}

/// What was being written when the power went may be there in part: blocks that reached the disk beside blocks that did not and are
/// zeros now. That is what follows the sound lines if it has a zero in it, which no line has, and no checkpoint: each of those is
/// synced by itself, so nothing before one can be missing unless somebody took it away.
fn torn(path: &Path, mut sound: Found) -> io::Result<Option<Found>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(sound.len))?;
    let mut rest = Vec::new();
    file.take(MOST_TORN).read_to_end(&mut rest)?;
    let is_checkpoint = |line: &[u8]| Head::parse(line).is_some_and(|head| head.kind == "checkpoint");
    let torn = (rest.len() as u64) < MOST_TORN && rest.contains(&0) && !rest.split(|b| *b == b'\n').any(is_checkpoint);
    sound.torn = rest;
    Ok(torn.then_some(sound))
}

impl Found {
    fn line(&mut self, line: &[u8], node: &str) {
        let Some(head) = Head::parse(line) else {
            let after = self.position.next_seq - 1;
            self.note(format!("what follows line {after} is no line of an audit log"));
            return;
        };
        if head.node != node {
            self.note(format!("line {} was written by node {}", head.seq, head.node));
        }
        if self.first_seq.is_some() && (head.seq, head.prev) != (self.position.next_seq, self.position.prev) {
            self.note(format!("line {} does not follow line {}", head.seq, self.position.next_seq - 1));
        }
        self.first_seq.get_or_insert(head.seq);
        self.last_time = Timestamp::parse(head.time).or(self.last_time);
        self.position = Position { next_seq: head.seq.saturating_add(1), prev: chain::hash(line) };
        if self.intents_line(&head, line).is_err() {
            self.note(format!("line {} cannot be read", head.seq));
        }
    }

    fn intents_line(&mut self, head: &Head<'_>, line: &[u8]) -> serde_json::Result<()> {
        match head.kind {
            "intent" => self.intents.open(head.seq, serde_json::from_slice(line)?),
            "outcome" => self.intents.close(serde_json::from_slice::<OutcomeLine>(line)?.request_id),
            "file" => {
                for intent in serde_json::from_slice::<FileLine>(line)?.open {
                    self.intents.open(head.seq, intent);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps the first reason.
    fn note(&mut self, reason: String) {
        self.broken.get_or_insert(reason);
    }
}
