//! One WebSocket connection after its handshake (RFC 6455, server role): frames to messages.
//!
//! Feed it bytes and it gives events; ask it to close and it gives the frame. An idle session owns
//! nothing but its few bytes. It never does I/O, never reads a clock and never sends by itself.

mod in_place;
mod message;
mod partial;
mod scratch;

pub use in_place::{InPlace, reply_in_place};
pub use message::{Compressor, is_never_deflated, put_message};
pub use scratch::Scratch;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::wire::close::CloseCode;
use crate::wire::deflate::WINDOW_BITS;
use crate::wire::extension::Agreed;
use crate::wire::frame::{self, Header, Kind, Opcode};
use crate::wire::{Violation, mask, utf8};
use partial::Partial;

/// Where a connection stands between opening and closing handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Messages go both ways.
    Open,
    /// We sent a close frame; what still comes is read for the peer's.
    Closing,
    /// The peer's close frame came first and is to be answered. Nothing more is read
    /// (RFC 6455, 5.5.1).
    Answering,
    /// Both sent theirs, or the peer broke the protocol. Nothing more is read.
    Closed,
}

/// The state of one connection, which can be written out as it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    state: State,
    window_bits: u8,
    partial: Option<Box<Partial>>,
}

/// What a peer sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message; text is valid UTF-8.
    Message(Kind, &'a [u8]),
    /// A ping whose payload a pong must carry back.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong,
    /// A close frame, the first from the peer and its last frame.
    Close(Option<CloseCode>),
}

/// A frame that came in one piece, without its mask.
struct Whole<'i> {
    header: Header,
    payload: &'i [u8],
    is_ascii: bool,
}

impl Session {
    /// A connection whose handshake was just accepted.
    #[must_use]
    pub fn new(deflate: Option<Agreed>) -> Self {
        let window_bits = deflate.map_or(0, |agreed| agreed.window_bits);
        Self { state: State::Open, window_bits, partial: None }
    }

    /// The window for messages to the peer, as a power of two; 0 if they must not be compressed.
    #[must_use]
    pub fn window_bits(&self) -> u8 {
        self.window_bits
    }

    /// Whether messages may still be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Takes the next event out of `input`, unmasking in place; `None` when the input is used up.
    /// Call it until then. A declared length reserves nothing: memory grows with what came.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol: answer with [`Session::fail`] and finish the connection.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i mut [u8],
        scratch: &'a mut Scratch,
        max_message_size: usize,
    ) -> Result<Option<Event<'a>>, Violation> {
        if matches!(self.state, State::Answering | State::Closed) {
            *input = &mut [];
        }
        if self.partial.as_deref_mut().is_some_and(Partial::is_idle_after_event) {
            scratch.recycle(self.partial.take());
        }
        if input.is_empty() {
            return Ok(None);
        }
        if self.partial.is_none() {
            match self.whole_frame(input, max_message_size)? {
                Some(frame) if frame.header.rsv1 => {
                    return self.inflated(&frame, scratch, max_message_size).map(Some);
                }
                Some(frame) => return self.event(frame).map(Some),
                None => self.partial = Some(scratch.partial()),
            }
        }
        let deflates = self.window_bits > 0;
        let partial = self.partial.as_deref_mut().expect("it was there or was made just now");
        let step = partial.advance(input, deflates, max_message_size);
        scratch.note_frames(partial.take_frames());
        match step? {
            partial::Step::Hungry => Ok(None),
            partial::Step::Control(opcode) => {
                control_event(&mut self.state, opcode, partial.control()).map(Some)
            }
            partial::Step::Message { kind, deflated: false } => {
                Ok(Some(Event::Message(kind, partial.message())))
            }
            partial::Step::Message { kind, deflated: true } => {
                let message = scratch.inflate(partial.message(), kind, max_message_size)?;
                Ok(Some(Event::Message(kind, message)))
            }
        }
    }

    /// Where the payload is, unmasked, if these bytes begin with a whole message in one frame, not
    /// compressed. Nothing is changed otherwise: [`Session::next`] takes whatever it is.
    ///
    /// # Errors
    ///
    /// As for [`Session::next`].
    #[inline]
    pub fn whole_message(
        &self,
        bytes: &mut [u8],
        max_message_size: usize,
    ) -> Result<Option<(Kind, Range<usize>)>, Violation> {
        let Some(kind) = frame::kind_of_plain_message(bytes) else { return Ok(None) };
        if self.state != State::Open || self.partial.is_some() {
            return Ok(None);
        }
        let Some((header, taken)) = Header::parse(bytes)? else { return Ok(None) };
        let room = bytes.len() - taken;
        if header.length > room.min(max_message_size) as u64 {
            return Ok(None);
        }
        let place = taken..taken + header.length as usize;
        let payload = &mut bytes[place.clone()];
        let is_ascii = mask::unmask(payload, header.mask, 0);
        if kind == Kind::Text && !is_ascii && !utf8::is_utf8(payload) {
            return Err(Violation::BadUtf8);
        }
        Ok(Some((kind, place)))
    }

    /// Whether it holds nothing of a frame or a message.
    #[must_use]
    #[inline]
    pub fn is_between_messages(&self) -> bool {
        self.partial.is_none()
    }

    /// Bytes that have come of a message that is not whole, if there is one.
    #[must_use]
    #[inline]
    pub fn unfinished(&self) -> Option<u64> {
        self.partial.as_ref()?.unfinished()
    }

    /// Bytes of memory that what is not whole takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.memory())
    }

    /// Begins the closing handshake: appends the close frame unless one was sent.
    pub fn close(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        if self.state == State::Open {
            frame::put_close(out, Some(code), reason);
            self.state = State::Closing;
        }
    }

    /// Whether the peer has closed it first, and is to be answered.
    #[must_use]
    pub fn is_answering(&self) -> bool {
        self.state == State::Answering
    }

    /// Answers the peer's close frame unless ours was the first; nothing more is sent.
    pub fn answer_close(&mut self, code: Option<CloseCode>, out: &mut Vec<u8>) {
        if self.state == State::Answering {
            frame::put_close(out, code, "");
        }
        self.state = State::Closed;
    }

    /// Fails the connection (RFC 6455, 7.1.7): tells the peer why; nothing more is read or sent.
    pub fn fail(&mut self, violation: Violation, out: &mut Vec<u8>) {
        if self.state == State::Open {
            frame::put_close(out, Some(violation.code()), violation.reason());
        }
        self.state = State::Closed;
    }

    /// Makes it ready to be written out: a message that was handled is none of it.
    pub fn settle(&mut self) {
        self.partial.take_if(|partial| partial.is_idle_after_event());
    }

    /// Whether one that was read back is what bytes of a peer can lead to.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_window = self.window_bits == 0 || (9..=WINDOW_BITS).contains(&self.window_bits);
        is_window && self.partial.as_ref().is_none_or(|partial| partial.is_sound())
    }

    /// Gives memory of an unfinished message back; for a connection that ends.
    pub fn release(&mut self, scratch: &mut Scratch) {
        scratch.recycle(self.partial.take());
    }

    /// The quick way: a frame that came whole and is a message or a control frame by itself.
    fn whole_frame<'i>(
        &self,
        input: &mut &'i mut [u8],
        max_message_size: usize,
    ) -> Result<Option<Whole<'i>>, Violation> {
        let Some((header, taken)) = Header::parse(input)? else { return Ok(None) };
        partial::check(header, false, self.window_bits > 0)?;
        if header.length > max_message_size as u64 && !header.opcode.is_control() {
            return Err(Violation::TooBig);
        }
        let end = taken as u64 + header.length;
        if !header.fin || end > input.len() as u64 {
            return Ok(None);
        }
        let (frame, rest) = std::mem::take(input).split_at_mut(end as usize);
        *input = rest;
        let payload = &mut frame[taken..];
        let is_ascii = mask::unmask(payload, header.mask, 0);
        Ok(Some(Whole { header, payload, is_ascii }))
    }

    fn event<'i>(&mut self, frame: Whole<'i>) -> Result<Event<'i>, Violation> {
        let kind = match frame.header.opcode {
            Opcode::Text if !frame.is_ascii && !utf8::is_utf8(frame.payload) => {
                return Err(Violation::BadUtf8);
            }
            Opcode::Text => Kind::Text,
            Opcode::Binary => Kind::Binary,
            control => return control_event(&mut self.state, control, frame.payload),
        };
        Ok(Event::Message(kind, frame.payload))
    }

    fn inflated<'a>(
        &mut self,
        frame: &Whole<'_>,
        scratch: &'a mut Scratch,
        max_message_size: usize,
    ) -> Result<Event<'a>, Violation> {
        let kind = if frame.header.opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
        let message = scratch.inflate(frame.payload, kind, max_message_size)?;
        Ok(Event::Message(kind, message))
    }
}

fn control_event<'a>(
    state: &mut State,
    opcode: Opcode,
    payload: &'a [u8],
) -> Result<Event<'a>, Violation> {
    match opcode {
        Opcode::Ping => Ok(Event::Ping(payload)),
        Opcode::Pong => Ok(Event::Pong),
        _ => {
            let code = close_code(payload)?;
            *state = if *state == State::Open { State::Answering } else { State::Closed };
            Ok(Event::Close(code))
        }
    }
}

fn close_code(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    match payload {
        [] => Ok(None),
        [high, low, reason @ ..] => {
            let code = CloseCode::from_wire(u16::from_be_bytes([*high, *low]));
            let code = code.ok_or(Violation::BadClose)?;
            if utf8::is_utf8(reason) { Ok(Some(code)) } else { Err(Violation::BadUtf8) }
        }
        [_] => Err(Violation::BadClose),
    }
}

#[cfg(test)]
mod tests;
