//! Connections that wait for answers to their questions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::core::Core;
use super::table::flag;
use crate::driver::Wake;
use crate::id::ConnId;
use crate::limits::{FRAME_COST, QUESTION_TIMEOUT, TIMER_COST};
use crate::protocol::{Answer, Flow, Protocols, Ticket};

/// When questions that are open count as answered by nobody, in the order in which they were asked.
#[derive(Debug, Default)]
pub(super) struct Deadlines(VecDeque<(Instant, ConnId, Ticket)>);

impl Deadlines {
    pub(super) fn next_look(&self, now: Instant) -> Option<Duration> {
        self.0.front().map(|(at, ..)| at.saturating_duration_since(now))
    }
}

impl<W: Wake, L: Protocols> Core<W, L> {
    /// Sends what was asked in this turn.
    pub(super) fn send_questions(&mut self) {
        if self.parts.said.asks.is_empty() {
            return;
        }
        let questions = self.parts.said.asks.take_unsent();
        if questions.is_empty() {
            return;
        }
        let until = self.parts.clock.now + QUESTION_TIMEOUT;
        let asked = questions.iter().map(|question| (until, question.conn, question.ticket));
        self.parts.life.asked.0.extend(asked);
        match self.parts.mail.ask(questions) {
            Ok(posted) => self.parts.count_posted(posted),
            // Nobody is there who answers.
            Err(questions) => {
                for question in questions {
                    self.answered(question.conn, question.ticket, None);
                }
            }
        }
    }

    /// An answer has come.
    pub(super) fn answered(&mut self, conn: ConnId, ticket: Ticket, answer: Answer) {
        self.parts.budget.pay(FRAME_COST);
        if self.parts.said.asks.answered(conn, ticket, answer) {
            self.go_on_answered(conn);
        } else {
            self.parts.counters.answers_late.add(1);
        }
    }

    /// Looks at the questions whose time is over.
    pub(super) fn look_at_questions(&mut self) {
        while self.parts.life.asked.0.front().is_some_and(|(at, ..)| *at <= self.parts.clock.now) {
            let Some((_, conn, ticket)) = self.parts.life.asked.0.pop_front() else { return };
            self.parts.budget.pay(TIMER_COST);
            if self.parts.said.asks.answered(conn, ticket, None) {
                self.parts.counters.questions_unanswered.add(1);
                self.go_on_answered(conn);
            }
            if self.parts.is_spent() {
                return;
            }
        }
    }

    /// Gives a connection its answers, and the messages that have waited for them, as far as it
    /// goes on.
    fn go_on_answered(&mut self, conn: ConnId) {
        while let Some((ticket, answer)) = self.parts.said.asks.next_answer(conn) {
            if let Some(connection) = self.table.get_mut(conn) {
                connection.clear(flag::PARKED);
            }
            let flow =
                self.visit(conn).map_or(Flow::Next, |mut visit| visit.answer(ticket, answer));
            self.carry_out_call(conn, flow);
        }
        while self.table.get_mut(conn).is_some_and(|connection| !connection.has(flag::PARKED))
            && let Some((kind, payload)) = self.parts.said.asks.next_message(conn)
        {
            self.parts.budget.pay(FRAME_COST + payload.len());
            let flow =
                self.visit(conn).map_or(Flow::Next, |mut visit| visit.message(kind, &payload));
            self.carry_out_call(conn, flow);
        }
        let Some(connection) = self.table.get_mut(conn) else { return };
        let is_over = !connection.has(flag::PARKED);
        // It was stopped when too much waited.
        if is_over && connection.has(flag::STALLED) {
            self.parts.stalls.hold(conn, connection);
        }
        if is_over && !self.parts.said.asks.is_asking(conn) {
            self.parts.said.asks.forget(conn);
        }
    }
}
