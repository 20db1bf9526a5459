//! How a metric is defined, and made.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as Distribution, LabelPair, Metric, MetricFamily, MetricType,
};
use throng::server::Monitor;
use throng::stats::{Counters, Histogram};

use crate::sample::{Sample, Worker};

/// What a metric is read from.
pub(super) struct View<'a> {
    pub(super) monitor: &'a Monitor,
    pub(super) sample: &'a Sample,
    /// Responses of the operator's port, by class.
    pub(super) responses: [(&'static str, u64); 3],
}

/// A metric.
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
    /// Tells its values; none where they cannot be known here.
    pub(super) read: fn(&View<'_>, &mut Values),
}

/// How values behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It is spread.
    Histogram,
}

/// The values of a metric that is being read.
pub(super) struct Values {
    kind: Kind,
    labels: &'static [&'static str],
    metrics: Vec<Metric>,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }

    fn field_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::COUNTER,
            Self::Gauge => MetricType::GAUGE,
            Self::Histogram => MetricType::HISTOGRAM,
        }
    }
}

impl Definition {
    /// The metric with its values, if it has any.
    pub(super) fn family(&self, view: &View<'_>) -> Option<MetricFamily> {
        let mut values = Values { kind: self.kind, labels: self.labels, metrics: Vec::new() };
        (self.read)(view, &mut values);
        if values.metrics.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind.field_type());
        family.set_metric(values.metrics);
        Some(family)
    }
}

impl Values {
    /// A value with its labels, in the order of the definition.
    pub(super) fn push(&mut self, labels: &[&str], value: f64) {
        let mut metric = self.metric(labels);
        if self.kind == Kind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    /// A value without labels, if it is known.
    pub(super) fn single(&mut self, value: Option<f64>) {
        value.into_iter().for_each(|value| self.push(&[], value));
    }

    /// How the values of a worker are spread, in this unit.
    fn spread<const FIRST: u64>(&mut self, worker: &str, spread: &Histogram<FIRST>, unit: f64) {
        let mut cumulative = 0;
        let mut buckets = Vec::new();
        let counts = spread.counts();
        for (bound, count) in Histogram::<FIRST>::bounds().zip(counts) {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound as f64 * unit);
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        let mut distribution = Distribution::default();
        distribution.set_bucket(buckets);
        distribution.set_sample_count(counts.iter().sum());
        distribution.set_sample_sum(spread.sum() as f64 * unit);
        let mut metric = self.metric(&[worker]);
        metric.set_histogram(distribution);
        self.metrics.push(metric);
    }

    fn metric(&self, values: &[&str]) -> Metric {
        assert_eq!(values.len(), self.labels.len(), "a label each");
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        Metric::from_label(self.labels.iter().zip(values).map(pair).collect())
    }
}

/// What each worker counts.
pub(super) fn counted(view: &View<'_>, values: &mut Values, count: impl Fn(&Counters) -> u64) {
    for (worker, counters) in view.monitor.counters().iter().enumerate() {
        values.push(&[&worker.to_string()], count(counters) as f64);
    }
}

/// How what each worker notes is spread, in this unit.
pub(super) fn spread<const FIRST: u64>(
    view: &View<'_>,
    values: &mut Values,
    unit: f64,
    of: impl Fn(&Counters) -> &Histogram<FIRST>,
) {
    for (worker, counters) in view.monitor.counters().iter().enumerate() {
        values.spread(&worker.to_string(), of(counters), unit);
    }
}

/// What is sampled of each worker, where it is known.
pub(super) fn sampled(view: &View<'_>, values: &mut Values, of: impl Fn(&Worker) -> Option<f64>) {
    for (worker, sample) in view.sample.workers.iter().enumerate() {
        if let Some(value) = of(sample) {
            values.push(&[&worker.to_string()], value);
        }
    }
}

/// The sum over workers.
pub(super) fn total(view: &View<'_>, count: impl Fn(&Counters) -> u64) -> f64 {
    view.monitor.counters().iter().map(|counters| count(counters)).sum::<u64>() as f64
}
