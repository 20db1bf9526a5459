//! Figures that several scenarios report, computed in one place.

use super::model::{Bound, Report};
use std::cmp::Reverse;

use crate::engine::tally::Tally;
use crate::measure::window::{IDLE_SHARE_MIN, LoaderCpus, Spent};

/// Share of what was sent by the clock that may be left over at its end.
const UNSENT_MAX: f64 = 0.05;

/// What an open loop has not sent. Its latencies are not known, but would be among the longest.
pub(crate) fn unsent(report: &mut Report, unsent: u64, sent: u64) {
    let section = report.section("Schedule");
    section.cost("unsent", "due at the end and not sent", unsent as f64, "");
    if unsent as f64 > sent as f64 * UNSENT_MAX {
        report.problem(format!(
            "{unsent} messages were due and not sent at the end: the longest latencies are not seen"
        ));
    }
}

/// How many connections were asked for, and what has become of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fates {
    pub(crate) asked: u64,
    pub(crate) open_at_end: u64,
    /// Ended by us, as they were meant to.
    pub(crate) let_go: u64,
}

/// How connecting went; `seconds` is 0 if it was not timed.
pub(crate) fn connections(report: &mut Report, tally: &Tally, fates: Fates, seconds: f64) {
    let Fates { asked, open_at_end, let_go } = fates;
    let section = report.section("Connections");
    section.tell("connections_asked", "asked for", asked as f64, "");
    section.gain("connections_opened", "opened", tally.opened as f64, "");
    section.gain("connections_open_at_end", "open at the end", open_at_end as f64, "");
    if let_go > 0 {
        section.tell("connections_let_go", "let go by us, as asked", let_go as f64, "");
    }
    section.cost("connections_failed", "failed to open", tally.failed as f64, "");
    section.cost("connections_lost", "lost while open", tally.lost as f64, "");
    if seconds > 0.0 {
        let rate = tally.opened as f64 / seconds;
        section.gain("connect_rate", "connect rate, with handshakes", rate, "/s");
        section.cost("connect_seconds", "time to open all", seconds, "s");
    }
    section.tell("pings_answered", "pings answered, from first to last", tally.pings as f64, "");
    section.tell("unknown_messages", "messages of others, ignored", tally.unknown as f64, "");
    for (kind, count) in &tally.errors {
        let id = format!("error: {kind}");
        section.cost(&id, &id, *count as f64, "");
    }
    let measured = "from the intended begin of the connect to the end of the handshake";
    report.latency(("connect_latency", "connect"), measured, &tally.connect);
    if tally.failed > 0 {
        let reasons = reasons(tally, is_of_opening);
        report.problem(format!("{} connections failed to open{reasons}", tally.failed));
    }
    if tally.lost > 0 {
        let reasons = reasons(tally, |kind| !is_of_opening(kind));
        report.problem(format!("{} connections were lost{reasons}", tally.lost));
    }
}

/// Reasons that a problem names at most.
const REASONS_MAX: usize = 3;

/// Whether a kind of error is of connections that were not open yet.
fn is_of_opening(kind: &str) -> bool {
    kind.starts_with("connect: ") || kind.starts_with("handshake: ")
}

/// The errors behind a problem, the most frequent first, to be put behind it.
fn reasons(tally: &Tally, is_wanted: impl Fn(&str) -> bool) -> String {
    let mut wanted: Vec<_> = tally.errors.iter().filter(|(kind, _)| is_wanted(kind)).collect();
    wanted.sort_by_key(|(_, count)| Reverse(**count));
    let named = wanted.iter().take(REASONS_MAX);
    let named: Vec<String> = named.map(|(kind, count)| format!("{count} x {kind}")).collect();
    if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) }
}

/// What was used in a window in which `count` messages were handled.
pub(crate) fn spent(report: &mut Report, spent: &Spent, count: u64, what: &str) {
    let count = count.max(1) as f64;
    if let Some(server) = spent.server {
        let section = report.section("Server CPU");
        let per = |ns: f64| ns / 1e3 / count;
        let label = |part: &str| format!("{part} per {what}");
        section.cost("server_cpu_us", &label("all"), per(server.total_ns()), "us");
        section.cost("server_user_us", &label("user"), per(server.user_ns), "us");
        section.cost("server_system_us", &label("system"), per(server.system_ns), "us");
        if let Some(softirq) = spent.softirq_ns {
            let label = format!("all per {what}, with ksoftirqd of its CPUs");
            section.cost("server_core_us", &label, per(server.total_ns() + softirq), "us");
        }
        let cpus = server.total_ns() / 1e9 / spent.seconds;
        section.tell("server_cpus", "CPUs in use", cpus, "");
    }
    let section = report.section("Loader");
    let per = spent.loader.total_ns() / 1e3 / count;
    section.tell("loader_cpu_us", &format!("its own CPU per {what}"), per, "us");
    let idle = spent.idle_share.min(1.0 - spent.busiest_share).max(0.0) * 100.0;
    section.tell("loader_idle_percent", "idle share of its CPUs", idle, "%");
    judge_loader(report, spent);
}

/// Whether figures of a window may be the loader's too: one such window marks the report.
pub(crate) fn judge_loader(report: &mut Report, spent: &Spent) {
    let is_thread_busy = 1.0 - spent.busiest_share < IDLE_SHARE_MIN;
    let are_cpus_busy = spent.idle_share < IDLE_SHARE_MIN;
    report.bind(match (is_thread_busy, are_cpus_busy, spent.cpus) {
        (true, ..) | (_, true, LoaderCpus::Own) => Bound::Loader,
        (false, true, LoaderCpus::Shared) => Bound::SharedCpus,
        (false, false, _) => Bound::Server,
    });
}

/// What an idle connection costs.
pub(crate) fn idle(report: &mut Report, spent: &Spent, connections: u64) {
    let Some(server) = spent.server else { return };
    let per = server.total_ns() / 1e3 / spent.seconds / connections.max(1) as f64;
    let section = report.section("Idle");
    section.tell("hold_seconds", "held", spent.seconds, "s");
    let label = "server CPU per connection and second";
    section.cost("idle_cpu_us", label, per, "us");
    section.cost(
        "idle_cpus",
        "CPUs in use by the server",
        server.total_ns() / 1e9 / spent.seconds,
        "",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::process::CpuSpent;

    fn report_of(idle_share: f64, cpus: LoaderCpus) -> Report {
        let server = Some(CpuSpent { user_ns: 1e6, system_ns: 3e6 });
        let loader = CpuSpent { user_ns: 2e6, system_ns: 0.0 };
        let window = Spent {
            seconds: 1.0,
            server,
            softirq_ns: Some(1e6),
            loader,
            idle_share,
            busiest_share: 0.5,
            cpus,
            segments: 0,
        };
        let mut report = Report::default();
        spent(&mut report, &window, 1000, "echo");
        report
    }

    #[test]
    fn under_a_tenth_idle_is_loader_bound_where_the_cpus_are_its_own() {
        for (idle_share, is_bound) in [(0.09, true), (0.11, false), (0.0, true), (1.0, false)] {
            for (cpus, bound) in
                [(LoaderCpus::Own, Bound::Loader), (LoaderCpus::Shared, Bound::SharedCpus)]
            {
                let report = report_of(idle_share, cpus);
                assert_eq!(report.is_loader_bound, is_bound, "{idle_share}");
                let bound = if is_bound { bound } else { Bound::Server };
                assert_eq!(report.bound, bound, "{idle_share}, {cpus:?}");
            }
        }
    }

    #[test]
    fn a_thread_that_has_no_time_left_is_the_bound_on_any_cpus() {
        for cpus in [LoaderCpus::Own, LoaderCpus::Shared] {
            let mut report = Report::default();
            let busy = Spent { idle_share: 0.4, busiest_share: 0.95, cpus, ..Spent::default() };
            judge_loader(&mut report, &busy);
            assert_eq!(report.bound, Bound::Loader, "{cpus:?}");
        }
    }

    #[test]
    fn problems_name_the_errors_behind_them() {
        let mut tally = Tally { failed: 6, lost: 1, ..Tally::default() };
        for (kind, count) in [("connect: a", 1), ("handshake: b", 5), ("read: c", 1)] {
            tally.errors.insert(kind.to_owned(), count);
        }
        let mut report = Report::default();
        connections(&mut report, &tally, Fates { asked: 7, ..Fates::default() }, 0.0);
        let failed = "6 connections failed to open: 5 x handshake: b, 1 x connect: a";
        assert_eq!(report.problems, [failed, "1 connections were lost: 1 x read: c"]);
    }

    #[test]
    fn one_bound_window_marks_the_report_whatever_the_others_are() {
        let mut report = report_of(0.05, LoaderCpus::Own);
        judge_loader(&mut report, &Spent { idle_share: 0.9, ..Spent::default() });
        assert!(report.is_loader_bound);
    }

    #[test]
    fn cpu_time_is_divided_by_what_was_handled() {
        let report = report_of(0.5, LoaderCpus::Own);
        let figures = [
            ("server_cpu_us", 4.0),
            ("server_user_us", 1.0),
            ("server_core_us", 5.0),
            ("loader_cpu_us", 2.0),
        ];
        for (id, us) in figures {
            let value = report.value(id).expect("it is there");
            assert!((value - us).abs() < 1e-9, "{id} is {value}");
        }
    }
}
