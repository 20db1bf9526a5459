//! What a submission is about, as the 64 bits that come back with its completion.

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Operation {
    /// Multishot accept on a listener.
    Accept = 1,
    /// Multishot poll on the waker.
    Wake,
    /// Multishot poll on a connection.
    Poll,
    /// Receive on a connection that is readable.
    Receive,
    /// Send on a connection.
    Send,
    /// Cancel the poll on a connection.
    CancelPoll,
    /// Close a connection's descriptor.
    Close,
    /// Cancel the accept of a listener.
    Unlisten,
    /// Send on a connection, out of a receive buffer.
    SendLent,
    /// Cancel the send on a connection.
    CancelSend,
}

impl Operation {
    /// The request's name: a slot is not reused while any request names it, so its index will do.
    pub(super) fn name(self, index: u32) -> u64 {
        (self as u64) << 32 | u64::from(index)
    }

    /// The name of a receive, and which buffer it fills.
    pub(super) fn receive(index: u32, buffer: u16) -> u64 {
        Self::Receive.name(index) | u64::from(buffer) << 48
    }

    /// The name of a send out of a receive buffer, and which that is.
    pub(super) fn send_lent(index: u32, buffer: u16) -> u64 {
        Self::SendLent.name(index) | u64::from(buffer) << 48
    }

    /// The buffer in the name of a receive, or of a send out of one.
    pub(super) fn buffer(name: u64) -> u16 {
        (name >> 48) as u16
    }

    /// What a name means.
    pub(super) fn parse(name: u64) -> (Self, u32) {
        let operation = match name >> 32 & 0xffff {
            1 => Self::Accept,
            2 => Self::Wake,
            3 => Self::Poll,
            4 => Self::Receive,
            5 => Self::Send,
            6 => Self::CancelPoll,
            7 => Self::Close,
            8 => Self::Unlisten,
            9 => Self::SendLent,
            10 => Self::CancelSend,
            _ => unreachable!("names come from Operation::name"),
        };
        (operation, name as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        use Operation::{Accept, CancelPoll, CancelSend, Close, Poll, Receive, Send, SendLent};
        use Operation::{Unlisten, Wake};
        let connections = [Poll, Receive, Send, SendLent, CancelPoll, CancelSend, Close];
        for operation in [Accept, Wake, Unlisten].into_iter().chain(connections) {
            assert_eq!(Operation::parse(operation.name(u32::MAX)), (operation, u32::MAX));
        }
        let name = Operation::receive(7, u16::MAX);
        assert_eq!((Operation::parse(name), Operation::buffer(name)), ((Receive, 7), u16::MAX));
        let name = Operation::send_lent(7, 3);
        assert_eq!((Operation::parse(name), Operation::buffer(name)), ((SendLent, 7), 3));
    }
}
