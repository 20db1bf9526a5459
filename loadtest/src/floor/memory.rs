//! How far memory is. A virtual machine shares the last cache with its neighbours, and while they
//! have it, whatever touches many sockets costs more: servers too, not only the floor.

use std::hint::black_box;

use anyhow::Result;

use super::cpu;

/// What a few thousand sockets take, and what the last cache of a processor at rest holds.
pub(super) const BYTES: usize = 4 << 20;

const LAPS: usize = 4;

/// A line of the cache, which names the one to look at next.
#[repr(align(64))]
struct Line {
    next: u32,
}

/// Nanoseconds of an access to one of these bytes at random, each known only by the one before.
pub(super) fn access_ns() -> Result<f64> {
    let lines = ring_of(BYTES / size_of::<Line>());
    walk(&lines, 1);
    let before = cpu::clock()?;
    walk(&lines, LAPS);
    let used = cpu::clock()?.saturating_sub(before);
    Ok(used.as_nanos() as f64 / (LAPS * lines.len()) as f64)
}

/// All lines in one ring, in an order that no processor foresees (Sattolo's shuffle).
fn ring_of(count: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = (0..count as u32).map(|next| Line { next }).collect();
    let mut random = 1_u64;
    for last in (1..count).rev() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        lines.swap(last, (random >> 33) as usize % last);
    }
    lines
}

fn walk(lines: &[Line], laps: usize) {
    let mut at = 0;
    for _ in 0..laps * lines.len() {
        at = lines[at].next as usize;
    }
    black_box(at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_goes_through_every_line_once() {
        let lines = ring_of(1000);
        let (mut at, mut seen) = (0, vec![false; lines.len()]);
        for _ in 0..lines.len() {
            assert!(!std::mem::replace(&mut seen[at], true), "line {at} comes twice");
            at = lines[at].next as usize;
        }
        assert_eq!(at, 0);
    }
}
