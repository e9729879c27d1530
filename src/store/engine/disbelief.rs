//! Whether the database as a whole is believed: not once somebody knows that it is an earlier copy of itself, or another one.
//!
//! Owns: that word, and the look at the files of SQLite. Must not know: how it is found out. Called by: runner; app, which says it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};

use crate::store::engine::location::Location;
use crate::store::{Store, StoreError};

/// The transactions that look whether it is to be believed again.
pub(in crate::store) const EXEMPT: &str = "anchors";

/// A file's device and number.
type Identity = (u64, u64);

/// What is known against the database.
#[derive(Default)]
pub(in crate::store) struct Disbelief {
    reason: RwLock<Option<String>>,
    /// The files of SQLite, the database first, and which they were when they were last in order.
    files: Vec<(PathBuf, Mutex<Option<Identity>>)>,
}

impl Disbelief {
    pub(in crate::store) fn of(location: &Location) -> Self {
        let Location::Sqlite(path) = location else { return Self::default() };
        let beside = |end: &str| {
            let mut name = path.clone().into_os_string();
            name.push(end);
            (PathBuf::from(name), Mutex::new(None))
        };
        Self { reason: RwLock::default(), files: vec![beside(""), beside("-wal"), beside("-shm")] }
    }

    /// Refuses while there is a reason.
    pub(in crate::store) fn check(&self, transaction: &str) -> Result<(), StoreError> {
        match &*self.reason.read() {
            Some(reason) if transaction != EXEMPT => Err(StoreError::Corrupt { table: "all", detail: reason.clone() }),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// From now on nothing is read or written, for this reason; or everything again. Whether that is news.
    pub fn disbelieve(&self, reason: Option<String>) -> bool {
        let mut known = self.disbelief.reason.write();
        let news = known.is_some() != reason.is_some();
        *known = reason;
        news
    }

    /// Whether it is believed.
    pub fn is_believed(&self) -> bool {
        self.disbelief.reason.read().is_none()
    }

    /// The file of the database that is not the one any more that is open here, if there is such a one: it was replaced.
    pub fn replaced_file(&self) -> Option<PathBuf> {
        for (index, (path, seen)) in self.disbelief.files.iter().enumerate() {
            let now = std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
            let mut seen = seen.lock();
            // SQLite itself removes the files beside the database when its last connection closes.
            if seen.is_some() && *seen != now && (index == 0 || is_open_and_deleted(path)) {
                return Some(path.clone());
            }
            *seen = now;
        }
        None
    }
}

/// Whether this process has a file open that stood at a path and was removed.
fn is_open_and_deleted(path: &Path) -> bool {
    let Ok(path) = std::path::absolute(path) else { return false };
    let mut gone = path.into_os_string();
    gone.push(" (deleted)");
    let Ok(files) = std::fs::read_dir("/proc/self/fd") else { return false };
    files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == gone))
}
