//! Figures over time. What is not known is not drawn.

use super::model::TimeSeries;
use crate::measure::sampler::Sample;

/// All that samples tell.
pub(crate) fn all(samples: &[Sample]) -> Vec<TimeSeries> {
    let series = |id: &str, label: &str, unit: &str, value: fn(&Sample) -> Option<f64>| {
        let points = samples.iter().filter_map(|sample| Some((sample.at_s, value(sample)?)));
        let points = points.collect();
        let (id, label, unit) = (id.to_owned(), label.to_owned(), unit.to_owned());
        TimeSeries { id, label, unit, plot: None, points }
    };
    let mut all = vec![
        series("connections", "open connections", "", |s| Some(s.connections as f64)),
        series("server_cpus", "CPUs in use by the server", "", |s| s.server_cpus),
        series("loader_cpus", "CPUs in use by the loader", "", |s| Some(s.loader_cpus)),
        series("server_rss", "server, resident", "B", |s| s.server_bytes.map(|b| b as f64)),
        series("slab", "kernel, slabs", "B", |s| s.slab_bytes.map(|b| b as f64)),
        series("tcp_memory", "kernel, waiting in sockets", "B", |s| Some(s.tcp_bytes as f64)),
        series("available", "left on the machine", "B", |s| Some(s.available_bytes as f64)),
    ];
    let rates = samples.windows(2).map(|pair| {
        let messages = pair[1].messages.saturating_sub(pair[0].messages) as f64;
        (pair[1].at_s, messages / (pair[1].at_s - pair[0].at_s).max(1e-3))
    });
    all.push(TimeSeries {
        id: "messages".into(),
        label: "messages received".into(),
        unit: "/s".into(),
        plot: None,
        points: rates.collect(),
    });
    all.retain(|series| !series.points.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_has_no_line() {
        let known = Sample {
            server_cpus: Some(0.5),
            server_bytes: Some(7),
            slab_bytes: Some(9),
            ..Sample::default()
        };
        let ids = |sample: Sample| -> Vec<String> {
            all(&[sample, sample]).into_iter().map(|series| series.id).collect()
        };
        let of_server = ["server_cpus", "server_rss", "slab"].map(str::to_owned);
        assert!(of_server.iter().all(|id| ids(known).contains(id)));
        assert!(!of_server.iter().any(|id| ids(Sample::default()).contains(id)));
        assert_eq!(ids(known).len(), ids(Sample::default()).len() + of_server.len());
    }
}
