//! Those who stand outside: they publish, and answer what connections ask.
//!
//! Together they are one more participant of the workers' mail, behind a lock that no worker takes.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::driver::{self, EventWaker};
use crate::hub::{Interest, Sealed};
use crate::id::{ConnId, WorkerId};
use crate::protocol::{Answer, Body, Question, Ticket};
use crate::wire::deflate::Deflater;
use crate::wire::{Encoded, Kind};
use crate::worker::{Envelope, Inquired, Mail, Posted};

/// The mail of those outside.
#[derive(Clone, Debug)]
pub(super) struct Control(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    desk: Mutex<Desk>,
    interest: Arc<Interest>,
    waker: EventWaker,
}

/// What one thread at a time has.
#[derive(Debug)]
struct Desk {
    mail: Mail<EventWaker>,
    deflater: Option<Box<Deflater>>,
    /// Questions that were received and not told to anybody.
    asked: VecDeque<(WorkerId, Question)>,
    /// How many there are who are told.
    listeners: usize,
}

/// How long somebody sleeps here at once: where several do, the one that is woken may not be the
/// one that there is something for.
const NAP: Duration = Duration::from_millis(50);

/// Publishes, from any thread.
#[derive(Clone, Debug)]
pub struct Handle(Control);

/// Some worker does not keep up: nothing was published, try again in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// What connections ask. Where several threads have one, each question is told to one of them.
#[derive(Debug)]
pub struct Questions(Control);

/// A question, to be answered once; nobody answers one that is dropped.
#[derive(Debug)]
pub struct Asked {
    control: Control,
    worker: WorkerId,
    conn: ConnId,
    ticket: Ticket,
    body: Option<Body>,
    is_answered: bool,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a worker does not keep up")
    }
}

impl std::error::Error for Busy {}

impl Control {
    pub(super) fn new(mail: Mail<EventWaker>, interest: Arc<Interest>, waker: EventWaker) -> Self {
        let desk = Mutex::new(Desk { mail, deflater: None, asked: VecDeque::new(), listeners: 0 });
        Self(Arc::new(Inner { desk, interest, waker }))
    }

    pub(super) fn handle(&self) -> Handle {
        Handle(self.clone())
    }

    /// Asks a worker, if its mailbox has room.
    pub(super) fn inquire(&self, worker: usize, inquired: Inquired) -> Result<(), Busy> {
        self.desk().mail.inquire(worker, inquired).map(drop).ok_or(Busy)
    }

    /// Envelopes in the mailbox of a worker, and their bytes.
    pub(super) fn mailbox(&self, worker: usize) -> (usize, usize) {
        self.desk().mail.depth(worker)
    }

    /// Whether no worker is left.
    pub(super) fn has_ended(&self) -> bool {
        self.desk().mail.is_alone()
    }

    pub(super) fn questions(&self) -> Questions {
        let mut desk = self.desk();
        desk.listeners += 1;
        desk.mail.set_answering(true);
        Questions(self.clone())
    }

    /// Sleeps until there is what may be waited for, or for that long.
    fn nap(
        &self,
        span: Duration,
        may_sleep: impl FnOnce(&mut Mail<EventWaker>) -> bool,
    ) -> io::Result<()> {
        let may_sleep = may_sleep(&mut self.desk().mail);
        let result = if may_sleep { self.0.waker.wait(span) } else { Ok(()) };
        self.desk().mail.wake_up();
        result
    }

    /// A thread that panicked with the lock has left nothing half done that matters to others.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// Publishes a message to all who are subscribed to a topic, on every worker. Messages of one
    /// thread come to each of them in their order. When it returns every worker has it, or it waits
    /// in its mailbox: a full one is waited for.
    ///
    /// # Errors
    ///
    /// If some worker does not keep up with what other threads publish: try again in a moment.
    pub fn publish(&self, topic: &str, kind: Kind, payload: &[u8]) -> Result<(), Busy> {
        let mut must_wait = self.post(topic, [(kind, payload)])?;
        while must_wait {
            // Whatever poll(2) says, the next round looks again.
            let _ = self.0.nap(NAP, Mail::may_wait);
            must_wait = self.forward();
        }
        Ok(())
    }

    /// As [`Handle::publish`] of several messages at once, but it never waits: what finds a full
    /// mailbox lies here, and until [`Handle::forward`] has brought it on its way everybody is
    /// refused. All of it or nothing is published.
    ///
    /// # Errors
    ///
    /// If some worker does not keep up: nothing was published, try again in a moment.
    pub fn try_publish<'m>(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = (Kind, &'m [u8])>,
    ) -> Result<(), Busy> {
        self.post(topic, messages).map(drop)
    }

    /// Sends on what found a full mailbox; says whether some still waits.
    #[must_use]
    pub fn forward(&self) -> bool {
        let mail = &mut self.0.desk().mail;
        let _: Posted = mail.forward_all();
        mail.is_congested()
    }

    /// Whether some of it found a full mailbox, and waits here.
    fn post<'m>(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = (Kind, &'m [u8])>,
    ) -> Result<bool, Busy> {
        let Desk { mail, deflater, .. } = &mut *self.0.desk();
        let _: Posted = mail.forward_all();
        if mail.is_congested() {
            return Err(Busy);
        }
        let Some((topic, arrivals, workers)) = self.0.0.interest.find(topic) else {
            return Ok(false);
        };
        let mut frames = Encoded::default();
        messages.into_iter().for_each(|(kind, payload)| frames.push(kind, payload));
        frames.set_lane(topic.lane().cloned());
        if topic.is_deflating() && frames.is_worth_deflating() {
            // Or several workers would come to it at the same time.
            let _ = frames.prepare(deflater.get_or_insert_default());
        }
        let since = self.0.0.interest.micros(driver::now());
        let sealed = Sealed { topic, arrivals, since, frames: Arc::new(frames) };
        let _: Posted = mail.post(&sealed, workers.into_iter());
        Ok(mail.is_congested())
    }
}

impl Questions {
    /// The next question; nothing if none has come in that time, or in a moment: ask again.
    ///
    /// # Errors
    ///
    /// If the kernel's interface fails.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Option<Asked>> {
        if let Some(asked) = self.take() {
            return Ok(Some(asked));
        }
        self.0.nap(timeout.min(NAP), Mail::may_sleep)?;
        Ok(self.take())
    }

    /// Whether the server has ended: nobody asks any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let desk = self.0.desk();
        desk.asked.is_empty() && desk.mail.is_alone()
    }

    fn take(&mut self) -> Option<Asked> {
        let (worker, Question { conn, ticket, body, .. }) = self.0.desk().next_question()?;
        let control = self.0.clone();
        Some(Asked { control, worker, conn, ticket, body: Some(body), is_answered: false })
    }
}

/// Nobody answers what is asked from here on, nor what lies here, if this was the last.
impl Drop for Questions {
    fn drop(&mut self) {
        let mut desk = self.0.desk();
        desk.listeners -= 1;
        if desk.listeners > 0 {
            return;
        }
        desk.mail.set_answering(false);
        while let Some((worker, Question { conn, ticket, .. })) = desk.next_question() {
            let envelope = Envelope::Answer(conn, ticket, None);
            desk.mail.send(worker.index(), envelope, &mut Posted::default());
        }
    }
}

impl Desk {
    fn next_question(&mut self) -> Option<(WorkerId, Question)> {
        let Self { mail, asked, .. } = self;
        let _: Posted = mail.forward_all();
        if asked.is_empty()
            && let Some(Envelope::Ask(worker, questions)) = mail.receive()
        {
            asked.extend(questions.into_iter().map(|question| (worker, question)));
        }
        asked.pop_front()
    }
}

impl Asked {
    /// What is asked, if it is of this type.
    #[must_use]
    pub fn body<T: Any>(&self) -> Option<&T> {
        self.body.as_ref()?.downcast_ref()
    }

    /// Takes what is asked, if it is of this type.
    pub fn take_body<T: Any>(&mut self) -> Option<T> {
        match self.body.take()?.downcast() {
            Ok(body) => Some(*body),
            Err(other) => {
                self.body = Some(other);
                None
            }
        }
    }

    /// Answers.
    pub fn answer(mut self, body: impl Any + Send) {
        self.send(Some(Box::new(body)));
    }

    fn send(&mut self, answer: Answer) {
        self.is_answered = true;
        let envelope = Envelope::Answer(self.conn, self.ticket, answer);
        self.control.desk().mail.send(self.worker.index(), envelope, &mut Posted::default());
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_answered {
            self.send(None);
        }
    }
}
