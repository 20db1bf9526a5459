//! A connection leaves its worker as an [`Image`], and comes back from one: between two turns, and
//! nobody notices. ARCHITECTURE.md ("What can be written out") says what is in an image, and what
//! stays with the driver and with rooms.

use std::collections::HashSet;
use std::time::Instant;

use serde_bytes::ByteBuf;

use crate::driver::{Outgoing, Wake};
use crate::http::{self, Begun};
use crate::hub::{Before, EdgeId};
use crate::id::ConnId;
use crate::protocol::{Persist, Protocols};
use crate::wire::{Kind, buffer};
use crate::worker::connection::{Connection, Linger, Link, Ping, flag};
use crate::worker::core::{Core, Parts};
use crate::worker::egress::pongs::Pong;
use crate::worker::egress::{deliver, rules};
use crate::worker::ingress::stash::Stash;
use crate::worker::life::cohorts::UntilPing;
use crate::worker::life::ending;
use crate::worker::life::image::{Image, ImageError, LinkImage, NotNow, PingImage};
use crate::worker::life::timers::{Tick, Timers};
use crate::worker::limits;

/// Takes a connection out of everything that this worker has.
pub(crate) fn write_out<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    now: Instant,
) -> Result<Vec<u8>, NotNow> {
    let connection = core.table.get_mut(conn).ok_or(NotNow::Gone)?;
    if matches!(connection.link, Link::Closed) {
        return Err(NotNow::Gone);
    }
    let holds = matches!(&connection.link, Link::Http(http) if http.holds());
    if holds || core.parts.said.asks.is_asking(conn) {
        return Err(NotNow::Asking);
    }
    core.parts.hub.held.hold();
    bring_up_to_date(core, conn);
    let pong = take_pong(core, conn);
    let topics = leave_rooms(core, conn);
    let until_ping = leave_cohort(core, conn, now);
    let kept = take_kept(&mut core.parts, conn);
    let mut connection = core.table.remove(conn);
    let waits_for = leave_lists(&mut core.parts, conn, &connection);
    let parts = &mut core.parts;
    discharge(parts, &connection);
    let limits = limits::take(parts, conn, now);
    let timers = &parts.life.timers;
    let distance = |tick: Tick| (tick != 0).then(|| timers.distance(tick, now));
    let (deadline, ping) = (distance(connection.deadline), ping_image(&connection, timers, now));
    let taken = parts.life.taken(conn, &connection);
    let flags = connection.those_of(flag::WRITTEN | flag::LISTED);
    let unfinished = parts.life.unfinished.take(conn, now);
    let spoken = connection.spoken.take().map(|spoken| {
        let mut bytes = Vec::new();
        spoken.put(&mut bytes);
        bytes
    });
    let queue = connection.queue.take().map_or_else(Vec::new, |queue| take_bytes(parts, queue));
    let stash = connection.stash.take().map_or_else(Vec::new, |stash| stash.into_rest());
    let wake = parts.life.wakes.take(conn, now);
    parts.life.end_send(conn, &mut connection);
    let link = link_image(connection.link, &parts.life.timers, now);
    let image = Image {
        link,
        flags,
        spoken,
        topics,
        queue,
        stash,
        deadline,
        ping,
        until_ping,
        wake,
        unfinished,
        taken,
        pong,
        kept,
        waits_for,
        limits,
    };
    Ok(image.to_bytes())
}

/// The deliveries that are under way and have not come to it are its own from here on.
fn bring_up_to_date<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) {
    let mut next = core.table.get_mut(conn).and_then(|connection| connection.first_edge());
    while let Some(edge) = next {
        deliver::append_runs_under_way(core, conn, edge);
        next = core.parts.hub.edges(edge).nth(1);
    }
}

fn take_pong<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) -> Option<(ByteBuf, u32)> {
    let Pong { payload, behind, .. } = core.parts.pongs.waiting.remove(&conn.index)?;
    let edge = core.table.get_mut(conn)?.first_edge()?;
    let begun = core.parts.hub.at(core.parts.hub.room_of(edge)).begun();
    Some((ByteBuf::from(payload.into_vec()), behind.wrapping_sub(begun)))
}

/// Gives the names of what it was subscribed to, the head first.
fn leave_rooms<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) -> Vec<String> {
    let Core { table, parts } = core;
    let Some(connection) = table.get_mut(conn) else { return Vec::new() };
    let mut topics = Vec::new();
    while let Some(edge) = connection.first_edge() {
        let name = parts.hub.name(parts.hub.room_of(edge)).expect("a room with members is open");
        topics.push(name.to_owned());
        parts.hub.leave(edge, &mut connection.edges);
    }
    topics
}

fn leave_cohort<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    now: Instant,
) -> Option<UntilPing> {
    let place = core.table.get_mut(conn)?.place()?;
    let life = &core.parts.life;
    let until = life.cohorts.until_ping(place, life.pings.as_ref(), now);
    ending::leave_cohort(core, conn);
    Some(until)
}

fn take_kept<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, conn: ConnId) -> Vec<(Kind, ByteBuf)> {
    let asks = &mut parts.said.asks;
    let messages = std::iter::from_fn(|| asks.next_message(conn));
    let kept = messages.map(|(kind, payload)| (kind, ByteBuf::from(payload.into_vec()))).collect();
    asks.forget(conn);
    kept
}

/// Gives the name of the room that it waits for, if it waits for one.
fn leave_lists<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    conn: ConnId,
    connection: &Connection<L::Spoken>,
) -> Option<String> {
    if connection.has(flag::TOUCHED) {
        parts.out.touched.retain(|it| *it != conn);
    }
    if connection.has(flag::HELD) {
        parts.stalls.held.retain(|it| *it != conn);
    }
    if !connection.has(flag::WAITING) {
        return None;
    }
    let at = parts.stalls.waiting.iter().position(|(it, _)| *it == conn)?;
    let (_, room) = parts.stalls.waiting.remove(at)?;
    parts.hub.name(room?).map(str::to_owned)
}

fn discharge<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, connection: &Connection<L::Spoken>) {
    if connection.has(flag::COUNTED) {
        parts.shared.discharge();
    } else {
        parts.admission.refusals -= 1;
    }
}

fn ping_image<S>(connection: &Connection<S>, timers: &Timers, now: Instant) -> PingImage {
    match connection.ping() {
        Ping::None => PingImage::None,
        Ping::Queued => PingImage::Queued,
        Ping::InFlight => PingImage::InFlight,
        Ping::Awaiting(since) => PingImage::Awaiting(timers.distance(since, now)),
    }
}

fn link_image(link: Link, timers: &Timers, now: Instant) -> LinkImage {
    match link {
        Link::Http(http) => match http.into_begun() {
            Begun::Nothing => LinkImage::Http(None),
            Begun::Head(head) => LinkImage::Http(Some(head)),
            Begun::Preamble(bytes) => LinkImage::Preamble(bytes),
        },
        Link::WebSocket(mut session) => {
            session.settle();
            LinkImage::WebSocket(session)
        }
        Link::Lingering(Linger { discarded, until }) => {
            let until = (until != 0).then(|| timers.distance(until, now));
            LinkImage::Lingering(discarded, until)
        }
        Link::Closed => unreachable!("who is closed is not written out"),
    }
}

fn take_bytes<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, queue: Outgoing) -> Vec<u8> {
    let bytes = queue.to_vec(0);
    parts.out.pool.recycle(queue);
    bytes
}

/// Goes on with a connection that was written out, under a name that its driver has given it.
pub(crate) fn read_back<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    bytes: &[u8],
    now: Instant,
) -> Result<(), ImageError> {
    let mut image = Image::from_bytes(bytes)?;
    let spoken = image.spoken.take().map(|bytes| read_spoken(&bytes)).transpose()?;
    let (timers, http) = (&core.parts.life.timers, LinkImage::Http(None));
    let link = read_link(std::mem::replace(&mut image.link, http), timers, now)?;
    admit(core, image.flags)?;
    let mut connection = Connection::new(conn);
    (connection.link, connection.spoken) = (link, spoken);
    connection.set(image.flags & flag::WRITTEN);
    core.table.insert(conn, connection);
    join_rooms(core, conn, &image.topics);
    join_cohort(core, conn, &image, now);
    let Core { table, parts } = core;
    let Some(connection) = table.get_mut(conn) else { return Ok(()) };
    if !image.queue.is_empty() {
        let queue = &mut connection.queue;
        parts.out.pool.append(queue, |out| buffer::append(out, &image.queue));
    }
    connection.stash = (!image.stash.is_empty()).then(|| Box::new(Stash::new(&image.stash)));
    for (kind, payload) in &image.kept {
        parts.said.asks.keep_again(conn, *kind, payload);
    }
    set_times(parts, conn, connection, &image, now);
    stand_in_lists(parts, conn, connection, &image);
    limits::put(parts, conn, image.limits.take(), now);
    wait_with_pong(core, conn, image.pong.take());
    Ok(())
}

fn read_spoken<S: Persist>(mut bytes: &[u8]) -> Result<S, ImageError> {
    let spoken = S::take(&mut bytes).filter(|_| bytes.is_empty());
    spoken.ok_or(ImageError::Spoken)
}

fn read_link(link: LinkImage, timers: &Timers, now: Instant) -> Result<Link, ImageError> {
    Ok(match link {
        LinkImage::Http(partial) => read_http(partial.map_or(Begun::Nothing, Begun::Head))?,
        LinkImage::Preamble(bytes) => read_http(Begun::Preamble(bytes))?,
        LinkImage::WebSocket(session) => Link::WebSocket(session),
        LinkImage::Lingering(discarded, until) => {
            let until = until.map_or(0, |distance| timers.tick_at(now, distance));
            Link::Lingering(Linger { discarded, until })
        }
    })
}

fn read_http(begun: Begun) -> Result<Link, ImageError> {
    http::Connection::of_begun(begun).map(Link::Http).ok_or(ImageError::Damaged)
}

fn admit<W: Wake, L: Protocols>(core: &mut Core<W, L>, flags: u32) -> Result<(), ImageError> {
    let admission = &mut core.parts.admission;
    if flags & flag::COUNTED == 0 {
        admission.refusals += 1;
        return Ok(());
    }
    let has_room = core.table.len() - admission.refusals < admission.connections_max;
    if has_room && core.parts.shared.admit() { Ok(()) } else { Err(ImageError::Full) }
}

/// The head joins last. It stands behind those to whom a delivery is still to come, and what has
/// gathered comes to it as to everybody.
fn join_rooms<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId, topics: &[String]) {
    let Core { table, parts } = core;
    let Some(connection) = table.get_mut(conn) else { return };
    let Link::WebSocket(session) = &connection.link else { return };
    let mut head = EdgeId::NONE;
    for topic in topics.iter().rev() {
        let edge = parts.hub.join(topic, conn.index, session.window_bits(), &mut head);
        rules::note_join(parts, edge, connection.spoken.as_ref());
    }
    connection.edges = head;
}

fn join_cohort<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    image: &Image,
    now: Instant,
) {
    let Some(until) = image.until_ping else { return };
    let Core { table, parts } = core;
    let life = &mut parts.life;
    let sweeps = [life.pings.as_mut(), life.checks.as_mut()];
    let place = life.cohorts.join_at(conn.index, until, now, sweeps, |moved, place| {
        let (_, moved) = table.at(moved).expect("members of cohorts are connected");
        moved.set_place(place);
    });
    if let Some(connection) = table.get_mut(conn) {
        connection.set_place(place);
    }
}

fn set_times<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    conn: ConnId,
    connection: &mut Connection<L::Spoken>,
    image: &Image,
    now: Instant,
) {
    let life = &mut parts.life;
    connection.set_ping(match image.ping {
        PingImage::None => Ping::None,
        PingImage::Queued => Ping::Queued,
        PingImage::InFlight => Ping::InFlight,
        PingImage::Awaiting(since) => Ping::Awaiting(life.timers.tick_at(now, since)),
    });
    if let Some(distance) = image.deadline {
        let due = life.timers.tick_at(now, distance);
        life.set_deadline(conn, connection, due);
    }
    if let Some(taken) = image.taken {
        life.note_taken(conn, connection, taken);
    }
    if let Some(unfinished) = image.unfinished {
        connection.set(flag::UNFINISHED);
        life.unfinished.put(conn, unfinished, now);
    }
    if let Some(wake) = image.wake {
        life.wakes.put(conn, wake, now);
    }
    // The sweep that checks pongs may be past it by now.
    let timeout = parts.settings.config.pong_timeout;
    if let Ping::Awaiting(since) = connection.ping()
        && connection.is_open()
        && !connection.has(flag::PAUSED)
        && connection.deadline == 0
        && !timeout.is_zero()
    {
        let due = life.timers.tick_behind(since, timeout);
        life.set_deadline(conn, connection, due);
    }
}

fn stand_in_lists<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    conn: ConnId,
    connection: &mut Connection<L::Spoken>,
    image: &Image,
) {
    if image.flags & flag::TOUCHED != 0 {
        parts.out.touch(conn, connection);
    }
    if image.flags & flag::HELD != 0 {
        parts.stalls.hold(conn, connection);
    }
    if image.flags & flag::WAITING != 0 {
        let room = image.waits_for.as_deref().and_then(|name| parts.hub.room(name));
        parts.stalls.wait_for_others(conn, connection, room);
    }
}

/// A pong waits for no more than there is to be delivered here.
fn wait_with_pong<W: Wake, L: Protocols>(
    core: &mut Core<W, L>,
    conn: ConnId,
    pong: Option<(ByteBuf, u32)>,
) {
    let Some((payload, count)) = pong else { return };
    let Some(edge) = core.table.get_mut(conn).and_then(|it| it.first_edge()) else { return };
    let hub = &core.parts.hub;
    let begun = hub.at(hub.room_of(edge)).begun();
    let most = match hub.before_reply(edge) {
        Before::Gathering(last) => last.wrapping_sub(begun),
        Before::Delivery | Before::Nothing => 0,
    };
    let behind = begun.wrapping_add(count.min(most));
    let pong = Pong { conn, payload: payload.into_vec().into(), behind };
    core.parts.pongs.waiting.insert(conn.index, pong);
    if behind == begun {
        // Nothing that it could wait for brings a turn.
        core.touch(conn);
    }
}

/// Closes the rooms that were held for members who have not come back.
#[inline(never)]
pub(crate) fn close_held_rooms<W: Wake, L: Protocols>(core: &mut Core<W, L>) {
    for room in core.parts.hub.take_held().unwrap_or_default() {
        // Others may have members.
        deliver::seal(core, room);
        core.parts.hub.close_room(room);
    }
}

/// All connections: first those that stand in lists, in the order of these, so that who writes out
/// and reads back in this order leaves the lists as they were.
pub(crate) fn in_order<W: Wake, L: Protocols>(core: &mut Core<W, L>) -> Vec<ConnId> {
    let Core { table, parts } = core;
    let held = parts.stalls.held.iter().copied();
    let waiting = parts.stalls.waiting.iter().map(|(conn, _)| *conn);
    let mut all: Vec<ConnId> =
        held.chain(waiting).chain(parts.life.unfinished.sessions()).collect();
    all.extend((0..table.end()).filter_map(|index| table.at(index).map(|(conn, _)| conn)));
    let mut seen = HashSet::new();
    all.retain(|conn| table.get_mut(*conn).is_some() && seen.insert(*conn));
    all
}

/// Whether anything here knows of a connection: for tests that nothing does.
pub(crate) fn is_known<W: Wake, L: Protocols>(core: &mut Core<W, L>, conn: ConnId) -> bool {
    let Core { table, parts } = core;
    let life = &parts.life;
    let is_listed = parts.out.touched.contains(&conn)
        || parts.stalls.held.contains(&conn)
        || parts.stalls.waiting.iter().any(|(it, _)| *it == conn)
        || parts.pongs.waiting.contains_key(&conn.index)
        || life.unfinished.sessions().any(|it| it == conn);
    let is_asking = parts.said.asks.is_asking(conn) || parts.said.asks.has_messages(conn);
    let has_times =
        life.wakes.has(conn) || life.times_send(conn.index) || life.cohorts.has(conn.index);
    let has_record = table.get_mut(conn).is_some() || parts.hub.has(conn.index);
    let is_measured = parts.admission.limits.knows(conn);
    is_listed || is_asking || has_times || has_record || is_measured
}
