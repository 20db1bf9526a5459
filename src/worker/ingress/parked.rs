//! Connections that wait for answers to their questions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{FRAME_COST, QUESTION_TIMEOUT, TIMER_COST};
use crate::protocol::{Answer, Flow, Protocols, Ticket};
use crate::worker::connection::flag;
use crate::worker::core::Core;
use crate::worker::ingress::staged;
use crate::worker::ingress::visit::Visit;

/// When questions that are open count as answered by nobody, in the order in which they were asked.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(VecDeque<(Instant, ConnId, Ticket)>);

impl Deadlines {
    pub(crate) fn next_look(&self, now: Instant) -> Option<Duration> {
        self.0.front().map(|(at, ..)| at.saturating_duration_since(now))
    }
}

/// Sends what was asked in this turn.
pub(crate) fn send_questions<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    if core.parts.said.asks.is_empty() {
        return;
    }
    let questions = core.parts.said.asks.take_unsent();
    if questions.is_empty() {
        return;
    }
    let until = core.parts.clock.now + QUESTION_TIMEOUT;
    let asked = questions.iter().map(|question| (until, question.conn, question.ticket));
    core.parts.life.asked.0.extend(asked);
    match core.parts.mail.ask(questions) {
        Ok(posted) => core.parts.count_posted(posted),
        // Nobody is there who answers.
        Err(questions) => {
            for question in questions {
                answered(core, question.conn, question.ticket, None);
            }
        }
    }
}

/// An answer has come.
pub(crate) fn answered<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    ticket: Ticket,
    answer: Answer,
) {
    core.parts.budget.pay(FRAME_COST);
    if core.parts.said.asks.answered(conn, ticket, answer) {
        go_on_answered(core, conn);
    } else {
        core.parts.counters.answers_late.add(1);
    }
}

/// Looks at the questions whose time is over.
pub(crate) fn look_at_questions<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    while core.parts.life.asked.0.front().is_some_and(|(at, ..)| *at <= core.parts.clock.now) {
        let Some((_, conn, ticket)) = core.parts.life.asked.0.pop_front() else { return };
        core.parts.budget.pay(TIMER_COST);
        if core.parts.said.asks.answered(conn, ticket, None) {
            core.parts.counters.questions_unanswered.add(1);
            go_on_answered(core, conn);
        }
        if core.parts.is_spent() {
            return;
        }
    }
}

/// Gives a connection its answers, and the messages that have waited for them, as far as it
/// goes on.
fn go_on_answered<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    while let Some((ticket, answer)) = core.parts.said.asks.next_answer(conn) {
        if let Some(connection) = core.table.get_mut(conn) {
            connection.clear(flag::PARKED);
        }
        let flow =
            Visit::of(core, conn).map_or(Flow::Next, |mut visit| visit.answer(ticket, answer));
        staged::carry_out_call(core, conn, flow);
    }
    while core.table.get_mut(conn).is_some_and(|connection| !connection.has(flag::PARKED))
        && let Some((kind, payload)) = core.parts.said.asks.next_message(conn)
    {
        core.parts.budget.pay(FRAME_COST + payload.len());
        let flow =
            Visit::of(core, conn).map_or(Flow::Next, |mut visit| visit.message(kind, &payload));
        staged::carry_out_call(core, conn, flow);
    }
    let Some(connection) = core.table.get_mut(conn) else { return };
    let is_over = !connection.has(flag::PARKED);
    // It was stopped when too much waited.
    if is_over && connection.has(flag::STALLED) {
        core.parts.stalls.hold(conn, connection);
    }
    if is_over && !core.parts.said.asks.is_asking(conn) {
        core.parts.said.asks.forget(conn);
    }
}
