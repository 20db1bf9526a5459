//! What `slow` has found, and whether it is what the policy wants.

use super::stalled::Outcome;
use super::{ALL_READ, Policy, SOME_READ};
use crate::engine::tally::Tally;
use crate::report::figures::{self, Fates};
use crate::report::memory;
use crate::report::model::Report;
use crate::scenario::broadcast::room::Published;
use crate::scenario::broadcast::subscriber;

/// The code of RFC 6455 for who breaks a rule of the server.
const POLICY_VIOLATION: u16 = 1008;

/// The server's memory, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) before: Option<u64>,
    /// While some did not read.
    pub(super) highest: Option<u64>,
    pub(super) after: Option<u64>,
}

/// All that was found.
pub(super) struct Found<'a> {
    /// Whether messages left by the clock.
    pub(super) is_paced: bool,
    pub(super) policy: Policy,
    pub(super) slow: &'a Outcome,
    pub(super) others: &'a subscriber::Outcome,
    pub(super) parts: &'a [Vec<Published>; 2],
    pub(super) memory: Memory,
}

/// How connecting went, of the others; those that do not read add what failed to open.
pub(super) fn connections(
    report: &mut Report,
    (tally, of_slow): (&Tally, &Tally),
    (asked, open_at_end): (u64, u64),
    opening_s: f64,
) {
    let fates = Fates { asked, open_at_end, ..Fates::default() };
    figures::connections(report, tally, fates, opening_s);
    if of_slow.failed > 0 {
        report.problem(format!("{} that were not to read failed to open", of_slow.failed));
    }
}

impl Found<'_> {
    pub(super) fn report(&self, report: &mut Report) {
        self.of_slow(report);
        self.of_others(report);
        let Memory { before, highest, after } = self.memory;
        let moments = [
            ("server_rss_before", "resident, all reading", before),
            ("server_rss_highest", "  the highest, some not reading", highest),
            ("server_rss_after", "  at the end", after),
        ];
        memory::moments(report, moments);
        for part in &self.parts[ALL_READ] {
            figures::judge_loader(report, &part.spent);
        }
        if let Some(part) = self.parts[SOME_READ].last() {
            figures::spent(report, &part.spent, part.delivered, "delivery");
        }
        self.judge(report);
    }

    fn of_slow(&self, report: &mut Report) {
        let slow = self.slow;
        let section = report.section("Those that did not read");
        section.tell("slow", "were there, in all turns", slow.clients as f64, "");
        section.tell("slow_ended", "  ended by the server", slow.ended() as f64, "");
        section.tell("slow_hung_up", "    seen before they read", slow.hung_up as f64, "");
        let of_policy = slow.closed_with(POLICY_VIOLATION) as f64;
        section.tell("slow_closed_1008", "    closed with 1008", of_policy, "");
        for ((code, reason), count) in &slow.closed {
            let id = format!("slow_closed: {code} {reason}");
            section.tell(&id, &format!("      {code} {reason}"), *count as f64, "");
        }
        section.tell("slow_cut", "    without a close frame", slow.cut as f64, "");
        section.tell("slow_kept", "  kept, with the newest message", slow.kept as f64, "");
        section.tell("slow_behind", "  kept, without it in time", slow.behind as f64, "");
        let published: u64 = self.parts[SOME_READ].iter().map(|part| part.messages).sum();
        let each = published as f64 * slow.clients as f64 / self.rounds();
        section.tell("slow_due", "messages for all of them", each, "");
        section.tell("slow_received", "  got", slow.received as f64, "");
        section.tell("slow_dropped", "  dropped, later ones came", slow.dropped as f64, "");
        let missed = (each - slow.received as f64 - slow.dropped as f64).max(0.0);
        section.tell("slow_missed", "  not sent any more", missed, "");
        section.tell("slow_gaps", "clients with a gap in what they got", slow.with_gaps as f64, "");
        let whole = slow.clients.saturating_sub(slow.with_gaps) as f64;
        section.tell("slow_prefix", "clients that got all up to their last", whole, "");
        section.tell("slow_newest", "clients that got the newest", slow.newest as f64, "");
        section.cost("slow_disordered", "twice or out of order", slow.disordered as f64, "");
    }

    fn of_others(&self, report: &mut Report) {
        let all = self.others;
        let (published, incomplete) = (self.sum(|p| p.messages), self.sum(|p| p.incomplete));
        let section = report.section("The others");
        section.tell("published", "messages published", published as f64, "");
        let delivered = self.sum(|part| part.delivered);
        section.tell("delivered", "messages delivered", delivered as f64, "");
        section.cost("lost", "lost", all.faults.lost as f64, "");
        section.cost("duplicated", "duplicated", all.faults.duplicated as f64, "");
        section.cost("out_of_order", "out of order", all.faults.out_of_order as f64, "");
        section.cost("mangled", "with other bytes", all.mangled as f64, "");
        section.cost("incomplete", "not with all in time", incomplete as f64, "");
        let from = match self.is_paced {
            true => "open loop: from the intended send time of the schedule",
            false => "back to back: from the send, which waits for the last that reads",
        };
        let names =
            [("all_read", "delivery, all reading"), ("some_read", "delivery, some not reading")];
        for (name, latencies) in names.into_iter().zip(&all.latencies) {
            report.latency(name, from, latencies);
        }
        let faults = all.faults.lost + all.faults.duplicated + all.faults.out_of_order;
        let faults = faults + all.mangled;
        if faults > 0 {
            report.problem(format!("{faults} deliveries to the others went wrong"));
        }
        if incomplete > 0 {
            report.problem(format!("{incomplete} messages did not reach all others in time"));
        }
        if published == 0 {
            report.problem("nothing was published");
        }
    }

    fn rounds(&self) -> f64 {
        self.parts[SOME_READ].len().max(1) as f64
    }

    fn sum(&self, of: impl Fn(&Published) -> u64) -> u64 {
        self.parts.iter().flatten().map(of).sum()
    }

    fn judge(&self, report: &mut Report) {
        let slow = self.slow;
        let (ended, of_policy) = (slow.ended(), slow.closed_with(POLICY_VIOLATION));
        let closed = ended - slow.cut;
        let wrong = match self.policy {
            Policy::Disconnect => [
                (slow.with_gaps, "that did not read got messages behind others that were dropped"),
                (closed - of_policy, "that did not read were closed with another code than 1008"),
            ],
            Policy::DropOldest | Policy::Latest => {
                [(ended, "that did not read were ended, which the policy keeps"), (0, "")]
            }
        };
        let always = [
            (slow.disordered, "messages came twice or out of order to those that did not read"),
            (slow.behind, "that did not read were kept, and had not got the newest in time"),
        ];
        for (count, what) in wrong.into_iter().chain(always).filter(|(count, _)| *count > 0) {
            report.problem(format!("{count} {what}"));
        }
        if slow.clients > 0 && slow.kept == slow.clients && slow.dropped == 0 {
            report.note(
                "those that did not read got everything at the end: sockets and the server's \
                 backlog have held it; more --size, --rate or --duration fills them",
            );
        }
    }
}
