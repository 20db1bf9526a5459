//! What was received of a connection that must not be read further, and not handled.

use crate::wire::buffer;

/// At most what one receive brings, and what a driver had received when it was paused.
#[derive(Debug, Default)]
pub(crate) struct Stash {
    bytes: Vec<u8>,
    /// Bytes at the beginning that are handled. They stay until all are, or each of a thousand
    /// requests in one receive would move all that come behind it.
    handled: usize,
}

impl Stash {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), handled: 0 }
    }

    /// The bytes of what is still to be handled.
    pub(crate) fn into_rest(self) -> Vec<u8> {
        let Self { mut bytes, handled } = self;
        bytes.drain(..handled);
        bytes
    }

    /// Adds what came meanwhile.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        buffer::append(&mut self.bytes, bytes);
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// What is still to be handled.
    pub(crate) fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.handled..]
    }

    /// All but the last `left` bytes are handled; gives itself back if these are any.
    pub(crate) fn keep(mut self: Box<Self>, left: usize) -> Option<Box<Self>> {
        assert!(left <= self.bytes.len() - self.handled, "what is handled does not come back");
        self.handled = self.bytes.len() - left;
        (left > 0).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handled_does_not_come_again() {
        let mut stash = Box::new(Stash::new(b"abcd"));
        assert_eq!(stash.rest(), b"abcd");
        let mut stash = stash.keep(3).expect("three are left");
        stash.append(b"ef");
        assert_eq!(stash.rest(), b"bcdef");
        let mut stash = stash.keep(1).expect("one is left");
        assert_eq!(stash.rest(), b"f");
        assert!(stash.keep(0).is_none());
    }
}
