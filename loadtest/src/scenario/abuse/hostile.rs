//! The thread of all hostile connections: so many of each kind, each with another in its place when
//! it has ended.

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::kind::Kind;
use super::peer::{End, Flow, Peer};
use super::script::Script;
use super::tally::Tally;
use crate::engine::sources;

/// Between two looks at what has come and what is due.
const TICK: Duration = Duration::from_millis(10);

/// Bytes that all connections read into.
const BUFFER_BYTES: usize = 64 * 1024;

/// Full buffers read from one connection in a turn.
const READS_PER_TURN: usize = 4;

/// Unused allowance of a flood that is kept, in ticks: what comes late does not come at once.
const ALLOWANCE_TICKS_MAX: f64 = 10.0;

/// What the hostile connections are told.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) address: SocketAddr,
    /// Connections of each kind at the same time.
    pub(super) each: usize,
    /// Bytes a second of all floods together.
    pub(super) flood: usize,
}

/// They, in a thread of their own.
pub(super) struct Hostile {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<Tally>>>,
}

impl Hostile {
    /// Begins; there is a script for each kind.
    pub(super) fn start(plan: Plan, scripts: Vec<Script>) -> io::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let stopping = Arc::clone(&stop);
        let mut crowd = Crowd::new(plan, scripts)?;
        let builder = std::thread::Builder::new().name("hostile".into());
        let thread = builder.spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                crowd.turn()?;
            }
            Ok(crowd.finish())
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends all of them; gives what was found, by kind.
    pub(super) fn stop(self) -> Result<Vec<Tally>, String> {
        self.stop.store(true, Ordering::Relaxed);
        let result = self.thread.join().map_err(|_| "the hostile thread panicked".to_owned())?;
        result.map_err(|error| format!("the hostile thread: {error}"))
    }
}

/// A place for one connection of a kind.
enum Slot {
    /// The next one begins then.
    Free(Instant),
    Taken(Peer),
}

struct Crowd {
    plan: Plan,
    scripts: Vec<Script>,
    tallies: Vec<Tally>,
    poll: Poll,
    slots: Vec<Slot>,
    /// Connections begun, of each kind.
    begun: Vec<u32>,
    buffer: Vec<u8>,
    /// Bytes that each flooding connection may send now.
    allowance: f64,
    /// When the allowance grew last.
    grown: Instant,
}

impl Crowd {
    fn new(plan: Plan, scripts: Vec<Script>) -> io::Result<Self> {
        let now = Instant::now();
        let kinds = Kind::ALL.len();
        assert_eq!(scripts.len(), kinds, "each kind has a script");
        let slots = (0..kinds * plan.each).map(|_| Slot::Free(now)).collect();
        Ok(Self {
            plan,
            scripts,
            tallies: vec![Tally::default(); kinds],
            poll: Poll::new()?,
            slots,
            begun: vec![0; kinds],
            buffer: vec![0; BUFFER_BYTES],
            allowance: 0.0,
            grown: now,
        })
    }

    fn kind_of(&self, slot: usize) -> usize {
        slot / self.plan.each
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        match self.poll.poll(&mut events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            self.read(event.token().0);
        }
        self.grow_allowance();
        let now = Instant::now();
        for slot in 0..self.slots.len() {
            self.look_at(slot, now);
        }
        std::thread::sleep(TICK.saturating_sub(now.elapsed()));
        Ok(())
    }

    fn grow_allowance(&mut self) {
        let flooding = (Kind::FLOODS.len() * self.plan.each) as f64;
        let rate = self.plan.flood as f64 / flooding;
        let most = rate * TICK.as_secs_f64() * ALLOWANCE_TICKS_MAX;
        self.allowance = (rate * self.grown.elapsed().as_secs_f64()).min(most.max(1.0));
        self.grown = Instant::now();
    }

    fn look_at(&mut self, slot: usize, now: Instant) {
        let kind = self.kind_of(slot);
        match &mut self.slots[slot] {
            Slot::Free(due) if *due <= now => self.begin(slot, kind, now),
            Slot::Free(_) => {}
            Slot::Taken(peer) => {
                if std::mem::take(&mut peer.has_more) {
                    return self.read(slot);
                }
                let allowance = self.allowance.ceil() as usize;
                let (sent, flow) = peer.go_on(&self.scripts[kind], now, allowance);
                self.tallies[kind].sent_bytes += sent;
                if let Flow::Ended(end) = flow {
                    // Its last words.
                    self.read(slot);
                    self.end(slot, end);
                }
            }
        }
    }

    fn begin(&mut self, slot: usize, kind: usize, now: Instant) {
        let number = self.begun[kind];
        self.begun[kind] = number.wrapping_add(1);
        self.tallies[kind].begun += 1;
        let begun = sources::connect_from(self.plan.address, self.source(slot, number)).and_then(
            |mut socket| {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(&mut socket, Token(slot), interest)?;
                Ok(socket)
            },
        );
        match begun {
            Ok(socket) => {
                let firsts = &self.scripts[kind].firsts;
                let first = Arc::clone(&firsts[number as usize % firsts.len()]);
                self.slots[slot] = Slot::Taken(Peer::new(socket, first, now));
            }
            Err(_) => {
                self.tallies[kind].ended(End::NotConnected);
                self.slots[slot] = Slot::Free(now + self.scripts[kind].pause);
            }
        }
    }

    /// Where a connection comes from: each place has an address of its own, but for the connects
    /// that are about addresses.
    fn source(&self, slot: usize, number: u32) -> std::net::IpAddr {
        let first_of_many = (self.slots.len() + 1) as u32;
        let number = match Kind::ALL[self.kind_of(slot)] {
            Kind::ConnectsOfOne => 0,
            Kind::ConnectsOfMany => first_of_many.wrapping_add(number),
            _ => 1 + slot as u32,
        };
        sources::stranger(number)
    }

    fn read(&mut self, slot: usize) {
        for _ in 0..READS_PER_TURN {
            let Slot::Taken(peer) = &mut self.slots[slot] else { return };
            match peer.socket.read(&mut self.buffer) {
                Ok(0) => return self.end(slot, End::ByServer),
                Ok(count) => peer.listener.feed(&self.buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::NotConnected => return,
                Err(_) if !peer.is_connected => return self.end(slot, End::NotConnected),
                Err(_) => return self.end(slot, End::ByServer),
            }
        }
        // Edge-triggered: what is left is looked for with the next piece that is sent.
        if let Slot::Taken(peer) = &mut self.slots[slot] {
            peer.has_more = true;
        }
    }

    fn end(&mut self, slot: usize, end: End) {
        let kind = self.kind_of(slot);
        let free = Slot::Free(Instant::now() + self.scripts[kind].pause);
        let Slot::Taken(peer) = std::mem::replace(&mut self.slots[slot], free) else { return };
        self.tallies[kind].answered(peer.listener.answer);
        self.tallies[kind].ended(end);
        if end == End::ByUs {
            sources::make_close_reset(&peer.socket);
        }
    }

    /// Those that are there are reset.
    fn finish(mut self) -> Vec<Tally> {
        for slot in 0..self.slots.len() {
            self.read(slot);
            if let Slot::Taken(peer) = &self.slots[slot] {
                sources::make_close_reset(&peer.socket);
                self.end(slot, End::RunOver);
            }
        }
        self.tallies
    }
}
