//! The simulated network: links between clients and drivers, and the time.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::SimDriver;
use crate::driver::clock;

/// A seeded source of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// One connection of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkId(usize);

#[derive(Debug, Default)]
struct Link {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// Bytes that the client's side takes before it must read.
    window: usize,
    /// Bytes that it has taken.
    carried: u32,
    is_finished_by_client: bool,
    is_finished_by_server: bool,
    is_reset_by_client: bool,
    is_reset_by_server: bool,
}

#[derive(Debug, Default)]
struct Backlog {
    links: VecDeque<LinkId>,
    is_closed: bool,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    now: Instant,
    links: Vec<Link>,
    /// Connects that wait for each driver's accept.
    backlogs: Vec<Backlog>,
    /// Links on their way between drivers, behind a descriptor that stands for the socket.
    wrapped: HashMap<RawFd, LinkId>,
}

/// A network; clones are the same one.
#[derive(Clone, Debug)]
pub struct Net(Rc<RefCell<State>>);

/// A client's end of a link.
#[derive(Clone, Debug)]
pub struct Client {
    net: Net,
    link: LinkId,
}

/// Bytes that one receive brings at most.
const CUT_MAX: usize = 3000;

impl Net {
    /// A network whose every accident comes from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            rng: Rng::new(seed),
            now: clock::now(),
            links: Vec::new(),
            backlogs: Vec::new(),
            wrapped: HashMap::new(),
        })))
    }

    /// A new driver in this network.
    #[must_use]
    pub fn driver(&self) -> SimDriver {
        self.driver_with_budget(16)
    }

    /// A new driver that tells at most so many completions a turn.
    #[must_use]
    pub fn driver_with_budget(&self, budget: usize) -> SimDriver {
        let mut state = self.0.borrow_mut();
        state.backlogs.push(Backlog::default());
        SimDriver::new(self.clone(), state.backlogs.len() - 1, budget)
    }

    /// Connects to a driver, counted in the order they were made.
    #[must_use]
    pub fn connect(&self, driver: usize) -> Client {
        let mut state = self.0.borrow_mut();
        let window = 200 + state.rng.below(20_000);
        let link = LinkId(state.links.len());
        state.links.push(Link { window, ..Link::default() });
        let backlog = &mut state.backlogs[driver];
        if backlog.is_closed {
            state.links[link.0].is_reset_by_server = true;
        } else {
            backlog.links.push_back(link);
        }
        Client { net: self.clone(), link }
    }

    /// Lets time pass.
    pub fn advance(&self, span: Duration) {
        self.0.borrow_mut().now += span;
    }

    pub(super) fn now(&self) -> Instant {
        self.0.borrow().now
    }

    /// A number below a bound, from the network's seed.
    pub fn below(&self, bound: usize) -> usize {
        self.0.borrow_mut().rng.below(bound)
    }

    pub(super) fn accept(&self, driver: usize) -> Option<LinkId> {
        self.0.borrow_mut().backlogs[driver].links.pop_front()
    }

    /// Takes connects again.
    pub(super) fn open(&self, driver: usize) {
        self.0.borrow_mut().backlogs[driver].is_closed = false;
    }

    /// Refuses connects, also those that wait.
    pub(super) fn refuse(&self, driver: usize) {
        let mut state = self.0.borrow_mut();
        state.backlogs[driver].is_closed = true;
        while let Some(link) = state.backlogs[driver].links.pop_front() {
            state.links[link.0].is_reset_by_server = true;
        }
    }

    /// Some of what the client sent; nothing if nothing is there or it is late.
    pub(super) fn receive(&self, link: LinkId) -> Option<Vec<u8>> {
        let mut state = self.0.borrow_mut();
        let State { rng, links, .. } = &mut *state;
        let waiting = &mut links[link.0].to_server;
        if waiting.is_empty() || rng.one_in(4) {
            return None;
        }
        let cut = 1 + rng.below(waiting.len().min(CUT_MAX));
        Some(waiting.drain(..cut).collect())
    }

    /// Takes some of what the server sends.
    pub(super) fn carry(&self, link: LinkId, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let mut state = self.0.borrow_mut();
        let State { rng, links, .. } = &mut *state;
        let link = &mut links[link.0];
        if link.is_reset_by_client {
            return Err(ErrorKind::BrokenPipe);
        }
        let room = link.window.saturating_sub(link.to_client.len());
        let count = rng.below(bytes.len().min(room) + 1);
        link.to_client.extend(&bytes[..count]);
        link.carried = link.carried.wrapping_add(count as u32);
        Ok(count)
    }

    pub(super) fn carried(&self, link: LinkId) -> u32 {
        self.0.borrow().links[link.0].carried
    }

    pub(super) fn failure(&self, link: LinkId) -> Option<ErrorKind> {
        let is_reset = self.0.borrow().links[link.0].is_reset_by_client;
        is_reset.then_some(ErrorKind::ConnectionReset)
    }

    pub(super) fn is_finished_by_client(&self, link: LinkId) -> bool {
        let link = &self.0.borrow().links[link.0];
        link.is_finished_by_client && link.to_server.is_empty()
    }

    pub(super) fn has_input(&self, link: LinkId) -> bool {
        let link = &self.0.borrow().links[link.0];
        link.is_finished_by_client || !link.to_server.is_empty()
    }

    pub(super) fn has_bytes(&self, link: LinkId) -> bool {
        !self.0.borrow().links[link.0].to_server.is_empty()
    }

    pub(super) fn has_connects(&self, driver: usize) -> bool {
        !self.0.borrow().backlogs[driver].links.is_empty()
    }

    pub(super) fn finish_by_server(&self, link: LinkId) {
        self.0.borrow_mut().links[link.0].is_finished_by_server = true;
    }

    /// As the kernel does it: with input that was not read the client gets a reset, which may
    /// destroy what it has not read itself.
    pub(super) fn close_by_server(&self, link: LinkId) {
        let mut state = self.0.borrow_mut();
        let State { rng, links, .. } = &mut *state;
        let link = &mut links[link.0];
        if link.to_server.is_empty() {
            link.is_finished_by_server = true;
        } else {
            link.is_reset_by_server = true;
            let kept = rng.below(link.to_client.len() + 1);
            link.to_client.truncate(kept);
        }
    }

    pub(super) fn put_in(&self, link: LinkId) -> OwnedFd {
        let stand_in = File::open("/dev/null").expect("every Linux has it");
        self.0.borrow_mut().wrapped.insert(stand_in.as_raw_fd(), link);
        stand_in.into()
    }

    pub(super) fn take_out(&self, socket: &OwnedFd) -> Option<LinkId> {
        self.0.borrow_mut().wrapped.remove(&socket.as_raw_fd())
    }
}

impl Client {
    /// Sends.
    pub fn write(&self, bytes: &[u8]) {
        let mut state = self.net.0.borrow_mut();
        let link = &mut state.links[self.link.0];
        assert!(!link.is_finished_by_client, "nothing is sent behind a FIN");
        if !link.is_reset_by_server {
            link.to_server.extend(bytes);
        }
    }

    /// Takes everything that has come.
    #[must_use]
    pub fn read(&self) -> Vec<u8> {
        self.net.0.borrow_mut().links[self.link.0].to_client.drain(..).collect()
    }

    /// Sends a FIN.
    pub fn finish(&self) {
        self.net.0.borrow_mut().links[self.link.0].is_finished_by_client = true;
    }

    /// Sends a reset: what was under way in either direction is lost.
    pub fn reset(&self) {
        let mut state = self.net.0.borrow_mut();
        let link = &mut state.links[self.link.0];
        link.is_reset_by_client = true;
        link.to_server.clear();
    }

    /// Whether the server has sent a FIN or a reset and everything before it was read.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        let link = &self.net.0.borrow().links[self.link.0];
        link.to_client.is_empty() && (link.is_finished_by_server || link.is_reset_by_server)
    }

    /// Whether the server has sent a reset.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.net.0.borrow().links[self.link.0].is_reset_by_server
    }
}
