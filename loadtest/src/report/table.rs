//! A report as a table that a person reads.

use std::fmt::Write;

use super::model::{Latency, Report, Section};

/// Columns of the labels.
const LABEL_COLUMNS: usize = 50;

/// Percentiles of the table; the JSON has more.
pub(super) const COLUMNS: [f64; 6] = [50.0, 90.0, 99.0, 99.9, 99.99, 100.0];

/// Writes the whole report.
pub(crate) fn render(report: &Report) -> String {
    let mut text = format!("\n{}\n", report.title);
    let host = &report.host;
    let memory = format_value(host.memory_bytes as f64, "B");
    let _ =
        writeln!(text, "{} CPUs, {}, {memory}, Linux {}", host.cpus, host.cpu_model, host.kernel);
    if let Some(server) = report.server.line() {
        let _ = writeln!(text, "server: {server}");
    }
    for section in &report.sections {
        render_section(section, &mut text);
    }
    if !report.latencies.is_empty() {
        render_latencies(&report.latencies, &mut text);
    }
    for note in &report.notes {
        let _ = writeln!(text, "\nnote: {note}");
    }
    let _ = writeln!(text, "\n{}", verdict(report).join("\n"));
    text
}

/// What else figures may be of, whether all has held, and last what has not.
pub(super) fn verdict(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report.bound.meaning().map(str::to_owned).into_iter().collect();
    match report.problems.as_slice() {
        [] => lines.push("OK: all that was expected has held".to_owned()),
        problems => lines.extend(problems.iter().map(|problem| format!("NOT OK: {problem}"))),
    }
    lines
}

fn render_section(section: &Section, text: &mut String) {
    let mut rows = rows(section).peekable();
    if rows.peek().is_some() {
        let _ = writeln!(text, "\n{}", section.title);
    }
    for (label, value) in rows {
        let _ = writeln!(text, "  {label:<LABEL_COLUMNS$} {value:>14}");
    }
}

/// Labels and values of a section, those that are not known last.
pub(super) fn rows(section: &Section) -> impl Iterator<Item = (&str, String)> {
    let figures = section.figures.iter();
    let figures = figures.map(|f| (f.label.as_str(), format_value(f.value, &f.unit)));
    figures.chain(section.not_known.iter().map(|label| (label.as_str(), "not known".to_owned())))
}

fn render_latencies(latencies: &[Latency], text: &mut String) {
    let _ = write!(text, "\n{:<LABEL_COLUMNS$}", "Latency");
    for column in COLUMNS {
        let _ = write!(text, " {:>9}", percentile_name(column));
    }
    text.push('\n');
    for latency in latencies {
        let _ = write!(text, "  {:<1$}", latency.label, LABEL_COLUMNS - 2);
        for column in COLUMNS {
            let at = latency.percentiles.iter().find(|(percentile, _)| *percentile >= column);
            let _ = write!(text, " {:>9}", format_value(at.map_or(0.0, |(_, us)| *us), "us"));
        }
        let _ = writeln!(text, "\n    {} values, {}", latency.count, latency.measured);
    }
}

/// What a percentile is called.
pub(super) fn percentile_name(percentile: f64) -> String {
    if percentile >= 100.0 { "max".to_owned() } else { format!("p{percentile}") }
}

/// A value with its unit, in a form that fits its size.
pub(crate) fn format_value(value: f64, unit: &str) -> String {
    match unit {
        "B" => {
            scaled(value, &[("B", 1.0), ("KiB", 1024.0), ("MiB", 1048576.0), ("GiB", 1073741824.0)])
        }
        "us" => scaled(value, &[("us", 1.0), ("ms", 1e3), ("s", 1e6)]),
        "" => plain(value),
        "%" => format!("{value:.1} %"),
        unit => format!("{} {unit}", plain(value)),
    }
}

fn scaled(value: f64, units: &[(&str, f64)]) -> String {
    let fitting = units.iter().rev().find(|(_, factor)| value.abs() >= *factor);
    let (unit, factor) = fitting.unwrap_or(&units[0]);
    format!("{} {unit}", plain(value / factor))
}

/// Three figures behind the point at most, and groups of thousands before it.
fn plain(value: f64) -> String {
    let digits = match value.abs() {
        _ if value.fract() == 0.0 => 0,
        large if large >= 1000.0 => 0,
        middle if middle >= 100.0 => 1,
        small if small >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Bound;

    #[test]
    fn values_are_readable() {
        assert_eq!(format_value(0.0, ""), "0");
        assert_eq!(format_value(1_000_000.0, ""), "1,000,000");
        assert_eq!(format_value(-1234.6, ""), "-1,235");
        assert_eq!(format_value(205.04, "B"), "205.0 B");
        assert_eq!(format_value(3_145_728.0, "B"), "3 MiB");
        assert_eq!(format_value(0.4567, "us"), "0.457 us");
        assert_eq!(format_value(1_234_000.0, "us"), "1.23 s");
        assert_eq!(format_value(12.345, "%"), "12.3 %");
        assert_eq!(format_value(12.0, "/s"), "12 /s");
    }

    #[test]
    fn a_report_shows_its_figures_problems_and_bounds() {
        let mut report = Report { title: "a title".into(), ..Report::default() };
        report.section("Part").tell("a", "a label", 7.0, "");
        report.section("Other").not_known("another");
        for part in ["a title", "Part", "a label", " 7\n", "Other", "another", " not known\n"] {
            assert!(render(&report).contains(part), "{part} in {}", render(&report));
        }
        report.problem("it broke");
        report.problem("it broke again");
        report.note("a note");
        report.bind(Bound::Loader);
        let text = render(&report);
        let last: Vec<&str> = text.lines().rev().take(3).collect();
        assert!(last[2].starts_with("LOADER-BOUND: under 10 %"), "{text}");
        assert_eq!(last[..2], ["NOT OK: it broke again", "NOT OK: it broke"]);
    }

    #[test]
    fn used_up_cpus_of_both_ends_are_not_called_the_loaders() {
        let mut report = Report::default();
        assert_eq!(verdict(&report), ["OK: all that was expected has held"]);
        report.bind(Bound::SharedCpus);
        let said = verdict(&report).join("\n");
        assert!(said.contains("the same CPUs") && !said.contains("LOADER-BOUND"), "{said}");
        report.bind(Bound::Loader);
        report.bind(Bound::SharedCpus);
        assert_eq!(report.bound, Bound::Loader, "the worst part counts");
    }
}
