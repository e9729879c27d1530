//! The rotations of this process.
//!
//! Owns: that a secret is rotated by one thread at a time, and how rotations ended. Must not know: the steps.
//! Called by: secrets::rotation.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::base::ids::SecretId;
use crate::error::Error;

/// The rotations of this process: those under way, and how those before ended.
#[derive(Default)]
pub(in crate::secrets) struct Rotations {
    under_way: Mutex<HashSet<SecretId>>,
    done: AtomicU64,
    failed: AtomicU64,
}

/// The right to rotate a secret in this process.
pub(in crate::secrets) struct Turn<'a>(&'a Rotations, SecretId);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.under_way.lock().remove(&self.1);
    }
}

impl Rotations {
    /// The turn of a secret.
    ///
    /// # Errors
    /// [`Error::Unavailable`] while another thread has it.
    pub fn turn(&self, secret: SecretId) -> Result<Turn<'_>, Error> {
        if self.under_way.lock().insert(secret) {
            Ok(Turn(self, secret))
        } else {
            Err(Error::Unavailable("the secret is being rotated"))
        }
    }

    /// Counts how a rotation ended.
    pub fn count(&self, result: &Result<(), Error>) {
        let counter = if result.is_ok() { &self.done } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Since the start: done, and failed attempts.
    pub fn counts(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}
