//! Clients that read nothing from their upgrade on until they are told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::{Behaviour, Leave, Net};
use crate::scenario::broadcast::ledger::Ledger;
use crate::stamp::StampReader;

/// Codes and reasons of closes that are told apart; those beyond are counted as one.
const CLOSES_MAX: usize = 16;

/// Bytes of a close frame's reason that are kept.
const REASON_BYTES_MAX: usize = 123;

/// What they are told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// They read what waits for them.
    Read,
    /// Those that are still there go.
    Leave,
}

/// What was found when they read.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) clients: u64,
    /// Ended by the server before they read, as far as that could be seen.
    pub(super) hung_up: u64,
    /// Ended by the server with a close frame, by code and reason.
    pub(super) closed: BTreeMap<(u16, String), u64>,
    /// Ended by the server without one.
    pub(super) cut: u64,
    /// Open to the end, and had the newest message.
    pub(super) kept: u64,
    /// Open, and had not got the newest in time.
    pub(super) behind: u64,
    /// Had the newest message, whether ended or not.
    pub(super) newest: u64,
    pub(super) received: u64,
    /// Messages that were jumped over before a later one came.
    pub(super) dropped: u64,
    /// Clients of which that was so.
    pub(super) with_gaps: u64,
    /// Messages that came twice or behind a later one.
    pub(super) disordered: u64,
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It reads nothing, or what waits for it.
    #[default]
    Unsettled,
    /// It reads, and has the newest message.
    UpToDate,
    /// The server's close frame came.
    Closed,
    /// We have ended it.
    LetGo { was_up_to_date: bool },
}

#[derive(Clone, Copy, Debug, Default)]
struct Client {
    state: State,
    /// The number that is due.
    next: u32,
    has_gaps: bool,
}

/// See the module.
pub(super) struct Stalled {
    ledger: Arc<Ledger>,
    unsettled: Arc<AtomicU64>,
    clients: Vec<Client>,
    stamps: StampReader,
    is_reading: bool,
    outcome: Outcome,
}

impl Stalled {
    pub(super) fn new(ledger: Arc<Ledger>, unsettled: Arc<AtomicU64>) -> Self {
        Self {
            ledger,
            unsettled,
            clients: Vec::new(),
            stamps: StampReader::default(),
            is_reading: false,
            outcome: Outcome::default(),
        }
    }

    /// The number after the newest; there is one publisher.
    fn end(&self) -> u32 {
        self.ledger.next_number(0)
    }

    /// Whether one that reads has all that it can get.
    fn settle_if_up_to_date(&mut self, key: usize) {
        let client = self.clients[key];
        if self.is_reading && client.state == State::Unsettled && client.next >= self.end() {
            self.settle(key, State::UpToDate);
        }
    }

    fn settle(&mut self, key: usize, state: State) {
        if self.clients[key].state == State::Unsettled {
            self.unsettled.fetch_sub(1, Ordering::AcqRel);
        }
        self.clients[key].state = state;
    }

    fn read(&mut self, net: &mut Net) {
        self.is_reading = true;
        for key in net.open_keys() {
            self.settle_if_up_to_date(key);
            if let Err(error) = net.hear_again(key) {
                // What becomes of it stays unknown, and it counts as one that is behind.
                net.tally.count_error(&format!("reading again: {error}"));
            }
        }
    }

    fn leave(&mut self, net: &mut Net) {
        self.is_reading = false;
        for key in net.open_keys() {
            let was_up_to_date = self.clients[key].state == State::UpToDate;
            self.settle(key, State::LetGo { was_up_to_date });
            net.leave(key, Leave::Reset);
        }
    }
}

impl Behaviour for Stalled {
    type Order = Order;
    type Outcome = Outcome;

    fn opened(&mut self, net: &mut Net, key: usize) {
        if key >= self.clients.len() {
            self.clients.resize(key + 1, Client::default());
        }
        self.clients[key] = Client { next: self.end(), ..Client::default() };
        self.unsettled.fetch_add(1, Ordering::AcqRel);
        self.outcome.clients += 1;
        net.make_deaf(key);
    }

    fn message(&mut self, net: &mut Net, key: usize, payload: &[u8]) {
        let Some(stamp) = self.stamps.find(payload).filter(|stamp| stamp.sender == 0) else {
            net.tally.unknown += 1;
            return;
        };
        self.outcome.received += 1;
        let client = &mut self.clients[key];
        if stamp.number < client.next {
            self.outcome.disordered += 1;
            return;
        }
        let gap = stamp.number - client.next;
        self.outcome.dropped += u64::from(gap);
        self.outcome.with_gaps += u64::from(gap > 0 && !client.has_gaps);
        client.has_gaps |= gap > 0;
        client.next = stamp.number + 1;
        self.settle_if_up_to_date(key);
    }

    fn closed(&mut self, _net: &mut Net, key: usize, code: u16, reason: &[u8]) {
        self.settle(key, State::Closed);
        let reason = &reason[..reason.len().min(REASON_BYTES_MAX)];
        let reason = String::from_utf8_lossy(reason).into_owned();
        self.outcome.count_close(code, reason, 1);
    }

    fn hung_up(&mut self, _net: &mut Net, _key: usize) {
        self.outcome.hung_up += 1;
    }

    fn gone(&mut self, _net: &mut Net, key: usize) {
        let client = self.clients[key];
        let was_newest = client.next >= self.end();
        self.outcome.newest += u64::from(was_newest);
        match client.state {
            State::Closed => {}
            State::Unsettled | State::UpToDate => {
                self.settle(key, State::LetGo { was_up_to_date: was_newest });
                self.outcome.cut += 1;
            }
            State::LetGo { was_up_to_date: true } => self.outcome.kept += 1,
            State::LetGo { was_up_to_date: false } => self.outcome.behind += 1,
        }
    }

    fn order(&mut self, net: &mut Net, order: Order) {
        match order {
            Order::Read => self.read(net),
            Order::Leave => self.leave(net),
        }
    }

    fn finish(self, _net: &mut Net) -> Outcome {
        self.outcome
    }
}

impl Outcome {
    fn count_close(&mut self, code: u16, reason: String, count: u64) {
        let key = (code, reason);
        let is_known = self.closed.contains_key(&key) || self.closed.len() < CLOSES_MAX;
        let key = if is_known { key } else { (code, "other reasons".to_owned()) };
        *self.closed.entry(key).or_default() += count;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.clients += other.clients;
        self.hung_up += other.hung_up;
        self.cut += other.cut;
        self.kept += other.kept;
        self.behind += other.behind;
        self.newest += other.newest;
        self.received += other.received;
        self.dropped += other.dropped;
        self.with_gaps += other.with_gaps;
        self.disordered += other.disordered;
        for ((code, reason), count) in &other.closed {
            self.count_close(*code, reason.clone(), *count);
        }
    }

    /// Those that the server has ended, in whichever way.
    pub(super) fn ended(&self) -> u64 {
        self.cut + self.closed.values().sum::<u64>()
    }

    /// Those whose close frame had this code.
    pub(super) fn closed_with(&self, code: u16) -> u64 {
        self.closed.iter().filter(|((other, _), _)| *other == code).map(|(_, count)| count).sum()
    }
}
