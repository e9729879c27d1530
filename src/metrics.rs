//! The service's figures in the text form of Prometheus, in a registry of its own.
//!
//! Owns: names, labels and units of every figure, and that labels stay few. Must not know: where figures come from. Called by:
//! http (requests, rendering) and app (which says how to read the figures of token, database and audit).
//!
//! | name | kind | meaning |
//! |---|---|---|
//! | `bulla_requests_total{action,code}` | counter | requests answered; action `unknown` for all that is no operation, code `OK` on success |
//! | `bulla_request_duration_seconds{action}` | histogram | from the whole head received to the answer handed to the connection |
//! | `bulla_requests_in_flight` | gauge | requests admitted and not finished, whether or not their client still waits |
//! | `bulla_requests_turned_away_total{want}` | counter | 503 for want of a permit, a thread, memory for a body, time, or the audit record |
//! | `bulla_connections_open` | gauge | connections of clients |
//! | `bulla_connections_shed_total` | counter | connections closed to make room for others, the most useless ones first |
//! | `bulla_log_lines_dropped_total` | counter | lines of the log on standard error that nobody read in time |
//! | `bulla_token_up` | gauge | 1 while the token answers |
//! | `bulla_token_epochs_total` | counter | connections to the token: one at start, one for each reconnect |
//! | `bulla_token_sessions_in_use`, `bulla_token_sessions_open`, `bulla_token_sessions_limit` | gauge | PKCS#11 sessions |
//! | `bulla_token_pin_refused` | gauge | 1 while the last login failed and waits for another PIN |
//! | `bulla_token_objects` | gauge | objects on the token as this node knows it: counted after the start, then by what it makes and destroys |
//! | `bulla_token_free_private_bytes`, `bulla_token_free_public_bytes` | gauge | memory for objects that is free, where the token tells; as of the last login |
//! | `bulla_token_operations_total{operation}` | counter | operations done on the token |
//! | `bulla_token_operation_duration_seconds{operation}` | histogram | how long each took, with the wait for a session |
//! | `bulla_data_key_cache_hits_total` | counter | data keys that were found in memory instead of being unwrapped on the token |
//! | `bulla_token_errors_total{class}` | counter | failed PKCS#11 calls by class of error |
//! | `bulla_database_connections_in_use`, `bulla_database_connections_idle`, `bulla_database_connections_limit` | gauge | the pools |
//! | `bulla_store_retries_total{transaction}` | counter | transactions run again after a conflict |
//! | `bulla_audit_queue_length` | gauge | records not yet on disk |
//! | `bulla_audit_lines_total`, `bulla_audit_syncs_total` | counter | lines written; syncs that succeeded. Their ratio is the group size |
//! | `bulla_audit_last_sync_duration_seconds` | gauge | the last sync of the audit file |
//! | `bulla_audit_failures_total` | counter | times the file could not be written; each refused its requests |
//! | `bulla_audit_oldest_wait_seconds` | gauge | for how long the batch that is being written has waited for the disk |
//! | `bulla_audit_checkpoint_failures_total` | counter | checkpoint signatures that the token did not give |
//! | `bulla_clock_trusted` | gauge | 0 while the sources of time differ: deletions, rotations and the removal of nonces wait |
//! | `bulla_clock_offset_seconds{source}` | gauge | how far the clock is ahead of the `monotonic` one since both agreed, and of the `database`'s |
//! | `bulla_key_uses_total` | counter | encryptions under master keys by this node |
//! | `bulla_key_version_uses_highest` | gauge | the most uses reserved, by all nodes, of one key version that this node has encrypted under; rotation at 2^30, stop at 2^31 |
//! | `bulla_rotations_total{result}` | counter | rotations of managed secrets that were `done`, and attempts that `failed` |
//! | `bulla_rotations_failing` | gauge | managed secrets, of all nodes, whose last attempt failed; absent while the database is away |
//! | `bulla_build_info{version}` | gauge | 1; which program this is |
//! | `bulla_certificate_expiry_timestamp_seconds` | gauge | when the first certificate of `listen` ends, Unix time; absent without TLS |
//! | `bulla_audit_bytes` | gauge | bytes of the files of this node's logs |
//! | `bulla_audit_free_bytes` | gauge | bytes that the file system of the audit folder has left for this service |
//! | `process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_cpu_seconds_total`, `process_open_fds`, `process_max_fds`, `process_threads`, `process_start_time_seconds` | gauge | of the process, as every exporter tells them |
//! | `bulla_integrity_alarms_total` | counter | stored bytes that did not verify. Anything but 0 needs a person |

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// The action label of everything that is no operation of the API, so that callers cannot make labels.
const UNKNOWN: &str = "unknown";

/// Upper bounds in seconds: from a cached read to the two-second waits for sessions and connections.
const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1.0, 2.5];

/// What the rest of the service counts for itself, read when somebody asks.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The token.
    pub token: TokenFigures,
    /// The database.
    pub database: DatabaseFigures,
    /// The audit file.
    pub audit: AuditFigures,
    /// The use of master keys.
    pub keys: KeyFigures,
    /// The rotations.
    pub rotations: RotationFigures,
    /// The clock.
    pub clock: ClockFigures,
    /// The host.
    pub host: HostFigures,
    /// Stored bytes that did not verify, since start.
    pub integrity_alarms: u64,
    /// Lines of the log dropped since start.
    pub log_lines_dropped: u64,
}

/// Figures of what the service stands on at this host; none where it cannot be told.
#[derive(Debug, Clone, Default)]
pub struct HostFigures {
    /// When the first certificate of the listener ends, Unix time, seconds.
    pub certificate_end: Option<i64>,
    /// Bytes of the files of the audit folder.
    pub audit_bytes: Option<u64>,
    /// Bytes that its file system has left.
    pub audit_free: Option<u64>,
}

/// Figures of the rotation of managed secrets.
#[derive(Debug, Clone, Default)]
pub struct RotationFigures {
    /// Done since start.
    pub done: u64,
    /// Attempts that failed since start.
    pub failed: u64,
    /// Secrets whose last attempt failed; none while nobody can tell.
    pub failing: Option<i64>,
}

/// Figures of the token layer. Counts are since start.
#[derive(Debug, Clone, Default)]
pub struct TokenFigures {
    /// Whether the token answers.
    pub up: bool,
    /// Connections to it, the first included.
    pub epochs: u64,
    /// Sessions at work now.
    pub sessions_in_use: u64,
    /// Sessions open now.
    pub sessions_open: u64,
    /// Sessions at most.
    pub sessions_limit: u64,
    /// Whether the last login failed and waits for another PIN.
    pub refused: bool,
    /// Objects on the token, where they were counted.
    pub objects: Option<u64>,
    /// Free memory for private objects, bytes.
    pub free_private: Option<u64>,
    /// Free memory for public objects, bytes.
    pub free_public: Option<u64>,
    /// How long operations took.
    pub latencies: Vec<HistogramFigures>,
    /// Operations by name.
    pub operations: Vec<(&'static str, u64)>,
    /// Failures by class.
    pub errors: Vec<(&'static str, u64)>,
}

/// A histogram that somebody else keeps.
#[derive(Debug, Clone, Default)]
pub struct HistogramFigures {
    /// What its label says.
    pub label: &'static str,
    /// Upper bounds in seconds, and how many were no longer.
    pub no_longer: Vec<(f64, u64)>,
    /// How many in all.
    pub count: u64,
    /// Seconds in all.
    pub sum: f64,
}

/// Figures of the store. Counts are since start.
#[derive(Debug, Clone, Default)]
pub struct DatabaseFigures {
    /// Connections at work now.
    pub in_use: u64,
    /// Connections open and free.
    pub idle: u64,
    /// Connections at most.
    pub limit: u64,
    /// Retries by name of the transaction.
    pub retries: Vec<(&'static str, u64)>,
}

/// Figures of the audit file. Counts are since start.
#[derive(Debug, Clone, Default)]
pub struct AuditFigures {
    /// Records not yet on disk.
    pub queue: u64,
    /// Lines written.
    pub lines: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Duration of the last one, seconds.
    pub last_sync_seconds: f64,
    /// Times the file could not be written.
    pub failures: u64,
    /// For how long the batch that is being written has waited, seconds.
    pub oldest_wait_seconds: f64,
    /// Checkpoint signatures that the token did not give.
    pub checkpoint_failures: u64,
}

/// Figures of the clock.
#[derive(Debug, Clone, Default)]
pub struct ClockFigures {
    /// Whether it can be believed for what cannot be undone.
    pub trusted: bool,
    /// Ahead of the monotonic clock, seconds.
    pub monotonic_offset_seconds: f64,
    /// Ahead of the database's, seconds; none where that is not known.
    pub database_offset_seconds: Option<f64>,
}

/// Figures of the use of master keys by this node.
#[derive(Debug, Clone, Default)]
pub struct KeyFigures {
    /// Encryptions, since start.
    pub uses: u64,
    /// The most uses that all nodes have reserved of one version, of those that this node has encrypted under.
    pub highest_uses: u64,
    /// Data keys found in memory, since start.
    pub data_key_cache_hits: u64,
}

type Source = Box<dyn Fn() -> Snapshot + Send + Sync>;
type Connections = Box<dyn Fn() -> (u64, u64) + Send + Sync>;

/// All figures of one server.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    turned_away: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGauge,
    source: OnceLock<Source>,
    connections: OnceLock<Connections>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Figures at zero, with no source yet.
    pub fn new() -> Self {
        const VALID: &str = "names, labels and buckets are constants that fit the format and differ from each other";
        let requests =
            IntCounterVec::new(Opts::new("bulla_requests_total", "Requests answered."), &["action", "code"]).expect(VALID);
        let turned_away = IntCounterVec::new(
            Opts::new("bulla_requests_turned_away_total", "Requests answered 503 by the front, by what was wanting."),
            &["want"],
        )
        .expect(VALID);
        let options = HistogramOpts::new("bulla_request_duration_seconds", "Time from head to answer.");
        let durations = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["action"]).expect(VALID);
        let in_flight = IntGauge::new("bulla_requests_in_flight", "Requests admitted and not finished.").expect(VALID);
        let registry = Registry::new();
        registry.register(Box::new(requests.clone())).expect(VALID);
        registry.register(Box::new(turned_away.clone())).expect(VALID);
        registry.register(Box::new(durations.clone())).expect(VALID);
        registry.register(Box::new(in_flight.clone())).expect(VALID);
        let build = IntGaugeVec::new(Opts::new("bulla_build_info", "Which program this is."), &["version"]).expect(VALID);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build)).expect(VALID);
        registry.register(Box::new(ProcessCollector::for_self())).expect(VALID);
        Self { registry, requests, turned_away, durations, in_flight, source: OnceLock::new(), connections: OnceLock::new() }
    }

    /// Says how to read what others count. It is called at each scrape, on a thread that may wait a little. The first call
    /// counts; later ones change nothing.
    pub fn set_source(&self, source: impl Fn() -> Snapshot + Send + Sync + 'static) {
        let _ = self.source.set(Box::new(source));
    }

    /// Says how to read how many connections are open, and how many were closed to make room. The first call counts.
    pub fn set_connections(&self, connections: impl Fn() -> (u64, u64) + Send + Sync + 'static) {
        let _ = self.connections.set(Box::new(connections));
    }

    /// Counts an answer. `action` is none for what is no operation of the API; `code` is from the table of faults, or `OK`.
    pub fn request(&self, action: Option<&'static str>, code: &str, duration: Duration) {
        let action = action.unwrap_or(UNKNOWN);
        self.requests.with_label_values(&[action, code]).inc();
        self.durations.with_label_values(&[action]).observe(duration.as_secs_f64());
    }

    /// Counts a request that was turned away for want of something.
    pub fn turned_away(&self, want: &'static str) {
        self.turned_away.with_label_values(&[want]).inc();
    }

    /// All figures in the text form of Prometheus (version 0.0.4), and the requests in flight as the caller counts them.
    pub fn render(&self, in_flight: usize) -> String {
        self.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        let mut families = self.registry.gather();
        if let Some(connections) = self.connections.get() {
            let (open, shed) = connections();
            families.push(gauge("bulla_connections_open", "Connections of clients.", open as f64));
            families.push(counter("bulla_connections_shed_total", "Connections closed to make room.", shed));
        }
        if let Some(source) = self.source.get() {
            families.extend(families_of(&source()));
        }
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
            log::error!("metrics cannot be written: {error}");
        }
        text
    }
}

#[rustfmt::skip]
fn families_of(now: &Snapshot) -> impl Iterator<Item = MetricFamily> {
    let Snapshot { token, database, audit, keys, rotations, host, clock, integrity_alarms, log_lines_dropped } = now;
    let results = [("done", rotations.done), ("failed", rotations.failed)];
    [
        gauge("bulla_token_up", "1 while the token answers.", f64::from(u8::from(token.up))),
        counter("bulla_token_epochs_total", "Connections to the token.", token.epochs),
        gauge("bulla_token_sessions_in_use", "PKCS#11 sessions at work.", token.sessions_in_use as f64),
        gauge("bulla_token_sessions_open", "PKCS#11 sessions open.", token.sessions_open as f64),
        gauge("bulla_token_sessions_limit", "PKCS#11 sessions at most.", token.sessions_limit as f64),
        gauge("bulla_token_pin_refused", "1 while the last login failed and waits for another PIN.", f64::from(u8::from(token.refused))),
        maybe("bulla_token_objects", "Objects on the token.", token.objects),
        maybe("bulla_token_free_private_bytes", "Free memory for private objects.", token.free_private),
        maybe("bulla_token_free_public_bytes", "Free memory for public objects.", token.free_public),
        counters("bulla_token_operations_total", "Operations done on the token.", "operation", &token.operations),
        histograms("bulla_token_operation_duration_seconds", "How long operations on the token took.", "operation", &token.latencies),
        counter("bulla_data_key_cache_hits_total", "Data keys found in memory.", keys.data_key_cache_hits),
        counters("bulla_token_errors_total", "Failed PKCS#11 calls by class.", "class", &token.errors),
        gauge("bulla_database_connections_in_use", "Database connections at work.", database.in_use as f64),
        gauge("bulla_database_connections_idle", "Database connections open and free.", database.idle as f64),
        gauge("bulla_database_connections_limit", "Database connections at most.", database.limit as f64),
        counters("bulla_store_retries_total", "Transactions run again.", "transaction", &database.retries),
        gauge("bulla_audit_queue_length", "Audit records not yet on disk.", audit.queue as f64),
        counter("bulla_audit_lines_total", "Lines of the audit file.", audit.lines),
        counter("bulla_audit_syncs_total", "Syncs of the audit file that succeeded.", audit.syncs),
        gauge("bulla_audit_last_sync_duration_seconds", "The last of them.", audit.last_sync_seconds),
        counter("bulla_audit_failures_total", "Times the audit file could not be written.", audit.failures),
        gauge("bulla_audit_oldest_wait_seconds", "Wait of the batch being written.", audit.oldest_wait_seconds),
        counter("bulla_audit_checkpoint_failures_total", "Missing checkpoint signatures.", audit.checkpoint_failures),
        gauge("bulla_clock_trusted", "0 while the sources of time differ.", f64::from(u8::from(clock.trusted))),
        gauges("bulla_clock_offset_seconds", "The clock is ahead of others by so much.", "source", &offsets(clock)),
        counter("bulla_key_uses_total", "Encryptions under master keys.", keys.uses),
        gauge("bulla_key_version_uses_highest", "The most uses reserved of one key version.", keys.highest_uses as f64),
        counters("bulla_rotations_total", "Rotations of managed secrets.", "result", &results),
        counter("bulla_log_lines_dropped_total", "Lines of the log that nobody read.", *log_lines_dropped),
        counter("bulla_integrity_alarms_total", "Stored bytes that did not verify.", *integrity_alarms),
    ]
    .into_iter()
    .chain(host.certificate_end.map(|at| {
        gauge("bulla_certificate_expiry_timestamp_seconds", "When the first certificate ends.", at as f64)
    }))
    .chain(host.audit_bytes.map(|n| gauge("bulla_audit_bytes", "Bytes of the audit files.", n as f64)))
    .chain(host.audit_free.map(|n| gauge("bulla_audit_free_bytes", "Bytes left for the audit files.", n as f64)))
    .chain(rotations.failing.map(|n| gauge("bulla_rotations_failing", "Secrets whose last attempt failed.", n as f64)))
    .filter(|family| !family.get_metric().is_empty())
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counted(labels: Vec<LabelPair>, value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    family(name, help, MetricType::COUNTER, vec![counted(Vec::new(), value)])
}

fn counters(name: &str, help: &str, label: &str, values: &[(&'static str, u64)]) -> MetricFamily {
    let metrics = values.iter().map(|(value, count)| {
        let mut pair = LabelPair::default();
        pair.set_name(label.to_owned());
        pair.set_value((*value).to_owned());
        counted(vec![pair], *count)
    });
    family(name, help, MetricType::COUNTER, metrics.collect())
}

fn offsets(clock: &ClockFigures) -> Vec<(&'static str, f64)> {
    let database = clock.database_offset_seconds.map(|seconds| ("database", seconds));
    [("monotonic", clock.monotonic_offset_seconds)].into_iter().chain(database).collect()
}

fn gauges(name: &str, help: &str, label: &str, values: &[(&'static str, f64)]) -> MetricFamily {
    let metrics = values.iter().map(|(value, number)| {
        let (mut pair, mut gauge) = (LabelPair::default(), Gauge::default());
        pair.set_name(label.to_owned());
        pair.set_value((*value).to_owned());
        gauge.set_value(*number);
        let mut metric = Metric::from_label(vec![pair]);
        metric.set_gauge(gauge);
        metric
    });
    family(name, help, MetricType::GAUGE, metrics.collect())
}

/// A gauge that is there when somebody knows it.
fn maybe(name: &str, help: &str, value: Option<u64>) -> MetricFamily {
    value.map_or_else(|| family(name, help, MetricType::GAUGE, Vec::new()), |value| gauge(name, help, value as f64))
}

fn histograms(name: &str, help: &str, label: &str, values: &[HistogramFigures]) -> MetricFamily {
    let metrics = values.iter().filter(|figures| figures.count > 0).map(|figures| {
        let mut pair = LabelPair::default();
        pair.set_name(label.to_owned());
        pair.set_value(figures.label.to_owned());
        let mut histogram = Histogram::default();
        histogram.set_sample_count(figures.count);
        histogram.set_sample_sum(figures.sum);
        let buckets = figures.no_longer.iter().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(*count);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        let mut metric = Metric::from_label(vec![pair]);
        metric.set_histogram(histogram);
        metric
    });
    family(name, help, MetricType::HISTOGRAM, metrics.collect())
}

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    family(name, help, MetricType::GAUGE, vec![Metric::from_gauge(gauge)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_counted() {
        let metrics = Metrics::new();
        metrics.request(Some("GetSecretValue"), "OK", Duration::from_millis(3));
        metrics.request(None, "InvalidApi.NotFound", Duration::ZERO);
        let token = TokenFigures { errors: vec![("session", 2)], ..TokenFigures::default() };
        let audit = AuditFigures { syncs: 4, last_sync_seconds: 0.5, ..AuditFigures::default() };
        metrics.set_source(move || Snapshot { token: token.clone(), audit: audit.clone(), ..Snapshot::default() });
        let text = metrics.render(7);
        for line in [
            "bulla_requests_total{action=\"GetSecretValue\",code=\"OK\"} 1",
            "bulla_requests_total{action=\"unknown\",code=\"InvalidApi.NotFound\"} 1",
            "bulla_request_duration_seconds_bucket{action=\"GetSecretValue\",le=\"0.004\"} 1",
            "bulla_requests_in_flight 7",
            "bulla_token_errors_total{class=\"session\"} 2",
            "bulla_audit_syncs_total 4",
            "bulla_audit_last_sync_duration_seconds 0.5",
            "bulla_integrity_alarms_total 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("bulla_store_retries_total"), "a family without members is left out");
    }

    /// The table in the module's doc is what operators read; it must have every name.
    #[test]
    fn every_name_is_documented() {
        let (doc, _) = include_str!("metrics.rs").split_once("\nuse ").expect("the doc ends where the uses begin");
        let metrics = Metrics::new();
        metrics.request(None, "OK", Duration::ZERO);
        metrics.turned_away("permits");
        let one = || vec![("x", 1)];
        metrics.set_source(move || Snapshot {
            token: TokenFigures {
                operations: one(),
                errors: one(),
                objects: Some(1),
                free_private: Some(1),
                free_public: Some(1),
                latencies: vec![HistogramFigures { label: "x", no_longer: vec![(1.0, 1)], count: 1, sum: 0.5 }],
                ..TokenFigures::default()
            },
            database: DatabaseFigures { retries: one(), ..DatabaseFigures::default() },
            rotations: RotationFigures { failing: Some(1), ..RotationFigures::default() },
            host: HostFigures { certificate_end: Some(1), audit_bytes: Some(1), audit_free: Some(1) },
            ..Snapshot::default()
        });
        for name in metrics.render(0).lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()) {
            assert!(doc.contains(&format!("`{name}")), "{name}");
        }
    }
}
