//! From a publish to the queues of those who get it, here and on other workers.
//!
//! A delivery goes over the members of a room in slices and may take several turns; ARCHITECTURE.md
//! has the rules.

use std::sync::Arc;

use super::budget::Budget;
use super::core::{Core, Parts};
use super::mailbox::Envelope;
use super::out::Out;
use super::table::{Connection, Link, flag};
use crate::driver::Wake;
use crate::hub::{self, Before, EdgeId, RoomId, Sealed};
use crate::id::{ConnId, SubscriberId};
use crate::limits::{
    DEFLATE_BYTE_COST, ENVELOPE_COST, LEAVER_COPY_BYTES_MAX, SEND_COST, SLICE_COST,
};
use crate::protocol::Protocols;
use crate::stats::Counters;
use crate::wire::deflate::Deflater;
use crate::wire::{Encoded, Form, buffer};

impl<W: Wake, L: Protocols> Core<W, L> {
    /// Delivers what was published, as far as the turn reaches, and sends on what other workers had
    /// no room for.
    pub(super) fn deliver(&mut self) {
        while let Some(room) = self.parts.hub.next_due() {
            self.begin_delivery(room);
            self.deliver_slice(room);
            self.parts.hub.requeue(room);
            if self.parts.is_spent() {
                break;
            }
        }
        let posted = self.parts.mail.forward_all();
        self.parts.count_posted(posted);
        self.answer_waiting();
    }

    /// Takes what other workers published: one mailbox full of it at most in a turn.
    pub(super) fn read_mail(&mut self) {
        let mut has_read = false;
        for _ in 0..self.parts.config().mailbox_capacity {
            if self.parts.hub.is_behind() || has_read && self.parts.is_spent() {
                break;
            }
            let Some(envelope) = self.parts.mail.receive() else { break };
            has_read = true;
            self.parts.budget.pay(ENVELOPE_COST);
            match envelope {
                Envelope::Publish(sealed) => self.parts.hub.receive(sealed),
                Envelope::Answer(conn, ticket, answer) => self.answered(conn, ticket, answer),
                Envelope::Ask(..) => unreachable!("workers are not asked"),
            }
        }
        if has_read {
            let wakes = self.parts.mail.call_waiting();
            self.parts.counters.wakes.add(wakes);
        }
    }

    /// Delivers what was published in a room before somebody joins it.
    pub(super) fn deliver_before_join(&mut self, name: &str) {
        if let Some(room) = self.parts.hub.room(name)
            && self.parts.hub.has_gathered(room)
        {
            self.deliver_now(room);
        }
    }

    /// Puts what must come before a reply into the queue of a member. What gathers while a delivery
    /// is under way cannot: gives the seal that the reply has to wait for.
    #[inline(never)]
    pub(super) fn bring_up_to_date(&mut self, conn: ConnId, edge: EdgeId) -> Option<u32> {
        if let Before::Gathering(seal) = self.parts.hub.before_reply(edge) {
            let room = self.parts.hub.room_of(edge);
            self.deliver_now(room);
            if !self.parts.hub.has_begun(room, seal) {
                return Some(seal);
            }
        }
        self.append_runs_under_way(conn, edge);
        None
    }

    /// Delivers what is under way to a member out of turn, if it has still to come to it.
    pub(super) fn append_runs_under_way(&mut self, conn: ConnId, edge: EdgeId) {
        for frames in self.parts.hub.pass(edge) {
            self.append_run(conn, &frames);
        }
    }

    /// Takes a connection out of its topics that is to get a word of goodbye: what it published and
    /// what was published before comes first.
    #[inline(never)]
    pub(super) fn leave_topics(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let mut next = connection.first_edge();
        while let Some(edge) = next {
            next = self.parts.hub.next_edge(edge);
            self.hand_out_before_leave(conn, edge);
        }
        self.append_waiting_pong(conn);
        self.drop_out(conn);
    }

    /// Ends one subscription: what was published before comes first.
    pub(super) fn unsubscribe(&mut self, conn: ConnId, topic: &str) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let Some(edge) = self.parts.hub.find(connection.edges, topic) else { return };
        self.hand_out_before_leave(conn, edge);
        self.append_waiting_pong(conn);
        self.parts.hub.note_handed(edge);
        self.leave_topic(conn, edge);
    }

    /// Puts all that a connection is to have of a topic into its queue.
    fn hand_out_before_leave(&mut self, conn: ConnId, edge: EdgeId) {
        self.bring_up_to_date(conn, edge);
        if self.parts.hub.has_gathered(self.parts.hub.room_of(edge)) {
            self.hand_out_gathered(conn, edge);
        }
    }

    /// Takes a connection out of its topics that gets nothing more. What it published is delivered
    /// to the others as if it had stayed.
    #[inline(never)]
    pub(super) fn drop_out(&mut self, conn: ConnId) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        if !matches!(connection.link, Link::WebSocket(_)) {
            return;
        }
        connection.spoken = None;
        connection.clear(flag::PARKED);
        let edge = connection.first_edge();
        self.parts.life.wakes.forget(conn);
        if !self.parts.said.asks.is_empty() {
            self.parts.said.asks.forget(conn);
        }
        let Some(mut edge) = edge else { return };
        self.parts.pongs.waiting.remove(&conn.index);
        // The head leaves first, so each leave is a step.
        while let Some(next) = self.leave_topic(conn, edge) {
            edge = next;
        }
    }

    /// Takes a connection out of a topic; gives the head of those that are left.
    fn leave_topic(&mut self, conn: ConnId, edge: EdgeId) -> Option<EdgeId> {
        let room = self.parts.hub.room_of(edge);
        if self.parts.hub.members(room) == 1 {
            // Nobody is left here to deliver it to, but elsewhere there may be.
            self.seal(room);
        }
        let connection = self.table.get_mut(conn)?;
        self.parts.hub.leave(edge, &mut connection.edges);
        connection.first_edge()
    }

    /// All that a leaver is to have of a room where a delivery is under way.
    fn hand_out_gathered(&mut self, conn: ConnId, edge: EdgeId) {
        let room = self.parts.hub.room_of(edge);
        let must_seal =
            |run: &Encoded| run.plain_bytes() > LEAVER_COPY_BYTES_MAX || run.has_excepts();
        if self.parts.hub.pending(room).is_some_and(must_seal) {
            self.seal(room);
        }
        let mut runs = self.parts.hub.pass(edge);
        runs.extend(self.parts.hub.waiting(room));
        runs.iter().for_each(|frames| self.append_run(conn, frames));
        if let Some(run) = self.parts.hub.pending(room)
            && let Some(connection) = self.table.get_mut(conn)
        {
            let bytes = run.bytes(Form::Plain);
            self.parts.out.pool.append(&mut connection.queue, |out| buffer::append(out, bytes));
            self.parts.out.touch(conn, connection);
            self.parts.budget.pay(hub::delivery_cost(run));
            self.parts.counters.messages_delivered.add(run.messages() as u64);
        }
    }

    /// Delivers in a room out of its turn, as far as this phase of the turn reaches.
    fn deliver_now(&mut self, room: RoomId) {
        while !self.parts.hub.is_under_way(room) && self.parts.hub.has_gathered(room) {
            self.begin_delivery(room);
            while self.parts.hub.is_under_way(room) && !self.parts.is_spent() {
                self.deliver_slice(room);
            }
        }
        self.parts.hub.requeue(room);
    }

    fn begin_delivery(&mut self, room: RoomId) {
        if !self.parts.hub.is_under_way(room) {
            self.seal(room);
            self.parts.hub.begin(room);
        }
    }

    /// Seals what was published in a room, for here and for the other workers that have members.
    fn seal(&mut self, room: RoomId) {
        let Some(sealed) = self.parts.hub.seal(room) else { return };
        let Sealed { topic, frames, .. } = &sealed;
        let own = self.parts.mail.id();
        let is_shared = || topic.others(own).next().is_some();
        if frames.is_worth_deflating() && topic.is_deflating() && is_shared() {
            // Made here before it is posted, or several workers would come to it at the same time.
            prepare(
                frames,
                &mut self.parts.codecs.deflater,
                &mut self.parts.budget,
                &self.parts.counters,
            );
        }
        if self.parts.mail.is_congested() {
            self.parts.counters.overshoot.add(frames.messages() as u64);
        }
        let posted = self.parts.mail.post(&sealed, topic.others(own));
        self.parts.count_posted(posted);
    }

    /// Puts what is under way in a room into the queues of the members that come next.
    fn deliver_slice(&mut self, room: RoomId) {
        let Parts { hub, mail, out, budget, counters, codecs, .. } = &mut self.parts;
        let (runs, members) = hub.slice(room, SLICE_COST);
        let count = members.len();
        if count == 0 {
            return;
        }
        let before = out.touched.len();
        let has_forms = hub.has_forms(room);
        for frames in runs {
            let has_forms = has_forms && frames.is_worth_deflating();
            let is_same_for_all = !has_forms && !frames.has_excepts();
            let mut left_out = 0;
            for member in members {
                let (conn, connection) = self.table.at(member.slot).expect("members are open");
                if is_same_for_all {
                    out.pool.append_shared(&mut connection.queue, frames, Form::Plain);
                    out.touch(conn, connection);
                    continue;
                }
                let mut form = Form::Plain;
                if has_forms {
                    let deflater = &mut codecs.deflater;
                    form = ready_form(frames, hub.window_bits(*member), deflater, budget, counters);
                }
                let who = SubscriberId { worker: mail.id(), conn };
                left_out += append(out, who, connection, frames, form);
            }
            budget.pay(hub::delivery_cost(frames) * count);
            counters.messages_delivered.add((frames.messages() * count - left_out) as u64);
        }
        self.parts.budget.pay((self.parts.out.touched.len() - before) * SEND_COST);
        self.parts.hub.advance(room, count);
    }

    /// Puts a run into the queue of one connection.
    fn append_run(&mut self, conn: ConnId, frames: &Arc<Encoded>) {
        let Some(connection) = self.table.get_mut(conn) else { return };
        let Link::WebSocket(session) = &connection.link else { return };
        let form = ready_form(
            frames,
            session.window_bits(),
            &mut self.parts.codecs.deflater,
            &mut self.parts.budget,
            &self.parts.counters,
        );
        let who = SubscriberId { worker: self.parts.mail.id(), conn };
        let left_out = append(&mut self.parts.out, who, connection, frames, form);
        self.parts.budget.pay(hub::delivery_cost(frames) + SEND_COST);
        self.parts.counters.messages_delivered.add((frames.messages() - left_out) as u64);
    }
}

/// Puts a run into the queue of a connection, but for the messages that it is not to get; says how
/// many those are. Where there are some, the others go as they are, in ranges of the plain form.
fn append<S>(
    out: &mut Out,
    who: SubscriberId,
    connection: &mut Connection<S>,
    frames: &Arc<Encoded>,
    form: Form,
) -> usize {
    let excepts = frames.excepts_of(who);
    let left_out = excepts.len();
    if left_out == 0 {
        out.pool.append_shared(&mut connection.queue, frames, form);
    } else {
        out.pool.append_shared_but(&mut connection.queue, frames, excepts);
    }
    if left_out < frames.messages() {
        out.touch(who.conn, connection);
    }
    left_out
}

/// The form of a run that a receiver gets now, made if it is to be compressed.
#[inline]
fn ready_form(
    frames: &Encoded,
    window_bits: u8,
    deflater: &mut Option<Box<Deflater>>,
    budget: &mut Budget,
    counters: &Counters,
) -> Form {
    let form = frames.form_for(window_bits);
    if form == Form::Plain {
        return form;
    }
    prepare(frames, deflater, budget, counters);
    frames.ready(form)
}

/// Makes the compressed form of a run, if nobody has and nobody is at it.
#[inline(never)]
fn prepare(
    frames: &Encoded,
    deflater: &mut Option<Box<Deflater>>,
    budget: &mut Budget,
    counters: &Counters,
) {
    if frames.ready(Form::Deflated) == Form::Deflated {
        return;
    }
    if let Some(made) = frames.prepare(deflater.get_or_insert_default()) {
        budget.pay(made.bytes * DEFLATE_BYTE_COST);
        counters.messages_deflated.add(made.messages as u64);
        counters.deflates_skipped.add(made.skipped as u64);
    }
}
