//! What is claimed of the server with very many connections, beyond that none is lost.

use std::path::Path;
use std::time::Duration;

use crate::report::model::Report;

/// From so many connections on; fewer say little about one.
const CONNECTIONS_MIN: u64 = 100_000;

/// Resident bytes of the server per idle connection, at most.
const SLOPE_BYTES_MAX: f64 = 256.0;

/// CPU time of the server per idle connection and second, at most.
const IDLE_US_MAX: f64 = 1.0;

/// The time between pings that it holds for; those that come more often cost more.
const PING_INTERVAL_MIN: Duration = Duration::from_secs(25);

/// Finds out whether it has held.
pub(super) fn judge(
    report: &mut Report,
    connections: u64,
    ping_interval: Duration,
    program: &Path,
) {
    if is_debug(program) {
        report.note("the server is a debug build: its costs are not those of a release build");
    }
    if connections < CONNECTIONS_MIN {
        return;
    }
    let slope = report.value("server_rss_slope").filter(|bytes| *bytes > SLOPE_BYTES_MAX);
    if let Some(bytes) = slope {
        report.problem(format!(
            "{bytes:.0} resident bytes per connection are more than {SLOPE_BYTES_MAX}"
        ));
    }
    let idle = report.value("idle_cpu_us").filter(|us| *us > IDLE_US_MAX);
    if let Some(us) = idle.filter(|_| ping_interval >= PING_INTERVAL_MIN) {
        report.problem(format!(
            "{us:.2} us of CPU per idle connection and second are more than {IDLE_US_MAX}"
        ));
    }
}

/// Cargo's folder of builds that are not optimized.
fn is_debug(program: &Path) -> bool {
    program.parent().and_then(Path::file_name).is_some_and(|folder| folder == "debug")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(connections: u64, bytes: f64, us: f64, interval_s: u64) -> usize {
        let mut report = Report::default();
        let section = report.section("Memory and CPU");
        section.cost("server_rss_slope", "", bytes, "B");
        section.cost("idle_cpu_us", "", us, "us");
        let program = Path::new("target/release/throng");
        judge(&mut report, connections, Duration::from_secs(interval_s), program);
        assert!(report.notes.is_empty());
        report.problems.len()
    }

    #[test]
    fn what_is_over_a_bound_is_a_problem_with_very_many() {
        assert_eq!(problems(100_000, 256.0, 1.0, 25), 0);
        assert_eq!(problems(100_000, 257.0, 1.0, 25), 1);
        assert_eq!(problems(100_000, 256.0, 1.1, 25), 1);
        assert_eq!(problems(1_000_000, 300.0, 3.0, 25), 2);
        assert_eq!(problems(100_000, 256.0, 1.1, 5), 0);
        assert_eq!(problems(99_999, 300.0, 3.0, 25), 0);
    }

    #[test]
    fn a_debug_build_is_told() {
        let mut report = Report::default();
        judge(&mut report, 10, PING_INTERVAL_MIN, Path::new("/a/target/debug/throng"));
        assert_eq!(report.notes.len(), 1);
    }
}
