//! What a hostile connection sends, and how it goes.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::kind::Kind;
use crate::target::{Target, Url};
use crate::wire;

/// What is said by the connections of one kind.
pub(super) struct Script {
    /// What each sends first; connections take these in turn.
    pub(super) firsts: Vec<Arc<[u8]>>,
    /// What is sent behind that again and again; nothing if it is empty.
    pub(super) again: Arc<[u8]>,
    pub(super) pace: Pace,
    pub(super) goes: Goes,
    /// Between the end of one connection and the begin of the next in its place.
    pub(super) pause: Duration,
}

/// How fast it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as the server takes it, within the share of all floods.
    Fast,
    /// A byte each.
    ByteEvery(Duration),
}

/// When a connection is reset by us, if the server has not ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goes {
    /// So long after it began.
    After(Duration),
    /// So long after its upgrade.
    AfterUpgrade(Duration),
}

/// Bytes that a bomb inflates to.
const BOMB_BYTES: usize = 64 << 20;

/// How long one stays that the server keeps: longer than its times for what is unfinished.
const LONGEST: Duration = Duration::from_secs(50);

/// So many units of a flood stand in one piece.
const UNITS: usize = 500;

/// Random beginnings that differ.
const VARIATIONS: usize = 32;

impl Script {
    /// `url` is the room of the others; hostile messages go to another room of the same server.
    pub(super) fn of(kind: Kind, url: &Url, headers: &[String]) -> Result<Self, String> {
        let hostile = Url { path: "/room/abuse".into(), ..url.clone() };
        let upgrade = |url: &Url, more: &[&str]| -> Result<Vec<u8>, String> {
            let more = more.iter().map(|header| (*header).to_owned());
            let headers: Vec<String> = headers.iter().cloned().chain(more).collect();
            let mut request = Vec::new();
            Target::new(url, &headers, &[])?.write_request(0, &mut request);
            Ok(request)
        };
        let opened = |frames: &[u8]| upgrade(&hostile, &[]).map(|head| [&head, frames].concat());
        let script = match kind {
            Kind::SlowHandshakes => Self {
                pace: Pace::ByteEvery(Duration::from_secs(1)),
                ..Self::saying(upgrade(&hostile, &[])?)
            },
            Kind::HalfFrames => Self::saying(opened(&frame(0x82, 1000, b"ten bytes."))?),
            Kind::Oversized => Self::saying(opened(&frame(0x82, 1 << 40, &[b'a'; 1000]))?),
            Kind::Fragments => Self {
                again: frame(0x00, 1, b"a").repeat(UNITS).into(),
                ..Self::saying(opened(&frame(0x01, 1, b"a"))?)
            },
            Kind::BadText => Self::saying(opened(&frame(0x81, 4, b"a\xff\xfe\xfd"))?),
            Kind::Bombs => {
                let offer = "Sec-WebSocket-Extensions: permessage-deflate";
                let bomb = bomb();
                let frame = frame(0xc1, bomb.len() as u64, &bomb);
                Self::saying([upgrade(&hostile, &[offer])?, frame].concat())
            }
            Kind::Pings => Self {
                again: frame(0x89, 4, b"abcd").repeat(UNITS).into(),
                ..Self::saying(opened(&[])?)
            },
            Kind::Requests => {
                let request = format!("GET /nothing HTTP/1.1\r\nHost: {}\r\n\r\n", url.authority);
                Self {
                    again: request.repeat(UNITS).into_bytes().into(),
                    ..Self::saying(Vec::new())
                }
            }
            Kind::ConnectsOfOne | Kind::ConnectsOfMany => Self {
                goes: Goes::AfterUpgrade(Duration::from_millis(30)),
                pause: Duration::ZERO,
                ..Self::saying(upgrade(&hostile, &[])?)
            },
            Kind::RandomBytes => Self {
                firsts: (0..VARIATIONS).map(|_| random().into()).collect(),
                ..Self::saying(Vec::new())
            },
            Kind::Resets => Self {
                goes: Goes::AfterUpgrade(Duration::from_millis(50)),
                ..Self::saying(upgrade(url, &[])?)
            },
            Kind::ProxyHeaders => {
                let request = upgrade(&hostile, &[])?;
                let headers = [PROXY_1, PROXY_2];
                let firsts = headers.map(|header| [header, &request].concat().into());
                Self { firsts: firsts.into(), ..Self::saying(Vec::new()) }
            }
        };
        Ok(script)
    }

    fn saying(first: Vec<u8>) -> Self {
        Self {
            firsts: vec![first.into()],
            again: Arc::default(),
            pace: Pace::Fast,
            goes: Goes::After(LONGEST),
            pause: Duration::from_millis(200),
        }
    }
}

/// A header of version 1 that says to come from elsewhere.
const PROXY_1: &[u8] = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n";

/// The same in version 2.
const PROXY_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\x7f\0\0\x01\x12\x67\0\x50";

fn frame(first: u8, length: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    wire::put_raw_frame(first, length, payload, &mut frame);
    frame
}

/// A text that is small as it is sent.
fn bomb() -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..BOMB_BYTES / zeros.len() {
        encoder.write_all(&zeros).expect("a vector takes all");
    }
    encoder.finish().expect("a vector takes all")
}

/// Bytes that begin as no request does, so that they are never one by chance.
fn random() -> Vec<u8> {
    let length = fastrand::usize(64..4096);
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(length).collect();
    bytes[0] |= 0x80;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_something_to_say() {
        let url = Url { authority: "127.0.0.1:1".into(), path: "/room/a".into() };
        for kind in Kind::ALL {
            let script = Script::of(kind, &url, &[]).expect("it resolves");
            let bytes = script.firsts.iter().map(|first| first.len()).sum::<usize>();
            assert!(bytes + script.again.len() > 0, "{kind:?}");
            assert_eq!(Kind::FLOODS.contains(&kind), !script.again.is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn a_bomb_is_small() {
        assert!(bomb().len() < BOMB_BYTES / 500, "{}", bomb().len());
    }
}
