//! The sleeping flag under every interleaving: no mail is left with a sleeping worker.

mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

#[path = "../src/worker/doorbell.rs"]
#[expect(unreachable_pub, dead_code, reason = "the module is public where it belongs")]
mod doorbell;

use std::sync::Arc;

use atomic::Ordering;
use doorbell::Doorbell;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

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
