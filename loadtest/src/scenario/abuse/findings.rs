//! What `abuse` has found: of the honest ones, of each kind of abuse, of the server's memory.

use super::kind::{Expected, Kind};
use super::metrics::Counts;
use super::tally::Tally as HostileTally;
use super::{ABUSED, CALM};
use crate::engine::tally::Tally;
use crate::report::figures::{self, Fates};
use crate::report::memory;
use crate::report::model::{Report, Section};
use crate::scenario::broadcast::room::Published;
use crate::scenario::broadcast::subscriber;
use crate::scenario::echo;

/// What became of the honest ones.
pub(super) struct Honest {
    pub(super) tally: Tally,
    pub(super) room: subscriber::Outcome,
    pub(super) echoes: echo::Outcome,
    pub(super) asked: u64,
    pub(super) open_at_end: u64,
    pub(super) opening_s: f64,
}

/// The server's memory, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) before: Option<u64>,
    /// While it was abused.
    pub(super) highest: Option<u64>,
    pub(super) after: Option<u64>,
    /// What it may have at most.
    pub(super) most: Option<u64>,
}

/// All that was found.
pub(super) struct Found {
    pub(super) honest: Honest,
    pub(super) parts: [Published; 2],
    /// By kind.
    pub(super) hostile: Vec<HostileTally>,
    /// What the server has counted until after the abuse, and until before it.
    pub(super) counts: Option<(Counts, Counts)>,
    pub(super) memory: Memory,
}

impl Found {
    pub(super) fn report(&self, report: &mut Report) {
        let Honest { tally, asked, open_at_end, opening_s, .. } = &self.honest;
        let fates = Fates { asked: *asked, open_at_end: *open_at_end, ..Fates::default() };
        figures::connections(report, tally, fates, *opening_s);
        self.of_honest(report);
        for (kind, tally) in Kind::ALL.into_iter().zip(&self.hostile) {
            self.of_kind(report, kind, tally);
        }
        self.of_memory(report);
        figures::judge_loader(report, &self.parts[CALM].spent);
        let abused = &self.parts[ABUSED];
        figures::spent(report, &abused.spent, abused.delivered, "honest delivery, abuse included");
    }

    fn of_honest(&self, report: &mut Report) {
        let (room, echoes) = (&self.honest.room, &self.honest.echoes);
        let published: u64 = self.parts.iter().map(|part| part.messages).sum();
        let delivered: u64 = self.parts.iter().map(|part| part.delivered).sum();
        let incomplete: u64 = self.parts.iter().map(|part| part.incomplete).sum();
        let faults = [
            ("lost", "lost", room.faults.lost),
            ("duplicated", "duplicated", room.faults.duplicated),
            ("out_of_order", "out of order", room.faults.out_of_order),
            ("mangled", "with other bytes", room.mangled),
            ("incomplete", "not with all in time", incomplete),
            ("echoes_wrong", "echoes with other bytes or another number", echoes.wrong),
            ("echoes_unanswered", "echoes that did not come", echoes.unanswered),
        ];
        let section = report.section("Honest clients");
        section.tell("published", "messages published", published as f64, "");
        section.tell("delivered", "messages delivered", delivered as f64, "");
        section.tell("echoes", "echoes", echoes.received as f64, "");
        for (id, label, count) in faults {
            section.cost(id, label, count as f64, "");
        }
        for (_, label, count) in faults.into_iter().filter(|(.., count)| *count > 0) {
            report.problem(format!("honest clients: {count} {label}"));
        }
        if published == 0 || echoes.received == 0 {
            report.problem("honest clients had nothing that they could have lost");
        }
        let from = "open loop: from the intended send time of the schedule";
        let names = [("calm", "delivery, no abuse"), ("abused", "delivery, beside the abuse")];
        for (name, latencies) in names.into_iter().zip(&room.latencies) {
            report.latency(name, from, latencies);
        }
        report.latency(("echo_latency", "echo, in both parts"), from, &echoes.latencies);
    }

    fn of_kind(&self, report: &mut Report, kind: Kind, tally: &HostileTally) {
        let facts = kind.facts();
        let id = |name: &str| format!("{}.{name}", facts.id);
        let section = report.section(facts.title);
        section.tell(&id("begun"), "connections begun", tally.begun as f64, "");
        let more = [
            ("not_connected", "  not accepted", tally.not_connected),
            ("by_us", "  reset by us, as such a client does", tally.by_us),
            ("at_the_end", "  there at the end", tally.at_the_end),
        ];
        section.tell(&id("by_server"), "  ended by the server", tally.by_server as f64, "");
        for (name, label, count) in more.into_iter().filter(|(.., count)| *count > 0) {
            section.tell(&id(name), label, count as f64, "");
        }
        for (status, count) in &tally.statuses {
            let label = format!("  answered with status {status}");
            section.tell(&id(&format!("status_{status}")), &label, *count as f64, "");
        }
        for (code, count) in &tally.codes {
            let label = format!("  closed with {code}");
            section.tell(&id(&format!("code_{code}")), &label, *count as f64, "");
        }
        section.tell(&id("sent_bytes"), "sent", tally.sent_bytes as f64, "B");
        self.counted(section, kind);
        if facts.expected == Expected::Ended && tally.begun > 0 && tally.refused() == 0 {
            report.problem(format!("{}: the server has refused none", facts.title));
        }
    }

    /// What the server says, of all kinds that it counts under the same reason.
    fn counted(&self, section: &mut Section, kind: Kind) {
        let Some((after, before)) = &self.counts else { return };
        let facts = kind.facts();
        for reason in facts.reasons {
            let Some(count) = after.since(before, *reason) else { continue };
            let id = format!("{}.counted.{}", facts.id, reason.name());
            let label = format!("the server's {}, of all kinds", reason.name());
            section.tell(&id, &label, count, "");
        }
    }

    fn of_memory(&self, report: &mut Report) {
        let Memory { before, highest, after, most } = self.memory;
        let moments = [
            ("server_rss_before", "resident, honest clients alone", before),
            ("server_rss_highest", "  the highest, beside the abuse", highest),
            ("server_rss_after", "  at the end", after),
        ];
        memory::moments(report, moments);
        if self.counts.is_none() {
            report.note("what the server has counted is not known: --operator URL tells");
        }
        let Some((most, highest)) = most.zip(highest) else { return };
        report.parameter("memory_max", most as f64);
        if highest > most {
            report.problem(format!("the server had {highest} B of memory, and {most} B may be"));
        }
    }
}
