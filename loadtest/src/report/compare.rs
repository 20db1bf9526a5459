//! Two runs side by side.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::model::{Better, Figure, Report};
use super::table::{format_value, percentile_name};

/// Differences up to this share are noise.
const NOISE: f64 = 0.05;

/// Columns of the labels.
const LABEL_COLUMNS: usize = 46;

/// Percentiles that are compared.
const PERCENTILES: [f64; 4] = [50.0, 99.0, 99.9, 100.0];

/// Writes a table of both, and who wins, unless a run does not allow to say so.
pub(crate) fn render(a: &Report, b: &Report) -> String {
    let mut text = format!("A: {}\nB: {}\n", a.title, b.title);
    let reasons = reasons_against(a, b);
    let may_judge = reasons.is_empty();
    let _ = writeln!(text, "\n{:<LABEL_COLUMNS$} {:>14} {:>14} {:>8}", "", "A", "B", "B/A");
    for section in &a.sections {
        let rows: Vec<String> = section
            .figures
            .iter()
            .filter_map(|figure| Some(row(figure, find(b, &figure.id)?, may_judge)))
            .collect();
        if !rows.is_empty() {
            let _ = writeln!(text, "{}\n{}", section.title, rows.concat().trim_end_matches('\n'));
        }
    }
    for latency in &a.latencies {
        let Some(other) = b.latencies.iter().find(|other| other.id == latency.id) else { continue };
        let _ = writeln!(text, "Latency, {}", latency.label);
        for percentile in PERCENTILES {
            let at = |points: &[(f64, f64)]| {
                points.iter().find(|(p, _)| *p >= percentile).map_or(0.0, |(_, us)| *us)
            };
            let (a, b) = (at(&latency.percentiles), at(&other.percentiles));
            text += &line(&percentile_name(percentile), a, b, "us", Better::Lower, may_judge);
        }
    }
    for reason in &reasons {
        let _ = writeln!(text, "\nno winner is named: {reason}");
    }
    text
}

/// Why no winner may be named.
pub(crate) fn reasons_against(a: &Report, b: &Report) -> Vec<String> {
    let mut reasons = Vec::new();
    for (name, report) in [("A", a), ("B", b)] {
        if report.is_loader_bound {
            reasons.push(format!("{name} is loader-bound: its figures may be the loader's"));
        }
        if !report.is_ok {
            reasons.push(format!("{name} is not OK: {}", report.problems.join("; ")));
        }
    }
    if a.scenario != b.scenario {
        reasons.push(format!("A is {} and B is {}", a.scenario, b.scenario));
    }
    if a.host.cpu_model != b.host.cpu_model || a.host.cpus != b.host.cpus {
        reasons.push("they ran on different machines".into());
    }
    reasons.extend(differences(a, b));
    reasons
}

/// In what they were asked for something else, or measured otherwise.
fn differences(a: &Report, b: &Report) -> Vec<String> {
    let names: BTreeSet<&String> = a.parameters.keys().chain(b.parameters.keys()).collect();
    let say = |report: &Report, name: &str| {
        report.parameters.get(name).map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    let differing =
        names.into_iter().filter(|name| a.parameters.get(*name) != b.parameters.get(*name));
    let mut reasons: Vec<String> = differing
        .map(|name| format!("they differ in {name}: {} and {}", say(a, name), say(b, name)))
        .collect();
    for latency in &a.latencies {
        let other = b.latencies.iter().find(|other| other.id == latency.id);
        if let Some(other) = other.filter(|other| other.measured != latency.measured) {
            let (label, a, b) = (&latency.label, &latency.measured, &other.measured);
            reasons.push(format!("{label} was measured {a}, and {b}"));
        }
    }
    reasons
}

fn find<'a>(report: &'a Report, id: &str) -> Option<&'a Figure> {
    report.sections.iter().flat_map(|section| &section.figures).find(|figure| figure.id == id)
}

fn row(a: &Figure, b: &Figure, may_judge: bool) -> String {
    line(&a.label, a.value, b.value, &a.unit, a.better, may_judge)
}

fn line(label: &str, a: f64, b: f64, unit: &str, better: Better, may_judge: bool) -> String {
    let ratio = if a == 0.0 { String::new() } else { format!("{:.2}", b / a) };
    let winner = if may_judge { winner(a, b, better) } else { "" };
    let (a, b) = (format_value(a, unit), format_value(b, unit));
    let columns = LABEL_COLUMNS - 2;
    format!("  {label:<columns$} {a:>14} {b:>14} {ratio:>8} {winner}\n")
}

fn winner(a: f64, b: f64, better: Better) -> &'static str {
    let is_noise = (a - b).abs() <= NOISE * a.abs().max(b.abs());
    match better {
        Better::Neither => "",
        _ if is_noise => "=",
        Better::Higher if a > b => "A",
        Better::Lower if a < b => "A",
        _ => "B",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Latency;

    fn report(value: f64) -> Report {
        let mut report = Report { is_ok: true, ..Report::default() };
        report.section("Part").cost("a", "a cost", value, "us");
        report
    }

    #[test]
    fn the_better_one_wins() {
        assert_eq!(winner(1.0, 2.0, Better::Lower), "A");
        assert_eq!(winner(1.0, 2.0, Better::Higher), "B");
        assert_eq!(winner(100.0, 101.0, Better::Higher), "=");
        assert_eq!(winner(1.0, 2.0, Better::Neither), "");
        let text = render(&report(3.0), &report(2.0));
        assert!(text.contains("0.67 B\n"), "{text}");
    }

    #[test]
    fn no_winner_of_a_loader_bound_run() {
        let bound = Report { is_loader_bound: true, ..report(3.0) };
        for (a, b) in [(bound.clone(), report(2.0)), (report(2.0), bound)] {
            let text = render(&a, &b);
            assert!(text.contains("no winner is named"), "{text}");
            assert!(!text.contains(" A\n") && !text.contains(" B\n"), "{text}");
        }
    }

    #[test]
    fn no_winner_of_runs_that_were_asked_for_something_else() {
        let (mut a, mut b) = (report(3.0), report(2.0));
        a.parameter("depth", 1.0);
        b.parameter("depth", 1.0);
        assert_eq!(reasons_against(&a, &b), Vec::<String>::new());
        b.parameter("depth", 16.0);
        b.parameter("rate", 7.0);
        let reasons = reasons_against(&a, &b);
        let said = ["they differ in depth: 1 and 16", "they differ in rate: none and 7"];
        assert_eq!(reasons, said);
        assert!(render(&a, &b).contains("no winner is named"));
    }

    #[test]
    fn no_winner_of_latencies_from_different_moments() {
        let measured = |measured: &str| {
            let latency = Latency { measured: measured.to_owned(), ..Latency::default() };
            Report { latencies: vec![latency], ..report(1.0) }
        };
        assert!(reasons_against(&measured("open"), &measured("open")).is_empty());
        assert_eq!(reasons_against(&measured("open"), &measured("closed")).len(), 1);
    }

    #[test]
    fn no_winner_of_a_failed_run() {
        let failed = Report { is_ok: false, problems: vec!["lost".into()], ..report(3.0) };
        assert_eq!(reasons_against(&failed, &report(2.0)).len(), 1);
    }
}
