//! The worker's side of a script.

use std::collections::VecDeque;
use std::sync::MutexGuard;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use throng::limits::{QUESTION_TIMEOUT, QUESTIONS_MAX};
use throng::protocol::{Answer, Context, Flow, Ticket};
use throng::wire::{CloseCode, Kind};

use super::ledger::{Asked, Ledger, Outcome, Pad, Record};
use super::op::Op;
use super::{actor, topic_name};
use crate::faults::Fault;
use crate::message;

/// What is known of one connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Person {
    id: u32,
    /// Its questions, with what is to be done about the answer: who has any is not written out.
    #[serde(skip)]
    open: VecDeque<(Ticket, u32, Vec<Op>)>,
    /// The question that its messages wait for.
    #[serde(skip)]
    parked_on: Option<Ticket>,
    /// What is to be done when its moment has come.
    due: Vec<Op>,
    /// The next message is lost, by a fault.
    drops: bool,
}

/// What those outside are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) id: u32,
    pub(super) number: u32,
}

/// What they answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Answer(Question),
    /// Of a question that is open no more.
    Stale,
}

/// One call of the protocol.
pub(super) struct Call<'a, 'b> {
    ledger: MutexGuard<'a, Ledger>,
    person: &'a mut Person,
    cx: &'a mut Context<'b>,
    /// What it is subscribed to while the call lasts: changes are carried out behind it.
    topics: Vec<u8>,
    /// Changes of this call, whose publications are counted at its end.
    changed: Vec<u8>,
}

impl Person {
    pub(super) fn new(id: u32) -> Self {
        Self { id, open: VecDeque::new(), parked_on: None, due: Vec::new(), drops: false }
    }
}

impl<'a, 'b> Call<'a, 'b> {
    pub(super) fn new(pad: &'a Pad, person: &'a mut Person, cx: &'a mut Context<'b>) -> Self {
        let mut ledger = pad.ledger();
        let topics = ledger.record(person.id).topics.clone();
        Self { ledger, person, cx, topics, changed: Vec::new() }
    }

    pub(super) fn open(mut self) -> Flow {
        if let Some(topic) = super::first_topic(self.person.id) {
            self.record().topics.push(topic);
            self.topics.push(topic);
            self.note_change("joined", topic);
        }
        self.say("open", 0);
        self.perform(&[])
    }

    pub(super) fn message(mut self, kind: Kind, payload: &[u8]) -> Flow {
        if std::mem::take(&mut self.person.drops) {
            return Flow::Next;
        }
        let id = self.person.id;
        let first = if kind == Kind::Text { message::TEXT } else { message::BINARY };
        let number = self.record().handled;
        if message::parse(first, payload) != Some((id, number)) {
            self.broken("a message out of order", format_args!("{number} was next"));
        }
        if self.record().is_parked {
            self.broken("a message while it is parked", format_args!("{number}"));
        }
        self.record().handled += 1;
        let ops = self.ledger.scripts.get(&(id, number)).cloned().unwrap_or_default();
        self.perform(&ops)
    }

    pub(super) fn answer(mut self, ticket: Ticket, answer: Answer) -> Flow {
        let Some((next, number, ops)) = self.person.open.pop_front() else {
            self.broken("an answer to no question", format_args!("{ticket:?}"));
            return Flow::Next;
        };
        if next != ticket {
            self.broken("answers out of order", format_args!("{ticket:?} not {next:?}"));
        }
        let own = Question { id: self.person.id, number };
        let told = answer.map(|body| *body.downcast::<Told>().expect("nothing else is answered"));
        match told {
            Some(Told::Answer(question)) if question == own => {
                self.record().questions[number as usize].outcome = Outcome::Answered;
            }
            Some(other) => self.broken("an answer of another", format_args!("{other:?}")),
            None => {
                let after = self.ledger.now - self.record().questions[number as usize].at;
                self.record().questions[number as usize].outcome = Outcome::Nobody(after);
            }
        }
        let drops = self.ledger.fault == Fault::DroppedMessage;
        self.record().told += 1;
        let was_parked = self.person.parked_on.take_if(|on| *on == ticket).is_some();
        let record = self.record();
        record.is_parked &= !was_parked;
        self.person.drops = drops && was_parked;
        self.say("answer", 0);
        self.perform(&ops)
    }

    pub(super) fn due(mut self) -> Flow {
        let now = self.ledger.now;
        match self.record().due.take() {
            Some(at) if at <= now => {}
            at => self.broken("a call out of its time", format_args!("{at:?} at {now:?}")),
        }
        let ops = std::mem::take(&mut self.person.due);
        self.say("due", 0);
        self.perform(&ops)
    }

    fn perform(mut self, ops: &[Op]) -> Flow {
        let mut flow = Flow::Next;
        for op in ops {
            match op {
                Op::Say(length) => self.say("say", *length),
                Op::Subscribe(topic) => self.subscribe(*topic),
                Op::Unsubscribe(topic) => self.unsubscribe(*topic),
                Op::Publish { to_others, length } => self.publish(*to_others, *length),
                Op::PublishTo(topic, length) => self.publish_to(*topic, *length),
                Op::Ask(ops) => self.ask(ops),
                Op::Wake(span, ops) => self.wake(*span, ops),
                Op::Park => flow = Flow::Park,
                Op::Close => flow = Flow::Close(CloseCode::POLICY, "the script says so"),
            }
        }
        self.end(flow)
    }

    /// What was published within the call came before what is carried out behind it.
    fn end(mut self, flow: Flow) -> Flow {
        let changes: Vec<_> = self.changed.iter().map(|topic| self.ledger.change(*topic)).collect();
        let topics = self.record().topics.clone();
        let closing = topics.iter().map(|topic| self.ledger.change(*topic)).collect();
        let last = self.person.open.back().map(|(ticket, ..)| *ticket);
        let record = self.record();
        record.changes.extend(changes);
        match flow {
            Flow::Next => {}
            Flow::Park => {
                record.is_parked = last.is_some();
                self.person.parked_on = last;
                self.ledger.count("parked");
            }
            Flow::Close(..) => {
                record.closing = Some(closing);
                record.due = None;
                self.ledger.count("closed");
            }
        }
        flow
    }

    fn subscribe(&mut self, topic: u8) {
        self.cx.subscribe(&topic_name(topic));
        if self.record().topics.contains(&topic) {
            return self.say("still", 0);
        }
        self.record().topics.push(topic);
        self.note_change("joined", topic);
    }

    fn unsubscribe(&mut self, topic: u8) {
        let was_there = self.record().topics.contains(&topic);
        let fault = self.ledger.fault;
        self.record().topics.retain(|it| *it != topic);
        if fault == Fault::EarlyReply && was_there {
            self.note_change("left", topic);
        }
        if fault != Fault::LateDelivery {
            self.cx.unsubscribe(&topic_name(topic));
        }
        if fault != Fault::EarlyReply && was_there {
            self.note_change("left", topic);
        }
    }

    fn note_change(&mut self, what: &str, topic: u8) {
        let number = self.record().changes.len() + self.changed.len();
        self.changed.push(topic);
        let id = self.person.id;
        let serial = self.serial();
        self.ledger.count(what);
        self.send(&format!("{what} {id} {serial} {topic} {number}"), 0);
    }

    fn publish(&mut self, to_others: bool, length: usize) {
        let id = self.person.id;
        let head = match self.topics[..] {
            [] => return,
            [topic] => self.publication(topic, to_others),
            // Which one is the head it does not know, so nobody could say what is the newest of it.
            _ if self.topics.iter().any(|topic| self.ledger.is_lossy(*topic)) => return,
            _ => {
                let record = self.record();
                record.to_head += 1;
                format!("head {id} {} {to_others}", record.to_head)
            }
        };
        let text = actor::with_filler(&head, length);
        if to_others {
            self.cx.publish_to_others(Kind::Text, text.as_bytes());
        } else {
            self.cx.publish(Kind::Text, text.as_bytes());
        }
    }

    fn publication(&mut self, topic: u8, to_others: bool) -> String {
        let id = self.person.id;
        let before = self.ledger.publish(topic, id, to_others);
        format!("pub {id} {topic} {} {} {to_others}", before.all, before.own)
    }

    fn publish_to(&mut self, topic: u8, length: usize) {
        let is_member = self.topics.contains(&topic);
        let head = if is_member { self.publication(topic, false) } else { "nothing".to_owned() };
        let text = actor::with_filler(&head, length);
        let is_published = self.cx.publish_to(&topic_name(topic), Kind::Text, text.as_bytes());
        if is_published != is_member && self.ledger.fault != Fault::LateDelivery {
            self.broken("a topic of its own", format_args!("{topic} {is_member}"));
        }
    }

    fn ask(&mut self, ops: &[Op]) {
        let (id, now) = (self.person.id, self.ledger.now);
        let number = self.record().questions.len() as u32;
        let has_room = self.person.open.len() < QUESTIONS_MAX;
        let ticket = self.cx.ask(Question { id, number });
        if ticket.is_some() != has_room {
            self.broken("room for a question", format_args!("{has_room}"));
        }
        let Some(ticket) = ticket else { return self.say("full", 0) };
        self.record().questions.push(Asked { at: now, outcome: Outcome::Open });
        self.person.open.push_back((ticket, number, ops.to_vec()));
    }

    fn wake(&mut self, span: Duration, ops: &[Op]) {
        self.cx.wake_in(span);
        self.person.due = ops.to_vec();
        let due = self.ledger.now + span;
        self.record().due = Some(due);
    }

    fn say(&mut self, what: &str, length: usize) {
        let id = self.person.id;
        let serial = self.serial();
        self.ledger.count(what);
        self.send(&format!("{what} {id} {serial}"), length);
    }

    fn send(&mut self, head: &str, length: usize) {
        let text = actor::with_filler(head, length);
        self.cx.send(Kind::Text, text.as_bytes());
    }

    fn serial(&mut self) -> u32 {
        let record = self.record();
        record.said += 1;
        record.said - 1
    }

    fn record(&mut self) -> &mut Record {
        let id = self.person.id;
        self.ledger.record(id)
    }

    fn broken(&mut self, what: &str, how: std::fmt::Arguments<'_>) {
        let id = self.person.id;
        self.ledger.broken.push(format!("script {id}: {what}: {how}"));
    }
}

/// Whether it is no wonder that nobody has answered.
pub(super) fn is_late(after: Duration) -> bool {
    after >= QUESTION_TIMEOUT
}
