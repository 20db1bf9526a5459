//! Who joins a topic and leaves it, one after the other; `tests/loom` has them at the same time.

use std::sync::Arc;

use super::interest::{Interest, TopicEntry};
use crate::id::WorkerId;

fn workers(ids: impl IntoIterator<Item = u16>) -> Vec<WorkerId> {
    ids.into_iter().map(WorkerId).collect()
}

fn workers_of(interest: &Interest, name: &str) -> Vec<WorkerId> {
    interest.find(name).map_or_else(Vec::new, |(.., workers)| workers)
}

#[test]
fn an_entry_is_small() {
    // With the counts of its `Arc` it is 88 bytes, which the allocator has a size for.
    assert_eq!(size_of::<TopicEntry>(), 72);
}

#[test]
fn an_entry_lives_as_long_as_a_worker_has_members() {
    for count in [3, 64, 65, 1024] {
        let interest = Interest::new(count);
        let last = WorkerId(count as u16 - 1);
        let (topic, first) = interest.join("a", last);
        let (same, second) = interest.join("a", WorkerId(1));
        assert!(Arc::ptr_eq(&topic, &same) && second == first + 1);
        interest.join("b", WorkerId(0));
        assert_eq!(workers_of(&interest, "a"), [WorkerId(1), last]);
        assert_eq!(topic.others(WorkerId(1)).collect::<Vec<_>>(), [last]);
        interest.leave(&topic, last);
        assert_eq!(workers_of(&interest, "a"), [WorkerId(1)]);
        interest.leave(&topic, WorkerId(1));
        assert!(workers_of(&interest, "a").is_empty());
        let (other, _) = interest.join("a", last);
        assert!(!Arc::ptr_eq(&topic, &other), "it has died");
    }
}

#[test]
fn every_worker_has_a_bit_of_its_own() {
    let interest = Interest::new(200);
    let (topic, _) = interest.join("a", WorkerId(0));
    (1..200).for_each(|id| drop(interest.join("a", WorkerId(id))));
    let others: Vec<_> = topic.others(WorkerId(70)).collect();
    assert_eq!(others, workers((0..200).filter(|id| *id != 70)));
    (0..200).step_by(2).for_each(|id| interest.leave(&topic, WorkerId(id)));
    assert_eq!(workers_of(&interest, "a"), workers((1..200).step_by(2)));
}

#[test]
fn where_there_are_as_many_topics_as_may_be_one_that_is_there_is_entered() {
    let interest = Interest::new(2);
    let [first, second] = [0, 1].map(WorkerId);
    let (a, _) = interest.join("a", first);
    interest.join("a", second);
    let (hidden, _) = interest.join("\u{1}hidden", first);
    let may = |name, max, coming| interest.may_enter(name, Some(max), coming);
    assert!(may("b", 2, 0) && !may("b", 2, 1) && !may("b", 1, 0));
    assert!(may("a", 1, 7) && may("\u{1}other", 1, 7), "it opens none that counts");
    assert!(interest.may_enter("b", None, 7));
    interest.leave(&hidden, first);
    interest.leave(&a, first);
    assert!(!may("b", 1, 0), "another worker has members");
    interest.leave(&a, second);
    assert!(may("b", 1, 0));
}
