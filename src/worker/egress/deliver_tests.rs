//! What members of a room get where some publish for the others only.

use std::sync::Arc;

use crate::config::Config;
use crate::driver::Driver;
use crate::driver::sim::{Net, SimWaker};
use crate::hub::EdgeId;
use crate::id::ConnId;
use crate::limits::GATHERED_BYTES_MAX;
use crate::protocol::Builtin;
use crate::stats::{Counters, Counts};
use crate::websocket::Session;
use crate::wire::{Kind, frame};
use crate::worker::budget::Phase;
use crate::worker::connection::{Connection, Link, flag};
use crate::worker::core::{Core, Shared};
use crate::worker::egress::{deliver, membership};
use crate::worker::ingress::held;
use crate::worker::ingress::visit::Visit;
use crate::worker::mail::mailboxes;

/// Two workers.
fn cores() -> [Core<SimWaker, Builtin>; 2] {
    let now = Net::new(1).driver().now();
    let shared = Arc::new(Shared::new(Config::default(), 2, 10));
    let mut mail = mailboxes(&[SimWaker::default(), SimWaker::default()], 10).into_iter();
    [(); 2].map(|()| {
        let mail = mail.next().expect("there are two");
        Core::new(Arc::clone(&shared), Arc::default(), mail, 10, now)
    })
}

fn conn(index: u32) -> ConnId {
    ConnId { index, generation: 7 }
}

fn join(core: &mut Core<SimWaker, Builtin>, index: u32) -> EdgeId {
    let mut connection = Connection::new(conn(index));
    let edge = core.parts.hub.join("room", index, 0, &mut connection.edges);
    connection.link = Link::WebSocket(Session::new(None));
    core.table.insert(conn(index), connection);
    edge
}

/// What lies in the queue of a connection, which are texts.
fn queued(core: &mut Core<SimWaker, Builtin>, index: u32) -> String {
    let connection = core.table.get_mut(conn(index)).expect("it is there");
    let bytes = connection.queue.take().map_or_else(Vec::new, |queue| queue.to_vec(0));
    bytes.chunks(3).map(|frame| char::from(frame[2])).collect()
}

fn delivered(counters: &Counters) -> u64 {
    let mut counts = Counts::default();
    counts.add(counters);
    counts.messages_delivered
}

#[test]
fn who_publishes_for_the_others_gets_all_but_that() {
    let [mut one, mut two] = cores();
    let edges = [join(&mut one, 0), join(&mut one, 1), join(&mut one, 2)];
    // As the first one there, but on another worker.
    join(&mut two, 0);
    let hub = &mut one.parts.hub;
    hub.publish_to_others(edges[0], conn(0), Kind::Text, b"a");
    hub.publish(edges[1], Kind::Text, b"b");
    hub.publish_to_others(edges[0], conn(0), Kind::Text, b"c");
    hub.publish_to_others(edges[2], conn(2), Kind::Text, b"d");
    deliver::deliver(&mut one);
    deliver::read_mail(&mut two);
    deliver::deliver(&mut two);
    assert_eq!([0, 1, 2].map(|index| queued(&mut one, index)), ["bd", "abcd", "abc"]);
    assert_eq!(queued(&mut two, 0), "abcd");
    assert_eq!([&one, &two].map(|core| delivered(&core.parts.counters)), [2 + 4 + 3, 4]);
}

#[test]
fn who_gets_nothing_has_nothing_to_send() {
    let [mut one, _] = cores();
    let edges = [join(&mut one, 0), join(&mut one, 1)];
    one.parts.hub.publish_to_others(edges[0], conn(0), Kind::Text, b"a");
    deliver::deliver(&mut one);
    assert_eq!(one.parts.out.touched, [conn(1)]);
    assert_eq!([0, 1].map(|index| queued(&mut one, index)), ["", "a"]);
}

/// A word of goodbye comes behind what gathers while a delivery is under way, but for what is not
/// for the one who leaves.
#[test]
fn a_leaver_does_not_get_its_own_either() {
    let [mut one, _] = cores();
    let edges = [join(&mut one, 0), join(&mut one, 1)];
    let hub = &mut one.parts.hub;
    hub.publish(edges[0], Kind::Text, b"a");
    let room = hub.next_due().expect("something was published");
    hub.seal(room);
    hub.begin(room);
    hub.publish_to_others(edges[0], conn(0), Kind::Text, b"b");
    hub.publish(edges[1], Kind::Text, b"c");
    membership::leave_topics(&mut one, conn(0));
    one.append(conn(0), |out| frame::put_frame(out, Kind::Text.opcode(), false, b"."));
    assert_eq!(queued(&mut one, 0), "ac.");
    one.parts.hub.requeue(room);
    deliver::deliver(&mut one);
    let now = one.parts.clock.now;
    one.parts.hub.begin_turn(now, 1);
    deliver::deliver(&mut one);
    assert_eq!(queued(&mut one, 1), "abc");
}

/// Back-pressure is that of the room that was published to, whichever of its topics that is.
#[test]
fn a_publisher_waits_for_the_room_that_it_has_named() {
    let [mut one, _] = cores();
    join(&mut one, 1);
    join(&mut one, 0);
    let connection = one.table.get_mut(conn(0)).expect("it is there");
    let head = one.parts.hub.join("other", 0, 0, &mut connection.edges);
    assert_eq!(connection.edges, head);
    let flooded = one.parts.hub.room("room").expect("it has members");
    let edge = one.parts.hub.find(connection.edges, "room").expect("it has joined");
    one.parts.hub.publish(edge, Kind::Binary, &vec![0; GATHERED_BYTES_MAX]);
    let mut visit = Visit::of(&mut one, conn(0)).expect("it is there");
    visit.has_published(flooded);
    assert!(visit.must_stall(), "it is stopped though the room at the head is empty");
    let is_waiting = |core: &mut Core<SimWaker, Builtin>| {
        core.table.get_mut(conn(0)).expect("it is there").has(flag::WAITING)
    };
    held::resume_held(&mut one);
    assert!(is_waiting(&mut one), "nothing of it was delivered");
    one.parts.budget.enter(Phase::Delivery);
    deliver::deliver(&mut one);
    held::resume_held(&mut one);
    assert!(!is_waiting(&mut one), "it goes on");
}
