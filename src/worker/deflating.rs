//! In which rooms there may be members who get compressed messages, on whatever worker: whoever
//! publishes there compresses before it posts, as members of several workers would have nothing
//! but the plain form while one of the workers is at it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts for so many classes of names.
const CLASSES: usize = 256;

/// Members by classes of their rooms' names. Rooms of one class are not told apart, which costs a
/// compression too many and nothing else.
#[derive(Debug)]
pub(super) struct Deflating([AtomicUsize; CLASSES]);

impl Default for Deflating {
    fn default() -> Self {
        Self([const { AtomicUsize::new(0) }; CLASSES])
    }
}

impl Deflating {
    /// A member who gets compressed messages comes.
    pub(super) fn join(&self, room: &str) {
        self.class(room).fetch_add(1, Ordering::Relaxed);
    }

    /// One goes.
    pub(super) fn leave(&self, room: &str) {
        self.class(room).fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there may be any.
    pub(super) fn is_in(&self, room: &str) -> bool {
        self.class(room).load(Ordering::Relaxed) > 0
    }

    /// By FNV-1a, which is enough for names that nobody gains by choosing.
    fn class(&self, room: &str) -> &AtomicUsize {
        let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = room.bytes().fold(0x811c_9dc5, mix);
        &self.0[(hash >> 16 ^ hash) as usize % CLASSES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_counted_apart_from_most_others() {
        let deflating = Deflating::default();
        deflating.join("a");
        deflating.join("a");
        deflating.leave("a");
        assert!(deflating.is_in("a"));
        let names = (0..1000).map(|number| format!("room-{number}"));
        assert!(names.filter(|name| deflating.is_in(name)).count() < 30);
        deflating.leave("a");
        assert!(!deflating.is_in("a"));
    }
}
