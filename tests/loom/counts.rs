//! The table of addresses: entries that change hands while others add to them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use loom::thread;
use throng::config::PerIp;

use crate::addresses::{Addresses, Admitted, Place};

const FREE: PerIp = PerIp { connections: None, connect_rate: None };

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

/// Loom has no clock, and nothing here depends on one.
fn now() -> Instant {
    use std::sync::OnceLock;
    static NOW: OnceLock<Instant> = OnceLock::new();
    *NOW.get_or_init(throng::driver::now)
}

fn admit(table: &Addresses, number: u32) -> Place {
    match table.admit(address(number), FREE, now()) {
        Admitted::At(place) => place,
        other => panic!("there is an entry for everybody: {other:?}"),
    }
}

/// One address comes back to its entry while another one takes over whatever is idle. Whoever is
/// in is counted where it stands, to itself, and nobody is when all have gone.
#[test]
fn nobody_stays_counted_to_another_address() {
    loom::model(|| {
        let table = Arc::new(Addresses::of_sets(1));
        // All entries but one.
        let held: Vec<Place> = (10..17).map(|number| admit(&table, number)).collect();
        table.release(admit(&table, 1));
        let other = thread::spawn({
            let table = Arc::clone(&table);
            move || come_and_go(&table, 2, 1)
        });
        come_and_go(&table, 1, 2);
        other.join().expect("no thread panics");
        assert_eq!((table.open(address(1)), table.open(address(2))), (0, 0));
        held.into_iter().for_each(|place| table.release(place));
    });
}

/// Where there is but one entry left.
fn come_and_go(table: &Addresses, own: u32, other: u32) {
    match table.admit(address(own), FREE, now()) {
        Admitted::At(place) => {
            assert!(table.open(address(own)) > 0);
            assert_eq!(table.open(address(other)), 0, "the only entry is not the other's");
            table.release(place);
        }
        Admitted::Untracked => {}
        Admitted::Over(why) => panic!("there is no limit: {why:?}"),
    }
}

/// Two workers count one address at the same moment, and one of the connections goes.
#[test]
fn no_count_is_lost() {
    loom::model(|| {
        let table = Arc::new(Addresses::of_sets(1));
        let first = admit(&table, 1);
        let other = thread::spawn({
            let table = Arc::clone(&table);
            move || admit(&table, 1)
        });
        table.release(first);
        let own = admit(&table, 1);
        let others = other.join().expect("no thread panics");
        assert_eq!(table.open(address(1)), 2);
        table.release(own);
        table.release(others);
        assert_eq!(table.open(address(1)), 0);
    });
}
