//! What a disk would hold if the power went at some moment, rebuilt from a record of what a process wrote and synced.
//!
//! Owns: making the recorder (`power/record.c`, by the C compiler), reading its record, and the images. Must not know: what is in the
//! files. Renames, new and removed files count at once and in order, as on file systems with a journal of their metadata; bytes count
//! when their file was synced, and else as the image says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;

const SECTOR: usize = 512;

/// The environment of a process whose writes below a folder are recorded in a file.
///
/// # Errors
/// When there is no C compiler.
pub fn environment(folder: &Path, record: &Path) -> io::Result<Vec<(&'static str, String)>> {
    let library = record.with_extension("so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/power/record.c");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output()?;
    if !made.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
    }
    Ok(vec![
        ("LD_PRELOAD", library.display().to_string()),
        ("BULLA_POWER_FOLDER", folder.display().to_string()),
        ("BULLA_POWER_LOG", record.display().to_string()),
    ])
}

/// What happened to a file.
#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
    SyncBegun,
    Synced,
    Renamed(PathBuf),
    Unlinked,
    Made { empty: bool },
}

/// One record.
#[derive(Debug, Clone)]
struct Event {
    /// CLOCK_MONOTONIC, ns.
    at: u64,
    path: PathBuf,
    change: Change,
}

/// What is kept of bytes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Lost,
    /// What was written first.
    Prefix,
    /// Some sectors of 512 bytes, whatever their order.
    Sectors,
    /// All.
    Kept,
}

/// The record of a process.
pub struct Recorded(Vec<Event>);

impl Recorded {
    /// Reads a record; a last one that was cut off does not count.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(record: &Path) -> io::Result<Self> {
        let bytes = fs::read(record)?;
        let mut rest = bytes.as_slice();
        let mut events = Vec::new();
        while let Some(event) = event(&mut rest) {
            events.push(event);
        }
        Ok(Self(events))
    }

    /// The moments at which something happened, ns.
    pub fn moments(&self) -> Vec<u64> {
        self.0.iter().map(|event| event.at).collect()
    }

    /// The moments at which a file took the place of another.
    pub fn renames(&self) -> Vec<u64> {
        let renames = self.0.iter().filter(|event| matches!(event.change, Change::Renamed(_)));
        renames.map(|event| event.at).collect()
    }

    /// The way of the files below `folder`, from `before`, a copy of it from before the record began.
    pub fn replay<'a>(&'a self, folder: &'a Path, before: &'a Path) -> Replay<'a> {
        Replay { events: &self.0, folder, before, files: BTreeMap::new(), gone: BTreeSet::new() }
    }
}

/// Files on their way through a record, from moment to moment.
pub struct Replay<'a> {
    /// Those to come.
    events: &'a [Event],
    folder: &'a Path,
    before: &'a Path,
    /// Files that something happened to, by their paths in the folder.
    files: BTreeMap<PathBuf, FileState>,
    /// Files of before that are not there any more under their names.
    gone: BTreeSet<PathBuf>,
}

impl Replay<'_> {
    /// On to this moment, ns. There is no way back.
    pub fn to(&mut self, until: u64) {
        while let Some((event, rest)) = self.events.split_first().filter(|(event, _)| event.at <= until) {
            self.events = rest;
            self.pass(event);
        }
    }

    fn pass(&mut self, event: &Event) {
        // What lies elsewhere is no part of the image; SQLite's index of its log is memory that processes share, and made anew; a
        // folder's entries count already.
        let Ok(path) = event.path.strip_prefix(self.folder) else { return };
        if path.to_string_lossy().ends_with("-shm") || self.before.join(path).is_dir() {
            return;
        }
        let mut state = self.files.remove(path).unwrap_or_else(|| {
            let gone = self.gone.contains(path);
            if gone { FileState::default() } else { FileState::of(&self.before.join(path)) }
        });
        match &event.change {
            Change::Unlinked => {
                self.gone.insert(path.to_owned());
                return;
            }
            Change::Renamed(to) => {
                self.gone.insert(path.to_owned());
                self.files.insert(to.strip_prefix(self.folder).unwrap_or(to).to_owned(), state);
                return;
            }
            Change::Made { empty: true } => state.waiting.push(Change::Truncate(0)),
            Change::Made { empty: false } => {}
            Change::SyncBegun => state.syncing = state.waiting.len(),
            Change::Synced => state.synced(),
            change => state.waiting.push(change.clone()),
        }
        self.files.insert(path.to_owned(), state);
    }

    /// Makes the folder what a disk would hold if the power went now.
    ///
    /// # Errors
    /// Of the file system.
    pub fn image(&self, rest: Rest, random: &mut Rng) -> io::Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(self.folder)?;
        }
        copy(self.before, self.folder)?;
        for path in &self.gone {
            let _ = fs::remove_file(self.folder.join(path));
        }
        for (path, state) in &self.files {
            let mut state = state.clone();
            state.end(rest, random);
            fs::write(self.folder.join(path), &state.durable)?;
        }
        Ok(())
    }
}

/// Copies a folder.
///
/// # Errors
/// Of the file system.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let (entry, to) = (entry?, to);
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A file on its way to the disk.
#[derive(Debug, Clone, Default)]
struct FileState {
    durable: Vec<u8>,
    waiting: Vec<Change>,
    /// How much of that a sync under way covers.
    syncing: usize,
}

impl FileState {
    fn of(path: &Path) -> Self {
        Self { durable: fs::read(path).unwrap_or_default(), waiting: Vec::new(), syncing: 0 }
    }

    fn synced(&mut self) {
        let covered = self.syncing.min(self.waiting.len());
        for change in self.waiting.drain(..covered) {
            apply(&mut self.durable, &change);
        }
        self.syncing = 0;
    }

    fn end(&mut self, rest: Rest, random: &mut Rng) {
        let waiting = std::mem::take(&mut self.waiting);
        let count = match rest {
            Rest::Lost => 0,
            Rest::Prefix => random.usize(..=waiting.len()),
            Rest::Sectors | Rest::Kept => waiting.len(),
        };
        for change in &waiting[..count] {
            match change {
                Change::Write(at, bytes) if rest == Rest::Sectors => self.some_sectors(*at, bytes, random),
                change => apply(&mut self.durable, change),
            }
        }
    }

    fn some_sectors(&mut self, at: u64, bytes: &[u8], random: &mut Rng) {
        let at = usize::try_from(at).expect("small files");
        // The length is metadata; what did not reach the disk is zeros.
        if self.durable.len() < at + bytes.len() {
            self.durable.resize(at + bytes.len(), 0);
        }
        let mut done = 0;
        while done < bytes.len() {
            let end = bytes.len().min((at + done) / SECTOR * SECTOR + SECTOR - at);
            if random.bool() {
                self.durable[at + done..at + end].copy_from_slice(&bytes[done..end]);
            }
            done = end;
        }
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, new) => {
            let at = usize::try_from(*at).expect("small files");
            if bytes.len() < at + new.len() {
                bytes.resize(at + new.len(), 0);
            }
            bytes[at..at + new.len()].copy_from_slice(new);
        }
        Change::Truncate(length) => bytes.resize(usize::try_from(*length).expect("small files"), 0),
        _ => {}
    }
}

fn event(rest: &mut &[u8]) -> Option<Event> {
    fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
        let (head, tail) = rest.split_at_checked(count)?;
        *rest = tail;
        Some(head)
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let kind = take(rest, 1)?[0];
    let at = number(take(rest, 8)?);
    let path_length = usize::try_from(number(take(rest, 2)?)).ok()?;
    let path = PathBuf::from(String::from_utf8(take(rest, path_length)?.to_vec()).ok()?);
    let offset = number(take(rest, 8)?);
    let length = usize::try_from(number(take(rest, 4)?)).ok()?;
    let data = take(rest, length)?.to_vec();
    let change = match kind {
        b'W' => Change::Write(offset, data),
        b'T' => Change::Truncate(offset),
        b'S' => Change::SyncBegun,
        b'F' => Change::Synced,
        b'R' => Change::Renamed(PathBuf::from(String::from_utf8(data).ok()?)),
        b'U' => Change::Unlinked,
        _ => Change::Made { empty: offset == 1 },
    };
    Some(Event { at, path, change })
}

/// The present moment on the clock of the record, ns.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
