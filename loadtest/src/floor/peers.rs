//! The other ends: a thread with a processor and a descriptor table of its own, which reads as the
//! clients of a load test do, by edges, and sleeps while it has no orders.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::frames::{Echoed, Whole};
use super::pairs::STALL;
use super::{Options, cpu, table};
use crate::place::Memory;

/// Connections from one source address: ports of one would not do for all.
const PER_SOURCE: usize = 4000;
const EVENTS: usize = 1024;
const RECEIVE_BYTES: usize = 64 * 1024;

/// What they are to do next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Open this many more connections.
    Connect(u32),
    /// Receive this many bytes in all.
    Receive(u64),
    /// Send this many messages on each connection, as many at once as may be in flight and one more
    /// for each that comes back, until all are back.
    Exchange { messages: u32, depth: u32, echoed: Echoed },
}

/// The thread, seen from the other side.
#[derive(Debug)]
pub(super) struct Peers {
    /// Gone when the thread is to end.
    orders: Option<Sender<Order>>,
    reports: Receiver<Result<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Peers {
    /// Starts the thread; it ends when this is dropped.
    pub(super) fn start(address: SocketAddr, options: &Options, cpu: usize) -> Result<Self> {
        let (connections, nap) = (options.connections, options.nap);
        let (orders, ordered) = channel();
        let (reporter, reports) = channel();
        let run = move || {
            let result = Ends::new(address, connections, cpu, nap);
            let result = result.and_then(|mut ends| ends.serve(&ordered, &reporter));
            if let Err(error) = result {
                // Nobody listens any more where the other side has failed as well.
                let _ = reporter.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("floor-peers".into());
        let thread = Some(thread.spawn(run).context("no thread")?);
        Ok(Self { orders: Some(orders), reports, thread })
    }

    /// Gives an order.
    pub(super) fn order(&self, order: Order) {
        // If the thread has ended, the next `wait` tells why.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }

    /// Sleeps until the order is done.
    pub(super) fn wait(&self) -> Result<()> {
        self.reports.recv_timeout(2 * STALL).map_err(|_| anyhow!("the readers stand still"))?
    }

    /// What the peers failed of, if they have, or else what the measured side did.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        self.reports.try_iter().find_map(Result::err).unwrap_or(error)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of it has shown as a report that never came.
            let _ = thread.join();
        }
    }
}

/// The thread's own.
struct Ends {
    address: SocketAddr,
    connections: usize,
    /// What to sleep before the next look, where this one found less than it could.
    nap: Duration,
    poll: Poll,
    events: Events,
    buffer: Memory,
    ends: Vec<End>,
}

struct End {
    socket: TcpStream,
    whole: Whole,
    /// Messages of the exchange that were not sent yet.
    unsent: u32,
}

impl Ends {
    fn new(address: SocketAddr, connections: u32, cpu: usize, nap: Duration) -> Result<Self> {
        table::part().context("no descriptor table for the readers")?;
        cpu::pin(cpu)?;
        Ok(Self {
            address,
            connections: connections as usize,
            nap,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: Memory::new(RECEIVE_BYTES),
            ends: Vec::with_capacity(connections as usize),
        })
    }

    fn serve(&mut self, orders: &Receiver<Order>, reports: &Sender<Result<()>>) -> Result<()> {
        while let Ok(order) = orders.recv() {
            match order {
                Order::Connect(count) => {
                    (0..count).try_for_each(|_| self.connect())?;
                    if self.ends.len() < self.connections {
                        continue;
                    }
                }
                Order::Receive(bytes) => self.receive(bytes)?,
                Order::Exchange { messages, depth, echoed } => {
                    self.exchange(messages, depth, echoed)?;
                }
            }
            if reports.send(Ok(())).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn connect(&mut self) -> Result<()> {
        let at = self.ends.len();
        let socket = Socket::new(Domain::IPV4, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
        // The kernel picks the port when it knows both ends.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        let source = Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 1, 1).to_bits() + source(at));
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.set_tcp_nodelay(true)?;
        // A reset at the end leaves no port in TIME_WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        socket
            .connect_timeout(&self.address.into(), STALL)
            .with_context(|| format!("connection {at} to {} failed", self.address))?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket.into());
        self.poll.registry().register(&mut socket, Token(at), Interest::READABLE)?;
        self.ends.push(End { socket, whole: Whole::default(), unsent: 0 });
        Ok(())
    }

    /// Every end is sent the same, so all have theirs when the sum is right.
    fn receive(&mut self, bytes: u64) -> Result<()> {
        let mut received = 0;
        while received < bytes {
            self.wait().with_context(|| format!("{received} of {bytes} bytes came"))?;
            for event in &self.events {
                let end = &mut self.ends[event.token().0];
                received += end.drain(self.buffer.bytes())? as u64;
            }
            self.sleep_if_asked(received >= bytes);
        }
        ensure!(received == bytes, "{received} bytes came instead of {bytes}");
        Ok(())
    }

    fn exchange(&mut self, messages: u32, depth: u32, echoed: Echoed) -> Result<()> {
        let mut requests = echoed.requests(depth as usize);
        let mut awaited = u64::from(messages) * self.ends.len() as u64;
        for end in &mut self.ends {
            end.unsent = messages;
            end.request(requests.bytes(), depth, echoed)?;
        }
        while awaited > 0 {
            self.wait().with_context(|| format!("{awaited} echoes are missing"))?;
            for event in &self.events {
                let end = &mut self.ends[event.token().0];
                let count = end.drain(self.buffer.bytes())?;
                let back = end.whole.take(count, echoed.reply_bytes);
                awaited = awaited.checked_sub(back as u64).context("more came back than went")?;
                end.request(requests.bytes(), back as u32, echoed)?;
            }
            self.sleep_if_asked(awaited == 0);
        }
        Ok(())
    }

    /// As the clients of a load test do: what comes meanwhile wakes nobody.
    fn sleep_if_asked(&self, is_done: bool) {
        if !is_done && !self.nap.is_zero() && self.events.iter().count() < EVENTS {
            thread::sleep(self.nap);
        }
    }

    fn wait(&mut self) -> Result<()> {
        loop {
            match self.poll.poll(&mut self.events, Some(STALL)) {
                Ok(()) if self.events.is_empty() => bail!("nothing came for {STALL:?}"),
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl End {
    /// Receives until a read comes short: by then it is drained, and the next bytes are an edge.
    fn drain(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut received = 0;
        loop {
            match self.socket.read(buffer) {
                Ok(0) => bail!("the server has closed a connection"),
                Ok(count) => {
                    received += count;
                    if count < buffer.len() {
                        return Ok(received);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(received),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("a reader cannot receive"),
            }
        }
    }

    /// Sends as many requests as came back, if there are as many left.
    fn request(&mut self, requests: &[u8], count: u32, echoed: Echoed) -> Result<()> {
        let count = count.min(self.unsent);
        if count == 0 {
            return Ok(());
        }
        self.unsent -= count;
        let bytes = &requests[..count as usize * echoed.request_bytes];
        let sent = self.socket.write(bytes).context("a client cannot send")?;
        ensure!(sent == bytes.len(), "a socket takes {sent} of {} bytes", bytes.len());
        Ok(())
    }
}

/// How far the source address of a connection is from the first.
fn source(at: usize) -> u32 {
    (at / PER_SOURCE) as u32
}
