//! The connections of one thread: opening them, sending on them, ending them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Interest, Registry, Token};
use slab::Slab;

use super::link::{Hearing, Link, State};
use super::ramp::Ramp;
use super::sources;
use super::tally::{Live, Tally};
use crate::clock::Clock;
use crate::target::Target;
use crate::wire;

/// Bytes that may wait for a connection whose peer does not take them; [`Net::is_choked`] says when
/// it is so.
const OUTGOING_BYTES_MAX: usize = 1 << 20;

/// Frames of so many bytes leave by themselves, as copying them behind others costs more than a
/// write does.
const AT_ONCE_BYTES: usize = 4096;

/// What a connection's events are about.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Connects begun in one go, before what has happened to others is looked at.
const BEGUN_AT_ONCE: usize = 256;

/// How a thread opens connections.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) target: Arc<Target>,
    pub(crate) timeout_ns: u64,
    /// Of one thread.
    pub(crate) under_way_max: usize,
    /// How long a thread sleeps before it looks again; zero is to be woken by what happens.
    pub(crate) nap: Duration,
}

/// How a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Leave {
    /// With a close frame, waiting for the server's
    Close,
    /// With a TCP reset, as a client whose network has gone
    Reset,
}

/// What has become of an attempt to connect once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It is under way.
    Begun,
    /// As many are under way as may be: to be tried again when one has settled.
    Later,
    /// The kernel has no socket or port for it.
    Failed,
}

/// One that has gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grave {
    pub(super) key: usize,
    pub(super) id: u32,
    pub(super) was_open: bool,
}

/// The connections of one thread.
pub(crate) struct Net {
    pub(crate) clock: Clock,
    /// When the bytes that are being handled were read.
    pub(crate) now_ns: u64,
    pub(crate) tally: Tally,
    pub(crate) live: Arc<Live>,
    pub(super) links: Slab<Link>,
    pub(super) ramp: Ramp,
    opening: Opening,
    registry: Registry,
    /// Until when those under way may take, in order.
    deadlines: VecDeque<(u64, usize, u32)>,
    /// Until when the server may answer our close frames, in order.
    closing_deadlines: VecDeque<(u64, usize, u32)>,
    /// What is to be written to `current` when its input is handled.
    scratch: Vec<u8>,
    current: Option<usize>,
    open: u64,
    closing: u64,
    /// Those that have gone and are still in `links`.
    graves: Vec<Grave>,
    next_id: u32,
    id_step: u32,
}

impl Net {
    /// Thread `index` of `threads`; its connections have the ids `index + n * threads`.
    pub(crate) fn new(
        opening: Opening,
        registry: Registry,
        live: Arc<Live>,
        clock: Clock,
        (index, threads): (usize, usize),
    ) -> Self {
        Self {
            clock,
            now_ns: clock.now_ns(),
            tally: Tally::default(),
            live,
            links: Slab::new(),
            ramp: Ramp::new(opening.under_way_max),
            opening,
            registry,
            deadlines: VecDeque::new(),
            closing_deadlines: VecDeque::new(),
            scratch: Vec::new(),
            current: None,
            open: 0,
            closing: 0,
            graves: Vec::new(),
            next_id: index as u32,
            id_step: threads as u32,
        }
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.opening.target
    }

    /// Whether a connection is open.
    pub(crate) fn is_open(&self, key: usize) -> bool {
        self.links.get(key).is_some_and(|link| link.state == State::Open)
    }

    /// The number of a connection among all of the crew.
    pub(crate) fn id(&self, key: usize) -> u32 {
        self.links[key].id
    }

    pub(crate) fn open_keys(&self) -> Vec<usize> {
        let open = self.links.iter().filter(|(_, link)| link.state == State::Open);
        open.map(|(key, _)| key).collect()
    }

    /// Stops to read from a connection.
    pub(crate) fn make_deaf(&mut self, key: usize) {
        self.links[key].hearing = Hearing::Deaf;
    }

    /// Reads from one again: an end that waits behind what was not read is only seen then.
    pub(crate) fn hear_again(&mut self, key: usize) -> io::Result<()> {
        let link = &mut self.links[key];
        link.hearing = Hearing::Again;
        // The poll has told of what is there already, and tells of it once more.
        self.registry.reregister(&mut link.socket, Token(key), INTEREST)
    }

    /// Sends one message; false if the connection is not open.
    pub(crate) fn send(&mut self, key: usize, opcode: u8, payload: &[u8]) -> bool {
        if !self.is_open(key) {
            return false;
        }
        if self.current == Some(key) {
            wire::put_frame(opcode, payload, &mut self.scratch);
            return true;
        }
        let mut frame = Vec::with_capacity(payload.len() + 14);
        wire::put_frame(opcode, payload, &mut frame);
        self.write(key, &frame)
    }

    /// Sends frames in one write; false if the connection is not open.
    pub(crate) fn send_frames(&mut self, key: usize, frames: &[u8]) -> bool {
        if !self.is_open(key) {
            return false;
        }
        if self.current == Some(key) && frames.len() < AT_ONCE_BYTES {
            self.scratch.extend_from_slice(frames);
            return true;
        }
        self.write(key, frames)
    }

    /// Whether so much waits for a connection that no more should be sent.
    pub(crate) fn is_choked(&self, key: usize) -> bool {
        self.links.get(key).is_some_and(|link| link.outgoing_bytes() > OUTGOING_BYTES_MAX)
    }

    /// Ends a connection from our side.
    pub(crate) fn leave(&mut self, key: usize, how: Leave) {
        if !self.is_open(key) {
            return;
        }
        match how {
            Leave::Close => {
                self.send(key, wire::CLOSE, &1000_u16.to_be_bytes());
                let link = &mut self.links[key];
                if link.state == State::Open {
                    link.state = State::Closing;
                    let deadline = self.clock.now_ns() + self.opening.timeout_ns;
                    self.closing_deadlines.push_back((deadline, key, link.id));
                    self.open -= 1;
                    self.closing += 1;
                    self.tally.closes += 1;
                }
            }
            Leave::Reset => {
                sources::make_close_reset(&self.links[key].socket);
                self.end(key, None);
            }
        }
    }

    /// Writes all that came up while the input of a connection was handled.
    pub(super) fn hold_writes(&mut self, key: usize) {
        self.current = Some(key);
    }

    pub(super) fn release_writes(&mut self) {
        let Some(key) = self.current.take() else { return };
        if self.scratch.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.scratch);
        if self.links.get(key).is_some_and(|link| link.state != State::Gone) {
            self.write(key, &bytes);
        }
        self.scratch = bytes;
        self.scratch.clear();
    }

    /// Begins the connects that are due.
    pub(super) fn begin_due(&mut self) {
        for _ in 0..BEGUN_AT_ONCE {
            let now = self.clock.now_ns();
            let Some(intended_ns) = self.ramp.begin(now) else { break };
            let id = self.next_id;
            self.next_id += self.id_step;
            self.tally.begun += 1;
            if let Err(error) = self.begin(id, intended_ns, now) {
                self.ramp.settled();
                self.tally.failed += 1;
                self.tally.count_error(&format!("connect: {}", describe(&error)));
            }
        }
    }

    /// Begins to connect once more as the client with this number.
    pub(crate) fn begin_again(&mut self, id: u32) -> Again {
        if !self.ramp.add() {
            return Again::Later;
        }
        let now = self.clock.now_ns();
        self.tally.begun += 1;
        match self.begin(id, now, now) {
            Ok(()) => Again::Begun,
            Err(error) => {
                self.ramp.settled();
                self.tally.failed += 1;
                self.tally.count_error(&format!("connect: {}", describe(&error)));
                Again::Failed
            }
        }
    }

    fn begin(&mut self, id: u32, intended_ns: u64, now_ns: u64) -> io::Result<()> {
        let address = self.opening.target.address;
        let mut socket = sources::connect(address, id)?;
        let entry = self.links.vacant_entry();
        self.registry.register(&mut socket, Token(entry.key()), INTEREST)?;
        self.deadlines.push_back((now_ns + self.opening.timeout_ns, entry.key(), id));
        entry.insert(Link::new(socket, id, intended_ns));
        Ok(())
    }

    /// Ends those that take too long to open, or to close.
    pub(super) fn expire(&mut self, now_ns: u64) {
        self.expire_closing(now_ns);
        while let Some((deadline, key, id)) = self.deadlines.front().copied() {
            let link = self.links.get(key).filter(|link| link.id == id);
            let is_opening =
                link.is_some_and(|link| matches!(link.state, State::Connecting | State::Upgrading));
            if is_opening && deadline > now_ns {
                break;
            }
            self.deadlines.pop_front();
            if is_opening {
                self.end(key, Some("connect: timed out"));
            }
        }
    }

    fn expire_closing(&mut self, now_ns: u64) {
        while let Some((deadline, key, id)) = self.closing_deadlines.front().copied() {
            let link = self.links.get(key).filter(|link| link.id == id);
            let is_closing = link.is_some_and(|link| link.state == State::Closing);
            if is_closing && deadline > now_ns {
                break;
            }
            self.closing_deadlines.pop_front();
            if is_closing {
                sources::make_close_reset(&self.links[key].socket);
                self.end(key, None);
            }
        }
    }

    pub(super) fn next_deadline_ns(&self) -> u64 {
        let fronts = [self.deadlines.front(), self.closing_deadlines.front()];
        let deadlines = fronts.into_iter().flatten().map(|(deadline, ..)| *deadline);
        deadlines.min().unwrap_or(u64::MAX)
    }

    /// The kernel has connected, or failed to: sends the request.
    pub(super) fn connected(&mut self, key: usize) {
        let link = &mut self.links[key];
        match link.socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => {
                self.end(key, Some(&format!("connect: {}", describe(&error))));
                return;
            }
        }
        link.state = State::Upgrading;
        let mut request = Vec::with_capacity(512);
        self.opening.target.write_request(link.id, &mut request);
        self.write(key, &request);
    }

    /// The handshake is done.
    pub(super) fn upgraded(&mut self, key: usize) {
        let link = &mut self.links[key];
        link.state = State::Open;
        let (id, intended_ns) = (link.id, link.extra().map_or(self.now_ns, |e| e.intended_ns));
        self.tally.connect.record(self.now_ns.saturating_sub(intended_ns));
        self.tally.opened += 1;
        self.open += 1;
        self.ramp.settled();
        let target = Arc::clone(self.target());
        let mut text = Vec::new();
        for template in &target.on_open {
            text.clear();
            template.write(id, b"", &mut text);
            self.send(key, wire::TEXT, &text);
        }
    }

    /// A connection is over; `why` counts as an error, none of it as our own will.
    pub(super) fn end(&mut self, key: usize, why: Option<&str>) {
        let link = &mut self.links[key];
        let state = std::mem::replace(&mut link.state, State::Gone);
        match state {
            State::Gone => return,
            State::Connecting | State::Upgrading => {
                self.ramp.settled();
                self.tally.failed += 1;
            }
            State::Open => {
                self.open -= 1;
                // One that does not read is expected to be ended.
                let has_read = link.hearing == Hearing::Always;
                self.tally.lost += u64::from(why.is_some() && has_read);
            }
            State::Closing => self.closing -= 1,
        }
        let why = match link.hearing {
            Hearing::Always => why,
            Hearing::Deaf | Hearing::HungUp | Hearing::Again => {
                why.map(|_| "ended by the server while not reading")
            }
        };
        let was_open = matches!(state, State::Open | State::Closing);
        self.graves.push(Grave { key, id: link.id, was_open });
        if let Some(why) = why.filter(|_| state != State::Closing) {
            self.tally.count_error(why);
        }
    }

    /// Frees one that has gone.
    pub(super) fn bury(&mut self) -> Option<Grave> {
        let grave = self.graves.pop()?;
        // Closing the descriptor takes it out of the poll.
        drop(self.links.remove(grave.key));
        Some(grave)
    }

    /// Writes what could not be written before.
    pub(super) fn flush(&mut self, key: usize) {
        if self.links[key].outgoing_bytes() == 0 {
            return;
        }
        let outgoing = std::mem::take(&mut self.links[key].extra_mut().outgoing);
        self.write(key, &outgoing);
    }

    fn write(&mut self, key: usize, bytes: &[u8]) -> bool {
        let link = &mut self.links[key];
        if link.outgoing_bytes() > 0 {
            link.extra_mut().outgoing.extend_from_slice(bytes);
            return true;
        }
        let mut written = 0;
        while written < bytes.len() {
            match link.socket.write(&bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    link.extra_mut().outgoing.extend_from_slice(&bytes[written..]);
                    return true;
                }
                Err(error) => {
                    self.end(key, Some(&format!("write: {}", describe(&error))));
                    return false;
                }
            }
        }
        true
    }

    /// Forgets the pings of all.
    pub(super) fn reset_pings(&mut self) {
        for (_, link) in &mut self.links {
            link.pings = 0;
        }
    }

    /// Pings of each open connection since the last reset: how many had how many.
    pub(super) fn count_pings(&self) -> Vec<u64> {
        let mut counts = Vec::new();
        for (_, link) in self.links.iter().filter(|(_, link)| link.state == State::Open) {
            let pings = usize::from(link.pings);
            if pings >= counts.len() {
                counts.resize(pings + 1, 0);
            }
            counts[pings] += 1;
        }
        counts
    }

    /// Makes all connections end with a reset when they are dropped: a million of them in TIME_WAIT
    /// would be in the way of the next run.
    pub(super) fn reset_all(&self) {
        for (_, link) in &self.links {
            sources::make_close_reset(&link.socket);
        }
    }

    /// Lets others see the counts.
    pub(super) fn publish(&self) {
        let set = |count: &std::sync::atomic::AtomicU64, value| {
            count.store(value, Ordering::Relaxed);
        };
        set(&self.live.opening, self.ramp.unfinished());
        set(&self.live.open, self.open);
        set(&self.live.closing, self.closing);
        set(&self.live.opened, self.tally.opened);
        set(&self.live.failed, self.tally.failed);
        set(&self.live.lost, self.tally.lost);
        set(&self.live.pings, self.tally.pings);
    }
}

/// The error without its number.
pub(super) fn describe(error: &io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
