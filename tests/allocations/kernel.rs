//! epoll and io_uring over loopback, each on a thread of its own; what the driver allocates counts.

#![allow(clippy::disallowed_methods, reason = "the kernel lives in real time")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use throng::config::Config;
use throng::driver::epoll::Seed;
use throng::driver::uring::{self, UringDriver};
use throng::driver::{Driver, EventWaker, Listener, Tuning, Wake};
use throng::stats::Counters;
use throng::wire::Opcode;
use throng::worker::{Shared, Worker, mailboxes};

use crate::counting::allocations;
use crate::report;
use crate::worker::{client_frame, frames, request};

const CONNECTIONS_MAX: usize = 200;

/// A worker on a thread.
struct Running {
    name: &'static str,
    address: SocketAddr,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    allocated: Arc<AtomicU64>,
    waker: EventWaker,
    thread: JoinHandle<()>,
}

/// What a thread is given.
struct Start {
    listener: TcpListener,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    allocated: Arc<AtomicU64>,
    ready: Sender<EventWaker>,
}

impl Running {
    fn start(name: &'static str, serve: fn(Start)) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("any socket may be");
        let config = Config { ping_interval: Duration::ZERO, ..Config::default() };
        let shared = Arc::new(Shared::new(config, 1, CONNECTIONS_MAX));
        let (counters, allocated) = (Arc::default(), Arc::default());
        let (ready, is_ready) = channel();
        let start = Start {
            listener,
            shared: Arc::clone(&shared),
            counters: Arc::clone(&counters),
            allocated: Arc::clone(&allocated),
            ready,
        };
        let thread = thread::spawn(move || serve(start));
        let waker = is_ready.recv().expect("the worker listens");
        Self { name, address, shared, counters, allocated, waker, thread }
    }

    /// Sessions that were opened, with Nagle's algorithm off.
    fn connect(&self, path: &str, count: usize) -> Vec<TcpStream> {
        let connect = |_| {
            let mut stream = TcpStream::connect(self.address).expect("it listens");
            stream.set_nodelay(true).expect("TCP can do that");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("it is not zero");
            stream.write_all(&request(path)).expect("a request finds room");
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).expect("a response comes");
                head.extend(byte);
            }
            assert!(head.starts_with(b"HTTP/1.1 101 "));
            stream
        };
        (0..count).map(connect).collect()
    }

    /// What the worker had allocated by the end of its last turn, once it sleeps.
    fn settled(&self) -> u64 {
        loop {
            let turns = self.counters.turns.get();
            thread::sleep(Duration::from_millis(5));
            if turns == self.counters.turns.get() {
                return self.allocated.load(Ordering::Acquire);
            }
        }
    }

    /// Allocations of the worker meanwhile.
    fn counted(&self, act: impl FnOnce()) -> u64 {
        let before = self.settled();
        act();
        self.settled() - before
    }

    /// A thousand times the same allocate nothing, in one of five attempts: there are as many
    /// buffers and runs of frames as were ever needed at once, and chance may raise that, as when
    /// the worker is preempted and finds the next message beside the completions of the last.
    fn assert_thousand_allocate_nothing(&self, what: &str, mut act: impl FnMut()) {
        let mut counts = Vec::new();
        while counts.last() != Some(&0) {
            assert!(counts.len() < 5, "{}: {what}: {counts:?} allocations", self.name);
            counts.push(self.counted(|| (0..1000).for_each(|_| act())));
        }
    }

    fn stop(self, clients: Vec<TcpStream>) {
        drop(clients);
        self.shared.is_stopping.store(true, Ordering::Release);
        self.waker.wake();
        self.thread.join().expect("the worker does not fail");
    }
}

fn serve<D: Driver<Waker = EventWaker>>(start: Start, driver: D) {
    let waker = driver.waker();
    let mail = mailboxes(&[driver.waker()], 16).remove(0);
    let counters = Arc::clone(&start.counters);
    let mut worker = Worker::new(driver, start.shared, counters, mail, CONNECTIONS_MAX);
    let listener = Listener::new(start.listener.into());
    worker.listen(listener).expect("the kernel watches listeners");
    start.ready.send(waker).expect("it is waited for");
    while !worker.is_drained() {
        worker.turn().expect("the kernel's interface does not fail");
        start.allocated.store(allocations(), Ordering::Release);
    }
}

/// A worker on each interface that is to be had here.
fn on_both(case: fn(Running)) {
    case(Running::start("epoll", |start| {
        let tuning = Tuning::for_connections(CONNECTIONS_MAX);
        serve(start, Seed::new().expect("there are descriptors").build(tuning));
    }));
    if let Err(reason) = uring::probe() {
        let is_required = std::env::var("THRONG_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!is_required, "io_uring does not work here: {reason}");
        return report(&format!("SKIPPED: io_uring does not work here: {reason}"));
    }
    case(Running::start("io_uring", |start| {
        let tuning = Tuning::for_connections(CONNECTIONS_MAX);
        let waker = EventWaker::new().expect("there are descriptors");
        serve(start, UringDriver::new(waker, tuning).expect("the probe has found no obstacle"));
    }));
}

/// One write, and so many bytes that come back to each.
fn exchange(clients: &mut [TcpStream], writers: usize, bytes: &[u8], expected: usize) {
    let mut buffer = [0; 4096];
    for client in &mut clients[..writers] {
        client.write_all(bytes).expect("some bytes find room");
    }
    for client in clients {
        client.read_exact(&mut buffer[..expected]).expect("all that comes back");
    }
}

#[test]
fn ten_thousand_echoes_allocate_nothing() {
    on_both(|running| {
        let mut clients = running.connect("/echo", 10);
        let ping = client_frame(Opcode::Ping, b"12345678");
        for (bytes, expected) in [
            (frames(1, 20), 22),
            (frames(16, 125), 16 * 127),
            ([frames(1, 20), ping].concat(), 22 + 10),
        ] {
            (0..100).for_each(|_| exchange(&mut clients, 10, &bytes, expected));
            running.assert_thousand_allocate_nothing(&format!("{expected} bytes each"), || {
                exchange(&mut clients, 10, &bytes, expected);
            });
        }
        running.stop(clients);
    });
}

#[test]
fn publishes_allocate_nothing() {
    on_both(|running| {
        let mut clients = running.connect("/room/a", 100);
        for messages in [1, 8] {
            let (bytes, expected) = (frames(messages, 100), messages * 102);
            (0..50).for_each(|_| exchange(&mut clients, 1, &bytes, expected));
            running.assert_thousand_allocate_nothing(&format!("{messages} messages each"), || {
                exchange(&mut clients, 1, &bytes, expected);
            });
        }
        running.stop(clients);
    });
}
