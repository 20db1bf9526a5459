//! The work of inquiries: over the connections in slices, as far as a turn reaches.

use std::collections::VecDeque;

use super::{
    ConnectionInfo, Disconnect, Inquired, Inquiry, PAGE_MAX, Report, TOPICS_SHOWN_MAX, Totals,
    Wanted, Whom,
};
use crate::driver::Driver;
use crate::hub::HIDDEN;
use crate::id::ConnId;
use crate::limits::{CLOSE_COST, FRAME_COST, PEER_COST, REQUEST_COST};
use crate::protocol::Protocols;
use crate::stats::Ending;
use crate::worker::Worker;
use crate::worker::connection::{Connection, Link, flag};
use crate::worker::core::Parts;
use crate::worker::ingress::refusals::cut;
use crate::worker::life::{closing, ending};

/// Inquiries that wait for a worker at most; more are dropped, and who asked hears that.
const SCANS_MAX: usize = 64;

/// Bytes of the reason in a close frame (RFC 6455, 5.5).
const REASON_BYTES_MAX: usize = 123;

/// Connections that are looked at in one turn, whatever its budget has left.
const LOOKS_PER_TURN: usize = 1024;

/// What those outside have asked, in its order.
#[derive(Debug, Default)]
pub(crate) struct Scans(VecDeque<Scan>);

/// One inquiry, and how far it has come.
#[derive(Debug)]
struct Scan {
    inquired: Inquired,
    /// The next slot to look at.
    at: u32,
    totals: Totals,
    list: Vec<ConnectionInfo>,
    closed: usize,
}

/// Whether an inquiry has all that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// The next slot is due.
    Next,
    /// The page is full.
    Enough,
}

impl Scans {
    /// Notes an inquiry.
    pub(crate) fn receive(&mut self, inquired: Inquired) {
        if self.0.len() == SCANS_MAX {
            return;
        }
        let at = match &inquired.inquiry {
            Inquiry::Connections(wanted) => wanted.from,
            Inquiry::Disconnect(Disconnect { whom: Whom::One(conn), .. }) => conn.index,
            _ => 0,
        };
        let totals = Totals::default();
        self.0.push_back(Scan { inquired, at, totals, list: Vec::new(), closed: 0 });
    }

    /// Whether anything is to be answered.
    pub(crate) fn has_work(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Answers what was asked, as far as this turn reaches; what needs no look at connections first.
pub(crate) fn go_on<D: Driver, L: Protocols>(worker: &mut Worker<D, L>) {
    if !worker.core.parts.scans.has_work() {
        return;
    }
    answer_pulses(&mut worker.core.parts.scans.0);
    let mut looks = LOOKS_PER_TURN;
    while let Some(mut scan) = worker.core.parts.scans.0.pop_front() {
        worker.core.parts.budget.pay(REQUEST_COST);
        if !walk(worker, &mut scan, &mut looks) {
            worker.core.parts.scans.0.push_front(scan);
            return;
        }
        let topics = worker.core.parts.hub.shown() as u64;
        scan.answer(topics);
    }
}

fn answer_pulses(scans: &mut VecDeque<Scan>) {
    let is_pulse = |scan: &Scan| matches!(scan.inquired.inquiry, Inquiry::Pulse);
    let (pulses, others) = std::mem::take(scans).into_iter().partition(is_pulse);
    *scans = others;
    let pulses: VecDeque<Scan> = pulses;
    pulses.into_iter().for_each(|scan| (scan.inquired.reply)(Report::Pulse));
}

/// Looks at slots until the end, or until the turn has done enough: then false.
fn walk<D: Driver, L: Protocols>(
    worker: &mut Worker<D, L>,
    scan: &mut Scan,
    looks: &mut usize,
) -> bool {
    while scan.at < worker.core.table.end() {
        if *looks == 0 || worker.core.parts.is_spent() && *looks < LOOKS_PER_TURN {
            return false;
        }
        *looks -= 1;
        worker.core.parts.budget.pay(FRAME_COST);
        if look_at(worker, scan) == Look::Enough {
            return true;
        }
        scan.at += 1;
    }
    true
}

fn look_at<D: Driver, L: Protocols>(worker: &mut Worker<D, L>, scan: &mut Scan) -> Look {
    let Some((conn, connection)) = worker.core.table.at(scan.at) else { return Look::Next };
    if matches!(connection.link, Link::Closed) {
        return Look::Next;
    }
    match &scan.inquired.inquiry {
        Inquiry::Pulse => Look::Enough,
        Inquiry::Totals => {
            add(&mut scan.totals, connection);
            Look::Next
        }
        Inquiry::Connections(wanted) => {
            let limit = wanted.limit.clamp(1, PAGE_MAX);
            if scan.list.len() == limit {
                return Look::Enough;
            }
            scan.list.extend(describe(worker, conn, wanted));
            Look::Next
        }
        Inquiry::Disconnect(disconnect) => {
            let is_one = matches!(disconnect.whom, Whom::One(_));
            scan.closed += usize::from(close_if_meant(worker, conn, disconnect));
            if is_one { Look::Enough } else { Look::Next }
        }
    }
}

fn add<S>(totals: &mut Totals, connection: &Connection<S>) {
    totals.websockets += u64::from(matches!(connection.link, Link::WebSocket(_)));
    totals.sending += u64::from(connection.has(flag::SENDING));
    totals.paused += u64::from(connection.has(flag::PAUSED));
    totals.queued_bytes += connection.memory() as u64;
}

/// What is told of a connection, if it is wanted.
fn describe<D: Driver, L: Protocols>(
    worker: &mut Worker<D, L>,
    conn: ConnId,
    wanted: &Wanted,
) -> Option<ConnectionInfo> {
    let (_, connection) = worker.core.table.at(conn.index)?;
    let parts = &mut worker.core.parts;
    if let Some(topic) = &wanted.topic
        && parts.hub.find(connection.edges, topic).is_none()
    {
        return None;
    }
    parts.budget.pay(PEER_COST);
    let peer = worker.driver.peer(conn).map(|peer| parts.admission.clients.shown(conn.index, peer));
    if let Some(host) = wanted.address
        && !peer.is_some_and(|peer| peer.is_of(host))
    {
        return None;
    }
    let Parts { hub, mail, said, out, .. } = parts;
    let names = hub.edges(connection.edges).filter_map(|edge| hub.name(hub.room_of(edge)));
    let names = names.filter(|name| !name.starts_with(HIDDEN)).take(TOPICS_SHOWN_MAX);
    Some(ConnectionInfo {
        worker: mail.id(),
        conn,
        peer,
        protocol: connection.spoken.as_ref().map(L::name),
        topics: names.map(str::to_owned).collect(),
        queued_bytes: connection.memory() + said.asks.memory(conn),
        is_sending: connection.has(flag::SENDING),
        dropped: out.dropped.get(&conn.index).copied().unwrap_or(0),
    })
}

/// Whether it was meant, and is being closed.
fn close_if_meant<D: Driver, L: Protocols>(
    worker: &mut Worker<D, L>,
    conn: ConnId,
    disconnect: &Disconnect,
) -> bool {
    let Some((_, connection)) = worker.core.table.at(conn.index) else { return false };
    let is_meant = match &disconnect.whom {
        Whom::One(one) => *one == conn,
        Whom::Topic(topic) => worker.core.parts.hub.find(connection.edges, topic).is_some(),
        Whom::Host(host) => {
            worker.core.parts.budget.pay(PEER_COST);
            let clients = &worker.core.parts.admission.clients;
            let peer = worker.driver.peer(conn).map(|peer| clients.shown(conn.index, peer));
            peer.is_some_and(|peer| peer.is_of(*host))
        }
    };
    if !is_meant {
        return false;
    }
    worker.core.parts.budget.pay(CLOSE_COST);
    let Some((_, connection)) = worker.core.table.at(conn.index) else { return false };
    match &connection.link {
        Link::WebSocket(session) if session.is_open() => {
            let reason = cut(&disconnect.reason, REASON_BYTES_MAX);
            let code = disconnect.code;
            closing::close_and_finish(&mut worker.core, conn, Ending::Operator, code, reason);
        }
        Link::Http(_) => ending::close_soon(&mut worker.core, conn),
        // It is ending already.
        _ => return false,
    }
    true
}

impl Scan {
    fn answer(self, topics: u64) {
        let Self { inquired, at, totals, list, closed } = self;
        let report = match inquired.inquiry {
            Inquiry::Pulse => Report::Pulse,
            Inquiry::Totals => Report::Totals(Totals { topics, ..totals }),
            Inquiry::Connections(wanted) => {
                let is_full = list.len() == wanted.limit.clamp(1, PAGE_MAX);
                Report::Connections { list, next: is_full.then_some(at) }
            }
            Inquiry::Disconnect(_) => Report::Disconnected(closed),
        };
        (inquired.reply)(report);
    }
}
