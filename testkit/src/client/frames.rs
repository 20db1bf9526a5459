//! Frames as a client writes and reads them, the wrong ones too.

/// A frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The first byte: FIN, reserved bits, opcode.
    pub first: u8,
    /// The payload as sent.
    pub payload: Vec<u8>,
}

/// How a frame writes its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The shortest that fits.
    Shortest,
    /// 16 bits.
    Two,
    /// 64 bits.
    Eight,
}

/// How to write a frame: masked and whole unless told otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    first: u8,
    form: Form,
    mask: Option<[u8; 4]>,
    declared: Option<u64>,
}

impl Frame {
    /// The opcode.
    #[must_use]
    pub fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// Whether the message is compressed.
    #[must_use]
    pub fn rsv1(&self) -> bool {
        self.first & 0x40 != 0
    }

    /// The code, if this is a close frame; 1005 if it has none.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        if self.first != 0x88 {
            return None;
        }
        Some(match self.payload[..] {
            [high, low, ..] => u16::from_be_bytes([high, low]),
            _ => 1005,
        })
    }
}

impl Shape {
    /// A whole frame of this opcode.
    #[must_use]
    pub fn new(opcode: u8) -> Self {
        let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
        Self { first: 0x80 | opcode, form: Form::Shortest, mask, declared: None }
    }

    /// Without FIN: more of the message follows.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.first &= 0x7f;
        self
    }

    /// With these reserved bits: 0x40, 0x20 and 0x10.
    #[must_use]
    pub fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits;
        self
    }

    /// With the length in that form.
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Without a mask.
    #[must_use]
    pub fn unmasked(mut self) -> Self {
        self.mask = None;
        self
    }

    /// With another length than that of the payload.
    #[must_use]
    pub fn declaring(mut self, length: u64) -> Self {
        self.declared = Some(length);
        self
    }

    /// The frame with a payload.
    #[must_use]
    pub fn with(self, payload: &[u8]) -> Vec<u8> {
        let length = self.declared.unwrap_or(payload.len() as u64);
        let mark = if self.mask.is_some() { 0x80 } else { 0 };
        let mut out = vec![self.first];
        match (self.form, length) {
            (Form::Shortest, 0..=125) => out.push(mark | length as u8),
            (Form::Shortest | Form::Two, 0..=0xffff) => {
                out.push(mark | 126);
                out.extend((length as u16).to_be_bytes());
            }
            _ => {
                out.push(mark | 127);
                out.extend(length.to_be_bytes());
            }
        }
        let mask = self.mask.unwrap_or_default();
        if self.mask.is_some() {
            out.extend(mask);
        }
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }
}

/// A text message.
#[must_use]
pub fn text(payload: &str) -> Vec<u8> {
    Shape::new(1).with(payload.as_bytes())
}

/// A binary message.
#[must_use]
pub fn binary(payload: &[u8]) -> Vec<u8> {
    Shape::new(2).with(payload)
}

/// A close frame.
#[must_use]
pub fn close(code: u16) -> Vec<u8> {
    Shape::new(8).with(&code.to_be_bytes())
}

/// A ping.
#[must_use]
pub fn ping(payload: &[u8]) -> Vec<u8> {
    Shape::new(9).with(payload)
}

/// A pong.
#[must_use]
pub fn pong(payload: &[u8]) -> Vec<u8> {
    Shape::new(10).with(payload)
}

/// Takes all frames out of bytes; what is left over is an unfinished one.
#[must_use]
pub fn frames(bytes: &[u8]) -> (Vec<Frame>, &[u8]) {
    let (mut list, mut rest) = (Vec::new(), bytes);
    while let Some((frame, length)) = parse(rest) {
        list.push(frame);
        rest = &rest[length..];
    }
    (list, rest)
}

pub(super) fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let [first, second, rest @ ..] = bytes else { return None };
    assert_eq!(second & 0x80, 0, "frames of a server are not masked");
    let (length, start) = match second {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
        length => (u64::from(*length), 2),
    };
    let end = start + usize::try_from(length).expect("no test asks for more than memory");
    let payload = bytes.get(start..end)?.to_vec();
    Some((Frame { first: *first, payload }, end))
}
