//! Whether the database as a whole is believed: not once somebody knows that it is an earlier copy of itself, or another one.
//!
//! Owns: that word, and the look at the files of SQLite. Must not know: how it is found out. Called by: runner; app, which says it.

use std::mem::discriminant;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};

use crate::store::engine::error::NO_TABLE;
use crate::store::engine::location::Location;
use crate::store::{Store, StoreError};

/// The transactions that look whether it is to be believed again.
pub(in crate::store) const EXEMPT: &str = "anchors";

/// A file's device and number.
type Identity = (u64, u64);

/// Why nothing is read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// It is not where it should be, for now.
    Away(String),
    /// It is an earlier copy of itself, or another one.
    Lie(String),
}

/// What is known against the database.
#[derive(Default)]
pub(in crate::store) struct Disbelief {
    reason: RwLock<Option<Distrust>>,
    /// What values are not of their columns' kinds, by the last look at all of them.
    values: Mutex<Option<String>>,
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
        Self { reason: RwLock::default(), values: Mutex::default(), files: vec![beside(""), beside("-wal"), beside("-shm")] }
    }

    /// Refuses while there is a reason.
    pub(in crate::store) fn check(&self, transaction: &str) -> Result<(), StoreError> {
        match &*self.reason.read() {
            Some(Distrust::Lie(why)) if transaction != EXEMPT => {
                Err(StoreError::Corrupt { table: NO_TABLE, detail: why.clone() })
            }
            Some(Distrust::Away(why)) if transaction != EXEMPT => Err(StoreError::Unavailable(why.clone())),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// From now on nothing is read or written, for this reason; or everything again. Whether that is news.
    pub fn disbelieve(&self, reason: Option<Distrust>) -> bool {
        let kind = |reason: &Option<Distrust>| reason.as_ref().map(discriminant);
        let mut known = self.disbelief.reason.write();
        let news = kind(&known) != kind(&reason);
        *known = reason;
        news
    }

    /// Whether it is believed.
    pub fn is_believed(&self) -> bool {
        self.disbelief.reason.read().is_none()
    }

    /// Looks at the kinds of all values, which nobody but this service's statements should have written. Until a later look finds them
    /// right the database is distrusted as a whole: which rows are answers to which questions cannot be told.
    ///
    /// # Errors
    /// `Corrupt`, with what was found; else as any read.
    pub fn values_check(&self) -> Result<(), StoreError> {
        let looked = self.read_rows(EXEMPT, |tx| tx.values_checked(false));
        match &looked {
            Ok(()) => *self.disbelief.values.lock() = None,
            Err(StoreError::Corrupt { detail, .. }) => *self.disbelief.values.lock() = Some(detail.clone()),
            Err(_) => {}
        }
        looked
    }

    /// What is wrong with the values or the files of the database. A file is not the one any more that is open here, so it was
    /// replaced; or the database cannot be seen where it was: it may be back in a moment, and what would be written until then nobody would
    /// find.
    pub fn distrusted(&self) -> Option<Distrust> {
        if let Some(why) = &*self.disbelief.values.lock() {
            return Some(Distrust::Lie(why.clone()));
        }
        for (index, (path, seen)) in self.disbelief.files.iter().enumerate() {
            let now = match std::fs::metadata(path) {
                Ok(found) => Some((found.dev(), found.ino())),
                Err(error) if index == 0 => return Some(Distrust::Away(format!("{}: {error}", path.display()))),
                Err(_) => None,
            };
            let mut seen = seen.lock();
            // SQLite itself removes the files beside the database when its last connection closes.
            if seen.is_some() && *seen != now && (index == 0 || is_open_and_deleted(path)) {
                return Some(Distrust::Lie(format!("the file {} was replaced", path.display())));
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
