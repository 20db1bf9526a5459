//! Who is in which topic, and in which topics a connection is.
//!
//! An edge stands between a connection and a topic. The topic has a list of its members, and the
//! edge knows its place there. The edges of a connection are a chain, and the connection keeps the
//! entry at its head.
//!
//! **A chain is a stack of entries.** Whatever edge leaves, the entry at the head becomes free: the
//! edge that stood there moves to the entry of the one that has left. So a leave costs the same
//! wherever in the chain the edge stands, though a chain has one direction; and an entry knows how
//! many are behind it, since none of those goes before it does. The name of an edge holds until its
//! connection leaves a topic.
//!
//! **A long chain has an index** by topic, since a connection joins and leaves by name: of one with
//! 10,000 subscriptions each would be found by a walk over thousands else. Short chains are walked.
//! So to join 10,000 topics and to leave them all costs so many times the same, in whatever order.

use std::collections::HashMap;

use super::RoomId;

/// An edge of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EdgeId(u32);

impl EdgeId {
    /// The head of a connection without subscriptions, and what is behind the last one.
    pub const NONE: Self = Self(u32::MAX);
}

/// A subscription, and its entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// What is subscribed to.
    pub(super) topic: RoomId,
    /// The place among the members of the topic.
    pub(super) place: u32,
    /// The entry behind this one in the chain, or in the list of free ones.
    next_of_conn: EdgeId,
    /// The connection's window for compressed messages, as a power of two; 0 for none.
    pub(super) window_bits: u8,
    /// Entries behind this one, at most 255.
    behind: u8,
    /// The chain has an index.
    is_indexed: bool,
}

const _: () = assert!(size_of::<Edge>() == 16);

/// From so many entries behind its head on a chain has an index,
const INDEXED_FROM: u8 = 32;

/// and from so few on it has none again.
const INDEXED_UNTIL: u8 = 16;

/// Edges of all connections of a worker.
#[derive(Debug)]
pub(super) struct Edges {
    entries: Vec<Edge>,
    /// The first of the free entries.
    free: EdgeId,
    /// Of long chains, by slot of the connection and topic.
    index: HashMap<(u32, RoomId), EdgeId>,
    /// How long these are, by slot.
    lengths: HashMap<u32, u32>,
}

impl Default for Edges {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: EdgeId::NONE,
            index: HashMap::new(),
            lengths: HashMap::new(),
        }
    }
}

impl Edges {
    #[inline]
    pub(super) fn at(&self, id: EdgeId) -> &Edge {
        &self.entries[id.0 as usize]
    }

    /// Whether nothing is behind it in its chain.
    #[inline]
    pub(super) fn is_last(&self, id: EdgeId) -> bool {
        self.at(id).behind == 0
    }

    pub(super) fn set_place(&mut self, id: EdgeId, place: u32) {
        self.entries[id.0 as usize].place = place;
    }

    /// The chain of a connection.
    pub(super) fn chain(&self, head: EdgeId) -> impl Iterator<Item = EdgeId> {
        let known = |id| (id != EdgeId::NONE).then_some(id);
        std::iter::successors(known(head), move |id| known(self.at(*id).next_of_conn))
    }

    /// How many edges a connection has.
    pub(super) fn count(&self, slot: u32, head: EdgeId) -> usize {
        match self.entries.get(head.0 as usize) {
            Some(first) if first.is_indexed => self.lengths[&slot] as usize,
            Some(first) => usize::from(first.behind) + 1,
            None => 0,
        }
    }

    /// The edge between a connection and a topic.
    pub(super) fn find(&self, slot: u32, head: EdgeId, topic: RoomId) -> Option<EdgeId> {
        if head != EdgeId::NONE && self.at(head).is_indexed {
            return self.index.get(&(slot, topic)).copied();
        }
        self.chain(head).find(|id| self.at(*id).topic == topic)
    }

    /// Adds an edge at the head of the chain of a connection.
    pub(super) fn insert(
        &mut self,
        slot: u32,
        (topic, place): (RoomId, u32),
        window_bits: u8,
        head: &mut EdgeId,
    ) -> EdgeId {
        let next_of_conn = *head;
        let (behind, is_indexed) = match self.entries.get(next_of_conn.0 as usize) {
            Some(next) => (next.behind.saturating_add(1), next.is_indexed),
            None => (0, false),
        };
        let edge = Edge { topic, place, next_of_conn, window_bits, behind, is_indexed };
        let id = self.take_entry(edge);
        *head = id;
        if is_indexed {
            self.index.insert((slot, topic), id);
            *self.length(slot) += 1;
        } else if behind >= INDEXED_FROM {
            self.set_indexed(slot, id, true);
        }
        id
    }

    /// Takes an edge out of the chain of a connection. If another has moved to its entry, gives
    /// that one's topic and its place there.
    pub(super) fn remove(
        &mut self,
        slot: u32,
        id: EdgeId,
        head: &mut EdgeId,
    ) -> Option<(RoomId, u32)> {
        let (gone, first) = (*self.at(id), *self.at(*head));
        if first.is_indexed {
            self.index.remove(&(slot, gone.topic));
            *self.length(slot) -= 1;
        }
        let has_moved = id != *head;
        if has_moved {
            let Edge { next_of_conn, behind, .. } = gone;
            self.entries[id.0 as usize] = Edge { next_of_conn, behind, ..first };
            if first.is_indexed {
                self.index.insert((slot, first.topic), id);
            }
        }
        self.give_entry(*head);
        *head = first.next_of_conn;
        if first.is_indexed && first.behind == INDEXED_UNTIL {
            self.set_indexed(slot, *head, false);
        }
        has_moved.then_some((first.topic, first.place))
    }

    /// Gives back what more edges needed than there are.
    pub(super) fn trim(&mut self) {
        let mut is_free = vec![false; self.entries.len()];
        self.chain(self.free).for_each(|id| is_free[id.0 as usize] = true);
        let used = is_free.iter().rposition(|is_free| !is_free).map_or(0, |last| last + 1);
        self.entries.truncate(used);
        self.entries.shrink_to_fit();
        self.free = EdgeId::NONE;
        for at in (0..used).rev().filter(|at| is_free[*at]) {
            self.entries[at].next_of_conn = self.free;
            self.free = EdgeId(at as u32);
        }
        // It would hash all once more.
        if self.index.capacity() > self.index.len() * 4 {
            self.index.shrink_to_fit();
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.chain(self.free).count()
    }

    /// For how many there is room.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.entries.capacity()
    }

    /// How many stand in the index.
    #[cfg(test)]
    pub(super) fn indexed(&self) -> usize {
        self.index.len()
    }

    fn length(&mut self, slot: u32) -> &mut u32 {
        self.lengths.get_mut(&slot).expect("a chain with an index has a length")
    }

    fn take_entry(&mut self, edge: Edge) -> EdgeId {
        if self.free == EdgeId::NONE {
            let id = EdgeId(self.entries.len() as u32);
            assert!(id != EdgeId::NONE, "four thousand million edges are enough");
            self.entries.push(edge);
            return id;
        }
        let id = self.free;
        let entry = &mut self.entries[id.0 as usize];
        self.free = entry.next_of_conn;
        *entry = edge;
        id
    }

    fn give_entry(&mut self, id: EdgeId) {
        self.entries[id.0 as usize].next_of_conn = self.free;
        self.free = id;
    }

    /// Makes the index of a chain, or takes it away.
    #[cold]
    fn set_indexed(&mut self, slot: u32, head: EdgeId, is_indexed: bool) {
        if is_indexed {
            self.lengths.insert(slot, self.chain(head).count() as u32);
        } else {
            self.lengths.remove(&slot);
        }
        let mut id = head;
        while id != EdgeId::NONE {
            let edge = &mut self.entries[id.0 as usize];
            edge.is_indexed = is_indexed;
            if is_indexed {
                self.index.insert((slot, edge.topic), id);
            } else {
                self.index.remove(&(slot, edge.topic));
            }
            id = edge.next_of_conn;
        }
    }
}
