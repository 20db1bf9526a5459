//! A slot has many tenants, one after the other.

use std::collections::HashSet;

use throng::id::ConnId;

use crate::harness::{Harness, PATIENCE, Peer, now, pattern};
use crate::log::{Event, Stage};
use crate::rig::Rig;

/// Closes the former tenants while they have news, with the next ones at the door.
fn replace_tenants<H: Harness>(rig: &mut Rig<H>, leave: impl Fn(H::Peer)) {
    const TENANTS: usize = 6;
    let mut indexes = HashSet::new();
    let mut is_reused = false;
    let mut tenants: Vec<_> = (0..TENANTS).map(|_| rig.connect_breakable()).collect();
    for round in 0..10_u64 {
        is_reused |= tenants.iter().any(|(conn, _)| !indexes.insert(conn.index));
        rig.log.settle();
        let former: Vec<ConnId> = tenants.iter().map(|(conn, _)| *conn).collect();
        for (_, mut peer) in tenants.drain(..) {
            assert_eq!(peer.write(b"old news"), 8, "a little finds room");
            leave(peer);
        }
        let mut next: Vec<_> =
            (0..TENANTS).map(|_| rig.harness.connect().expect("the driver listens")).collect();
        for (at, peer) in next.iter_mut().enumerate() {
            let bytes = pattern(round << 8 | at as u64, 900);
            assert_eq!(peer.write(&bytes), bytes.len(), "a little finds room");
        }
        let began = now();
        let is_full = |log: &crate::log::Log<_>, conn| log.received(conn).len() == 900;
        let mut accepted = Vec::new();
        while accepted.len() < TENANTS || !accepted.iter().all(|conn| is_full(&rig.log, *conn)) {
            rig.log.turn(PATIENCE, |log, event| {
                // At the first news of any of them, all have to go.
                let is_news = matches!(event, Event::Received(..) | Event::Ended(..));
                for conn in &former {
                    if is_news && log.at(*conn).stage == Stage::Open {
                        log.close(*conn);
                    }
                }
            });
            accepted.extend(rig.log.take_accepted());
            assert!(began.elapsed() < PATIENCE, "the next ones are not served");
        }
        for (at, conn) in accepted.iter().enumerate() {
            let bytes = pattern(round << 8 | at as u64, 900);
            assert!(rig.log.received(*conn) == bytes, "everybody gets their own");
            rig.log.send_owned(*conn, b"!");
        }
        rig.log.until("a byte is sent to each", |log| {
            accepted.iter().all(|conn| !log.is_sending(*conn))
        });
        assert!(former.iter().all(|conn| rig.log.at(*conn).stage != Stage::Open));
        tenants = accepted.into_iter().zip(next).collect();
    }
    assert!(is_reused, "there was somebody in the slot before");
}

pub(crate) fn a_slot_is_reused_in_the_same_turn<H: Harness>(rig: &mut Rig<H>) {
    replace_tenants(rig, |mut peer| peer.finish());
}

/// A slot is free when the last word about its tenant was told, and not before.
pub(crate) fn a_slot_is_taken_until_the_last_word<H: Harness>(rig: &mut Rig<H>) {
    for is_released in [false, true] {
        let (former, _former_peer) = rig.connect();
        let (socket, mut peer) = rig.harness.socket();
        if is_released {
            rig.log.release(former);
        } else {
            rig.log.close(former);
        }
        // `Log` knows who has which slot.
        let conn = rig.log.adopt(socket);
        rig.log.until("the former tenant is gone", |log| log.is_gone(former));
        rig.deliver(conn, &mut peer, b"in a slot of its own");
        let (socket, mut peer) = rig.harness.socket();
        let conn = rig.log.adopt(socket);
        rig.deliver(conn, &mut peer, b"perhaps in the one that came free");
    }
}

pub(crate) fn a_reset_of_the_former_tenant<H: Harness>(rig: &mut Rig<H>) {
    replace_tenants(rig, Peer::reset);
}
