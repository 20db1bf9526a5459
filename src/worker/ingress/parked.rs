//! Connections that wait for answers to their questions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{FRAME_COST, QUESTION_TIMEOUT, TIMER_COST};
use crate::protocol::{Answer, Asks, Protocols, Ticket};
use crate::worker::connection::flag;
use crate::worker::core::Core;
use crate::worker::ingress::visit::Visit;
use crate::worker::ingress::{held_requests, staged};

/// When questions that are open count as answered by nobody, in the order in which they were asked.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(VecDeque<(Instant, ConnId, Ticket)>);

impl Deadlines {
    /// Those at the front whose question is not open any more: what is answered at once does not
    /// stand here for the whole of [`QUESTION_TIMEOUT`].
    fn drop_answered(&mut self, asks: &Asks) {
        while let Some((_, conn, ticket)) = self.0.front()
            && !asks.is_open(*conn, *ticket)
        {
            self.0.pop_front();
        }
    }

    pub(crate) fn next_look(&self, now: Instant) -> Option<Duration> {
        self.0.front().map(|(at, ..)| at.saturating_duration_since(now))
    }
}

/// Sends what was asked in this turn.
pub(crate) fn send_questions<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    if !core.parts.said.asks.has_unsent() {
        return;
    }
    let questions = core.parts.said.asks.take_unsent();
    if questions.is_empty() {
        return;
    }
    core.parts.life.asked.drop_answered(&core.parts.said.asks);
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

/// Gives a connection its answers, and goes on with it if it has waited for one of these.
fn go_on_answered<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    while let Some((ticket, answer)) = core.parts.said.asks.next_answer(conn) {
        if core.table.get_mut(conn).is_some_and(|connection| connection.owes_answer()) {
            held_requests::answer(core, conn, answer);
            continue;
        }
        let is_over = core.parts.said.asks.unpark(conn, ticket);
        let Some(mut visit) = Visit::of(core, conn) else { return };
        if is_over {
            visit.connection.clear(flag::PARKED);
        }
        let flow = visit.answer(ticket, answer);
        staged::carry_out_call(core, conn, flow);
    }
    if !core.parts.said.asks.is_asking(conn) && !core.parts.said.asks.has_messages(conn) {
        core.parts.said.asks.forget(conn);
    }
    let Some(connection) = core.table.get_mut(conn) else { return };
    if !connection.has(flag::PARKED) && connection.has(flag::STALLED) {
        // It was stopped when too much waited, or by an answer: what was kept comes first then.
        core.parts.stalls.hold(conn, connection);
    } else {
        handle_kept(core, conn);
    }
}

/// Handles the messages that have waited, as far as their connection goes on.
pub(crate) fn handle_kept<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    loop {
        let Some(mut visit) = Visit::of(core, conn) else { return };
        if visit.connection.has(flag::PARKED) {
            return;
        }
        if !visit.parts.said.asks.has_messages(conn) {
            break;
        }
        if visit.must_stall() {
            return;
        }
        let Some((kind, payload)) = visit.parts.said.asks.next_message(conn) else { return };
        visit.parts.budget.pay(FRAME_COST + payload.len());
        let flow = visit.message(kind, &payload);
        staged::carry_out_call(core, conn, flow);
    }
    if !core.parts.said.asks.is_asking(conn) {
        core.parts.said.asks.forget(conn);
    }
}
