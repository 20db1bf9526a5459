//! Messages encoded once for all who get them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::deflate::{Deflater, WINDOW_BITS};
use super::frame::{self, Kind};
use crate::limits::{DEFLATE_BYTES_MIN, DEFLATE_BYTES_PER_RUN};

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
/// The compressed form is made once, by whoever claims it first. Nobody waits for it: while it is
/// being made, others take the plain form.
#[derive(Debug, Default)]
pub struct Encoded {
    plain: Vec<u8>,
    messages: Vec<Message>,
    longest: usize,
    is_claimed: AtomicBool,
    deflated: OnceLock<Vec<u8>>,
}

/// What making a compressed form came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deflated {
    /// Messages that were compressed.
    pub messages: usize,
    /// Messages that would have been worth it, behind [`DEFLATE_BYTES_PER_RUN`].
    pub skipped: usize,
    /// Bytes that were compressed, before.
    pub bytes: usize,
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
        (self.is_claimed, self.deflated) = (AtomicBool::new(false), OnceLock::new());
    }

    /// Bytes of memory of the plain form and of what is known of its messages.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.plain.capacity() + self.messages.capacity() * size_of::<Message>()
    }

    /// Bytes of memory that these take for as long as anybody is to get them, in whatever form.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.weight() + self.deflated.get().map_or(0, Vec::len)
    }

    /// Bytes of memory of the plain form and of what is known of its messages; it stays the same
    /// when other forms are made.
    #[must_use]
    #[inline]
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.plain.len() + self.messages.len() * size_of::<Message>()
    }

    /// Adds the messages of another run at the end; the caller is still the only owner.
    pub fn append(&mut self, other: &Self) {
        debug_assert!(self.deflated.get().is_none(), "nothing is added to shared frames");
        let start = self.plain.len();
        self.plain.extend_from_slice(&other.plain);
        let moved = |m: &Message| Message { start: m.start + start, end: m.end + start, ..*m };
        self.messages.extend(other.messages.iter().map(moved));
        self.longest = self.longest.max(other.longest);
    }

    /// Whether no other form was made, so that messages can still be added.
    #[must_use]
    pub fn may_grow(&self) -> bool {
        !self.is_claimed.load(Ordering::Relaxed)
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

    /// Whether any of the messages is worth compressing.
    #[must_use]
    pub fn is_worth_deflating(&self) -> bool {
        self.longest >= DEFLATE_BYTES_MIN
    }

    /// Compresses what is worth it, unless that was done before or somebody else is doing it.
    pub fn prepare(&self, deflater: &mut Deflater) -> Option<Deflated> {
        if self.is_claimed.swap(true, Ordering::Relaxed) {
            return None;
        }
        let (bytes, made) = self.deflate(deflater);
        self.deflated.set(bytes).expect("only who has claimed it sets it");
        Some(made)
    }

    /// The form that a receiver gets now: the compressed one only if it is there.
    #[must_use]
    pub fn ready(&self, form: Form) -> Form {
        if self.deflated.get().is_some() { form } else { Form::Plain }
    }

    /// The frames in a form that is ready.
    #[must_use]
    #[inline]
    pub fn bytes(&self, form: Form) -> &[u8] {
        match form {
            Form::Plain => &self.plain,
            Form::Deflated => self.deflated.get().expect("it was ready"),
        }
    }

    fn deflate(&self, deflater: &mut Deflater) -> (Vec<u8>, Deflated) {
        let mut out = Vec::with_capacity(self.plain.len() / 2);
        let (mut scratch, mut made) = (Vec::new(), Deflated::default());
        for message in &self.messages {
            let payload = &self.plain[message.start..message.end];
            let is_worth = payload.len() >= DEFLATE_BYTES_MIN;
            if is_worth && made.bytes < DEFLATE_BYTES_PER_RUN {
                made.messages += 1;
                made.bytes += payload.len();
                put_deflated(&mut out, message.kind, payload, deflater, &mut scratch);
            } else {
                made.skipped += usize::from(is_worth);
                frame::put_frame(&mut out, message.kind.opcode(), false, payload);
            }
        }
        out.shrink_to_fit();
        (out, made)
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
        assert_eq!(encoded.ready(Form::Deflated), Form::Plain, "it was not made");
        let mut deflater = Deflater::default();
        let made = encoded.prepare(&mut deflater).expect("nobody else is at it");
        assert_eq!((made.messages, made.skipped, made.bytes), (1, 0, 4096));
        assert_eq!(encoded.prepare(&mut deflater), None);
        assert_eq!(encoded.ready(Form::Deflated), Form::Deflated);
        assert_eq!(encoded.ready(Form::Plain), Form::Plain);
        let bytes = encoded.bytes(Form::Deflated);
        assert_eq!(bytes[..7], [0x81, 5, b's', b'h', b'o', b'r', b't']);
        assert_eq!(bytes[7], 0xc1, "RSV1 on the compressed one");
        assert!(bytes.len() < 200);
    }

    #[test]
    fn a_long_run_is_compressed_in_part() {
        let mut encoded = Encoded::default();
        let half = vec![b'x'; DEFLATE_BYTES_PER_RUN / 2 + 1];
        (0..4).for_each(|_| encoded.push(Kind::Binary, &half));
        let made = encoded.prepare(&mut Deflater::default()).expect("nobody else is at it");
        assert_eq!((made.messages, made.skipped, made.bytes), (2, 2, 2 * half.len()));
        assert!(encoded.bytes(Form::Deflated).len() > 2 * half.len());
    }

    #[test]
    fn who_comes_while_it_is_being_compressed_takes_the_plain_form() {
        let mut encoded = Encoded::default();
        encoded.push(Kind::Text, &[b'x'; 4096]);
        encoded.is_claimed.store(true, Ordering::Relaxed);
        assert_eq!(encoded.prepare(&mut Deflater::default()), None);
        assert_eq!(encoded.ready(encoded.form_for(15)), Form::Plain);
        encoded.clear();
        encoded.push(Kind::Text, &[b'x'; 4096]);
        assert!(encoded.prepare(&mut Deflater::default()).is_some(), "as new");
    }
}
