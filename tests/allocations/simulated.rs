//! The simulator: frames in pieces, sends that stop half way, receivers that are late. What the
//! simulator itself allocates is not counted.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use throng::config::Config;
use throng::driver::sim::{Client, Net, SimDriver, SimWaker};
use throng::driver::{Completion, Driver, Listener, ListenerId, Outgoing, Peer};
use throng::id::ConnId;
use throng::wire::Opcode;
use throng::worker::{Shared, Worker, mailboxes};

use crate::counting::{allocations, uncounted};
use crate::report;
use crate::worker::{client_frame, frames, request};

/// A simulated driver whose own memory does not count.
struct Uncounted(SimDriver);

impl Driver for Uncounted {
    type Waker = SimWaker;

    fn listen(&mut self, listener: Listener) -> io::Result<ListenerId> {
        uncounted(|| self.0.listen(listener))
    }

    fn unlisten(&mut self, id: ListenerId) {
        uncounted(|| self.0.unlisten(id));
    }

    fn is_accepting(&self) -> bool {
        self.0.is_accepting()
    }

    fn send(&mut self, conn: ConnId, bytes: Outgoing) {
        uncounted(|| self.0.send(conn, bytes));
    }

    fn send_lent(&mut self, conn: ConnId, part: Range<usize>) -> bool {
        uncounted(|| self.0.send_lent(conn, part))
    }

    fn pause(&mut self, conn: ConnId) {
        uncounted(|| self.0.pause(conn));
    }

    fn resume(&mut self, conn: ConnId) {
        uncounted(|| self.0.resume(conn));
    }

    fn finish(&mut self, conn: ConnId) {
        uncounted(|| self.0.finish(conn));
    }

    fn close(&mut self, conn: ConnId) {
        uncounted(|| self.0.close(conn));
    }

    fn adopt(&mut self, socket: OwnedFd) -> io::Result<ConnId> {
        uncounted(|| self.0.adopt(socket))
    }

    fn release(&mut self, conn: ConnId) {
        uncounted(|| self.0.release(conn));
    }

    fn has_unread(&mut self, conn: ConnId) -> bool {
        uncounted(|| self.0.has_unread(conn))
    }

    fn peer(&mut self, conn: ConnId) -> Option<Peer> {
        self.0.peer(conn)
    }

    fn taken(&mut self, conn: ConnId) -> u32 {
        uncounted(|| self.0.taken(conn))
    }

    fn sending(&mut self, conn: ConnId) -> usize {
        uncounted(|| self.0.sending(conn))
    }

    fn trim(&mut self) {
        uncounted(|| self.0.trim());
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        uncounted(|| self.0.wait(timeout))
    }

    fn next(&mut self) -> Option<Completion<'_>> {
        let driver = &mut self.0;
        uncounted(move || driver.next())
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn unix_time(&self) -> Duration {
        self.0.unix_time()
    }

    fn waker(&self) -> SimWaker {
        self.0.waker()
    }
}

/// A worker with some sessions.
struct Stage {
    worker: Worker<Uncounted>,
    clients: Vec<Client>,
    /// Bytes that came for each.
    read: Vec<usize>,
}

impl Stage {
    fn open(path: &str, count: usize) -> Self {
        let net = Net::new(1);
        let mut driver = net.driver_with_budget(64);
        driver.accept_connects();
        let driver = Uncounted(driver);
        let mail = mailboxes(&[driver.waker()], 16).remove(0);
        let shared = Arc::new(Shared::new(Config::default(), 1, count));
        let worker = Worker::new(driver, shared, Arc::default(), mail, count);
        let clients: Vec<Client> = (0..count).map(|_| net.connect(0)).collect();
        clients.iter().for_each(|client| client.write(&request(path)));
        let mut stage = Self { worker, clients, read: vec![0; count] };
        for _ in 0..10 * count {
            stage.turn();
            stage.read();
        }
        assert!(stage.read.iter().all(|bytes| *bytes > 100), "all have their 101");
        stage
    }

    fn turn(&mut self) {
        self.worker.turn().expect("this driver does not fail");
    }

    fn read(&mut self) {
        for (client, read) in self.clients.iter().zip(&mut self.read) {
            *read += client.read().len();
        }
    }

    /// Lets clients write, and takes turns until everybody has so many bytes more; how much memory
    /// the worker asked for meanwhile.
    fn exchange(&mut self, writers: usize, bytes: &[u8], expected: usize) -> u64 {
        self.clients[..writers].iter().for_each(|client| client.write(bytes));
        self.read.fill(0);
        let mut count = 0;
        for _ in 0..100_000 {
            let before = allocations();
            self.turn();
            count += allocations() - before;
            self.read();
            if self.read.iter().all(|read| *read >= expected) {
                assert!(self.read.iter().all(|read| *read == expected), "nothing else comes");
                return count;
            }
        }
        panic!("what was expected did not come: {:?} of {expected}", self.read);
    }
}

#[test]
fn ten_thousand_echoes_allocate_nothing() {
    const CONNECTIONS: usize = 10;
    let mut stage = Stage::open("/echo", CONNECTIONS);
    // A message, a ping, and a message that is long enough to be cut.
    let ping = client_frame(Opcode::Ping, b"12345678");
    let bytes = [frames(1, 20), ping, frames(1, 1000)].concat();
    let expected = (2 + 20) + (2 + 8) + (4 + 1000);
    let warm_up: u64 = (0..500).map(|_| stage.exchange(CONNECTIONS, &bytes, expected)).sum();
    let count: u64 = (0..500).map(|_| stage.exchange(CONNECTIONS, &bytes, expected)).sum();
    report(&format!("simulated echo: {warm_up} allocations to warm up, {count} after"));
    assert_eq!(count, 0);
}

#[test]
fn publishes_allocate_nothing() {
    const MEMBERS: usize = 100;
    let mut stage = Stage::open("/room/a", MEMBERS);
    let publish = |stage: &mut Stage| stage.exchange(1, &frames(1, 100), 102);
    let warm_up: u64 = (0..1000).map(|_| publish(&mut stage)).sum();
    let count: u64 = (0..1000).map(|_| publish(&mut stage)).sum();
    report(&format!("simulated publishes: {warm_up} allocations to warm up, {count} in 1000"));
    assert_eq!(count, 0);
}
