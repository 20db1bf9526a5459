//! The unmodified worker on a simulated network: a thousand seeds of cuts, delays, failures and
//! small mailboxes and budgets. A failure prints its seed; `SEED=n cargo test --test simulation`
//! runs it again, and `SEEDS=n` runs the first so many.

mod client;
mod cohort;
mod deflate;
mod ends;
mod lingering;
mod message;
mod requests;
mod turns;
mod visitor;
mod world;
mod wrap;

use throng::stats::Counts;
use world::{Fault, World};

const SEEDS: u64 = 1000;

/// Runs one seed; what went wrong comes back with it.
fn run(seed: u64, fault: Fault) -> Result<Counts, String> {
    let mut world = World::new(seed, fault);
    world.run().map_err(|what| format!("seed={seed}: {what}"))?;
    Ok(world.counts())
}

/// The seeds together must have met everything that is hard.
fn check_coverage(all: &[Counts]) {
    let sum = |count: fn(&Counts) -> u64| all.iter().map(count).sum::<u64>();
    for (name, count) in [
        ("full mailboxes", sum(|c| c.mailbox_full)),
        ("overshoot", sum(|c| c.overshoot)),
        ("pauses", sum(|c| c.paused)),
        ("slow receivers", sum(|c| c.closed_slow)),
        ("violations", sum(|c| c.closed_violation)),
        ("deflated messages", sum(|c| c.messages_deflated)),
        ("pings", sum(|c| c.pings)),
        ("ends for want of a pong", sum(|c| c.closed_unresponsive)),
        ("wakes", sum(|c| c.wakes)),
    ] {
        assert!(count > 100, "{name}: {count} only");
    }
}

#[test]
fn every_seed_keeps_the_promises() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seeds = 0..number("SEEDS").unwrap_or(SEEDS);
    let seeds = number("SEED").map_or(seeds, |seed| seed..seed + 1);
    let is_whole = seeds.end - seeds.start == SEEDS;
    let (mut counts, mut broken) = (Vec::new(), Vec::new());
    for seed in seeds {
        match run(seed, Fault::None) {
            Ok(count) => counts.push(count),
            Err(what) => broken.push(what),
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    if is_whole {
        check_coverage(&counts);
    }
}

#[test]
fn the_same_seed_does_the_same() {
    for seed in 0..5 {
        let transcript = || {
            let mut world = World::new(seed, Fault::None);
            world.run().expect("checked by the other test");
            world.transcript()
        };
        assert_eq!(transcript(), transcript(), "seed={seed}");
    }
}

#[test]
fn mail_that_is_swapped_is_found() {
    let mut broken = (0..SEEDS).filter_map(|seed| run(seed, Fault::SwappedMail).err());
    let found = broken.any(|what| what.contains("out of order"));
    assert!(found, "swapped envelopes break the order of some sender");
}

#[test]
fn mail_that_is_lost_is_found() {
    let mut broken = (0..SEEDS).filter_map(|seed| run(seed, Fault::LostMail).err());
    let found = broken.any(|what| what.contains("out of order") || what.contains("heard up to"));
    assert!(found, "a lost envelope is a gap for some receiver");
}

#[test]
fn a_worker_that_is_not_woken_is_found() {
    let mut broken = (0..SEEDS).filter_map(|seed| run(seed, Fault::LostWake).err());
    let found = broken.any(|what| what.contains("sleeps beside its mail"));
    assert!(found, "a worker that others take for awake misses mail");
}

#[test]
fn a_worker_that_is_thought_to_have_no_members_is_found() {
    let mut broken = (0..SEEDS).filter_map(|seed| run(seed, Fault::LateInterest).err());
    let found = broken.any(|what| what.contains("out of order") || what.contains("heard up to"));
    assert!(found, "what is published meanwhile does not come");
}
