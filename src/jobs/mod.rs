//! What happens without a request: ended deletion windows, half-made keys, expired nonces.
//!
//! Owns: when jobs run, and that of many nodes one runs each. Must not know: how a job is done. Called by: app.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Error;
use crate::ids::NodeId;
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

impl Jobs {
    /// The jobs over these parts.
    pub fn new(store: Arc<Store>, keys: Arc<Keys>, secrets: Arc<Secrets>, node: NodeId, clock: Clock) -> Self {
        Self { store, keys, secrets, node, clock }
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
        loop {
            if let Err(error) = self.round() {
                log::warn!("jobs: {error:?}; the next round tries again");
            }
            if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn round(&self) -> Result<(), Error> {
        // Each node sweeps its own nonces, so that one that comes back after a crash still finds what its last requests did.
        while self.sweep_nonces()? == BATCH as usize {}
        if self.holds("sweep")? {
            self.keys.creations_sweep()?;
            self.keys.materials_sweep(BATCH)?;
            self.keys.import_parameters_sweep(BATCH)?;
            for secret in self.secrets.deletions_sweep(BATCH)? {
                log::info!("secret {} of account {} removed: its deletion window is over", secret.name, secret.account_id);
            }
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
