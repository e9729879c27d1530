//! What happens without a request: ended deletion windows, due rotations of keys and secrets, half-made keys, expired nonces.
//!
//! Owns: when jobs run, and that of many nodes one runs each. Must not know: how a job is done. Called by: app.

mod pass;
mod rotation;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::base::alarm;
use crate::base::clock::{Clock, Moment, Timestamp};
use crate::base::clock_check::{ClockCheck, SILENCE_MS};
use crate::base::ids::{KeyVersionId, NodeId};
use crate::base::periodic::{Periodic, Rounds, Stopped};
use crate::error::Error;
use crate::keys::Keys;
use crate::secrets::Secrets;
use crate::store::Store;
use parking_lot::Mutex;

use pass::Pass;

/// Between two rounds.
const ROUND_EVERY: Duration = Duration::from_secs(20);

/// Between two looks for due rotations of secrets.
const ROTATION_EVERY: Duration = Duration::from_secs(5);

/// Between two passes over the secrets.
const BETWEEN_PASSES: Duration = Duration::from_millis(100);

/// Between two looks at the keys of which data keys are kept: a change of state wipes them within a second.
const DATA_KEYS_EVERY: Duration = Duration::from_millis(500);

/// A node that runs a round holds the lease so long, ms; another takes over when it died.
const LEASE_MS: i64 = 60_000;

/// Rows of one kind in one transaction or round: short enough to be in nobody's way.
const MAX_BATCH: i64 = 500;

/// What the jobs of a node work with.
pub struct JobParts {
    /// Nonces and leases.
    pub store: Arc<Store>,
    /// Master keys.
    pub keys: Arc<Keys>,
    /// Secrets.
    pub secrets: Arc<Secrets>,
    /// The ids of SYS, INT, AUD and ROW, and what else the deployment's row names.
    pub system_keys: Vec<KeyVersionId>,
    /// This node.
    pub node: NodeId,
    /// The time.
    pub clock: Clock,
    /// Whether it can be believed.
    pub clocks: Arc<ClockCheck>,
    /// Until when the marks of this node's requests are not needed any more, if not before this time.
    pub marks_unneeded_until: Box<dyn Fn(Timestamp) -> Timestamp + Send + Sync>,
    /// When this node last did what one node does for all.
    pub swept: Arc<Mutex<Instant>>,
    /// The share of a core that the pass over the secrets may take, per cent.
    pub check_percent: u32,
}

/// The jobs of a node.
pub struct Jobs {
    parts: JobParts,
    /// Token and database were compared.
    compared: AtomicBool,
}

/// Runs a job; what it leaves undone is done by a later round. One that panics keeps none behind it from its turn.
fn attempt(name: &str, job: impl FnOnce() -> Result<(), Error>) {
    let done = catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|_| Err(Error::Internal("it panicked".to_owned())));
    match done {
        Ok(()) => {}
        Err(Error::Integrity(what)) => {
            alarm::raise(format!("{name}: {what}"));
        }
        Err(Error::Internal(what)) => log::error!("jobs: {name}: {what}"),
        Err(error) => log::warn!("jobs: {name}: {error:?}"),
    }
}

impl Jobs {
    /// The jobs over these parts.
    pub fn new(parts: JobParts) -> Self {
        Self { parts, compared: AtomicBool::new(false) }
    }

    /// Runs each job now and then, on threads of their own: a server that does not answer keeps nothing but rotations waiting.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self) -> std::io::Result<Vec<Periodic>> {
        let jobs = Arc::new(self);
        let each =
            |name: &str, pause, round: Box<dyn FnMut(&Stopped) + Send>| Periodic::start(name, Rounds::FromNow, pause, round);
        let sweeps = Arc::clone(&jobs);
        let sweeps = each("bulla-jobs", ROUND_EVERY, Box::new(move |_| sweeps.round()))?;
        let (keys, clock) = (Arc::clone(&jobs.parts.keys), jobs.parts.clock.clone());
        let wipe = move |_: &Stopped| {
            if let Err(error) = keys.data_keys_sweep(clock.now()) {
                log::warn!("jobs: data keys: {error:?}; the next round tries again");
            }
        };
        let data_keys = each("bulla-data-keys", DATA_KEYS_EVERY, Box::new(wipe))?;
        let mut pass = Pass::new(Arc::clone(&jobs.parts.store), jobs.parts.check_percent);
        let pass = each("bulla-pass", BETWEEN_PASSES, Box::new(move |stopped| pass.run(stopped)))?;
        let rotate = move |stopped: &Stopped| attempt("rotations", || jobs.rotate(stopped));
        let rotations = each("bulla-rotation", ROTATION_EVERY, Box::new(rotate))?;
        Ok(vec![sweeps, data_keys, rotations, pass])
    }

    fn round(&self) {
        if !self.compared.swap(true, Ordering::Relaxed) {
            attempt("comparing token and database", || self.report_mismatch());
        }
        attempt("saying that this node runs", || Ok(self.parts.store.node_lives(self.parts.node, self.parts.clock.now())?));
        // Each node sweeps its own nonces, so that one that comes back after a crash still finds what its last requests did.
        self.attempt("expired nonces", |at| self.sweep_nonces(at.now()));
        self.attempt("what one node does for all, on rows alone", |at| {
            if self.holds("rows", at.now())? {
                self.sweep_rows();
            }
            Ok(())
        });
        self.attempt("due rotations", |at| {
            if self.holds_if(self.parts.keys.may_be_made(), "rotation", at.now())? {
                self.parts.keys.rotations_sweep(at, MAX_BATCH)?;
            }
            Ok(())
        });
        self.attempt("what one node does for all", |at| {
            if self.holds_if(self.parts.keys.may_be_destroyed(), "sweep", at.now())? {
                self.sweep();
                *self.parts.swept.lock() = Instant::now();
            }
            Ok(())
        });
    }

    /// What one node does for all whatever its token does. Each part is safe when two do it, after a lease that ran out under its holder.
    fn sweep_rows(&self) {
        self.attempt("imported material", |at| self.parts.keys.materials_sweep(at, MAX_BATCH));
        self.attempt("parameters for imports", |at| self.parts.keys.import_parameters_sweep(at, MAX_BATCH));
        self.attempt("ended deletion windows of secrets", |at| self.parts.secrets.deletions_sweep(at, MAX_BATCH));
        self.attempt("ended tokens", |at| self.sweep_tokens(at.now()));
    }

    /// The same of what destroys objects.
    fn sweep(&self) {
        self.attempt("half-made keys, and what is condemned", |at| self.parts.keys.creations_sweep(at));
        self.attempt("ended deletion windows of keys", |at| self.parts.keys.deletions_sweep(at, MAX_BATCH));
    }

    /// Runs a job that cannot be undone, or that one node does for all, from a moment at which the clock was not in doubt: what it does
    /// then is told by that moment alone.
    fn attempt(&self, name: &str, job: impl FnOnce(Moment) -> Result<(), Error>) {
        if let Ok(now) = self.parts.clocks.proved() {
            attempt(name, || job(Moment::of(now)));
        }
    }

    /// Says once, after the start, where token and database do not fit.
    fn report_mismatch(&self) -> Result<(), Error> {
        let found = self.parts.keys.mismatch(&self.parts.system_keys)?;
        for id in found.without_row {
            log::warn!("token: object {id} looks like ours and has no row; it is not used, and not touched");
        }
        for id in found.half_made {
            log::warn!("token: {id} is half made; it is cleared away unless its maker lives");
        }
        for id in found.without_object {
            log::error!("token: key version {id} has no object; what it encrypted cannot be read");
        }
        Ok(())
    }

    fn sweep_nonces(&self, now: Timestamp) -> Result<(), Error> {
        // Kept for longer than they matter, by as much as the clock may be ahead unnoticed; and those of writes without an outcome.
        let until = (self.parts.marks_unneeded_until)(now.plus_ms(-SILENCE_MS));
        let sweep = || self.parts.store.write_rows("nonces_sweep", |tx| tx.nonces_sweep(&self.parts.node, until, MAX_BATCH));
        while sweep()? == MAX_BATCH as usize {}
        Ok(())
    }

    fn sweep_tokens(&self, now: Timestamp) -> Result<(), Error> {
        let sweep = || self.parts.store.write_rows("tokens_sweep", |tx| tx.bearer_tokens_sweep(now, MAX_BATCH));
        while sweep()? == MAX_BATCH as usize {}
        Ok(())
    }

    /// The same of a lease for what this node may not be able to do: then it leaves it to others.
    fn holds_if(&self, able: bool, lease: &str, now: Timestamp) -> Result<bool, Error> {
        if able {
            return self.holds(lease, now);
        }
        if self.parts.store.write_rows("lease_leave", |tx| tx.lease_leave(lease, &self.parts.node, now))? {
            log::warn!("jobs: what is done under the lease {lease} is left to other nodes: the token's user may not do it");
        }
        Ok(false)
    }

    fn holds(&self, lease: &str, now: Timestamp) -> Result<bool, Error> {
        Ok(self
            .parts
            .store
            .write_rows("lease_take", |tx| tx.lease_take(lease, &self.parts.node, now, now.plus_ms(LEASE_MS)))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_panics_keeps_none_behind_it_from_its_turn() {
        let before = alarm::raised();
        attempt("test", || panic!("meant"));
        attempt("test", || Err(Error::Integrity("found".to_owned())));
        assert!(alarm::raised() > before);
    }
}
