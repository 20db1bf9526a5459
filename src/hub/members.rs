//! The members of one topic of one worker.

use std::ops::{Deref, DerefMut};

use super::EdgeId;

/// A subscriber: an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The slot of the connection.
    pub slot: u32,
    pub(super) edge: EdgeId,
}

const _: () = assert!(size_of::<Member>() == 8);

/// The only one needs no list, as most rooms of some servers have one.
#[derive(Debug)]
pub(super) enum Members {
    One(Member),
    Several(Vec<Member>),
}

/// A list that is shorter than this keeps its memory.
const KEPT: usize = 64;

impl Members {
    /// Adds one at the end.
    pub(super) fn push(&mut self, member: Member) {
        match self {
            Self::One(first) => *self = Self::Several(vec![*first, member]),
            Self::Several(list) if list.is_empty() => *self = Self::One(member),
            Self::Several(list) => list.push(member),
        }
    }

    /// Takes out the one at a place, which the last one takes.
    pub(super) fn swap_remove(&mut self, place: usize) -> Member {
        let list = match self {
            Self::One(first) => {
                assert_eq!(place, 0, "there is one");
                let member = *first;
                *self = Self::default();
                return member;
            }
            Self::Several(list) => list,
        };
        let member = list.swap_remove(place);
        if let [first] = list[..] {
            *self = Self::One(first);
        } else if list.capacity() > KEPT && list.len() < list.capacity() / 4 {
            list.shrink_to(list.len() * 2);
        }
        member
    }
}

impl Default for Members {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Deref for Members {
    type Target = [Member];

    fn deref(&self) -> &[Member] {
        match self {
            Self::One(member) => std::slice::from_ref(member),
            Self::Several(list) => list,
        }
    }
}

impl DerefMut for Members {
    fn deref_mut(&mut self) -> &mut [Member] {
        match self {
            Self::One(member) => std::slice::from_mut(member),
            Self::Several(list) => list,
        }
    }
}
