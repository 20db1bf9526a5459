//! Frames in any pieces: a session reads the same from all of them, and the same as tungstenite.

use std::io::{Cursor, Read, Write};

use throng::websocket::{Event, Scratch, Session};
use throng::wire::deflate::Deflater;
use throng::wire::extension::negotiate;
use throng::wire::{CloseCode, Kind, Violation, mask};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use crate::source::{Source, outcome, pieces};

/// Bytes of a message.
const MAX: usize = 4000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Seen {
    Message(bool, Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
    Failed(u8),
}

pub(crate) fn check(input: &[u8]) -> u64 {
    let mut source = Source(input);
    let deflates = source.below(2) == 1;
    let stream = frames(&mut source, deflates);
    let whole = read(vec![stream.clone()], deflates);
    for round in 0..3 {
        let cut = read(pieces(&stream, round), deflates);
        assert_eq!(cut, whole, "wherever it is cut");
    }
    if !deflates {
        compare(&whole, &others(stream));
    }
    let kinds: Vec<u64> = whole.iter().map(kind_of).collect();
    outcome(&kinds[kinds.len().saturating_sub(4)..])
}

fn kind_of(seen: &Seen) -> u64 {
    match seen {
        Seen::Message(is_text, bytes) => outcome((0, is_text, bytes.len().min(200) / 60)),
        Seen::Ping(_) => 1,
        Seen::Pong => 2,
        Seen::Close(code) => outcome((3, code)),
        Seen::Failed(violation) => outcome((4, violation)),
    }
}

/// Frames by choice: most of them as they should be, so that messages come of them.
fn frames(source: &mut Source<'_>, deflates: bool) -> Vec<u8> {
    const FIRST: [u8; 16] = [
        0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88, 0xc1, 0xc2, 0x41, 0x81, 0x80, 0x00, 0,
    ];
    let mut stream = Vec::new();
    while !source.is_empty() && stream.len() < 4 * MAX {
        let choice = source.below(FIRST.len());
        match FIRST[choice] {
            0 if choice == FIRST.len() - 1 => {
                let count = source.below(20);
                stream.extend_from_slice(source.bytes(count));
            }
            first => {
                let payload = payload(source, first & 0x40 != 0 && deflates);
                put_frame(source, &mut stream, first, &payload);
            }
        }
    }
    stream
}

fn payload(source: &mut Source<'_>, is_deflated: bool) -> Vec<u8> {
    const TEXTS: [&str; 6] = ["", "a", "grüß", "\u{20ac}", "\u{10ffff}x", "hello, hello"];
    let bytes = match source.below(8) {
        0..=2 => TEXTS[source.below(TEXTS.len())].as_bytes().to_vec(),
        // A part of a character, which the next frame may finish.
        3 => "\u{20ac}\u{1f600}".as_bytes()[..source.below(8)].to_vec(),
        4 => "\u{20ac}\u{1f600}".as_bytes()[source.below(7)..].to_vec(),
        5 => vec![b'x'; source.below(256) * source.below(20)],
        6 => [&[3, 0xe8][..], TEXTS[source.below(TEXTS.len())].as_bytes()].concat(),
        _ => {
            let count = source.below(130);
            source.bytes(count).to_vec()
        }
    };
    if !is_deflated || source.below(8) == 0 {
        return bytes;
    }
    let mut packed = Vec::new();
    Deflater::default().deflate(&bytes, &mut packed);
    packed
}

fn put_frame(source: &mut Source<'_>, stream: &mut Vec<u8>, first: u8, payload: &[u8]) {
    let masked = if source.below(40) == 39 { 0 } else { 0x80 };
    stream.push(first ^ if source.below(60) == 59 { 1 << source.below(8) } else { 0 });
    match (payload.len(), source.below(16)) {
        (length @ 0..=125, 0..=12) => stream.push(masked | length as u8),
        (length @ 0..=0xffff, 0..=13) => {
            stream.push(masked | 126);
            stream.extend((length as u16).to_be_bytes());
        }
        (length, choice) => {
            let more = if choice == 15 { 1 << source.below(64) } else { 0 };
            stream.push(masked | 127);
            stream.extend((length as u64 | more).to_be_bytes());
        }
    }
    let key = [source.byte(), 2, 3, source.byte()];
    if masked != 0 {
        stream.extend(key);
    }
    let start = stream.len();
    stream.extend_from_slice(payload);
    if masked != 0 {
        mask::unmask(&mut stream[start..], key, 0);
    }
}

/// What a session makes of it.
fn read(pieces: Vec<Vec<u8>>, deflates: bool) -> Vec<Seen> {
    let agreed = negotiate(deflates.then_some("permessage-deflate").into_iter());
    let (mut session, mut scratch) = (Session::new(agreed), Scratch::default());
    let mut seen = Vec::new();
    for mut piece in pieces {
        let mut input = &mut piece[..];
        loop {
            match session.next(&mut input, &mut scratch, MAX) {
                Ok(None) => break,
                Ok(Some(event)) => seen.push(seen_of(event)),
                Err(violation) => {
                    seen.push(Seen::Failed(violation as u8));
                    session.fail(violation, &mut Vec::new());
                    return seen;
                }
            }
        }
    }
    seen
}

fn seen_of(event: Event<'_>) -> Seen {
    match event {
        Event::Message(kind, payload) => {
            assert!(payload.len() <= MAX);
            if kind == Kind::Text {
                assert!(std::str::from_utf8(payload).is_ok());
            }
            Seen::Message(kind == Kind::Text, payload.to_vec())
        }
        Event::Ping(payload) => Seen::Ping(payload.to_vec()),
        Event::Pong => Seen::Pong,
        Event::Close(code) => Seen::Close(code.map(CloseCode::get)),
    }
}

/// Bytes to read, and what is written goes nowhere.
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How it ended for the other reader.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// It waits for more.
    Hungry,
    /// The peer has closed.
    Closed,
    /// It refuses to read on.
    Refused(String),
}

fn others(stream: Vec<u8>) -> (Vec<Seen>, Ending) {
    let config = WebSocketConfig::default().max_message_size(Some(MAX)).max_frame_size(Some(MAX));
    let wire = Wire(Cursor::new(stream));
    let mut socket = WebSocket::from_raw_socket(wire, Role::Server, Some(config));
    let mut seen = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => seen.push(Seen::Message(true, text.as_bytes().to_vec())),
            Ok(Message::Binary(bytes)) => seen.push(Seen::Message(false, bytes.to_vec())),
            Ok(Message::Ping(bytes)) => seen.push(Seen::Ping(bytes.to_vec())),
            Ok(Message::Pong(_)) => seen.push(Seen::Pong),
            Ok(Message::Close(frame)) => {
                seen.push(Seen::Close(frame.map(|frame| frame.code.into())));
                return (seen, Ending::Closed);
            }
            Ok(Message::Frame(_)) => unreachable!("it is never read"),
            Err(tungstenite::Error::Io(_)) => return (seen, Ending::Hungry),
            Err(error) => return (seen, Ending::Refused(error.to_string())),
        }
    }
}

/// The same messages. We may refuse in the middle of a frame for which the other still waits.
fn compare(ours: &[Seen], (theirs, ending): &(Vec<Seen>, Ending)) {
    let (failed, messages) = match ours.split_last() {
        Some((Seen::Failed(violation), messages)) => (Some(*violation), messages),
        _ => (None, ours),
    };
    match (failed, ending) {
        // The other takes the long forms of a length for control frames too.
        (Some(violation), _) if violation == Violation::BadControlFrame as u8 => {
            assert!(theirs.starts_with(messages), "{ending:?}");
        }
        // The other takes a bad code for another one, and answers it.
        (Some(violation), Ending::Closed) => {
            assert_eq!(violation, Violation::BadClose as u8, "{theirs:?}");
            assert_eq!(messages, &theirs[..theirs.len() - 1]);
        }
        (Some(violation), _) => assert_eq!(messages, theirs, "{violation} {ending:?}"),
        (None, Ending::Refused(why)) => panic!("the other refuses: {why}\n{ours:?}\n{theirs:?}"),
        (None, _) => assert_eq!(messages, theirs, "{ending:?}"),
    }
}
