//! Who joins and leaves a topic while others publish there, under every interleaving.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::id::WorkerId;
use crate::interest::{Interest, TopicEntry};

const PUBLISHER: WorkerId = WorkerId(0);
const SUBSCRIBER: WorkerId = WorkerId(1);
const NAME: &str = "a";

/// What is under way to the subscriber's worker.
type Mailbox = Mutex<Vec<Mail>>;

struct Mail {
    topic: Arc<TopicEntry>,
    arrivals: u32,
    number: u32,
    /// The subscriber had been told that it has joined, before this was published.
    is_owed: bool,
}

/// As the hub seals a run, and the worker posts it.
fn publish(topic: &Arc<TopicEntry>, number: u32, is_joined: &AtomicBool, mailbox: &Mailbox) {
    let is_owed = is_joined.load(Ordering::Acquire);
    let arrivals = topic.arrivals();
    let is_sent = topic.others(PUBLISHER).any(|worker| worker == SUBSCRIBER);
    assert!(is_sent || !is_owed, "{number} is not sent to who has joined");
    if is_sent {
        let mail = Mail { topic: Arc::clone(topic), arrivals, number, is_owed };
        mailbox.lock().expect("nobody panics").push(mail);
    }
}

/// As the hub takes mail: the numbers that come to those who are there since this arrival.
fn take(mailbox: &Mailbox, topic: &Arc<TopicEntry>, arrival: u32) -> Vec<u32> {
    let mut numbers = Vec::new();
    for mail in mailbox.lock().expect("nobody panics").iter() {
        let is_after = mail.arrivals.wrapping_sub(arrival) as i32 >= 0;
        let is_mine = is_after && Arc::ptr_eq(&mail.topic, topic);
        assert!(is_mine || !mail.is_owed, "{} is thrown away", mail.number);
        if is_mine {
            numbers.push(mail.number);
        }
    }
    numbers
}

/// Somebody else joins where the last has left, with mail under way: what it gets begins somewhere
/// and has no hole, and all that was published since it was told so is among it.
#[test]
fn a_newcomer_hears_of_a_publisher_without_a_hole() {
    const MESSAGES: u32 = 3;
    loom::model(|| {
        let interest = Arc::new(Interest::new(2));
        let (topic, _) = interest.join(NAME, PUBLISHER);
        let (before, _) = interest.join(NAME, SUBSCRIBER);
        let is_joined = Arc::new(AtomicBool::new(false));
        let mailbox = Arc::new(Mailbox::default());
        let publisher = thread::spawn({
            let (is_joined, mailbox) = (Arc::clone(&is_joined), Arc::clone(&mailbox));
            move || (0..MESSAGES).for_each(|number| publish(&topic, number, &is_joined, &mailbox))
        });
        interest.leave(&before, SUBSCRIBER);
        let (topic, arrival) = interest.join(NAME, SUBSCRIBER);
        is_joined.store(true, Ordering::Release);
        publisher.join().expect("no thread panics");
        let numbers = take(&mailbox, &topic, arrival);
        let from = MESSAGES - numbers.len() as u32;
        assert_eq!(numbers, (from..MESSAGES).collect::<Vec<_>>());
    });
}

/// The last of all leaves and the topic dies, while another worker joins, leaves and joins: who
/// publishes afterwards publishes in the topic that the other one has joined.
#[test]
fn a_topic_that_dies_takes_no_message_with_it() {
    loom::model(|| {
        let interest = Arc::new(Interest::new(2));
        let is_joined = Arc::new(AtomicBool::new(false));
        let mailbox = Arc::new(Mailbox::default());
        let publisher = thread::spawn({
            let interest = Arc::clone(&interest);
            let (is_joined, mailbox) = (Arc::clone(&is_joined), Arc::clone(&mailbox));
            move || {
                for number in 0..2 {
                    let (topic, _) = interest.join(NAME, PUBLISHER);
                    publish(&topic, number, &is_joined, &mailbox);
                    interest.leave(&topic, PUBLISHER);
                }
            }
        });
        let (former, _) = interest.join(NAME, SUBSCRIBER);
        interest.leave(&former, SUBSCRIBER);
        let (topic, arrival) = interest.join(NAME, SUBSCRIBER);
        is_joined.store(true, Ordering::Release);
        publisher.join().expect("no thread panics");
        take(&mailbox, &topic, arrival);
        assert!(interest.find(NAME).is_some_and(|(.., workers)| workers == [SUBSCRIBER]));
        interest.leave(&topic, SUBSCRIBER);
        assert!(interest.find(NAME).is_none());
    });
}
