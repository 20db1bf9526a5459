//! Frames that everybody has, kept for what is published next, so that a publish allocates nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::limits::POOLED_BUFFER_BYTES_MAX;
use crate::wire::Encoded;

/// Runs of frames that are watched until the last receiver has them. Of one that has to make way
/// the last receiver frees the memory.
const WATCHED_MAX: usize = 32;

/// Runs that are asked whether they are free, the oldest first.
const ASKED_MAX: usize = 4;

/// Runs of frames that were given out.
#[derive(Debug, Default)]
pub(super) struct Spare {
    watched: VecDeque<Arc<Encoded>>,
    is_needed: bool,
}

impl Spare {
    /// Empty frames that nobody else has.
    pub(super) fn take(&mut self) -> Arc<Encoded> {
        self.is_needed = true;
        for _ in 0..self.watched.len().min(ASKED_MAX) {
            let Some(mut frames) = self.watched.pop_front() else { break };
            if let Some(encoded) = Arc::get_mut(&mut frames) {
                encoded.clear();
                return frames;
            }
            self.watched.push_back(frames);
        }
        Arc::default()
    }

    /// Watches frames that are given out, unless they are too large to be kept.
    pub(super) fn watch(&mut self, frames: &Arc<Encoded>) {
        if frames.capacity() > POOLED_BUFFER_BYTES_MAX {
            return;
        }
        if self.watched.len() == WATCHED_MAX {
            self.watched.pop_front();
        }
        self.watched.push_back(Arc::clone(frames));
    }

    /// Frees all if none was needed since the last time; says whether anything is left.
    pub(super) fn trim(&mut self) -> bool {
        if !std::mem::take(&mut self.is_needed) {
            self.watched = VecDeque::new();
        }
        !self.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Kind;

    fn run(spare: &mut Spare, text: &[u8]) -> Arc<Encoded> {
        let mut frames = spare.take();
        Arc::get_mut(&mut frames).expect("nobody else has it").push(Kind::Text, text);
        spare.watch(&frames);
        frames
    }

    #[test]
    fn what_nobody_has_any_more_is_used_again_and_empty() {
        let mut spare = Spare::default();
        let first = run(&mut spare, b"first");
        let second = run(&mut spare, b"second");
        assert!(!Arc::ptr_eq(&first, &second), "the first is still in use");
        let place = Arc::as_ptr(&first);
        drop(first);
        let third = run(&mut spare, b"3");
        assert_eq!(Arc::as_ptr(&third), place);
        assert_eq!((third.messages(), third.plain_bytes()), (1, 3));
        assert_eq!(second.plain_bytes(), 8, "what is in use stays as it is");
    }

    #[test]
    fn it_holds_a_bounded_number_of_small_ones_until_trimmed() {
        let mut spare = Spare::default();
        let _held: Vec<_> = (0..100).map(|_| run(&mut spare, b"x")).collect();
        assert_eq!(spare.watched.len(), WATCHED_MAX);
        let large = run(&mut spare, &[b'x'; POOLED_BUFFER_BYTES_MAX + 1]);
        assert!(!spare.watched.iter().any(|frames| Arc::ptr_eq(frames, &large)));
        assert!(spare.trim(), "they were needed");
        assert!(!spare.trim() && spare.is_empty());
    }
}
