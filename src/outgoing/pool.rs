//! Memory of bytes on their way out, kept for the next.

use super::{Buffer, Outgoing, Part, Parts};
use crate::limits::{POOLED_BUFFER_BYTES_MAX, POOLED_BUFFERS_MAX};
use crate::wire::{Encoded, Form, buffer};
use std::ops::Range;
use std::sync::Arc;

/// Capacity that a pool keeps in all; what comes back beyond is freed.
const BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of a range of shared frames that is not copied.
const RANGE_BYTES_MIN: usize = 256;
/// Lists of parts that a pool keeps.
const PARTS_MAX: usize = 256;
/// Parts above which a list is freed.
const PARTS_CAPACITY_MAX: usize = 256;

/// A pool of one worker.
#[derive(Debug, Default)]
pub struct Pool {
    buffers: Vec<Box<Buffer>>,
    parts: Vec<Box<Parts>>,
    bytes: usize,
    /// Buffers and lists that lay here all the time since the last trim.
    unneeded: (usize, usize),
    /// Whether more came back than a pool keeps.
    has_spilled: bool,
}

impl Pool {
    /// Appends bytes of a connection's own to what it has coming. If none are written and none
    /// were there, there is still nothing to send.
    pub fn append(&mut self, queue: &mut Option<Outgoing>, write: impl FnOnce(&mut Vec<u8>)) {
        *queue = Some(match queue.take() {
            Some(Outgoing::Owned(mut buffer)) => {
                write(&mut buffer.bytes);
                Outgoing::Owned(buffer)
            }
            None => {
                let mut buffer = self.buffer();
                write(&mut buffer.bytes);
                if buffer.bytes.is_empty() {
                    return self.keep(buffer);
                }
                Outgoing::Owned(buffer)
            }
            Some(more) => {
                let mut parts = self.make_parts(more);
                parts.append(write, || self.buffer());
                Outgoing::Parts(parts)
            }
        });
    }

    /// Appends shared frames to what a connection has coming.
    pub fn append_shared(
        &mut self,
        queue: &mut Option<Outgoing>,
        frames: &Arc<Encoded>,
        form: Form,
    ) {
        let frames = Arc::clone(frames);
        *queue = Some(match queue.take() {
            None => Outgoing::Shared(frames, form),
            Some(more) => {
                let mut parts = self.make_parts(more);
                parts.push(Part::Shared(frames, form));
                Outgoing::Parts(parts)
            }
        });
    }

    /// Appends bytes that lie in the program to what a connection has coming.
    pub fn append_static(&mut self, queue: &mut Option<Outgoing>, bytes: &'static &'static [u8]) {
        self.append_part(queue, Part::Static(bytes));
    }

    /// Appends shared frames to what a connection has coming, but for the messages that it is not
    /// to get: there are some.
    pub fn append_shared_but(
        &mut self,
        queue: &mut Option<Outgoing>,
        frames: &Arc<Encoded>,
        excepts: Range<u32>,
    ) {
        let last = excepts.end - 1;
        for number in excepts {
            let bytes = frames.before_except(number);
            self.append_range(queue, bytes, || Part::Before(Arc::clone(frames), number));
        }
        let bytes = frames.behind_except(last);
        self.append_range(queue, bytes, || Part::Behind(Arc::clone(frames), last));
    }

    /// Takes memory back.
    pub fn recycle(&mut self, bytes: Outgoing) {
        match bytes {
            Outgoing::Shared(..) => {}
            Outgoing::Owned(buffer) => self.keep(buffer),
            Outgoing::Parts(mut parts) => {
                for part in parts.drain() {
                    if let Part::Owned(buffer) = part {
                        self.keep(buffer);
                    }
                }
                if self.parts.len() < PARTS_MAX && parts.list.capacity() <= PARTS_CAPACITY_MAX {
                    self.parts.push(parts);
                }
            }
        }
    }

    /// Frees what was not needed since the last time; says whether anything is left.
    pub fn trim(&mut self) -> bool {
        self.parts.truncate(self.parts.len() - self.unneeded.1);
        for buffer in self.buffers.drain(self.buffers.len() - self.unneeded.0..) {
            self.bytes -= buffer.bytes.capacity();
        }
        self.buffers.shrink_to(2 * self.buffers.len().max(POOLED_BUFFERS_MAX));
        self.unneeded = (self.buffers.len(), self.parts.len());
        !self.is_empty()
    }

    /// Whether there is anything to trim.
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty() && self.parts.is_empty()
    }

    /// Appends a range of shared frames, or a copy of a short one: who sends many messages that it
    /// does not get would have a part between each two of them.
    fn append_range(
        &mut self,
        queue: &mut Option<Outgoing>,
        bytes: &[u8],
        part: impl FnOnce() -> Part,
    ) {
        if bytes.len() >= RANGE_BYTES_MIN {
            self.append_part(queue, part());
        } else if !bytes.is_empty() {
            self.append(queue, |out| buffer::append(out, bytes));
        }
    }

    fn append_part(&mut self, queue: &mut Option<Outgoing>, part: Part) {
        let mut parts = match queue.take() {
            Some(more) => self.make_parts(more),
            None => self.no_parts(),
        };
        parts.push(part);
        *queue = Some(Outgoing::Parts(parts));
    }

    fn buffer(&mut self) -> Box<Buffer> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.unneeded.0 = self.unneeded.0.min(self.buffers.len());
        self.bytes -= buffer.bytes.capacity();
        buffer
    }

    fn keep(&mut self, mut buffer: Box<Buffer>) {
        let capacity = buffer.bytes.capacity();
        if capacity <= POOLED_BUFFER_BYTES_MAX && self.bytes + capacity <= BYTES_MAX {
            self.bytes += capacity;
            buffer.bytes.clear();
            self.buffers.push(buffer);
        } else {
            self.has_spilled = true;
        }
    }

    /// Whether more came back than a pool keeps since this was last asked.
    pub fn take_spilled(&mut self) -> bool {
        std::mem::take(&mut self.has_spilled)
    }

    fn make_parts(&mut self, bytes: Outgoing) -> Box<Parts> {
        let single = match bytes {
            Outgoing::Parts(parts) => return parts,
            Outgoing::Shared(frames, form) => Part::Shared(frames, form),
            Outgoing::Owned(buffer) => Part::Owned(buffer),
        };
        let mut parts = self.no_parts();
        parts.push(single);
        parts
    }

    fn no_parts(&mut self) -> Box<Parts> {
        let parts = self.parts.pop().unwrap_or_default();
        self.unneeded.1 = self.unneeded.1.min(self.parts.len());
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ConnId, SubscriberId, WorkerId};
    use crate::wire::Kind;

    #[test]
    fn own_and_shared_bytes_keep_their_order() {
        let (mut pool, mut queue) = (Pool::default(), None);
        let ping = Arc::new(Encoded::ping());
        pool.append(&mut queue, |out| out.extend(b"a"));
        pool.append(&mut queue, |out| out.extend(b"b"));
        pool.append_shared(&mut queue, &ping, Form::Plain);
        pool.append_shared(&mut queue, &ping, Form::Plain);
        pool.append(&mut queue, |out| out.extend(b"c"));
        let bytes = queue.expect("something was appended");
        assert_eq!(bytes.to_vec(0), b"ab\x89\0\x89\0c");
        assert_eq!(bytes.len(), 7);
        pool.recycle(bytes);
        assert_eq!((pool.buffers.len(), pool.parts.len()), (2, 1));
        let mut queue = None;
        pool.append(&mut queue, |out| assert!(out.is_empty() && out.capacity() > 0));
        assert!(queue.is_none(), "nothing was written");
    }

    #[test]
    fn short_ranges_are_copied_and_long_ones_are_shared() {
        let mut frames = Encoded::default();
        let conn = ConnId { index: 0, generation: 0 };
        let who = SubscriberId { worker: WorkerId(0), conn };
        for (byte, length) in [(b'a', 300), (b'b', 3), (b'-', 5), (b'c', 3), (b'-', 5), (b'-', 5)] {
            frames.push(Kind::Binary, &vec![byte; length]);
            if byte == b'-' {
                frames.except(who);
            }
        }
        frames.push(Kind::Binary, b"d");
        let frames = Arc::new(frames);
        let (mut pool, mut queue) = (Pool::default(), None);
        pool.append_shared_but(&mut queue, &frames, frames.excepts_of(who));
        pool.append(&mut queue, |out| out.extend(b"."));
        let queue = queue.expect("there is something for it");
        assert_eq!(queue.runs(), 2, "a range, and a buffer for all that is short");
        let all = frames.bytes(Form::Plain);
        let bytes = [&all[..304 + 5], b"\x82\x03ccc\x82\x01d."].concat();
        assert_eq!(queue.to_vec(0), bytes);
        let memory = queue.memory();
        let run = frames.memory();
        assert!(
            memory > run && memory < run + 200,
            "all of the run is kept, once: {memory}, {run}"
        );
    }

    #[test]
    fn what_is_not_needed_is_freed() {
        let mut pool = Pool::default();
        let fill = |pool: &mut Pool, count: usize| {
            let mut queues: Vec<_> = (0..count).map(|_| None).collect();
            for queue in &mut queues {
                pool.append(queue, |out| out.extend(b"a"));
            }
            queues.into_iter().flatten().for_each(|bytes| pool.recycle(bytes));
        };
        fill(&mut pool, 10);
        assert!(pool.trim(), "all were needed");
        fill(&mut pool, 4);
        assert!(pool.trim());
        assert_eq!(pool.buffers.len(), 4, "six were not");
        assert!(!pool.trim() && pool.bytes == 0);
    }

    #[test]
    fn large_memory_is_not_kept() {
        let (mut pool, mut queue) = (Pool::default(), None);
        pool.append(&mut queue, |out| out.resize(POOLED_BUFFER_BYTES_MAX + 1, 0));
        pool.recycle(queue.expect("something was appended"));
        assert_eq!((pool.buffers.len(), pool.bytes), (0, 0));
    }
}
