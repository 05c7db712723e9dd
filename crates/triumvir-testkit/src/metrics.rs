//! One reading of a process's metrics, in Prometheus's text format.

use std::collections::BTreeSet;

use prometheus_parse::{Sample, Scrape, Value};

use crate::Histogram;

/// Every series that a process told at one moment.
#[derive(Clone, Debug)]
pub struct Metrics {
    samples: Vec<Sample>,
}

impl Metrics {
    /// Reads the text format. Lines that cannot be read are left out.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let scrape = Scrape::parse(lines).expect("lines in memory can be read");
        Self {
            samples: scrape.samples,
        }
    }

    /// The names of all series.
    pub fn names(&self) -> BTreeSet<&str> {
        self.samples
            .iter()
            .map(|sample| sample.metric.as_str())
            .collect()
    }

    /// The values that a label has over all series of this name.
    pub fn label_values(&self, name: &str, label: &str) -> BTreeSet<String> {
        let values = self
            .named(name)
            .filter_map(|sample| sample.labels.get(label));
        values.map(str::to_owned).collect()
    }

    /// The sum of the counters or gauges of this name that carry all of these labels. `None` if there
    /// is no such series, which a counter that was never raised does not have.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self
            .labelled(name, labels)
            .filter_map(|sample| match sample.value {
                Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => Some(value),
                Value::Histogram(_) | Value::Summary(_) => None,
            });
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// The histograms of this name that carry all of these labels, added up. `None` if there is none.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Option<Histogram> {
        let mut all: Option<Histogram> = None;
        for sample in self.labelled(name, labels) {
            if let Value::Histogram(counts) = &sample.value {
                let mut buckets: Vec<_> = counts
                    .iter()
                    .map(|count| (count.less_than, count.count))
                    .collect();
                buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
                let part = Histogram {
                    count: buckets.last().map_or(0.0, |(_, count)| *count),
                    sum: 0.0,
                    buckets,
                };
                all = Some(all.unwrap_or_default().plus(&part));
            }
        }
        let sum = self.value(&format!("{name}_sum"), labels).unwrap_or(0.0);
        all.map(|histogram| Histogram { sum, ..histogram })
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.samples
            .iter()
            .filter(move |sample| sample.metric == name)
    }

    fn labelled(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.named(name).filter(move |sample| {
            labels
                .iter()
                .all(|(label, value)| sample.labels.get(label) == Some(*value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# TYPE done_total counter
done_total{outcome="commit",participant="orders"} 3
done_total{outcome="commit",participant="payments"} 4
done_total{outcome="abort"} 5
# TYPE term gauge
term 7
# TYPE phase_seconds histogram
phase_seconds_bucket{phase="vote",le="0.001"} 2
phase_seconds_bucket{phase="vote",le="+Inf"} 3
phase_seconds_sum{phase="vote"} 0.5
phase_seconds_count{phase="vote"} 3
phase_seconds_bucket{phase="ack",le="0.001"} 1
phase_seconds_bucket{phase="ack",le="+Inf"} 1
phase_seconds_sum{phase="ack"} 0.25
phase_seconds_count{phase="ack"} 1
"#;

    #[test]
    fn values_add_up_over_the_labels_that_are_not_named() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(
            metrics.value("done_total", &[("outcome", "commit")]),
            Some(7.0)
        );
        assert_eq!(metrics.value("done_total", &[]), Some(12.0));
        assert_eq!(metrics.value("done_total", &[("outcome", "other")]), None);
        assert_eq!(metrics.value("term", &[]), Some(7.0));
        assert_eq!(metrics.value("none", &[]), None);
        assert!(metrics.names().contains("phase_seconds"));
        let phases = metrics.label_values("phase_seconds", "phase");
        assert_eq!(phases, ["ack".to_owned(), "vote".to_owned()].into());
    }

    #[test]
    fn histograms_have_their_sums() {
        let metrics = Metrics::parse(TEXT);
        let vote = metrics
            .histogram("phase_seconds", &[("phase", "vote")])
            .unwrap();
        assert_eq!(vote.buckets, [(0.001, 2.0), (f64::INFINITY, 3.0)]);
        assert_eq!((vote.count, vote.sum), (3.0, 0.5));
        let all = metrics.histogram("phase_seconds", &[]).unwrap();
        assert_eq!((all.count, all.sum), (4.0, 0.75));
        assert!(metrics.histogram("done_total", &[]).is_none());
    }
}
