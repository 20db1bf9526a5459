//! One direction ends before the other.

use throng::driver::End;

use crate::harness::{Harness, Peer, pattern};
use crate::log::Event;
use crate::rig::Rig;

pub(crate) fn a_fin_follows_what_is_sent<H: Harness>(rig: &mut Rig<H>) {
    for length in [1, 3000, H::BULK] {
        let (conn, mut peer) = rig.connect();
        let bytes = pattern(1, length);
        rig.log.send_owned(conn, &bytes);
        rig.log.finish(conn);
        assert!(!peer.is_ended(), "the data come first");
        let got = rig.read_to_end(&mut peer);
        assert!(got == bytes, "all of the data come before the FIN");
        rig.log.until("the send is told", |log| !log.is_sending(conn));
        rig.close(conn);
    }
    // And where nothing is being sent, at once.
    let (conn, mut peer) = rig.connect();
    rig.give(conn, &mut peer, b"before");
    rig.log.finish(conn);
    assert_eq!(rig.read_to_end(&mut peer), b"");
    assert_eq!(rig.log.settle(), [], "our own FIN is no news");
}

pub(crate) fn receiving_goes_on_behind_our_fin<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    rig.log.send_owned(conn, b"that is all");
    rig.log.finish(conn);
    assert_eq!(rig.read_to_end(&mut peer), b"that is all");
    rig.deliver(conn, &mut peer, &pattern(2, 10_000));
    rig.log.pause(conn);
    assert_eq!(peer.write(b"and more"), 8, "a little finds room");
    assert_eq!(rig.log.settle(), [], "it is paused");
    rig.log.resume(conn);
    rig.log.until("it comes after resume", |log| log.received(conn).ends_with(b"and more"));
    peer.finish();
    rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
    assert_eq!(rig.log.at(conn).ended, Some(End::Finished));
    rig.close(conn);
}

pub(crate) fn sending_goes_on_behind_the_fin_of_the_peer<H: Harness>(rig: &mut Rig<H>) {
    let (conn, mut peer) = rig.connect();
    peer.write_and_finish(b"that is all");
    rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
    rig.give(conn, &mut peer, b"thanks");
    rig.give(conn, &mut peer, &pattern(3, H::BULK));
    rig.log.finish(conn);
    assert_eq!(rig.read_to_end(&mut peer), b"");
    assert_eq!(rig.log.settle(), [], "nothing more happens");
    // With a send under way when the FIN comes.
    let (conn, mut peer) = rig.connect();
    let bytes = pattern(4, H::BULK);
    rig.log.send_owned(conn, &bytes);
    rig.log.settle();
    peer.finish();
    rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
    assert_eq!(rig.log.at(conn).ended, Some(End::Finished));
    rig.collect(conn, &mut peer, &bytes);
}

pub(crate) fn a_send_to_nobody_is_sent_or_nothing<H: Harness>(rig: &mut Rig<H>) {
    for length in [1, H::BULK] {
        let (conn, mut peer) = rig.connect_breakable();
        peer.finish();
        rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
        peer.reset();
        rig.log.settle();
        for _ in 0..3 {
            if rig.log.is_sending(conn) {
                break;
            }
            rig.log.send_owned(conn, &pattern(5, length));
            let events = rig.log.settle();
            let is_other = |event: &Event| *event != Event::Sent(conn);
            assert!(!events.iter().any(is_other), "it has ended before: {events:?}");
        }
        // Under way when the peer goes.
        let (conn, mut peer) = rig.connect_breakable();
        peer.finish();
        rig.log.until("the end is told", |log| log.at(conn).ended.is_some());
        rig.log.send_owned(conn, &pattern(6, length));
        rig.log.settle();
        peer.reset();
        let events = rig.log.settle();
        let is_other = |event: &Event| *event != Event::Sent(conn);
        assert!(!events.iter().any(is_other), "it has ended before: {events:?}");
        assert!(!rig.log.is_sending(conn), "a send that fails after the end is Sent too");
    }
}
