//! A message that has not come whole, or a frame of it.

use serde::{Deserialize, Serialize};

use crate::limits::POOLED_BUFFER_BYTES_MAX;
use crate::wire::frame::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, Kind, Opcode};
use crate::wire::utf8::Utf8;
use crate::wire::{Violation, buffer, mask};

/// Lent to a session while it is in the middle of something.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Partial {
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    frame: Option<Frame>,
    message: Option<Message>,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
    #[serde(with = "serde_bytes")]
    control: Vec<u8>,
    utf8: Utf8,
    /// The last step gave a message, which is thrown away before the next.
    is_message_taken: bool,
    /// Frames that have begun since they were last counted.
    frames: usize,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Frame {
    header: Header,
    received: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Message {
    kind: Kind,
    deflated: bool,
}

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The input is used up.
    Hungry,
    /// A control frame, to be read from [`Partial::control`].
    Control(Opcode),
    /// A message, to be read from [`Partial::message`].
    Message { kind: Kind, deflated: bool },
}

/// Checks a frame against the message it comes into.
pub(super) fn check(header: Header, in_message: bool, deflates: bool) -> Result<(), Violation> {
    match header.opcode {
        Opcode::Continuation if !in_message => return Err(Violation::LostContinuation),
        Opcode::Text | Opcode::Binary if in_message => return Err(Violation::UnfinishedMessage),
        _ => {}
    }
    // Only the first frame of a message carries the mark of compression (RFC 7692, 6).
    let may_be_deflated = deflates && matches!(header.opcode, Opcode::Text | Opcode::Binary);
    if header.rsv1 && !may_be_deflated { Err(Violation::ReservedBit) } else { Ok(()) }
}

impl Partial {
    /// Takes bytes until something is whole.
    pub(super) fn advance(
        &mut self,
        input: &mut &mut [u8],
        deflates: bool,
        max_message_size: usize,
    ) -> Result<Step, Violation> {
        self.throw_away_taken();
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.take_header(input, deflates, max_message_size)? {
                    Some(frame) => frame,
                    None => return Ok(Step::Hungry),
                },
            };
            let frame = self.take_payload(frame, input)?;
            if frame.received < frame.header.length {
                self.frame = Some(frame);
                return Ok(Step::Hungry);
            }
            self.frame = None;
            if let Some(step) = self.finish_frame(frame.header)? {
                return Ok(step);
            }
        }
    }

    /// The payload of the control frame that was just finished.
    pub(super) fn control(&self) -> &[u8] {
        &self.control
    }

    /// The bytes of the message that was just finished.
    pub(super) fn message(&self) -> &[u8] {
        &self.payload
    }

    /// Bytes that have come of what is not whole, if anything is not.
    pub(super) fn unfinished(&self) -> Option<u64> {
        let is_idle = self.frame.is_none() && self.message.is_none() && self.header_len == 0;
        let bytes = self.payload.len() + self.control.len() + usize::from(self.header_len);
        (!is_idle).then_some(bytes as u64)
    }

    /// Bytes of memory of what has come.
    pub(super) fn memory(&self) -> usize {
        self.payload.capacity()
    }

    /// Frames that have begun since this was last asked.
    pub(super) fn take_frames(&mut self) -> usize {
        std::mem::take(&mut self.frames)
    }

    /// Whether nothing has begun beyond what was given out.
    pub(super) fn is_idle_after_event(&mut self) -> bool {
        self.throw_away_taken();
        self.frame.is_none() && self.message.is_none() && self.header_len == 0
    }

    /// Whether one that was read back is what bytes can lead to.
    pub(super) fn is_sound(&self) -> bool {
        let is_text = self.message.is_some_and(|it| it.kind == Kind::Text && !it.deflated);
        usize::from(self.header_len) <= HEADER_BYTES_MAX
            && !self.is_message_taken
            && self.utf8.is_sound()
            && (is_text || self.utf8.is_complete())
            && self.frame.is_none_or(|frame| self.is_sound_frame(frame))
    }

    fn is_sound_frame(&self, Frame { header, received }: Frame) -> bool {
        let has = if header.opcode.is_control() { &self.control } else { &self.payload };
        let is_placed = if header.opcode.is_control() {
            header.length <= CONTROL_BYTES_MAX as u64 && has.len() as u64 == received
        } else {
            self.message.is_some() && has.len() as u64 >= received
        };
        is_placed && received < header.length && self.header_len == 0
    }

    /// Makes it as new; large memory goes back to the system.
    pub(super) fn clear(&mut self) {
        let mut payload = std::mem::take(&mut self.payload);
        let mut control = std::mem::take(&mut self.control);
        payload.clear();
        control.clear();
        if payload.capacity() > POOLED_BUFFER_BYTES_MAX {
            payload = Vec::new();
        }
        *self = Self { payload, control, ..Self::default() };
    }

    fn throw_away_taken(&mut self) {
        if std::mem::take(&mut self.is_message_taken) {
            self.payload.clear();
            self.utf8 = Utf8::default();
        }
    }

    fn take_header(
        &mut self,
        input: &mut &mut [u8],
        deflates: bool,
        max_message_size: usize,
    ) -> Result<Option<Frame>, Violation> {
        loop {
            let have = usize::from(self.header_len);
            if let Some((header, _)) = Header::parse(&self.header[..have])? {
                self.header_len = 0;
                return self.begin_frame(header, deflates, max_message_size).map(Some);
            }
            let Some((byte, rest)) = std::mem::take(input).split_first_mut() else {
                return Ok(None);
            };
            self.header[have] = *byte;
            self.header_len += 1;
            *input = rest;
        }
    }

    fn begin_frame(
        &mut self,
        header: Header,
        deflates: bool,
        max_message_size: usize,
    ) -> Result<Frame, Violation> {
        self.frames += 1;
        check(header, self.message.is_some(), deflates)?;
        match header.opcode {
            Opcode::Text => self.begin_message(Kind::Text, header.rsv1),
            Opcode::Binary => self.begin_message(Kind::Binary, header.rsv1),
            Opcode::Continuation => {}
            _ => self.control.clear(),
        }
        let room = (max_message_size as u64).saturating_sub(self.payload.len() as u64);
        if !header.opcode.is_control() && header.length > room {
            return Err(Violation::TooBig);
        }
        Ok(Frame { header, received: 0 })
    }

    fn begin_message(&mut self, kind: Kind, deflated: bool) {
        self.message = Some(Message { kind, deflated });
    }

    fn take_payload(&mut self, frame: Frame, input: &mut &mut [u8]) -> Result<Frame, Violation> {
        let missing = frame.header.length - frame.received;
        let count = missing.min(input.len() as u64) as usize;
        let (bytes, rest) = std::mem::take(input).split_at_mut(count);
        *input = rest;
        let is_ascii = mask::unmask(bytes, frame.header.mask, (frame.received % 4) as usize);
        if frame.header.opcode.is_control() {
            debug_assert!(self.control.len() + bytes.len() <= CONTROL_BYTES_MAX);
            self.control.extend_from_slice(bytes);
        } else {
            let message = self.message.expect("a data frame stands in a message");
            let is_checked = is_ascii && self.utf8.is_complete();
            if message.kind == Kind::Text && !message.deflated && !is_checked {
                self.utf8.feed(bytes).map_err(|_| Violation::BadUtf8)?;
            }
            buffer::append(&mut self.payload, bytes);
        }
        Ok(Frame { received: frame.received + count as u64, ..frame })
    }

    fn finish_frame(&mut self, header: Header) -> Result<Option<Step>, Violation> {
        if header.opcode.is_control() {
            return Ok(Some(Step::Control(header.opcode)));
        }
        if !header.fin {
            return Ok(None);
        }
        let Message { kind, deflated } = self.message.take().expect("a data frame is in a message");
        if !self.utf8.is_complete() {
            return Err(Violation::BadUtf8);
        }
        self.is_message_taken = true;
        Ok(Some(Step::Message { kind, deflated }))
    }
}
