//! Where bytes enter a connection.

use std::ops::Range;

use crate::driver::{Peer, Wake};
use crate::id::ConnId;
use crate::limits::VISIT_COST;
use crate::protocol::Protocols;
use crate::stats::Refusal;
use crate::worker::connection::{Connection, flag};
use crate::worker::core::Core;
use crate::worker::egress::pongs;
use crate::worker::ingress::visit::{Outcome, Visit};
use crate::worker::ingress::{parked, proxy, refusals, requests, staged};
use crate::worker::life::{closing, ending, goodbye, unfinished};
use crate::worker::limits::{self, Client};

/// Whether to look for more in the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Next,
    Stop,
}

/// What the driver is to do with a connection whose bytes were handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing before the end of the turn.
    Nothing,
    /// Receive no more.
    Pause,
    /// Send the replies now, while what the kernel knows of the socket is still in the caches:
    /// nobody else adds to them.
    Answer,
    /// As `Answer`, but the reply is this part of the bytes themselves.
    Reply(Range<usize>),
}

/// A new connection: one too many is told so. Whom a trusted proxy brings is counted when it is
/// known.
#[inline(never)]
pub(crate) fn accepted<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    peer: Option<Peer>,
) {
    let client = Client::of(peer);
    core.parts.admission.clients.set(conn.index, client);
    core.parts.counters.accepted.add(1);
    let admission = &core.parts.admission;
    let has_room = core.table.len() - admission.refusals < admission.connections_max;
    let mut connection = Connection::new(conn);
    let has_memory = core.parts.shared.memory_excess().is_none();
    core.parts.counters.refused_memory.add(u64::from(!has_memory));
    let is_closing = core.parts.admission.stopping.is_closing();
    let refusal = if has_room && !has_memory {
        Some(Refusal::Memory)
    } else if !has_room || !core.parts.shared.admit() {
        Some(Refusal::ConnectionLimit)
    } else {
        connection.set(flag::COUNTED);
        None
    };
    // Whether there is room says who is told, and this what.
    let refusal = if is_closing { Some(Refusal::Draining) } else { refusal };
    core.table.insert(conn, connection);
    let is_proxy = client.is_in(&core.parts.config().trusted_proxies);
    let refusal = refusal.or_else(|| if is_proxy { None } else { limits::admit(core, conn) });
    match refusal {
        None => {
            proxy::begin(core, conn);
            core.arm(conn, core.parts.config().handshake_timeout);
        }
        Some(why) => refusals::refuse(core, conn, why),
    }
}

/// Bytes from the driver.
pub(crate) fn received<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    bytes: &mut [u8],
) -> After {
    let Core { table, parts } = core;
    parts.counters.bytes_received.add(bytes.len() as u64);
    let Some(connection) = table.get_mut(conn) else { return After::Nothing };
    connection.prove_life();
    if let Some(stash) = &mut connection.stash {
        stash.append(bytes);
        return After::Nothing;
    }
    let (length, mut input) = (bytes.len(), bytes);
    let mut visit = Visit { conn, connection, parts };
    let mut violation = None;
    if visit.may_reply_in_place(input) {
        match visit.reply_in_place(&mut input) {
            Ok(Some(replies)) => return After::Reply(replies),
            Ok(None) => {}
            Err(error) => violation = Some(error),
        }
    }
    let outcome = match visit.handle_all(&mut input, length, violation) {
        Ok(after) => return after,
        Err(outcome) => outcome,
    };
    go_on(core, conn, outcome, &mut input, length);
    Visit::of(core, conn).map_or(After::Nothing, |mut visit| visit.settle(input))
}

/// The connection's queue has gone, or other workers have kept up: goes on where it stopped.
pub(crate) fn unstall<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let Some(connection) = core.table.get_mut(conn) else { return };
    if !connection.has(flag::STALLED) {
        return;
    }
    connection.clear(flag::STALLED);
    if core.parts.said.asks.has_messages(conn) {
        parked::handle_kept(core, conn);
    }
    let Some(connection) = core.table.get_mut(conn) else { return };
    if connection.has(flag::STALLED) {
        return;
    }
    let mut stash = connection.stash.take();
    let mut input = stash.as_mut().map_or(&mut [][..], |stash| stash.rest());
    let length = input.len();
    core.parts.budget.begin_visit(VISIT_COST);
    let Some(mut visit) = Visit::of(core, conn) else { return };
    let outcome = visit.handle(&mut input);
    go_on(core, conn, outcome, &mut input, length);
    let left = input.len();
    let Some(mut visit) = Visit::of(core, conn) else { return };
    visit.settle(&[]);
    // What ends takes none of it any more.
    if visit.connection.has(flag::STALLED) {
        visit.connection.stash = stash.and_then(|stash| stash.keep(left));
    }
    core.touch(conn);
    if core.parts.admission.stopping.has_told(conn.index) {
        goodbye::tell_http(core, conn);
    }
}

/// Goes on with what came, until all is handled that may be.
#[inline(never)]
fn go_on<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    mut outcome: Outcome,
    input: &mut &mut [u8],
    length: usize,
) {
    while carry_out(core, conn, outcome, input) == Then::Next {
        let Some(mut visit) = Visit::of(core, conn) else { break };
        outcome = visit.handle(input);
    }
    let Some(mut visit) = Visit::of(core, conn) else { return };
    visit.pay(length);
    let growing = visit.growing();
    if growing > 0 {
        unfinished::judge_growing(core, conn, growing);
    }
}

/// Does what concerns others than the connection alone.
fn carry_out<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    outcome: Outcome,
    input: &mut &mut [u8],
) -> Then {
    match outcome {
        Outcome::Done => return Then::Stop,
        Outcome::Request => {
            let left = input.len();
            // Before the upgrade, which makes a connection of the client's own of it.
            let is_measured = limits::measures_requests(&core.parts, conn);
            let then = requests::http_step(core, conn, input);
            if is_measured {
                limits::pay(&mut core.parts, conn, 0, left - input.len());
            }
            return then;
        }
        Outcome::PingBehind(membership) => pongs::pong_behind(core, conn, membership),
        Outcome::Staged(flow) => staged::carry_out_staged(core, conn, flow),
        Outcome::Close(code) => closing::answer_close(core, conn, code),
        Outcome::Failed(violation) => {
            closing::fail(core, conn, violation);
            return Then::Stop;
        }
        Outcome::TooFast(limit) => {
            *input = &mut [];
            closing::end_too_fast(core, conn, limit);
            return Then::Stop;
        }
        Outcome::Discard => {
            ending::discard(core, conn, std::mem::take(input).len());
            return Then::Stop;
        }
    }
    Then::Next
}
