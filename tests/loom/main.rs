//! The flags between workers under every interleaving: no mail is left with a sleeping worker, none
//! is held back by one while there is room for it, and what is published goes to all who have
//! joined, without a hole. And the table of addresses, whose entries change hands.

mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

#[path = "../../src/worker/mail/doorbell.rs"]
#[expect(unreachable_pub, dead_code, reason = "the module is public where it belongs")]
mod doorbell;

#[path = "../../src/worker/mail/waiters.rs"]
#[expect(unreachable_pub, reason = "the module is public where it belongs")]
mod waiters;

mod id {
    pub(crate) use throng::id::WorkerId;
}

mod config {
    pub(crate) use throng::config::{PerIp, Policy};
}

mod wire {
    pub(crate) use throng::wire::Lane;
}

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

#[path = "../../src/hub/interest.rs"]
#[expect(unreachable_pub, dead_code, reason = "the module is public where it belongs")]
mod interest;

mod stats {
    pub(crate) use throng::stats::Refusal;
}

#[path = "../../src/worker/limits/addresses.rs"]
#[expect(dead_code, reason = "the module is used where it belongs")]
mod addresses;

mod counts;
mod topics;

use std::sync::Arc;

use atomic::Ordering;
use doorbell::Doorbell;
use loom::sync::atomic::AtomicUsize;
use loom::thread;
use waiters::Waiters;

/// Each sender puts one piece of mail and rings if told to; the worker takes what it finds and
/// sleeps once. Whatever the order, mail that it did not see must have rung.
fn deliver(senders: usize) {
    loom::model(move || {
        let doorbell = Arc::new(Doorbell::new());
        let (mail, rings) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..senders)
            .map(|_| {
                let (doorbell, mail, rings) = (doorbell.clone(), mail.clone(), rings.clone());
                thread::spawn(move || {
                    mail.fetch_add(1, Ordering::Relaxed);
                    if doorbell.must_ring() {
                        rings.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        doorbell.fall_asleep();
        let seen = mail.load(Ordering::Relaxed);
        for thread in threads {
            thread.join().expect("no thread panics");
        }
        let rung = rings.load(Ordering::Relaxed);
        assert!(seen == senders || rung > 0, "asleep with mail: saw {seen}, rung {rung}");
        assert!(rung <= 1, "woken more than once for one sleep");
    });
}

#[test]
fn one_sender() {
    deliver(1);
}

#[test]
fn two_senders() {
    deliver(2);
}

/// The mailbox of three workers: the reader's, which holds one piece of mail.
struct Mailbox {
    mail: AtomicUsize,
    waiters: Waiters,
    /// Of a sender that holds mail back.
    doorbell: Doorbell,
    rings: AtomicUsize,
}

impl Mailbox {
    /// Takes what is there and calls who waits for room.
    fn read(&self) {
        if self.mail.swap(0, Ordering::Relaxed) > 0 {
            self.waiters.call(|_| {
                self.rings.fetch_add(usize::from(self.doorbell.must_ring()), Ordering::Relaxed);
            });
        }
    }
}

/// One sender found the mailbox full, and another may take the room that the reader makes. Whatever
/// the order, the first does not sleep beside an empty mailbox without being called.
#[test]
fn a_sender_that_sleeps_is_called_when_there_is_room() {
    loom::model(|| {
        let mailbox = Arc::new(Mailbox {
            mail: AtomicUsize::new(1),
            waiters: Waiters::new(1),
            doorbell: Doorbell::new(),
            rings: AtomicUsize::new(0),
        });
        mailbox.waiters.enter(0);
        let threads = [
            thread::spawn({
                let mailbox = Arc::clone(&mailbox);
                move || (0..2).for_each(|_| mailbox.read())
            }),
            thread::spawn({
                let mailbox = Arc::clone(&mailbox);
                move || {
                    let (none, one) = (0, 1);
                    let (done, missed) = (Ordering::Relaxed, Ordering::Relaxed);
                    let _ = mailbox.mail.compare_exchange(none, one, done, missed);
                }
            }),
        ];
        mailbox.doorbell.fall_asleep();
        mailbox.waiters.enter(0);
        let is_full = mailbox.mail.load(Ordering::Relaxed) > 0;
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        let is_left = is_full && mailbox.mail.load(Ordering::Relaxed) == 0;
        assert!(
            !is_left || mailbox.rings.load(Ordering::Relaxed) > 0,
            "asleep beside an empty one"
        );
    });
}
