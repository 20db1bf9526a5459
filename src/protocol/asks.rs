//! Questions of connections to others, and what waits for the answers.

use std::any::Any;
use std::collections::{HashMap, VecDeque};

use crate::id::ConnId;
use crate::limits::{PARKED_BYTES_MAX, QUESTIONS_MAX};
use crate::wire::Kind;

/// Names a question among those of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u32);

/// What is asked or answered: who asks and who answers know its type.
pub type Body = Box<dyn Any + Send>;

/// A question on its way.
#[derive(Debug)]
pub struct Question {
    /// Who asks; an answer to a connection that is gone means nothing.
    pub conn: ConnId,
    /// Which of its questions it is.
    pub ticket: Ticket,
    /// What is asked.
    pub body: Body,
    /// Bytes of memory that it takes, at least: a mailbox counts them.
    pub bytes: usize,
}

/// What became of a question: nothing if nobody answered in time.
pub type Answer = Option<Body>;

/// The open questions of a worker's connections. They are answered in the order in which each
/// connection has asked.
#[derive(Debug, Default)]
pub struct Asks {
    /// By slot.
    open: HashMap<u32, Open>,
    unsent: Vec<Question>,
    next: u32,
}

#[derive(Debug)]
struct Open {
    generation: u32,
    questions: VecDeque<(Ticket, State)>,
    /// Messages wait until this one is answered.
    parked_on: Option<Ticket>,
    /// Messages that came while the connection was parked.
    messages: VecDeque<(Kind, Box<[u8]>)>,
    bytes: usize,
}

#[derive(Debug)]
enum State {
    Open,
    Answered(Answer),
}

impl Asks {
    /// Asks, unless the connection has [`QUESTIONS_MAX`] questions open.
    pub(crate) fn ask(&mut self, conn: ConnId, body: Body) -> Option<Ticket> {
        self.ask_much(conn, body, 0)
    }

    /// As `ask`, of a body that has so many bytes beside its own size.
    pub(crate) fn ask_much(&mut self, conn: ConnId, body: Body, bytes: usize) -> Option<Ticket> {
        let bytes = bytes + size_of::<Question>();
        let open = self.open.entry(conn.index).or_insert_with(|| Open::new(conn));
        assert_eq!(open.generation, conn.generation, "who is gone was forgotten");
        if open.questions.len() == QUESTIONS_MAX {
            return None;
        }
        let ticket = Ticket(self.next);
        self.next = self.next.wrapping_add(1);
        open.questions.push_back((ticket, State::Open));
        self.unsent.push(Question { conn, ticket, body, bytes });
        Some(ticket)
    }

    /// Takes the questions that were asked since the last time, but for those of who is gone.
    pub fn take_unsent(&mut self) -> Vec<Question> {
        let mut unsent = std::mem::take(&mut self.unsent);
        unsent.retain(|question| self.of(question.conn).is_some());
        unsent
    }

    /// Whether anything was asked since the last time.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Has the messages of a connection wait for the answer to its last question; false if it asks
    /// nothing.
    pub fn park(&mut self, conn: ConnId) -> bool {
        let Some(open) = self.of_mut(conn) else { return false };
        open.parked_on = open.questions.back().map(|(ticket, _)| *ticket);
        open.parked_on.is_some()
    }

    /// Whether the messages of a connection have waited for this answer, and for no later one.
    pub fn unpark(&mut self, conn: ConnId, ticket: Ticket) -> bool {
        let open = self.of_mut(conn);
        open.is_some_and(|open| open.parked_on.take_if(|on| *on == ticket).is_some())
    }

    /// Whether a question waits for its answer.
    #[must_use]
    pub fn is_open(&self, conn: ConnId, ticket: Ticket) -> bool {
        self.of(conn).is_some_and(|open| {
            open.questions.iter().any(|(it, state)| *it == ticket && matches!(state, State::Open))
        })
    }

    /// Whether nobody asks anything.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How many connections wait for answers.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.len()
    }

    /// Whether a connection waits for any answer.
    #[must_use]
    pub fn is_asking(&self, conn: ConnId) -> bool {
        self.of(conn).is_some_and(|open| !open.questions.is_empty())
    }

    /// Notes an answer; false if nobody waits for it.
    pub fn answered(&mut self, conn: ConnId, ticket: Ticket, answer: Answer) -> bool {
        let Some(open) = self.of_mut(conn) else { return false };
        let question = open.questions.iter_mut().find(|(other, _)| *other == ticket);
        let Some((_, state @ State::Open)) = question else { return false };
        *state = State::Answered(answer);
        true
    }

    /// The answer to the first question of a connection, if it is there.
    pub fn next_answer(&mut self, conn: ConnId) -> Option<(Ticket, Answer)> {
        let open = self.of_mut(conn)?;
        match open.questions.pop_front()? {
            (ticket, State::Answered(answer)) => Some((ticket, answer)),
            open_one => {
                open.questions.push_front(open_one);
                None
            }
        }
    }

    /// Keeps a message of a connection that is parked.
    pub fn keep(&mut self, conn: ConnId, kind: Kind, payload: &[u8]) {
        let open = self.of_mut(conn).expect("who is parked has asked");
        open.bytes += payload.len() + size_of::<(Kind, Box<[u8]>)>();
        open.messages.push_back((kind, payload.into()));
    }

    /// Whether so much waits that no more should be read.
    #[must_use]
    pub fn is_full(&self, conn: ConnId) -> bool {
        self.of(conn).is_some_and(|open| open.bytes >= PARKED_BYTES_MAX)
    }

    /// The next message that was kept.
    pub fn next_message(&mut self, conn: ConnId) -> Option<(Kind, Box<[u8]>)> {
        let open = self.of_mut(conn)?;
        let message = open.messages.pop_front()?;
        open.bytes -= message.1.len() + size_of::<(Kind, Box<[u8]>)>();
        Some(message)
    }

    /// Keeps messages again that were kept for a connection elsewhere.
    pub(crate) fn keep_again(&mut self, conn: ConnId, kind: Kind, payload: &[u8]) {
        self.open.entry(conn.index).or_insert_with(|| Open::new(conn));
        self.keep(conn, kind, payload);
    }

    /// Whether messages of a connection were kept.
    #[must_use]
    pub fn has_messages(&self, conn: ConnId) -> bool {
        self.of(conn).is_some_and(|open| !open.messages.is_empty())
    }

    /// Bytes of memory that wait for a connection's answers.
    #[must_use]
    pub fn memory(&self, conn: ConnId) -> usize {
        self.of(conn).map_or(0, |open| open.bytes)
    }

    /// A connection waits for nothing more: it has gone, or has all that it asked for.
    pub fn forget(&mut self, conn: ConnId) {
        if self.of(conn).is_some() {
            self.open.remove(&conn.index);
        }
    }

    /// Frees memory that is not used.
    pub fn trim(&mut self, kept: usize) {
        self.open.shrink_to(kept);
    }

    fn of(&self, conn: ConnId) -> Option<&Open> {
        self.open.get(&conn.index).filter(|open| open.generation == conn.generation)
    }

    fn of_mut(&mut self, conn: ConnId) -> Option<&mut Open> {
        self.open.get_mut(&conn.index).filter(|open| open.generation == conn.generation)
    }
}

impl Open {
    fn new(conn: ConnId) -> Self {
        Self {
            generation: conn.generation,
            questions: VecDeque::new(),
            parked_on: None,
            messages: VecDeque::new(),
            bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnId = ConnId { index: 3, generation: 7 };
    const NEXT: ConnId = ConnId { index: 3, generation: 8 };

    fn number(answer: Answer) -> Option<u32> {
        answer.map(|body| *body.downcast::<u32>().expect("it is a number"))
    }

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let mut asks = Asks::default();
        let tickets: Vec<Ticket> =
            (0..3).map(|_| asks.ask(CONN, Box::new(())).expect("there is room")).collect();
        assert_eq!(asks.take_unsent().len(), 3);
        assert!(asks.answered(CONN, tickets[2], Some(Box::new(2_u32))));
        assert!(asks.answered(CONN, tickets[1], None));
        assert!(asks.next_answer(CONN).is_none(), "the first is open");
        assert!(asks.answered(CONN, tickets[0], Some(Box::new(0_u32))));
        assert!(!asks.answered(CONN, tickets[0], None), "once");
        let answers = std::iter::from_fn(|| asks.next_answer(CONN)).map(|(_, it)| number(it));
        assert_eq!(answers.collect::<Vec<_>>(), [Some(0), None, Some(2)]);
        assert!(!asks.is_asking(CONN));
    }

    #[test]
    fn messages_wait_for_the_answer_at_which_they_were_parked() {
        let mut asks = Asks::default();
        assert!(!asks.park(CONN), "it asks nothing");
        let [first, second] = [(); 2].map(|()| asks.ask(CONN, Box::new(())).expect("room"));
        assert!(asks.park(CONN));
        asks.keep(CONN, Kind::Text, b"kept");
        let third = asks.ask(CONN, Box::new(())).expect("room");
        assert!(!asks.unpark(CONN, first) && !asks.unpark(CONN, third));
        assert!(asks.is_open(CONN, second) && asks.answered(CONN, second, None));
        assert!(!asks.is_open(CONN, second));
        assert!(asks.unpark(CONN, second) && !asks.unpark(CONN, second), "once");
        assert!(asks.has_messages(CONN) && asks.next_message(CONN).is_some());
        assert!(!asks.has_messages(CONN));
    }

    #[test]
    fn nobody_asks_for_who_has_gone() {
        let mut asks = Asks::default();
        for conn in [CONN, ConnId { index: 4, generation: 0 }] {
            asks.ask(conn, Box::new(())).expect("room");
        }
        asks.forget(CONN);
        assert!(asks.has_unsent());
        let asked: Vec<u32> = asks.take_unsent().iter().map(|it| it.conn.index).collect();
        assert_eq!(asked, [4]);
        assert!(!asks.has_unsent());
    }

    #[test]
    fn an_answer_to_a_former_tenant_of_the_slot_means_nothing() {
        let mut asks = Asks::default();
        let ticket = asks.ask(CONN, Box::new(())).expect("there is room");
        asks.forget(CONN);
        assert!(asks.take_unsent().is_empty() && asks.is_empty());
        let other = asks.ask(NEXT, Box::new(())).expect("there is room");
        assert!(!asks.answered(CONN, ticket, None) && !asks.answered(CONN, other, None));
        asks.forget(CONN);
        assert!(asks.answered(NEXT, other, None));
    }

    #[test]
    fn questions_and_what_waits_for_them_are_bounded() {
        let mut asks = Asks::default();
        let asked = std::iter::from_fn(|| asks.ask(CONN, Box::new(()))).count();
        assert_eq!(asked, QUESTIONS_MAX);
        let mut kept = 0;
        while !asks.is_full(CONN) {
            asks.keep(CONN, Kind::Text, &[0; 100]);
            kept += 1;
        }
        assert!(kept * 100 <= PARKED_BYTES_MAX);
        assert_eq!(std::iter::from_fn(|| asks.next_message(CONN)).count(), kept);
        assert_eq!(asks.memory(CONN), 0);
    }
}
