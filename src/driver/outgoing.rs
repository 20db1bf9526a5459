//! Bytes on their way out: shared with other connections or owned, one run or several.

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
}

/// Several runs of bytes, in order.
#[derive(Debug, Default)]
pub struct Parts {
    /// The runs.
    pub list: Vec<Part>,
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
        }
    }
}

impl Parts {
    /// Adds a run at the end.
    pub fn push(&mut self, part: Part) {
        self.bytes += part.bytes().len();
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
        }
    }

    /// Forgets the runs and gives them out one by one.
    pub fn drain(&mut self) -> impl Iterator<Item = Part> {
        self.bytes = 0;
        self.list.drain(..)
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

    /// Fills `out` with the runs behind the first `skip` bytes, as far as it reaches; says how
    /// many these are.
    pub fn slices<'a>(&'a self, mut skip: usize, out: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut put = |bytes: &'a [u8]| {
            let rest = bytes.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(bytes.len());
            if !rest.is_empty() && count < out.len() {
                out[count] = IoSlice::new(rest);
                count += 1;
            }
            count < out.len()
        };
        match self {
            Self::Shared(frames, form) => drop(put(frames.bytes(*form))),
            Self::Owned(buffer) => drop(put(&buffer.bytes)),
            Self::Parts(parts) => drop(parts.list.iter().all(|part| put(part.bytes()))),
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

/// Runs in one system call; the kernel takes 1,024, but so many are walked for nothing if the
/// socket takes fewer bytes.
pub(super) const SLICES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Kind;

    #[test]
    fn two_words() {
        assert_eq!(size_of::<Option<Outgoing>>(), 16);
    }

    #[test]
    fn slices_begin_behind_what_was_sent() {
        let mut frames = Encoded::default();
        frames.push(Kind::Text, b"abc");
        let mut parts = Parts::default();
        parts.push(Part::Owned(Box::new(Buffer { bytes: b"12".to_vec() })));
        parts.push(Part::Shared(Arc::new(frames), Form::Plain));
        parts.append(|out| out.extend(b"xy"), Box::default);
        parts.append(|out| out.extend(b"z"), Box::default);
        let outgoing = Outgoing::Parts(Box::new(parts));
        let all = b"12\x81\x03abcxyz";
        assert_eq!(outgoing.len(), all.len());
        for skip in 0..=all.len() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = outgoing.slices(skip, &mut slices);
            let joined: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
            assert_eq!(joined, all[skip..], "{skip}");
            assert_eq!(outgoing.slices(skip, &mut slices[..1]), usize::from(skip < all.len()));
            assert_eq!(outgoing.to_vec(skip), all[skip..]);
        }
    }
}
