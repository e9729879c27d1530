//! A figure that somebody else counts, as Prometheus takes it.
//!
//! Owns: how readings become samples. Must not know: which figures there are. Called by: whoever declares figures.

use std::time::Duration;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// What was read; none where it cannot be told.
pub trait Reading {
    /// As Prometheus has it: durations in seconds, truth as 1.
    fn read(self) -> Option<f64>;
}

macro_rules! readings {
    ($($kind:ty),*) => {
        $(impl Reading for $kind {
            fn read(self) -> Option<f64> {
                Some(self as f64)
            }
        })*
    };
}

readings!(u32, u64, usize, i64, f64);

impl Reading for bool {
    fn read(self) -> Option<f64> {
        Some(f64::from(u8::from(self)))
    }
}

impl Reading for Duration {
    fn read(self) -> Option<f64> {
        Some(self.as_secs_f64())
    }
}

impl<T: Reading> Reading for Option<T> {
    fn read(self) -> Option<f64> {
        self?.read()
    }
}

/// A figure: its name, what it means (the help text, and what docs/metrics.md says of it), and what was read.
pub struct Figure(MetricFamily);

/// What a histogram holds that somebody else keeps.
pub struct Timings<'a> {
    /// What its label says.
    pub label: &'a str,
    /// Upper bounds in seconds, and how many were no longer.
    pub no_longer: &'a [(f64, u64)],
    /// How many in all.
    pub count: u64,
    /// Seconds in all.
    pub sum_s: f64,
}

impl Figure {
    /// One value that goes up and down.
    pub fn gauge(name: &str, help: &str, value: impl Reading) -> Self {
        Self::of(name, help, MetricType::GAUGE, value.read().map(|value| gauge(Vec::new(), value)))
    }

    /// The same for each value of a label.
    pub fn gauges<T: Reading>(
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (impl AsRef<str>, T)>,
    ) -> Self {
        let samples = values.into_iter().filter_map(|(of, value)| Some(gauge(vec![pair(label, of.as_ref())], value.read()?)));
        Self::of(name, help, MetricType::GAUGE, samples)
    }

    /// One count since the start.
    pub fn counter(name: &str, help: &str, value: impl Reading) -> Self {
        Self::of(name, help, MetricType::COUNTER, value.read().map(|value| counter(Vec::new(), value)))
    }

    /// The same for each value of a label.
    pub fn counters<'a>(
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = &'a (&'static str, u64)>,
    ) -> Self {
        let samples = values.into_iter().filter_map(|(of, value)| Some(counter(vec![pair(label, of)], value.read()?)));
        Self::of(name, help, MetricType::COUNTER, samples)
    }

    /// The same for each pair of values of two labels.
    pub fn counters_by<'a>(
        name: &str,
        help: &str,
        labels: [&str; 2],
        values: impl IntoIterator<Item = &'a ((&'static str, &'static str), u64)>,
    ) -> Self {
        let labelled = |(one, other)| vec![pair(labels[0], one), pair(labels[1], other)];
        let samples = values.into_iter().filter_map(|(of, value)| Some(counter(labelled(*of), value.read()?)));
        Self::of(name, help, MetricType::COUNTER, samples)
    }

    /// How long things took, for each value of a label.
    pub fn histograms<'a>(name: &str, help: &str, label: &str, values: impl IntoIterator<Item = Timings<'a>>) -> Self {
        let taken = values.into_iter().filter(|timings| timings.count > 0);
        Self::of(name, help, MetricType::HISTOGRAM, taken.map(|timings| histogram(label, &timings)))
    }

    fn of(name: &str, help: &str, kind: MetricType, samples: impl IntoIterator<Item = Metric>) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(samples.into_iter().collect());
        Self(family)
    }

    /// For the encoder; none where nothing was read.
    pub(super) fn family(self) -> Option<MetricFamily> {
        Some(self.0).filter(|family| !family.get_metric().is_empty())
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn gauge(labels: Vec<LabelPair>, value: f64) -> Metric {
    let (mut metric, mut gauge) = (Metric::from_label(labels), Gauge::default());
    gauge.set_value(value);
    metric.set_gauge(gauge);
    metric
}

fn counter(labels: Vec<LabelPair>, value: f64) -> Metric {
    let (mut metric, mut counter) = (Metric::from_label(labels), Counter::default());
    counter.set_value(value);
    metric.set_counter(counter);
    metric
}

fn histogram(label: &str, timings: &Timings<'_>) -> Metric {
    let (mut metric, mut histogram) = (Metric::from_label(vec![pair(label, timings.label)]), Histogram::default());
    histogram.set_sample_count(timings.count);
    histogram.set_sample_sum(timings.sum_s);
    let buckets = timings.no_longer.iter().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(*count);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    metric.set_histogram(histogram);
    metric
}
