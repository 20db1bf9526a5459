//! What a protocol may touch beside what it knows of a connection.

use std::any::Any;
use std::collections::HashMap;
use std::time::Duration;

use super::asks::{Asks, Ticket};
use crate::config::Limits;
use crate::hub::{EdgeId, Hub, RoomId, TopicInfo};
use crate::id::ConnId;
use crate::limits::TOPIC_BYTES_MAX;
use crate::outgoing::{Outgoing, Pool};
use crate::stats::Counters;
use crate::websocket::{Compressor, put_message};
use crate::wire::Kind;

/// Parts of one worker, lent for one call. Nothing is delivered, sent or closed within the call:
/// what concerns others is staged, and carried out behind it in its order.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) conn: ConnId,
    /// The hub, for what is published.
    pub(crate) hub: &'a mut Hub,
    /// The head of what this connection is subscribed to.
    pub(crate) edges: EdgeId,
    /// What this connection has coming.
    pub(crate) out: Out<'a>,
    pub(crate) staged: &'a mut Staged,
    pub(crate) asks: &'a mut Asks,
    pub(crate) counters: &'a Counters,
    /// What it may take.
    pub(crate) limits: &'a Limits,
    /// What the call has cost beside the message itself, in units of a turn's budget.
    pub(crate) cost: usize,
    /// Where it has published last by the name of a topic.
    pub(crate) published: Option<RoomId>,
    /// What was to be given back at this moment.
    pub(crate) word: u64,
}

/// What one connection has coming, and what its messages are made with.
#[derive(Debug)]
pub struct Out<'a> {
    pub(crate) queue: &'a mut Option<Outgoing>,
    pub(crate) pool: &'a mut Pool,
    pub(crate) compressor: &'a mut Option<Box<Compressor>>,
    /// The window for compressed messages, as a power of two; 0 for none.
    pub(crate) window_bits: u8,
}

/// What a call has left to be done behind it, in order.
#[derive(Debug, Default)]
pub struct Staged(Vec<Step>);

/// Steps that there is room for between two calls.
const STEPS_KEPT: usize = 16;

/// One thing that is left to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The connection gets what is published in a topic from here on.
    Subscribe(String),
    /// It gets what was published there before, and nothing more.
    Unsubscribe(String),
    /// A message to the connection.
    Send(Kind, Vec<u8>),
    /// To be called again in that time, with a word.
    Wake(Duration, u64),
}

impl Staged {
    /// Whether nothing is.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many subscriptions are to begin.
    fn subscribes(&self) -> usize {
        self.0.iter().filter(|step| matches!(step, Step::Subscribe(_))).count()
    }

    /// How many subscriptions there are to be, of so many that there are and of which some are in
    /// `has`. A topic counts once, however often it comes and goes.
    fn subscriptions(&self, count: usize, has: impl Fn(&str) -> bool) -> usize {
        let mut last = HashMap::new();
        for step in &self.0 {
            match step {
                Step::Subscribe(topic) => last.insert(&**topic, true),
                Step::Unsubscribe(topic) => last.insert(&**topic, false),
                Step::Send(..) | Step::Wake(..) => None,
            };
        }
        let changes = last.into_iter().filter(|(topic, is_in)| has(topic) != *is_in);
        changes.fold(count, |count, (_, is_in)| if is_in { count + 1 } else { count - 1 })
    }

    /// Takes all of it, in order; [`Staged::give_back`] the list when it is done.
    pub fn take(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.0)
    }

    /// The next steps are kept in this memory.
    pub fn give_back(&mut self, mut list: Vec<Step>) {
        list.clear();
        list.shrink_to(STEPS_KEPT);
        self.0 = list;
    }
}

impl Context<'_> {
    /// Sends a message to this connection.
    #[inline]
    pub fn send(&mut self, kind: Kind, payload: &[u8]) {
        if self.staged.is_empty() {
            self.cost += self.out.send(kind, payload);
        } else {
            self.staged.0.push(Step::Send(kind, payload.to_vec()));
        }
    }

    /// Has [`crate::protocol::Protocol::due`] called once in that time, and not when it was to be
    /// called before.
    pub fn wake_in(&mut self, span: Duration) {
        self.wake_in_with(span, 0);
    }

    /// As `wake_in`, and [`Context::word`] is this word then: what a record has no place for.
    pub fn wake_in_with(&mut self, span: Duration, word: u64) {
        self.staged.0.push(Step::Wake(span, word));
    }

    /// In [`crate::protocol::Protocol::due`]: the word that was set with the moment; else 0.
    #[must_use]
    pub fn word(&self) -> u64 {
        self.word
    }

    /// Asks those outside, who answer by [`crate::server::Questions`]: see
    /// [`crate::protocol::Protocol::answer`]. Nothing if too many questions are open.
    pub fn ask(&mut self, body: impl Any + Send) -> Option<Ticket> {
        self.asks.ask(self.conn, Box::new(body))
    }

    /// Subscribes this connection to a topic, which is there as long as anybody is subscribed to
    /// it. It gets nothing that was published before, unless that waits for a delivery that is
    /// under way. False, and nothing is done, if it has as many as [`Limits::rooms_per_connection`]
    /// says, if this would be one topic more than [`Limits::rooms`], or if the name is longer than
    /// [`TOPIC_BYTES_MAX`].
    pub fn subscribe(&mut self, topic: &str) -> bool {
        let coming = self.staged.subscribes();
        let may = topic.len() <= TOPIC_BYTES_MAX
            && self.may_have_one_more(coming)
            && self.hub.interest().may_enter(topic, self.limits.rooms, coming);
        if may {
            self.staged.0.push(Step::Subscribe(topic.to_owned()));
        }
        may
    }

    /// Whether it has fewer topics than it may have, with what the call has left to be done. Who is
    /// far from the bound costs no walk over that.
    fn may_have_one_more(&self, coming: usize) -> bool {
        let count = self.hub.count(self.conn.index, self.edges);
        let max = self.limits.rooms_per_connection;
        let has = |topic: &str| self.hub.find(self.edges, topic).is_some();
        count + coming < max || self.staged.subscriptions(count, has) < max
    }

    /// Ends a subscription. What was published before comes before all that is sent from here on.
    pub fn unsubscribe(&mut self, topic: &str) {
        self.staged.0.push(Step::Unsubscribe(topic.to_owned()));
    }

    /// Whether it has not taken what was sent to it before: what is soon out of date can wait.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.out.queue.is_some()
    }

    /// The topic at the head of what this connection is subscribed to.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        let is_subscribed = self.edges != EdgeId::NONE;
        is_subscribed.then(|| self.hub.room_of(self.edges)).and_then(|room| self.hub.name(room))
    }

    /// What is known of a topic on all workers, if anybody is subscribed to it. It takes the lock
    /// that joins of a few topics take: not for every message.
    #[must_use]
    pub fn topic_info(&self, topic: &str) -> Option<TopicInfo> {
        self.hub.interest().info(topic)
    }

    /// Publishes a message to all who are subscribed to what this connection is subscribed to,
    /// itself included. Who has several topics says which: [`Context::publish_to`].
    #[inline]
    pub fn publish(&mut self, kind: Kind, payload: &[u8]) {
        if self.edges != EdgeId::NONE {
            self.counters.messages_encoded.add(1);
            self.hub.publish(self.edges, kind, payload);
        }
    }

    /// As `publish`, but this connection does not get it.
    pub fn publish_to_others(&mut self, kind: Kind, payload: &[u8]) {
        if self.edges != EdgeId::NONE {
            self.counters.messages_encoded.add(1);
            self.hub.publish_to_others(self.edges, self.conn, kind, payload);
        }
    }

    /// Publishes a message to all who are subscribed to a topic that this connection is subscribed
    /// to too; false if it is not.
    pub fn publish_to(&mut self, topic: &str, kind: Kind, payload: &[u8]) -> bool {
        let edge = self.hub.find(self.edges, topic);
        if let Some(edge) = edge {
            self.counters.messages_encoded.add(1);
            self.hub.publish(edge, kind, payload);
            self.published = Some(self.hub.room_of(edge));
        }
        edge.is_some()
    }
}

impl Out<'_> {
    /// Appends a message to what the connection has coming; gives what it costs to compress it.
    #[inline]
    pub(crate) fn send(&mut self, kind: Kind, payload: &[u8]) -> usize {
        let mut cost = 0;
        self.pool.append(self.queue, |out| {
            cost = put_message(out, kind, payload, self.window_bits, self.compressor);
        });
        cost
    }
}
