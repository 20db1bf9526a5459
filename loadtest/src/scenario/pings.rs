//! Whether every client had the pings that it should have had.

use std::time::Duration;

use crate::report::model::Report;

/// Judges counts of pings: the index is the pings, the value how many clients had so many.
pub(crate) fn judge(report: &mut Report, counts: &[u64], held: Duration, interval: Duration) {
    let expected = expected(held, interval);
    let fewer: u64 = counts.iter().take(expected).sum();
    let clients: u64 = counts.iter().sum();
    let all: u64 = (0..).zip(counts).map(|(pings, clients): (u64, _)| pings * clients).sum();
    let section = report.section("Pings while held");
    section.tell("pings_expected", "expected by each client, at least", expected as f64, "");
    section.tell("pings_held", "all clients together, while held", all as f64, "");
    section.cost("clients_short_of_pings", "clients that had fewer", fewer as f64, "");
    if fewer > 0 {
        report.problem(format!("{fewer} of {clients} clients had fewer than {expected} pings"));
    }
}

/// Pings that must come within a time, whenever the first one does.
fn expected(held: Duration, interval: Duration) -> usize {
    if interval.is_zero() { 0 } else { (held.as_millis() / interval.as_millis()) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_with_too_few_are_a_problem() {
        let (held, interval) = (Duration::from_secs(60), Duration::from_secs(25));
        assert_eq!(expected(held, interval), 2);
        assert_eq!(expected(held, Duration::ZERO), 0);
        let mut report = Report::default();
        judge(&mut report, &[0, 0, 90, 10], held, interval);
        assert!(report.problems.is_empty());
        judge(&mut report, &[1, 2, 90], held, interval);
        assert_eq!(report.problems, ["3 of 93 clients had fewer than 2 pings"]);
    }
}
