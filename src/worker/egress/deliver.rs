//! From a publish to the queues of those who get it, here and on other workers.
//!
//! A delivery goes over the members of a room in slices and may take several turns; ARCHITECTURE.md
//! has the rules.

use std::sync::Arc;

use crate::driver::Wake;
use crate::hub::{self, Before, EdgeId, RoomId, Sealed};
use crate::id::{ConnId, SubscriberId};
use crate::limits::{DEFLATE_BYTE_COST, ENVELOPE_COST, SEND_COST, SLICE_COST};
use crate::protocol::Protocols;
use crate::stats::Counters;
use crate::wire::deflate::Deflater;
use crate::wire::{Encoded, Form};
use crate::worker::budget::Budget;
use crate::worker::connection::{Connection, Link};
use crate::worker::core::{Core, Parts};
use crate::worker::egress::out::Out;
use crate::worker::egress::{pongs, rules};
use crate::worker::ingress::parked;
use crate::worker::mail::Envelope;

/// Delivers what was published, as far as the turn reaches, and sends on what other workers had
/// no room for.
pub(crate) fn deliver<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    while let Some(room) = core.parts.hub.next_unposted() {
        post_gathered(core, room);
        if core.parts.is_spent() {
            break;
        }
    }
    while let Some(room) = core.parts.hub.next_due() {
        begin_delivery(core, room);
        deliver_slice(core, room);
        core.parts.hub.requeue(room);
        if core.parts.is_spent() {
            break;
        }
    }
    let posted = core.parts.mail.forward_all();
    core.parts.count_posted(posted);
    pongs::answer_waiting(core);
}

/// Takes what other workers published: one mailbox full of it at most in a turn.
pub(crate) fn read_mail<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    let mut has_read = false;
    for _ in 0..core.parts.config().mailbox_capacity {
        if core.parts.hub.is_behind() || has_read && core.parts.is_spent() {
            break;
        }
        let Some(envelope) = core.parts.mail.receive() else { break };
        has_read = true;
        core.parts.budget.pay(ENVELOPE_COST);
        match envelope {
            Envelope::Publish(sealed) => core.parts.hub.receive(sealed),
            Envelope::Answer(conn, ticket, answer) => parked::answered(core, conn, ticket, answer),
            Envelope::Inquire(inquired) => core.parts.scans.receive(*inquired),
            Envelope::Ask(..) => unreachable!("questions of connections go to those outside"),
        }
    }
    if has_read {
        let wakes = core.parts.mail.call_waiting();
        core.parts.counters.wakes.add(wakes);
    }
}

/// Puts what must come before a reply into the queue of a member. What gathers while a delivery
/// is under way cannot: gives the seal that the reply has to wait for.
#[inline(never)]
pub(crate) fn bring_up_to_date<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    edge: EdgeId,
) -> Option<u32> {
    if let Before::Gathering(seal) = core.parts.hub.before_reply(edge) {
        let room = core.parts.hub.room_of(edge);
        if core.parts.hub.at(room).is_batched() {
            // Nobody's heartbeat waits for a batch.
            append_runs_under_way(core, conn, edge);
            return None;
        }
        deliver_now(core, room);
        if !core.parts.hub.at(room).has_begun(seal) {
            return Some(seal);
        }
    }
    append_runs_under_way(core, conn, edge);
    None
}

/// Delivers what is under way to a member out of turn, if it has still to come to it.
pub(crate) fn append_runs_under_way<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    edge: EdgeId,
) {
    for frames in core.parts.hub.pass(edge) {
        append_run(core, conn, &frames);
    }
}

/// Delivers in a room out of its turn, as far as this phase of the turn reaches.
pub(crate) fn deliver_now<W: Wake, L: Protocols>(core: &mut Core<W, L>, room: RoomId) {
    while !core.parts.hub.at(room).is_under_way() && core.parts.hub.at(room).has_gathered() {
        begin_delivery(core, room);
        while core.parts.hub.at(room).is_under_way() && !core.parts.is_spent() {
            deliver_slice(core, room);
        }
    }
    core.parts.hub.requeue(room);
}

/// What gathers here is on its way to the other workers at once, where it gathers too.
fn post_gathered<W: Wake, L: Protocols>(core: &mut Core<W, L>, room: RoomId) {
    let own = core.parts.mail.id();
    if core.parts.hub.at(room).has_others(own) {
        core.parts.budget.pay(ENVELOPE_COST);
        seal(core, room);
    }
}

fn begin_delivery<W: Wake, L: Protocols>(core: &mut Core<W, L>, room: RoomId) {
    if !core.parts.hub.at(room).is_under_way() {
        rules::renew(&mut core.parts, room);
        seal(core, room);
        core.parts.hub.begin(room);
    }
}

/// Seals what was published in a room, for here and for the other workers that have members.
pub(crate) fn seal<W: Wake, L: Protocols>(core: &mut Core<W, L>, room: RoomId) {
    let Some(sealed) = core.parts.hub.seal(room) else { return };
    let Sealed { topic, frames, .. } = &sealed;
    let own = core.parts.mail.id();
    let is_shared = || topic.others(own).next().is_some();
    if frames.is_worth_deflating() && topic.is_deflating() && is_shared() {
        // Made here before it is posted, or several workers would come to it at the same time.
        prepare(
            frames,
            &mut core.parts.codecs.deflater,
            &mut core.parts.budget,
            &core.parts.counters,
        );
    }
    if core.parts.mail.is_congested() {
        core.parts.counters.overshoot.add(frames.messages() as u64);
    }
    let posted = core.parts.mail.post(&sealed, topic.others(own));
    core.parts.count_posted(posted);
}

/// Puts what is under way in a room into the queues of the members that come next.
fn deliver_slice<W: Wake, L: Protocols>(core: &mut Core<W, L>, room: RoomId) {
    let Parts { hub, mail, out, budget, counters, codecs, .. } = &mut core.parts;
    let (runs, members) = hub.slice(room, SLICE_COST);
    let count = members.len();
    if count == 0 {
        return;
    }
    let before = out.touched.len();
    let has_forms = hub.at(room).has_forms();
    for frames in runs {
        let has_forms = has_forms && frames.is_worth_deflating();
        let is_same_for_all = !has_forms && !frames.has_excepts();
        let mut left_out = 0;
        for member in members {
            let (conn, connection) = core.table.at(member.slot).expect("members are open");
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
    core.parts.budget.pay((core.parts.out.touched.len() - before) * SEND_COST);
    core.parts.hub.advance(room, count);
}

/// Puts a run into the queue of one connection.
pub(crate) fn append_run<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    frames: &Arc<Encoded>,
) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    let Link::WebSocket(session) = &connection.link else { return };
    let form = ready_form(
        frames,
        session.window_bits(),
        &mut core.parts.codecs.deflater,
        &mut core.parts.budget,
        &core.parts.counters,
    );
    let who = SubscriberId { worker: core.parts.mail.id(), conn };
    let left_out = append(&mut core.parts.out, who, connection, frames, form);
    core.parts.budget.pay(hub::delivery_cost(frames) + SEND_COST);
    core.parts.counters.messages_delivered.add((frames.messages() - left_out) as u64);
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
    } else if frames.lane().is_some() && connection.is_waited_for() {
        // Ranges of a run cannot be dropped.
        let rest = frames.without(excepts);
        if rest.messages() > 0 {
            out.pool.append_shared(&mut connection.queue, &Arc::new(rest), Form::Plain);
        }
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
