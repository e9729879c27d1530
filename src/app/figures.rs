//! What the parts count for themselves, as metrics show it.
//!
//! Owns: the translation. Must not know: names of figures (`metrics`). Called by: metrics, at each scrape; app::server hands it on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::app::base::Base;
use crate::audit::Audit;
use crate::base::clock_check::ClockCheck;
use crate::keys::Keys;
use crate::logging;
use crate::metrics::{
    AuditFigures, ClockFigures, DatabaseFigures, HistogramFigures, HostFigures, KeyFigures, RotationFigures, Snapshot,
    TokenFigures,
};
use crate::secrets::Secrets;

/// Reads, at each scrape, what the parts count for themselves.
pub(super) fn figures(
    base: &Base,
    keys: &Arc<Keys>,
    secrets: &Arc<Secrets>,
    audit: &Arc<Audit>,
    alarms: &Arc<AtomicU64>,
    clocks: &Arc<ClockCheck>,
) -> impl Fn() -> Snapshot + Send + Sync + 'static {
    let (token, store, secrets) = (Arc::clone(&base.token), Arc::clone(&base.store), Arc::clone(secrets));
    let (keys, audit, alarms, clocks) = (Arc::clone(keys), Arc::clone(audit), Arc::clone(alarms), Arc::clone(clocks));
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
                objects: token.objects,
                free_private: token.free_private,
                free_public: token.free_public,
                refused: token.refused,
                operations: token.operations,
                errors: token.failures,
                latencies: token
                    .latencies
                    .into_iter()
                    .map(|l| HistogramFigures { label: l.operation, no_longer: l.no_longer, count: l.count, sum: l.sum_s })
                    .collect(),
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
                oldest_wait_seconds: audit.oldest_wait.as_secs_f64(),
                checkpoint_failures: audit.checkpoint_failures,
            },
            keys: KeyFigures { uses: uses.uses, highest_uses: uses.highest, data_key_cache_hits: keys.data_key_cache_hits() },
            rotations: RotationFigures { done: rotated, failed, failing: secrets.rotations_failing().ok() },
            clock: clock_figures(&clocks),
            host: HostFigures::default(),
            integrity_alarms: alarms.load(Ordering::Relaxed),
            log_lines_dropped: logging::dropped(),
        }
    }
}

fn clock_figures(clocks: &ClockCheck) -> ClockFigures {
    let offsets = clocks.offsets();
    let seconds = |ms: i64| ms as f64 / 1000.0;
    ClockFigures {
        trusted: clocks.proved().is_ok(),
        monotonic_offset_seconds: seconds(offsets.monotonic),
        database_offset_seconds: offsets.database.map(seconds),
    }
}
