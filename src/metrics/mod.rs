//! The service's figures in the text form of Prometheus, in a registry of its own.
//!
//! Owns: the figures of requests, that labels stay few, and the form of all. Must not know: what others count. Called by: http (requests,
//! rendering) and app, which declares the figures of the other parts.
//!
//! docs/metrics.md lists every figure; a test writes it from what is rendered.

mod figure;

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

pub use figure::{Figure, Timings};

/// The action label of everything that is no operation of the API, so that callers cannot make labels.
const UNKNOWN: &str = "unknown";

/// Upper bounds in seconds: from a cached read to the two-second waits for sessions and connections.
const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1.0, 2.5];

type Source = Box<dyn Fn() -> Vec<Figure> + Send + Sync>;
type Connections = Box<dyn Fn() -> (u64, u64) + Send + Sync>;

/// All figures of one server.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    turned_away: IntCounterVec,
    handshakes: IntCounterVec,
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
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels).expect(VALID);
        let requests = counter(
            "bulla_requests_total",
            "requests answered; action `unknown` for all that is no operation (`NoRoute` through Vault's door), code `OK` on success",
            &["action", "code"],
        );
        let turned_away = counter(
            "bulla_requests_turned_away_total",
            "503 for want of a permit, a thread, memory for a body, time, the audit record, or a place among the connections",
            &["want"],
        );
        let handshakes = counter(
            "bulla_tls_handshake_failures_total",
            "TLS handshakes that came to nothing: `plain_http` was spoken instead, it was `late`, or it was `refused` by one side",
            &["reason"],
        );
        let options = HistogramOpts::new(
            "bulla_request_duration_seconds",
            "from the whole head received to the answer handed to the connection",
        );
        let durations = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["action"]).expect(VALID);
        let help = "requests admitted and not finished, whether or not their client still waits";
        let in_flight = IntGauge::new("bulla_requests_in_flight", help).expect(VALID);
        let registry = Registry::new();
        registry.register(Box::new(requests.clone())).expect(VALID);
        registry.register(Box::new(turned_away.clone())).expect(VALID);
        registry.register(Box::new(handshakes.clone())).expect(VALID);
        registry.register(Box::new(durations.clone())).expect(VALID);
        registry.register(Box::new(in_flight.clone())).expect(VALID);
        let build = IntGaugeVec::new(Opts::new("bulla_build_info", "1; which program this is"), &["version"]).expect(VALID);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build)).expect(VALID);
        registry.register(Box::new(ProcessCollector::for_self())).expect(VALID);
        Self {
            registry,
            requests,
            turned_away,
            handshakes,
            durations,
            in_flight,
            source: OnceLock::new(),
            connections: OnceLock::new(),
        }
    }

    /// Says how to read what others count. It is called at each scrape, on a thread that may wait a little. The first call
    /// counts; later ones change nothing.
    pub fn set_source(&self, source: impl Fn() -> Vec<Figure> + Send + Sync + 'static) {
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

    /// Counts a TLS handshake that came to nothing.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshakes.with_label_values(&[reason]).inc();
    }

    /// All figures in the text form of Prometheus (version 0.0.4), and the requests in flight as the caller counts them.
    pub fn render(&self, in_flight: usize) -> String {
        self.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        let mut families = self.registry.gather();
        let connections = self.connections.get().map(|connections| connections());
        let connections = connections.map(|(open, shed)| {
            let closed = "connections closed to make room for others, the most useless ones first";
            [
                Figure::gauge("bulla_connections_open", "connections of clients", open),
                Figure::counter("bulla_connections_shed_total", closed, shed),
            ]
        });
        let others = self.source.get().map(|source| source());
        let figures = connections.into_iter().flatten().chain(others.into_iter().flatten());
        families.extend(figures.filter_map(Figure::family));
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
            log::error!("metrics cannot be written: {error}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_counted() {
        let metrics = Metrics::new();
        metrics.request(Some("GetSecretValue"), "OK", Duration::from_millis(3));
        metrics.request(None, "InvalidApi.NotFound", Duration::ZERO);
        metrics.set_connections(|| (3, 0));
        metrics.set_source(|| {
            vec![
                Figure::gauge("a", "of one", true),
                Figure::gauge("b", "of none", None::<u64>),
                Figure::gauges("c", "of some", "source", [("x", Some(-0.5)), ("y", None)]),
                Figure::counter("d", "of one", Duration::from_millis(1500)),
                Figure::counters("e", "of none", "class", &[]),
                Figure::counters("f", "of two", "class", &[("x", 1), ("y", 0)]),
                Figure::histograms(
                    "g",
                    "of one",
                    "operation",
                    [Timings { label: "x", no_longer: &[(0.5, 1), (1.0, 2)], count: 3, sum_s: 4.5 }],
                ),
            ]
        });
        let text = metrics.render(7);
        for line in [
            "bulla_requests_total{action=\"GetSecretValue\",code=\"OK\"} 1",
            "bulla_requests_total{action=\"unknown\",code=\"InvalidApi.NotFound\"} 1",
            "bulla_request_duration_seconds_bucket{action=\"GetSecretValue\",le=\"0.004\"} 1",
            "bulla_requests_in_flight 7",
            "bulla_connections_open 3",
            "# HELP a of one",
            "# TYPE a gauge",
            "a 1",
            "c{source=\"x\"} -0.5",
            "# TYPE d counter",
            "d 1.5",
            "f{class=\"y\"} 0",
            "g_bucket{operation=\"x\",le=\"1\"} 2",
            "g_bucket{operation=\"x\",le=\"+Inf\"} 3",
            "g_sum{operation=\"x\"} 4.5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("of none") && !text.contains("\"y\"} NaN"), "what nobody can tell is left out\n{text}");
    }
}
