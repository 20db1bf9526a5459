use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::read;

use super::*;

/// More than a socket takes at once.
const BYTES: usize = 4 << 20;

fn turn(driver: &mut EpollDriver) {
    driver.wait(Duration::ZERO).expect("epoll works");
    while driver.next().is_some() {}
}

fn has_bytes(socket: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).expect("poll works") > 0
}

/// Takes all that has come; how many there are of whom something had.
fn drain(peers: &[OwnedFd]) -> usize {
    let mut buffer = vec![0; 1 << 20];
    let mut reached = 0;
    for peer in peers {
        reached += usize::from(has_bytes(peer));
        while has_bytes(peer) {
            read(peer, &mut buffer).expect("there are bytes");
        }
    }
    reached
}

#[test]
fn sends_that_rested_go_on_a_part_in_each_turn() {
    const CONNECTIONS: usize = 12;
    for (write_bytes, in_a_turn) in [(1, 1), (2 * BYTES * CONNECTIONS, CONNECTIONS)] {
        let tuning = Tuning { write_bytes, ..Tuning::for_connections(CONNECTIONS) };
        let mut driver = Seed::new().expect("there are descriptors").build(tuning);
        let (flags, kind) = (SockFlag::SOCK_CLOEXEC, SockType::Stream);
        let mut peers = Vec::new();
        for _ in 0..CONNECTIONS {
            let (socket, peer) =
                socketpair(AddressFamily::Unix, kind, None, flags).expect("a pair");
            let conn = driver.adopt(socket).expect("it can be watched");
            driver.send(conn, Outgoing::owned(vec![0; BYTES]));
            peers.push(peer);
        }
        assert_eq!(drain(&peers), CONNECTIONS, "each is sent what its socket takes");
        for _ in 0..CONNECTIONS / in_a_turn {
            turn(&mut driver);
            assert_eq!(drain(&peers), in_a_turn);
        }
    }
}
