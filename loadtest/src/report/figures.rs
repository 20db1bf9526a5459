//! Figures that several scenarios report, computed in one place.

use super::model::{Bound, Report, TimeSeries};
use std::cmp::Reverse;

use crate::engine::calibration::LoaderEnd;
use crate::engine::tally::Tally;
use crate::measure::memory::MemoryState;
use crate::measure::sampler::Sample;
use crate::measure::window::{IDLE_SHARE_MIN, LoaderCpus, Spent};

/// Connections from which on memory per connection says something.
pub(crate) const SLOPE_CONNECTIONS_MIN: u64 = 2000;

/// The same for the kernel's memory, which others on the machine use too.
const KERNEL_CONNECTIONS_MIN: u64 = 20_000;

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

/// How connecting went.
pub(crate) fn connections(
    report: &mut Report,
    tally: &Tally,
    asked: u64,
    open_at_end: u64,
    seconds: f64,
) {
    let section = report.section("Connections");
    section.tell("connections_asked", "asked for", asked as f64, "");
    section.gain("connections_opened", "opened", tally.opened as f64, "");
    section.gain("connections_open_at_end", "open at the end", open_at_end as f64, "");
    section.cost("connections_failed", "failed to open", tally.failed as f64, "");
    section.cost("connections_lost", "lost while open", tally.lost as f64, "");
    if seconds > 0.0 {
        let rate = tally.opened as f64 / seconds;
        section.gain("connect_rate", "connect rate, with handshakes", rate, "/s");
        section.cost("connect_seconds", "time to open all", seconds, "s");
    }
    section.tell("pings_answered", "pings answered", tally.pings as f64, "");
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

/// Memory in user space and in the kernel, from three states: none, a part, all.
pub(crate) fn memory(
    report: &mut Report,
    none: &MemoryState,
    part: Option<&MemoryState>,
    all: &MemoryState,
    loader_end: Option<LoaderEnd>,
) {
    let connections = all.connections;
    let count = connections.max(1) as f64;
    let has_server = all.server_bytes > 0;
    let is_many = connections >= SLOPE_CONNECTIONS_MIN;
    let section = report.section("Memory");
    if has_server {
        let label = "server, resident, without connections";
        section.cost("server_rss_none", label, none.server_bytes as f64, "B");
        section.cost("server_rss_all", "server, resident, all open", all.server_bytes as f64, "B");
    }
    if has_server && is_many {
        let growth = all.server_bytes.saturating_sub(none.server_bytes) as f64;
        section.cost(
            "server_rss_per_connection",
            "server, resident, per connection",
            growth / count,
            "B",
        );
    }
    if let Some(part) = part.filter(|_| has_server && is_many) {
        let growth = all.server_bytes as f64 - part.server_bytes as f64;
        let slope = growth / (connections - part.connections).max(1) as f64;
        let label = format!("  slope from {} to {connections}", part.connections);
        section.cost("server_rss_slope", &label, slope, "B");
    }
    // The kernel keeps what earlier programs have freed and takes it first, so the slope is exact
    // and the difference to no connections is not.
    let first = part.unwrap_or(none);
    let slab = all.kernel.slab_bytes.saturating_sub(first.kernel.slab_bytes) as f64;
    let slab = slab / (connections - first.connections).max(1) as f64;
    if connections >= KERNEL_CONNECTIONS_MIN && slab > 0.0 {
        section.cost("kernel_pair", "kernel, slabs, both ends of a connection", slab, "B");
        if let Some(end) = loader_end {
            let server = slab - end.bytes;
            section.tell(
                "kernel_loader_end",
                "  the loader's end, measured without a server",
                end.bytes,
                "B",
            );
            section.cost("kernel_server_end", "  the server's end, the rest", server, "B");
        }
        let tcp = all.kernel.tcp_bytes as f64 / count;
        section.cost("kernel_tcp_memory", "kernel, waiting in sockets, both ends", tcp, "B");
        let tables = all.kernel.page_table_bytes.saturating_sub(none.kernel.page_table_bytes);
        section.tell(
            "kernel_page_tables",
            "kernel, page tables of all processes",
            tables as f64,
            "B",
        );
    }
    section.tell("memory_available", "left on the machine", all.kernel.available_bytes as f64, "B");
}

/// Figures over time.
pub(crate) fn series(samples: &[Sample]) -> Vec<TimeSeries> {
    let series = |id: &str, label: &str, unit: &str, value: fn(&Sample) -> f64| TimeSeries {
        id: id.to_owned(),
        label: label.to_owned(),
        unit: unit.to_owned(),
        points: samples.iter().map(|sample| (sample.at_s, value(sample))).collect(),
    };
    let mut all = vec![
        series("connections", "open connections", "", |s| s.connections as f64),
        series("server_cpus", "CPUs in use by the server", "", |s| s.server_cpus),
        series("loader_cpus", "CPUs in use by the loader", "", |s| s.loader_cpus),
        series("server_rss", "server, resident", "B", |s| s.server_bytes as f64),
        series("slab", "kernel, slabs", "B", |s| s.slab_bytes as f64),
        series("tcp_memory", "kernel, waiting in sockets", "B", |s| s.tcp_bytes as f64),
        series("available", "left on the machine", "B", |s| s.available_bytes as f64),
    ];
    let rates = samples.windows(2).map(|pair| {
        let messages = pair[1].messages.saturating_sub(pair[0].messages) as f64;
        (pair[1].at_s, messages / (pair[1].at_s - pair[0].at_s).max(1e-3))
    });
    all.push(TimeSeries {
        id: "messages".into(),
        label: "messages received".into(),
        unit: "/s".into(),
        points: rates.collect(),
    });
    all
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
        connections(&mut report, &tally, 7, 0, 0.0);
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
