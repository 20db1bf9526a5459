//! Choices out of bytes, so that a variation of an input is another way to choose.

use std::hash::{DefaultHasher, Hash, Hasher};

use throng::driver::sim::Rng;

/// Bytes that are used up by choices; behind their end every choice is the first.
pub(crate) struct Source<'a>(pub(crate) &'a [u8]);

impl<'a> Source<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// So many bytes, or what there is.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// A number that stands for something that has happened.
pub(crate) fn outcome(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// The same bytes in pieces, cut elsewhere for every input and round.
pub(crate) fn pieces(bytes: &[u8], round: u64) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(outcome((bytes, round)));
    let longest = 1 << rng.below(12);
    let (mut rest, mut pieces) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((1 + rng.below(longest)).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = behind;
    }
    pieces
}
