//! The file of a log: making it, appending to it, and telling whether it is still ours.
//!
//! Owns: names, modes, the lock, durability. Must not know: what lines say. Called by: writer, recover, verify.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{AuditConfig, AuditError};
use crate::base::failpoint::{Step, reach};
use crate::base::private_folder;
use crate::base::regular;

/// Why lines could not be appended; it decides how to go on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Writing failed: what was written of the batch is cut off, then the same file goes on.
    Write(String),
    /// Syncing failed: after that the page cache may claim more than the disk holds, so a new file begins.
    Sync(String),
    /// Someone removed, replaced or changed the file.
    Foreign(String),
}

impl Trouble {
    pub(super) fn reason(&self) -> &str {
        match self {
            Trouble::Write(reason) | Trouble::Sync(reason) | Trouble::Foreign(reason) => reason,
        }
    }

    /// Which of two needs the more thorough repair.
    pub(super) fn weight(&self) -> u8 {
        match self {
            Trouble::Write(_) => 0,
            Trouble::Sync(_) => 1,
            Trouble::Foreign(_) => 2,
        }
    }
}

/// The present file.
pub(super) struct LogFile {
    dir: PathBuf,
    name: String,
    file: File,
    /// Bytes that are durable; the file's length unless a write failed.
    len: u64,
    /// Number of its first line.
    first_seq: u64,
}

/// `<dir>/<name>.jsonl`.
pub(super) fn present(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.jsonl"))
}

/// `<dir>/<name>.jsonl.new`: the next file, before it takes the present one's place.
pub(super) fn next(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.jsonl.new"))
}

/// Puts the next file in the place of the present one, which is not there any more.
pub(super) fn take_place(dir: &Path, name: &str) -> io::Result<()> {
    fs::rename(next(dir, name), present(dir, name))?;
    sync_dir(dir)
}

/// `<dir>/<name>-<seq of its first line>.jsonl`.
pub(super) fn rotated(dir: &Path, name: &str, first_seq: u64) -> PathBuf {
    dir.join(format!("{name}-{first_seq:020}.jsonl"))
}

/// `<dir>/<name>-foreign-<seq>.jsonl`: something in the file's place that is no file of this log.
pub(super) fn foreign(dir: &Path, name: &str, seq: u64) -> PathBuf {
    dir.join(format!("{name}-foreign-{seq:020}.jsonl"))
}

/// The files that are full, oldest first.
pub(super) fn all_rotated(dir: &Path, name: &str) -> io::Result<Vec<PathBuf>> {
    let is_rotated = |file: &str| {
        let middle = file.strip_prefix(name)?.strip_prefix('-')?.strip_suffix(".jsonl")?;
        Some(middle.len() == 20 && middle.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_str().and_then(is_rotated) == Some(true) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// That nobody else may write to a folder.
///
/// # Errors
/// That others may, or that it cannot be looked at.
pub fn sound_folder(dir: &Path) -> Result<(), AuditError> {
    let mode = fs::metadata(dir).map_err(|e| AuditError::of(dir, &e))?.mode();
    if mode & 0o022 != 0 {
        return Err(AuditError::Open(dir.to_owned(), "others may write to this folder; use mode 0700".to_owned()));
    }
    Ok(())
}

/// The process that holds a log, if one does.
pub fn holder(dir: &Path, name: &str) -> Option<String> {
    let path = dir.join(format!("{name}.lock"));
    match regular::open_itself(&path).ok()?.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(regular::read_text(&path).unwrap_or_default().trim().to_owned()),
        _ => None,
    }
}

/// Makes the folder if need be and locks the log, waiting as long as configured.
pub(super) fn lock(config: &AuditConfig) -> Result<File, AuditError> {
    let failed = |path: &Path, e: io::Error| AuditError::of(path, &e);
    if config.name.is_empty() || !config.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(AuditError::Open(config.dir.clone(), format!("{:?} is no name of a log", config.name)));
    }
    private_folder::make(&config.dir).map_err(|e| failed(&config.dir, e))?;
    sound_folder(&config.dir)?;
    let path = config.dir.join(format!("{}.lock", config.name));
    let lock = options().create(true).open(&path).map_err(|e| failed(&path, e))?;
    let until = Instant::now() + Duration::from_millis(config.lock_wait_ms);
    loop {
        match lock.try_lock() {
            Ok(()) => {
                // Who it is, for whoever finds it held; a full disk is no reason not to start.
                let _ = lock.set_len(0).and_then(|()| writeln!(&lock, "{}", std::process::id()));
                return Ok(lock);
            }
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => return Err(AuditError::InUse(path)),
            Err(TryLockError::Error(e)) => return Err(failed(&path, e)),
        }
    }
}

/// Read and append, private, and no symbolic link.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

impl LogFile {
    /// Opens the present file, whose first `len` bytes are sound, and cuts off the rest.
    pub(super) fn open(dir: &Path, name: &str, first_seq: u64, len: u64) -> io::Result<Self> {
        let file = options().open(present(dir, name))?;
        let log = Self { dir: dir.to_owned(), name: name.to_owned(), file, len, first_seq };
        log.cut_back()?;
        Ok(log)
    }

    /// Begins a file with its first line, beside the present one, which is renamed to `aside`. The new file is durable before it
    /// takes the present one's place.
    pub(super) fn begin(dir: &Path, name: &str, aside: Option<&Path>, first_seq: u64, first_line: &[u8]) -> io::Result<Self> {
        let new = next(dir, name);
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = options().create_new(true).open(&new)?;
        file.write_all(first_line)?;
        file.sync_all()?;
        reach(Step::AuditFileMade);
        let path = present(dir, name);
        if let Some(aside) = aside {
            set_aside(&path, aside)?;
            reach(Step::AuditFileAside);
        }
        take_place(dir, name)?;
        let len = first_line.len() as u64;
        Ok(Self { dir: dir.to_owned(), name: name.to_owned(), file, len, first_seq })
    }

    /// The next file of the same log.
    pub(super) fn next(&self, first_seq: u64, first_line: &[u8]) -> io::Result<Self> {
        let aside = rotated(&self.dir, &self.name, self.first_seq);
        Self::begin(&self.dir, &self.name, Some(&aside), first_seq, first_line)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Appends whole lines and makes them durable; the time that the sync took.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<Duration, Trouble> {
        self.file.write_all(lines).map_err(|e| Trouble::Write(e.to_string()))?;
        reach(Step::AuditWritten);
        let begin = Instant::now();
        self.file.sync_data().map_err(|e| Trouble::Sync(e.to_string()))?;
        reach(Step::AuditSynced);
        self.len += lines.len() as u64;
        Ok(begin.elapsed())
    }

    /// Back to the durable length, durably.
    pub(super) fn cut_back(&self) -> io::Result<()> {
        if self.file.metadata()?.len() > self.len {
            self.file.set_len(self.len)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// The last `count` durable bytes, read through a handle of its own.
    pub(super) fn tail(&self, count: usize) -> io::Result<Vec<u8>> {
        let count = self.len.min(count as u64);
        let mut tail = vec![0; usize::try_from(count).map_err(io::Error::other)?];
        File::open(present(&self.dir, &self.name))?.read_exact_at(&mut tail, self.len - count)?;
        Ok(tail)
    }

    /// Whether the path still leads to this file, and it is as long as we left it.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        let foreign = |what: String| Err(Trouble::Foreign(what));
        if !self.is_in_place() {
            return foreign("the audit file was removed or replaced".to_owned());
        }
        match self.file.metadata() {
            Ok(found) if found.len() != self.len => {
                foreign(format!("the audit file was changed: {} bytes instead of {}", found.len(), self.len))
            }
            Ok(_) => Ok(()),
            Err(e) => foreign(format!("the audit file cannot be examined: {e}")),
        }
    }

    fn is_in_place(&self) -> bool {
        match (self.file.metadata(), fs::symlink_metadata(present(&self.dir, &self.name))) {
            (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }

    /// When the path does not lead here any more: puts what stands in its place aside, and writes our lines out again, so that
    /// the next file can follow them.
    pub(super) fn restore(&mut self) -> io::Result<()> {
        if self.is_in_place() {
            return Ok(());
        }
        let path = present(&self.dir, &self.name);
        if fs::symlink_metadata(&path).is_ok() {
            set_aside(&path, &foreign(&self.dir, &self.name, self.first_seq))?;
        }
        let copy = self.dir.join(format!("{}.jsonl.new", self.name));
        let mut file = options().create(true).open(&copy)?;
        file.set_len(0)?;
        let mut ours = self.file.try_clone()?;
        ours.seek(SeekFrom::Start(0))?;
        io::copy(&mut ours.take(self.len), &mut file)?;
        file.sync_all()?;
        fs::rename(&copy, &path)?;
        sync_dir(&self.dir)?;
        self.file = file;
        Ok(())
    }
}

/// Keeps what stood behind the last line of the log, for whoever wants to know who wrote it.
pub(super) fn keep(dir: &Path, name: &str, seq: u64, bytes: &[u8]) -> io::Result<PathBuf> {
    let path = free(&foreign(dir, name, seq))?;
    let mut file = options().create_new(true).open(&path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(path)
}

/// Renames without overwriting: a name that is taken gets a number behind it.
fn set_aside(path: &Path, to: &Path) -> io::Result<()> {
    fs::rename(path, free(to)?)
}

/// This name, or it with the first number behind it that is not taken.
fn free(name: &Path) -> io::Result<PathBuf> {
    let numbered = (2..1000).map(|n| name.with_extension(format!("{n}.jsonl")));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|p| fs::symlink_metadata(p).is_err());
    free.ok_or_else(|| io::Error::other(format!("too many files like {}", name.display())))
}
