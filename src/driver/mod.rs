//! Where completions come from: one small interface over the kernel's two, and a simulator.
//!
//! A driver moves bytes for a [`ConnId`]. It never looks at them, never decides who gets them and
//! never closes a connection that it was not told to close.

mod clock;
pub mod epoll;
mod listener;
mod peek;
mod peer;
mod place;
mod shortage;
pub mod sim;
mod tables;
mod taken;
#[allow(unsafe_code, reason = "the kernel reads and writes memory of ours behind the compiler")]
pub mod uring;
mod waker;

pub use crate::outgoing::{Buffer, Outgoing, Part, Parts};
pub use clock::{monotonic_time, now};
pub use listener::{Listener, ListenerId};
pub use peer::{HostAddress, Peer};
pub use waker::EventWaker;

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::id::ConnId;

/// The contract, which one suite of tests holds against every driver:
///
/// 1. `Accepted` is the first word about a connection and `Closed` (or `Released`) the last; one
///    of each. An adopted connection begins with the return of `adopt` instead.
/// 2. Receiving starts by itself; `pause` stops it and `resume` starts it again. Nothing is
///    received between the two. Bytes are lent until the next call.
/// 3. One send per connection at a time; the driver owns the bytes until `Sent`, which means all
///    of them and gives their memory back.
/// 4. `Ended` comes at most once, when a direction has failed or the peer has finished, and after
///    the last byte that could be received (but a failure is told at once while paused). Then call
///    `close`. A send after `Ended` may still go; if it fails it is `Sent` too, as there is nobody
///    to miss it.
/// 5. `close` is called once; `Closed` follows when the kernel holds none of our memory.
/// 6. `trim` changes nothing of all this: it gives back memory that was needed by more connections
///    than there are, or by more that happened at once.
pub trait Driver {
    /// Ends a `wait` from another thread.
    type Waker: Wake;

    /// Sends go to the kernel with the next wait, and not when they are called for.
    const SENDS_IN_WAIT: bool = false;

    /// Starts to accept.
    ///
    /// # Errors
    ///
    /// If the kernel will not watch the listener.
    fn listen(&mut self, listener: Listener) -> io::Result<ListenerId>;

    /// Stops to accept and closes the listener: who stands in its queue is accepted, as far as
    /// [`crate::limits::LAST_ACCEPTS_MAX`] reaches, and a connect is refused from here on. One that
    /// somebody else keeps ([`Listener::kept`]) is let go of as it is.
    fn unlisten(&mut self, id: ListenerId);

    /// Whether `Accepted` may still come of listeners: of those that are listened on, and of those
    /// that were let go of as long as the kernel, or this driver, has not come to the end of them.
    fn is_accepting(&self) -> bool;

    /// Sends all of the bytes, in order, as one write if the kernel takes them.
    fn send(&mut self, conn: ConnId, bytes: Outgoing);

    /// Sends a part, not an empty one, of the bytes that the last completion lent, which was
    /// `Received` of this connection: out of the memory where they are, but what the socket does
    /// not take at once is copied. True if all have gone by now; else it goes on as any send.
    fn send_lent(&mut self, conn: ConnId, part: Range<usize>) -> bool;

    /// Receives no more; what the kernel holds stays there, so a fast peer has to wait.
    fn pause(&mut self, conn: ConnId);

    /// Receives again, also what came meanwhile.
    fn resume(&mut self, conn: ConnId);

    /// Sends a FIN behind what is being sent; receiving goes on.
    fn finish(&mut self, conn: ConnId);

    /// Ends a connection; what is still being sent is dropped.
    fn close(&mut self, conn: ConnId);

    /// Takes over a connected socket, from another worker or process.
    ///
    /// # Errors
    ///
    /// If the kernel will not watch the socket.
    fn adopt(&mut self, socket: OwnedFd) -> io::Result<ConnId>;

    /// Gives a connection away: `Released` brings the descriptor and what was not sent of it.
    /// What the driver had received by then comes before, even while paused.
    fn release(&mut self, conn: ConnId);

    /// Whether bytes of the peer have come that were not handed out. Asked before a connection is
    /// ended for its silence: a busy worker may not have read what came in time.
    fn has_unread(&mut self, conn: ConnId) -> bool;

    /// A number that is another one, once the peer's kernel has room for more of what is being sent
    /// than at the last question. Asked before a connection is ended for taking nothing.
    fn taken(&mut self, conn: ConnId) -> u32;

    /// Where a connection comes from, if it is still connected.
    fn peer(&mut self, conn: ConnId) -> Option<Peer>;

    /// Bytes of memory that come free if what is being sent is dropped, about.
    fn sending(&mut self, conn: ConnId) -> usize;

    /// Gives back what tables and queues do not need any more. Called when a burst is over, as it
    /// looks at the slots of all connections that there were.
    fn trim(&mut self);

    /// Waits until something completes, but not if something has. The only sleep there is.
    ///
    /// # Errors
    ///
    /// If the kernel's interface fails; the worker cannot go on.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;

    /// The next completion of this turn: `None` ends the turn, be it that there are no more or
    /// that the turn's budget is spent.
    fn next(&mut self) -> Option<Completion<'_>>;

    /// The time. The worker asks once a turn.
    fn now(&self) -> Instant;

    /// The time since the beginning of 1970, as the host's clock has it. The worker asks once a
    /// second, for the dates of responses.
    fn unix_time(&self) -> Duration;

    /// What ends a wait of this driver.
    fn waker(&self) -> Self::Waker;
}

/// Ends the `wait` of one driver, from any thread.
pub trait Wake: Clone + Send + Sync + 'static {
    /// The driver's wait returns, the present one or else the next.
    fn wake(&self);
}

/// Something that happened.
#[derive(Debug)]
pub enum Completion<'a> {
    /// A new connection.
    Accepted(ConnId, ListenerId),
    /// Bytes came; they may be changed in place.
    Received(ConnId, &'a mut [u8]),
    /// Everything that `send` was given has gone; here is its memory. Nothing of `send_lent`.
    Sent(ConnId, Option<Outgoing>),
    /// A direction has ended.
    Ended(ConnId, End),
    /// A connection that `close` was called for is gone.
    Closed(ConnId),
    /// A connection that `release` was called for: its descriptor, and what was not sent.
    Released(ConnId, OwnedFd, Option<Outgoing>),
    /// Another thread called.
    Woken,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer sent a FIN: nothing more comes, but it may still read.
    Finished,
    /// The connection broke: nothing more comes or goes.
    Failed(io::ErrorKind),
}

/// How much a driver does at once; small values are for tests.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Completions per turn.
    pub budget: usize,
    /// Connections to have room for.
    pub connections: usize,
    /// io_uring: entries of the submission queue.
    pub submissions: u32,
    /// io_uring: entries of the completion queue.
    pub completions: u32,
    /// io_uring: receive buffers; no more receives and sends out of them are under way.
    pub buffers: u16,
    /// io_uring: bytes of each receive buffer.
    pub buffer_bytes: usize,
    /// epoll: bytes of the one receive buffer.
    pub receive_bytes: usize,
    /// epoll: bytes written in a turn of sends that rested, where each counts as so many more.
    pub write_bytes: usize,
}

impl Tuning {
    /// What serves for that many connections; from [`crate::limits::RESERVED_CONNECTIONS_MAX`] on
    /// tables grow as needed.
    #[must_use]
    pub fn for_connections(connections: usize) -> Self {
        Self {
            budget: crate::limits::COMPLETIONS_PER_TURN,
            connections: connections.min(crate::limits::RESERVED_CONNECTIONS_MAX),
            submissions: 1024,
            completions: 8192,
            buffers: 32,
            buffer_bytes: 32 * 1024,
            receive_bytes: crate::limits::RECEIVE_BYTES,
            write_bytes: crate::limits::RESUMED_BYTES_PER_TURN,
        }
    }
}
