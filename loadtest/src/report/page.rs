//! A report as a page that a person shows to others.

use loadtest::html::{self, Axis, Headline, Page, Plot, Series, Table};

use super::model::{Latency, Report, TimeSeries};
use super::table::{COLUMNS, format_value, percentile_name, rows, verdict};

/// Units that are drawn in another, with the factor.
const DRAWN_UNITS: [(&str, &str, f64); 2] =
    [("B", "MiB", 1.0 / (1024.0 * 1024.0)), ("us", "ms", 1e-3)];

/// Writes the whole report as one file that needs no other.
pub(crate) fn render(report: &Report) -> String {
    let mut tables = vec![run(report)];
    let sections = report.sections.iter().map(|section| Table {
        title: section.title.clone(),
        rows: rows(section).map(|(label, value)| (label.to_owned(), value)).collect(),
    });
    tables.extend(sections.filter(|table| !table.rows.is_empty()));
    tables.extend(report.latencies.iter().map(latency_table));
    if !report.notes.is_empty() {
        let rows = report.notes.iter().map(|note| ("note".to_owned(), note.clone()));
        tables.push(Table { title: "Notes".to_owned(), rows: rows.collect() });
    }
    let mut plots = latencies(&report.latencies);
    plots.extend(over_time(&report.series));
    html::render(&Page {
        title: report.title.clone(),
        verdict: verdict(report),
        headlines: headlines(report),
        plots,
        tables,
    })
}

/// Numbers on top.
const HEADLINES: usize = 3;

/// Latencies, the one that says most first.
const LATENCIES: [&str; 5] =
    ["some_read", "last_latency", "delivery_latency", "echo_latency", "connect_latency"];

/// The figures that say most of a run, whichever it has.
fn headlines(report: &Report) -> Vec<Headline> {
    let figure = |id: &str, label: Option<&str>| {
        let mut figures = report.sections.iter().flat_map(|section| &section.figures);
        let figure = figures.find(|figure| figure.id == id)?;
        let label = label.unwrap_or(&figure.label).trim().to_owned();
        Some(Headline { value: format_value(figure.value, &figure.unit), label })
    };
    let latency = || {
        let of = |id: &&str| report.latencies.iter().find(|latency| latency.id == **id);
        let latency = LATENCIES.iter().find_map(of)?;
        let (_, us) = latency.percentiles.iter().find(|(percentile, _)| *percentile >= 99.0)?;
        let label = format!("{}, p99", latency.label);
        Some(Headline { value: format_value(*us, "us"), label })
    };
    let all = [
        figure("back_seconds", None),
        figure("arrivals_peak", None),
        figure("attempts_refused", None),
        figure("server_rss_slope", Some("resident per connection")),
        figure("delivery_rate", None),
        figure("echo_rate", None),
        latency(),
        figure("server_cpu_us", Some("server CPU for each")),
        figure("connections_open_at_end", Some("connections open at the end")),
        figure("connect_rate", None),
    ];
    all.into_iter().flatten().take(HEADLINES).collect()
}

/// What ran, and where.
fn run(report: &Report) -> Table {
    let host = &report.host;
    let memory = format_value(host.memory_bytes as f64, "B");
    let mut rows = vec![
        ("machine".to_owned(), format!("{} CPUs, {}, {memory}", host.cpus, host.cpu_model)),
        ("kernel".to_owned(), format!("Linux {}", host.kernel)),
        ("command".to_owned(), report.command.join(" ")),
    ];
    rows.extend(report.server.line().map(|line| ("server".to_owned(), line)));
    Table { title: "Run".to_owned(), rows }
}

/// One latency in numbers, and from which moment to which it counts.
fn latency_table(latency: &Latency) -> Table {
    let us = |value| format_value(value, "us");
    let mut rows = vec![
        ("measured".to_owned(), latency.measured.clone()),
        ("values".to_owned(), format_value(latency.count as f64, "")),
        ("mean".to_owned(), us(latency.mean_us)),
    ];
    for column in COLUMNS {
        let at = latency.percentiles.iter().find(|(percentile, _)| *percentile >= column);
        rows.extend(at.map(|(_, value)| (percentile_name(column), us(*value))));
    }
    Table { title: format!("Latency: {}", latency.label), rows }
}

/// All latencies of a run over one axis.
fn latencies(latencies: &[Latency]) -> Vec<Plot> {
    if latencies.is_empty() {
        return Vec::new();
    }
    let series = latencies.iter().map(|latency| Series {
        name: latency.label.clone(),
        points: latency.percentiles.iter().map(|(p, us)| (*p, us / 1000.0)).collect(),
    });
    vec![Plot {
        title: "Latency by percentile".to_owned(),
        x_label: "Percentile".to_owned(),
        y_label: "Latency (ms)".to_owned(),
        x_axis: Axis::Percentile,
        series: series.collect(),
    }]
}

/// Plots over the time of the run, those of several lines where the first of them stands.
fn over_time(all: &[TimeSeries]) -> Vec<Plot> {
    let mut plots: Vec<Plot> = Vec::new();
    for series in all.iter().filter(|series| series.points.len() > 1) {
        let mut plot = plot(series);
        let shared = plots.iter_mut().find(|other| Some(&other.title) == series.plot.as_ref());
        match shared {
            Some(shared) => shared.series.append(&mut plot.series),
            None => plots.push(plot),
        }
    }
    plots
}

fn plot(series: &TimeSeries) -> Plot {
    let drawn = DRAWN_UNITS.iter().find(|(unit, ..)| *unit == series.unit);
    let (unit, factor) = drawn.map_or((series.unit.as_str(), 1.0), |(_, unit, f)| (unit, *f));
    let title = series.plot.as_ref().unwrap_or(&series.label).clone();
    let y_label = if unit.is_empty() { title.clone() } else { format!("{title} ({unit})") };
    Plot {
        title,
        x_label: "Time (s)".to_owned(),
        y_label,
        x_axis: Axis::Linear,
        series: vec![Series {
            name: series.label.clone(),
            points: series.points.iter().map(|(s, value)| (*s, value * factor)).collect(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Bound;

    #[test]
    fn a_page_has_the_figures_the_plots_and_what_did_not_hold() {
        let mut report = Report { title: "a <run>".to_owned(), ..Report::default() };
        let section = report.section("Memory");
        section.cost("rss", "resident", 3_145_728.0, "B");
        section.cost("server_rss_slope", "  slope", 184.0, "B");
        section.gain("connections_open_at_end", "open", 7.0, "");
        report.problem("12 connections were lost");
        report.bind(Bound::Loader);
        let points = vec![(0.0, 0.0), (1.0, 2_097_152.0)];
        let (id, label, unit) = ("rss".to_owned(), "resident".to_owned(), "B".to_owned());
        report.series.push(TimeSeries { id, label, unit, points, plot: None });
        report.note("it was noisy");
        report.latencies.push(Latency {
            id: "delivery_latency".to_owned(),
            label: "delivery".to_owned(),
            measured: "from here to there".to_owned(),
            percentiles: vec![(50.0, 1000.0), (99.0, 9000.0)],
            ..Latency::default()
        });
        let of = headlines(&report);
        let of: Vec<&str> = of.iter().map(|headline| headline.value.as_str()).collect();
        assert_eq!(of, ["184 B", "9 ms", "7"]);
        let page = render(&report);
        let texts = ["a &lt;run&gt;", "3 MiB", "12 connections were lost", "LOADER-BOUND", "<svg"];
        let more = ["it was noisy", "from here to there", "p99", "9 ms"];
        for text in texts.into_iter().chain(more) {
            assert!(page.contains(text), "{text} is missing in {page}");
        }
        assert_eq!(page.matches("<svg").count(), 2, "latency, and memory over time");
    }
}
