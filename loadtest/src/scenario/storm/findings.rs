//! What `storm` has found.

use super::restart::Restart;
use super::returning::{GROUPS, Outcome};
use super::seconds::Seconds;
use crate::clock::seconds;
use crate::engine::tally::Tally;
use crate::report::model::{Report, TimeSeries};

/// The title of the plot of arrivals, of each group a line.
const ARRIVALS: &str = "Clients that came back each second";

/// All that was found.
pub(super) struct Found<'a> {
    pub(super) count: u64,
    /// Clients that have left once at least.
    pub(super) left: u64,
    /// Clients that were there at the end.
    pub(super) back: u64,
    pub(super) opening_s: f64,
    pub(super) restart: Restart,
    pub(super) tally: &'a Tally,
    pub(super) outcome: &'a Outcome,
}

impl Found<'_> {
    pub(super) fn report(&self, report: &mut Report) {
        self.leaves(report);
        self.arrivals(report);
        self.groups(report);
        self.series(report);
        let from = "from the end of the connection to the end of the next handshake";
        for (name, group) in GROUPS.into_iter().zip(&self.outcome.groups) {
            report.latency((&format!("away_{name}"), &format!("away, {name}")), from, &group.away);
        }
        let missing = self.count.saturating_sub(self.back);
        if missing > 0 {
            report
                .problem(format!("{missing} of {} clients did not come back in time", self.count));
        }
        let stayed = self.count.saturating_sub(self.left);
        if stayed > 0 {
            report.problem(format!("{stayed} of {} clients were never ended", self.count));
        }
    }

    fn leaves(&self, report: &mut Report) {
        let outcome = self.outcome;
        let section = report.section("Leaving");
        section.tell("clients", "clients", self.count as f64, "");
        section.tell("connect_seconds", "time to open all, before", self.opening_s, "s");
        section.tell("leaves", "ends of connections", outcome.leaves.total() as f64, "");
        for (code, count) in &outcome.codes {
            let (id, label) = (format!("leaves_{code}"), format!("  closed with {code}"));
            section.tell(&id, &label, *count as f64, "");
        }
        let told: u64 = outcome.codes.values().sum();
        let cut = outcome.leaves.total().saturating_sub(told);
        section.tell("leaves_cut", "  without a close frame", cut as f64, "");
        section.tell("with_slot", "  with a time to come back", outcome.with_slot as f64, "");
        let (first, last) = (outcome.first_leave_ns, outcome.last_leave_ns);
        if let Some((first, last)) = first.zip(last) {
            let spread = seconds(last - first);
            section.tell("leaving_seconds", "from the first to the last", spread, "s");
        }
        let peak = outcome.leaves.peak() as f64;
        section.tell("leaves_peak", "most in one second", peak, "/s");
    }

    fn arrivals(&self, report: &mut Report) {
        let (restart, outcome) = (self.restart, self.outcome);
        let section = report.section("Coming back");
        section.gain("back", "clients that are back", self.back as f64, "");
        if let Some((gone, listens)) = restart.gone_ns.zip(restart.listens_ns) {
            let stopping = seconds(gone - restart.begin_ns);
            section.tell("stopping_seconds", "from SIGTERM until it had gone", stopping, "s");
            let starting = seconds(listens - gone);
            section.tell("starting_seconds", "until the next one listened", starting, "s");
            if let Some(last) = outcome.last_arrival_ns {
                let back = seconds(last.saturating_sub(listens));
                section.cost("back_after_start_seconds", "until all were back", back, "s");
            }
        }
        if let Some((first, last)) = outcome.first_leave_ns.zip(outcome.last_arrival_ns) {
            let label = "from the first leave to the last return";
            section.cost("back_seconds", label, seconds(last.saturating_sub(first)), "s");
        }
        let mut all = Seconds::default();
        outcome.groups.iter().for_each(|group| all.add(&group.arrivals));
        section.cost("arrivals_peak", "most that came back in one second", all.peak() as f64, "/s");
        let refused: u64 = outcome.groups.iter().map(|group| group.refused.total()).sum();
        section.cost("attempts_refused", "attempts refused or failed", refused as f64, "");
        for (kind, count) in &self.tally.errors {
            if kind.starts_with("connect: ") || kind.starts_with("handshake: ") {
                section.cost(&format!("refused: {kind}"), &format!("  {kind}"), *count as f64, "");
            }
        }
    }

    fn groups(&self, report: &mut Report) {
        for (name, group) in GROUPS.into_iter().zip(&self.outcome.groups) {
            if group.clients == 0 {
                continue;
            }
            let title = match name {
                "honouring" => "Those that wait until the server wants them",
                _ => "Those that do not",
            };
            let section = report.section(title);
            let clients = group.clients as f64;
            section.tell(&format!("{name}_clients"), "clients", clients, "");
            let arrivals = group.arrivals.total() as f64;
            section.tell(&format!("{name}_arrivals"), "times that they came back", arrivals, "");
            let (id, label) = (format!("{name}_arrivals_peak"), "most in one second");
            section.cost(&id, label, group.arrivals.peak() as f64, "/s");
            let (id, label) = (format!("{name}_refused"), "attempts refused or failed");
            section.cost(&id, label, group.refused.total() as f64, "");
        }
    }

    /// Counts of each second, from that before the first leave to that behind the last arrival.
    fn series(&self, report: &mut Report) {
        let outcome = self.outcome;
        let Some(first_ns) = outcome.first_leave_ns else { return };
        let last_ns = outcome.last_arrival_ns.max(outcome.last_leave_ns).unwrap_or(first_ns);
        let first = (first_ns / 1_000_000_000).saturating_sub(1);
        let last = last_ns / 1_000_000_000 + 1;
        let mut add = |id: String, label: String, plot: Option<&str>, counts: &Seconds| {
            let (unit, plot) = ("/s".to_owned(), plot.map(str::to_owned));
            report.series.push(TimeSeries {
                id,
                label,
                unit,
                plot,
                points: counts.points(first, last),
            });
        };
        let label = "Clients that left each second".to_owned();
        add("leaves".to_owned(), label, None, &outcome.leaves);
        for (name, group) in GROUPS.into_iter().zip(&outcome.groups) {
            if group.clients > 0 {
                add(format!("arrivals_{name}"), name.to_owned(), Some(ARRIVALS), &group.arrivals);
            }
        }
        for (name, group) in GROUPS.into_iter().zip(&outcome.groups) {
            if group.refused.total() > 0 {
                let plot = Some("Attempts refused or failed each second");
                add(format!("refused_{name}"), name.to_owned(), plot, &group.refused);
            }
        }
    }
}
