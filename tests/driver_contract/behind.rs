//! A driver whose connections wait to be read lets in no more than a few: they would stand in front
//! of everybody else.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use throng::driver::{Completion, Driver, Listener, Tuning};
use throng::limits::ACCEPTS_PER_TURN;

use crate::kernel::{Epoll, Interface, Uring, is_usable};

/// More than may wait to be read while everybody is let in.
const READABLE: usize = 400;
const LATER: usize = 200;

/// Completions that are taken of a turn, as by a worker that has spent it.
const TAKEN: usize = 3;

/// So many connections that have said something.
fn connect(listener: &TcpListener, count: usize) -> Vec<TcpStream> {
    let address = listener.local_addr().expect("it is bound");
    let talkative = || {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(b"!").expect("it is open");
        stream
    };
    (0..count).map(|_| talkative()).collect()
}

/// A turn of which no more than so many completions are taken; how many were accepted.
fn turn(driver: &mut impl Driver, taken: usize) -> usize {
    driver.wait(Duration::from_millis(100)).expect("the kernel's interface works");
    let mut accepted = 0;
    for _ in 0..taken {
        match driver.next() {
            Some(Completion::Accepted(..)) => accepted += 1,
            Some(_) => {}
            None => break,
        }
    }
    accepted
}

fn check<I: Interface>() {
    if !is_usable::<I>() {
        return;
    }
    let mut driver = I::build(Tuning::for_connections(1000)).expect("there is room for a driver");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there is TCP");
    let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    socket.bind(&any.into()).expect("a port is free");
    socket.listen(1024).expect("it is bound");
    socket.set_nonblocking(true).expect("it is a socket");
    let bound = TcpListener::from(socket.try_clone().expect("a descriptor is free"));
    driver.listen(Listener::new(socket)).expect("it can be watched");
    let _first = connect(&bound, READABLE);
    let mut accepted = 0;
    while accepted < READABLE {
        accepted += turn(&mut driver, ACCEPTS_PER_TURN);
    }
    // What they have said is seen, and hardly any of it read.
    (0..5).for_each(|_| assert_eq!(turn(&mut driver, TAKEN), 0));
    let _later = connect(&bound, LATER);
    let turns = [(); 3].map(|()| turn(&mut driver, ACCEPTS_PER_TURN + TAKEN));
    assert!(turns.iter().all(|accepted| *accepted <= ACCEPTS_PER_TURN), "{turns:?}");
    // And in the end everybody is let in.
    let mut total: usize = turns.iter().sum();
    for _ in 0..1000 {
        total += turn(&mut driver, usize::MAX);
        if total == LATER {
            return;
        }
    }
    panic!("{total} of {LATER} are let in");
}

#[test]
fn epoll_lets_in_a_few_while_many_wait_to_be_read() {
    check::<Epoll>();
}

#[test]
fn uring_lets_in_a_few_while_many_wait_to_be_read() {
    check::<Uring>();
}
