use std::sync::Arc;

use super::judge::{Cuts, Dropped, Judged, Verdict};
use super::{Outgoing, Part, Pool};
use crate::config::Policy;
use crate::wire::deflate::Deflater;
use crate::wire::{Encoded, Form, Kind, Lane};

/// Messages of 100 bytes that begin with their numbers, as one run of a lane.
fn run(lane: Option<&Arc<Lane>>, numbers: impl IntoIterator<Item = u8>) -> Arc<Encoded> {
    let mut frames = Encoded::default();
    for number in numbers {
        let mut payload = [0; 100];
        payload[0] = number;
        frames.push(Kind::Binary, &payload);
    }
    frames.set_lane(lane.cloned());
    Arc::new(frames)
}

/// What a run of one message takes while it waits.
fn weight() -> usize {
    run(None, [0]).memory() + size_of::<Part>()
}

/// Whose queue it is, and what has become of it.
#[derive(Default)]
struct Reader {
    pool: Pool,
    queue: Option<Outgoing>,
    cuts: Cuts,
    dropped: Dropped,
}

impl Reader {
    fn publish(&mut self, lane: &Arc<Lane>, number: u8) {
        self.pool.append_shared(&mut self.queue, &run(Some(lane), [number]), Form::Plain);
    }

    fn reply(&mut self, text: &[u8]) {
        self.pool.append(&mut self.queue, |out| out.extend(text));
    }

    /// As at the end of a turn, behind a send that rests.
    fn judge(&mut self, bound: usize) -> Verdict {
        let Some(queue) = &mut self.queue else { return Verdict::Keep };
        if !queue.must_be_judged(bound) {
            return Verdict::Keep;
        }
        let Judged { dropped, verdict, .. } = queue.judge(bound, &mut self.cuts);
        self.dropped.oldest += dropped.oldest;
        self.dropped.latest += dropped.latest;
        verdict
    }

    /// The numbers of the messages that wait, and `.` for each reply.
    fn waits(&self) -> Vec<u8> {
        let Some(queue) = &self.queue else { return Vec::new() };
        let bytes = queue.to_vec(0);
        assert_eq!(bytes.len(), queue.len());
        let mut rest = bytes.as_slice();
        let mut numbers = Vec::new();
        while let Some(first) = rest.first() {
            let (number, length) = if *first == b'.' { (b'.', 1) } else { (rest[2], 102) };
            numbers.push(number);
            rest = &rest[length..];
        }
        numbers
    }
}

#[test]
fn of_the_oldest_so_many_go_that_the_newest_fit() {
    let bound = 16 * weight();
    let lane = Arc::new(Lane::new(Policy::DropOldest, bound));
    let mut reader = Reader::default();
    for number in 1..=100 {
        reader.publish(&lane, number);
        assert_eq!(reader.judge(1 << 20), Verdict::Keep);
        let waits = reader.waits();
        assert!(reader.queue.as_ref().is_some_and(|queue| queue.memory() <= bound));
        let kept = u8::try_from(waits.len()).expect("they are few");
        // Above the bound as many go as leave seven eighths of it.
        let expected = if number <= 16 { number } else { 14 + (number - 17) % 3 };
        assert_eq!(waits, (number - kept + 1..=number).collect::<Vec<_>>(), "the newest");
        assert_eq!(kept, expected, "{number}");
        assert_eq!(reader.dropped.oldest + waits.len(), usize::from(number), "all are counted");
    }
    assert_eq!((lane.dropped(), reader.dropped.latest), (reader.dropped.oldest as u64, 0));
}

#[test]
fn of_latest_the_newest_waits_and_nothing_else() {
    let lanes = [1, 2].map(|_| Arc::new(Lane::new(Policy::Latest, 1)));
    let mut reader = Reader::default();
    for number in 1..=50 {
        reader.publish(&lanes[usize::from(number % 2)], number);
        assert_eq!(reader.judge(1 << 20), Verdict::Keep);
        let expected: Vec<u8> = (number.saturating_sub(1).max(1)..=number).collect();
        assert_eq!(reader.waits(), expected, "one of each topic, in their order");
    }
    assert_eq!((reader.dropped.latest, reader.dropped.oldest), (48, 0));
    assert_eq!(lanes.map(|lane| lane.dropped()), [24, 24]);
}

#[test]
fn a_run_of_several_is_cut_and_the_cut_is_shared() {
    for (policy, expected) in [(Policy::Latest, vec![9]), (Policy::DropOldest, vec![7, 8, 9])] {
        let bound = run(None, [7, 8, 9]).memory();
        let lane = Arc::new(Lane::new(policy, bound));
        let frames = run(Some(&lane), 1..=9);
        let mut cuts = Cuts::default();
        let tails = [0, 1].map(|_| {
            let mut reader = Reader { cuts: std::mem::take(&mut cuts), ..Reader::default() };
            reader.pool.append_shared(&mut reader.queue, &frames, Form::Plain);
            assert_eq!(reader.judge(1 << 20), Verdict::Keep);
            assert_eq!(reader.waits(), expected);
            cuts = reader.cuts;
            let Some(Outgoing::Shared(tail, _)) = reader.queue else { panic!("it is one run") };
            tail
        });
        assert!(Arc::ptr_eq(&tails[0], &tails[1]) && !Arc::ptr_eq(&tails[0], &frames));
    }
}

#[test]
fn replies_and_topics_without_a_policy_are_never_dropped() {
    let lane = Arc::new(Lane::new(Policy::DropOldest, 3 * weight()));
    let plain = Arc::new(Lane::new(Policy::Disconnect, 1 << 20));
    let mut reader = Reader::default();
    for number in 1..=20 {
        reader.publish(&lane, number);
        if number % 10 == 0 {
            reader.reply(b".");
            reader.publish(&plain, 100 + number);
        }
        assert_eq!(reader.judge(1 << 20), Verdict::Keep);
    }
    assert_eq!(reader.waits(), [b'.', 110, 19, 20, b'.', 120]);
}

#[test]
fn each_topic_has_its_own_bound_and_all_together_have_one() {
    let (one, other) = (4 * weight(), 40 * weight());
    let lanes = [one, other].map(|bound| Arc::new(Lane::new(Policy::Disconnect, bound)));
    let mut reader = Reader::default();
    (0..4).for_each(|number| reader.publish(&lanes[0], number));
    (0..36).for_each(|number| reader.publish(&lanes[1], number));
    assert_eq!(reader.judge(1), Verdict::Keep, "together they have the larger one");
    let mut slow = Reader::default();
    (0..5).for_each(|number| slow.publish(&lanes[0], number));
    slow.publish(&lanes[1], 0);
    assert_eq!(slow.judge(1 << 20), Verdict::Close(one));
    (0..5).for_each(|number| reader.publish(&lanes[1], number));
    assert_eq!(reader.judge(1), Verdict::Close(other));
}

#[test]
fn where_all_together_is_too_much_what_may_be_dropped_goes_first() {
    let lanes = [1, 2].map(|_| Arc::new(Lane::new(Policy::DropOldest, 8 * weight())));
    let own = Arc::new(Lane::new(Policy::Disconnect, 1 << 20));
    let mut reader = Reader::default();
    for number in 0..8 {
        reader.publish(&lanes[usize::from(number % 2)], number);
    }
    (10..14).for_each(|number| reader.publish(&own, number));
    own.set(Policy::Disconnect, 8 * weight());
    let bound = 8 * weight();
    assert_eq!(reader.judge(bound), Verdict::Keep);
    assert_eq!(reader.waits(), [4, 5, 6, 7, 10, 11, 12, 13], "the oldest of whatever topic");
    assert_eq!(lanes.map(|lane| lane.dropped()), [2, 2]);
}

#[test]
fn a_message_of_any_size_waits_where_only_one_may() {
    for policy in [Policy::Latest, Policy::DropOldest] {
        let lane = Arc::new(Lane::new(policy, 10));
        let mut reader = Reader::default();
        for number in 1..=5 {
            reader.publish(&lane, number);
            assert_eq!(reader.judge(20), Verdict::Keep, "{policy}");
            assert_eq!(reader.waits(), [number]);
        }
        assert_eq!(reader.dropped.messages(), 4);
    }
}

/// Each walk over a long queue is paid for by what was added since the last one.
#[test]
fn long_queues_are_not_walked_for_each_message() {
    let lanes: Vec<_> = (0..1000).map(|_| Arc::new(Lane::new(Policy::Latest, 1))).collect();
    let mut reader = Reader::default();
    let mut walks = 0;
    for round in 0..10 {
        for lane in &lanes {
            reader.publish(lane, round);
            walks += usize::from(reader.queue.as_ref().is_some_and(|q| q.must_be_judged(1 << 30)));
            assert_eq!(reader.judge(1 << 30), Verdict::Keep);
        }
    }
    assert!((10..200).contains(&walks), "{walks} walks for 10,000 messages");
    let queue = reader.queue.as_mut().expect("something waits");
    let _ = queue.judge(1 << 30, &mut reader.cuts);
    assert_eq!(reader.waits(), [9; 1000]);
}

/// A run of which the plain form fits and the compressed one beside it does not.
fn deflated(lane: &Arc<Lane>, number: u8) -> Arc<Encoded> {
    let mut frames = Encoded::default();
    let mut noise: Vec<u8> = (0..2000_u32).map(|at| ((at * at) >> 3) as u8).collect();
    noise[0] = number;
    frames.push(Kind::Binary, &noise);
    frames.push(Kind::Binary, &[number]);
    frames.set_lane(Some(Arc::clone(lane)));
    frames.prepare(&mut Deflater::default()).expect("nobody else is at it");
    Arc::new(frames)
}

#[test]
fn what_another_form_takes_is_no_reason_to_drop_the_newest() {
    for policy in [Policy::DropOldest, Policy::Latest] {
        for share in 1..20 {
            let lane = Arc::new(Lane::new(policy, 0));
            let frames = deflated(&lane, 7);
            lane.set(policy, frames.memory() * share / 16);
            for before in [false, true] {
                let mut reader = Reader::default();
                if before {
                    let older = deflated(&lane, 6);
                    reader.pool.append_shared(&mut reader.queue, &older, Form::Deflated);
                }
                reader.pool.append_shared(&mut reader.queue, &frames, Form::Deflated);
                assert_eq!(reader.judge(100), Verdict::Keep, "{policy} {share}");
                let queue = reader.queue.expect("something waits");
                let bytes = queue.to_vec(0);
                assert!(!queue.is_empty() && bytes.ends_with(&[0x82, 1, 7]), "{policy} {share}");
            }
        }
    }
}

#[test]
fn of_each_topic_the_newest_stays_where_all_together_is_too_much() {
    let lanes = [1, 2].map(|_| Arc::new(Lane::new(Policy::DropOldest, 10 * weight())));
    let mut reader = Reader::default();
    reader.pool.append_shared(&mut reader.queue, &run(Some(&lanes[0]), [1, 2]), Form::Plain);
    let many = run(Some(&lanes[1]), 10..19);
    reader.pool.append_shared(&mut reader.queue, &many, Form::Plain);
    let all = 11;
    assert_eq!(reader.judge(1), Verdict::Keep, "the bound is that of the larger lane");
    assert_eq!(reader.waits().len(), all);
    let queue = reader.queue.as_mut().expect("something waits");
    lanes.iter().for_each(|lane| lane.set(Policy::DropOldest, 2 * weight()));
    let judged = queue.judge(1, &mut reader.cuts);
    assert_eq!(judged.verdict, Verdict::Keep);
    let waits = reader.waits();
    assert!(waits.contains(&2) && waits.ends_with(&[18]), "{waits:?}");
    assert_eq!(waits.len() + judged.dropped.messages(), all);
}

#[test]
fn a_long_message_that_stays_is_not_copied() {
    for policy in [Policy::Latest, Policy::DropOldest] {
        let lane = Arc::new(Lane::new(policy, 10));
        let frames = run(Some(&lane), [1]);
        let mut queue = Outgoing::Shared(Arc::clone(&frames), Form::Plain);
        assert_eq!(queue.judge(20, &mut Cuts::default()), Judged::default());
        let Outgoing::Shared(kept, _) = queue else { panic!("it is one run") };
        assert!(Arc::ptr_eq(&kept, &frames));
    }
}
