//! Listeners: many connects, and none any more.

use throng::driver::{Driver, ListenerId, Tuning};

use crate::harness::{Harness, Peer};
use crate::log::Event;
use crate::rig::Rig;

pub(crate) fn connects_at_once_are_all_accepted<H: Harness>(rig: &mut Rig<H>) {
    const MANY: usize = 100;
    let connect = |rig: &mut Rig<H>| rig.harness.connect().expect("the driver listens");
    let mut peers: Vec<_> = (0..MANY).map(|_| connect(rig)).collect();
    rig.log.until("all are accepted", |log| log.accepted_count() == MANY);
    // The order of connects is the order of accepts, so these are theirs.
    let conns = rig.log.take_accepted();
    for (at, (conn, peer)) in conns.iter().zip(&mut peers).enumerate() {
        rig.log.send_owned(*conn, &[at as u8]);
        assert_eq!(peer.write(&[at as u8, 7]), 2, "a little finds room");
    }
    rig.log.until("all is told", |log| {
        conns.iter().all(|conn| log.received(*conn).len() == 2 && !log.is_sending(*conn))
    });
    for (at, (conn, peer)) in conns.iter().zip(&mut peers).enumerate() {
        assert_eq!(rig.log.received(*conn), [at as u8, 7]);
        assert_eq!(peer.read(2), [at as u8]);
    }
}

pub(crate) fn a_connect_after_unlisten_is_refused<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    assert!(rig.log.driver.is_accepting());
    rig.log.driver.unlisten(rig.listener);
    assert!(rig.harness.connect().is_none(), "refused at once");
    rig.log.until("nobody is to come any more", |log| !log.driver.is_accepting());
    rig.deliver(conn, &mut peer, b"still here");
    rig.give(conn, &mut peer, b"as am I");
    assert!(rig.harness.connect().is_none(), "and later");
    assert_eq!(rig.log.settle(), [], "nobody was accepted");
}

pub(crate) fn who_stands_in_the_queue_of_a_closing_listener_is_accepted<H: Harness>(
    rig: &mut Rig<H>,
) {
    const MANY: usize = 20;
    let connect = |rig: &mut Rig<H>| rig.harness.connect().expect("the driver listens");
    let mut peers: Vec<_> = (0..MANY).map(|_| connect(rig)).collect();
    rig.log.driver.unlisten(rig.listener);
    assert!(rig.harness.connect().is_none(), "the next is refused");
    assert!(rig.log.driver.is_accepting(), "they are still to be told");
    rig.log.until("nobody is to come any more", |log| !log.driver.is_accepting());
    assert_eq!(rig.log.accepted_count(), MANY);
    for (at, conn) in rig.log.take_accepted().into_iter().enumerate() {
        rig.log.send_owned(conn, &[at as u8]);
        rig.log.until("it is sent", |log| !log.is_sending(conn));
    }
    let mut heard: Vec<u8> = Vec::new();
    rig.log.together("each hears something", |_| {
        peers.iter_mut().for_each(|peer| heard.extend(peer.read(2)));
        heard.len() == MANY
    });
    heard.sort_unstable();
    assert_eq!(heard, (0..MANY as u8).collect::<Vec<u8>>());
}

/// Containers allow 2^30 descriptors: room for all of them would be more than there is.
pub(crate) fn any_number_of_connections_may_be_allowed<H: Harness>(harness: H) {
    let mut rig = Rig::new(harness, Tuning::for_connections(1 << 30));
    let (conn, mut peer) = rig.connect();
    rig.deliver(conn, &mut peer, b"here I am");
    rig.wind_up();
}

/// A second listener of the same driver outlives the first.
pub(crate) fn other_listeners_go_on<H: Harness>(harness: H) {
    let mut rig = Rig::new(harness, Tuning::for_connections(8));
    let second: ListenerId = rig.harness.listen(&mut rig.log.driver);
    rig.log.note_listener(second);
    let (conn, _peer) = rig.connect();
    rig.log.driver.unlisten(rig.listener);
    let (other, mut peer) = rig.connect();
    assert_ne!(conn, other);
    rig.deliver(other, &mut peer, b"after the first has gone");
    rig.log.driver.unlisten(second);
    assert!(rig.harness.connect().is_none(), "refused at once");
    let third = rig.harness.listen(&mut rig.log.driver);
    rig.log.note_listener(third);
    let (_, _peer) = rig.connect();
    let events = rig.log.settle();
    assert!(!events.iter().any(|event| matches!(event, Event::Accepted(_))), "{events:?}");
    rig.wind_up();
}
