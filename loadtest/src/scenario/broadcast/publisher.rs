//! The one thread that publishes: what it has promised to send, and when.
//!
//! Messages leave in groups of `--burst`, each group in one write of one publisher. The groups go
//! round the publishers, so that a message's index follows from its publisher and number.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::http::HttpOutlet;
use super::ledger::{Ledger, MESSAGES_MAX, PHASES};
use crate::engine::Net;
use crate::measure::histogram::Latencies;
use crate::stamp::Stamp;
use crate::template::Template;
use crate::wire;

/// What is to be published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Messages; whole groups are sent.
    pub(crate) messages: u64,
    /// No group begins after this moment.
    pub(crate) until_ns: u64,
    /// Between two groups by the clock; `None` is back to back, where the next group leaves when
    /// the last receiver has the one before.
    pub(crate) interval_ns: Option<f64>,
}

/// How messages look and where they leave.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) burst: u64,
    /// Bytes of a payload.
    pub(crate) size: usize,
    pub(crate) opcode: u8,
    pub(crate) template: Option<Template>,
    /// Where messages are posted, if clients do not publish them.
    pub(crate) http: Option<HttpOutlet>,
    /// How long the last receiver of a message may take.
    pub(crate) timeout_ns: u64,
}

/// The order of groups and publishers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) publishers: u64,
    pub(crate) burst: u64,
}

impl Order {
    /// Who publishes a group.
    pub(crate) fn publisher(self, group: u64) -> usize {
        (group % self.publishers) as usize
    }

    /// The index, among all, of a publisher's message.
    pub(crate) fn index(self, publisher: usize, number: u32) -> u64 {
        let number = u64::from(number);
        let group = number / self.burst * self.publishers + publisher as u64;
        group * self.burst + number % self.burst
    }
}

/// Carries out plans.
pub(crate) struct Publisher {
    ledger: Arc<Ledger>,
    shape: Shape,
    order: Order,
    /// Connections that publish, `None` for those that have gone.
    pub(crate) keys: Vec<Option<usize>>,
    plan: Option<Plan>,
    due_ns: f64,
    /// Messages left of the plan.
    left: u64,
    next_group: u64,
    /// The oldest message that is not complete.
    oldest: u64,
    /// From the intended time to the last receiver.
    pub(crate) to_last: [Latencies; PHASES],
    payload: Vec<u8>,
    message: Vec<u8>,
    frames: Vec<u8>,
}

/// How long to wait before a publisher whose writes are stuck is tried again.
const CHOKED_WAIT_NS: u64 = 1_000_000;

impl Publisher {
    pub(crate) fn new(ledger: Arc<Ledger>, shape: Shape) -> Self {
        let order = Order { publishers: ledger.publishers() as u64, burst: shape.burst };
        Self {
            ledger,
            shape,
            order,
            keys: Vec::new(),
            plan: None,
            due_ns: 0.0,
            left: 0,
            next_group: 0,
            oldest: 0,
            to_last: Default::default(),
            payload: Vec::new(),
            message: Vec::new(),
            frames: Vec::new(),
        }
    }

    pub(crate) fn begin(&mut self, plan: Plan, now_ns: u64) {
        self.due_ns = now_ns as f64;
        self.left = plan.messages;
        self.plan = Some(plan);
        self.ledger.is_awaited.store(plan.interval_ns.is_none(), Ordering::Release);
    }

    /// Does what is due, and says when it is due again.
    pub(crate) fn tick(&mut self, net: &mut Net) -> u64 {
        while let Some(plan) = self.plan {
            let now = net.clock.now_ns();
            let retry_ns = self.settle(now);
            let under_way = self.next_index() - self.oldest;
            if self.left == 0 || now >= plan.until_ns {
                if under_way == 0 {
                    self.end();
                }
                return retry_ns;
            }
            match plan.interval_ns {
                None if under_way > 0 => return retry_ns,
                Some(_) if self.due_ns > now as f64 => return retry_ns.min(self.due_ns as u64),
                // The intended time stays what it is.
                Some(_) if under_way + self.shape.burst > MESSAGES_MAX => return retry_ns,
                _ => {}
            }
            let intended_ns = plan.interval_ns.map_or(now, |_| self.due_ns as u64);
            if let Err(retry_ns) = self.publish_group(net, intended_ns) {
                return retry_ns;
            }
            self.due_ns += plan.interval_ns.unwrap_or(0.0);
        }
        u64::MAX
    }

    fn next_index(&self) -> u64 {
        self.next_group * self.shape.burst
    }

    fn end(&mut self) {
        self.plan = None;
        self.ledger.is_awaited.store(false, Ordering::Release);
        self.ledger.is_publishing.store(false, Ordering::Release);
    }

    /// Passes over what is complete or has taken too long. Gives when to look again at the latest.
    fn settle(&mut self, now_ns: u64) -> u64 {
        while self.oldest < self.next_index() {
            if let Some(took_ns) = self.ledger.completed_after_ns(self.oldest) {
                let phase = self.ledger.phase.load(Ordering::Acquire);
                if let Some(latencies) = self.to_last.get_mut(phase) {
                    latencies.record(took_ns);
                }
                self.ledger.complete.fetch_add(1, Ordering::AcqRel);
            } else {
                let deadline_ns = self.ledger.intended_ns(self.oldest) + self.shape.timeout_ns;
                if now_ns < deadline_ns {
                    return deadline_ns;
                }
                self.ledger.incomplete.fetch_add(1, Ordering::AcqRel);
            }
            self.oldest += 1;
        }
        u64::MAX
    }

    /// Sends one group, or says when to try again.
    fn publish_group(&mut self, net: &mut Net, intended_ns: u64) -> Result<(), u64> {
        if let Some(http) = self.shape.http.clone() {
            return self.post_group(net, &http, intended_ns);
        }
        let publisher = self.order.publisher(self.next_group);
        let key = self.keys.get(publisher).copied().flatten().filter(|key| net.is_open(*key));
        let Some(key) = key else {
            self.ledger.unpublished.fetch_add(self.left, Ordering::AcqRel);
            self.left = 0;
            return Ok(());
        };
        if net.is_choked(key) {
            return Err(net.clock.now_ns() + CHOKED_WAIT_NS);
        }
        self.frames.clear();
        for position in 0..self.shape.burst {
            self.compose(publisher, position, net.id(key), intended_ns);
            wire::put_frame(self.shape.opcode, &self.message, &mut self.frames);
        }
        self.group_sent();
        net.send_frames(key, &self.frames);
        Ok(())
    }

    fn post_group(&mut self, net: &Net, http: &HttpOutlet, intended_ns: u64) -> Result<(), u64> {
        if !http.has_room(self.shape.burst) {
            return Err(net.clock.now_ns() + CHOKED_WAIT_NS);
        }
        for position in 0..self.shape.burst {
            self.compose(0, position, 0, intended_ns);
            http.post(&self.message);
        }
        self.group_sent();
        Ok(())
    }

    fn group_sent(&mut self) {
        self.next_group += 1;
        self.left = self.left.saturating_sub(self.shape.burst);
    }

    /// Begins a message of the group that is next, and writes it to `message`.
    fn compose(&mut self, publisher: usize, position: u64, client: u32, intended_ns: u64) {
        let index = self.next_index() + position;
        let number = self.ledger.publish(index, publisher, intended_ns);
        debug_assert_eq!(self.order.index(publisher, number), index);
        let stamp = Stamp { sender: publisher as u32, number, time_ns: intended_ns };
        self.payload.clear();
        stamp.write_message(self.shape.size, &mut self.payload);
        self.message.clear();
        match &self.shape.template {
            None => self.message.extend_from_slice(&self.payload),
            Some(template) => template.write(client, &self.payload, &mut self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_follows_from_publisher_and_number() {
        for (publishers, burst) in [(1, 1), (1, 8), (3, 1), (4, 5)] {
            let order = Order { publishers, burst };
            let mut numbers = vec![0; publishers as usize];
            for index in 0..500 {
                let publisher = order.publisher(index / burst);
                assert_eq!(order.index(publisher, numbers[publisher]), index);
                numbers[publisher] += 1;
            }
        }
    }
}
