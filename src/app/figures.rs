//! What the parts count for themselves, as metrics show it.
//!
//! Owns: the translation. Must not know: names of figures (`metrics`). Called by: metrics, at each scrape; app::server hands it on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::app::base::Base;
use crate::audit::Audit;
use crate::keys::Keys;
use crate::metrics::{AuditFigures, DatabaseFigures, KeyFigures, RotationFigures, Snapshot, TokenFigures};
use crate::secrets::Secrets;

/// Reads, at each scrape, what the parts count for themselves.
pub(super) fn figures(
    base: &Base,
    keys: &Arc<Keys>,
    secrets: &Arc<Secrets>,
    audit: &Arc<Audit>,
    alarms: &Arc<AtomicU64>,
) -> impl Fn() -> Snapshot + Send + Sync + 'static {
    let (token, store, secrets) = (Arc::clone(&base.token), Arc::clone(&base.store), Arc::clone(secrets));
    let (keys, audit, alarms) = (Arc::clone(keys), Arc::clone(audit), Arc::clone(alarms));
    move || {
        let uses = keys.use_figures();
        let (token, store, audit) = (token.status(), store.status(), audit.stats());
        let (rotated, failed) = secrets.rotation_counts();
        Snapshot {
            token: TokenFigures {
                up: token.up,
                epochs: token.epoch,
                sessions_open: token.sessions_open as u64,
                sessions_in_use: token.sessions_in_use as u64,
                sessions_limit: token.sessions_limit as u64,
                operations: token.operations,
                errors: token.failures,
            },
            database: DatabaseFigures {
                in_use: u64::from(store.connections - store.idle),
                idle: u64::from(store.idle),
                limit: u64::from(store.limit),
                retries: store.retries,
            },
            audit: AuditFigures {
                queue: audit.queued as u64,
                lines: audit.lines,
                syncs: audit.syncs,
                last_sync_seconds: audit.last_sync_us as f64 / 1e6,
                failures: audit.failures,
                checkpoint_failures: audit.checkpoint_failures,
            },
            keys: KeyFigures { uses: uses.uses, highest_uses: uses.highest },
            rotations: RotationFigures { done: rotated, failed, failing: secrets.rotations_failing().ok() },
            integrity_alarms: alarms.load(Ordering::Relaxed),
        }
    }
}
