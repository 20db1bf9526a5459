//! Many clients in one thread, on mio: each socket is registered once, edge-triggered.
//!
//! A swarm connects, shakes hands, writes what was queued, takes frames apart and answers pings. It
//! never waits for one client: a [`Visitor`] is told what happened, and every wait has an end.

#![allow(clippy::disallowed_methods, reason = "tests live in real time")]

mod bytes;
mod link;
pub mod memory;
mod socket;
mod spawned;

pub use bytes::{BINARY, Pattern, Rng, TEXT, put_frame};
pub use link::{End, Link};
pub use spawned::Spawned;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use socket::Sources;

/// Bytes that all clients read into.
const BUFFER_BYTES: usize = 256 * 1024;

/// Events taken from the kernel at once.
const EVENTS_PER_TURN: usize = 1024;

/// Where clients connect to, with their request made ready.
#[derive(Clone, Debug)]
pub struct Target {
    address: SocketAddr,
    request: Arc<[u8]>,
}

/// What is told of a swarm's clients.
pub trait Visitor {
    /// The upgrade was answered.
    fn opened(&mut self, _link: &mut Link) {}

    /// A data frame came: its first byte and its payload.
    fn frame(&mut self, _link: &mut Link, _first: u8, _payload: &[u8]) {}

    /// The server's close frame came; its answer is queued, if the client answers.
    fn closing(&mut self, _link: &mut Link, _code: u16) {}

    /// Everything that was queued has gone.
    fn drained(&mut self, _link: &mut Link) {}

    /// The connection is gone.
    fn ended(&mut self, _link: &Link, _end: &End) {}
}

/// Looks at nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Visitor for Nobody {}

/// See the module.
#[derive(Debug)]
pub struct Swarm {
    poll: Poll,
    events: Events,
    links: Slab<Link>,
    /// Links to look at in the next turn without an event.
    pending: Vec<usize>,
    sources: Sources,
    buffer: Box<[u8]>,
    opening: usize,
}

/// A connect and its upgrade may not take longer.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(120);

impl Target {
    /// A WebSocket at this path.
    #[must_use]
    pub fn new(address: SocketAddr, path: &str) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n"
        );
        Self { address, request: request.into_bytes().into() }
    }

    /// Where it connects to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bytes of its request.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }
}

impl Swarm {
    /// A swarm without clients.
    ///
    /// # Panics
    ///
    /// If the kernel gives no epoll descriptor.
    #[must_use]
    pub fn new() -> Self {
        Self {
            poll: Poll::new().expect("a descriptor is free"),
            events: Events::with_capacity(EVENTS_PER_TURN),
            links: Slab::new(),
            pending: Vec::new(),
            sources: Sources::default(),
            buffer: vec![0; BUFFER_BYTES].into(),
            opening: 0,
        }
    }

    /// Begins to connect and to upgrade; gives the name of the link. The tag is the caller's own.
    ///
    /// # Errors
    ///
    /// If the connect is refused at once.
    pub fn connect(&mut self, target: &Target, tag: usize) -> io::Result<usize> {
        let key = self.connect_silent(target.address, tag)?;
        self.links[key].queue(&target.request);
        Ok(key)
    }

    /// Begins to connect and sends nothing by itself.
    ///
    /// # Errors
    ///
    /// If the connect is refused at once.
    pub fn connect_silent(&mut self, address: SocketAddr, tag: usize) -> io::Result<usize> {
        let mut socket = self.sources.connect(address)?;
        let entry = self.links.vacant_entry();
        let key = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(key), interest)?;
        entry.insert(Link::new(socket, key, tag));
        self.opening += 1;
        Ok(key)
    }

    /// Connects one client after the other to the targets by turns, `at_once` of them at a time;
    /// tags go on from the present number of links.
    ///
    /// # Panics
    ///
    /// If they are not all open in time.
    pub fn open(&mut self, count: usize, targets: &[Target], visitor: &mut impl Visitor) {
        self.open_at_once(count, targets, 128, visitor);
    }

    /// As [`Swarm::open`], with so many on their way at a time.
    ///
    /// # Panics
    ///
    /// If they are not all open in time.
    pub fn open_at_once(
        &mut self,
        count: usize,
        targets: &[Target],
        at_once: usize,
        visitor: &mut impl Visitor,
    ) {
        let (first, until) = (self.links.len(), Instant::now() + OPEN_TIMEOUT);
        let mut next = first;
        while next < first + count || self.opening > 0 {
            while self.opening < at_once && next < first + count {
                self.connect(&targets[next % targets.len()], next).expect("connects are taken");
                next += 1;
            }
            self.turn(Duration::from_millis(100), visitor);
            let open = self.links.len() - self.opening;
            assert!(Instant::now() < until, "{open} of {} clients are open", first + count);
        }
        assert_eq!(self.links.len(), first + count, "no client is closed while others open");
    }

    /// A link, to queue something on it; it is looked at in the next turn.
    ///
    /// # Panics
    ///
    /// If it is gone.
    pub fn link(&mut self, key: usize) -> &mut Link {
        self.pending.push(key);
        &mut self.links[key]
    }

    /// All links, to look at.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().map(|(_, link)| link)
    }

    /// How many links there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// How many links are not open yet.
    #[must_use]
    pub fn opening(&self) -> usize {
        self.opening
    }

    /// Whether a link is there.
    #[must_use]
    pub fn has(&self, key: usize) -> bool {
        self.links.contains(key)
    }

    /// Drops a link: the kernel sends a FIN, or a reset where bytes were not read.
    pub fn drop_link(&mut self, key: usize) {
        let link = self.links.remove(key);
        self.opening -= usize::from(!link.is_open());
    }

    /// Ends a link with a reset.
    pub fn reset(&mut self, key: usize) {
        socket::make_close_reset(&self.links[key].socket);
        self.drop_link(key);
    }

    /// Drops all links, with resets, so that no TIME-WAIT stays behind.
    pub fn reset_all(&mut self) {
        let keys: Vec<usize> = self.links.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.reset(key));
    }

    /// Waits for events, at most so long, and handles all that came.
    ///
    /// # Panics
    ///
    /// If the kernel's interface fails.
    pub fn turn(&mut self, timeout: Duration, visitor: &mut impl Visitor) {
        let timeout = if self.pending.is_empty() { timeout } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result.expect("the poll is ours"),
        }
        let pending = std::mem::take(&mut self.pending);
        pending.into_iter().for_each(|key| self.serve(key, visitor));
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if let Some(link) = self.links.get_mut(event.token().0) {
                link.note(event);
                self.serve(event.token().0, visitor);
            }
        }
        self.events = events;
    }

    /// Takes turns until something holds; false if it does not in time.
    pub fn run<V: Visitor>(
        &mut self,
        within: Duration,
        visitor: &mut V,
        mut holds: impl FnMut(&mut Self, &mut V) -> bool,
    ) -> bool {
        let until = Instant::now() + within;
        while !holds(self, visitor) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.turn(left.min(Duration::from_millis(20)), visitor);
        }
        true
    }

    /// Takes turns for so long.
    pub fn run_for(&mut self, time: Duration, visitor: &mut impl Visitor) {
        let never_holds = self.run(time, visitor, |_, _| false);
        debug_assert!(!never_holds);
    }

    fn serve(&mut self, key: usize, visitor: &mut impl Visitor) {
        let Some(link) = self.links.get_mut(key) else { return };
        let was_open = link.is_open();
        link.serve(&mut self.buffer, visitor);
        self.opening -= usize::from(!was_open && link.is_open());
        if let Some(end) = link.take_end() {
            visitor.ended(link, &end);
            self.drop_link(key);
        } else if link.has_more() {
            self.pending.push(key);
        }
    }
}

impl Default for Swarm {
    fn default() -> Self {
        Self::new()
    }
}
