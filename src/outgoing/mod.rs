//! Bytes on their way out: shared with other connections or owned, one run or several. This module
//! never sends them.

mod judge;
#[cfg(test)]
mod judge_tests;
mod pool;

pub use judge::{Cuts, Dropped, Judged, Verdict};
pub use pool::Pool;

use std::io::IoSlice;
use std::sync::Arc;

use crate::wire::{Encoded, Form, buffer};

/// Bytes that belong to one connection.
#[derive(Debug, Default)]
pub struct Buffer {
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What one send carries, in two words: an idle connection has none, and a broadcast costs a
/// subscriber no memory.
#[derive(Debug)]
pub enum Outgoing {
    /// Frames that others get too.
    Shared(Arc<Encoded>, Form),
    /// Bytes for this connection alone.
    Owned(Box<Buffer>),
    /// Several runs, in order.
    Parts(Box<Parts>),
}

/// One run of bytes among several.
#[derive(Debug)]
pub enum Part {
    /// Frames that others get too.
    Shared(Arc<Encoded>, Form),
    /// Bytes for this connection alone.
    Owned(Box<Buffer>),
    /// Bytes that lie in the program; the pointer to the slice is one word. No send of its own, so
    /// that deliveries, which look at every kind, have none more: they come behind a head anyway.
    Static(&'static &'static [u8]),
    /// Frames that others get too, as far as a message that this connection does not get: see
    /// [`Encoded::before_except`].
    Before(Arc<Encoded>, u32),
    /// Those behind the last such message.
    Behind(Arc<Encoded>, u32),
}

/// Several runs of bytes, in order.
#[derive(Debug, Default)]
pub struct Parts {
    /// The runs.
    pub list: Vec<Part>,
    bytes: usize,
    memory: usize,
    gone: Gone,
    /// When it is to be judged again.
    judge: judge::Next,
}

/// The runs at the beginning of which all bytes have gone, so that nobody looks at them again.
#[derive(Debug, Default)]
struct Gone {
    runs: usize,
    bytes: usize,
}

impl Part {
    /// The bytes.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(frames, form) => frames.bytes(*form),
            Self::Owned(buffer) => &buffer.bytes,
            Self::Static(bytes) => bytes,
            Self::Before(frames, number) => frames.before_except(*number),
            Self::Behind(frames, number) => frames.behind_except(*number),
        }
    }

    /// The run that it keeps.
    fn frames(&self) -> Option<&Arc<Encoded>> {
        match self {
            Self::Shared(frames, _) | Self::Before(frames, _) | Self::Behind(frames, _) => {
                Some(frames)
            }
            Self::Owned(_) | Self::Static(_) => None,
        }
    }

    /// Each part of a run is one of those who share it.
    fn share(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Owned(buffer) => buffer.bytes.capacity(),
                _ => self.frames().map_or(0, |run| run.memory() / Arc::strong_count(run)),
            }
    }

    /// Behind others: of a run that has several parts here, with copies of short ones between
    /// them, the first one counts.
    fn memory(&self, before: &[Self]) -> usize {
        let bytes = match self {
            Self::Shared(frames, _) => frames.memory(),
            Self::Owned(buffer) => buffer.bytes.len(),
            Self::Static(_) => 0,
            Self::Before(frames, _) | Self::Behind(frames, _) => {
                let mut known = before.iter().rev().take(2).filter_map(Self::frames);
                let is_known = known.any(|known| Arc::ptr_eq(known, frames));
                if is_known { 0 } else { frames.memory() }
            }
        };
        size_of::<Self>() + bytes
    }
}

impl Parts {
    /// Adds a run at the end.
    pub fn push(&mut self, part: Part) {
        self.bytes += part.bytes().len();
        self.memory += part.memory(&self.list);
        if let Part::Shared(frames, _) = &part
            && let Some(lane) = frames.lane()
        {
            self.judge.note(lane, self.memory);
        }
        self.list.push(part);
    }

    /// Appends to the last run, which is made if it is not the connection's own.
    pub fn append(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>),
        fresh: impl FnOnce() -> Box<Buffer>,
    ) {
        if !matches!(self.list.last(), Some(Part::Owned(_))) {
            self.list.push(Part::Owned(fresh()));
        }
        if let Some(Part::Owned(buffer)) = self.list.last_mut() {
            let before = buffer.bytes.len();
            write(&mut buffer.bytes);
            self.bytes += buffer.bytes.len() - before;
            self.memory += buffer.bytes.len() - before;
        }
    }

    /// Forgets the runs and gives them out one by one.
    pub fn drain(&mut self) -> impl Iterator<Item = Part> {
        (self.bytes, self.memory, self.gone) = (0, 0, Gone::default());
        self.judge = judge::Next::default();
        self.list.drain(..)
    }

    /// The runs behind those of the first `skip` bytes, and how many bytes are before them.
    fn behind(&mut self, skip: usize) -> (&[Part], usize) {
        let Gone { runs, bytes } = &mut self.gone;
        assert!(skip >= *bytes, "what has gone does not come back");
        while let Some(part) = self.list.get(*runs) {
            let end = *bytes + part.bytes().len();
            if end > skip {
                break;
            }
            (*runs, *bytes) = (*runs + 1, end);
        }
        (&self.list[*runs..], *bytes)
    }
}

impl Outgoing {
    /// Bytes owned by one connection.
    #[must_use]
    pub fn owned(bytes: Vec<u8>) -> Self {
        Self::Owned(Box::new(Buffer { bytes }))
    }

    /// A copy of these.
    #[must_use]
    pub fn copied(bytes: &[u8]) -> Self {
        let mut copy = Vec::new();
        buffer::append(&mut copy, bytes);
        Self::owned(copy)
    }

    /// How many bytes these are.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Shared(frames, form) => frames.bytes(*form).len(),
            Self::Owned(buffer) => buffer.bytes.len(),
            Self::Parts(parts) => parts.bytes,
        }
    }

    /// Bytes of memory that these keep while they wait: shared frames count as if nobody else had
    /// them, as the slowest of all who get them has them alone in the end.
    #[must_use]
    pub fn memory(&self) -> usize {
        match self {
            Self::Shared(frames, _) => frames.memory(),
            Self::Owned(buffer) => buffer.bytes.len(),
            Self::Parts(parts) => parts.memory,
        }
    }

    /// How many runs of bytes these are.
    #[must_use]
    pub fn runs(&self) -> usize {
        match self {
            Self::Shared(..) | Self::Owned(_) => 1,
            Self::Parts(parts) => parts.list.len(),
        }
    }

    /// Bytes of memory that come free if these are dropped, about: of what others have too, a
    /// share.
    #[must_use]
    pub fn share(&self) -> usize {
        match self {
            Self::Shared(frames, _) => frames.memory() / Arc::strong_count(frames),
            Self::Owned(buffer) => buffer.bytes.capacity(),
            Self::Parts(parts) => parts.list.iter().map(Part::share).sum(),
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes behind the first `skip`, if they are one run.
    #[must_use]
    #[inline]
    pub fn contiguous(&self, skip: usize) -> Option<&[u8]> {
        match self {
            Self::Shared(frames, form) => Some(&frames.bytes(*form)[skip..]),
            Self::Owned(buffer) => Some(&buffer.bytes[skip..]),
            Self::Parts(_) => None,
        }
    }

    /// Fills `out` with the runs behind the first `skip` bytes, as far as it reaches and up to
    /// `max` bytes; says how many these are. From one call to the next `skip` only grows.
    pub fn slices<'a>(&'a mut self, skip: usize, max: usize, out: &mut [IoSlice<'a>]) -> usize {
        let (parts, before) = match self {
            Self::Parts(parts) => parts.behind(skip),
            single => {
                let run = single.contiguous(skip).unwrap_or_default();
                out[0] = IoSlice::new(&run[..run.len().min(max)]);
                return usize::from(!run.is_empty());
            }
        };
        let (mut skip, mut left, mut count) = (skip - before, max, 0);
        for part in parts {
            if left == 0 || count == out.len() {
                break;
            }
            let run = &part.bytes()[std::mem::take(&mut skip)..];
            let run = &run[..run.len().min(left)];
            out[count] = IoSlice::new(run);
            (count, left) = (count + 1, left - run.len());
        }
        count
    }

    /// All bytes behind the first `skip`, copied.
    #[must_use]
    pub fn to_vec(&self, skip: usize) -> Vec<u8> {
        let all = match self {
            Self::Parts(parts) => parts.list.iter().flat_map(Part::bytes).copied().collect(),
            single => single.contiguous(0).map_or_else(Vec::new, <[u8]>::to_vec),
        };
        all[skip..].to_vec()
    }
}

/// Bytes in one request or call. io_uring wakes a send 128 times at most and then gives it to a
/// thread that blocks (`APOLL_MAX_RETRY`): with so few bytes it never comes to that, as a socket
/// wakes a writer when a third of its buffer is free, ten kilobytes by default. A Unix socket wakes
/// it when three quarters are free, 156 KiB by default, and then takes the rest of a request whole:
/// see `taken`.
pub(super) const SEND_BYTES_MAX: usize = 128 * 1024;

/// Runs in one system call; the kernel takes 1,024, but so many are walked for nothing if the
/// socket takes fewer bytes.
pub(super) const SLICES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ConnId, SubscriberId, WorkerId};
    use crate::wire::Kind;
    use crate::wire::deflate::Deflater;

    #[test]
    fn two_words() {
        assert_eq!(size_of::<Option<Outgoing>>(), 16);
        assert_eq!(size_of::<Part>(), 16);
    }

    #[test]
    fn slices_begin_behind_what_was_sent() {
        let mut frames = Encoded::default();
        frames.push(Kind::Text, b"abc");
        let mut for_others = Encoded::default();
        for text in [b"D", b"E", b"F"] {
            for_others.push(Kind::Text, text);
            if text == b"E" {
                let conn = ConnId { index: 0, generation: 0 };
                for_others.except(SubscriberId { worker: WorkerId(0), conn });
            }
        }
        let for_others = Arc::new(for_others);
        let mut parts = Parts::default();
        parts.push(Part::Owned(Box::new(Buffer { bytes: b"12".to_vec() })));
        parts.push(Part::Shared(Arc::new(frames), Form::Plain));
        parts.append(|out| out.extend(b"xy"), Box::default);
        parts.append(|out| out.extend(b"z"), Box::default);
        static LAST: &[u8] = b"last";
        parts.push(Part::Static(&LAST));
        parts.push(Part::Before(Arc::clone(&for_others), 0));
        parts.push(Part::Behind(for_others, 0));
        let mut outgoing = Outgoing::Parts(Box::new(parts));
        let all = b"12\x81\x03abcxyzlast\x81\x01D\x81\x01F";
        assert_eq!(outgoing.len(), all.len());
        for skip in 0..=all.len() {
            for max in [1, 3, usize::MAX] {
                let joined = joined(&mut outgoing, skip, max, SLICES_MAX);
                assert_eq!(joined, all[skip..all.len().min(skip.saturating_add(max))], "{skip}");
            }
            let first = joined(&mut outgoing, skip, usize::MAX, 1);
            assert!(first.is_empty() == (skip == all.len()) && all[skip..].starts_with(&first));
            assert_eq!(outgoing.to_vec(skip), all[skip..]);
        }
    }

    fn joined(outgoing: &mut Outgoing, skip: usize, max: usize, count: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = outgoing.slices(skip, max, &mut slices[..count]);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn runs_that_have_gone_are_not_looked_at_again() {
        let mut parts = Parts::default();
        for _ in 0..1000 {
            parts.push(Part::Owned(Box::new(Buffer { bytes: vec![7; 3] })));
        }
        assert_eq!(parts.behind(1501).0.len(), 500);
        assert_eq!((parts.gone.runs, parts.gone.bytes), (500, 1500));
        assert_eq!(parts.behind(3000).0.len(), 0);
        assert_eq!(parts.drain().count(), 1000);
        parts.push(Part::Owned(Box::new(Buffer { bytes: vec![7; 3] })));
        assert_eq!(parts.behind(0).0.len(), 1, "the list begins anew");
    }

    #[test]
    fn shared_frames_count_in_all_their_forms() {
        let mut frames = Encoded::default();
        frames.push(Kind::Binary, &[0; 100_000]);
        frames.prepare(&mut Deflater::default()).expect("nobody else is at it");
        let frames = Arc::new(frames);
        let single = Outgoing::Shared(Arc::clone(&frames), Form::Deflated);
        assert!(single.len() < 1000 && single.memory() > 100_000);
        let mut parts = Parts::default();
        (0..2).for_each(|_| parts.push(Part::Shared(Arc::clone(&frames), Form::Deflated)));
        assert!(Outgoing::Parts(Box::new(parts)).memory() > 200_000);
        let empty = Outgoing::Shared(Arc::new(Encoded::default()), Form::Plain);
        assert!(empty.memory() > 64, "even nothing takes room");
    }
}
