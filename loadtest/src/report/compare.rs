//! Two runs side by side.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use super::model::{Better, Bound, Figure, Report};
use super::table::{format_value, percentile_name};

/// Differences up to this share are noise.
const NOISE: f64 = 0.05;

/// Columns of the labels.
const LABEL_COLUMNS: usize = 46;

/// Percentiles that are compared.
const PERCENTILES: [f64; 4] = [50.0, 99.0, 99.9, 100.0];

/// A report, and the file that it stands in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) file: &'a Path,
    pub(crate) report: &'a Report,
}

/// Where a winner may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Winners {
    Everywhere,
    /// Not in rates and times, which are of both ends together.
    InCosts,
    Nowhere,
}

/// Writes a table of both, and who wins, unless a run does not allow to say so.
pub(crate) fn render(a: Named<'_>, b: Named<'_>) -> String {
    let mut text = String::new();
    for (name, Named { file, report }) in [("A", a), ("B", b)] {
        let _ = write!(text, "{name}: {}: {}", file.display(), report.title);
        let _ = writeln!(
            text,
            "{}",
            report.server.line().map(|l| "; ".to_owned() + &l).unwrap_or_default()
        );
    }
    let (a, b) = (a.report, b.report);
    let reasons = reasons_against(a, b);
    let shared = shared(a, b);
    let winners = match (reasons.is_empty(), shared) {
        (false, _) => Winners::Nowhere,
        (true, Some(_)) => Winners::InCosts,
        (true, None) => Winners::Everywhere,
    };
    let [head_a, head_b] = heads(a, b);
    let _ = writeln!(text, "\n{:<LABEL_COLUMNS$} {head_a:>14} {head_b:>14} {:>8}", "", "B/A");
    for section in &a.sections {
        let rows: Vec<String> = section
            .figures
            .iter()
            .filter_map(|figure| Some(row(figure, find(b, &figure.id)?, winners)))
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
            let may_judge = winners == Winners::Everywhere;
            text += &line(&percentile_name(percentile), a, b, "us", Better::Lower, may_judge);
        }
    }
    if !reasons.is_empty() {
        let _ = writeln!(text, "\nno winner is named:\n  {}", reasons.join("\n  "));
    } else if let Some(why) = shared {
        let _ = writeln!(text, "\nno winner is named in rates and times: {why}");
    }
    text
}

/// What the columns are called: by what tells the two servers apart.
fn heads(a: &Report, b: &Report) -> [String; 2] {
    let (a, b) = (&a.server, &b.server);
    let pairs = [(&a.backend, &b.backend), (&a.program, &b.program)];
    let different = pairs.into_iter().find(|(a, b)| a.is_some() && b.is_some() && a != b);
    let Some((Some(a), Some(b))) = different else { return ["A".into(), "B".into()] };
    [format!("A {a}"), format!("B {b}")]
}

/// Why rates and times say nothing of the servers alone.
fn shared(a: &Report, b: &Report) -> Option<&'static str> {
    match (a.bound == Bound::SharedCpus, b.bound == Bound::SharedCpus) {
        (true, true) => Some("both ends of A, and of B, used up the CPUs that they share"),
        (true, false) => Some("both ends of A used up the CPUs that they share"),
        (false, true) => Some("both ends of B used up the CPUs that they share"),
        (false, false) => None,
    }
}

/// Why no winner may be named.
fn reasons_against(a: &Report, b: &Report) -> Vec<String> {
    let mut reasons = Vec::new();
    for (name, report) in [("A", a), ("B", b)] {
        if report.bound == Bound::Loader {
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
    for latency in &a.latencies {
        let other = b.latencies.iter().find(|other| other.id == latency.id);
        if let Some(other) = other.filter(|other| other.measured != latency.measured) {
            let (label, a, b) = (&latency.label, &latency.measured, &other.measured);
            reasons.push(format!("{label} was measured {a}, and {b}"));
        }
    }
    reasons
}

/// In what they were asked for something else, in one line.
fn differences(a: &Report, b: &Report) -> Option<String> {
    let names: BTreeSet<&String> = a.parameters.keys().chain(b.parameters.keys()).collect();
    let say = |report: &Report, name: &str| {
        report.parameters.get(name).map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    let differing =
        names.into_iter().filter(|name| a.parameters.get(*name) != b.parameters.get(*name));
    let differing: Vec<String> =
        differing.map(|name| format!("{name} ({} and {})", say(a, name), say(b, name))).collect();
    (!differing.is_empty()).then(|| format!("they differ in {}", differing.join(", ")))
}

fn find<'a>(report: &'a Report, id: &str) -> Option<&'a Figure> {
    report.sections.iter().flat_map(|section| &section.figures).find(|figure| figure.id == id)
}

fn row(a: &Figure, b: &Figure, winners: Winners) -> String {
    let may_judge = match winners {
        Winners::Everywhere => true,
        Winners::InCosts => !["/s", "s"].contains(&a.unit.as_str()),
        Winners::Nowhere => false,
    };
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
    use crate::report::model::{Latency, ServerFacts};

    fn report(value: f64) -> Report {
        let mut report = Report { is_ok: true, ..Report::default() };
        report.section("Part").cost("a", "a cost", value, "us");
        report.section("Rates").gain("b", "a rate", value, "/s");
        report
    }

    fn compared(a: &Report, b: &Report) -> String {
        let named = |file, report| Named { file: Path::new(file), report };
        render(named("old.json", a), named("new.json", b))
    }

    #[test]
    fn the_better_one_wins() {
        assert_eq!(winner(1.0, 2.0, Better::Lower), "A");
        assert_eq!(winner(1.0, 2.0, Better::Higher), "B");
        assert_eq!(winner(100.0, 101.0, Better::Higher), "=");
        assert_eq!(winner(1.0, 2.0, Better::Neither), "");
        let text = compared(&report(3.0), &report(2.0));
        assert!(text.contains("0.67 B\n") && text.contains("0.67 A\n"), "{text}");
    }

    #[test]
    fn columns_are_told_apart() {
        let of = |backend: &str| {
            let server = ServerFacts {
                url: "ws://127.0.0.1:1/".into(),
                backend: Some(backend.into()),
                ..ServerFacts::default()
            };
            Report { title: "a title".into(), server, ..report(1.0) }
        };
        let text = compared(&of("epoll"), &of("io_uring"));
        for part in ["A: old.json: a title; ws://127.0.0.1:1/, epoll\n", "B: new.json: a title; "] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.contains(" A epoll ") && text.contains(" B io_uring "), "{text}");
        assert_eq!(heads(&of("epoll"), &of("epoll")), ["A", "B"]);
        assert_eq!(heads(&of("epoll"), &report(1.0)), ["A", "B"]);
    }

    #[test]
    fn no_winner_of_a_loader_bound_run() {
        let mut bound = report(3.0);
        bound.bind(Bound::Loader);
        for (a, b) in [(bound.clone(), report(2.0)), (report(2.0), bound)] {
            let text = compared(&a, &b);
            assert!(text.contains("no winner is named:\n"), "{text}");
            assert!(!text.contains(" A\n") && !text.contains(" B\n"), "{text}");
        }
    }

    #[test]
    fn costs_have_a_winner_where_both_ends_share_the_cpus_and_rates_have_none() {
        let (mut a, mut b) = (report(3.0), report(2.0));
        a.bind(Bound::SharedCpus);
        b.bind(Bound::SharedCpus);
        let text = compared(&a, &b);
        assert!(text.contains("0.67 B\n") && !text.contains("0.67 A\n"), "{text}");
        assert!(text.contains("no winner is named in rates and times: both ends"), "{text}");
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
        assert_eq!(reasons, ["they differ in depth (1 and 16), rate (none and 7)"]);
        b.bind(Bound::Loader);
        let text = compared(&a, &b);
        assert_eq!(text.matches("no winner is named").count(), 1, "{text}");
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
