//! What a message has the protocol do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use throng::driver::sim::Rng;

use super::TOPICS;

/// One thing that a call does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Op {
    /// Sends a reply of about this length.
    Say(usize),
    Subscribe(u8),
    Unsubscribe(u8),
    /// Publishes to the head of its topics, to others only if so.
    Publish {
        to_others: bool,
        length: usize,
    },
    PublishTo(u8, usize),
    /// Asks; does this when the answer comes.
    Ask(Vec<Self>),
    /// Wants to be called in that time, and does this then.
    Wake(Duration, Vec<Self>),
    Park,
    Close,
}

/// Calls within calls: an answer or a moment may bring others.
const DEPTH_MAX: u32 = 2;

/// Some things at once.
pub(crate) fn invent(rng: &mut Rng) -> Vec<Op> {
    let mut ops = Vec::new();
    add_some(rng, 0, &mut ops);
    ops
}

fn add_some(rng: &mut Rng, depth: u32, ops: &mut Vec<Op>) {
    for _ in 0..1 + rng.below(4) {
        add(rng, depth, ops);
    }
}

fn later(rng: &mut Rng, depth: u32) -> Vec<Op> {
    let mut ops = Vec::new();
    if depth < DEPTH_MAX && rng.one_in(2) {
        add_some(rng, depth + 1, &mut ops);
    }
    ops
}

fn length(rng: &mut Rng) -> usize {
    let longest = [10, 100, 1500][rng.below(3)];
    rng.below(longest)
}

fn topic(rng: &mut Rng) -> u8 {
    rng.below(usize::from(TOPICS)) as u8
}

fn add(rng: &mut Rng, depth: u32, ops: &mut Vec<Op>) {
    match rng.below(20) {
        0..=1 => ops.push(Op::Say(length(rng))),
        2..=4 => ops.push(Op::Subscribe(topic(rng))),
        5 => ops.push(Op::Unsubscribe(topic(rng))),
        6 => {
            let topic = topic(rng);
            ops.extend([Op::Unsubscribe(topic), Op::Subscribe(topic)]);
        }
        7..=10 => ops.push(Op::PublishTo(topic(rng), length(rng))),
        11..=12 => ops.push(Op::Publish { to_others: false, length: length(rng) }),
        13..=14 => ops.push(Op::Publish { to_others: true, length: length(rng) }),
        15 => ops.push(Op::Ask(later(rng, depth))),
        16 => {
            let several = 1 + if rng.one_in(8) { 20 } else { rng.below(4) };
            ops.extend((0..several).map(|_| Op::Ask(later(rng, depth))));
            ops.push(Op::Park);
        }
        17 => ops.push(Op::Park),
        18 => {
            let span = Duration::from_millis(rng.below(1500) as u64);
            ops.push(Op::Wake(span, later(rng, depth)));
        }
        _ if rng.one_in(12) => ops.push(Op::Close),
        _ => ops.push(Op::Say(length(rng))),
    }
}
