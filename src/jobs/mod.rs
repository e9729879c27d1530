//! What happens without a request: ended deletion windows, due rotations, half-made keys, expired nonces.
//!
//! Owns: when jobs run, and that of many nodes one runs each. Must not know: how a job is done. Called by: app.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Error;
use crate::ids::{KeyVersionId, NodeId};
use crate::keys::Keys;
use crate::secrets::Secrets;
use crate::store::{Abort, Store};

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(20);

/// A node that runs a round holds the lease so long, ms; another takes over when it died.
const LEASE_MS: i64 = 60_000;

/// Rows of one kind in one transaction or round: short enough to be in nobody's way.
const BATCH: i64 = 500;

/// The jobs of a node.
pub struct Jobs {
    store: Arc<Store>,
    keys: Arc<Keys>,
    secrets: Arc<Secrets>,
    system_keys: [KeyVersionId; 3],
    node: NodeId,
    clock: Clock,
}

/// Jobs on their thread.
pub struct Running {
    /// Dropped to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Lets the round under way end, and no other begin.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the thread of the jobs panicked");
        }
    }
}

/// Runs a job; what it leaves undone is done by a later round.
fn attempt(name: &str, job: impl FnOnce() -> Result<(), Error>) {
    if let Err(error) = job() {
        log::warn!("jobs: {name}: {error:?}");
    }
}

impl Jobs {
    /// The jobs over these parts.
    pub fn new(
        store: Arc<Store>,
        keys: Arc<Keys>,
        secrets: Arc<Secrets>,
        system_keys: [KeyVersionId; 3],
        node: NodeId,
        clock: Clock,
    ) -> Self {
        Self { store, keys, secrets, system_keys, node, clock }
    }

    /// Runs a round now and then, on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self) -> std::io::Result<Running> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("bulla-jobs".into()).spawn(move || self.run(&stopped))?;
        Ok(Running { stop, thread })
    }

    fn run(&self, stopped: &Receiver<()>) {
        attempt("comparing token and database", || self.report_mismatch());
        loop {
            self.round();
            if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn round(&self) {
        // Each node sweeps its own nonces, so that one that comes back after a crash still finds what its last requests did.
        attempt("expired nonces", || {
            while self.sweep_nonces()? == BATCH as usize {}
            Ok(())
        });
        attempt("what one node does for all", || {
            if self.holds("sweep")? {
                self.sweep();
            }
            Ok(())
        });
    }

    /// What one node does for all. Each part is safe when two do it, after a lease that ran out under its holder.
    fn sweep(&self) {
        attempt("half-made keys", || self.keys.creations_sweep());
        attempt("due rotations", || self.keys.rotations_sweep(BATCH));
        attempt("ended deletion windows of keys", || self.keys.deletions_sweep(BATCH));
        attempt("ended deletion windows of secrets", || self.secrets.deletions_sweep(BATCH));
    }

    /// Says once, after the start, where token and database do not fit.
    fn report_mismatch(&self) -> Result<(), Error> {
        let found = self.keys.mismatch(&self.system_keys)?;
        for id in found.without_row {
            log::warn!("token: object {id} looks like ours and has no row; it is not used, and not touched");
        }
        for id in found.half_made {
            log::warn!("token: key version {id} is half made; it is cleared away unless its maker lives");
        }
        for id in found.without_object {
            log::error!("token: key version {id} has no object; what it encrypted cannot be read");
        }
        Ok(())
    }

    fn sweep_nonces(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        self.store.write("nonces_sweep", |tx| Ok::<_, Abort<Error>>(tx.nonces_sweep(&self.node, now, BATCH)?))
    }

    fn holds(&self, lease: &str) -> Result<bool, Error> {
        let now = self.clock.now();
        self.store
            .write("lease_take", |tx| Ok::<_, Abort<Error>>(tx.lease_take(lease, &self.node, now, now.plus_ms(LEASE_MS))?))
    }
}
