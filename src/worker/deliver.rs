//! From a publish to the queues of those who get it, here and on other workers.

use super::core::{Core, touch};
use super::mailbox::Envelope;
use super::table::{Phase, Role, flag};
use crate::driver::Wake;
use crate::hub::{RoomId, Sealed};
use crate::id::ConnId;
use crate::wire::Encoded;
use std::sync::Arc;

impl<W: Wake> Core<W> {
    /// Delivers what was published this turn, and sends on what other workers had no room for.
    pub(super) fn deliver(&mut self) {
        self.deliver_rooms();
        for pong in std::mem::take(&mut self.pongs) {
            self.append_pong(pong.conn, &pong.payload);
        }
    }

    fn deliver_rooms(&mut self) {
        loop {
            while let Some(sealed) = self.hub.seal_next() {
                self.publish(&sealed);
            }
            let posted = self.mail.forward_all();
            self.count_posted(posted);
            if self.mail.is_congested() || self.is_spent() || self.waiting.is_empty() {
                return;
            }
            // What they publish now is delivered in this turn too, or it would lie until the next.
            self.release_waiting();
        }
    }

    /// Takes what other workers published: one mailbox full of it at most in a turn.
    pub(super) fn read_mail(&mut self) {
        let mut has_read = false;
        for _ in 0..self.config().mailbox_capacity {
            let Some(Envelope { room, frames }) = self.mail.receive() else { break };
            has_read = true;
            if let Some(room) = self.hub.room(&room) {
                self.fan_out(room, &frames);
            }
        }
        if has_read {
            let wakes = self.mail.call_waiting();
            self.counters.wakes.add(wakes);
        }
    }

    /// Delivers what was published in a room, so that what comes next comes after it.
    pub(super) fn deliver_room(&mut self, room: RoomId) {
        if let Some(sealed) = self.hub.seal(room) {
            self.publish(&sealed);
        }
    }

    /// A reply and a delivery to the same connection keep their order.
    // Inside of flush it would make each delivery dearer by 7 instructions, and so would the next.
    #[inline(never)]
    pub(super) fn deliver_before_reply(&mut self, conn: ConnId) {
        let membership = self.table.get_mut(conn).and_then(|connection| connection.membership());
        if let Some(membership) = membership {
            self.deliver_room(self.hub.room_of(membership));
        }
        // Hardly ever does any wait.
        if let Some(at) = self.pongs.iter().position(|pong| pong.conn == conn) {
            let pong = self.pongs.remove(at);
            self.append_pong(conn, &pong.payload);
        }
    }

    /// Takes a connection out of its room; what it published before is delivered.
    #[inline(never)]
    pub(super) fn leave_room(&mut self, conn: ConnId) {
        self.deliver_before_reply(conn);
        let Some(connection) = self.table.get_mut(conn) else { return };
        if let Phase::Session(_, role) = &mut connection.phase
            && let Role::Room(membership) = std::mem::replace(role, Role::None)
        {
            self.hub.leave(membership);
        }
    }

    fn publish(&mut self, sealed: &Sealed) {
        self.fan_out(sealed.room, &sealed.frames);
        if self.mail.is_congested() {
            self.counters.overshoot.add(sealed.frames.messages() as u64);
        }
        let room = Arc::clone(&sealed.name);
        let posted = self.mail.post(&Envelope { room, frames: Arc::clone(&sealed.frames) });
        self.count_posted(posted);
    }

    /// Puts shared frames into the queue of every member on this worker.
    fn fan_out(&mut self, room: RoomId, frames: &Arc<Encoded>) {
        let members = self.hub.members(room);
        for member in members {
            let form = frames.form_for(member.window_bits);
            if form != crate::wire::Form::Plain {
                let deflater = self.deflater.get_or_insert_default();
                self.counters.messages_deflated.add(frames.prepare(form, deflater) as u64);
            }
            let connection = self.table.get_mut(member.conn).expect("members are open");
            self.pool.append_shared(&mut connection.queue, frames, form);
            touch(&mut self.touched, member.conn, connection);
        }
        let delivered = frames.messages() * members.len();
        self.counters.messages_delivered.add(delivered as u64);
    }

    /// Lets those who wait go on, as far as this turn reaches.
    pub(super) fn release_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            if self.is_spent() {
                break;
            }
            let Some(conn) = self.waiting.pop_front() else { break };
            if let Some(connection) = self.table.get_mut(conn) {
                connection.clear(flag::WAITING);
                self.unstall(conn);
            }
        }
    }
}
