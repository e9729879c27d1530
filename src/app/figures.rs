//! What the parts of the service count for themselves, as metrics show it.
//!
//! Owns: names, labels, units and meanings of those figures. Must not know: the form of Prometheus (`metrics`). Called by: app::server,
//! which hands it to metrics; read at each scrape.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::app::host_figures::{Host, HostFigures};
use crate::audit::{Audit, Stats};
use crate::base::alarm;
use crate::base::clock_check::{ClockCheck, Offsets};
use crate::keys::{Keys, UseFigures};
use crate::logging;
use crate::metrics::{Figure, Timings};
use crate::secrets::Secrets;
use crate::store::{Store, StoreStatus};
use crate::token::{Token, TokenStatus};

/// Where to read.
pub(super) struct Sources {
    pub(super) token: Arc<Token>,
    pub(super) store: Arc<Store>,
    pub(super) keys: Arc<Keys>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) audit: Arc<Audit>,
    pub(super) too_long_to_ship: Arc<AtomicU64>,
    pub(super) clocks: Arc<ClockCheck>,
    pub(super) swept: Arc<Mutex<Instant>>,
    pub(super) host: Host,
}

/// What was read.
#[derive(Default)]
struct Readings {
    token: TokenStatus,
    store: StoreStatus,
    audit: Stats,
    too_long_to_ship: u64,
    uses: UseFigures,
    data_key_cache_hits: u64,
    rotations_done: u64,
    rotations_failed: u64,
    rotations_failing: Option<i64>,
    next_key_rotation: Option<i64>,
    clock_trusted: bool,
    clock_offsets: Offsets,
    host: HostFigures,
    integrity_alarms: u64,
    sweep_age_s: u64,
    log_lines_dropped: u64,
}

impl Sources {
    /// The figures as they are now.
    pub(super) fn figures(&self) -> Vec<Figure> {
        figures(&self.read())
    }

    fn read(&self) -> Readings {
        let (rotations_done, rotations_failed) = self.secrets.rotation_counts();
        let audit = self.audit.stats();
        Readings {
            token: self.token.status(),
            store: self.store.status(),
            audit,
            too_long_to_ship: self.too_long_to_ship.load(Ordering::Relaxed),
            uses: self.keys.use_figures(),
            data_key_cache_hits: self.keys.data_key_cache_hits(),
            rotations_done,
            rotations_failed,
            rotations_failing: self.secrets.rotations_failing().ok(),
            next_key_rotation: self.keys.next_rotation().ok().flatten().map(|at| at.0 / 1000),
            clock_trusted: self.clocks.proved().is_ok(),
            clock_offsets: self.clocks.offsets(),
            host: self.host.figures(),
            integrity_alarms: alarm::raised(),
            sweep_age_s: self.swept.lock().elapsed().as_secs(),
            log_lines_dropped: logging::dropped(),
        }
    }
}

/// Every figure: its name, its meaning, its value. docs/metrics.md is made of this.
#[rustfmt::skip]
fn figures(now: &Readings) -> Vec<Figure> {
    let Readings { token, store, audit, uses, host, .. } = now;
    let timings = token.latencies.iter()
        .map(|of| Timings { label: of.operation, no_longer: &of.no_longer, count: of.count, sum_s: of.sum_s });
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let offsets = [("monotonic", Some(now.clock_offsets.monotonic)), ("database", now.clock_offsets.database)]
        .map(|(source, ms)| (source, ms.map(seconds)));
    let reserved = uses.reserved.iter().map(|(key, uses)| (key.to_string(), *uses));
    let rotations = [("done", now.rotations_done), ("failed", now.rotations_failed)];
    vec![
        Figure::gauge("bulla_token_up", "1 while the token answers", token.up),
        Figure::counter("bulla_token_epochs_total", "connections to the token: one at start, one for each reconnect", token.epoch),
        Figure::gauge("bulla_token_sessions_in_use", "PKCS#11 sessions at work", token.sessions_in_use),
        Figure::gauge("bulla_token_sessions_waited_for", "requests that wait for a PKCS#11 session", token.sessions_waited_for),
        Figure::gauge("bulla_token_sessions_open", "PKCS#11 sessions open", token.sessions_open),
        Figure::gauge("bulla_token_sessions_limit", "PKCS#11 sessions at most", token.sessions_limit),
        Figure::gauge("bulla_token_pin_refused", "1 while the last login failed and waits for another PIN", token.refused),
        Figure::gauge("bulla_token_pin_tried", "1 where a wrong PIN had been presented before the last login, by whomever (CKF_USER_PIN_COUNT_LOW)", token.pin_tried),
        Figure::gauge("bulla_token_objects", "objects on the token as this node knows it: counted after the start, then by what it makes and destroys", token.objects),
        Figure::gauge("bulla_token_free_private_bytes", "free memory for private objects, where the token tells, asked once a minute", token.free_private),
        Figure::gauge("bulla_token_free_public_bytes", "free memory for public objects, where the token tells, asked once a minute", token.free_public),
        Figure::gauge("bulla_token_makes_keys", "0 while the last attempt to make a key was refused to the token's user: rotation is left to other nodes", token.makes_keys),
        Figure::counters("bulla_token_operations_total", "operations done on the token", "operation", &token.operations),
        Figure::histograms("bulla_token_operation_duration_seconds", "how long operations on the token took, with the wait for a session", "operation", timings),
        Figure::counters("bulla_token_errors_total", "failed PKCS#11 calls by class of error", "class", &token.failures),
        Figure::counter("bulla_data_key_cache_hits_total", "data keys that were found in memory instead of being unwrapped on the token", now.data_key_cache_hits),
        Figure::gauge("bulla_database_connections_in_use", "database connections at work", store.connections - store.idle),
        Figure::gauge("bulla_database_connections_idle", "database connections open and free", store.idle),
        Figure::gauge("bulla_database_connections_limit", "database connections at most", store.limit),
        Figure::counters_by("bulla_store_retries_total", "transactions run again: after a `serialization` failure, a `deadlock`, a `timeout` at a lock, a `constraint` that a write without a look beforehand met, a lost `connection`, as another node had written (`stale`), or as another was faster (`busy`)", ["transaction", "cause"], &store.retries),
        Figure::gauge("bulla_integrity_pass_age_seconds", "how long ago every secret had been compared with its digest; since the start where none of it is complete", store.pass_age_s),
        Figure::gauge("bulla_integrity_secrets_quarantined", "secrets that are not served: they were deleted or put back behind the service", store.secrets_quarantined),
        Figure::gauge("bulla_integrity_parts_quarantined", "parts of the secrets, of 256, of which none is served, as more was changed than can be told apart", store.parts_quarantined),
        Figure::gauge("bulla_jobs_sweep_age_seconds", "how long ago this node, or since its start, ended what one node does for all: over all nodes the least is below a minute or two", now.sweep_age_s),
        Figure::gauge("bulla_audit_queue_length", "records not yet on disk", audit.queued),
        Figure::counter("bulla_audit_lines_total", "lines written to the audit file", audit.lines),
        Figure::counter("bulla_audit_syncs_total", "syncs of the audit file that succeeded; lines to syncs is the group size", audit.syncs),
        Figure::gauge("bulla_audit_last_sync_duration_seconds", "the last sync of the audit file", audit.last_sync_us as f64 / 1e6),
        Figure::counter("bulla_audit_failures_total", "times the audit file could not be written; each refused its requests", audit.failures),
        Figure::gauge("bulla_audit_oldest_wait_seconds", "for how long the batch that is being written has waited for the disk", audit.oldest_wait),
        Figure::counter("bulla_audit_checkpoint_failures_total", "checkpoint signatures that the token did not give", audit.checkpoint_failures),
        Figure::counter("bulla_audit_ship_too_long_total", "lines that were not sent on, as syslog takes no datagram so long; the files have them", now.too_long_to_ship),
        Figure::gauge("bulla_audit_bytes", "bytes of the files of this node's logs", host.audit_bytes),
        Figure::gauge("bulla_audit_free_bytes", "bytes that the file system of the audit folder has left for this service", host.audit_free),
        Figure::gauge("bulla_certificate_expiry_timestamp_seconds", "when the first certificate of `listen` ends, Unix time; absent without TLS", host.certificate_end),
        Figure::gauge("bulla_clock_trusted", "0 while the sources of time differ: deletions, rotations and the removal of nonces wait", now.clock_trusted),
        Figure::gauges("bulla_clock_offset_seconds", "how far the clock is ahead of the `monotonic` one since both agreed, and of the `database`'s", "source", offsets),
        Figure::counter("bulla_key_uses_total", "encryptions under master keys by this node", uses.uses),
        Figure::gauges("bulla_key_version_uses", "uses reserved, by all nodes, of the version that encrypts, of each key that this node has encrypted under; of the 100 with the most. Rotation at 2^30, stop at 2^31", "key", reserved),
        Figure::gauge("bulla_key_rotation_next_timestamp_seconds", "when the next version of an enabled key is due, Unix time; absent where no key rotates by itself, and while the database is away", now.next_key_rotation),
        Figure::counters("bulla_rotations_total", "rotations of managed secrets that were `done`, and attempts that `failed`", "result", &rotations),
        Figure::gauge("bulla_rotations_failing", "managed secrets, of all nodes, whose last attempt failed; absent while the database is away", now.rotations_failing),
        Figure::counter("bulla_log_lines_dropped_total", "lines of the log on standard error that nobody read in time", now.log_lines_dropped),
        Figure::counter("bulla_integrity_alarms_total", "alarms given: something stored is not as it was left; anything but 0 needs a person", now.integrity_alarms),
    ]
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::Duration;

    use super::*;
    use crate::base::ids::KeyId;
    use crate::metrics::Metrics;
    use crate::token::Latency;

    /// Readings of which nothing is left out.
    fn full() -> Readings {
        let one = || vec![("x", 1)];
        let took = Latency { operation: "x", no_longer: vec![(1.0, 1)], count: 1, sum_s: 0.5 };
        Readings {
            token: TokenStatus {
                operations: one(),
                failures: one(),
                latencies: vec![took],
                objects: Some(1),
                pin_tried: Some(false),
                free_private: Some(1),
                free_public: Some(1),
                ..TokenStatus::default()
            },
            uses: UseFigures { uses: 1, reserved: vec![(KeyId::new(), 1)] },
            store: StoreStatus { retries: vec![(("x", "y"), 1)], ..StoreStatus::default() },
            rotations_failing: Some(1),
            next_key_rotation: Some(1),
            clock_offsets: Offsets { monotonic: 1, database: Some(1) },
            host: HostFigures { certificate_end: Some(1), audit_bytes: Some(1), audit_free: Some(1) },
            ..Readings::default()
        }
    }

    /// A row for each figure, of what is rendered.
    fn table(text: &str) -> String {
        let mut rows = String::new();
        let lines: Vec<&str> = text.lines().collect();
        for block in lines.chunk_by(|_, next| !next.starts_with("# HELP ")) {
            let (name, help) = block[0].strip_prefix("# HELP ").and_then(|l| l.split_once(' ')).expect("a help line");
            let kind = block[1].rsplit(' ').next().expect("a type line");
            let labels = block[2].split_once('{').map_or("", |(_, rest)| rest.split_once('}').expect("labels end").0);
            let labels: Vec<&str> = labels
                .split(',')
                .filter_map(|l| l.split_once('='))
                .map(|(name, _)| name)
                .filter(|name| *name != "le")
                .collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            writeln!(rows, "| `{name}{labels}` | {kind} | {help} |").expect("text takes text");
        }
        rows
    }

    /// The table of docs/metrics.md is what operators read. `BULLA_GOLDEN=write` writes it.
    #[test]
    fn every_figure_is_documented() {
        let metrics = Metrics::new();
        metrics.request(None, "OK", Duration::ZERO);
        metrics.turned_away("permits");
        metrics.handshake_failed("late");
        metrics.set_connections(|| (1, 1));
        metrics.set_source(|| figures(&full()));
        let rows = table(&metrics.render(0));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let before = std::fs::read_to_string(file).expect("docs/metrics.md");
        let (head, _) = before.split_once("|---|---|---|\n").expect("a table");
        let after = format!("{head}|---|---|---|\n{rows}");
        if std::env::var_os("BULLA_GOLDEN").is_some_and(|v| v == "write") {
            std::fs::write(file, &after).expect("docs/metrics.md is written");
        }
        assert_eq!(std::fs::read_to_string(file).expect("docs/metrics.md"), after);
    }
}
