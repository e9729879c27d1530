//! What happens without a request: ended deletion windows, due rotations of keys and secrets, half-made keys, expired nonces.
//!
//! Owns: when jobs run, and that of many nodes one runs each. Must not know: how a job is done. Called by: app.

mod rotation;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Once};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::ids::{KeyVersionId, NodeId};
use crate::error::Error;
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
    /// Token and database were compared.
    compared: Once,
}

/// Jobs on their threads.
pub struct Running(Vec<Worker>);

/// A thread that does something now and then.
struct Worker {
    /// Dropped to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn start(
        name: &'static str,
        every: Duration,
        round: impl Fn(&Receiver<()>) -> Result<(), Error> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let run = move || {
            loop {
                if let Err(error) = round(&stopped) {
                    log::warn!("{name}: {error:?}; the next round tries again");
                }
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Self { stop, thread })
    }
}

impl Running {
    /// Lets what is under way end, and nothing else begin.
    pub fn stop(self) {
        // All are told before any is waited for.
        let told: Vec<_> = self.0.into_iter().map(|Worker { stop, thread }| (drop(stop), thread)).collect();
        for ((), thread) in told {
            if thread.join().is_err() {
                log::error!("a thread of the jobs panicked");
            }
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
        Self { store, keys, secrets, system_keys, node, clock, compared: Once::new() }
    }

    /// Runs each job now and then, on threads of their own: a server that does not answer keeps nothing but rotations waiting.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self) -> std::io::Result<Running> {
        let jobs = Arc::new(self);
        let sweeps = Arc::clone(&jobs);
        let sweeps = Worker::start("bulla-jobs", EVERY, move |_| {
            sweeps.round();
            Ok(())
        })?;
        let rotations = Worker::start("bulla-rotation", rotation::EVERY, move |stopped| jobs.rotate(stopped))?;
        Ok(Running(vec![sweeps, rotations]))
    }

    fn round(&self) {
        self.compared.call_once(|| attempt("comparing token and database", || self.report_mismatch()));
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
        attempt("imported material", || self.keys.materials_sweep(BATCH));
        attempt("parameters for imports", || self.keys.import_parameters_sweep(BATCH));
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
            log::warn!("token: {id} is half made; it is cleared away unless its maker lives");
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
