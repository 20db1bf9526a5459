//! Tables and queues give memory back when a burst is over.

use std::collections::VecDeque;

use slab::Slab;

use crate::id::ConnId;

/// Entries that a queue has room for even when nothing happens.
const QUEUE_KEPT: usize = 1024;

/// Drops the slots behind the last that is used; from here on the lowest of the others are taken
/// first. There is room for as many as were reserved, as at the start: memory that is not used is
/// not resident. Less than a millisecond for 100,000 slots that come free.
pub(super) fn trim_slots<T>(slots: &mut Slab<T>, reserved: usize) {
    slots.shrink_to_fit();
    slots.reserve_exact(reserved.saturating_sub(slots.len()));
}

/// Puts a connection into a line, where each stands once. Those that have gone since stay in it
/// until they are met, or until there are so many of them that the line is longer than this.
pub(super) fn stand_in_line<T: Tenant>(line: &mut VecDeque<ConnId>, conn: ConnId, slots: &Slab<T>) {
    if line.len() >= QUEUE_KEPT + 2 * slots.len() {
        let is_there = |conn: &ConnId| {
            let slot = slots.get(conn.index as usize);
            slot.and_then(T::generation) == Some(conn.generation)
        };
        line.retain(is_there);
    }
    line.push_back(conn);
}

/// What stands in a slot.
pub(super) trait Tenant {
    /// The generation of the connection, if there is one.
    fn generation(&self) -> Option<u32>;
}

/// A queue that was long walks round all of its memory.
pub(super) fn trim_queue<T>(queue: &mut VecDeque<T>) {
    queue.shrink_to(QUEUE_KEPT);
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Tenant for u32 {
        fn generation(&self) -> Option<u32> {
            Some(*self)
        }
    }

    #[test]
    fn a_storm_of_connections_that_go_makes_no_line_long() {
        let (mut slots, mut line) = (Slab::new(), VecDeque::new());
        let stay: Vec<ConnId> = (0..500).map(|at| enter(&mut slots, &mut line, at)).collect();
        for generation in 500..100_000 {
            let conn = enter(&mut slots, &mut line, generation);
            slots.remove(conn.index as usize);
            assert!(line.len() <= QUEUE_KEPT + 2 * 501, "{} in line", line.len());
        }
        line.retain(|conn| slots.get(conn.index as usize) == Some(&conn.generation));
        assert_eq!(line, stay, "who is there keeps its place");
    }

    fn enter(slots: &mut Slab<u32>, line: &mut VecDeque<ConnId>, generation: u32) -> ConnId {
        let conn = ConnId { index: slots.insert(generation) as u32, generation };
        stand_in_line(line, conn, slots);
        conn
    }

    #[test]
    fn the_slots_behind_the_last_are_given_back_and_the_room_for_them_is_not() {
        let mut slots: Slab<u32> = Slab::with_capacity(1000);
        let keys: Vec<usize> = (0..800).map(|at| slots.insert(at)).collect();
        keys.iter()
            .filter(|key| **key != 100)
            .for_each(|key| assert!(slots.try_remove(*key).is_some()));
        trim_slots(&mut slots, 1000);
        assert_eq!((slots.len(), slots.get(100)), (1, Some(&100)));
        assert!(slots.capacity() >= 1000);
        assert_eq!([0, 1].map(|_| slots.insert(7)), [0, 1], "the lowest come first");
    }
}
