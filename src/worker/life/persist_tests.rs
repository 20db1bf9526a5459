//! Connections that go from one worker to another, and what waits with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::driver::Driver;
use crate::driver::sim::{Net, SimWaker};
use crate::http;
use crate::hub::RoomId;
use crate::id::ConnId;
use crate::protocol::room::Member;
use crate::protocol::{Builtin, Spoken};
use crate::websocket::Session;
use crate::wire::{Form, Kind};
use crate::worker::connection::{Connection, Link, Ping, flag};
use crate::worker::core::{Core, Shared};
use crate::worker::egress::{deliver, pongs};
use crate::worker::life::image::{Image, ImageError, NotNow};
use crate::worker::life::{ending, persist};
use crate::worker::limits::Client;
use crate::worker::mail::mailboxes;

type One = Core<SimWaker, Builtin>;

/// Two workers, the second of which began later.
fn cores() -> ([One; 2], Instant) {
    let start = Net::new(1).driver().now();
    let shared = Arc::new(Shared::new(Config::default(), 2, 10));
    let mut mail = mailboxes(&[SimWaker::default(), SimWaker::default()], 10).into_iter();
    let cores = [0, 777].map(|millis| {
        let mail = mail.next().expect("there are two");
        let start = start + Duration::from_millis(millis);
        Core::new(Arc::clone(&shared), Arc::default(), mail, 10, start)
    });
    (cores, start + Duration::from_secs(3))
}

fn conn(index: u32) -> ConnId {
    ConnId { index, generation: 7 }
}

/// A member of some rooms, the head last.
fn add(core: &mut One, index: u32, rooms: &[&str]) {
    assert!(core.parts.shared.admit());
    let conn = conn(index);
    let mut connection = Connection::new(conn);
    connection.link = Link::WebSocket(Session::new(None));
    connection.spoken = Some(Spoken::Room(Member::SPEAKS));
    connection.set(flag::COUNTED);
    for room in rooms {
        core.parts.hub.join(room, index, 0, &mut connection.edges);
    }
    let life = &mut core.parts.life;
    connection.set_place(life.cohorts.join(index, life.pings.as_ref()));
    core.table.insert(conn, connection);
}

fn publish(core: &mut One, index: u32, text: &[u8]) -> RoomId {
    let connection = core.table.get_mut(conn(index)).expect("it is there");
    core.parts.hub.publish(connection.edges, Kind::Text, text);
    core.parts.hub.room_of(connection.edges)
}

fn queued(core: &mut One, index: u32) -> Vec<u8> {
    let connection = core.table.get_mut(conn(index)).expect("it is there");
    connection.queue.as_ref().map_or_else(Vec::new, |queue| queue.to_vec(0))
}

/// Its rooms, the head first.
fn rooms(core: &mut One, index: u32) -> Vec<String> {
    let connection = core.table.get_mut(conn(index)).expect("it is there");
    let hub = &core.parts.hub;
    let names = hub.edges(connection.edges).map(|edge| hub.name(hub.room_of(edge)));
    names.map(|name| name.expect("it is open").to_owned()).collect()
}

#[test]
fn a_connection_goes_on_at_another_worker_under_another_name() {
    let ([mut one, mut two], now) = cores();
    add(&mut one, 0, &["a", "b", "c"]);
    let connection = one.table.get_mut(conn(0)).expect("it is there");
    connection.set(flag::SENDING);
    let ping = one.parts.life.ping.clone();
    one.parts.out.pool.append_shared(&mut connection.queue, &ping, Form::Plain);
    connection.set_ping(Ping::Queued);
    one.parts.life.note_taken(conn(0), connection, 5);
    let due = one.parts.life.timers.tick_after(now, Duration::from_secs(9));
    one.parts.life.arm_at(conn(0), connection, due);
    one.parts.life.wakes.set(conn(0), Duration::from_secs(4), 7, now);
    let image = persist::write_out(&mut one, conn(0), now).expect("it asks nothing");
    assert!(!persist::is_known(&mut one, conn(0)));
    assert_eq!(one.parts.hub.rooms(), 3, "they are held");
    persist::close_held_rooms(&mut one);
    assert_eq!(one.parts.hub.rooms(), 0);
    assert_eq!(persist::write_out(&mut one, conn(0), now), Err(NotNow::Gone));

    let later = now + Duration::from_secs(60);
    persist::read_back(&mut two, conn(5), &image, later).expect("it is what was written");
    assert_eq!(rooms(&mut two, 5), ["c", "b", "a"]);
    assert_eq!(queued(&mut two, 5), b"\x89\0");
    let connection = two.table.get_mut(conn(5)).expect("it is there");
    assert!(connection.has(flag::SENDING) && connection.ping() == Ping::Queued);
    assert!(matches!(connection.spoken, Some(Spoken::Room(Member::SPEAKS))));
    assert_eq!(two.parts.life.taken(conn(5), connection), Some(5));
    let left = two.parts.life.timers.distance(connection.deadline, later);
    assert!((9_000_000_000..9_050_000_000).contains(&left), "{left}");
    let wake = two.parts.life.wakes.until_next(later).expect("it has a moment");
    assert!((4_000..4_050).contains(&wake.as_millis()), "{wake:?}");
    assert_eq!(two.parts.life.wakes.next(later + wake), Some((conn(5), 7)), "with its word");
}

/// Of the same worker: the image of one who has published, and whose pong waits for that.
#[test]
fn what_waits_for_a_delivery_does_so_again() {
    let text = |text: &[u8]| [&[0x81, 1], text].concat();
    for loses_pong in [false, true] {
        let ([mut one, _], now) = cores();
        [0, 1].into_iter().for_each(|index| add(&mut one, index, &["room"]));
        let room = publish(&mut one, 1, b"a");
        deliver::seal(&mut one, room);
        one.parts.hub.begin(room);
        publish(&mut one, 0, b"b");
        let edge = one.table.get_mut(conn(0)).and_then(|it| it.first_edge()).expect("a member");
        one.parts.pongs.payload.set(b"p");
        // Nothing is left of the turn, so the delivery under way stays so.
        one.parts.budget.pay(1 << 30);
        pongs::pong_behind(&mut one, conn(0), edge);
        assert!(one.parts.pongs.waiting.contains_key(&0));
        for conn in persist::in_order(&mut one) {
            let mut image = persist::write_out(&mut one, conn, now).expect("it asks nothing");
            assert!(!persist::is_known(&mut one, conn));
            if loses_pong {
                let mut read = Image::from_bytes(&image).expect("it is what was written");
                read.pong = None;
                image = read.to_bytes();
            }
            persist::read_back(&mut one, conn, &image, now).expect("it is what was written");
        }
        assert_eq!([0, 1].map(|index| queued(&mut one, index)), [text(b"a"), text(b"a")]);
        one.begin_turn(now);
        assert_eq!(one.parts.hub.rooms(), 1);
        one.parts.hub.requeue(room);
        deliver::deliver(&mut one);
        let pong: &[u8] = if loses_pong { b"" } else { b"\x8a\x01p" };
        assert_eq!(queued(&mut one, 0), [&text(b"a"), &text(b"b"), pong].concat());
        assert_eq!(queued(&mut one, 1), [text(b"a"), text(b"b")].concat());
    }
}

/// Nobody is in the room for a while, and mail for those who come back is on its way.
#[test]
fn a_room_whose_members_are_away_is_still_the_room_that_mail_is_for() {
    let ([mut one, mut two], now) = cores();
    add(&mut one, 0, &["room"]);
    add(&mut two, 0, &["room"]);
    let room = publish(&mut two, 0, b"a");
    deliver::seal(&mut two, room);
    let image = persist::write_out(&mut one, conn(0), now).expect("it asks nothing");
    persist::read_back(&mut one, conn(0), &image, now).expect("it is what was written");
    one.begin_turn(now);
    deliver::read_mail(&mut one);
    deliver::deliver(&mut one);
    assert_eq!(queued(&mut one, 0), b"\x81\x01a");
}

/// Who published and does not come back has published all the same.
#[test]
fn a_room_that_nobody_comes_back_to_is_closed_and_what_was_said_there_is_sent() {
    let ([mut one, mut two], now) = cores();
    add(&mut one, 0, &["room"]);
    add(&mut two, 0, &["room"]);
    publish(&mut one, 0, b"a");
    persist::write_out(&mut one, conn(0), now).expect("it asks nothing");
    one.begin_turn(now);
    assert_eq!((one.parts.hub.rooms(), one.parts.hub.undelivered()), (0, 0));
    two.begin_turn(now);
    deliver::read_mail(&mut two);
    deliver::deliver(&mut two);
    assert_eq!(queued(&mut two, 0), b"\x81\x01a");
}

#[test]
fn where_there_is_no_room_nothing_is_read() {
    let ([mut one, mut two], now) = cores();
    add(&mut one, 0, &["room"]);
    let image = persist::write_out(&mut one, conn(0), now).expect("it asks nothing");
    two.parts.admission.connections_max = 0;
    let error = persist::read_back(&mut two, conn(1), &image, now);
    assert_eq!(error, Err(ImageError::Full));
    assert!(!persist::is_known(&mut two, conn(1)) && two.parts.hub.rooms() == 0);
}

/// Of one who is to say first for whom it has connected, and of one between requests that name
/// their clients.
#[test]
fn who_the_client_is_goes_with_its_connection() {
    let ([mut one, mut two], now) = cores();
    let (proxy, client) = (Client::Unix, Client::Host([192, 0, 2, 7].into()));
    for (index, begun) in [(0, &b""[..]), (1, b"PROXY TCP4 192.0")] {
        add(&mut one, index, &[]);
        let connection = one.table.get_mut(conn(index)).expect("it is there");
        let mut http = http::Connection::with_preamble();
        http.preamble().expect("it is to come").extend_from_slice(begun);
        if begun.is_empty() {
            http.end_preamble();
        }
        (connection.link, connection.spoken) = (Link::Http(http), None);
        ending::leave_cohort(&mut one, conn(index));
        one.parts.admission.clients.set(index, proxy);
    }
    one.parts.admission.clients.name(0, client.ip());
    for index in [0, 1] {
        let image = persist::write_out(&mut one, conn(index), now).expect("it asks nothing");
        assert_eq!(one.parts.admission.clients.who(index), Client::Unknown);
        persist::read_back(&mut two, conn(5 + index), &image, now).expect("it was written so");
    }
    let clients = &two.parts.admission.clients;
    assert_eq!((clients.who(5), clients.sender(5), clients.who(6)), (client, proxy, proxy));
    let preambles = [5, 6].map(|index| {
        let connection = two.table.get_mut(conn(index)).expect("it is there");
        let Link::Http(http) = &mut connection.link else { panic!("it is HTTP") };
        http.preamble().cloned()
    });
    assert_eq!(preambles, [None, Some(b"PROXY TCP4 192.0".to_vec())]);
}

#[test]
fn who_asks_is_not_written_out_and_nothing_has_changed() {
    let ([mut one, _], now) = cores();
    add(&mut one, 0, &["room"]);
    one.parts.said.asks.ask(conn(0), Box::new(()));
    assert_eq!(persist::write_out(&mut one, conn(0), now), Err(NotNow::Asking));
    assert_eq!(rooms(&mut one, 0), ["room"]);
}
