//! Messages encoded once for all who get them.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::deflate::{Deflater, WINDOW_BITS};
use super::frame::{self, Kind};
use super::lane::Lane;
use crate::id::SubscriberId;
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
    /// What somebody is not to get: nothing for most runs. In the order of [`Except`] once nothing
    /// is added any more.
    excepts: Vec<Except>,
    longest: usize,
    /// What may be done with it where it waits, if its topic does not have the default.
    lane: Option<Arc<Lane>>,
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

/// A message that one connection does not get, as it has sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Except {
    who: SubscriberId,
    message: u32,
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

    /// The last message is not for this one; the caller is still the only owner.
    pub fn except(&mut self, who: SubscriberId) {
        let message = self.messages.len().checked_sub(1).expect("there is a message");
        self.excepts.push(Except { who, message: message as u32 });
    }

    /// No message that is there by now is for this one; the caller is still the only owner.
    pub fn except_all(&mut self, who: SubscriberId) {
        let known = self.excepts.iter().filter(|except| except.who == who);
        let known: HashSet<u32> = known.map(|except| except.message).collect();
        let others = (0..self.messages.len() as u32).filter(|message| !known.contains(message));
        self.excepts.extend(others.map(|message| Except { who, message }));
    }

    /// The same messages once more, for the same receivers, in no form but the plain one.
    #[must_use]
    pub fn copy(&self) -> Self {
        let mut copy = Self::default();
        copy.append(self);
        copy.excepts.clone_from(&self.excepts);
        copy
    }

    /// A run of its own of the messages from this one on, for one who gets all of them.
    #[must_use]
    pub fn tail(&self, first: usize) -> Self {
        let mut tail = Self { lane: self.lane.clone(), ..Self::default() };
        self.messages[first..].iter().for_each(|message| tail.push_of(self, message));
        tail
    }

    /// A run of its own of the messages that this one gets, of whose excepts there are some.
    #[must_use]
    pub fn without(&self, excepts: Range<u32>) -> Self {
        let mut rest = Self { lane: self.lane.clone(), ..Self::default() };
        let mut left_out = self.excepts[excepts.start as usize..excepts.end as usize].iter();
        let mut next = left_out.next();
        for (at, message) in self.messages.iter().enumerate() {
            if next.is_some_and(|except| except.message as usize == at) {
                next = left_out.next();
            } else {
                rest.push_of(self, message);
            }
        }
        rest
    }

    /// Where the last messages begin that take so many bytes of memory at most, as a run of their
    /// own; nothing if not even the last one does.
    #[must_use]
    pub fn tail_within(&self, bytes_max: usize) -> Option<usize> {
        let (mut bytes, mut end, mut found) = (size_of::<Self>(), self.plain.len(), None);
        for first in (0..self.messages.len()).rev() {
            let start = first.checked_sub(1).map_or(0, |before| self.messages[before].end);
            bytes += end - start + size_of::<Message>();
            if bytes > bytes_max {
                break;
            }
            (found, end) = (Some(first), start);
        }
        found
    }

    /// What may be done with it where it waits, if its topic does not have the default.
    #[must_use]
    #[inline]
    pub fn lane(&self) -> Option<&Arc<Lane>> {
        self.lane.as_ref()
    }

    /// Sets that; the caller is still the only owner.
    pub fn set_lane(&mut self, lane: Option<Arc<Lane>>) {
        self.lane = lane;
    }

    fn push_of(&mut self, other: &Self, message: &Message) {
        self.push(message.kind, &other.plain[message.start..message.end]);
    }

    /// Makes what somebody is not to get ready to be found, when all is there.
    pub fn sort_excepts(&mut self) {
        self.excepts.sort_unstable();
    }

    /// Whether anybody is not to get a message of these.
    #[must_use]
    #[inline]
    pub fn has_excepts(&self) -> bool {
        !self.excepts.is_empty()
    }

    /// The messages that this one is not to get, by their numbers among all that somebody is not to
    /// get.
    #[must_use]
    pub fn excepts_of(&self, who: SubscriberId) -> Range<u32> {
        debug_assert!(self.excepts.is_sorted(), "it is sealed");
        let start = self.excepts.partition_point(|except| except.who < who);
        let count = self.excepts[start..].partition_point(|except| except.who == who);
        start as u32..(start + count) as u32
    }

    /// Of one of these, the frames before it that are behind the one before it of the same
    /// connection.
    #[must_use]
    pub fn before_except(&self, number: u32) -> &[u8] {
        let Except { who, message } = self.excepts[number as usize];
        let former = number.checked_sub(1).map(|former| self.excepts[former as usize]);
        let former = former.filter(|former| former.who == who);
        let start = former.map_or(0, |former| self.messages[former.message as usize].end);
        let end = message.checked_sub(1).map_or(0, |last| self.messages[last as usize].end);
        &self.plain[start..end]
    }

    /// Of one of these, all frames behind it.
    #[must_use]
    pub fn behind_except(&self, number: u32) -> &[u8] {
        let Except { message, .. } = self.excepts[number as usize];
        &self.plain[self.messages[message as usize].end..]
    }

    /// Makes it as new but keeps its memory.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.messages.clear();
        self.excepts.clear();
        (self.longest, self.lane) = (0, None);
        (self.is_claimed, self.deflated) = (AtomicBool::new(false), OnceLock::new());
    }

    /// Bytes of memory of the plain form and of what is known of its messages.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.plain.capacity()
            + self.messages.capacity() * size_of::<Message>()
            + self.excepts.capacity() * size_of::<Except>()
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
        let messages = self.messages.len() * size_of::<Message>();
        let excepts = self.excepts.len() * size_of::<Except>();
        size_of::<Self>() + self.plain.len() + messages + excepts
    }

    /// Adds the messages of another worker's run at the end; the caller is still the only owner.
    /// Who is not to get some of those is of that worker.
    pub fn append(&mut self, other: &Self) {
        debug_assert!(self.deflated.get().is_none(), "nothing is added to shared frames");
        let start = self.plain.len();
        self.plain.extend_from_slice(&other.plain);
        let moved = |m: &Message| Message { start: m.start + start, end: m.end + start, ..*m };
        self.messages.extend(other.messages.iter().map(moved));
        self.longest = self.longest.max(other.longest);
        if self.lane.is_none() {
            self.lane.clone_from(&other.lane);
        }
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
    use crate::id::{ConnId, WorkerId};

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
    fn a_connection_gets_what_is_between_the_messages_that_it_does_not_get() {
        let who =
            |index| SubscriberId { worker: WorkerId(1), conn: ConnId { index, generation: 0 } };
        let mut encoded = Encoded::default();
        for (message, sender) in [(b"a", 2), (b"b", 1), (b"c", 2), (b"d", 0), (b"e", 2)] {
            encoded.push(Kind::Text, message);
            if sender > 0 {
                encoded.except(who(sender));
            }
        }
        encoded.sort_excepts();
        let gets = |index| {
            let excepts = encoded.excepts_of(who(index));
            let before = excepts.clone().map(|number| encoded.before_except(number));
            let behind = excepts.last().map(|number| encoded.behind_except(number));
            let frames: Vec<u8> = before.chain(behind).flatten().copied().collect();
            frames.chunks(3).map(|frame| char::from(frame[2])).collect::<String>()
        };
        assert_eq!((gets(1), gets(2)), ("acde".into(), "bd".into()));
        assert!(encoded.excepts_of(who(0)).is_empty() && encoded.excepts_of(who(3)).is_empty());
        encoded.clear();
        assert!(!encoded.has_excepts());
    }

    #[test]
    fn the_end_of_a_run_is_a_run_of_its_own() {
        let who =
            |index| SubscriberId { worker: WorkerId(1), conn: ConnId { index, generation: 0 } };
        let mut encoded = Encoded::default();
        for (message, sender) in [(b"a", 2), (b"b", 1), (b"c", 2)] {
            encoded.push(Kind::Text, message);
            encoded.except(who(sender));
        }
        encoded.sort_excepts();
        let lane = Arc::new(Lane::new(crate::config::Policy::Latest, 5));
        encoded.set_lane(Some(Arc::clone(&lane)));
        let text =
            |run: &Encoded| run.bytes(Form::Plain).chunks(3).map(|f| f[2]).collect::<Vec<_>>();
        for first in 0..3 {
            let tail = encoded.tail(first);
            assert_eq!(text(&tail), b"abc"[first..]);
            assert!(tail.lane().is_some_and(|other| Arc::ptr_eq(other, &lane)));
            assert_eq!(encoded.tail_within(tail.weight()), Some(first));
            let next = Some(first + 1).filter(|next| *next < 3);
            assert_eq!(encoded.tail_within(tail.weight() - 1), next);
        }
        assert_eq!(text(&encoded.without(encoded.excepts_of(who(2)))), b"b");
        assert_eq!(text(&encoded.without(encoded.excepts_of(who(1)))), b"ac");
        assert_eq!((encoded.tail_within(0), encoded.tail_within(usize::MAX)), (None, Some(0)));
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
