//! A connection as it is written out: all that a worker knows of it, without where it stood. It
//! has no place in a table and no moment of a clock, so that another worker can go on with it.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::limits::SUBSCRIPTIONS_MAX;
use crate::protocol::Persist;
use crate::websocket::Session;
use crate::wire::Kind;
use crate::worker::connection::flag;
use crate::worker::life::cohorts::UntilPing;
use crate::worker::limits::LimitsImage;

/// The form of images; what has another form is of another version of the server.
const FORMAT: u32 = 3;

/// Bytes of the sum at the end of an image.
const SUM_BYTES: usize = 4;

/// See the module. Times are nanoseconds from now, negative where they are over.
#[derive(Debug, Serialize, Deserialize)]
pub struct Image {
    /// What carries what is said.
    pub link: LinkImage,
    /// Bits of its state.
    pub flags: u32,
    /// The protocol and what that knows, while messages may come.
    #[serde(with = "serde_bytes")]
    pub spoken: Option<Vec<u8>>,
    /// What it is subscribed to, the head first.
    pub topics: Vec<String>,
    /// The bytes that are to leave, behind those that the driver has.
    #[serde(with = "serde_bytes")]
    pub queue: Vec<u8>,
    /// The bytes that came and are not handled.
    #[serde(with = "serde_bytes")]
    pub stash: Vec<u8>,
    /// When something must have happened.
    pub deadline: Option<i64>,
    /// Where its heartbeat stands.
    pub ping: PingImage,
    /// When it is pinged next, if it is at all.
    pub until_ping: Option<UntilPing>,
    /// When its protocol is to be called, and the word that it is given back.
    pub wake: Option<(i64, u64)>,
    /// When its unfinished message is looked at, and the bytes that had come of it.
    pub unfinished: Option<(i64, u64)>,
    /// What the driver has said last of a send that is timed.
    pub taken: Option<u32>,
    /// A pong that waits, and for how many of the deliveries that are to begin.
    pub pong: Option<(ByteBuf, u32)>,
    /// Messages that came while it waited for an answer.
    pub kept: Vec<(Kind, ByteBuf)>,
    /// The topic that it has published to, if it waits until that is delivered.
    pub waits_for: Option<String>,
    /// What is measured of it where that is limited.
    pub limits: Option<LimitsImage>,
}

/// What carries what is said.
#[derive(Debug, Serialize, Deserialize)]
pub enum LinkImage {
    /// HTTP, and what has come of a request head.
    Http(#[serde(with = "serde_bytes")] Option<Vec<u8>>),
    /// WebSocket, with a message that has not come whole.
    WebSocket(Session),
    /// The end: bytes that were thrown away, and when it is over; that is not known before the FIN.
    Lingering(u32, Option<i64>),
    /// A header of the PROXY protocol that is not whole, before all requests.
    Preamble(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// Where a heartbeat stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PingImage {
    /// None is under way.
    None,
    /// In the queue.
    Queued,
    /// With the driver.
    InFlight,
    /// It has gone then, and nothing came since.
    Awaiting(i64),
}

/// Why a connection is not written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// There is none, or the driver was told to close it.
    Gone,
    /// It is in the middle of a request with a body, or waits for the answer to a question, for
    /// [`crate::limits::QUESTION_TIMEOUT`] at most.
    Asking,
}

/// Why an image is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// It has another form: this one.
    Format(u32),
    /// These are not the bytes that were written.
    Damaged,
    /// It speaks what this server does not, or knows other things of it.
    Spoken,
    /// There is no room for another connection.
    Full,
}

impl std::fmt::Display for ImageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format(format) => {
                write!(f, "an image of format {format}, where {FORMAT} is read")
            }
            Self::Damaged => write!(f, "the image of a connection is damaged"),
            Self::Spoken => write!(f, "the image is of a protocol that is not served here"),
            Self::Full => write!(f, "no room for another connection"),
        }
    }
}

impl std::error::Error for ImageError {}

impl Image {
    /// The bytes of it: the format, the image, and a sum of both.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = FORMAT.to_le_bytes().to_vec();
        self.put(&mut bytes);
        let sum = sum(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// If it is of another format, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ImageError> {
        let (format, _) = bytes.split_first_chunk().ok_or(ImageError::Damaged)?;
        let format = u32::from_le_bytes(*format);
        let (bytes, expected) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(ImageError::Damaged)?;
        if sum(bytes) != u32::from_le_bytes(*expected) {
            return Err(ImageError::Damaged);
        }
        if format != FORMAT {
            return Err(ImageError::Format(format));
        }
        let mut input = bytes.get(size_of_val(&format)..).ok_or(ImageError::Damaged)?;
        let image = Self::take(&mut input).ok_or(ImageError::Damaged)?;
        let is_sound = input.is_empty() && image.is_sound();
        if is_sound { Ok(image) } else { Err(ImageError::Damaged) }
    }

    /// Whether what it says of itself agrees, so that it can be gone on with.
    fn is_sound(&self) -> bool {
        let has = |flags| self.flags & flags != 0;
        let is_known = self.flags & !(flag::WRITTEN | flag::LISTED) == 0;
        let (may_speak, is_sound) = match &self.link {
            LinkImage::Http(_) | LinkImage::Preamble(_) => (false, !has(flag::FINISH)),
            LinkImage::WebSocket(session) => (true, session.is_sound() && !has(flag::FINISH)),
            LinkImage::Lingering(..) => (false, has(flag::FINISH)),
        };
        let is_silent = self.spoken.is_none() && self.topics.is_empty() && self.kept.is_empty();
        let is_timed = self.taken.is_none() || has(flag::SENDING);
        let is_stalled = self.stash.is_empty() || has(flag::STALLED);
        let may_wait = self.pong.is_none() || !self.topics.is_empty();
        let fits = self.topics.len() <= SUBSCRIPTIONS_MAX;
        let may_be = may_speak || is_silent && self.until_ping.is_none() && self.wake.is_none();
        is_known && is_sound && is_timed && is_stalled && may_wait && fits && may_be
    }
}

/// FNV-1a: each byte that is another one makes another sum.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::room::Member;
    use crate::websocket::Scratch;
    use crate::worker::limits::{Client, ClientImage};

    fn idle() -> Image {
        let link = LinkImage::WebSocket(Session::new(None));
        let mut spoken = Vec::new();
        crate::protocol::Spoken::Room(Member::SPEAKS).put(&mut spoken);
        Image {
            link,
            flags: flag::COUNTED,
            spoken: Some(spoken),
            topics: vec!["room/lobby".into()],
            queue: Vec::new(),
            stash: Vec::new(),
            deadline: None,
            ping: PingImage::None,
            until_ping: Some(UntilPing::In(24_900_000_000)),
            wake: None,
            unfinished: None,
            taken: None,
            pong: None,
            kept: Vec::new(),
            waits_for: None,
            limits: None,
        }
    }

    fn named(proxy: Option<Client>) -> ClientImage {
        ClientImage { client: Client::Host([192, 0, 2, 7].into()), proxy }
    }

    fn with(link: LinkImage, flags: u32) -> Image {
        Image { link, flags, spoken: None, topics: Vec::new(), until_ping: None, ..idle() }
    }

    /// In the middle of a text, of a character and of a frame.
    fn session() -> Session {
        let mut session = Session::new(None);
        let mut bytes = b"\x01\x84\0\0\0\0a\xc3\xa9\xc3\x80\x85\0\0\0\0\xa9b".to_vec();
        let (mut input, mut scratch) = (&mut bytes[..], Scratch::default());
        let event = session.next(&mut input, &mut scratch, 1 << 20).expect("it is a good start");
        assert!(event.is_none() && session.unfinished().is_some());
        session
    }

    fn images() -> [Image; 6] {
        let busy = Image {
            flags: flag::SENDING | flag::STALLED | flag::PAUSED | flag::WAITING,
            queue: vec![7; 300],
            stash: b"stashed".to_vec(),
            deadline: Some(-5),
            ping: PingImage::Awaiting(-1_000_000),
            wake: Some((1 << 40, 7)),
            unfinished: Some((77, 4)),
            taken: Some(u32::MAX),
            pong: Some((ByteBuf::from(b"pong".to_vec()), 2)),
            kept: vec![(Kind::Text, ByteBuf::from(b"kept".to_vec()))],
            waits_for: Some("elsewhere".into()),
            limits: Some(LimitsImage {
                client: named(None),
                is_counted: true,
                dropped: 9,
                ahead: (1 << 30, 1 << 40),
                paused: Some(77),
                ends: Some(1 << 50),
            }),
            ..idle()
        };
        let client = named(Some(Client::Unix));
        let proxied = Some(LimitsImage { client, ..LimitsImage::default() });
        [
            idle(),
            Image { link: LinkImage::WebSocket(session()), ..busy },
            with(LinkImage::Http(Some(b"GET / HT".to_vec())), flag::COUNTED),
            Image { limits: proxied, ..with(LinkImage::Http(None), 0) },
            with(LinkImage::Preamble(b"PROXY TCP4".to_vec()), flag::COUNTED),
            with(LinkImage::Lingering(5, Some(1)), flag::FINISH | flag::FINISHED),
        ]
    }

    #[test]
    fn an_idle_member_of_a_room_is_a_small_image() {
        let bytes = idle().to_bytes().len();
        assert!(bytes < 64, "{bytes}");
    }

    #[test]
    fn what_was_written_is_read() {
        for image in images() {
            let bytes = image.to_bytes();
            let again = Image::from_bytes(&bytes).expect("it is what was written");
            assert_eq!(format!("{again:?}"), format!("{image:?}"));
            assert_eq!(again.to_bytes(), bytes);
        }
    }

    #[test]
    fn what_is_cut_or_changed_anywhere_is_refused() {
        for bytes in images().map(|image| image.to_bytes()) {
            for cut in 0..bytes.len() {
                assert_eq!(Image::from_bytes(&bytes[..cut]).err(), Some(ImageError::Damaged));
            }
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Image::from_bytes(&bytes).err(), Some(ImageError::Damaged), "{bit}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(Image::from_bytes(&longer).err(), Some(ImageError::Damaged));
        }
    }

    #[test]
    fn another_format_is_refused_and_named() {
        let mut bytes = idle().to_bytes();
        bytes.truncate(bytes.len() - SUM_BYTES);
        bytes[0] = 9;
        bytes.extend(sum(&bytes).to_le_bytes());
        let error = Image::from_bytes(&bytes).expect_err("it is another format");
        assert_eq!(error, ImageError::Format(9));
        assert_eq!(error.to_string(), "an image of format 9, where 3 is read");
    }

    /// As one that means to: the sum is right. What is read can be gone on with.
    #[test]
    fn what_is_wrong_though_its_sum_is_right_is_refused_or_sound() {
        let (mut read, mut refused) = (0, 0);
        for bytes in images().map(|image| image.to_bytes()) {
            for bit in 0..(bytes.len() - SUM_BYTES) * 8 {
                let mut bytes = bytes[..bytes.len() - SUM_BYTES].to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes.extend(sum(&bytes).to_le_bytes());
                let Ok(image) = Image::from_bytes(&bytes) else {
                    refused += 1;
                    continue;
                };
                read += 1;
                let LinkImage::WebSocket(mut session) = image.link else { continue };
                let mut scratch = Scratch::default();
                let mut more = b"\x80\x85\0\0\0\0\xa9bcde".repeat(20);
                let mut input = &mut more[..];
                while let Ok(Some(_)) = session.next(&mut input, &mut scratch, 1 << 20) {}
            }
        }
        assert!(read > 100 && refused > 100, "{read} were read, {refused} refused");
    }
}
