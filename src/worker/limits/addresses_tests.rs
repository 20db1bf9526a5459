//! Counts of addresses, by one thread and by many.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use super::addresses::{Addresses, Admitted, PAID_MASK, Place, SECOND, State, TAKEN, WAYS};
use crate::config::PerIp;
use crate::driver::{Driver, sim};
use crate::stats::Refusal;

const FREE: PerIp = PerIp { connections: None, connect_rate: None };

fn at_most(connections: u32) -> PerIp {
    PerIp { connections: Some(connections), ..FREE }
}

fn no_faster(rate: u32) -> PerIp {
    PerIp { connect_rate: Some(rate), ..FREE }
}

fn now() -> Instant {
    sim::Net::new(1).driver().now()
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

/// A host in one of the networks of a /48.
fn v6(network: u32, host: u64) -> IpAddr {
    Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | u128::from(network) << 64 | u128::from(host))
        .into()
}

fn place(admitted: Admitted) -> Place {
    let Admitted::At(place) = admitted else { panic!("it is not counted: {admitted:?}") };
    place
}

#[test]
fn each_address_has_its_own_count_and_each_network_of_ipv6() {
    let (table, now) = (Addresses::for_connections(10), now());
    let alike = |host| v6(7, host);
    for round in 0..5 {
        place(table.admit(v4(1), at_most(5), now));
        place(table.admit(alike(round), at_most(5), now));
    }
    let over = Admitted::Over(Refusal::IpConnections);
    assert_eq!(table.admit(v4(1), at_most(5), now), over);
    assert_eq!(table.admit(alike(99), at_most(5), now), over);
    place(table.admit(v4(2), at_most(5), now));
    place(table.admit(v6(8, 1), at_most(5), now));
    place(table.admit(v4(1), at_most(6), now));
    let loopback = IpAddr::V6(Ipv6Addr::LOCALHOST);
    place(table.admit(loopback, at_most(1), now));
    assert_eq!(table.admit(loopback, at_most(1), now), over);
    assert_eq!((table.open(v4(1)), table.open(alike(3)), table.open(v4(3))), (6, 5, 0));
}

#[test]
fn who_is_released_is_counted_no_more() {
    let (table, now) = (Addresses::for_connections(10), now());
    let places: Vec<Place> = (0..3).map(|_| place(table.admit(v4(1), at_most(3), now))).collect();
    table.release(places[1]);
    place(table.admit(v4(1), at_most(3), now));
    assert!(matches!(table.admit(v4(1), at_most(3), now), Admitted::Over(_)));
    // As one that came while other options held.
    places.into_iter().for_each(|place| table.release(place));
    assert_eq!(table.open(v4(1)), 0);
}

#[test]
fn so_many_come_at_once_as_may_in_a_second_and_then_one_after_the_other() {
    for rate in [1, 3, 7, 1000] {
        let (table, start) = (Addresses::for_connections(10), now());
        let comes = |micros: u64| {
            let now = start + Duration::from_micros(micros);
            matches!(table.admit(v4(1), no_faster(rate), now), Admitted::At(_))
        };
        assert!((0..rate).all(|_| comes(0)), "{rate} at once");
        assert!(!comes(0) && !comes(100), "not one more of {rate}");
        let each = SECOND.div_ceil(rate.into());
        assert!(comes(each) && !comes(each) && comes(2 * each) && !comes(2 * each));
        let hour = 3600 * SECOND;
        assert!((0..rate).all(|_| comes(hour)) && !comes(hour), "a pause gives no more than that");
    }
}

#[test]
fn what_goes_round_is_not_ahead() {
    let state = State { open: 0, paid: 17 };
    assert_eq!(state.ahead(18), 0);
    assert_eq!(state.ahead(PAID_MASK - 2), 20);
    assert_eq!(State { open: 0, paid: 9 * SECOND }.ahead(0), 0);
    let all = State { open: TAKEN - 1, paid: PAID_MASK };
    assert_eq!(State::of(all.word()), all);
}

#[test]
fn a_flood_of_networks_takes_no_memory_and_nobody_with_open_connections_loses_its_count() {
    let (table, now) = (Addresses::for_connections(1000), now());
    let entries = table.entries.len();
    let honest: Vec<Place> =
        (0..100).map(|number| place(table.admit(v4(number), at_most(1), now))).collect();
    let mut untracked = 0;
    for network in 0..=0xffff {
        match table.admit(v6(network, 1), at_most(1), now) {
            Admitted::At(place) => table.release(place),
            Admitted::Untracked => untracked += 1,
            Admitted::Over(why) => panic!("{network} has no other connection: {why:?}"),
        }
    }
    assert_eq!((table.entries.len(), untracked), (entries, 0));
    for number in 0..100 {
        assert!(matches!(table.admit(v4(number), at_most(1), now), Admitted::Over(_)));
    }
    honest.into_iter().for_each(|place| table.release(place));
    assert!(
        table.entries.iter().all(|entry| State::of(entry.word.load(Ordering::Relaxed)).open == 0)
    );
}

#[test]
fn where_all_entries_have_open_connections_one_more_is_let_in_and_not_counted() {
    let (table, now) = (Addresses::of_sets(1), now());
    let places: Vec<Place> =
        (0..WAYS as u32).map(|number| place(table.admit(v4(number), at_most(9), now))).collect();
    assert_eq!(table.admit(v4(77), at_most(9), now), Admitted::Untracked);
    place(table.admit(v4(3), at_most(9), now));
    table.release(places[5]);
    place(table.admit(v4(77), at_most(9), now));
    assert_eq!((table.open(v4(77)), table.open(v4(5)), table.open(v4(3))), (1, 0, 2));
}

#[test]
fn who_may_come_first_makes_room() {
    let (table, start) = (Addresses::of_sets(1), now());
    let later = |millis| start + Duration::from_millis(millis);
    for number in 0..WAYS as u32 {
        let now = later(u64::from(number) * 10);
        table.release(place(table.admit(v4(number), no_faster(1), now)));
    }
    place(table.admit(v4(77), no_faster(1), later(100)));
    assert!(matches!(table.admit(v4(1), no_faster(1), later(100)), Admitted::Over(_)));
    place(table.admit(v4(0), no_faster(1), later(100)));
}

/// Many more addresses than entries, so that these change hands all the time.
#[test]
fn threads_that_come_and_go_at_once_leave_every_count_as_it_is() {
    const ADDRESSES: u32 = 40;
    const LIMIT: u32 = 5;
    const THREADS: u32 = 4;
    let (table, now) = (Addresses::of_sets(2), now());
    let open: Vec<AtomicI64> = (0..ADDRESSES).map(|_| AtomicI64::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (table, open) = (&table, &open);
            scope.spawn(move || {
                let mut held = Vec::new();
                let mut state = u64::from(thread) * 7919 + 1;
                for _ in 0..200_000 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let number = (state >> 33) as u32 % ADDRESSES;
                    if let Admitted::At(place) = table.admit(v4(number), at_most(LIMIT), now) {
                        let before = open[number as usize].fetch_add(1, Ordering::SeqCst);
                        assert!(before < i64::from(LIMIT + THREADS - 1), "{before}");
                        held.push((number, place));
                    }
                    if held.len() > 2 {
                        let (number, place) = held.swap_remove(state as usize % held.len());
                        open[number as usize].fetch_sub(1, Ordering::SeqCst);
                        table.release(place);
                    }
                }
                for (_, place) in held {
                    table.release(place);
                }
            });
        }
    });
    for entry in &table.entries {
        assert_eq!(State::of(entry.word.load(Ordering::SeqCst)).open, 0, "{entry:?}");
    }
}
