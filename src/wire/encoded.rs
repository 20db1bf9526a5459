//! Messages encoded once for all who get them.

use std::sync::OnceLock;

use super::deflate::{Deflater, WINDOW_BITS};
use super::frame::{self, Kind};
use crate::limits::DEFLATE_BYTES_MIN;

/// How a receiver wants its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Plain,
    /// Compressed where that pays.
    Deflated,
}

/// Whole frames of one or several messages, immutable and shared by every receiver's send.
///
/// The compressed form is made by the first worker that has a receiver for it, and once.
#[derive(Debug, Default)]
pub struct Encoded {
    plain: Vec<u8>,
    messages: Vec<Message>,
    longest: usize,
    deflated: OnceLock<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: Kind,
    start: usize,
    end: usize,
}

impl Encoded {
    /// A heartbeat: it counts as no message.
    #[must_use]
    pub fn ping() -> Self {
        Self { plain: frame::PING.to_vec(), ..Self::default() }
    }

    /// Encodes one more message at the end; the caller is still the only owner.
    pub fn push(&mut self, kind: Kind, payload: &[u8]) {
        debug_assert!(self.deflated.get().is_none(), "nothing is added to shared frames");
        frame::put_frame(&mut self.plain, kind.opcode(), false, payload);
        let end = self.plain.len();
        self.messages.push(Message { kind, start: end - payload.len(), end });
        self.longest = self.longest.max(payload.len());
    }

    /// Makes it as new but keeps its memory.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.messages.clear();
        self.longest = 0;
        self.deflated = OnceLock::new();
    }

    /// Bytes of memory of the plain form and of what is known of its messages.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.plain.capacity() + self.messages.capacity() * size_of::<Message>()
    }

    /// Bytes of memory that these take for as long as anybody is to get them, in whatever form.
    #[must_use]
    pub fn memory(&self) -> usize {
        let deflated = self.deflated.get().map_or(0, Vec::len);
        let messages = self.messages.len() * size_of::<Message>();
        size_of::<Self>() + self.plain.len() + deflated + messages
    }

    /// How many messages these are.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages.len()
    }

    /// Bytes of the plain form.
    #[must_use]
    pub fn plain_bytes(&self) -> usize {
        self.plain.len()
    }

    /// Which form a receiver gets that can inflate with a window of `2^window_bits` bytes, or not
    /// at all (0). Short messages stay as they are.
    #[must_use]
    pub fn form_for(&self, window_bits: u8) -> Form {
        let fits = window_bits >= WINDOW_BITS || self.longest <= 1 << window_bits;
        let worth = self.longest >= DEFLATE_BYTES_MIN;
        if window_bits > 0 && worth && fits { Form::Deflated } else { Form::Plain }
    }

    /// Compresses what is worth it, unless that was done before; says how many messages were
    /// compressed by this call.
    pub fn prepare(&self, form: Form, deflater: &mut Deflater) -> usize {
        let mut count = 0;
        if form == Form::Deflated {
            self.deflated.get_or_init(|| {
                let (bytes, deflated) = self.deflate(deflater);
                count = deflated;
                bytes
            });
        }
        count
    }

    /// The frames in a form that was prepared.
    #[must_use]
    #[inline]
    pub fn bytes(&self, form: Form) -> &[u8] {
        match form {
            Form::Plain => &self.plain,
            Form::Deflated => self.deflated.get().expect("prepare came before bytes"),
        }
    }

    fn deflate(&self, deflater: &mut Deflater) -> (Vec<u8>, usize) {
        let mut out = Vec::with_capacity(self.plain.len() / 2);
        let (mut scratch, mut count) = (Vec::new(), 0);
        for message in &self.messages {
            let payload = &self.plain[message.start..message.end];
            if payload.len() >= DEFLATE_BYTES_MIN {
                count += 1;
                put_deflated(&mut out, message.kind, payload, deflater, &mut scratch);
            } else {
                frame::put_frame(&mut out, message.kind.opcode(), false, payload);
            }
        }
        out.shrink_to_fit();
        (out, count)
    }
}

/// Appends a message compressed, or plain where compression does not make it smaller.
pub fn put_deflated(
    out: &mut Vec<u8>,
    kind: Kind,
    payload: &[u8],
    deflater: &mut Deflater,
    scratch: &mut Vec<u8>,
) {
    scratch.clear();
    deflater.deflate(payload, scratch);
    if scratch.len() < payload.len() {
        frame::put_frame(out, kind.opcode(), true, scratch);
    } else {
        frame::put_frame(out, kind.opcode(), false, payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_messages_share_one_run_of_bytes() {
        let mut encoded = Encoded::default();
        encoded.push(Kind::Text, b"a");
        encoded.push(Kind::Binary, &[7; 126]);
        assert_eq!(encoded.messages(), 2);
        assert_eq!(encoded.bytes(Form::Plain)[..5], [0x81, 1, b'a', 0x82, 126]);
        assert_eq!(encoded.form_for(15), Form::Plain, "too short to be worth it");
    }

    #[test]
    fn compression_happens_once_and_only_where_it_pays() {
        let mut encoded = Encoded::default();
        encoded.push(Kind::Text, b"short");
        encoded.push(Kind::Text, &[b'x'; 4096]);
        assert_eq!(encoded.form_for(0), Form::Plain);
        assert_eq!(encoded.form_for(11), Form::Plain, "the message does not fit the window");
        assert_eq!(encoded.form_for(12), Form::Deflated);
        let mut deflater = Deflater::default();
        assert_eq!(encoded.prepare(Form::Deflated, &mut deflater), 1);
        assert_eq!(encoded.prepare(Form::Deflated, &mut deflater), 0);
        let bytes = encoded.bytes(Form::Deflated);
        assert_eq!(bytes[..7], [0x81, 5, b's', b'h', b'o', b'r', b't']);
        assert_eq!(bytes[7], 0xc1, "RSV1 on the compressed one");
        assert!(bytes.len() < 200);
    }
}
