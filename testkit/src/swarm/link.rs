//! One client of a swarm.

use std::io::{self, ErrorKind, IoSliceMut, Read, Write};
use std::net::Shutdown;

use mio::event::Event;
use mio::net::TcpStream;

use super::Visitor;
use super::bytes::{Rng, measure, put_frame};

/// Buffers above this are freed when they are empty.
const KEPT_BYTES_MAX: usize = 128 * 1024;

/// Reads of one link before the others have their turn.
const READS_PER_TURN: usize = 8;

/// Times that a visitor may queue more in one turn because everything had gone.
const DRAINS_PER_TURN: usize = 8;

/// What the upgrade is answered with, for the key that all clients send.
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How a connection ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The code of the server's close frame, if one came; 1005 if it had none.
    pub code: Option<u16>,
    /// What failed, unless a FIN came.
    pub error: Option<ErrorKind>,
    /// The answer to the upgrade, if it was refused.
    pub response: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Upgrading,
    Open,
}

/// A frame that has not come whole; its length is known once its head is there.
#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    filled: usize,
}

/// One client.
#[derive(Debug)]
pub struct Link {
    /// The caller's own number.
    pub tag: usize,
    /// Data frames that came.
    pub frames: u64,
    /// Bytes that came.
    pub bytes: u64,
    /// Pings that came.
    pub pings: u64,
    /// Whether it answers pings and close frames.
    pub answers: bool,
    /// Whether it reads.
    pub reads: bool,
    pub(super) socket: TcpStream,
    key: usize,
    state: State,
    out: Vec<u8>,
    out_at: usize,
    partial: Partial,
    may_read: bool,
    may_write: bool,
    /// The end is behind the data: no other edge will tell of it.
    is_hung_up: bool,
    code: Option<u16>,
    end: Option<End>,
    masks: Rng,
}

impl Link {
    pub(super) fn new(socket: TcpStream, key: usize, tag: usize) -> Self {
        Self {
            tag,
            frames: 0,
            bytes: 0,
            pings: 0,
            answers: true,
            reads: true,
            socket,
            key,
            state: State::Connecting,
            out: Vec::new(),
            out_at: 0,
            partial: Partial::default(),
            may_read: false,
            may_write: false,
            is_hung_up: false,
            code: None,
            end: None,
            masks: Rng::new(tag as u64),
        }
    }

    /// Its name in the swarm.
    #[must_use]
    pub fn key(&self) -> usize {
        self.key
    }

    /// Whether the upgrade was answered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the connect was answered.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state != State::Connecting
    }

    /// The code of the server's close frame, if it has come.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        self.code
    }

    /// Bytes that were queued and have not gone.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.out.len() - self.out_at
    }

    /// Queues a masked frame.
    pub fn frame(&mut self, first: u8, parts: &[&[u8]]) {
        let mask = self.masks.number() as u32;
        put_frame(&mut self.out, first, mask, parts);
    }

    /// Queues bytes as they are.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Queues a close frame.
    pub fn close(&mut self, code: u16) {
        self.frame(0x88, &[&code.to_be_bytes()]);
    }

    /// Sends a FIN at once, behind what has gone.
    pub fn finish(&self) {
        // It fails only where the connection is broken, which shows by itself.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    pub(super) fn note(&mut self, event: &Event) {
        self.is_hung_up |= event.is_read_closed() || event.is_error();
        self.may_read |= event.is_readable() || self.is_hung_up;
        self.may_write |= event.is_writable() || event.is_error();
    }

    pub(super) fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }

    pub(super) fn has_more(&self) -> bool {
        self.may_read && self.reads || self.may_write && self.queued() > 0
    }

    /// Writes and reads what the socket takes and gives.
    pub(super) fn serve(&mut self, buffer: &mut [u8], visitor: &mut impl Visitor) {
        if self.state == State::Connecting && !self.has_connected() {
            return;
        }
        if self.may_read && self.reads && self.end.is_none() {
            self.read(buffer, visitor);
        }
        for _ in 0..DRAINS_PER_TURN {
            if self.end.is_some() || !self.write() {
                break;
            }
            if self.state == State::Open {
                visitor.drained(self);
            }
        }
    }

    fn has_connected(&mut self) -> bool {
        if let Ok(Some(error)) | Err(error) = self.socket.take_error() {
            self.fail(&error);
            return false;
        }
        if self.may_write {
            self.state = State::Upgrading;
        }
        self.may_write
    }

    /// Whether the last of what was queued has gone by this.
    fn write(&mut self) -> bool {
        while self.may_write && self.queued() > 0 {
            match self.socket.write(&self.out[self.out_at..]) {
                Ok(count) => self.out_at += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_write = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    // What the server said before it closed is still to be read.
                    self.out_at = self.out.len();
                    self.may_write = false;
                    self.may_read = true;
                }
            }
        }
        if self.queued() > 0 || self.out.is_empty() {
            return false;
        }
        self.out.clear();
        self.out_at = 0;
        if self.out.capacity() > KEPT_BYTES_MAX {
            self.out = Vec::new();
        }
        true
    }

    fn read(&mut self, buffer: &mut [u8], visitor: &mut impl Visitor) {
        for _ in 0..READS_PER_TURN {
            let kept = self.lay_out(buffer);
            let wanted = self.partial.missing() + buffer.len() - kept;
            match self.receive(buffer, kept) {
                Ok(0) => return self.finished(),
                Ok(count) => {
                    self.bytes += count as u64;
                    self.take(buffer, kept, count, visitor);
                    // A short read means drained: the next edge tells of more.
                    self.may_read = count == wanted || self.is_hung_up;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_read = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(&error),
            }
            if !self.may_read || !self.reads || self.end.is_some() {
                return;
            }
        }
    }

    /// Puts a partial head, or a partial response, in front of what will be read; its length.
    fn lay_out(&self, buffer: &mut [u8]) -> usize {
        let Partial { bytes, filled } = &self.partial;
        let kept = if *filled < bytes.len() { 0 } else { *filled };
        buffer[..kept].copy_from_slice(&bytes[..kept]);
        kept
    }

    /// Reads into the rest of a partial frame first, and behind it into the buffer.
    fn receive(&mut self, buffer: &mut [u8], kept: usize) -> io::Result<usize> {
        let Partial { bytes, filled } = &mut self.partial;
        let rest = &mut bytes[*filled..];
        if rest.is_empty() {
            return self.socket.read(&mut buffer[kept..]);
        }
        self.socket.read_vectored(&mut [IoSliceMut::new(rest), IoSliceMut::new(buffer)])
    }

    fn take(&mut self, buffer: &[u8], kept: usize, count: usize, visitor: &mut impl Visitor) {
        let missing = self.partial.missing();
        if missing > count {
            self.partial.filled += count;
            return;
        }
        if missing > 0 {
            let bytes = std::mem::take(&mut self.partial).bytes;
            let (head, _) = measure(&bytes).expect("the length is known");
            self.dispatch(bytes[0], &bytes[head..], visitor);
            if bytes.capacity() <= KEPT_BYTES_MAX {
                self.partial.bytes = bytes;
            }
        }
        self.partial.clear();
        let mut run = &buffer[..kept + count - missing];
        if self.state == State::Upgrading {
            run = self.upgrade(run, visitor);
        }
        if self.state == State::Open {
            self.frames_of(run, visitor);
        }
    }

    /// Takes the response; what stands behind it.
    fn upgrade<'a>(&mut self, run: &'a [u8], visitor: &mut impl Visitor) -> &'a [u8] {
        let end = run.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end else {
            self.partial.keep(run, run.len());
            return &[];
        };
        let (response, rest) = run.split_at(end + 4);
        let has_accept = response.windows(ACCEPT.len()).any(|window| window == ACCEPT);
        if !response.starts_with(b"HTTP/1.1 101 ") || !has_accept {
            let response = Some(String::from_utf8_lossy(response).into_owned());
            self.end = Some(End { response, ..End::default() });
            return &[];
        }
        self.state = State::Open;
        visitor.opened(self);
        rest
    }

    fn frames_of(&mut self, mut run: &[u8], visitor: &mut impl Visitor) {
        while let Some((head, length)) = measure(run) {
            let Some((frame, rest)) = run.split_at_checked(head + length) else {
                return self.partial.keep(run, head + length);
            };
            self.dispatch(frame[0], &frame[head..], visitor);
            run = rest;
        }
        self.partial.keep(run, run.len());
    }

    fn dispatch(&mut self, first: u8, payload: &[u8], visitor: &mut impl Visitor) {
        assert!(self.code.is_none(), "nothing comes behind a close frame");
        match first & 0x0f {
            0x8 => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                self.code = Some(code);
                if self.answers {
                    self.frame(0x88, &[payload]);
                }
                visitor.closing(self, code);
            }
            0x9 => {
                self.pings += 1;
                if self.answers {
                    self.frame(0x8a, &[payload]);
                }
            }
            0xa => {}
            _ => {
                self.frames += 1;
                visitor.frame(self, first, payload);
            }
        }
    }

    fn finished(&mut self) {
        let error = (self.partial.filled > 0).then_some(ErrorKind::UnexpectedEof);
        self.end = Some(End { code: self.code, error, response: None });
    }

    fn fail(&mut self, error: &io::Error) {
        self.end = Some(End { code: self.code, error: Some(error.kind()), response: None });
    }
}

impl Partial {
    fn missing(&self) -> usize {
        self.bytes.len() - self.filled
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.filled = 0;
    }

    /// Keeps the beginning of something of this length.
    fn keep(&mut self, run: &[u8], length: usize) {
        self.clear();
        self.bytes.reserve_exact(length);
        self.bytes.extend_from_slice(run);
        self.bytes.resize(length, 0);
        self.filled = run.len();
    }
}
