//! Those outside, who are asked: they answer late, in another order, twice, or not at all.

use std::collections::HashMap;

use throng::driver::sim::{Rng, SimWaker};
use throng::hub::Sealed;
use throng::id::ConnId;
use throng::protocol::Ticket;
use throng::worker::{Envelope, Mail, Posted};

use super::ledger::Outcome;
use super::person::{Question, Told, is_late};
use crate::faults::Fault;

/// See the module.
pub(crate) struct Outside {
    mail: Mail<SimWaker>,
    rng: Rng,
    fault: Fault,
    /// Its mailbox may be full, since it is emptied now and then only.
    pub(crate) is_lazy: bool,
    open: Vec<Held>,
    /// What was answered, to be answered again.
    answered: Vec<Held>,
    fates: HashMap<(u32, u32), Fate>,
    /// Answers that mean nothing to anybody.
    pub(crate) stale: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    worker: usize,
    conn: ConnId,
    ticket: Ticket,
    question: Question,
}

/// What is done about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waits,
    Answered,
    /// Nobody answers, as is said or not.
    Nobody,
}

/// Answered questions that are remembered.
const ANSWERED_MAX: usize = 20;

impl Outside {
    pub(crate) fn new(mail: Mail<SimWaker>, mut rng: Rng, fault: Fault) -> Self {
        let is_lazy = fault == Fault::None && rng.one_in(3);
        mail.set_answering(true);
        let (open, answered) = (Vec::new(), Vec::new());
        Self { mail, rng, fault, is_lazy, open, answered, fates: HashMap::new(), stale: 0 }
    }

    /// Takes what was asked.
    pub(crate) fn collect(&mut self) {
        let _: Posted = self.mail.forward_all();
        while let Some(envelope) = self.mail.receive() {
            let Envelope::Ask(worker, questions) = envelope else {
                unreachable!("nothing else comes to it")
            };
            for throng::protocol::Question { conn, ticket, body, .. } in questions {
                let question = *body.downcast().expect("nothing else is asked");
                if self.fault == Fault::LostQuestion && self.rng.one_in(5) {
                    continue;
                }
                let worker = worker.index();
                self.open.push(Held { worker, conn, ticket, question });
                self.note(question, Fate::Waits);
            }
        }
        self.mail.call_waiting();
    }

    /// Answers something; whether there was anything.
    pub(crate) fn act(&mut self) -> bool {
        if self.open.is_empty() {
            return false;
        }
        if self.fault == Fault::FormerAsker {
            return self.answer_who_came_after();
        }
        let at = self.rng.below(self.open.len());
        let held = self.open.swap_remove(at);
        match self.rng.below(25) {
            0 => self.note(held.question, Fate::Nobody),
            1..=2 => {
                self.note(held.question, Fate::Nobody);
                self.send(held.worker, Envelope::Answer(held.conn, held.ticket, None));
            }
            _ => {
                self.note(held.question, Fate::Answered);
                self.tell(held, Told::Answer(held.question));
            }
        }
        if self.answered.len() < ANSWERED_MAX {
            self.answered.push(held);
        }
        true
    }

    /// Answers nobody: once more, or a connection of another generation, of which there is none
    /// before this and none yet behind it.
    pub(crate) fn disturb(&mut self) {
        let strange = |generation: u32, rng: &mut Rng| {
            generation.wrapping_add([u32::MAX, 1, 1 << 31][rng.below(3)])
        };
        let all = [&self.open[..], &self.answered[..]];
        let piece = all[self.rng.below(2)];
        if self.fault != Fault::None || piece.is_empty() {
            return;
        }
        let mut held = piece[self.rng.below(piece.len())];
        let is_again = self.answered.iter().any(|it| it.question == held.question);
        let is_silent = self.fates[&held.question.key()] == Fate::Nobody;
        if !is_again || is_silent {
            held.conn.generation = strange(held.conn.generation, &mut self.rng);
        }
        self.stale += 1;
        self.tell(held, Told::Stale);
    }

    /// Tells the answer of somebody who is gone to the one who has taken the slot.
    fn answer_who_came_after(&mut self) -> bool {
        let is_same = |a: &Held, b: &Held| (a.worker, a.conn.index) == (b.worker, b.conn.index);
        let is_after = |a: &Held, b: &Held| a.conn.generation < b.conn.generation;
        for held in self.answered.clone() {
            let mut later = self.open.iter().filter(|it| is_same(&held, it) && is_after(&held, it));
            if let Some(later) = later.next() {
                self.tell(*later, Told::Answer(held.question));
            }
        }
        if self.answered.len() == ANSWERED_MAX {
            self.answered.remove(0);
        }
        self.answered.push(self.open.remove(0));
        true
    }

    fn tell(&mut self, held: Held, told: Told) {
        let Held { worker, conn, ticket, .. } = held;
        self.send(worker, Envelope::Answer(conn, ticket, Some(Box::new(told))));
    }

    fn send(&mut self, worker: usize, envelope: Envelope) {
        self.mail.send(worker, envelope, &mut Posted::default());
    }

    fn note(&mut self, question: Question, fate: Fate) {
        self.fates.insert(question.key(), fate);
    }

    /// Whether a question of a client may have come to this.
    pub(crate) fn is_known(&self, id: u32, number: u32, outcome: Outcome) -> bool {
        match (self.fates.get(&(id, number)), outcome) {
            (_, Outcome::Open) => false,
            (fate, Outcome::Answered) => fate == Some(&Fate::Answered),
            (Some(Fate::Nobody), Outcome::Nobody(_)) => true,
            (Some(_), Outcome::Nobody(after)) => is_late(after),
            (None, Outcome::Nobody(_)) => self.is_lazy,
        }
    }

    /// Whether all that it has sent is in the mailboxes.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.mail.is_congested()
    }

    /// Puts mail of others into the mailbox of a worker, which has room for it.
    pub(crate) fn carry(&mut self, worker: usize, envelope: Envelope) {
        self.send(worker, envelope);
    }

    /// Gives a worker what was published for those who were there before.
    pub(crate) fn repeat(&mut self, worker: usize, sealed: Sealed) {
        self.send(worker, Envelope::Publish(sealed));
    }
}

impl Question {
    fn key(self) -> (u32, u32) {
        (self.id, self.number)
    }
}
