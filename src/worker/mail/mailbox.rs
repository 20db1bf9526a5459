//! Mail between workers: mailboxes bounded by envelopes and by bytes, and an outbox for each that
//! is full.
//!
//! Nothing overtakes an outbox and nothing is dropped. While any outbox holds something the worker
//! takes no more from those who publish ([`Mail::is_congested`]), so an outbox holds at most what
//! one turn published. Draining never waits for sending, so two workers that write to each other
//! cannot block one another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, never};

use crate::driver::Wake;
use crate::hub::Sealed;
use crate::id::{ConnId, WorkerId};
use crate::limits::MAILBOX_BYTES_MAX;
use crate::protocol::{Answer, Question, Ticket};
use crate::worker::inquiry::Inquired;
use crate::worker::mail::doorbell::Doorbell;
use crate::worker::mail::waiters::Waiters;

/// What lies in a mailbox.
#[derive(Debug)]
pub enum Envelope {
    /// For the members of a room.
    Publish(Sealed),
    /// What a worker's connections asked in one turn.
    Ask(WorkerId, Vec<Question>),
    /// What became of a question.
    Answer(ConnId, Ticket, Answer),
    /// What those outside ask of a worker.
    Inquire(Box<Inquired>),
}

impl Envelope {
    /// What it counts against the bytes of a mailbox.
    fn bytes(&self) -> usize {
        match self {
            Self::Publish(sealed) => sealed.frames.weight(),
            Self::Ask(_, questions) => questions.iter().map(|question| question.bytes).sum(),
            Self::Answer(..) | Self::Inquire(_) => size_of::<Self>(),
        }
    }
}

/// Bytes of the envelopes in a mailbox. A sender reserves before it puts, the worker gives back
/// after it has taken. Below the bound an envelope of any size goes in, so that "full" means the
/// same for everybody.
#[derive(Debug, Default)]
struct Weight {
    bytes: AtomicUsize,
    /// The worker has stopped, and will give nothing back.
    is_void: AtomicBool,
}

impl Weight {
    /// Whether there is room, which is taken then.
    fn reserve(&self, bytes: usize) -> bool {
        let grown = |has: usize| (has < MAILBOX_BYTES_MAX).then(|| has + bytes);
        let result = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        result.is_ok() || self.is_void.load(Ordering::Acquire)
    }

    fn give_back(&self, bytes: usize) {
        // Of one that has stopped more may come back than was reserved.
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= MAILBOX_BYTES_MAX
            && !self.is_void.load(Ordering::Acquire)
    }
}

/// Where others leave mail for one worker.
#[derive(Clone, Debug)]
pub struct Address<W> {
    sender: Sender<Envelope>,
    weight: Arc<Weight>,
    doorbell: Arc<Doorbell>,
    /// Who found the mailbox full and waits for room in it.
    waiters: Arc<Waiters>,
    /// Somebody is there who answers questions.
    is_answering: Arc<AtomicBool>,
    waker: W,
}

/// One worker's mailbox and what it has for others.
#[derive(Debug)]
pub struct Mail<W> {
    id: WorkerId,
    receiver: Receiver<Envelope>,
    addresses: Arc<[Address<W>]>,
    outboxes: Vec<VecDeque<Envelope>>,
    /// Envelopes in all outboxes.
    held: usize,
    /// These are the first of the addresses.
    workers: usize,
}

/// What posting came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Posted {
    /// Envelopes that went into a mailbox.
    pub envelopes: u64,
    /// Workers that were woken.
    pub wakes: u64,
    /// Envelopes that had to wait.
    pub full: u64,
}

/// Makes the mailboxes of workers with these wakers.
#[must_use]
pub fn mailboxes<W: Wake>(wakers: &[W], capacity: usize) -> Vec<Mail<W>> {
    make(wakers, wakers.len(), capacity)
}

/// As `mailboxes`, and one for the thread that stands outside: it publishes, and is asked.
#[must_use]
pub fn mailboxes_and_control<W: Wake>(
    wakers: &[W],
    control: W,
    capacity: usize,
) -> (Vec<Mail<W>>, Mail<W>) {
    let all: Vec<W> = wakers.iter().cloned().chain([control]).collect();
    let mut mail = make(&all, wakers.len(), capacity);
    let control = mail.pop().expect("it is the last");
    (mail, control)
}

fn make<W: Wake>(wakers: &[W], workers: usize, capacity: usize) -> Vec<Mail<W>> {
    let (senders, receivers): (Vec<_>, Vec<_>) = wakers.iter().map(|_| bounded(capacity)).unzip();
    let addresses = senders.into_iter().zip(wakers).map(|(sender, waker)| Address {
        sender,
        weight: Arc::default(),
        doorbell: Arc::default(),
        waiters: Arc::new(Waiters::new(wakers.len())),
        is_answering: Arc::default(),
        waker: waker.clone(),
    });
    let addresses: Arc<[_]> = addresses.collect();
    let mail = receivers.into_iter().enumerate().map(|(id, receiver)| Mail {
        id: WorkerId(id as u16),
        receiver,
        addresses: Arc::clone(&addresses),
        outboxes: wakers.iter().map(|_| VecDeque::new()).collect(),
        held: 0,
        workers,
    });
    mail.collect()
}

impl<W: Wake> Address<W> {
    /// Whether no envelope would go in. A worker that has stopped takes all.
    fn is_full(&self) -> bool {
        self.sender.is_full() || self.weight.is_full()
    }

    fn ring(&self) -> bool {
        let must = self.doorbell.must_ring();
        if must {
            self.waker.wake();
        }
        must
    }
}

impl<W: Wake> Mail<W> {
    /// Sends what was published to these other workers.
    pub fn post(&mut self, sealed: &Sealed, targets: impl Iterator<Item = WorkerId>) -> Posted {
        let mut posted = Posted::default();
        for to in targets {
            debug_assert!(to != self.id, "its own it has already");
            self.send(to.index(), Envelope::Publish(sealed.clone()), &mut posted);
        }
        posted
    }

    /// Sends questions to whoever answers them; gives them back if there is nobody, or no room:
    /// they never wait here, so those outside cannot keep a worker waiting.
    ///
    /// # Errors
    ///
    /// The questions.
    pub fn ask(&mut self, questions: Vec<Question>) -> Result<Posted, Vec<Question>> {
        let control = self.workers;
        if control == self.addresses.len() {
            return Err(questions);
        }
        let address = &self.addresses[control];
        if !address.is_answering.load(Ordering::Acquire) {
            return Err(questions);
        }
        match put(address, Envelope::Ask(self.id, questions)) {
            Ok(()) => Ok(Posted { envelopes: 1, wakes: u64::from(address.ring()), full: 0 }),
            Err(Envelope::Ask(_, questions)) => Err(questions),
            Err(_) => unreachable!("what was put comes back"),
        }
    }

    /// Asks a worker, if its mailbox has room: what waits for it does not matter. Nothing if it is
    /// full.
    pub fn inquire(&mut self, to: usize, inquired: Inquired) -> Option<Posted> {
        let address = &self.addresses[to];
        put(address, Envelope::Inquire(Box::new(inquired))).ok()?;
        Some(Posted { envelopes: 1, wakes: u64::from(address.ring()), full: 0 })
    }

    /// Envelopes that lie in a worker's mailbox, and their bytes.
    #[must_use]
    pub fn depth(&self, of: usize) -> (usize, usize) {
        let Address { sender, weight, .. } = &self.addresses[of];
        (sender.len(), weight.bytes.load(Ordering::Relaxed))
    }

    /// Sends an envelope to one worker, behind everything that waits for it.
    pub fn send(&mut self, to: usize, envelope: Envelope, posted: &mut Posted) {
        self.outboxes[to].push_back(envelope);
        self.held += 1;
        self.forward(to, posted);
    }

    /// Sends what waits in outboxes, as far as there is room.
    pub fn forward_all(&mut self) -> Posted {
        let mut posted = Posted::default();
        if self.held > 0 {
            for to in 0..self.outboxes.len() {
                self.forward(to, &mut posted);
            }
        }
        posted
    }

    /// Whether some worker does not keep up and publishers must wait.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.held > 0
    }

    /// The next envelope for this worker.
    pub fn receive(&mut self) -> Option<Envelope> {
        let envelope = self.receiver.try_recv().ok()?;
        self.addresses[self.id.index()].weight.give_back(envelope.bytes());
        Some(envelope)
    }

    /// Says whether questions that come here are answered; else nobody need ask.
    pub fn set_answering(&self, is_answering: bool) {
        self.addresses[self.id.index()].is_answering.store(is_answering, Ordering::Release);
    }

    /// Whether every worker has stopped, so that no mail comes any more.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        let mut workers = self.addresses[..self.workers].iter();
        workers.all(|address| address.weight.is_void.load(Ordering::Acquire))
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The worker that this is the mail of.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// After receiving: wakes those who found the mailbox full.
    pub fn call_waiting(&self) -> u64 {
        let mut wakes = 0;
        self.addresses[self.id.index()].waiters.call(|sender| {
            wakes += u64::from(self.addresses[sender].ring());
        });
        wakes
    }

    /// The worker has stopped: what is in its mailbox is thrown away, as all that comes will be,
    /// and nobody waits for room in it any longer.
    pub fn close(&mut self) -> u64 {
        self.receiver = never();
        self.addresses[self.id.index()].weight.is_void.store(true, Ordering::Release);
        self.call_waiting()
    }

    /// Says that the worker will sleep; it must not if this is false.
    #[must_use]
    pub fn may_sleep(&mut self) -> bool {
        self.fall_asleep(Self::is_at_rest)
    }

    /// As [`Mail::may_sleep`], for who waits for room alone, whatever lies in its own mailbox.
    #[must_use]
    pub fn may_wait(&mut self) -> bool {
        self.fall_asleep(Self::lacks_room)
    }

    /// Says so first and looks then, or what comes between would wake nobody.
    fn fall_asleep(&mut self, may: impl FnOnce(&Self) -> bool) -> bool {
        self.addresses[self.id.index()].doorbell.fall_asleep();
        for to in self.held_for() {
            to.waiters.enter(self.id.index());
        }
        let may = may(self);
        if !may {
            self.wake_up();
        }
        may
    }

    /// Whether there is neither mail to receive nor room for what is held.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.receiver.is_empty() && self.lacks_room()
    }

    /// Whether there is no room for anything that is held.
    fn lacks_room(&self) -> bool {
        self.held_for().all(Address::is_full)
    }

    /// The worker is awake.
    pub fn wake_up(&self) {
        self.addresses[self.id.index()].doorbell.wake_up();
    }

    /// Whom something is held for.
    fn held_for(&self) -> impl Iterator<Item = &Address<W>> {
        let addresses = self.addresses.iter().zip(&self.outboxes);
        addresses.filter(|(_, outbox)| !outbox.is_empty()).map(|(address, _)| address)
    }

    fn forward(&mut self, to: usize, posted: &mut Posted) {
        let (outbox, address) = (&mut self.outboxes[to], &self.addresses[to]);
        let mut has_sent = false;
        while let Some(envelope) = outbox.pop_front() {
            match try_send(address, envelope, self.id) {
                Ok(()) => {
                    self.held -= 1;
                    posted.envelopes += 1;
                    has_sent = true;
                }
                Err(envelope) => {
                    outbox.push_front(envelope);
                    posted.full += 1;
                    break;
                }
            }
        }
        if has_sent {
            posted.wakes += u64::from(address.ring());
        }
    }
}

/// Puts an envelope into a mailbox; if that is full, its worker will call when there is room.
fn try_send<W>(address: &Address<W>, envelope: Envelope, from: WorkerId) -> Result<(), Envelope> {
    put(address, envelope).or_else(|envelope| {
        address.waiters.enter(from.index());
        put(address, envelope)
    })
}

fn put<W>(address: &Address<W>, envelope: Envelope) -> Result<(), Envelope> {
    let bytes = envelope.bytes();
    if !address.weight.reserve(bytes) {
        return Err(envelope);
    }
    match address.sender.try_send(envelope) {
        Ok(()) => Ok(()),
        // A worker that has stopped has nobody left to deliver to.
        Err(TrySendError::Disconnected(_)) => {
            address.weight.give_back(bytes);
            Ok(())
        }
        Err(TrySendError::Full(envelope)) => {
            address.weight.give_back(bytes);
            Err(envelope)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Interest;
    use crate::wire::{Encoded, Kind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Clone, Default)]
    struct Calls(Arc<AtomicUsize>);

    impl Wake for Calls {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sealed(text: &str) -> Sealed {
        let mut frames = Encoded::default();
        frames.push(Kind::Text, text.as_bytes());
        let (topic, arrivals) = Interest::new(1).join(text, WorkerId(0));
        Sealed { topic, arrivals, since: 0, frames: Arc::new(frames) }
    }

    fn post(mail: &mut Mail<Calls>, text: &str) {
        mail.post(&sealed(text), [WorkerId(1)].into_iter());
    }

    fn names(mail: &mut Mail<Calls>) -> Vec<String> {
        let name = |envelope| match envelope {
            Envelope::Publish(sealed) => sealed.topic.name().to_owned(),
            other => panic!("nobody asks: {other:?}"),
        };
        std::iter::from_fn(|| mail.receive()).map(name).collect()
    }

    #[test]
    fn a_full_mailbox_delays_but_keeps_the_order() {
        let wakers = [Calls::default(), Calls::default()];
        let mut mail = mailboxes(&wakers, 2);
        let (mut b, mut a) = (mail.pop().expect("two"), mail.pop().expect("two"));
        for name in ["1", "2", "3", "4", "5"] {
            post(&mut a, name);
        }
        assert!(a.is_congested());
        assert_eq!(names(&mut b), ["1", "2"]);
        post(&mut a, "6");
        assert_eq!(names(&mut b), ["3", "4"]);
        a.forward_all();
        assert_eq!(names(&mut b), ["5", "6"]);
        assert!(!a.is_congested());
    }

    #[test]
    fn only_a_sleeping_worker_is_woken() {
        let wakers = [Calls::default(), Calls::default()];
        let mut mail = mailboxes(&wakers, 2);
        let (mut b, mut a) = (mail.pop().expect("two"), mail.pop().expect("two"));
        let calls = || wakers.each_ref().map(|waker| waker.0.load(Ordering::Relaxed));
        post(&mut a, "1");
        assert_eq!(calls(), [0, 0], "b is awake");
        assert!(!b.may_sleep(), "there is mail");
        assert_eq!(names(&mut b), ["1"]);
        assert!(b.may_sleep());
        for name in ["2", "3", "4"] {
            post(&mut a, name);
        }
        assert_eq!(calls(), [0, 1], "woken once");
        assert!(a.may_sleep(), "b's mailbox is full");
        assert_eq!(names(&mut b), ["2", "3"]);
        assert_eq!(b.call_waiting(), 1);
        assert_eq!(calls(), [1, 1], "whoever drains a full mailbox wakes those who wait");
        assert!(!a.may_sleep(), "there is room now");
    }

    #[test]
    fn who_holds_mail_is_called_though_another_has_filled_the_room() {
        let wakers = [Calls::default(), Calls::default(), Calls::default()];
        let mut mail = mailboxes(&wakers, 2);
        let [mut c, mut b, mut a] = [(); 3].map(|()| mail.pop().expect("three"));
        let to_c = |mail: &mut Mail<Calls>, name| {
            mail.send(2, Envelope::Publish(sealed(name)), &mut Posted::default());
        };
        ["1", "2", "3", "4"].into_iter().for_each(|name| to_c(&mut a, name));
        to_c(&mut b, "5");
        assert_eq!(names(&mut c), ["1", "2"]);
        assert_eq!(c.call_waiting(), 0, "both are awake");
        a.forward_all();
        assert!(b.may_sleep(), "a has filled the mailbox again");
        assert_eq!(names(&mut c), ["3", "4"]);
        assert_eq!(c.call_waiting(), 1);
        assert_eq!(wakers[1].0.load(Ordering::Relaxed), 1, "b has mail and there is room");
    }

    #[test]
    fn a_worker_that_stops_lets_those_go_on_who_hold_mail_for_it() {
        let wakers = [Calls::default(), Calls::default()];
        let mut mail = mailboxes(&wakers, 1);
        let (mut b, mut a) = (mail.pop().expect("two"), mail.pop().expect("two"));
        post(&mut a, "1");
        post(&mut a, "2");
        assert!(a.may_sleep(), "b's mailbox is full");
        assert_eq!(b.close(), 1);
        assert_eq!(wakers[0].0.load(Ordering::Relaxed), 1, "a need not wait any longer");
        a.forward_all();
        assert!(!a.is_congested());
    }
}
