//! One connection of the loader. A million of them have to fit beside the server, so an idle one is
//! a few words and owns no buffer.

use mio::net::TcpStream;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The kernel connects.
    Connecting,
    /// The request is on its way, or its response.
    Upgrading,
    /// Frames go both ways.
    Open,
    /// Our close frame was sent; the server's is awaited.
    Closing,
    /// Over; it is removed when the turn with it is done.
    Gone,
}

/// Whether a connection is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    Always,
    /// Its owner has stopped to.
    Deaf,
    /// As before, and the server has ended it; what came until then waits to be read.
    HungUp,
    /// Its owner had stopped to for a while, so that the server may have ended it.
    Again,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) socket: TcpStream,
    pub(crate) state: State,
    pub(crate) hearing: Hearing,
    /// Pings since the last reset.
    pub(crate) pings: u16,
    /// Its number among all connections of the crew.
    pub(crate) id: u32,
    /// What it only has while something is unfinished.
    extra: Option<Box<Extra>>,
}

/// What is unfinished.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// When it was meant to be opened.
    pub(crate) intended_ns: u64,
    /// Bytes received that end inside of a frame, or of the response head.
    pub(crate) partial: Vec<u8>,
    /// A message whose last fragment has not come.
    pub(crate) message: Vec<u8>,
    /// The opcode of that message; 0 if there is none.
    pub(crate) message_opcode: u8,
    /// Bytes that the kernel has not taken.
    pub(crate) outgoing: Vec<u8>,
}

impl Link {
    pub(crate) fn new(socket: TcpStream, id: u32, intended_ns: u64) -> Self {
        let extra = Some(Box::new(Extra { intended_ns, ..Extra::default() }));
        Self { socket, state: State::Connecting, hearing: Hearing::Always, pings: 0, id, extra }
    }

    pub(crate) fn extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    pub(crate) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// The partial bytes, which are then no longer here.
    pub(crate) fn take_partial(&mut self) -> Vec<u8> {
        self.extra.as_mut().map(|extra| std::mem::take(&mut extra.partial)).unwrap_or_default()
    }

    /// Bytes that the kernel has not taken.
    pub(crate) fn outgoing_bytes(&self) -> usize {
        self.extra.as_ref().map_or(0, |extra| extra.outgoing.len())
    }

    /// Frees what is unfinished if nothing is.
    pub(crate) fn tidy(&mut self) {
        let is_busy = !matches!(self.state, State::Open | State::Closing)
            || self.extra.as_ref().is_some_and(|extra| extra.is_busy());
        if !is_busy {
            self.extra = None;
        }
    }
}

impl Extra {
    fn is_busy(&self) -> bool {
        !self.partial.is_empty() || self.message_opcode != 0 || !self.outgoing.is_empty()
    }
}

const _: () = assert!(size_of::<Link>() <= 32);
