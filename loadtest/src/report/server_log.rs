//! What a server that was started here has said of itself.

use super::model::Report;
use super::table::format_value;

/// Complaints that are repeated in a report at most.
const COMPLAINTS_MAX: usize = 5;

/// Adds the server's own counts, and what it complained of.
pub(crate) fn tell(report: &mut Report, log: &[String]) {
    let counts = log.iter().rev().map(|line| counts(line)).find(|counts| !counts.is_empty());
    if let Some(counts) = counts {
        let section = report.section("The server's own counts, until it stopped");
        for (name, value) in counts {
            section.tell(&format!("server.{name}"), name, value, "");
        }
    }
    compare_pings(report);
    let complaints = log.iter().filter(|line| is_complaint(line));
    for line in complaints.take(COMPLAINTS_MAX) {
        report.note(format!("the server said: {line}"));
    }
}

/// Says how counts of pings go together that were taken at different times.
fn compare_pings(report: &mut Report) {
    let [sent, answered] = ["server.pings", "pings_answered"].map(|id| report.value(id));
    let (Some(sent), Some(answered)) = (sent, answered) else { return };
    let held = report.value("pings_held");
    if sent == answered && held.is_none_or(|held| held == answered) {
        return;
    }
    let count = |value| format_value(value, "");
    let held = held.map(|held| format!(", {} of them while held", count(held))).unwrap_or_default();
    report.note(format!(
        "pings: the server sent {} until it stopped, clients answered {} until they went{held}",
        count(sent),
        count(answered)
    ));
}

/// Words of the form `name=number`, as structured logs have them.
fn counts(line: &str) -> Vec<(&str, f64)> {
    let words = line.split_ascii_whitespace().filter_map(|word| word.split_once('='));
    let counts = words.filter_map(|(name, value)| Some((name, value.parse().ok()?)));
    counts.collect()
}

fn is_complaint(line: &str) -> bool {
    ["WARN", "ERROR", "panicked"].iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_counts_and_the_first_complaints_are_told() {
        let mut log = vec!["INFO early sends=1".to_owned()];
        log.extend((0..10).map(|number| format!("WARN {number}")));
        log.push("2026-01-01 INFO stopped sends=12 closed_slow=3".to_owned());
        log.push("INFO bye".to_owned());
        let mut report = Report::default();
        tell(&mut report, &log);
        assert_eq!(report.value("server.sends"), Some(12.0));
        assert_eq!(report.value("server.closed_slow"), Some(3.0));
        assert_eq!(report.notes.len(), COMPLAINTS_MAX);
        assert_eq!(report.notes[0], "the server said: WARN 0");
    }

    #[test]
    fn counts_of_pings_that_differ_are_explained() {
        let told = |answered: f64| {
            let mut report = Report::default();
            report.section("a").tell("pings_answered", "", answered, "");
            report.section("b").tell("pings_held", "", 9000.0, "");
            tell(&mut report, &["stopped pings=20899".to_owned()]);
            report.notes
        };
        let expected = "pings: the server sent 20,899 until it stopped, clients answered 20,600 \
                        until they went, 9,000 of them while held";
        assert_eq!(told(20_600.0), [expected]);
        let mut report = Report::default();
        report.section("a").tell("pings_answered", "", 5.0, "");
        tell(&mut report, &["stopped pings=5".to_owned()]);
        assert!(report.notes.is_empty());
    }

    #[test]
    fn a_silent_server_adds_nothing() {
        let mut report = Report::default();
        tell(&mut report, &["INFO listening on 127.0.0.1:1".to_owned()]);
        assert!(report.sections.is_empty() && report.notes.is_empty());
    }
}
