//! What the sessions of one worker lend and share: they need it only while a message is partial.

use super::partial::Partial;
use crate::limits::{INFLATE_BYTE_COST, PART_COST, POOLED_BUFFER_BYTES_MAX, POOLED_BUFFERS_MAX};
use crate::wire::Violation;
use crate::wire::deflate::{InflateError, Inflater};
use crate::wire::frame::Kind;
use crate::wire::utf8;

/// A pool of partial messages, and the decompressor.
#[derive(Debug, Default)]
pub struct Scratch {
    partials: Vec<Box<Partial>>,
    /// Partials that lay in the pool all the time since it was last trimmed.
    unneeded: usize,
    /// Whether more came back than the pool keeps.
    has_spilled: bool,
    inflater: Option<Box<Inflater>>,
    inflated: Vec<u8>,
    /// What was done beside whole messages: see [`Scratch::take_work`].
    work: usize,
}

impl Scratch {
    /// Frees what was not needed since the last time; says whether anything is left.
    pub fn trim(&mut self) -> bool {
        self.partials.truncate(self.partials.len() - self.unneeded);
        self.partials.shrink_to(POOLED_BUFFERS_MAX);
        self.unneeded = self.partials.len();
        self.inflated = Vec::new();
        self.unneeded > 0
    }

    /// Whether there is anything to trim.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partials.is_empty() && self.inflated.capacity() == 0
    }

    pub(super) fn partial(&mut self) -> Box<Partial> {
        let partial = self.partials.pop();
        self.unneeded = self.unneeded.min(self.partials.len());
        partial.unwrap_or_default()
    }

    pub(super) fn recycle(&mut self, partial: Option<Box<Partial>>) {
        let Some(mut partial) = partial else { return };
        if self.partials.len() < POOLED_BUFFERS_MAX {
            partial.clear();
            self.partials.push(partial);
        } else {
            self.has_spilled = true;
        }
    }

    /// Whether more came back than the pool keeps since this was last asked.
    pub fn take_spilled(&mut self) -> bool {
        std::mem::take(&mut self.has_spilled)
    }

    /// What was done since this was last asked and shows in no message: frames of messages in
    /// parts, in [`PART_COST`] each, and bytes that were inflated.
    pub fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
    }

    pub(super) fn note_frames(&mut self, frames: usize) {
        self.work += frames * PART_COST;
    }

    /// Inflates a message and checks it; the memory of a large one is freed by the next.
    pub(super) fn inflate(
        &mut self,
        bytes: &[u8],
        kind: Kind,
        max: usize,
    ) -> Result<&[u8], Violation> {
        if self.inflated.capacity() > POOLED_BUFFER_BYTES_MAX {
            self.inflated = Vec::new();
        }
        let inflater = self.inflater.get_or_insert_default();
        let result = inflater.inflate(bytes, &mut self.inflated, max);
        // Blocks that give little take time too, for their tables.
        self.work += self.inflated.len().max(INFLATE_BYTE_COST * bytes.len());
        match result {
            Ok(()) if kind == Kind::Text && !utf8::is_utf8(&self.inflated) => {
                Err(Violation::BadUtf8)
            }
            Ok(()) => Ok(&self.inflated),
            Err(InflateError::Damaged) => Err(Violation::BadDeflate),
            Err(InflateError::TooBig) => Err(Violation::TooBig),
        }
    }
}
